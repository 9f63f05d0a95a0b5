"""What a run tells of its tables, kept until it ends and then appended to `runs`; and what earlier runs told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cached_property
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from habitue import __version__
from habitue.config import Config
from habitue.store import Store
from habitue.table import Table
from habitue.tables.operations import runs


class RunRecord:
    """The rows of one run in `runs`, one a table or source: what is told last holds."""

    def __init__(self, store: Store, config: Config, now: datetime, run_id: str):
        self.store, self.config, self.now, self.run_id = store, config, now, run_id
        self._rows: dict[str, dict[str, Any]] = {}

    def note(
        self,
        name: str,
        status: str,
        seconds: float,
        *,
        rows_in: int | None = None,
        rows_out: int | None = None,
        inputs: Mapping[str, int] | None = None,
        version: int | None = None,
        detail: str | None = None,
    ) -> None:
        self._rows[name] = {
            "run_id": self.run_id,
            "table_name": name,
            "status": status,
            "rows_in": rows_in,
            "rows_out": rows_out,
            "seconds": round(seconds, 3),
            "input_versions": dict(inputs or {}),
            "output_version": version,
            "config_hash": self.config.fingerprint,
            "code_version": __version__,
            "started_at": self.now,
            "detail": detail,
        }

    def write(self, as_of: date | None) -> None:
        if self._rows:
            self.store.append(runs.TABLE, [{**row, "as_of": as_of} for row in self._rows.values()])

    def rows_told(self, table: Table, as_of: date | None) -> int | None:
        """The rows that an earlier run wrote into the table, or into its snapshot; None where none has told."""
        told = self._earlier.get(table.name, {})
        row = told.get(as_of) if table.is_snapshot else max(told.values(), default=None)
        return None if row is None else int(row["rows_out"])

    def vouches_for(self, name: str, version: int) -> bool:
        """Whether an earlier run lived to tell that it wrote this version, and that it is the table's newest."""
        row = max(self._earlier.get(name, {}).values(), default=None)
        return row is not None and row["output_version"] == version

    def distrust(self, name: str) -> None:
        """Forget what was told of a table that has changed since."""
        self._earlier.pop(name, None)

    @cached_property
    def _earlier(self) -> dict[str, dict[date | None, Row]]:
        """Table -> as-of -> start of the newest run that wrote it, Delta version and rows."""
        found: dict[str, dict[date | None, Row]] = {}
        if self.store.exists(runs.TABLE.name):
            written = self.store.read(runs.TABLE).where(F.col("output_version").isNotNull())
            newest = F.max(F.struct("started_at", "output_version", "rows_out")).alias("newest")
            for row in written.groupBy("table_name", "as_of").agg(newest).collect():
                found.setdefault(row["table_name"], {})[row["as_of"]] = row["newest"]
        return found
