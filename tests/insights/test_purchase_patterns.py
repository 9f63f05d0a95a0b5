"""purchase_patterns: every row against pandas, the laws of its sums, and a shop worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from insight_shops import Tables, conformed, net_days, segment_of, shop
from patterns_in_pandas import KEYS, patterns_in_pandas
from pyspark.sql import functions as F

from habitue.models.bands import amount_band, size_band
from habitue.tables.insights import purchase_patterns


def patterns(tables: Tables) -> pd.DataFrame:
    built = purchase_patterns.build(
        tables.orders,
        tables.order_lines,
        tables.history,
        tables.members,
        tables.as_of,
        tables.config.shop,
        tables.config.insights,
        tables.items,
        tables.products,
    )
    return conformed(purchase_patterns.TABLE, built)


@pytest.fixture(scope="module")
def found(records, groceries) -> dict[str, pd.DataFrame]:
    """The table of each shop, worked out once."""
    return {"records": patterns(records), "groceries": patterns(groceries)}


SHOPS = pytest.mark.parametrize("name", ["records", "groceries"])
OF_ORDERS = {"month", "weekday", "hour", "part_of_day", "channel", "basket_value", "basket_size", "discount"}
OF_LINES = {"item", "category", "brand"}


@SHOPS
def test_every_row_against_brute_force(found, name, request):
    rows = found[name].set_index(KEYS).sort_index()
    expected = patterns_in_pandas(request.getfixturevalue(name)).set_index(KEYS).sort_index()
    assert list(rows.index) == list(expected.index)
    for column in ("orders", "lines", "revenue", "share", "lift", "season_index", "level"):
        own, other = (x[column] if column in x else pd.Series(np.nan, x.index) for x in (rows, expected))
        assert list(own.isna()) == list(other.isna()), column
        if column in ("orders", "lines", "revenue"):
            assert list(own.dropna()) == list(other.dropna()), column
        else:
            assert list(own.dropna()) == pytest.approx(list(other.dropna()), rel=1e-9, abs=1e-12), column


@SHOPS
def test_segments_add_up_to_everyone_and_each_dimension_to_the_orders(found, name, request):
    tables = request.getfixturevalue(name)
    days, buyers = net_days(tables), segment_of(tables)
    own = days[days["customer_id"].isin(buyers)]
    checked = 0
    for dimension, rows in found[name].groupby("dimension"):
        whole, parts = rows[rows["segment_id"] == 0], rows[rows["segment_id"] > 0]
        if dimension in OF_ORDERS:
            assert (whole["orders"].sum(), whole["revenue"].sum()) == (own["orders"].sum(), own["amount"].sum())
            sums = ["orders", "lines", "revenue"]
            by_value = parts.groupby("value")[sums].sum().sort_index()
            assert by_value.equals(whole.set_index("value")[sums].sort_index().astype(by_value.dtypes))
        elif dimension in OF_LINES:  # the values by name are others in each segment, so only their total is the same
            assert parts["revenue"].sum() == whole["revenue"].sum() == own["amount"].sum()
            assert parts["lines"].sum() == whole["lines"].sum()
        else:
            continue
        assert list(rows.groupby("segment_id")["share"].sum()) == pytest.approx([1, 1, 1, 1])
        checked += 1
    assert checked == (11 if name == "groceries" else 4)


# --- by hand


@pytest.fixture(scope="module")
def corner_shop(spark, tmp_path_factory) -> Tables:
    """Four orders of two customers, who are a segment each; 35 days, of which 28 in January."""
    orders = [
        ("1", "a", date(2021, 1, 4), "milk", "3.00", 1, "0"),  # a Monday
        ("1", "a", date(2021, 1, 4), "bread", "1.00", 1, "0"),
        ("2", "a", date(2021, 1, 9), "milk", "6.00", 2, "0"),  # a Saturday
        ("3", "b", date(2021, 2, 2), "beer", "10.00", 1, "2.00"),  # a Tuesday
    ]
    lines = pd.DataFrame(
        orders, columns=["order_id", "customer_id", "day", "product_id", "amount", "quantity", "discount"]
    )
    for name in ("amount", "quantity", "discount"):
        lines[name] = lines[name].map(Decimal)
    described = pd.DataFrame(
        {"product_id": ["milk", "bread", "beer"], "category": ["food", "food", None], "brand": ["M", None, "B"]}
    )
    tables = shop(spark, tmp_path_factory.mktemp("corner"), lines, date(2021, 2, 8), described, top_values=2)
    segment = F.when(F.col("customer_id") == "a", 1).otherwise(2).alias("segment_id")
    return replace(tables, members=tables.members.select("as_of", "customer_id", segment))


def test_a_corner_shop_by_hand(corner_shop):
    rows = patterns(corner_shop).set_index(["segment_id", "dimension", "value"]).sort_index()

    def at(segment: int, dimension: str, value: str, *names: str) -> tuple[float, ...]:
        return tuple(float(rows.loc[(segment, dimension, value), name]) for name in names)

    assert at(0, "month", "01", "orders", "lines", "revenue") == (2, 3, 10)
    # Two orders in 28 days, one in 7, three in 35.
    assert at(0, "month", "01", "season_index") == pytest.approx(((2 / 28) / (3 / 35),))
    assert at(0, "month", "02", "season_index") == pytest.approx(((1 / 7) / (3 / 35),))
    # Half of a's orders are on a Monday, and a third of all.
    assert at(1, "weekday", "Monday", "share", "lift", "position") == pytest.approx((1 / 2, 3 / 2, 1))
    assert at(0, "basket_value", "5 to 10", "orders", "share") == pytest.approx((1, 1 / 3))
    assert at(0, "basket_size", "2", "orders") == (2,)  # milk and bread; twice milk
    # Of 12 at full price 10 were paid.
    assert at(0, "discount", "with discount", "share", "level") == pytest.approx((1 / 3, 2 / 12))
    assert at(0, "basket_value_quantile", "p50", "level") == (6,)  # of 4, 6 and 10
    assert at(0, "basket_value_quantile", "p25", "level") == (5,)
    # Of 20 beer has 10 and milk 9; bread is the rest of everyone's, but not of a's, of whose 10 milk has 9.
    assert at(0, "item", "milk", "position", "revenue", "share") == pytest.approx((2, 9, 9 / 20))
    assert at(0, "item", "(other)", "position", "revenue", "share") == pytest.approx((3, 1, 1 / 20))
    assert at(1, "item", "bread", "share", "lift") == pytest.approx((1 / 10, 2))
    assert at(0, "category", "(unknown)", "share") == pytest.approx((1 / 2,))
    assert at(2, "brand", "B", "share", "lift") == pytest.approx((1, 2))
    assert at(0, "category_month", "food", "revenue", "share", "position") == (10, 1, 1)


def test_a_segment_without_a_second_purchase_day_has_no_share_of_new_items(corner_shop):
    """a's milk of the second day is no new product; b bought once, and a row without a figure would be refused."""
    found = patterns(corner_shop)
    rows = found[found["dimension"] == "new_items"].set_index("segment_id")["level"]
    assert rows.to_dict() == {0: 0.0, 1: 0.0}


def test_what_the_shop_does_not_know_is_left_out(found):
    assert set(found["records"]["dimension"]) == {
        "month",
        "weekday",
        "basket_value",
        "basket_size",
        "basket_value_quantile",
        "basket_size_quantile",
    }


def test_a_shop_of_days_has_no_hours_even_where_clocks_go_forward_at_midnight(spark):
    """In Sao Paulo 2018-11-04 began at 01:00: a day's start is 03:00 UTC before, 02:00 UTC from then on."""
    zone = purchase_patterns.Clock("America/Sao_Paulo", "00:00")
    first = date(2018, 11, 2)
    rows = [(1, first + timedelta(days=i), 1, 10000) for i in range(5)]
    orders = spark.createDataFrame(rows, "segment_id int, order_day date, lines bigint, worth bigint")
    orders = orders.withColumn("ordered_at", zone.start_of(F.col("order_day")))
    days = spark.createDataFrame([(11, 5)], "position int, days bigint")
    assert {row["dimension"] for row in purchase_patterns._when(orders, days, zone).collect()} == {"month", "weekday"}
    hourly = orders.withColumn("ordered_at", F.col("ordered_at") + F.make_dt_interval(hours=F.dayofmonth("order_day")))
    timed = {row["dimension"] for row in purchase_patterns._when(hourly, days, zone).collect()}
    assert timed == {"month", "weekday", "hour", "part_of_day"}


def test_bands_by_hand(spark):
    amounts = [-10_000, 0, 1, 9_999, 10_000, 19_999, 20_000, 5_000_000, None, 10**13]
    rows = spark.createDataFrame([(a,) for a in amounts], "x bigint")
    found = [row[0] for row in rows.select(amount_band(F.col("x"))).collect()]
    assert [None if band is None else band["value"] for band in found] == [
        "0 or less",
        "0 or less",
        "under 1",
        "under 1",
        "1 to 2",
        "1 to 2",
        "2 to 5",
        "500 to 1000",
        None,
        "500000000 or more",
    ]
    assert [band["position"] for band in found if band is not None][:6] == [0, 0, 1, 1, 2, 2]
    sizes = spark.createDataFrame([(s * 10_000,) for s in (1, 5, 6, 10, 11, 100, 101)], "x bigint")
    labels = [row[0]["value"] for row in sizes.select(size_band(F.col("x"))).collect()]
    assert labels == ["1", "5", "6-10", "6-10", "11-20", "51-100", "101 or more"]
