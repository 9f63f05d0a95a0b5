"""What can be said of a customer on a date, from hand-worked purchases."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from small_shop import configured

from habitue.tables.features import _work_known_orders, customer_features, customer_history

AS_OF = date(2024, 7, 1)  # a Monday


def features_of(
    spark: SparkSession, purchases: list[tuple[Any, ...]], customers: DataFrame | None = None, **settings: Any
) -> dict[str, Row]:
    """The features of customers from (customer, days before AS_OF, amount), with a discount of a tenth of the amount unless
    a fourth value says otherwise."""
    rows = [
        (str(i), customer, AS_OF - timedelta(days=ago), Decimal(amount), *(discount or [Decimal(amount) / 10]))
        for i, (customer, ago, amount, *discount) in enumerate(purchases)
    ]
    types = "order_id string, customer_id string, order_day date, amount decimal(18,4), discount decimal(18,4)"
    lines = spark.createDataFrame(rows, types).selectExpr(
        "*", "order_id AS line_id", "CAST(order_day AS timestamp) AS ordered_at", "order_day AS known_day",
        "concat('p', customer_id) AS product_id", "CAST(1 AS decimal(18,4)) AS quantity",
        "CAST(NULL AS decimal(18,4)) AS coupon_discount", "false AS is_return", "'web' AS channel", "'EUR' AS currency",
    )  # fmt: skip
    config = configured("unused", {}, **settings)
    history = customer_history.build(_work_known_orders.build(lines, AS_OF), lines, AS_OF)
    built = customer_features.build(
        customer_history.TABLE.conform(history), AS_OF, config.features, config.loyal, customers
    )
    return {row["customer_id"]: row for row in customer_features.TABLE.conform(built).collect()}


# Who: days before AS_OF, amount of each.
SHOP = {
    "ten of 100": ([2 + 8 * i for i in range(10)], "100"),  # 2 to 74 days ago
    "one of 1000": ([3], "1000"),
    "until yesterday": ([1 + 7 * i for i in range(60)], "100"),  # for more than a year
    "a year ago": ([366 + i for i in range(10)], "1000"),  # 10,000 in all
    "edges": ([7, 8, 14, 15, 30, 31, 90, 91, 365, 366], "1"),
    "weekends": ([1, 2, 8], "10"),  # Sunday 30 June, Saturday 29 June, Sunday 23 June
}


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> dict[str, Row]:
    customers = spark.createDataFrame(
        [
            (
                "edges",
                {
                    "age": "33",
                    "plan": "5d",
                    "post_code": "01234",
                    "score": "-1.5e2",
                    "club": "Yes",
                    "born": "2024-06-01",
                },
                "mail",
                datetime(2024, 6, 30, 23, 59),
            ),
            (
                "weekends",
                {"age": "44", "plan": "7", "post_code": "99999", "club": "no", "born": "2024-07-01"},
                None,
                datetime(2024, 7, 1),
            ),
            ("has not ordered", {"age": "55"}, None, None),
        ],
        "customer_id string, attributes map<string,string>, acquisition_channel string, signup_at timestamp",
    )
    purchases = [(customer, ago, amount) for customer, (days, amount) in SHOP.items() for ago in days]
    return features_of(spark, purchases, customers)


def test_windows_hold_their_first_day(shop: dict[str, Row]) -> None:
    """A window of n days is [as_of - n, as_of): the 7th day before is in, the 8th is not."""
    edges = shop["edges"]
    counts = [edges[f"purchase_days_{n}d"] for n in (7, 14, 30, 60, 90, 180, 365)]
    assert counts == [1, 3, 5, 6, 7, 8, 9]
    assert [edges[f"amount_{n}d"] for n in (7, 14, 30, 60, 90, 180, 365)] == counts  # 1 each


def test_since_and_rates(shop: dict[str, Row]) -> None:
    row = shop["until yesterday"]
    # 60 purchases, the first 1 + 7 * 59 = 414 days ago, 53 of them in 365 days (1 + 7 * 52 = 365).
    assert (row["longevity_days"], row["days_since_last_order"], row["days_first_to_last_order"]) == (414, 1, 413)
    assert (row["purchase_day_count"], row["purchase_days_365d"]) == (60, 53)
    assert row["purchase_days_per_month"] == pytest.approx(53 / 365 * 365.25 / 12)
    assert row["average_order_value"] == 100.0
    assert row["discount_share"] == pytest.approx(10 / 110)
    assert row["trend"] == pytest.approx((13 - 13) / 26)  # days 1 to 85 ago, then 92 to 176
    assert (row["gap_mean_days"], row["gap_median_days"], row["regularity"]) == (7.0, 7.0, 1.0)
    ten = shop["ten of 100"]
    assert ten["trend"] == 1.0  # all ten in the last 90 days
    # Nothing in the look-back: averages are of the whole history, shares are unknown.
    old = shop["a year ago"]
    assert (old["average_order_value"], old["discount_share"], old["trend"], old["breadth"]) == (1000.0, None, None, 0)


def test_weekdays(shop: dict[str, Row]) -> None:
    assert (shop["weekends"]["weekend_share"], shop["weekends"]["favourite_weekday"]) == (1.0, 7)
    assert (shop["until yesterday"]["weekend_share"], shop["until yesterday"]["favourite_weekday"]) == (1.0, 7)
    assert shop["one of 1000"]["favourite_weekday"] == 5  # 28 June 2024 is a Friday


def test_ten_orders_of_100_outrank_one_of_1000(shop: dict[str, Row]) -> None:
    # Active in 90 days: 1, 3, 7, 10 and 13 purchase days; their 75th percentile is 10.
    assert {row["loyal_threshold"] for row in shop.values()} == {10}
    assert {row["loyal_window_days"] for row in shop.values()} == {90}
    assert shop["ten of 100"]["is_loyal"]
    assert not shop["one of 1000"]["is_loyal"]


def test_until_yesterday_outranks_a_year_ago(shop: dict[str, Row]) -> None:
    assert shop["until yesterday"]["is_loyal"]
    assert not shop["a year ago"]["is_loyal"]
    assert shop["a year ago"]["purchase_days_in_loyal_window"] == 0


def test_attributes_go_by_their_type(shop: dict[str, Row]) -> None:
    """A name is a number only if all its values are; a leading 0 makes a code, and a letter is no number."""
    numbers = {"age": 33.0, "score": -150.0, "club": 1.0, "days_since_born": 30.0, "days_since_signup_at": 1.0}
    assert shop["edges"]["numeric_attributes"] == numbers
    # Born and signed up on the very day of the as-of, which is not before it.
    assert shop["weekends"]["numeric_attributes"] == {"age": 44.0, "club": 0.0}
    assert shop["edges"]["text_attributes"] == {"plan": "5d", "post_code": "01234", "acquisition_channel": "mail"}
    assert shop["weekends"]["text_attributes"] == {"plan": "7", "post_code": "99999"}
    assert (shop["one of 1000"]["numeric_attributes"], shop["one of 1000"]["text_attributes"]) == ({}, {})
    assert "has not ordered" not in shop


def test_a_day_without_a_discount_is_a_day_of_no_discount(spark: SparkSession) -> None:
    purchases = [
        ("some", 10, "9", Decimal(1)),
        ("some", 20, "10", None),
        ("never asked", 10, "9", None),
        ("long ago", 400, "9", Decimal(1)),
        ("long ago", 10, "9", None),
    ]
    found = {customer: row["discount_share"] for customer, row in features_of(spark, purchases).items()}
    assert found == {"some": pytest.approx(1 / 20), "never asked": None, "long ago": 0.0}


def test_typical_gap_is_shrunken_and_the_window_steps_down(spark: SparkSession) -> None:
    """In units of ln 2: x has log gaps 1 and 3 (mean 2, squares 2), y 5 and 5 (mean 5, squares 0); z has none.

    Variance of the means 4.5, w2 = 2 / 2 = 1, mean 1/n = .5, so tau2 = 4; own weight 2 * 4 / (2 * 4 + 1) = 8/9; the
    shop's mean 3.5.
    """
    found = features_of(
        spark,
        [*(("x", ago, "1") for ago in (20, 18, 10)), *(("y", ago, "1") for ago in (130, 98, 66)), ("z", 5, "1")],
        loyal={"min_purchase_days": 1},
    )
    logs = {customer: math.log2(row["typical_gap_days"]) for customer, row in found.items()}
    assert logs == pytest.approx({"x": (8 * 2 + 3.5) / 9, "y": (8 * 5 + 3.5) / 9, "z": 3.5})
    # Evenness: x has 4 (.8 - .5)^2 = .36 less than 1, y has 1; z gets the mean of the two.
    assert [found[c]["regularity"] for c in "xyz"] == pytest.approx([0.64, 1.0, 0.82])
    # 130 days of history hold four windows of 30, not of 60. In 30 days x has 3 purchase days, z 1: percentile 2.5, so 3.
    assert {(row["loyal_window_days"], row["loyal_threshold"]) for row in found.values()} == {(30, 3)}
    assert {c for c, row in found.items() if row["is_loyal"]} == {"x"}
