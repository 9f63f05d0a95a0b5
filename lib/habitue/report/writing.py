"""From the tables to the file: what `habitue run` and `habitue report` call."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path

from pyspark.sql import functions as F

from habitue.config import Config
from habitue.errors import HabitueError, UsageError
from habitue.pipeline import RunResult
from habitue.report.page import page
from habitue.report.parts import Content, Frames, Shop
from habitue.report.reading import Tables, last_word, newest_as_of
from habitue.report.sections import SECTIONS
from habitue.store import Store

FILE_NAME = "report.html"
NO_PLACE = "No report was written: set report.path to a file, such as /Volumes/main/shop/files/report.html."


def write_report(store: Store, config: Config, result: RunResult | None = None) -> str | None:
    """Write the report of the snapshot that `result` built, or of the newest one; returns the file's path.

    Where there is no place for a file (a catalog or a remote warehouse, and no report.path) a run gets a note, and None
    is returned; without a run UsageError is raised. Raises HabitueError where there are no tables, or no file can be written.
    """
    path = _path(store, config)
    if path is None:
        if result is None:
            raise UsageError(NO_PLACE)
        result.notes.append(NO_PLACE)
        return None
    as_of = result.as_of if result is not None and result.as_of is not None else newest_as_of(store)
    _write(path, page(read_content(store, config, as_of)))
    return str(path)


def read_content(store: Store, config: Config, as_of: date) -> Content:
    """Everything that the page says of the snapshot, as small frames."""
    tables = Tables(store, as_of, last_word(store, as_of))
    frames: dict[str, Frames] = {}
    absent: dict[str, str] = {}
    for section in SECTIONS:
        missing = next((name for name in section.needs if not tables.has(name)), None)
        if missing is None:
            frames[section.id] = section.read(tables)
        else:
            absent[section.id] = tables.why_absent(missing)
    return Content(_shop(tables, config), frames, absent)


def _shop(tables: Tables, config: Config) -> Shop:
    newest = tables.said.sort_values("started_at").iloc[-1]
    named = tables.frame("orders").agg(F.max("currency")).collect()[0][0] if tables.has("orders") else None
    return Shop(
        name=config.shop.name,
        currency=named or config.shop.currency,
        as_of=tables.as_of,
        run_id=newest["run_id"],
        code_version=newest["code_version"],
        started_at=newest["started_at"],
    )


def _path(store: Store, config: Config) -> Path | None:
    if config.report.path is not None:
        return Path(config.report.path).expanduser().resolve()
    if store.catalog or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", store.place):
        return None
    return Path(store.place) / FILE_NAME


def _write(path: Path, text: str) -> None:
    """Replace the file at once, so that whoever has it open never reads half a report."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise HabitueError(
            f"The report cannot be written to {path}: {error.strerror}. Set report.path to another file."
        ) from error
