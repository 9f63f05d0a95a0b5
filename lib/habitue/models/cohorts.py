"""Cohorts: who started in the same month or ISO week, and what they did in each one since.

Counts and sums are taken once per group, and everyone (segment_id 0) is the sum of the segments: so the rows add up by
construction, and the orders are read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from habitue.exact import UNITS, from_units, units

EVERYONE = 0  # the segment_id of everyone


@dataclass(frozen=True)
class Period:
    """Calendar months, or ISO weeks. A week is known by its Monday, so it needs no year of its own at year ends."""

    unit: Literal["month", "week"]

    def start(self, day: Column) -> Column:
        """First day of the period that a date is in."""
        return F.trunc(day, self.unit)

    def between(self, first: Column, later: Column) -> Column:
        """Periods from the one starting on `first` to the one starting on `later`."""
        if self.unit == "week":
            return (F.datediff(later, first) / 7).cast("int")
        return (F.year(later) - F.year(first)) * 12 + F.month(later) - F.month(first)

    def end(self, first: Column, number: Column) -> Column:
        """First day after the `number`-th period since the one starting on `first`."""
        return F.date_add(first, (number + 1) * 7) if self.unit == "week" else F.add_months(first, number + 1)


def activity(orders: DataFrame, period: Period) -> DataFrame:
    """One row per customer and period with an order: customer_id, start, orders, worth (ten-thousandths), is_back.

    `orders` has customer_id, order_day, amount. `is_back`: on some day of the period the net amount was positive (any
    order's day, where there are no amounts).
    """
    per_day = (
        orders.repartition("customer_id")
        .groupBy("customer_id", "order_day")
        .agg(F.sum(units("amount")).alias("worth"), F.count(F.lit(1)).alias("orders"))
    )
    is_purchase = F.coalesce(F.col("worth") > 0, F.lit(True))
    return per_day.groupBy("customer_id", period.start(F.col("order_day")).alias("start")).agg(
        F.sum("worth").alias("worth"), F.sum("orders").alias("orders"), F.bool_or(is_purchase).alias("is_back")
    )


def cohort_cells(
    active: DataFrame,
    customers: DataFrame,
    records: DataFrame,
    period: Period,
    as_of: date,
    groups: Sequence[str] = (),
) -> DataFrame:
    """Every cell of every cohort, of each segment and of everyone, empty ones too.

    active: as `activity` gives it. customers: customer_id, segment_id, first_purchase_day, has_amounts, and `groups`;
    a customer may stand in several groups, one row each. records: one row, records_begin: the first day that is known of.
    Gives segment_id, `groups`, cohort (date), number, customers, retained, retention, orders, revenue, average_value,
    cumulative_value, is_complete. What was ordered before the first purchase counts in period 0.
    """
    started = customers.withColumn("cohort", period.start(F.col("first_purchase_day")))
    keys = ["segment_id", *groups, "cohort"]
    cells = _grid(started, keys, period, as_of).join(_filled(active, started, keys, period), [*keys, "number"], "left")
    summed = _with_everyone(cells, [*groups, "cohort", "number"])
    return _figures(summed.crossJoin(F.broadcast(records)), ["segment_id", *groups, "cohort"], period, as_of)


def _grid(started: DataFrame, keys: Sequence[str], period: Period, as_of: date) -> DataFrame:
    """Each cohort's size beside each of its periods that has begun before `as_of`."""
    sizes = started.groupBy(*keys).agg(
        F.count(F.lit(1)).alias("customers"), F.bool_or("has_amounts").alias("has_amounts")
    )
    newest = period.start(F.date_sub(F.lit(as_of), 1))
    return sizes.withColumn("number", F.explode(F.sequence(F.lit(0), period.between(F.col("cohort"), newest))))


def _filled(active: DataFrame, started: DataFrame, keys: Sequence[str], period: Period) -> DataFrame:
    """The cells in which somebody ordered."""
    number = F.greatest(period.between(F.col("cohort"), F.col("start")), F.lit(0))
    return (
        active.join(started, "customer_id", "inner")
        .groupBy(*keys, number.alias("number"))
        .agg(
            F.sum(F.col("is_back").cast("bigint")).alias("retained"),
            F.sum("orders").alias("orders"),
            F.sum("worth").alias("worth"),
        )
    )


def _with_everyone(cells: DataFrame, keys: Sequence[str]) -> DataFrame:
    each = cells.withColumn("segment_id", F.explode(F.array(F.lit(EVERYONE), F.col("segment_id"))))
    none = F.lit(0).cast("bigint")
    return each.groupBy("segment_id", *keys).agg(
        F.sum("customers").alias("customers"),
        F.coalesce(F.sum("retained"), none).alias("retained"),
        F.coalesce(F.sum("orders"), none).alias("orders"),
        F.when(F.bool_or("has_amounts"), F.coalesce(F.sum("worth"), none)).alias("worth"),
    )


def _figures(cells: DataFrame, keys: Sequence[str], period: Period, as_of: date) -> DataFrame:
    so_far = Window.partitionBy(*keys).orderBy("number")
    is_over = period.end(F.col("cohort"), F.col("number")) <= F.lit(as_of)
    # Later periods than a cohort's own begin after its first purchase, so within the records.
    is_known = (F.col("number") > 0) | (F.col("cohort") >= F.col("records_begin"))
    running = cells.withColumns({"total": F.sum("worth").over(so_far), "is_complete": is_over & is_known})

    def when_complete(value: Column) -> Column:
        return F.when(F.col("is_complete"), value)

    return running.select(
        *keys,
        "number",
        "customers",
        "retained",
        when_complete(F.col("retained") / F.col("customers")).alias("retention"),
        "orders",
        from_units("worth").alias("revenue"),
        when_complete(F.col("worth") / F.col("customers") / UNITS).alias("average_value"),
        when_complete(F.col("total") / F.col("customers") / UNITS).alias("cumulative_value"),
        "is_complete",
    )
