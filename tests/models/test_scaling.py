"""Features on one scale: hand-worked figures, what is left out, and no dependence on the order of the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from habitue.models.scaling import NORMAL_QUARTILES, FeatureScale, Scaling, learn_scaling


def values(spark: SparkSession, scaling: Scaling, rows: list[tuple[float | None]], name: str) -> list[float]:
    frame = scaling.apply(spark.createDataFrame(rows, f"{name} double"))
    return [row[0] for row in frame.select(f"scaled_{name}").collect()]


def test_one_feature_by_hand(spark: SparkSession) -> None:
    """Logged, kept in [1, 3] and divided by .5, times the weight 2: e - 1 -> ln e = 1 -> 4; 0 -> 0, kept at 1 -> 4;
    e^5 - 1 -> 5, kept at 3 -> 12; a missing one -> the typical 2 -> 8; a negative one counts as 0 -> 4."""
    scale = FeatureScale("rate", is_logged=True, typical=2.0, low=1.0, high=3.0, spread=0.5, weight=2.0)
    rows = [(math.e - 1,), (0.0,), (math.exp(5) - 1,), (None,), (-7.0,)]
    assert values(spark, Scaling((scale,)), rows, "rate") == pytest.approx([4.0, 4.0, 12.0, 8.0, 4.0])
    plain = FeatureScale("trend", is_logged=False, typical=0.0, low=-1.0, high=1.0, spread=0.5, weight=1.0)
    assert values(spark, Scaling((plain,)), [(-0.5,), (3.0,)], "trend") == pytest.approx([-1.0, 2.0])


def test_scales_are_learned_from_quantiles(spark: SparkSession) -> None:
    """trend is 0, 1, ..., 1000: quartiles 250 and 750, quantiles 10 and 990 at 1 % and 99 %."""
    frame = spark.range(1001).select(F.col("id").cast("string").alias("customer_id"), F.col("id").alias("trend"))
    (scale,) = learn_scaling(frame, {"trend": 0.5}, 0.01).features
    assert (scale.low, scale.typical, scale.high) == (10, 500, 990)
    assert scale.spread == pytest.approx(500 / NORMAL_QUARTILES)
    assert (scale.is_logged, scale.weight) == (False, 0.5)


def test_rates_are_logged(spark: SparkSession) -> None:
    frame = spark.range(1001).select(F.col("id").cast("string").alias("customer_id"), F.col("id").alias("breadth"))
    (scale,) = learn_scaling(frame, {"breadth": 1.0}, 0.01).features
    assert scale.is_logged
    assert (scale.low, scale.typical, scale.high) == pytest.approx(tuple(np.log1p([10, 500, 990])), abs=1e-4)


def test_what_tells_nobody_apart_is_left_out(spark: SparkSession) -> None:
    """All alike; missing throughout; not there at all. One that only 2 % have otherwise still tells them apart."""
    frame = spark.range(1000).select(
        F.col("id").cast("string").alias("customer_id"),
        F.lit(3.0).alias("breadth"),
        F.lit(None).cast("double").alias("discount_share"),
        F.when(F.col("id") < 20, 1.0).otherwise(0.0).alias("weekend_share"),
        F.when(F.col("id") < 5, 1.0).otherwise(0.0).alias("trend"),
    )
    weights = dict.fromkeys(("breadth", "discount_share", "weekend_share", "trend", "regularity"), 1.0)
    assert [f.name for f in learn_scaling(frame, weights, 0.01).features] == ["weekend_share"]


def test_the_order_of_the_rows_does_not_matter(spark: SparkSession) -> None:
    """More rows than fit the sketch of an approximate percentile, in one piece and in many, forwards and backwards."""
    rows = spark.range(60_000).select(
        F.col("id").cast("string").alias("customer_id"), (F.xxhash64("id") / 2.0**63).alias("trend")
    )
    learned = [
        learn_scaling(frame, {"trend": 1.0}, 0.01)
        for frame in (rows.coalesce(1), rows.repartition(7), rows.orderBy(F.desc("id")))
    ]
    assert learned[0] == learned[1] == learned[2]


def test_scales_survive_being_written(spark: SparkSession) -> None:
    frame = spark.range(100).select(F.col("id").cast("string").alias("customer_id"), F.col("id").alias("breadth"))
    scaling = learn_scaling(frame, {"breadth": 1.0}, 0.01)
    assert Scaling.from_rows(scaling.to_rows()) == scaling
    assert scaling.columns == ["scaled_breadth"]
