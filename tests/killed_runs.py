"""Runs whose process ends at a chosen table, as a kill ends it: no handler runs to the end, and `runs` is told nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from small_shop import NOW, run

from habitue.config import Config
from habitue.store import Store
from habitue.table import Table


class Killed(BaseException):
    """What ends a process in the middle of a run: nothing may catch it as an ordinary failure."""


class Faltering(Store):
    """A store whose process ends when it is to write the table called `name`: before its rows are there, or after."""

    def __init__(self, spark: SparkSession, config: Config, name: str, after: bool):
        super().__init__(spark, config, "killed")
        self.name, self.after = name, after

    def write(self, table: Table, frame: DataFrame, as_of: date | None = None) -> int:
        if table.name != self.name:
            return super().write(table, frame, as_of)
        if self.after:
            super().write(table, frame, as_of)
        else:
            self.create(table)  # the table is there, and nothing in it
        raise Killed

    def append(self, table: Table, rows: list[dict[str, Any]]) -> None:
        raise Killed


def kill_at_each(
    spark: SparkSession,
    config: Config,
    as_of: date | None,
    only: Sequence[str],
    names: Sequence[str],
    now: datetime = NOW,
) -> None:
    """A run killed at the first table, started again and killed at the second, and so on; before and after the rows in turn.

    What a kill after the rows of one table leaves and a kill before those of the next differ by an empty table alone.
    """
    for number, name in enumerate(names):
        with pytest.raises(Killed):
            run(spark, config, as_of, only, now, "killed", Faltering(spark, config, name, number % 2 == 1))
