"""The only module that does Delta I/O: a warehouse is a folder, or a schema of a catalog.

A table is created from its contract before its first write, since a plain write would lose NOT NULL and CHECKs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from habitue.config import Config, is_uri
from habitue.ddl import create_statement
from habitue.errors import HabitueError
from habitue.session import is_connect, is_platform
from habitue.table import SNAPSHOT_COLUMN, Table

WORK_PREFIX = "_work_"  # hidden tables, which are no part of what is published
# What Delta writes into the commit of a statement; of the writes it is an option.
USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


class DuplicateKeys(HabitueError):
    """A built table has several rows with the same key."""


@dataclass(frozen=True)
class Version:
    """What a table is at one version: version number, when written (UTC), rows, and the run that wrote it."""

    version: int
    written_at: datetime
    rows: int
    run_id: str | None


class Store:
    """Reads and writes the tables of one warehouse.

    spark: the session. run_id: stored in the metadata of every commit.
    """

    def __init__(self, spark: SparkSession, config: Config, run_id: str | None = None):
        self.spark = spark
        self.catalog = config.catalog
        self.schema = config.schema_
        self.warehouse = config.warehouse.rstrip("/")
        self._model_folder = config.model_folder
        self.run_id = run_id
        self._found: set[str] = set()  # tables seen in this session: asking again costs a job each
        self._versions: dict[str, int] = {}  # what this store wrote last

    @property
    def _sees_folders(self) -> bool:
        """Whether the tables are folders that Python sees too: a platform, or a Connect server, may put the path elsewhere."""
        is_ours = not is_platform() and not is_connect(self.spark)
        return (
            is_ours and not self.catalog and not is_uri(self.warehouse) and Path(self.warehouse).expanduser().is_dir()
        )

    @property
    def place(self) -> str:
        """Where the tables are, as a person would say it."""
        return f"{self.catalog}.{self.schema}" if self.catalog else _absolute(self.warehouse)

    def reference(self, name: str) -> str:
        """The table's name as SQL takes it."""
        if self.catalog:
            return f"`{self.catalog}`.`{self.schema}`.`{name}`"
        return f"delta.`{self.path(name)}`"

    def path(self, name: str) -> str:
        """The table's folder, in folder mode."""
        return f"{_absolute(self.warehouse)}/{name}"

    def model_path(self, name: str, as_of: date | None) -> str:
        """The folder of a fitted model; without an as-of, of the one that was promoted by hand."""
        if self._model_folder is None and self.catalog:
            raise HabitueError("In catalog mode set `model_folder` to a volume, such as /Volumes/main/habitue/models.")
        root = self._model_folder or f"{self.warehouse}/_models"
        return f"{_absolute(root)}/{name}/{as_of.isoformat() if as_of else 'champion'}"

    def exists(self, name: str) -> bool:
        if name not in self._found and self._is_there(name):
            self._found.add(name)
        return name in self._found

    def _is_there(self, name: str) -> bool:
        if self._sees_folders and not Path(self.path(name), "_delta_log").is_dir():
            return False  # a statement about a table that is not there takes a fifth of a second to fail
        try:
            (found,) = self.spark.sql(f"DESCRIBE DETAIL {self.reference(name)}").select("format").collect()
        except AnalysisException:
            return False
        return str(found["format"]).lower() == "delta"  # of a folder that is no table it tells too

    def read(self, table: Table, as_of: date | None = None) -> DataFrame:
        """The table's rows; of a snapshot table those of `as_of`; of a table of events those known before `as_of`."""
        frame = self.spark.table(self.reference(table.name))
        if as_of is None:
            return frame
        if table.is_snapshot:
            return frame.where(F.col(SNAPSHOT_COLUMN) == F.lit(as_of))
        if table.known_by is not None:
            return frame.where(F.col(table.known_by) < F.lit(as_of))
        return frame

    def newest_before(self, table: Table, as_of: date) -> date | None:
        """The as-of of the table's newest snapshot that is earlier than `as_of`, or None."""
        if not self.exists(table.name):
            return None
        earlier = self.spark.table(self.reference(table.name)).where(F.col(SNAPSHOT_COLUMN) < F.lit(as_of))
        newest: date | None = earlier.agg(F.max(SNAPSHOT_COLUMN)).collect()[0][0]
        return newest

    def later_snapshots(self, table: Table, as_of: date) -> list[date]:
        """The as-ofs of the table's snapshots after `as_of`, in order."""
        if not self.exists(table.name):
            return []
        later = self.spark.table(self.reference(table.name)).where(F.col(SNAPSHOT_COLUMN) > F.lit(as_of))
        return sorted(row[0] for row in later.select(SNAPSHOT_COLUMN).distinct().collect())

    def save_model(self, name: str, as_of: date | None, document: str) -> None:
        """Keep a fitted model's document (JSON), in place of what was there for this as-of, or as the promoted one.

        An empty document is none: it takes a promotion back.
        """
        path = self.model_path(name, as_of)
        self.spark.createDataFrame([(document,)], "value string").write.mode("overwrite").text(f"{path}/document")

    def load_model(self, name: str, as_of: date | None) -> str | None:
        """The document of the model of this as-of, or of the promoted one; None where there is none."""
        try:
            read = self.spark.read.text(f"{self.model_path(name, as_of)}/document", wholetext=True).collect()
        except AnalysisException:
            return None
        return str(read[0][0]).strip() or None if read else None

    def has_snapshot(self, table: Table, as_of: date) -> bool:
        return self.exists(table.name) and not self.read(table, as_of).isEmpty()

    def write(self, table: Table, frame: DataFrame, as_of: date | None = None) -> int:
        """Replace the table, or its snapshot of `as_of`, by `frame`; returns the rows written.

        Raises ContractError for other columns, DuplicateKeys for rows with the same key (the table then keeps
        what it had), and HabitueError where a NOT NULL or CHECK constraint fails.
        """
        conformed = table.conform(frame)
        if table.is_snapshot and as_of is None:
            raise HabitueError(f"Table {table.name} carries `{SNAPSHOT_COLUMN}`, so it is written for one as-of.")
        writer = conformed.write.format("delta").option("userMetadata", self._metadata())
        if self.create(table):
            writer = writer.mode("append")  # nothing is there to be replaced, and looking for it costs two jobs
        else:
            writer = writer.mode("overwrite")
            if table.is_snapshot and as_of is not None:
                writer = writer.option("replaceWhere", f"{SNAPSHOT_COLUMN} = '{as_of.isoformat()}'")
        try:
            self._save(writer, table.name)
        except Exception as error:
            raise _explained(table, error) from error
        last = self._last_commit(table.name)
        self._refuse_duplicates(table, as_of)
        self._versions[table.name] = int(last["version"])
        return int(last["operationMetrics"].get("numOutputRows", 0))  # Delta leaves it out where no row was written

    def take_back_duplicates(self, table: Table) -> bool:
        """Take back the newest commit if keys occur twice: its run was killed before it looked. Returns whether that was so."""
        if not table.key or self._repeated(table, table.key).isEmpty():
            return False
        self._take_back(table)
        return True

    def write_work(self, source: str, frame: DataFrame) -> DataFrame:
        """Keep the judged rows of a source in the hidden table `_work_<source>`, and read them back from there."""
        name = f"{WORK_PREFIX}{source}"
        writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        self._save(writer.option("userMetadata", self._metadata()), name)
        return self.spark.table(self.reference(name))

    def append(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Add rows to a table of events that we write ourselves, such as `runs`."""
        frame = self.spark.createDataFrame([tuple(row[c] for c in table.columns) for row in rows], table.schema)
        self.create(table)
        self._versions.pop(table.name, None)
        writer = frame.write.format("delta").mode("append").option("userMetadata", self._metadata())
        self._save(writer, table.name)

    def remove_snapshot(self, table: Table, as_of: date) -> None:
        """Delete a snapshot that this run left out, so that no row of an earlier run is taken for one of this."""
        if table.is_snapshot and self.has_snapshot(table, as_of):
            self._versions.pop(table.name, None)
            # No DELETE, whose commit could not say which run it is of.
            writer = self.spark.createDataFrame([], table.schema).write.format("delta").mode("overwrite")
            writer = writer.option("replaceWhere", f"{SNAPSHOT_COLUMN} = '{as_of.isoformat()}'")
            self._save(writer.option("userMetadata", self._metadata()), table.name)

    def create(self, table: Table) -> bool:
        """Create the table from its contract, where it is not there yet; returns whether that was so."""
        if self.exists(table.name):
            self._check_stored_contract(table)
            return False
        self._clear_broken_off(table.name)
        self._execute(create_statement(table, self.reference(table.name)))
        self._found.add(table.name)
        return True

    def version(self, name: str) -> int:
        """The version that this store wrote; of a table that it did not write, the newest."""
        if name not in self._versions:
            return int(self._last_commit(name)["version"])
        return self._versions[name]

    def describe(self, table: Table) -> Version | None:
        """The table's newest version, or None where the table is not there."""
        if not self.exists(table.name):
            return None
        last = self._last_commit(table.name)
        rows = self.spark.table(self.reference(table.name)).count()
        return Version(int(last["version"]), last["timestamp"], rows, _run_of(last["userMetadata"]))

    def register_views(self, tables: Iterable[Table]) -> list[str]:
        """Make every table there is, and its `_latest`, a name that SQL of this session knows; returns the names."""
        names: list[str] = []
        for table in tables:
            if table.is_hidden or not self.exists(table.name):
                continue
            frame = self.spark.table(self.reference(table.name))
            frame.createOrReplaceTempView(table.name)
            names.append(table.name)
            if table.is_snapshot:
                newest = frame.agg(F.max(SNAPSHOT_COLUMN)).collect()[0][0]
                latest = frame.where(F.col(SNAPSHOT_COLUMN) == F.lit(newest))
                latest.createOrReplaceTempView(f"{table.name}_latest")
                names.append(f"{table.name}_latest")
        return names

    def publish_latest_view(self, table: Table) -> None:
        """In catalog mode, the view `<table>_latest`; a folder has no place for views (`habitue sql` makes them)."""
        if self.catalog and table.is_snapshot and not table.is_hidden:
            reference = self.reference(table.name)
            self.spark.sql(
                f"CREATE OR REPLACE VIEW {self.reference(f'{table.name}_latest')} AS SELECT * FROM {reference} "
                f"WHERE {SNAPSHOT_COLUMN} = (SELECT max({SNAPSHOT_COLUMN}) FROM {reference})"
            )

    def _save(self, writer: Any, name: str) -> None:
        if self.catalog:
            writer.saveAsTable(self.reference(name))
        else:
            writer.save(self.path(name))

    def _metadata(self) -> str:
        return json.dumps({"run_id": self.run_id})

    def _last_commit(self, name: str) -> Row:
        return self.spark.sql(f"DESCRIBE HISTORY {self.reference(name)} LIMIT 1").collect()[0]

    def _execute(self, statement: str) -> None:
        """Run a statement so that its commit names the run, for which it has no option: Delta asks the session's settings.

        They are as they were right after it. Where a platform lets nobody set this one, as serverless compute does, only
        the commits of the writes name the run.
        """
        conf = self.spark.conf
        try:
            before = conf.get(USER_METADATA, None)
            conf.set(USER_METADATA, self._metadata())
        except PySparkException:
            self.spark.sql(statement).collect()
            return
        try:
            self.spark.sql(statement).collect()
        finally:
            if before is None:
                conf.unset(USER_METADATA)
            else:
                conf.set(USER_METADATA, before)

    def _refuse_duplicates(self, table: Table, as_of: date | None) -> None:
        """Look for keys that occur twice in what was just written; where there are, go back to the version before."""
        keys = [c for c in table.key if not (table.is_snapshot and c == SNAPSHOT_COLUMN)]
        if not keys:
            return
        repeated = self._repeated(table, keys, as_of)
        if repeated.isEmpty():
            return
        message = _duplicates_message(table, repeated, keys)
        self._take_back(table)
        raise DuplicateKeys(message)

    def _repeated(self, table: Table, keys: Sequence[str], as_of: date | None = None) -> DataFrame:
        """The keys that occur more than once, with their number of `rows`: of one snapshot, or of the whole table."""
        written = self.read(table, as_of if table.is_snapshot else None)
        return written.groupBy(*keys).agg(F.count(F.lit(1)).alias("rows")).where("rows > 1")

    def _take_back(self, table: Table) -> None:
        """Make the table what it was before its newest commit."""
        version = int(self._last_commit(table.name)["version"])
        self._versions.pop(table.name, None)
        self._execute(f"RESTORE TABLE {self.reference(table.name)} TO VERSION AS OF {version - 1}")

    def _clear_broken_off(self, name: str) -> None:
        """Remove a local folder with a Delta log and no commit: a kill within CREATE leaves one, and Delta refuses it."""
        folder = Path(self.path(name))
        if self.catalog or is_uri(self.path(name)) or not folder.is_dir():
            return
        files = [path for path in folder.rglob("*") if path.is_file()]
        is_log_alone = [path.name for path in folder.iterdir()] == ["_delta_log"]
        if is_log_alone and all(path.name.startswith(".") for path in files):  # what Delta had not yet renamed
            shutil.rmtree(folder)

    def _check_stored_contract(self, table: Table) -> None:
        """Refuse to write into a table that an older or newer Habitué created with other columns."""
        stored = {f.name: f.dataType.simpleString() for f in self.spark.table(self.reference(table.name)).schema.fields}
        promised = {f.name: f.dataType.simpleString() for f in table.schema.fields}
        if stored != promised:
            differing = sorted(n for n in {*stored, *promised} if stored.get(n) != promised.get(n))
            raise HabitueError(
                f"Table {self.reference(table.name)} was created with other columns than this version of Habitué writes "
                f"({', '.join(differing)}). Move the old table away, or use another warehouse, and run again."
            )


def _duplicates_message(table: Table, repeated: DataFrame, keys: list[str]) -> str:
    examples = repeated.orderBy(*keys).limit(5).collect()
    shown = "\n".join(
        "  - " + ", ".join(f"{key}={row[key]}" for key in keys) + f": {row['rows']} rows" for row in examples
    )
    return (
        f"Table {table.name}: {repeated.count()} keys occur more than once; a row is {table.grain.lower()} "
        f"Examples:\n{shown}\nNothing was changed. The mistake is in the table's build, or in what it reads."
    )


def _run_of(metadata: str | None) -> str | None:
    """The run that a commit's metadata name; None where somebody else committed."""
    try:
        said = json.loads(metadata or "null")
    except ValueError:
        return None
    run_id: str | None = said.get("run_id") if isinstance(said, dict) else None
    return run_id


def _explained(table: Table, error: Exception) -> HabitueError:
    """A failed write in one paragraph: constraint violations name the rule, everything else its first line."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rule = next((line for line in lines if "DELTA_NOT_NULL" in line or "DELTA_VIOLATE" in line), None)
    what = rule or (lines[0] if lines else type(error).__name__)
    return HabitueError(f"Table {table.name} could not be written: {what[:600]}")


def _absolute(path: str) -> str:
    """A local folder as an absolute path; URIs such as s3:// as they are."""
    if is_uri(path):
        return path
    return str(Path(path).expanduser().resolve())
