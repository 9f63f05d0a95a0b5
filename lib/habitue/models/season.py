"""How much more is bought in a month of the year than in an average one, months observed for unlike times included."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def days_by_month(first_day: DataFrame, as_of: date) -> DataFrame:
    """position (month of the year), days: how often it was observed, from `first_day` (one row, column first) to as_of."""
    days = first_day.select(F.explode(F.sequence("first", F.date_sub(F.lit(as_of), 1))).alias("day"))
    return days.groupBy(F.month("day").alias("position")).agg(F.count(F.lit(1)).alias("days"))


def with_season_index(rows: DataFrame, days: DataFrame, weight: Column, whole: list[str]) -> DataFrame:
    """`rows` with season_index: a month's `weight` an observed day / that of its `whole` over all observed days.

    `rows` has the month of the year as position; `whole` are the columns that a year's months have in common. 1 is an
    average month. A shop that grows has higher months at the end of its history; that is not taken out.
    """
    all_days = days.agg(F.sum("days").alias("all_days"))
    observed = rows.join(F.broadcast(days), "position", "left").crossJoin(F.broadcast(all_days))
    total = F.sum(weight).over(Window.partitionBy(*whole))
    index = F.try_divide(F.try_divide(weight, "days"), F.try_divide(total, "all_days"))
    return observed.withColumn("season_index", index).drop("days", "all_days")
