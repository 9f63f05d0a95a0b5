"""The training snapshots against a slow count in plain Python, and against a changed future."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from loyalty_shops import (
    AS_OF,
    CATEGORIES,
    SETS,
    SNAPSHOTS,
    Line,
    changed_from,
    lines_frame,
    products_frame,
    random_lines,
)
from pyspark.sql import DataFrame, Row, SparkSession

from habitue.config import resolve
from habitue.tables.loyalty import _work_loyalty_snapshots as loyalty_snapshots
from habitue.tables.loyalty.snapshot_features import (
    FEATURE_SOURCES,
    NUMERIC_FEATURES,
    TEXT_FEATURES,
    attribute_names,
    expanded,
)

Key = tuple[date, str]
LABELS = ("purchase_days_in_horizon", "orders_in_horizon")
LATE = [  # bought on two days; the second is taken back in whole, which is known only on 10 May
    Line("l1", "late", date(2024, 2, 20), date(2024, 2, 20), "tea", 1, "4.00"),
    Line("l2", "late", date(2024, 3, 1), date(2024, 3, 1), "mug", 1, "9.00"),
    Line("l2", "late", date(2024, 5, 10), date(2024, 5, 10), "mug", -1, "-9.00", None, True),
]
SENT = [("k1", "c0", date(2024, 2, 1)), ("k2", "c0", date(2024, 4, 1)), ("k2", "c1", date(2024, 4, 1))]
ANSWERED = [("k1", "c0", date(2024, 2, 5)), ("k1", "c0", date(2024, 4, 29)), ("k2", "c1", date(2024, 4, 30))]
KNOWN = [("c0", {"size": "2", "town": "Ayr"}), ("c1", {"size": "3.5"}), ("never", {"town": "Bath"})]


def built(spark: SparkSession, lines: list[Line], contacts_before: date = AS_OF, **tables: DataFrame) -> DataFrame:
    config = resolve(None, SETS).config
    types = "campaign_id string, customer_id string, known_day date"
    sends = spark.createDataFrame([row for row in SENT if row[2] < contacts_before], types)
    responses = spark.createDataFrame([row for row in ANSWERED if row[2] < contacts_before], types)
    described = {"products": products_frame(spark), "sends": sends, "responses": responses} | tables
    frame = lines_frame(spark, lines)
    rows = loyalty_snapshots.build(
        frame, AS_OF, config.features, config.loyal, config.prediction, **described
    )  # fmt: skip
    return loyalty_snapshots.TABLE.conform(rows)


def by_key(frame: DataFrame) -> dict[Key, Row]:
    return {(row["snapshot_on"], row["customer_id"]): row for row in frame.collect()}


@pytest.fixture(scope="module")
def shop() -> list[Line]:
    return random_lines() + LATE


@pytest.fixture(scope="module")
def rows(spark: SparkSession, shop: list[Line]) -> dict[Key, Row]:
    types = "customer_id string, attributes map<string,string>, acquisition_channel string"
    customers = spark.createDataFrame([(*row, None) for row in KNOWN], types)
    return by_key(built(spark, shop, customers=customers))


def days_known(lines: list[Line], day: date) -> dict[str, dict[date, dict[str, Any]]]:
    """customer -> purchase day -> amount, orders and products, of what was known before the day."""
    orders: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.known_day < day:
            orders[line.order_id].append(line)
    days: dict[str, dict[date, dict[str, Any]]] = defaultdict(dict)
    for order in orders.values():
        on = min(line.order_day for line in order)
        entry = days[order[0].customer_id].setdefault(on, {"amount": 0, "orders": 0, "coupons": 0, "items": set()})
        entry["amount"] += sum(round(float(line.amount or 0) * 100) for line in order)
        entry["orders"] += 1
        entry["coupons"] += any(line.coupon_discount for line in order)
        entry["items"] |= {line.product_id for line in order if not line.is_return}
    return {c: {d: e for d, e in entries.items() if e["amount"] > 0} for c, entries in days.items()}


def slow_counts(days: dict[date, dict[str, Any]], on: date) -> dict[str, float | None]:
    def within(window: int) -> list[dict[str, Any]]:
        return [entry for day, entry in days.items() if (on - day).days <= window]

    order = sorted(days)
    gaps = [(b - a).days for a, b in pairwise(order)]
    recent = [(on - day).days for day in order]
    amounts = [entry["amount"] / 100 for entry in within(100)]
    return {
        "purchase_days_30d": len(within(30)),
        "purchase_days_365d": len(days),
        "purchase_days_in_window": len(within(30)),
        "orders_90d": sum(entry["orders"] for entry in within(90)),
        # Of a customer of whom no discount by coupon is known at all there is nothing to say.
        "coupon_orders_90d": sum(e["coupons"] for e in within(90))
        if any(e["coupons"] for e in days.values())
        else None,
        "amount_90d": sum(entry["amount"] for entry in within(90)) / 100,
        "days_since_last_order": min(recent),
        "longevity_days": max(recent),
        "last_gap_days": gaps[-1] if gaps else None,
        "longest_gap_days": max(gaps) if gaps else None,
        "last_three_gaps_days": sum(gaps[-3:]) / 3 if len(gaps) > 2 else None,
        "gap_mean_days": float(np.mean(gaps)) if gaps else None,
        "gap_log_deviation": float(np.std(np.log(gaps), ddof=1)) if len(gaps) > 1 else None,
        "average_order_value": sum(amounts) / len(amounts),
        "largest_amount": max(amounts),
        "purchase_days_fading_30d": sum(0.5 ** (ago / 30) for ago in recent),
        "active_weeks_13": len({(ago - 1) // 7 for ago in recent if ago <= 91}),
        "weekend_share": np.mean([day.weekday() >= 5 for day in order if (on - day).days <= 100]),
    }


def test_counts_are_those_of_a_slow_count(rows: dict[Key, Row], shop: list[Line]) -> None:
    compared = 0
    for on in SNAPSHOTS:
        known = days_known(shop, on)
        expected = {c: d for c, d in known.items() if d and (on - max(d)).days <= 100}
        assert {c for day, c in rows if day == on} == set(expected)
        for customer, days in expected.items():
            row = rows[on, customer]
            for name, value in slow_counts(days, on).items():
                assert row[name] == (None if value is None else pytest.approx(value, rel=1e-8)), (on, customer, name)
            compared += 1
    assert compared > 40


def test_threshold_and_loyal(rows: dict[Key, Row], shop: list[Line]) -> None:
    for on in SNAPSHOTS:
        counts = [sum((on - day).days <= 30 for day in days) for days in days_known(shop, on).values()]
        threshold = max(2, math.ceil(np.percentile([n for n in counts if n > 0], 75)))
        for (day, _), row in rows.items():
            if day == on:
                assert row["loyal_threshold"] == threshold
                assert row["is_loyal"] == (row["purchase_days_in_window"] >= threshold)
                assert row["threshold_progress"] == pytest.approx(row["purchase_days_in_window"] / threshold)
    assert any(row["is_loyal"] for row in rows.values()) and not all(row["is_loyal"] for row in rows.values())


def test_labels_are_what_followed_as_known_when_it_was_over(rows: dict[Key, Row], shop: list[Line]) -> None:
    for (on, customer), row in rows.items():
        if on == AS_OF:
            assert (row["purchase_days_in_horizon"], row["orders_in_horizon"]) == (None, None)
            continue
        end = on + timedelta(days=30)
        followed = [e for day, e in days_known(shop, end)[customer].items() if day >= on]
        assert row["purchase_days_in_horizon"] == len(followed)
        assert row["orders_in_horizon"] == sum(entry["orders"] for entry in followed)


def test_products_bought_for_the_first_time(rows: dict[Key, Row], shop: list[Line]) -> None:
    """Customers none of whose days were taken back, so that every product's first day is a purchase day."""
    taken_back = {line.customer_id for line in shop if line.is_return}
    plain = [key for key in rows if key[1] not in taken_back]
    assert plain
    for on, customer in plain:
        known = [line for line in shop if line.known_day < on and line.customer_id == customer and not line.is_return]
        items = {line.product_id for line in known}
        assert rows[on, customer]["product_count"] == len(items)
        assert rows[on, customer]["category_count"] == len({CATEGORIES[i] for i in items if i in CATEGORIES})


def test_a_return_takes_nothing_off_before_it_is_known(rows: dict[Key, Row]) -> None:
    april, may = rows[SNAPSHOTS[2], "late"], rows[SNAPSHOTS[1], "late"]  # 30 April, 30 May
    assert (april["purchase_day_count"], april["days_since_last_order"], april["amount_90d"]) == (2, 60, 13)
    assert (may["purchase_day_count"], may["days_since_last_order"], may["amount_180d"]) == (1, 100, 4)
    # The label of 1 March was over on 31 March, when the return was not known.
    assert rows[SNAPSHOTS[4], "late"]["purchase_days_in_horizon"] == 1


def test_campaigns_before_the_snapshot(rows: dict[Key, Row]) -> None:
    names = ["sends_before", "campaigns_responded_before", "responses_before", "days_since_last_response"]
    # c0: k1 on 1 February, answered on the 5th and on 29 April; k2 on 1 April.
    assert [rows[date(2024, 3, 1), "c0"][n] for n in names] == [1, 1, 1, 25]
    assert [rows[date(2024, 4, 30), "c0"][n] for n in names] == [2, 1, 2, 1]
    assert rows[date(2024, 4, 30), "c0"]["response_share_before"] == 0.5
    # c1 answers on the very day of the snapshot, which is not before it.
    assert [rows[date(2024, 4, 30), "c1"][n] for n in names] == [1, 0, 0, None]
    assert [rows[date(2024, 4, 30), "c2"][n] for n in names] == [0, 0, 0, None]


def test_texts_and_attributes(rows: dict[Key, Row]) -> None:
    late = rows[SNAPSHOTS[2], "late"]
    # 20 February 2024 is a Tuesday, 1 March a Friday: the earlier in the week. A mug for 9 outweighs a tea for 4.
    names = ("favourite_weekday", "favourite_channel", "favourite_category", "first_category")
    assert [late[n] for n in names] == ["2", "shop", "ware", "drink"]
    c0, c1 = rows[AS_OF, "c0"], rows[AS_OF, "c1"]
    assert (c0["numeric_attributes"], c0["text_attributes"]) == ({"size": 2.0}, {"town": "Ayr"})
    assert (c1["numeric_attributes"], c1["text_attributes"], late["numeric_attributes"]) == ({"size": 3.5}, {}, {})


def test_flat_columns_for_attributes(spark: SparkSession) -> None:
    types = "customer_id string, numeric_attributes map<string,double>, text_attributes map<string,string>"
    frame = spark.createDataFrame([("a", {"size": 2.0}, {}), ("b", {"age": 7.0}, {"town": "Ayr"})], types)
    numeric, text = attribute_names(frame)
    assert (numeric, text) == (["age", "size"], ["town"])
    flat = {row["customer_id"]: row.asDict() for row in expanded(frame, numeric, text).collect()}
    assert flat["a"] == {"customer_id": "a", "attribute.age": None, "attribute.size": 2.0, "attribute.town": None}
    assert flat["b"]["attribute.town"] == "Ayr"


def test_the_future_changes_no_feature(spark: SparkSession, rows: dict[Key, Row], shop: list[Line]) -> None:
    day = SNAPSHOTS[2]
    other = by_key(built(spark, changed_from(shop, day), contacts_before=day))
    kept = [name for name in loyalty_snapshots.TABLE.columns if name not in (*LABELS, *MAPS)]
    assert {key for key in other if key[0] <= day} == {key for key in rows if key[0] <= day}
    for key in (key for key in rows if key[0] <= day):
        for name in kept:
            was, is_now = rows[key][name], other[key][name]
            assert is_now == (pytest.approx(was, rel=1e-9) if isinstance(was, float) else was), (key, name)
        if key[0] + timedelta(days=30) <= day:
            assert [other[key][n] for n in LABELS] == [rows[key][n] for n in LABELS]
    later = [key for key in rows if key[0] > day]
    assert any(key not in other or other[key]["amount_30d"] != rows[key]["amount_30d"] for key in later)


MAPS = ("numeric_attributes", "text_attributes")


def test_a_shop_of_dates_only(spark: SparkSession, shop: list[Line]) -> None:
    """Without amounts, quantities and products every order's day is a purchase day."""
    dates = [
        Line(line.order_id, line.customer_id, line.order_day, line.known_day) for line in shop if not line.is_return
    ]
    bare = by_key(built(spark, dates, products=None, sends=None, responses=None))  # type: ignore[arg-type]
    on = SNAPSHOTS[1]
    ordered = {line.order_day for line in dates if line.customer_id == "c0" and line.known_day < on}
    row = bare[on, "c0"]
    assert row["purchase_day_count"] == len(ordered)
    assert row["purchase_days_30d"] == sum((on - day).days <= 30 for day in ordered)
    absent = ("amount_90d", "discount_share", "coupon_order_share", "items_per_order", "product_count", "repeat_share")
    assert [row[name] for name in (*absent, "category_count", "sends_before", "favourite_category")] == [None] * 9
    assert row["favourite_channel"] in ("web", "shop")


def test_every_feature_has_a_source() -> None:
    assert set(FEATURE_SOURCES) == {*NUMERIC_FEATURES, *TEXT_FEATURES}
    assert set(FEATURE_SOURCES.values()) == {"orders", "products", "campaigns"}
