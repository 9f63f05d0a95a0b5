"""Counts of values turned into shares of a segment, and set against the shares of everyone."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from habitue.models.cohorts import EVERYONE

OTHER = "(other)"
VALUE = ("dimension", "position", "value")


def with_everyone(counts: DataFrame, sums: list[str], *more: Column) -> DataFrame:
    """`counts` of the segments (segment_id, dimension, position, value and `sums`) added up, with those of everyone.

    more: further aggregates of the rows of each.
    """
    each = counts.withColumn("segment_id", F.explode(F.array(F.lit(EVERYONE), F.col("segment_id"))))
    return each.groupBy("segment_id", *VALUE).agg(*(F.sum(name).alias(name) for name in sums), *more)


def with_shares(counts: DataFrame, weight: Column) -> DataFrame:
    """share: of the segment's `weight` in the dimension; lift: share / everyone's share of the same value.

    NULL where a total is 0.
    """
    total = F.sum(weight).over(Window.partitionBy("segment_id", "dimension"))
    shared = counts.withColumn("share", F.try_divide(weight, total))
    of_everyone = F.max(F.when(F.col("segment_id") == EVERYONE, F.col("share"))).over(Window.partitionBy(*VALUE))
    return shared.withColumn("lift", F.try_divide("share", of_everyone))


def top_values(shared: DataFrame, weight: Column, limit: int, sums: list[str]) -> DataFrame:
    """The `limit` values of the largest `weight` in each segment and dimension; position is their rank.

    The rest is one value, (other), in the last position; it is another set in each segment, so it has no lift.
    """
    by_weight = Window.partitionBy("segment_id", "dimension").orderBy(weight.desc_nulls_last(), "value")
    rank = F.least(F.row_number().over(by_weight), F.lit(limit + 1))
    is_top = F.col("position") <= limit
    ranked = shared.withColumn("position", rank)
    named = ranked.withColumns(
        {"value": F.when(is_top, F.col("value")).otherwise(OTHER), "lift": F.when(is_top, F.col("lift"))}
    )
    return named.groupBy("segment_id", *VALUE).agg(
        *(F.sum(name).alias(name) for name in [*sums, "share"]), F.max("lift").alias("lift")
    )
