"""Every row of a source typed and judged: its values under our names, and an array of what is wrong with it.

Nothing is dropped here. A row without errors is kept; one with errors goes to quarantine with all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from habitue.config import CleaningSettings, Config, SourceSettings, nearest
from habitue.errors import UsageError
from habitue.sources import parsing
from habitue.sources.parsing import Clock
from habitue.sources.reading import MALFORMED
from habitue.sources.spec import Source, SourceField

ERRORS = "errors"
RAW = "raw"  # struct of the raw columns
RAW_ROW = "raw_row"  # the same as JSON, for rows in error
COPIES = "copies"
ROW_HASH = "row_hash"
EXTRA = "attributes"
STATUS_EXCLUDED = "status_excluded"
MOST_UNITS = 1_000_000_000  # of one line: larger ones are broken, and their sums would not fit
_OWN = (ERRORS, RAW, ROW_HASH)


@dataclass(frozen=True)
class Rules:
    """What a source's rows are judged by: settings of the source, limits of the shop, and the wall clock."""

    settings: SourceSettings
    limits: CleaningSettings
    clock: Clock
    now: datetime


def rules_of(config: Config, name: str, now: datetime) -> Rules:
    """The rules for the source `name`; `now` (UTC) serves only to find rows dated after it."""
    settings = config.sources[name]
    zone = settings.day_time_zone or config.shop.time_zone
    starts_at = settings.day_starts_at or config.shop.day_starts_at
    return Rules(settings, config.cleaning, Clock(zone, starts_at, written_in=settings.time_zone), now)


def mapped_columns(source: Source, settings: SourceSettings, raw_columns: list[str]) -> dict[str, str]:
    """Ours -> theirs, for the columns that are there. Theirs may differ in case; a column with our own name needs no mapping.

    Raises UsageError naming every column of the configuration that the file does not have, and what is missing.
    """
    by_lower = {c.lower(): c for c in raw_columns}
    problems = []
    mapping: dict[str, str] = {}
    for ours, theirs in settings.columns.items():
        found = theirs if theirs in raw_columns else by_lower.get(theirs.strip().lower())
        if ours not in source.names and not source.keeps_extra:
            problems.append(f"columns.{ours}: {source.name} has no such column{nearest(ours, source.names)}")
        elif found is None:
            problems.append(f"columns.{ours}: the file has no column {theirs!r}{nearest(theirs, raw_columns)}")
        else:
            mapping[ours] = found
    for name in source.names:
        if name not in settings.columns and name in by_lower and by_lower[name] not in mapping.values():
            mapping[name] = by_lower[name]
    if not problems:
        problems += [f"columns.{n}: required, and not mapped" for n in source.required if n not in mapping]
        problems += [
            f"columns: one of {', '.join(group)} is required, and none is mapped"
            for group in source.one_of
            if not any(n in mapping for n in group)
        ]
    if problems:
        listed = "\n".join(f"  - sources.{source.name}.{p}" for p in problems)
        has = ", ".join(c for c in raw_columns if c != MALFORMED)
        raise UsageError(f"The columns of {source.name} do not fit the file:\n{listed}\nThe file has: {has}")
    return mapping


def judged(raw: DataFrame, source: Source, rules: Rules) -> DataFrame:
    """One row per raw row: the mapped columns typed, `<column>_day` (shop-local date) for each time, `errors` (array of names),
    `row_hash`, and `raw`: the row as it came."""
    mapping = mapped_columns(source, rules.settings, raw.columns)
    types = {f.name: f.dataType for f in raw.schema.fields}
    fields = [f for f in source.fields if f.name in mapping]
    typed = {f.name: _value(_raw(mapping[f.name]), types[mapping[f.name]], f, rules) for f in fields}
    if source.keeps_extra:
        typed[EXTRA] = _attributes(raw, source, mapping, types)
    # The parsed values get names of their own first: ours may be theirs, with another meaning or type.
    whole = raw.select(
        F.struct(*(F.col(f"`{c}`") for c in raw.columns)).alias(RAW),
        _content_hash([F.col(f"`{c}`") for c in raw.columns]).alias(ROW_HASH),
        *(F.col(f"`{c}`") for c in raw.columns),
    )
    times = [f.name for f in fields if f.kind == "time"]
    parsed = whole.select(RAW, ROW_HASH, *(value.alias(name) for name, value in typed.items())).select(
        "*", *(rules.clock.day(F.col(name)).alias(f"{name}_day") for name in times)
    )
    conditions = [pair for f in fields for pair in _field_errors(f, types[mapping[f.name]], mapping[f.name], rules)]
    if MALFORMED in raw.columns:
        conditions.append((_raw_value(MALFORMED).isNotNull(), "malformed_row"))
    if "status" in typed and rules.settings.drop_statuses:
        dropped = [s.strip().lower() for s in rules.settings.drop_statuses]
        conditions.append((F.lower("status").isin(*dropped), STATUS_EXCLUDED))
    conditions += [(F.expr(expression), name) for name, expression in source.rules]
    found = F.array_compact(F.array(*(F.when(condition, F.lit(name)) for condition, name in conditions)))
    # Most rows have no error, and for them one look at all conditions is ten times as fast as an array.
    has_any = reduce(or_, (F.coalesce(condition, F.lit(False)) for condition, _ in conditions))
    return parsed.withColumn(ERRORS, F.when(has_any, found).otherwise(F.array().cast("array<string>")))


def is_kept() -> Column:
    return F.size(ERRORS) == 0


def kept(judged_rows: DataFrame, schema: StructType) -> DataFrame:
    """The kept rows with the columns of `schema`, NULL where the source does not have one."""
    has = judged_rows.columns
    columns = [F.col(f.name) if f.name in has else F.lit(None).cast(f.dataType).alias(f.name) for f in schema.fields]
    return judged_rows.where(is_kept()).select(*columns)


def with_error(rows: DataFrame, condition: Column, name: str) -> DataFrame:
    """`rows` with `name` added to the errors of those that meet `condition`."""
    return rows.withColumn(ERRORS, F.when(condition, F.array_append(ERRORS, F.lit(name))).otherwise(F.col(ERRORS)))


def finished(rows: DataFrame) -> DataFrame:
    """`rows` with `raw_row`, the row in error as JSON, in place of the whole raw row."""
    with_nulls = {"ignoreNullFields": "false"}
    as_json = F.to_json(RAW, with_nulls)
    if MALFORMED in rows.select(f"{RAW}.*").columns:
        # Only a row that could not be split shows the column.
        read = F.to_json(F.col(RAW).dropFields(MALFORMED), with_nulls)
        as_json = F.when(_raw_value(MALFORMED).isNull(), read).otherwise(as_json)
    return rows.withColumn(RAW_ROW, F.when(~is_kept(), as_json)).drop(RAW, ROW_HASH)


def merged_by_key(rows: DataFrame, source: Source) -> DataFrame:
    """For sources with a key: identical rows made one (`copies` counts them); of rows that contradict one another under one
    key the earliest, by the source's own time where it has one and then by content, is kept and the others marked
    `conflicting_duplicate`."""
    # Maps cannot be hashed; their sorted entries can.
    content = [F.array_sort(F.map_entries(EXTRA)) if n == EXTRA else F.col(n) for n in rows.columns if n not in _OWN]
    hashed = rows.withColumn(ROW_HASH, F.when(is_kept(), _content_hash(content)).otherwise(F.col(ROW_HASH)))
    key = [F.when(is_kept(), F.col(c)) for c in source.key]
    # Rows in error are set apart by their hash, or they would all meet in one task.
    group = [*key, F.when(~is_kept(), F.col(ROW_HASH))]
    earliest = [F.col(source.earliest_by).asc_nulls_last()] if source.earliest_by in rows.columns else []
    numbered = rows_numbered(hashed, Window.partitionBy(*group).orderBy(*earliest, ROW_HASH))
    conflict = is_kept() & (F.col("line_number") > 1)
    return with_error(numbered, conflict, "conflicting_duplicate").drop("line_number")


def rows_numbered(rows: DataFrame, order: WindowSpec) -> DataFrame:
    """The distinct rows (by `row_hash`) of each group of `order`, with `line_number` from 1 and `copies`, by one sort."""
    numbered = rows.select(
        "*",
        F.dense_rank().over(order).alias("line_number"),
        F.lag(ROW_HASH).over(order).alias("__previous"),
        F.count(F.lit(1)).over(order.rangeBetween(Window.currentRow, Window.currentRow)).alias(COPIES),
    )
    return numbered.where(F.col("__previous").isNull() | (F.col("__previous") != F.col(ROW_HASH))).drop("__previous")


def _content_hash(columns: list[Column]) -> Column:
    """A hash of a row's values and of which of them are NULL, which xxhash64 passes over wherever it stands."""
    return F.xxhash64(*columns, F.array(*(column.isNull() for column in columns)))


def _raw(theirs: str) -> Column:
    return F.col(f"`{theirs}`")


def _raw_value(theirs: str) -> Column:
    return F.col(RAW).getField(theirs)


def _value(theirs: Column, type_: DataType, field: SourceField, rules: Rules) -> Column:
    settings = rules.settings
    if field.kind in ("amount", "quantity", "number"):
        return parsing.number(theirs, type_, settings.decimal)
    if field.kind == "time":
        return parsing.time(theirs, type_, rules.clock, settings.date_format)
    if field.kind == "day":
        return rules.clock.day(parsing.time(theirs, type_, rules.clock, settings.date_format))
    if field.kind == "flag":
        return parsing.flag(theirs, type_)
    return parsing.text(theirs, type_)


def _field_errors(field: SourceField, type_: DataType, theirs: str, rules: Rules) -> list[tuple[Column, str]]:
    """Conditions on the typed columns, each with the name of the error it means."""
    name, value = field.name, F.col(field.name)
    if field.kind in ("id", "text"):
        missing = [(value.isNull(), f"missing_{name}")] if field.required else []
        return [*missing, (F.length(value) > parsing.LONGEST_TEXT, f"too_long_{name}")]
    written = parsing.text(_raw_value(theirs), type_)
    found = [(written.isNotNull() & value.isNull(), f"unparseable_{name}")]
    if field.required:
        found.append((written.isNull(), f"missing_{name}"))
    if field.kind == "time":
        found.append((value > F.lit(rules.now), f"future_{name}"))
        found.append((F.col(f"{name}_day") < F.lit(rules.limits.earliest_date), f"too_old_{name}"))
    if field.kind == "quantity":
        found.append((F.abs(value) > F.lit(MOST_UNITS), f"too_large_{name}"))
    if field.kind == "amount":
        found.append((F.abs(value) > F.lit(rules.limits.max_amount), f"too_large_{name}"))
    return found


def _attributes(raw: DataFrame, source: Source, mapping: dict[str, str], types: dict[str, DataType]) -> Column:
    """Every column that we do not know, as a map from its name (or the one it is mapped to) to its text; blanks are left out."""
    known = {mapping[name] for name in source.names if name in mapping}
    renamed = {theirs: ours for ours, theirs in mapping.items()}
    extra = [c for c in raw.columns if c not in known and c != MALFORMED]
    values = [parsing.text(_raw(c), types[c]) for c in extra]
    pairs = [
        F.struct(F.lit(renamed.get(c, c)).alias("key"), v.alias("value")) for c, v in zip(extra, values, strict=True)
    ]
    entries = F.array(*pairs).cast("array<struct<key:string,value:string>>")
    return F.map_from_entries(F.filter(entries, lambda e: e["value"].isNotNull()))
