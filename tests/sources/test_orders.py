"""What cleaning makes of every kind of order row. All rows of the first tests are cleaned in one go."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from small_shop import NOW, configured

from habitue.errors import DataRefused, UsageError
from habitue.sources import orders
from habitue.sources.cleaning import rules_of
from habitue.tables.clean import order_lines
from habitue.tables.clean import orders as orders_table

COLUMNS = ("order_id", "customer_id", "ordered_at", "product_id", "quantity", "amount", "status")


def order(product: str, **given: Any) -> tuple[Any, ...]:
    """A good row of a product, which names the case, changed by `given`."""
    good = {
        "order_id": f"order {product}",
        "customer_id": "c",
        "ordered_at": "2024-01-10",
        "product_id": product,
        "quantity": "1",
        "amount": "5.00",
        "status": "",
    }
    return tuple({**good, **given}[c] for c in COLUMNS)


# The case (a product), the row, and the errors it must get.
JUDGED = [
    (order("good"), []),
    (order("customer blank", customer_id="  "), ["missing_customer_id"]),
    (order("customer null", customer_id=None), ["missing_customer_id"]),
    (order("customer nan", customer_id="NaN"), ["missing_customer_id"]),
    (order("date blank", ordered_at=""), ["missing_ordered_at"]),
    (order("date unparseable", ordered_at="10th of May"), ["unparseable_ordered_at"]),
    (order("date that is none", ordered_at="2023-02-29"), ["unparseable_ordered_at"]),
    (order("date future", ordered_at="2099-01-01"), ["future_ordered_at"]),
    (order("date too old", ordered_at="1970-01-01"), ["too_old_ordered_at"]),
    (order("amount blank", amount=" "), ["missing_amount"]),
    (order("amount nan", amount="nan"), ["missing_amount"]),
    (order("amount a word", amount="five"), ["unparseable_amount"]),
    (order("amount huge", amount="1000000000.01"), ["too_large_amount"]),
    (order("amount beyond decimals", amount="1" + "0" * 30), ["unparseable_amount"]),
    (order("quantity huge", quantity="1000000000.01"), ["too_large_quantity"]),
    (order("quantity a word", quantity="two"), ["unparseable_quantity"]),
    (order("quantity zero", quantity="0"), []),
    (order("quantity blank", quantity=""), []),
    (order("status dropped", status=" CANCELLED "), ["status_excluded"]),
    (order("status other", status="shipped"), []),
    (order("everything", customer_id="", ordered_at="?", amount="?"), None),  # see the test
    (order("id too long", order_id="x" * 10_001), ["too_long_order_id"]),
]
SHARED = [
    order("first", order_id="shared", customer_id="zoe", ordered_at="2024-01-01"),
    order("stolen", order_id="shared", customer_id="adam", ordered_at="2024-01-02"),
    order("hers again", order_id="shared", customer_id="zoe", ordered_at="2024-01-03"),
]


def bought(customer: str, order_id: str, day: str, quantity: str, amount: str) -> tuple[Any, ...]:
    return order("thing", customer_id=customer, order_id=order_id, ordered_at=day, quantity=quantity, amount=amount)


# Every customer is a case; the last number of a row's order id tells it from the others. All buy the same thing.
RETURNS = [
    bought("cancels", "ca1", "2024-01-01", "2", "10"),
    bought("cancels", "ca1", "2024-01-02", "-2", "10"),  # under its own order; written positive, it still takes away
    bought("all back", "ab1", "2024-01-01", "3", "30"),
    bought("all back", "ab2", "2024-01-05", "-3", "-30"),
    bought("in parts", "ip1", "2024-01-01", "0.3", "30"),  # .3 - .1 is not .2 in binary: units must be counted exactly
    bought("in parts", "ip2", "2024-01-05", "-0.1", "-10"),
    bought("in parts", "ip3", "2024-01-06", "-0.2", "-20"),
    bought("too many", "tm1", "2024-01-01", "2", "20"),
    bought("too many", "tm2", "2024-01-05", "-5", "-50"),
    bought("before", "be1", "2024-01-05", "-1", "-5"),
    bought("before", "be2", "2024-01-06", "1", "5"),
    bought("best fit", "bf1", "2024-01-01", "1", "10"),
    bought("best fit", "bf2", "2024-01-02", "1", "10"),
    bought("best fit", "bf3", "2024-01-03", "4", "40"),
    bought("best fit", "bf4", "2024-01-04", "-1", "-10"),  # the newest with exactly as much: bf2
    bought("best fit", "bf5", "2024-01-05", "-2", "-20"),  # none with exactly 2: the newest with more, bf3
    bought("id used again", "iu1", "2024-01-01", "1", "10"),
    bought("id used again", "iu2", "2024-01-05", "-1", "-10"),
    bought("id used again", "iu2", "2024-03-01", "1", "10"),  # comes later, and must not unmatch what was matched
]


def cleaned(spark: SparkSession, columns: tuple[str, ...], rows: list[Any], **settings: Any) -> DataFrame:
    source = settings.pop("source", {})
    config = configured("unused", {"orders": {"path": "unused", **source}}, **settings)
    raw = spark.createDataFrame(rows, ", ".join(f"`{c}` string" for c in columns))
    return orders.cleaned(raw, rules_of(config, "orders", NOW), config)


@pytest.fixture(scope="module")
def work(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """The judged rows of JUDGED, SHARED and RETURNS, with the good row three times."""
    rows = [row for row, _ in JUDGED] + [JUDGED[0][0]] * 2 + SHARED + RETURNS
    frame = cleaned(spark, COLUMNS, rows, source={"drop_statuses": ["cancelled"]})
    path = str(tmp_path_factory.mktemp("orders") / "work")
    frame.write.parquet(path)
    return spark.read.parquet(path)


@pytest.fixture(scope="module")
def rows(work: DataFrame) -> dict[str, Row]:
    return {row["product_id"]: row for row in work.where("product_id <> 'thing'").collect()}


def test_every_kind_of_bad_row_gets_its_errors(rows: dict[str, Row]) -> None:
    found = {case: list(row["errors"]) for case, row in rows.items()}
    expected = {row[3]: errors for row, errors in JUDGED if errors is not None}
    assert {case: found[case] for case in expected} == expected
    assert sorted(found["everything"]) == ["missing_customer_id", "unparseable_amount", "unparseable_ordered_at"]


def test_bad_rows_keep_the_row_as_it_came(rows: dict[str, Row]) -> None:
    assert '"amount":"five"' in rows["amount a word"]["raw_row"]
    assert '"customer_id":"NaN"' in rows["customer nan"]["raw_row"]
    assert rows["good"]["raw_row"] is None


def test_identical_rows_are_one_and_counted(rows: dict[str, Row], work: DataFrame) -> None:
    assert rows["good"]["copies"] == 3
    assert work.agg({"copies": "sum"}).collect()[0][0] == len(JUDGED) + 2 + len(SHARED) + len(RETURNS)


def test_rows_that_differ_in_which_column_is_blank_are_two(spark: SparkSession) -> None:
    columns = ("customer_id", "ordered_at", "order_id", "amount", "discount", "coupon_discount")
    good = [("a", "2024-01-01", "1", "9", "5", None), ("a", "2024-01-01", "1", "9", None, "5")]
    bad = [("b", "never", "2", "9", "5", None), ("b", "never", "2", "9", None, "5")]
    found = cleaned(spark, columns, good + bad).collect()
    assert sorted((row["customer_id"], row["copies"], row["line_number"]) for row in found if not row["errors"]) == [
        ("a", 1, 1),
        ("a", 1, 2),
    ]
    assert len({row["raw_row"] for row in found if row["errors"]}) == 2


def test_times_in_another_zone_fall_on_the_shops_days(spark: SparkSession) -> None:
    """A shop in Berlin whose export is in UTC: half past ten at night in July there is the next day here."""
    columns = ("customer_id", "ordered_at", "order_id", "known_at")
    rows = [
        ("late", "2024-07-09 22:30", "1", "2024-07-10 22:30"),
        ("offset", "2024-07-09T22:30Z", "2", None),
        ("day", "2024-07-10", "3", None),  # a date alone is the shop's day in whatever zone times are written
    ]
    settings = {"shop": {"time_zone": "Europe/Berlin"}, "source": {"time_zone": "UTC"}}
    found = {row["customer_id"]: row for row in cleaned(spark, columns, rows, **settings).collect()}
    assert {row["ordered_at_day"] for row in found.values()} == {date(2024, 7, 10)}
    assert {row["ordered_at"] for name, row in found.items() if name != "day"} == {datetime(2024, 7, 9, 22, 30)}
    assert found["late"]["known_at_day"] == date(2024, 7, 11)


def test_days_that_are_written_as_midnight_elsewhere(spark: SparkSession) -> None:
    settings = {"shop": {"time_zone": "America/New_York"}, "source": {"day_time_zone": "UTC"}}
    (row,) = cleaned(spark, ("customer_id", "ordered_at"), [("a", "2024-07-10T00:00Z")], **settings).collect()
    assert row["ordered_at_day"] == date(2024, 7, 10)


def test_who_ordered_first_keeps_the_order_id(rows: dict[str, Row]) -> None:
    assert rows["first"]["errors"] == rows["hers again"]["errors"] == []
    assert rows["stolen"]["errors"] == ["order_of_another_customer"]


def test_returns_are_put_to_what_they_take_back(work: DataFrame) -> None:
    lines = order_lines.build(work)
    placed = {
        row["line_id"].rpartition("-")[0]: (row["order_id"], row["is_reconciled"])
        for row in lines.where("is_return").collect()
    }
    assert placed == {
        "ca1": ("ca1", False),
        "ab2": ("ab1", True),
        "ip2": ("ip1", True),
        "ip3": ("ip1", True),
        "tm2": ("tm2", False),
        "be1": ("be1", False),
        "bf4": ("bf2", True),
        "bf5": ("bf3", True),
        "iu2": ("iu1", True),
    }
    totals = {row["order_id"]: row for row in orders_table.build(lines).where("order_id like '__1'").collect()}
    assert {name: row["amount"] for name, row in totals.items()} == {
        "ca1": 0,  # 10 - 10
        "ab1": 0,
        "ip1": 0,  # 30 - 10 - 20
        "tm1": 20,  # the larger return stays by itself
        "be1": -5,
        "bf1": 10,
        "iu1": 0,
    }
    assert totals["ab1"]["order_day"] == date(2024, 1, 1)
    assert totals["ip1"]["item_count"] == 0


def test_several_currencies_are_refused(spark: SparkSession) -> None:
    columns = ("customer_id", "ordered_at", "amount")
    both = [("a", "2024-01-01", "EUR 12"), ("b", "2024-01-01", "12 €"), ("c", "2024-01-01", "$5.00")]
    config = configured("unused", {"orders": "unused"})
    with pytest.raises(DataRefused, match="EUR, USD") as refusal:
        orders.refuse_mixed_currencies(cleaned(spark, columns, both), config)
    assert "currency_rates" in str(refusal.value)
    euros = cleaned(spark, columns, both[:2])
    assert orders.refuse_mixed_currencies(euros, config) == "EUR"
    lower = configured("unused", {"orders": "unused"}, shop={"currency": "eur"})
    assert orders.refuse_mixed_currencies(euros, lower) == "EUR"
    dollars = configured("unused", {"orders": "unused"}, shop={"currency": "USD"})
    with pytest.raises(DataRefused, match="the shop's currency is USD"):
        orders.refuse_mixed_currencies(euros, dollars)


@pytest.mark.parametrize(
    ("own", "written", "meant"),
    [
        (None, "$5", "USD"),
        ("CAD", "$5", "CAD"),
        ("CNY", "5 ¥", "CNY"),
        ("EUR", "$5", "USD"),  # not the shop's: the commonest
        ("CAD", "US$5", "USD"),
        (None, "12.50 zł", "PLN"),
        ("SEK", "kr 5", "SEK"),
        (None, "kr 5", "KR"),  # of four countries
    ],
)
def test_a_sign_of_several_currencies_is_the_shops(
    spark: SparkSession, own: str | None, written: str, meant: str
) -> None:
    columns = ("customer_id", "ordered_at", "amount")
    (row,) = cleaned(spark, columns, [("a", "2024-01-01", written)], shop={"currency": own}).collect()
    assert (row["currency"], row["errors"]) == (meant, [])


def test_a_blank_discount_is_none_given(spark: SparkSession) -> None:
    columns = ("order_id", "customer_id", "ordered_at", "amount", "discount")
    rows = [("1", "a", "2024-01-01", "9", "1"), ("2", "a", "2024-01-02", "9", "")]
    found = {
        row["order_id"]: (row["discount"], row["coupon_discount"]) for row in cleaned(spark, columns, rows).collect()
    }
    assert found == {"1": (1, None), "2": (0, None)}  # the shop has no coupons at all


def test_rates_convert_and_a_currency_without_one_is_set_aside(spark: SparkSession) -> None:
    columns = ("order_id", "customer_id", "ordered_at", "amount", "discount", "currency")
    rows = [
        ("euro", "a", "2024-01-01", "10.00", "1", "EUR"),
        ("dollar", "a", "2024-01-01", "10.00", "1", "usd"),
        ("none named", "a", "2024-01-01", "10.00", "1", ""),
        ("pound", "a", "2024-01-01", "10.00", "1", "GBP"),
        ("dear", "a", "2024-01-01", "900000000", "1", "KWD"),
    ]
    settings = {"shop": {"currency": "EUR"}, "currency_rates": {"USD": 0.925, "KWD": 3}}
    frame = cleaned(spark, columns, rows, **settings)
    found = {row["order_id"]: row for row in frame.collect()}
    converted = {k: (r["amount"], r["discount"], r["currency"], list(r["errors"])) for k, r in found.items()}
    assert converted["euro"] == (10, 1, "EUR", [])
    assert converted["dollar"] == (Decimal("9.25"), Decimal("0.925"), "EUR", [])
    assert converted["none named"] == (10, 1, "EUR", [])
    assert converted["pound"][2:] == ("GBP", ["currency_without_rate"])
    assert converted["dear"][3] == ["too_large_amount"]  # 900 million dinars are 2,700 million euros


def test_unit_prices_are_multiplied_and_rounded(spark: SparkSession) -> None:
    columns = ("customer_id", "ordered_at", "product_id", "quantity", "unit_price")
    rows = [
        ("a", "2024-01-01", "three", "3", "1,10"),
        ("a", "2024-01-01", "half", "0,5", "0,0001"),  # .00005 rounds up to .0001
        ("a", "2024-01-01", "no quantity", "", "2"),
        ("a", "2024-01-01", "back", "-2", "1.000,50"),
        ("a", "2024-01-01", "no price", "2", ""),
        ("a", "2024-01-01", "too much", "1000000", "1000000"),
        ("a", "2024-01-01", "far too much", "900000000", "900000000"),  # does not fit a decimal(18,4)
    ]
    frame = cleaned(spark, columns, rows, source={"decimal": ","})
    found = {row["product_id"]: (row["amount"], list(row["errors"])) for row in frame.collect()}
    assert found["three"] == (Decimal("3.3"), [])
    assert found["half"] == (Decimal("0.0001"), [])
    assert found["no quantity"] == (2, [])
    assert found["back"] == (-2001, [])
    assert found["no price"] == (None, ["missing_unit_price"])
    assert found["too much"][1] == ["too_large_amount"]
    assert found["far too much"][1] == ["too_large_amount"]


def test_dates_alone_make_orders_without_amounts(spark: SparkSession) -> None:
    columns = ("Kunde", "Datum", "unused")
    rows = [("a", "2024-01-01", "x"), ("a", "2024-01-01", "y"), ("a", "2024-01-01", "y"), ("b", "2024-01-02", "")]
    frame = cleaned(spark, columns, rows, source={"columns": {"customer_id": "kunde", "ordered_at": "DATUM "}})
    found = sorted(frame.collect(), key=lambda r: (r["customer_id"], r["order_id"]))
    # Without an order id every distinct row is an order; the identical ones are one.
    assert [(r["customer_id"], r["amount"], r["copies"]) for r in found] == [
        ("a", None, found[0]["copies"]),
        ("a", None, 3 - found[0]["copies"]),
        ("b", None, 1),
    ]
    assert len({r["order_id"] for r in found}) == 3
    assert all(r["order_id"].startswith(f"{r['customer_id']}-2024010") for r in found)
    totals = orders_table.build(order_lines.build(frame)).collect()
    assert [(r["amount"], r["item_count"], r["line_count"]) for r in totals] == [(None, None, 1)] * 3


def test_a_line_is_known_when_it_says_but_never_before_it_was_ordered(spark: SparkSession) -> None:
    columns = ("order_id", "customer_id", "ordered_at", "known_at")
    rows = [
        ("later", "a", "2024-01-01T08:00:00", "2024-01-05"),
        ("earlier", "a", "2024-01-04T08:00:00", "2024-01-02"),
        ("not said", "a", "2024-01-04T08:00:00", ""),
    ]
    found = {row["order_id"]: row for row in cleaned(spark, columns, rows).collect()}
    assert found["later"]["known_at_day"] == date(2024, 1, 5)
    assert found["earlier"]["known_at_day"] == found["not said"]["known_at_day"] == date(2024, 1, 4)
    assert found["later"]["ordered_at"].replace(tzinfo=timezone.utc) == datetime(2024, 1, 1, 8, tzinfo=timezone.utc)


def test_columns_that_do_not_fit_are_all_named(spark: SparkSession) -> None:
    columns = ("Customer No", "Order Date")
    mapping = {"customer_id": "Customer Nr", "ordered_at": "Order Date", "prodct_id": "x"}
    with pytest.raises(UsageError) as refusal:
        cleaned(spark, columns, [("a", "2024-01-01")], source={"columns": mapping})
    text = str(refusal.value)
    assert "columns.customer_id: the file has no column 'Customer Nr' (did you mean 'Customer No'?)" in text
    assert "columns.prodct_id: orders has no such column (did you mean 'product_id'?)" in text
    assert "The file has: Customer No, Order Date" in text
    with pytest.raises(UsageError, match=r"sources\.orders\.columns\.ordered_at: required, and not mapped"):
        cleaned(spark, columns, [("a", "2024-01-01")], source={"columns": {"customer_id": "Customer No"}})
