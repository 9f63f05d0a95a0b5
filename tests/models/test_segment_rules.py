"""Readable rules: a planted one is found, measured on customers that were not learned from, and told as it is measured."""

from __future__ import annotations

import re

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.models.segment_rules import _branches, _in_words, _merged, segment_rules

FEATURES = ["average_order_value", "days_since_last_order"]

# As MLlib prints a tree of four levels. Class 2 is reached twice, class 0 in two halves that differ in one split only.
PRINTED = """DecisionTreeClassificationModel: uid=dtc_1, depth=3, numNodes=9, numClasses=3, numFeatures=2
  If (feature 0 <= 26.789)
   If (feature 1 <= 33.5)
    Predict: 0.0
   Else (feature 1 > 33.5)
    If (feature 1 <= 90.0)
     Predict: 0.0
    Else (feature 1 > 90.0)
     Predict: 2.0
  Else (feature 0 > 26.789)
   If (feature 0 <= 1234.56)
    Predict: 1.0
   Else (feature 0 > 1234.56)
    Predict: 2.0
"""


def test_the_printed_tree_is_read() -> None:
    """Class 0 is days up to 33 or 33 to 90, so up to 90: one way. Days are told as whole numbers."""
    assert _branches(PRINTED, FEATURES) == {
        0: [{"average_order_value": (None, 26.8), "days_since_last_order": (None, 90.0)}],
        1: [{"average_order_value": (26.8, 1235.0)}],
        2: [
            {"average_order_value": (None, 26.8), "days_since_last_order": (90.0, None)},
            {"average_order_value": (1235.0, None)},
        ],
    }


@pytest.mark.parametrize(
    ("ways", "merged"),
    [
        # One goes on where the other ends, in whatever order: x up to 5.
        ([{"x": (None, 3.0)}, {"x": (3.0, 5.0)}], [{"x": (None, 5.0)}]),
        ([{"x": (3.0, 5.0)}, {"x": (None, 3.0)}], [{"x": (None, 5.0)}]),
        # Together they leave x free.
        ([{"x": (None, 3.0), "y": (1.0, None)}, {"x": (3.0, None), "y": (1.0, None)}], [{"y": (1.0, None)}]),
        # Three in a row.
        ([{"x": (None, 1.0)}, {"x": (2.0, 3.0)}, {"x": (1.0, 2.0)}], [{"x": (None, 3.0)}]),
        # A hole between them, another feature too, or a condition that only one has: nothing is merged.
        ([{"x": (None, 3.0)}, {"x": (4.0, None)}], None),
        ([{"x": (None, 3.0), "y": (1.0, None)}, {"x": (3.0, None), "y": (2.0, None)}], None),
        ([{"x": (None, 3.0)}, {"x": (3.0, None), "y": (2.0, None)}], None),
    ],
)
def test_ways_that_meet_are_one(ways: list, merged: list | None) -> None:
    assert _merged(ways) == (ways if merged is None else merged)


def test_words() -> None:
    ways = _branches(PRINTED, FEATURES)
    assert _in_words(ways[1], 1) == "average order value 26.8 to 1,235"
    assert _in_words(ways[2], 3) == (
        "average order value up to 26.8 and days since the last order over 90; or average order value over 1,235 "
        "(the 2 largest of 3 ways)"
    )
    assert _in_words([{"days_since_last_order": (33.0, 60.0)}], 1) == "days since the last order 34 to 60"
    assert _in_words([{}], 1) == "everybody else"
    assert _in_words([], 0) == "no simple rule: the shallow tree has no branch for it"


def shop(spark: SparkSession) -> DataFrame:
    """1,000 customers with order values 0 to 99.9 and 0 to 99 days since the last order, one independent of the other."""
    return spark.range(1000).select(
        F.col("id").cast("string").alias("customer_id"),
        (F.pmod(F.xxhash64("id", F.lit(1)), F.lit(1000)) / 10).alias("average_order_value"),
        F.pmod(F.xxhash64("id", F.lit(2)), F.lit(100)).cast("double").alias("days_since_last_order"),
    )


def test_a_planted_rule_is_found(spark: SparkSession) -> None:
    """Segment 3: order values over 50; 5: others of at most 30 days; 8: the rest. Thresholds lie between 64 quantiles
    of the half that is learned from, so within 2.5 of the truth."""
    segment = F.when(F.col("average_order_value") > 50, 3).when(F.col("days_since_last_order") <= 30, 5).otherwise(8)
    rules = segment_rules(shop(spark).withColumn("segment_id", segment), FEATURES, [3, 5, 8], seed=1)
    assert [rules[s].fidelity for s in (3, 5, 8)] == pytest.approx([1.0, 1.0, 1.0], abs=0.05)
    value, days = r"average order value (over|up to) ([\d.]+)", r"days since the last order (over|up to) (\d+)"
    told = {s: re.match(rf"{value}(?: and {days})?", rules[s].text) for s in (3, 5, 8)}
    assert [told[s][1] for s in (3, 5, 8)] == ["over", "up to", "up to"]  # type: ignore[index]
    assert [told[s][3] for s in (3, 5, 8)] == [None, "up to", "over"]  # type: ignore[index]
    assert [float(told[s][2]) for s in (3, 5, 8)] == pytest.approx([50] * 3, abs=2.5)  # type: ignore[index]
    assert [float(told[s][4]) for s in (5, 8)] == pytest.approx([30, 30], abs=2)  # type: ignore[index]


def test_fidelity_is_of_other_customers(spark: SparkSession) -> None:
    """Segments by chance: what the tree learned by heart is worth nothing on the others, about 1/2 with two of one size."""
    by_chance = F.pmod(F.xxhash64("customer_id", F.lit(9)), F.lit(2)) + 1
    members = shop(spark).withColumn("segment_id", by_chance.cast("int"))
    rules = segment_rules(members, FEATURES, [1, 2], seed=1)
    assert all(rule.fidelity is not None and rule.fidelity < 0.62 for rule in rules.values())


def test_fidelity_is_of_what_is_told(spark: SparkSession) -> None:
    """Segment 1 has three fifths of the order values: up to 20, 40 to 60, over 80. Two of the three ways are told, so its
    rule has two thirds of it and nobody else: 2 * .67 / (.67 + 1) = .8, though the tree behind it is nearly perfect.
    Segment 2 lies in the two gaps, and both are told."""
    fifth = F.floor(F.col("average_order_value") / 20).cast("int")
    members = shop(spark).withColumn("segment_id", fifth % 2 + 1)
    rules = segment_rules(members, FEATURES, [1, 2], seed=1)
    assert rules[1].text.endswith("(the 2 largest of 3 ways)")
    assert rules[1].fidelity == pytest.approx(0.8, abs=0.04)
    assert "ways" not in rules[2].text and "; or " in rules[2].text
    assert rules[2].fidelity == pytest.approx(1.0, abs=0.04)


def test_one_segment_is_everybody(spark: SparkSession) -> None:
    (rule,) = segment_rules(shop(spark), FEATURES, [4], seed=1).values()
    assert (rule.text, rule.fidelity) == ("everybody", 1.0)
