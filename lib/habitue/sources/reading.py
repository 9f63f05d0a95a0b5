"""Reading the rows of a source as they are: every column, under the file's own names, nothing dropped."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import reduce
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructField, StructType, TimestampType

from habitue.config import SourceSettings
from habitue.errors import DataRefused, HabitueError, UsageError
from habitue.sources import encodings, parsing

# Holds a line that could not be split into the header's columns; other rows have NULL there.
MALFORMED = "_malformed_row"
# Files are compared by header or schema one at a time, so that each is read as what it is; beyond this many the first
# speaks for all, and a file that contradicts it is refused.
MOST_FILES_COMPARED = 200
_NO_DELIMITER = "\x01"  # in no text: a line is then one field
_NAME_JUNK = "\ufeff\u200b \t\r\n\"'"


def read_raw(spark: SparkSession, name: str, settings: SourceSettings) -> DataFrame:
    """All rows of the source `name`. Text formats give strings; parquet and delta keep their types.

    Raises UsageError where nothing is at the path, DataRefused where a file cannot be read.
    """
    if settings.table is not None:
        return _clean_names(_read_table(spark, name, settings.table))
    assert settings.path is not None
    try:
        frame = _decoded(_read_path(spark, settings.path, settings), settings)
    except Exception as error:
        if not is_sparks(error):
            raise
        raise unreadable(name, settings.path, error) from error
    if not frame.columns:
        raise DataRefused(f"sources.{name}: {settings.path} has no columns and no rows. Is it the right file?")
    return _clean_names(frame)


def is_sparks(error: Exception) -> bool:
    """Whether Spark raised it. On a classic session some errors, a broken file's among them, come as py4j's own."""
    return isinstance(error, PySparkException) or type(error).__module__.startswith("py4j.")


def is_of_reading(error: Exception) -> bool:
    """Whether Spark failed at reading a file of the source, and not at what was done with its rows."""
    return any(sign in str(error) for sign in ("FAILED_READ_FILE", "PATH_NOT_FOUND"))


def unreadable(name: str, path: str | None, error: Exception) -> HabitueError:
    """What to tell the user when Spark cannot read a source."""
    text = str(error)
    if "PATH_NOT_FOUND" in text or "does not exist" in text:
        return UsageError(
            f"sources.{name}: there is nothing at {path}. Give the file, folder or glob in sources.{name}.path."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    first = next((line for line in lines if "FAILED_READ_FILE" in line), lines[0])
    return DataRefused(
        f"sources.{name}: a file under {path} cannot be read, so the run stops before anything is lost. "
        f"Mend or remove the file. Spark says: {first[:500]}"
    )


def _read_table(spark: SparkSession, name: str, table: str) -> DataFrame:
    try:
        frame = spark.table(table)
        _ = frame.schema  # on Spark Connect a missing table is noticed only now
    except PySparkException:
        raise UsageError(f"sources.{name}.table: there is no table {table}, or it may not be read.") from None
    return frame


def _read_path(spark: SparkSession, path: str, settings: SourceSettings) -> DataFrame:
    if settings.format == "delta":
        return spark.read.format("delta").load(path)
    if settings.format == "csv" and settings.delimiter == "spaces":
        return _read_spaced(spark, path, settings)
    files = _files(spark, path)
    folders = _folder_names(files)
    if not 1 < len(files) <= MOST_FILES_COMPARED:
        return _with_folders(_read_files(spark, [path], settings, are_many=len(files) > 1), folders)
    groups: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for file in files:
        schema = _peek(spark, file, settings)
        if schema:
            groups[schema].append(file)
    if not groups:
        return _with_folders(_read_files(spark, [path], settings), folders)
    frames = [_with_folders(_read_files(spark, m, settings), folders) for _, m in sorted(groups.items())]
    return reduce(_union, map(_clean_names, frames))  # one column may be ` id` in one file and `id` in another


def _files(spark: SparkSession, path: str) -> list[str]:
    """The files at `path` that hold anything, by name; hidden ones are left out, as Spark does."""
    if Path(path).is_file():
        return [path]  # nothing to list, which would take a job
    listed = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    rows = listed.where(F.col("length") > 0).select("path").orderBy("path").limit(MOST_FILES_COMPARED + 1).collect()
    return [row["path"] for row in rows]


def _folder_names(files: list[str]) -> list[str]:
    """The keys of `key=value` folders, which is how Hive and Spark keep partitions."""
    parts = (part for file in files for part in Path(file).parts[:-1])
    return sorted({part.split("=", 1)[0] for part in parts if "=" in part})


def _with_folders(frame: DataFrame, keys: list[str]) -> DataFrame:
    """`frame`, as read from files, with the values of their `key=value` folders where it has no such column itself."""

    def value(key: str) -> Column:
        written = F.regexp_extract(F.col("_metadata.file_path"), f"/{re.escape(key)}=([^/]*)/", 1)
        for _ in range(2):  # the path is a URL, and Spark escapes what a folder cannot be called
            written = F.try_url_decode(F.replace(written, F.lit("+"), F.lit("%2B")))
        return F.when(~written.isin("", "__HIVE_DEFAULT_PARTITION__"), written).alias(key)

    missing = [key for key in keys if key not in frame.columns]
    return frame.select("*", *(value(key) for key in missing)) if missing and frame.columns else frame


def _peek(spark: SparkSession, file: str, settings: SourceSettings) -> tuple[tuple[str, str], ...]:
    """The columns and types of one file."""
    if settings.format == "csv":
        return tuple((name, "string") for name in _csv_columns(spark, [file], settings))
    if settings.format == "json":
        return ()  # every line of JSON names its own columns
    return tuple((f.name, f.dataType.simpleString()) for f in spark.read.parquet(file).schema.fields)


def _read_files(
    spark: SparkSession, paths: list[str], settings: SourceSettings, *, are_many: bool = False
) -> DataFrame:
    """The rows of files that are alike, or of `are_many` that were not compared."""
    reader = spark.read.option("recursiveFileLookup", "true").option("mergeSchema", str(are_many).lower())
    if settings.format == "parquet":
        return reader.parquet(*paths)
    if settings.format == "json":
        return (
            reader.option("primitivesAsString", "true")
            .option("encoding", _spark_encoding(settings))
            .option("lineSep", "\n")  # Spark asks for it where the encoding is not UTF-8
            .option("columnNameOfCorruptRecord", MALFORMED)
            .json(paths)
        )
    names = _csv_columns(spark, paths, settings)
    if not names:
        return spark.createDataFrame([], StructType([]))
    schema = StructType([StructField(n, StringType()) for n in [*names, MALFORMED]])
    # Where the schema is not enforced, a header in another order or with other names is an error of Spark's.
    return _csv_reader(spark, settings).option("enforceSchema", str(not are_many).lower()).schema(schema).csv(paths)


def _csv_columns(spark: SparkSession, paths: list[str], settings: SourceSettings) -> list[str]:
    columns = _csv_reader(spark, settings).csv(paths).columns
    return columns if settings.header else [f"c{i}" for i in range(1, len(columns) + 1)]


def _csv_reader(spark: SparkSession, settings: SourceSettings) -> DataFrameReader:
    return (
        spark.read.option("recursiveFileLookup", "true")
        .option("header", str(settings.header).lower())
        .option("sep", settings.delimiter)
        .option("encoding", _spark_encoding(settings))
        .option("quote", settings.quote)
        .option("escape", settings.quote)  # RFC 4180: a quote inside a quoted field is doubled
        .option("multiLine", str(settings.multi_line).lower())
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", MALFORMED)
    )


def _read_spaced(spark: SparkSession, path: str, settings: SourceSettings) -> DataFrame:
    """A file whose fields are set apart by runs of spaces or tabs, also before the first one."""
    # Spark's reader of plain text knows UTF-8 alone; that of csv, told of no delimiter and no quote, gives whole lines too.
    whole = settings.model_copy(update={"delimiter": _NO_DELIMITER, "quote": "", "header": False})
    lines = _csv_reader(spark, whole).schema("value string").csv(path)
    trimmed = lines.select(F.regexp_replace("value", r"^[\s\ufeff]+|\s+$", "").alias("line")).where("line <> ''")
    first = trimmed.first()
    if first is None:
        return spark.createDataFrame([], StructType([]))
    fields = re.split(r"\s+", first["line"], flags=re.ASCII)  # as Spark splits below
    names = fields if settings.header else [f"c{i}" for i in range(1, len(fields) + 1)]
    rows = trimmed.where(F.col("line") != first["line"]) if settings.header else trimmed
    parts = F.split("line", r"\s+")
    malformed = F.when(F.size(parts) != len(names), F.col("line")).alias(MALFORMED)
    return rows.select(*(F.get(parts, i).alias(n) for i, n in enumerate(names)), malformed)


def _union(left: DataFrame, right: DataFrame) -> DataFrame:
    """Rows of both, by name; a column that both have with different types becomes text."""
    types = {f.name: f.dataType for f in left.schema.fields}
    differing = {f.name for f in right.schema.fields if f.name in types and types[f.name] != f.dataType}

    def as_text(frame: DataFrame) -> DataFrame:
        own = {f.name: f.dataType for f in frame.schema.fields}
        return frame.select(
            *(_text_of(c, own[c]).alias(c) if c in differing else F.col(f"`{c}`").alias(c) for c in frame.columns)
        )

    return as_text(left).unionByName(as_text(right), allowMissingColumns=True)


def _text_of(name: str, type_: DataType) -> Column:
    """A column as the text that means the same: 1001.0 is the id 1001, and an instant keeps that it is UTC."""
    value = F.col(f"`{name}`")
    if isinstance(type_, TimestampType):
        return F.concat(parsing.wall_clock_utc(value).cast("string"), F.lit("Z"))
    return parsing.text(value, type_)


def _spark_encoding(settings: SourceSettings) -> str:
    return encodings.sparks_name(settings.encoding) or settings.encoding


def _decoded(frame: DataFrame, settings: SourceSettings) -> DataFrame:
    """Names and texts with the signs that are meant where a file is in a single-byte encoding that Spark does not know."""
    meant = encodings.translation(settings.encoding)
    if meant is None or settings.format not in ("csv", "json"):
        return frame
    signs = str.maketrans(*meant)
    texts = {f.name for f in frame.schema.fields if isinstance(f.dataType, StringType)}
    read = {c: F.col(f"`{c}`") for c in frame.columns}
    return frame.select(
        *((F.translate(v, *meant) if c in texts else v).alias(c.translate(signs)) for c, v in read.items())
    )


def _clean_names(frame: DataFrame) -> DataFrame:
    """Column names without byte-order mark, surrounding spaces and stray quotes."""
    cleaned = [name.strip(_NAME_JUNK) for name in frame.columns]
    return frame if cleaned == frame.columns else frame.toDF(*cleaned)
