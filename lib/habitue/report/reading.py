"""The one place where the report touches the store: the tables of one snapshot, and why one is not there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from habitue.errors import HabitueError
from habitue.store import Store
from habitue.tables import by_name

MOST_ROWS = 20_000  # of one frame on the page: more is not a picture but an export


@dataclass
class Tables:
    """The tables as they were known at `as_of`. `said` is `last_word`: what the runs of this as-of tell of them."""

    store: Store
    as_of: date
    said: pd.DataFrame
    _there: dict[str, bool] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether the table is there, with rows of this snapshot."""
        if name not in self._there:
            self._there[name] = self._is_there(name)
        return self._there[name]

    def _is_there(self, name: str) -> bool:
        table = by_name().get(name)
        if table is None or self._left_out(name) is not None:
            return False
        written = self.said[(self.said["table_name"] == name) & (self.said["status"] == "written")]
        if not written.empty:
            return not table.is_snapshot or bool(written.iloc[0]["rows_out"])
        # Written for another as-of, or before a run that failed: only the table itself can tell.
        if not self.store.exists(name):
            return False
        return not table.is_snapshot or self.store.has_snapshot(table, self.as_of)

    def frame(self, name: str) -> DataFrame:
        """Rows of this snapshot; of a table of events, those known before it."""
        frame: DataFrame = self.store.read(by_name()[name], self.as_of)
        return frame

    def why_absent(self, name: str) -> str:
        """One sentence, without its full stop."""
        return self._left_out(name) or f"there is no table {name} as of {self.as_of.isoformat()}"

    def _left_out(self, name: str) -> str | None:
        """The reason, where the newest word on the table is that it was left out."""
        rows = self.said[(self.said["table_name"] == name) & (self.said["status"] == "skipped")]
        return None if rows.empty else str(rows.iloc[0]["detail"])


def small(frame: DataFrame) -> pd.DataFrame:
    """An aggregated frame as pandas, decimals as Decimal. Raises HabitueError where it is too large for a page."""
    rows = frame.limit(MOST_ROWS + 1).collect()
    if len(rows) > MOST_ROWS:
        raise HabitueError(f"The report asked for more than {MOST_ROWS:,} rows of {', '.join(frame.columns)}.")
    records = [row.asDict(recursive=True) for row in rows]
    found: pd.DataFrame = pd.DataFrame(records, columns=frame.columns, dtype=object)
    return found


def newest_as_of(store: Store) -> date:
    """The newest snapshot that a run wrote. Raises HabitueError where there is none."""
    runs = by_name()["runs"]
    if not store.exists(runs.name):
        raise HabitueError(f"There are no tables at {store.place} yet. `habitue run` makes them.")
    newest: date | None = store.read(runs).where("status = 'written'").agg(F.max("as_of")).collect()[0][0]
    if newest is None:
        raise HabitueError(f"No run has written tables at {store.place} yet. `habitue run` makes them.")
    return newest


def last_word(store: Store, as_of: date) -> pd.DataFrame:
    """What the newest run said of each table and source: table_name, run_id, status, rows_in, rows_out, seconds,
    code_version, started_at, detail; only runs of this as-of."""
    runs = store.read(by_name()["runs"]).where(F.col("as_of") == F.lit(as_of))
    said = F.struct("run_id", "status", "rows_in", "rows_out", "seconds", "code_version", "started_at", "detail")
    newest = runs.groupBy("table_name").agg(F.max_by(said, F.struct("started_at", "run_id")).alias("said"))
    return small(newest.select("table_name", "said.*").orderBy("table_name"))


def named_items(tables: Tables, rows: DataFrame, column: str, only: Column | None = None) -> DataFrame:
    """`rows` with product ids in `column` (where `only` holds) replaced by the products' names, with the id behind a name
    that several products share; an id without a name stays."""
    if not tables.has("products"):
        return rows
    products = tables.frame("products").where(F.col("name").isNotNull()).select("product_id", "name")
    ids = rows.select(F.col(column).alias("product_id")).distinct()
    known = products.join(F.broadcast(ids), "product_id", how="left_semi")
    bearers = known.groupBy("name").agg(F.count(F.lit(1)).alias("bearers"))
    several = F.concat("name", F.lit(" ("), "product_id", F.lit(")"))
    named = known.join(bearers, "name", how="inner").select(
        F.col("product_id").alias(column),
        F.when(F.col("bearers") > 1, several).otherwise(F.col("name")).alias("__name"),
    )
    shown = F.coalesce(F.when(F.lit(True) if only is None else only, F.col("__name")), F.col(column))
    return rows.join(named, column, how="left").withColumn(column, shown).select(*rows.columns)
