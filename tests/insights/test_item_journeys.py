"""item_journeys, and _work_customer_items that it reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from itertools import pairwise
from math import comb
from statistics import median

import numpy as np
import pandas as pd
import pytest
from insight_shops import Tables, conformed, net_days, pandas_of, segment_of, settings, shop

from habitue.errors import NotApplicable
from habitue.models.item_journeys import judge_pairs, tests_of
from habitue.tables.insights import _work_customer_items, item_journeys

tests_of.__test__ = False  # a function of the model, not a test


def journeys(tables: Tables, **insights) -> pd.DataFrame:
    chosen = settings(**insights).insights if insights else tables.config.insights
    built = item_journeys.build(tables.items, tables.members, tables.features, tables.as_of, chosen)
    return conformed(item_journeys.TABLE, built)


# --- by hand


def test_the_item_of_a_day_is_that_of_the_largest_net_amount(spark, tmp_path):
    first, later, last = date(2021, 1, 1), date(2021, 1, 5), date(2021, 2, 1)
    lines = pd.DataFrame(
        [
            ("1", "a", first, "P1", "9.00", False),
            ("1", "a", first, "P2", "7.00", False),
            ("1", "a", first, "P3", "7.50", False),
            ("1", "a", last, "P1", "-9.00", True),  # P1 was taken back later: the first day's item is P3
            ("2", "a", later, "P4", "5.00", False),
            ("2", "a", later, "P2", "5.00", False),  # a tie: P2
            ("3", "b", first, "P5", "0.00", False),  # nothing was paid: no purchase day
            ("4", "b", later, "P2", "1.00", False),
            ("5", "b", later, "P2", "2.00", False),
            ("5", "b", later, "P3", "2.50", False),  # less than the two P2 of two orders
            ("6", "c", first, "P6", "0.00", False),  # given away on a day before the first purchase day,
            ("7", "c", later, "P6", "4.00", False),  # and bought again on that day
            ("8", "c", last, "P7", "1.00", False),
        ],
        columns=["order_id", "customer_id", "day", "product_id", "amount", "is_return"],
    )
    lines["amount"] = lines["amount"].map(Decimal)
    # By category: milk of the first day is 7 + 7.50, more than nothing left of bread.
    described = pd.DataFrame(
        {"product_id": ["P1", "P2", "P3", "P4"], "category": ["bread", "milk", "milk", None], "brand": None}
    )
    tables = shop(spark, tmp_path, lines, date(2021, 3, 1), described)
    rows = {row["customer_id"]: row for row in tables.items.collect()}
    assert [tuple(s) for s in rows["a"]["steps"]] == [(1, first, "P3", "milk"), (2, later, "P2", "milk")]
    assert [tuple(s) for s in rows["b"]["steps"]] == [(1, later, "P2", "milk")]
    # a: three products on its first day, two on its second. b: P5 before its first purchase day, then P2 and P3 on it.
    assert (rows["a"]["product_day_count"], rows["a"]["first_product_count"]) == (5, 3)
    assert (rows["b"]["product_day_count"], rows["b"]["first_product_count"]) == (3, 3)
    # c: P6 up to its first purchase day, once, and P7 later: one of one later product is new.
    assert (rows["c"]["product_day_count"], rows["c"]["first_product_count"]) == (2, 1)
    with pytest.raises(NotApplicable, match="first purchases of 30 customers"):
        journeys(tables)


def test_without_products_there_are_no_journeys(records):
    with pytest.raises(NotApplicable, match="orders name no products"):
        _work_customer_items.build(records.order_lines, records.history, records.as_of)


def test_the_decision_by_hand():
    # 10 customers: of 6 who come from a, 5 go to a; of 4 from b, 1 does. Popularity of a: 6/10.
    pairs = pd.DataFrame(
        [(0, 1, "a", "a", 5), (0, 1, "a", "b", 1), (0, 1, "b", "a", 1), (0, 1, "b", "b", 3)],
        columns=["segment_id", "step", "from_item", "to_item", "customers"],
    )
    judged = judge_pairs(pairs)
    assert list(judged["share"]) == pytest.approx([5 / 6, 1 / 6, 1 / 4, 3 / 4])
    assert list(judged["expected_share"]) == [0.6, 0.4, 0.6, 0.4]
    assert list(judged["lift"]) == pytest.approx([25 / 18, 5 / 12, 5 / 12, 15 / 8])
    first = comb(6, 5) * 0.6**5 * 0.4 + 0.6**6  # five or six of six
    last = comb(4, 3) * 0.4**3 * 0.6 + 0.4**4
    assert list(judged["p_value"])[::3] == pytest.approx([first, last])
    # last = .1792 is the smallest of four: .7168; first = .2333 the second: .4666, which both then take.
    assert list(judged["p_value_adjusted"])[::3] == pytest.approx([2 * first, 2 * first])


def test_rounding_brings_no_adjusted_p_value_below_the_p_value():
    """Of ten customers 8 went on to c, one to a, one to b: three tests. The largest p, that of c, times 3 / 3 is a digit less
    than itself, and the table's check would refuse such a row."""
    pairs = pd.DataFrame(
        [(0, 1, "a", to_item, customers) for to_item, customers in (("a", 1), ("b", 1), ("c", 8))],
        columns=["segment_id", "step", "from_item", "to_item", "customers"],
    )
    judged = judge_pairs(pairs)
    largest = judged["p_value"].iloc[2]
    assert largest == pytest.approx(sum(comb(10, k) * 0.8**k * 0.2 ** (10 - k) for k in (8, 9, 10)))
    assert largest * 3 / 3 < largest
    assert (judged["p_value_adjusted"] >= judged["p_value"]).all()
    assert list(judged["p_value_adjusted"]) == pytest.approx([largest] * 3)


def test_pairs_that_nobody_took_are_tests_too():
    pairs = pd.DataFrame(
        [(0, 1, "a", "a", 5), (0, 1, "b", "b", 5), (0, 2, "a", "c", 9)],
        columns=["segment_id", "step", "from_item", "to_item", "customers"],
    )
    assert tests_of(pairs) == 2 * 2 + 1
    judged = judge_pairs(pairs)
    # Each diagonal pair: five of five at 1/2, 1/32; the two are the smallest of five tests.
    assert list(judged["p_value_adjusted"]) == pytest.approx([5 / 2 / 32, 5 / 2 / 32, 1])


# --- by brute force


def first_items(tables: Tables, field: str) -> dict[str, list[tuple[date, str | None]]]:
    """The first four purchase days of each customer with the item of each, from the lines."""
    days = net_days(tables)
    category = pandas_of(tables.products).set_index("product_id")["category"].to_dict()
    spent: dict[tuple[str, date], Counter] = defaultdict(Counter)
    for line in tables.lines.itertuples():
        item = line.product_id if field == "product" else category.get(line.product_id)
        if line.day < tables.as_of and item is not None:
            spent[(line.customer_id, line.day)][item] += line.amount
    steps = {}
    for customer, own in days[days["is_purchase"]].groupby("customer_id"):
        steps[customer] = []
        for day in sorted(own["day"])[:4]:
            items = spent[(customer, day)]
            steps[customer].append((day, min(items, key=lambda i, items=items: (-items[i], i)) if items else None))
    return steps


def journeys_in_pandas(tables: Tables, field: str) -> pd.DataFrame:
    steps, segments = first_items(tables, field), segment_of(tables)
    loyal = {row["customer_id"] for row in tables.features.where("is_loyal").collect()}
    insights = tables.config.insights
    sizes = Counter(item for own in steps.values() for item in {i for _, i in own if i is not None})
    large = sorted((i for i in sizes if sizes[i] >= insights.min_journey_support), key=lambda i: (-sizes[i], i))
    named = set(large[: insights.journey_items])
    taken: dict[tuple, list[tuple[int, bool]]] = defaultdict(list)
    for customer, own in steps.items():
        for step, ((day, item), (next_day, next_item)) in enumerate(pairwise(own), start=1):
            if item is None or next_item is None:
                continue
            pair = tuple(i if i in named else "(other)" for i in (item, next_item))
            for segment in (0, segments[customer]):
                taken[(segment, step, *pair)].append(((next_day - day).days, customer in loyal))
    rows = []
    for (segment, step, start, end), own in taken.items():
        same_step = {k: v for k, v in taken.items() if k[:2] == (segment, step)}
        came_from = [c for k, v in same_step.items() if k[2] == start for c in v]
        went_to = sum(len(v) for k, v in same_step.items() if k[3] == end)
        others = [c for k, v in same_step.items() if k[2] == start and k[3] != end for c in v]
        popularity = went_to / sum(len(v) for v in same_step.values())
        n, k = len(came_from), len(own)
        tail = sum(comb(n, i) * popularity**i * (1 - popularity) ** (n - i) for i in range(k, n + 1))
        rows.append(
            {
                "segment_id": segment,
                "step": step,
                "from_item": start,
                "to_item": end,
                "customers": k,
                "from_customers": n,
                "share": k / n,
                "expected_share": popularity,
                "lift": k / n / popularity,
                "p_value": tail,
                "median_days": median(d for d, _ in own),
                "loyal_share": sum(is_loyal for _, is_loyal in own) / k,
                "other_loyal_share": sum(is_loyal for _, is_loyal in others) / len(others) if others else None,
                "is_same_item": start == end != "(other)",
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("level", ["product", "category"])
def test_journeys_against_brute_force(groceries, level):
    insights = {**groceries.config.insights.model_dump(), "item_level": level}
    found = journeys(groceries, **insights)
    expected = journeys_in_pandas(groceries, level)
    keys = ["segment_id", "step", "from_item", "to_item"]
    found, expected = found.set_index(keys).sort_index(), expected.set_index(keys).sort_index()
    assert list(found.index) == list(expected.index) and set(found["item_level"]) == {level}
    assert "(other)" in found.index.get_level_values("from_item")
    for name in expected.columns:
        one, other = found[name].astype(float).fillna(-1), expected[name].astype(float).fillna(-1)
        assert list(one) == pytest.approx(list(other), rel=1e-9, abs=1e-12), name
    # Each adjusted p-value is the least of p_j m / j over the p_j at least as large.
    items = found.reset_index().groupby(["segment_id", "step"])[["from_item", "to_item"]].nunique()
    tests = int((items["from_item"] * items["to_item"]).sum())
    by_p = found.sort_values("p_value")
    ratios = by_p["p_value"].to_numpy() * tests / np.arange(1, len(by_p) + 1)
    assert list(by_p["p_value_adjusted"]) == pytest.approx([min(1, ratios[i:].min()) for i in range(len(ratios))])
    # A customer takes a step once: pairs add up to those who came from the item, and segments to everyone.
    flat = found.reset_index()
    assert (flat.groupby(keys[:3])["customers"].sum() == flat.groupby(keys[:3])["from_customers"].first()).all()
    in_segments = flat[flat["segment_id"] > 0].groupby(keys[1:])["customers"].sum()
    assert in_segments.equals(flat[flat["segment_id"] == 0].groupby(keys[1:])["customers"].sum())


def test_with_each_steps_items_permuted_popularity_explains_the_journeys(groceries):
    """By chance one seed in 20 at the most has a significant journey; with the adjustment removed nearly every one has."""
    segments = segment_of(groceries)
    steps = {c: [i or "none" for _, i in own] for c, own in first_items(groceries, "category").items()}
    people = sorted(steps)
    kept = {item for item, n in Counter(i for own in steps.values() for i in own).most_common(20)}
    adjusted, plain = 0, 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        items: dict[str, list[str]] = {c: [] for c in people}
        for step in range(4):
            reached = [c for c in people if len(steps[c]) > step]
            for customer, item in zip(reached, chance.permutation([steps[c][step] for c in reached]), strict=True):
                items[customer].append(str(item) if item in kept else "(other)")
        pairs = Counter(
            (segment, step, own[step - 1], own[step])
            for customer, own in items.items()
            for step in range(1, len(own))
            for segment in (0, segments[customer])
        )
        counted = pd.DataFrame(
            [(*key, n) for key, n in pairs.items()],
            columns=["segment_id", "step", "from_item", "to_item", "customers"],
        )
        judged = judge_pairs(counted)
        adjusted += bool((judged["p_value_adjusted"] < 0.05).any())
        plain += bool((judged["p_value"] < 0.05).any())
    assert adjusted <= 3
    assert plain > 3  # so the check above is one of the adjustment


def test_a_journey_that_is_there_is_found():
    """200 customers; of those who come from x, nine in ten go to y, which half of all go to."""
    taken = Counter()
    for i in range(200):
        start = "x" if i % 5 == 0 else "z"
        taken[(0, 1, start, "y" if (start == "x" and i % 50) or (start == "z" and i % 5 <= 2) else "w")] += 1
    pairs = pd.DataFrame(
        [(*key, n) for key, n in taken.items()], columns=["segment_id", "step", "from_item", "to_item", "customers"]
    )
    judged = judge_pairs(pairs).set_index(["from_item", "to_item"])
    assert judged.loc[("x", "y"), "p_value_adjusted"] < 1e-4
    assert judged.loc[("x", "w"), "p_value_adjusted"] > 0.99
