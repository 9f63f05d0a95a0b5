"""What a customer has done so far, from hand-worked orders."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import pytest
from pyspark.sql import Row, SparkSession

from habitue.tables import by_name
from habitue.tables.clean import orders
from habitue.tables.features import _work_known_orders, customer_history

AS_OF = date(2024, 3, 1)
LINES = (
    "line_id string, order_id string, customer_id string, day string, product_id string, quantity int, amount string, "
    "discount string, channel string"
)
# Ann: two orders on 1 January are one purchase day; 4 days to the 5th, 16 to the 21st. On 30 January she only brings
# back, for an order on that day that nets to nothing: an order, and no purchase day.
BOUGHT = [
    ("1", "a1", "ann", "2024-01-01", "tea", 1, "3.00", "1.00", "web"),
    ("2", "a1", "ann", "2024-01-01", "mug", 1, "7.00", None, "web"),
    ("3", "a2", "ann", "2024-01-01", "tea", 2, "6.00", None, "app"),
    ("4", "a3", "ann", "2024-01-05", "tea", 1, "3.10", None, "web"),
    ("5", "a4", "ann", "2024-01-21", "pot", 1, "9.00", "0.50", "app"),
    ("6", "a5", "ann", "2024-01-30", "pot", -1, "-9.00", None, "app"),
    ("7", "b1", "bob", "2024-02-29", "mug", 1, "7.00", None, None),
    ("8", "c1", "cat", "2024-02-01", "mug", -1, "-7.00", None, None),
    # Dan brings back what was bought before the records begin; then a mug and a cup, equally dear, and more of other things.
    ("9", "d1", "dan", "2024-02-01", "tea", -1, "-3.00", None, None),
    ("10", "d2", "dan", "2024-02-03", "mug", 1, "7.00", None, None),
    ("11", "d2", "dan", "2024-02-03", "cup", 1, "7.00", None, None),
    ("12", "d2", "dan", "2024-02-03", None, 1, "50.00", None, None),
    ("13", "d3", "dan", "2024-02-08", "pot", 1, "9.00", None, None),
]
PRODUCTS = [("tea", "drink"), ("mug", "ware"), ("pot", "ware")]


@pytest.fixture(scope="module")
def history(spark: SparkSession) -> dict[str, Row]:
    frame = spark.createDataFrame(BOUGHT, LINES)
    lines = frame.selectExpr(
        "line_id", "order_id", "customer_id", "CAST(day AS timestamp) AS ordered_at", "CAST(day AS date) AS order_day",
        "CAST(day AS date) AS known_day", "product_id", "CAST(quantity AS decimal(18,4)) AS quantity",
        "CAST(amount AS decimal(18,4)) AS amount", "CAST(discount AS decimal(18,4)) AS discount",
        "CAST(NULL AS decimal(18,4)) AS coupon_discount", "false AS is_reconciled", "quantity < 0 AS is_return", "channel",
        "CAST(NULL AS string) AS currency",
    )  # fmt: skip
    products = spark.createDataFrame(PRODUCTS, "product_id string, category string")
    known = _work_known_orders.build(lines, AS_OF)
    built = customer_history.build(known, lines, AS_OF, products)
    return {row["customer_id"]: row for row in customer_history.TABLE.conform(built).collect()}


def test_days_and_amounts(history: dict[str, Row]) -> None:
    ann = history["ann"]
    assert (ann["first_order_day"], ann["last_order_day"]) == (date(2024, 1, 1), date(2024, 1, 30))
    assert (ann["first_purchase_day"], ann["last_purchase_day"]) == (date(2024, 1, 1), date(2024, 1, 21))
    assert (ann["order_count"], ann["purchase_day_count"]) == (5, 3)
    assert ann["amount"] == Decimal("19.1")  # 3 + 7 + 6 + 3.1 + 9 - 9
    assert (ann["discount"], ann["coupon_discount"], ann["item_count"]) == (Decimal("1.5"), None, 5)
    assert [(p["day"], p["amount"], p["order_count"]) for p in ann["purchase_days"]] == [
        (date(2024, 1, 1), 16, 2),
        (date(2024, 1, 5), Decimal("3.1"), 1),
        (date(2024, 1, 21), 9, 1),
    ]


def test_gaps(history: dict[str, Row]) -> None:
    ann = history["ann"]
    assert (ann["gaps_days"], ann["gap_count"], ann["gap_mean_days"], ann["gap_median_days"]) == (
        [4, 16],
        2,
        10.0,
        10.0,
    )
    # ln 4 = 2 ln 2 and ln 16 = 4 ln 2: mean 3 ln 2, squares 2 (ln 2)^2.
    assert ann["gap_log_mean"] == pytest.approx(3 * math.log(2))
    assert ann["gap_log_squares"] == pytest.approx(2 * math.log(2) ** 2)
    assert ann["regularity"] == pytest.approx(1 - 4 * (16 / 20 - 0.5) ** 2)  # .64
    bob = history["bob"]
    assert (bob["gaps_days"], bob["gap_count"]) == ([], 0)
    assert (bob["gap_mean_days"], bob["gap_median_days"], bob["gap_log_mean"], bob["regularity"]) == (None,) * 4


def test_items_and_channels(history: dict[str, Row]) -> None:
    ann = history["ann"]
    assert ann["product_count"] == 3
    assert ann["first_item"] == "tea"  # on 1 January tea came to 9 in two orders, the mug to 7
    assert ann["favourite_item"] == "tea"  # 12.10 in all, the pot 9, the mug 7
    assert ann["favourite_item_share"] == pytest.approx(12.1 / 28.1)
    assert (ann["category_count"], ann["favourite_category"]) == (2, "ware")  # 16 against 12.10
    assert ann["products_last_bought"] == [date(2024, 1, 1), date(2024, 1, 5), date(2024, 1, 21)]
    assert ann["favourite_channel"] == "app"  # a2, a4, a5 against a1, a3
    assert history["bob"]["favourite_channel"] is None


def test_the_first_item_is_of_the_first_day_on_which_a_named_product_was_bought(history: dict[str, Row]) -> None:
    dan = history["dan"]
    assert (dan["first_order_day"], dan["first_purchase_day"]) == (date(2024, 2, 1), date(2024, 2, 3))
    assert (dan["first_item"], dan["favourite_item"], dan["product_count"]) == ("cup", "pot", 3)
    assert dan["favourite_item_share"] == pytest.approx(9 / 23)
    # The cup is of no category, so the pot's and the mug's is the only one.
    assert (dan["category_count"], dan["favourite_category"]) == (1, "ware")


def test_a_customer_who_only_brought_back_has_orders_and_no_purchase(history: dict[str, Row]) -> None:
    cat = history["cat"]
    assert (cat["order_count"], cat["purchase_day_count"], cat["first_purchase_day"]) == (1, 0, None)
    assert (cat["amount"], cat["product_count"], cat["purchase_days"]) == (-7, None, [])


def test_events_name_the_day_they_were_known() -> None:
    assert by_name()["order_lines"].known_by == orders.TABLE.known_by == "known_day"
