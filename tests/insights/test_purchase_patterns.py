"""purchase_patterns: against pandas, and the laws of its sums."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from insight_shops import Tables, net_days, pandas_of, segment_of, with_everyone
from pyspark.sql import functions as F

from habitue.models.bands import AMOUNT_BOUNDS, amount_band, size_band
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
    return pandas_of(purchase_patterns.TABLE.conform(built))


@pytest.fixture(scope="module")
def grocery_patterns(groceries):
    return patterns(groceries)


@pytest.fixture(scope="module")
def orders(groceries) -> pd.DataFrame:
    """Orders of customers with a purchase day, in pandas, with everyone."""
    lines = groceries.lines[groceries.lines["day"] < groceries.as_of]
    found = lines.groupby("order_id").agg(
        customer_id=("customer_id", "first"),
        day=("day", "min"),
        at=("at", "min"),
        amount=("amount", "sum"),
        discount=("discount", "sum"),
        size=("quantity", "sum"),
        channel=("channel", "first"),
        lines=("product_id", "size"),
    )
    found["segment_id"] = found["customer_id"].map(segment_of(groceries))
    return with_everyone(found[found["segment_id"].notna()])


def assert_shares(found: pd.DataFrame, orders: pd.DataFrame, dimension: str, value: pd.Series) -> None:
    """orders, lines, revenue, share and lift of one dimension of orders, each value of each segment."""
    rows = found[found["dimension"] == dimension].set_index(["segment_id", "value"]).sort_index()
    grouped = orders.assign(value=value).groupby(["segment_id", "value"])
    expected = grouped.agg(orders=("amount", "size"), lines=("lines", "sum"), revenue=("amount", "sum")).sort_index()
    assert list(rows.index) == list(expected.index)
    for name in ("orders", "lines", "revenue"):
        assert list(rows[name]) == list(expected[name]), (dimension, name)
    share = expected["orders"] / expected["orders"].groupby(level=0).transform("sum")
    assert list(rows["share"]) == pytest.approx(list(share))
    lift = share / share.loc[0].reindex(share.index.get_level_values(1)).to_numpy()
    assert list(rows["lift"]) == pytest.approx(list(lift))


def test_when_and_how_against_pandas(grocery_patterns, orders):
    hours = orders["at"].dt.hour
    parts = ["night 0-5", "morning 6-11", "afternoon 12-17", "evening 18-23"]
    assert_shares(grocery_patterns, orders, "month", orders["day"].map(lambda d: f"{d.month:02}"))
    assert_shares(grocery_patterns, orders, "weekday", orders["day"].map(lambda d: f"{d:%A}"))
    assert_shares(grocery_patterns, orders, "hour", hours.map(lambda h: f"{h:02}"))
    assert_shares(grocery_patterns, orders, "part_of_day", hours.map(lambda h: parts[h // 6]))
    assert_shares(grocery_patterns, orders, "channel", orders["channel"])
    discounted = orders["discount"].map(lambda d: "with discount" if d > 0 else "without discount")
    assert_shares(grocery_patterns, orders, "discount", discounted)
    bounds = [float(b) for b in AMOUNT_BOUNDS]

    def band(amount: Decimal) -> str:
        if amount <= 0:
            return "0 or less"
        above = [b for b in bounds if b <= amount]
        return f"{above[-1]:.0f} to {bounds[len(above)]:.0f}" if above else "under 1"

    assert_shares(grocery_patterns, orders, "basket_value", orders["amount"].map(band))


def test_levels_against_pandas(grocery_patterns, orders):
    levels = grocery_patterns.dropna(subset=["level"]).set_index(["segment_id", "dimension", "value"])["level"]
    for segment, part in orders.groupby("segment_id"):
        for q in (10, 25, 50, 75, 90):
            value = np.quantile(part["amount"].astype(float), q / 100)
            size = np.quantile(part["size"].astype(float), q / 100)
            assert levels[(segment, "basket_value_quantile", f"p{q}")] == pytest.approx(value)
            assert levels[(segment, "basket_size_quantile", f"p{q}")] == pytest.approx(size)
        cut = part[part["discount"] > 0]
        depth = float(cut["discount"].sum()) / float((cut["amount"] + cut["discount"]).sum())
        assert levels[(segment, "discount", "with discount")] == pytest.approx(depth)
        assert levels[(segment, "discount", "without discount")] == 0


def test_the_share_of_new_items_against_a_walk_through_the_days(grocery_patterns, groceries):
    lines = groceries.lines[groceries.lines["day"] < groceries.as_of]
    days = net_days(groceries)
    first = days[days["is_purchase"]].groupby("customer_id")["day"].min()
    new, bought = dict.fromkeys(range(4), 0), dict.fromkeys(range(4), 0)
    segments = segment_of(groceries)
    for customer, own in lines.groupby("customer_id"):
        known: set[str] = set()
        for day, part in own.groupby("day"):
            products = set(part["product_id"])
            if day > first[customer]:
                for segment in (0, segments[customer]):
                    new[segment] += len(products - known)
                    bought[segment] += len(products)
            known |= products
    rows = grocery_patterns[grocery_patterns["dimension"] == "new_items"].set_index("segment_id")["level"]
    assert [rows[s] for s in range(4)] == pytest.approx([new[s] / bought[s] for s in range(4)])


def test_items_categories_and_brands_against_pandas(grocery_patterns, groceries):
    lines = groceries.lines[groceries.lines["day"] < groceries.as_of].merge(
        pandas_of(groceries.products), on="product_id", how="left"
    )
    lines = with_everyone(lines.assign(segment_id=lines["customer_id"].map(segment_of(groceries))))
    for dimension, name in (("item", "product_id"), ("category", "category"), ("brand", "brand")):
        values = lines[name].fillna("(unknown)")
        worth = lines.assign(value=values).groupby(["segment_id", "value"])["amount"].sum()
        shares = worth.astype(float) / worth.astype(float).groupby(level=0).transform("sum")
        for segment in range(4):
            rows = grocery_patterns[
                (grocery_patterns["dimension"] == dimension) & (grocery_patterns["segment_id"] == segment)
            ].sort_values("position")
            ranked = worth[segment].reset_index().sort_values(["amount", "value"], ascending=[False, True])
            top = list(ranked["value"].head(5))
            assert list(rows["value"]) == top + (["(other)"] if len(ranked) > 5 else [])
            assert rows["revenue"].sum() == worth[segment].sum()
            assert rows["share"].sum() == pytest.approx(1)
            for value, share, lift in zip(top, rows["share"], rows["lift"], strict=False):
                assert share == pytest.approx(shares[(segment, value)])
                assert lift == pytest.approx(shares[(segment, value)] / shares[(0, value)])
            assert rows.loc[rows["value"] == "(other)", "lift"].isna().all()


def test_the_season_index_against_pandas(grocery_patterns, groceries):
    """Net amount of a category in a month, a day observed, over the same of all days."""
    lines = groceries.lines[groceries.lines["day"] < groceries.as_of].merge(
        pandas_of(groceries.products), on="product_id", how="left"
    )
    start = lines["day"].min()
    observed = pd.Series([start + timedelta(days=i) for i in range((groceries.as_of - start).days)])
    days = observed.map(lambda d: d.month).value_counts()
    rows = grocery_patterns[(grocery_patterns["dimension"] == "category_month") & (grocery_patterns["segment_id"] == 0)]
    assert rows["value"].nunique() == 5
    for category, part in rows.groupby("value"):
        own = lines[lines["category"] == category]
        by_month = own.groupby(own["day"].map(lambda d: d.month))["amount"].sum().astype(float)
        expected = (by_month / days) / (by_month.sum() / days.sum())
        assert list(part.sort_values("position")["season_index"]) == pytest.approx(list(expected.sort_index().dropna()))
        assert part["share"].sum() == pytest.approx(1)


def test_segments_add_up_to_everyone_and_each_dimension_to_the_orders(grocery_patterns, orders):
    everyone = orders[orders["segment_id"] == 0]
    for dimension in ("month", "weekday", "hour", "part_of_day", "channel", "basket_value", "basket_size", "discount"):
        rows = grocery_patterns[grocery_patterns["dimension"] == dimension]
        whole = rows[rows["segment_id"] == 0]
        assert whole["revenue"].sum() == everyone["amount"].sum() and whole["orders"].sum() == len(everyone)
        parts = rows[rows["segment_id"] > 0].groupby("value")[["orders", "lines", "revenue"]].sum().sort_index()
        assert parts.equals(whole.set_index("value")[["orders", "lines", "revenue"]].sort_index().astype(parts.dtypes))


def test_what_the_shop_does_not_know_is_left_out(records):
    found = patterns(records)
    assert set(found["dimension"]) == {
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
