"""Answering SQL over the tables, as text for people or for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Row
from rich.console import Console
from rich.table import Table as Grid

from habitue.errors import HabitueError, UsageError
from habitue.store import Store
from habitue.tables import TABLES

MOST_ROWS = 10_000  # an answer to look at, not an export: those are what the Delta tables are for


def answer(store: Store, query: str, format_: str) -> str:
    """The rows of one query as a text table, csv or json lines. Raises UsageError for SQL that does not work."""
    names = store.register_views(TABLES)
    if not names:
        raise HabitueError(f"There are no tables at {store.place} yet. `habitue run` makes them.")
    try:
        frame = store.spark.sql(query.strip().rstrip(";"))
        rows = frame.limit(MOST_ROWS + 1).collect()
    except PySparkException as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise UsageError(f"The query does not work: {first[:600]}\nTables: {', '.join(names)}") from None
    if len(rows) > MOST_ROWS:
        raise UsageError(f"The answer has more than {MOST_ROWS:,} rows. Add a LIMIT, or read the Delta table itself.")
    values = [[row[i] for i in range(len(frame.columns))] for row in rows]
    return {"table": _as_table, "csv": _as_csv, "json": _as_json}[format_](frame.columns, values)


def _as_table(columns: Sequence[str], rows: list[list[Any]]) -> str:
    grid = Grid(box=None, pad_edge=False)
    for i, name in enumerate(columns):
        numeric = any(isinstance(row[i], int | float | Decimal) and not isinstance(row[i], bool) for row in rows)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(_shown(value) for value in row))
    text = io.StringIO()
    Console(file=text, width=200, markup=False, highlight=False, color_system=None).print(grid)
    count = f"{len(rows)} row{'' if len(rows) == 1 else 's'}"
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + f"\n({count})"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"
    return str(value)


def _as_csv(columns: Sequence[str], rows: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if value is None else value for value in row] for row in rows])
    return text.getvalue().rstrip("\n")


def _as_json(columns: Sequence[str], rows: list[list[Any]]) -> str:
    objects = [dict(zip(columns, map(_plain, row), strict=True)) for row in rows]
    return "\n".join(json.dumps(item, ensure_ascii=False) for item in objects)


def _plain(value: Any) -> Any:
    """A value, however nested, as JSON has it; a struct is a Row, which JSON would take for a list."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Row):
        return {name: _plain(item) for name, item in value.asDict().items()}
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
