"""With which purchase day customers first meet the loyal rule: at least L purchase days within W days."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


class OrderNumber(NamedTuple):
    """Of the customers who get to their `number`-th purchase day not yet loyal (`at_risk`), those who `became` so."""

    number: int
    at_risk: int
    became: int
    share_by_then: float  # of all who ever become loyal, those who have by this number


def order_number_when_loyal(days: Column, threshold: Column, window_days: Column) -> Column:
    """The first k with the k-th day and the one L - 1 before it less than W days apart; NULL where there is none.

    `days`: the customer's purchase days in order, array<date>.
    """
    length = F.greatest(F.size(days) - threshold + 1, F.lit(0))
    meets = F.zip_with(
        F.slice(days, F.lit(1), length),
        F.slice(days, threshold, length),
        lambda first, last: F.datediff(last, first) < window_days,
    )
    place = F.array_position(meets, F.lit(True)).cast("int")
    return F.when(place > 0, place + threshold - 1)


def counted_by_end(customers: DataFrame) -> DataFrame:
    """segment_id, ended_at, has_become, customers: customers are followed until they become loyal, or to the last day.

    `customers` has segment_id, days (array<date>), became_at (of `order_number_when_loyal`).
    """
    ended_at = F.coalesce("became_at", F.size("days"))
    has_become = F.col("became_at").isNotNull()
    return customers.groupBy("segment_id", ended_at.alias("ended_at"), has_become.alias("has_become")).agg(
        F.count(F.lit(1)).alias("customers")
    )


def order_numbers(counts: pd.DataFrame, threshold: int, most: int) -> list[OrderNumber]:
    """From `counted_by_end` of one segment: every number from L to `most` that some customer got to."""
    became: Any = counts[counts["has_become"]].groupby("ended_at")["customers"].sum()
    found, so_far = [], 0
    for number in range(threshold, most + 1):
        at_risk = int(counts.loc[counts["ended_at"] >= number, "customers"].sum())
        if at_risk == 0:
            break
        now = int(became.get(number, 0))
        so_far += now
        found.append(OrderNumber(number, at_risk, now, so_far / int(became.sum()) if len(became) else 0.0))
    return found
