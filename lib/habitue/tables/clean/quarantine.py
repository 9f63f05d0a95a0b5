"""The rows that could not be used, each with all its reasons: nothing is lost."""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.sources.cleaning import is_kept
from habitue.table import Table, column


def build(judged_sources: Mapping[str, DataFrame]) -> DataFrame:
    set_aside = [
        rows.where(~is_kept()).select(F.lit(source).alias("source"), "raw_row", "errors", "copies")
        for source, rows in sorted(judged_sources.items())
    ]
    return reduce(DataFrame.unionByName, set_aside)


TABLE = Table(
    name="quarantine",
    grain="One row per distinct row of a source that was set aside.",
    key=(),
    schema=StructType(
        [
            column("source", "string", "The source."),
            column("raw_row", "string", "The row as it came, as JSON."),
            column("errors", "array<string>", "Names of everything that is wrong with it."),
            column("copies", "bigint", "How often exactly this row came; the further ones count as merged."),
        ]
    ),
    checks={"has_a_reason": "size(errors) > 0"},
    build=build,
)
