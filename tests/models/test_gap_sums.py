"""The sums that Spark takes over customers, against plain loops over the same customers; and that they add up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.models.gap_sums import HASH_GROUPS, gap_weights, hash_group, held_out_gaps, member_sums
from habitue.models.purchase_cycle import AdditiveSums

LEAVES, HORIZON = 4, 40


@dataclass(frozen=True)
class Customer:
    leaf: int
    hash_group: int
    gaps_days: list[int]
    open_gap_days: int
    has_held_out: bool
    held_out_gap_days: int | None


@pytest.fixture(scope="module")
def people() -> list[Customer]:
    """120 customers in leaves 0 to 2 (leaf 3 is empty), with 0 to 6 gaps, held-out gaps within the horizon and beyond."""
    chance = random.Random(5)
    found = []
    for i in range(120):
        gaps = [chance.randint(1, 50) for _ in range(chance.choice((0, 1, 2, 3, 6)))]
        held_out = chance.choice((None, chance.randint(1, HORIZON), HORIZON, HORIZON + 1, 90))
        found.append(Customer(i % 3, i * 7 % HASH_GROUPS, gaps, chance.randint(1, 80), chance.random() < 0.8, held_out))
    return found


@pytest.fixture(scope="module")
def frame(spark: SparkSession, people: list[Customer]) -> DataFrame:
    types = (
        "leaf int, hash_group int, gaps_days array<int>, open_gap_days int, has_held_out boolean, held_out_gap_days int"
    )
    return spark.createDataFrame([tuple(vars(p).values()) for p in people], types)


def test_gap_weights_against_a_loop(frame: DataFrame, people: list[Customer]) -> None:
    found = gap_weights(frame, LEAVES)
    longest = max(max([*p.gaps_days, p.open_gap_days]) for p in people)
    expected = {
        name: np.zeros((LEAVES, HASH_GROUPS, longest + 1)) for name in ("complete", "censored", "km", "km_open")
    }
    for p in people:
        n, at = len(p.gaps_days), (p.leaf, p.hash_group)
        for gap in p.gaps_days:
            expected["complete"][(*at, gap)] += 1 / n
            expected["km"][(*at, gap)] += 1 / (n + 1)
        expected["km_open"][(*at, p.open_gap_days)] += 1 / (n + 1)
        if n == 0:
            expected["censored"][(*at, p.open_gap_days)] += 1
    np.testing.assert_allclose(found.complete, expected["complete"], rtol=1e-12)
    np.testing.assert_allclose(found.km_complete, expected["km"], rtol=1e-12)
    np.testing.assert_allclose(found.km_open, expected["km_open"], rtol=1e-12)
    np.testing.assert_array_equal(found.censored, expected["censored"])
    # A customer weighs 1: by its complete gaps or, without any, by the open one; and 1 by all of them together.
    assert (found.complete + found.censored).sum() == pytest.approx(len(people))
    assert (found.km_complete + found.km_open).sum() == pytest.approx(len(people))


def test_member_sums_against_a_loop(frame: DataFrame, people: list[Customer]) -> None:
    found = member_sums(frame, LEAVES)
    for leaf in range(LEAVES):
        logs = [np.log(p.gaps_days) for p in people if p.leaf == leaf and p.gaps_days]
        pairs = [p.gaps_days[-2:] for p in people if p.leaf == leaf and len(p.gaps_days) >= 2]
        expected = {
            "members": len(logs),
            "mean_sum": sum(x.mean() for x in logs),
            "mean_square_sum": sum(x.mean() ** 2 for x in logs),
            "inverse_count_sum": sum(1 / len(x) for x in logs),
            "within_square_sum": sum(((x - x.mean()) ** 2).sum() for x in logs),
            "degrees_of_freedom": sum(len(x) - 1 for x in logs),
            "two_gap_members": len(pairs),
            "wheat_morrison_sum": sum((a / (a + b) - 0.5) ** 2 for a, b in pairs),
        }
        assert {f.name: getattr(found, f.name)[leaf] for f in fields(found)} == pytest.approx(expected, rel=1e-12)


def test_held_out_gaps_against_a_loop(frame: DataFrame, people: list[Customer]) -> None:
    """Still open, or longer than the horizon: both are `longer`. Even hash groups choose, odd ones publish."""
    for half, found in enumerate(held_out_gaps(frame, LEAVES, HORIZON)):
        within, longer = np.zeros((LEAVES, HORIZON + 1)), np.zeros(LEAVES)
        for p in people:
            if not p.has_held_out or p.hash_group % 2 != half:
                continue
            if p.held_out_gap_days is None or p.held_out_gap_days > HORIZON:
                longer[p.leaf] += 1
            else:
                within[p.leaf, p.held_out_gap_days] += 1
        np.testing.assert_array_equal(found.within, within)
        np.testing.assert_array_equal(found.longer, longer)


@pytest.mark.parametrize(
    "take",
    [
        gap_weights,
        member_sums,
        lambda frame, leaves: held_out_gaps(frame, leaves, HORIZON)[0],
        lambda frame, leaves: held_out_gaps(frame, leaves, HORIZON)[1],
    ],
    ids=["gap_weights", "member_sums", "choosing", "publishing"],
)
def test_sums_of_leaves_are_the_sums_of_their_union(
    frame: DataFrame, take: Callable[[DataFrame, int], AdditiveSums]
) -> None:
    """Leaves 0 and 2 as one segment, 1 and 3 as another: added up on the driver, and counted together by Spark."""
    added = take(frame, LEAVES).by_segment([[0, 2], [1, 3]])
    together = take(frame.withColumn("leaf", F.col("leaf") % 2), 2)
    for field in fields(added):
        np.testing.assert_allclose(getattr(added, field.name), getattr(together, field.name), rtol=1e-9)


def test_nobody(frame: DataFrame) -> None:
    nobody = frame.where("leaf > 90")
    assert gap_weights(nobody, LEAVES).complete.shape == (LEAVES, HASH_GROUPS, 2)
    assert member_sums(nobody, LEAVES).members.tolist() == [0.0] * LEAVES
    assert held_out_gaps(nobody, LEAVES, HORIZON)[0].within.sum() == 0


def test_hash_groups_are_even_and_lasting(spark: SparkSession) -> None:
    """10,000 customers: 500 a group, give or take 5 standard deviations (sqrt(10,000 * .05 * .95) = 21.8)."""
    counts = spark.range(10_000).groupBy(hash_group(F.col("id").cast("string")).alias("g")).count().collect()
    assert sorted(row["g"] for row in counts) == list(range(HASH_GROUPS))
    assert all(math.isclose(row["count"], 500, abs_tol=5 * 21.8) for row in counts)
    # The group of an id never changes: another one would mix the half that chooses with the half that is published.
    known = spark.createDataFrame([("C1",), ("C2",), ("C3",)], "customer_id string").select(hash_group()).collect()
    assert [row[0] for row in known] == [14, 3, 3]
