"""What the tree is fitted on: customers as they were known on the fit day t0, and the one gap of each that was held out.

The record has 100 days, 0 to 99, and the as-of day t is day 100. So t0 is day 60 and h = (100 - 60) / 2 = 20 days.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from segment_shops import AS_OF, lines_of
from two_segments import two_segments

from habitue.config import Config, resolve
from habitue.errors import NotApplicable
from habitue.models.gap_sums import held_out_gaps
from habitue.models.segmentation import Segmentation
from habitue.tables.features import _work_known_orders, customer_history
from habitue.tables.segments import _work_fit_features
from habitue.tables.segments._work_fit_features import fit_days

HORIZON = 20

# customer -> {day of the record: amount}
BOUGHT: dict[str, dict[int, int]] = {
    "both": {0: 10, 50: 30, 61: 500, 75: 500},
    "on the fit day": {40: 5, 60: 5, 67: 5},
    "longer than h": {20: 5, 65: 5, 95: 5},
    "still open": {30: 5, 62: 5},
    "last that can be followed": {10: 5, 79: 5, 99: 5},
    "too late to be followed": {10: 5, 80: 5, 90: 5},
    "absent since": {5: 5, 15: 5},
    "takes back": {30: 40},  # on day 70 the whole order is returned
    "new": {61: 5, 70: 5},
}

# customer -> (complete gaps before day 60, days from the last purchase to day 60, is a gap held out, that gap)
EXPECTED: dict[str, tuple[list[int], int, bool, int | None]] = {
    "both": ([50], 10, True, 14),  # the gap of 11 days begins before t0, and is neither learned from nor judged
    "on the fit day": ([], 20, True, 7),  # what happens on t0 is not known on t0
    "longer than h": ([], 40, True, 30),
    "still open": ([], 30, True, None),
    # A gap of h days from day 79 ends on day 99, the last that is known. From day 80 = t - h on it would end on day 100,
    # which is not: such a customer is followed for 19 days only.
    "last that can be followed": ([], 50, True, 20),
    "too late to be followed": ([], 50, False, None),
    "absent since": ([10], 45, False, None),
    "takes back": ([], 30, False, None),  # on t0 nobody knew that it would be returned
}


def on(day: int) -> date:
    return AS_OF - timedelta(days=100 - day)


def settings(**segments: Any) -> Config:
    return resolve(overrides={"segments": segments}).config


class Shop(NamedTuple):
    """The order lines known before t, and the history as of t."""

    lines: DataFrame
    history: DataFrame

    def fit_features(self, config: Config, earlier: Segmentation | None = None) -> dict[str, Any]:
        built = _work_fit_features.build(
            self.lines, self.history, AS_OF, config.features, config.loyal, config.segments, earlier, None
        )
        return {row["customer_id"]: row for row in _work_fit_features.TABLE.conform(built).collect()}


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> Shop:
    rows = [(c, on(day), float(amount)) for c, days in BOUGHT.items() for day, amount in days.items()]
    bought = lines_of(spark, pd.DataFrame(rows, columns=["customer_id", "day", "amount"]))
    taken_back = bought.where("customer_id = 'takes back'").withColumns(
        {
            "line_id": F.lit("return"),
            "ordered_at": F.lit(on(70)).cast("timestamp"),
            "order_day": F.lit(on(70)),
            "known_day": F.lit(on(70)),
            "amount": (-F.col("amount")).cast("decimal(18,4)"),
            "is_return": F.lit(True),
        }
    )
    lines = bought.unionByName(taken_back).cache()
    return Shop(lines, customer_history.build(_work_known_orders.build(lines, AS_OF), lines, AS_OF).cache())


@pytest.fixture(scope="module")
def fitted(shop: Shop) -> dict[str, Any]:
    return shop.fit_features(settings())


def test_gaps_before_the_fit_day_and_the_one_held_out_after_it(fitted: dict[str, Any]) -> None:
    columns = ("gaps_days", "open_gap_days", "has_held_out", "held_out_gap_days")
    # The new customer first bought after t0, so the tree has never heard of it.
    assert {c: tuple(row[name] for name in columns) for c, row in fitted.items()} == EXPECTED
    assert {(row["as_of"], row["fit_day"], row["horizon_days"]) for row in fitted.values()} == {
        (AS_OF, on(60), HORIZON)
    }


def test_gaps_beyond_h_and_open_ones_are_counted_and_not_judged(fitted: dict[str, Any], spark: SparkSession) -> None:
    """Held out are gaps of 14, 7, 20, one of 30 days and one that is still open; h = 20."""
    rows = [(0, 0, row["has_held_out"], row["held_out_gap_days"]) for row in fitted.values()]
    customers = spark.createDataFrame(
        rows, "leaf int, hash_group int, has_held_out boolean, held_out_gap_days int"
    )  # all in one leaf and in the choosing half
    choosing, publishing = held_out_gaps(customers, 1, HORIZON)
    assert np.flatnonzero(choosing.within[0]).tolist() == [7, 14, 20]
    assert (choosing.within.sum(), choosing.longer.tolist()) == (3, [2])
    assert publishing.within.sum() == publishing.longer.sum() == 0


def test_features_are_of_the_fit_day(fitted: dict[str, Any]) -> None:
    """Purchases of 10 and 30 in the 60 days before t0, the last one 10 days before it; as of t there would be four in 100
    days, of 260 each, the last one 25 days before."""
    both = fitted["both"]
    assert both["days_since_last_order"] == 10
    assert both["average_order_value"] == 20
    assert both["purchase_days_per_month"] == pytest.approx(2 * (365.25 / 12) / 60)
    assert fitted["takes back"]["average_order_value"] == 40
    # Nobody has two gaps yet, so nobody's own gap counts, and the typical gap is the geometric mean of 50 and 10.
    for row in fitted.values():
        assert row["typical_gap_days"] == pytest.approx(500**0.5)


def test_a_carried_model_is_judged_over_as_many_days_as_at_its_fit(shop: Shop) -> None:
    """Fitted for day 90 with t0 on day 60, so over 30 days: t0 is now day 70, and h = 15 days, up to day 85."""
    earlier = two_segments(on(90), fit_day=on(60))
    both = shop.fit_features(settings(refit="never"), earlier)["both"]
    assert (both["fit_day"], both["horizon_days"]) == (on(70), 15)
    assert (both["gaps_days"], both["open_gap_days"]) == ([50, 11], 9)
    assert (both["has_held_out"], both["held_out_gap_days"]) == (True, None)  # since day 75


def days_of(spark: SparkSession, first_days: list[tuple[int, int | None]], reused: Segmentation | None = None) -> Any:
    """t0 and h where the customers' first order and first purchase are on these days."""
    rows = [(on(order), None if purchase is None else on(purchase)) for order, purchase in first_days]
    history = spark.createDataFrame(rows, "first_order_day date, first_purchase_day date")
    return fit_days(history, AS_OF, settings().segments, reused)


def test_the_fit_day_is_after_three_fifths_of_the_observed_span(spark: SparkSession) -> None:
    assert days_of(spark, [(0, 0), (40, 40)]) == (on(60), 20)
    assert days_of(spark, [(0, None), (40, 40)]) == (on(60), 20)  # an order that was returned is observed, too
    assert days_of(spark, [(57, 57)]) == (on(82), 9)  # .6 of 43 days are 25.8, and half of 18 days are 9
    assert days_of(spark, [(99, 99)]) == (on(99), 1)  # one day: there is nothing to divide, and h is at least a day
    with pytest.raises(NotApplicable, match=f"nobody had bought anything before {AS_OF}"):
        days_of(spark, [(0, None)])


def test_a_carried_model_that_held_nothing_out_gets_a_fit_day_of_its_own(spark: SparkSession) -> None:
    assert days_of(spark, [(0, 0)], two_segments(on(90), fit_day=on(80))) == (on(90), 5)
    assert days_of(spark, [(0, 0)], two_segments(on(90), fit_day=on(90))) == (on(60), 20)
