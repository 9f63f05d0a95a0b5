"""Shops whose truth is known, through the tables of a run: what is there is found, and what is not there is not claimed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from segment_shops import (
    AS_OF,
    Group,
    Shop,
    agreement,
    assert_planted_cycles,
    assert_three_rhythms,
    build_shop,
    purchases,
    select,
    three_rhythms,
)

from habitue.config import Config, resolve
from habitue.errors import NotApplicable
from habitue.models.segment_choice import UNDIVIDED
from habitue.models.segmentation import place
from habitue.tables.features import customer_history
from habitue.tables.segments import _work_fit_features, segments
from habitue.tables.segments.segment_candidates import customers_of


def segments_settings(**settings: object) -> Config:
    return resolve(overrides={"segments": settings}).config


@pytest.fixture(scope="module")
def rhythms(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return build_shop(spark, tmp_path_factory.mktemp("rhythms"), three_rhythms())


@pytest.fixture(scope="module")
def two_rates(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A year of 500 Poisson buyers, half with a median gap of 4 days and half with 30; the shop keeps dates only."""
    groups = [Group(250, 4, regularity=1), Group(250, 30, regularity=1)]
    bought = purchases(groups, 365, seed=1).drop(columns="amount")
    return build_shop(spark, tmp_path_factory.mktemp("two_rates"), bought)


def test_three_rhythms_are_three_segments_though_the_silhouette_says_two(rhythms: Shop) -> None:
    assert_three_rhythms(rhythms)


def test_planted_rhythms_come_back_in_the_figures(rhythms: Shop) -> None:
    assert_planted_cycles(rhythms)


def test_two_rhythms_in_one_group_are_mixed_and_split(rhythms: Shop, spark: SparkSession, tmp_path: Path) -> None:
    """Where only 30 points of gain are reason for another segment, two are chosen, and one of them holds two rhythms.
    It is `mixed`, and un-pruning it gives those two."""
    config = segments_settings(min_gain=0.3)
    selection = select(tmp_path, rhythms.fit_features, rhythms.features, rhythms.history, config)
    (chosen,) = selection.segment_candidates.where("is_chosen").collect()
    assert chosen["segment_count"] == 2
    (decision,) = chosen["refinement"]
    assert decision.startswith("split node") and "mixed; in two the gain rises by" in decision
    assert len(selection.segmentation.nodes) == 3
    placed = place(selection.segmentation, customers_of(rhythms.features, rhythms.history)).toPandas()
    assert agreement(placed) >= 0.9


def test_one_mixed_segment_stays_one_where_the_gates_refused_every_division(
    rhythms: Shop, spark: SparkSession, tmp_path: Path
) -> None:
    """Refits to samples of nine customers need to agree in everything, and do not; that two segments gain much is then no
    matter."""
    config = segments_settings(min_stability=1.0, stability_share=0.02)
    selection = select(tmp_path, rhythms.fit_features, rhythms.features, rhythms.history, config)
    rows = {row["segment_count"]: row for row in selection.segment_candidates.collect()}
    assert rows[2]["cycle_gain_low"] > 0 and not any(rows[count]["is_eligible"] for count in rows if count > 1)
    (decision,) = rows[1]["refinement"]
    assert decision.startswith("kept node 0: mixed, but 2 segments are not eligible: refits agree only 0.")
    assert len(selection.segmentation.nodes) == 1
    assert selection.segmentation.summary == "one segment: no division of the customers passes the gates"


def test_names_of_earlier_snapshots_stay_with_their_ids(rhythms: Shop, spark: SparkSession) -> None:
    """One segment was named before; a name that another would get belongs to an id that is gone."""
    first, second, third = rhythms.segments.sort_values("segment_id")["name"]
    model = replace(rhythms.model, names=((1, "Old friends"), (99, second)))
    frames = (spark.createDataFrame(rhythms.members), rhythms.features, rhythms.history)
    described = segments.build(*frames, model, AS_OF, rhythms.config.segments).select("segment_id", "name").collect()
    names = {row["segment_id"]: row["name"] for row in described}
    assert sorted(names) == [1, 2, 3]
    assert (names[1], names[3]) == ("Old friends", third)
    assert names[2] not in {first, second, third, "Old friends"} and names[2].startswith(second)


def test_two_poisson_groups_are_told_apart_representative_and_not_regular(two_rates: Shop) -> None:
    """Without a memory, so their cycles tell how often they come and not when; R of a Poisson buyer is 0."""
    assert two_rates.chosen["segment_count"] == 2
    assert agreement(two_rates.members) >= 0.9
    found = two_rates.segments.sort_values("cycle_days")
    # Whole days without the day itself make the short gaps of the quick group a little longer, and the same day is once.
    assert list(found["cycle_days"]) == pytest.approx([4, 30], rel=0.15)
    assert list(found["verdict"]) == ["representative"] * 2
    assert list(found["is_regular"]) == [False] * 2
    assert list(found["concentration"]) == pytest.approx([0, 0], abs=0.1)


def test_a_shop_of_dates_only_works(two_rates: Shop) -> None:
    found = two_rates.segments
    assert found["revenue"].isna().all()
    assert found["average_order_value"].isna().all()
    assert not found["rule"].str.contains("value").any()
    assert "average_order_value" not in [f.name for f in two_rates.model.scaling.features]
    assert found["description"].str.contains("typically come back after").all()


def test_segments_add_up_to_the_customers(rhythms: Shop, two_rates: Shop) -> None:
    for shop in (rhythms, two_rates):
        sizes = shop.members.groupby("segment_id").size()
        assert dict(zip(shop.segments["segment_id"], shop.segments["customers"], strict=True)) == sizes.to_dict()
        for kind in ("core", "fringe", "outside"):
            of_kind = shop.members["segment_id"][shop.members["membership"] == kind].value_counts()
            published = shop.segments.set_index("segment_id")[f"{kind}_customers"]
            assert published[published > 0].to_dict() == of_kind.to_dict()
        assert sizes.sum() == shop.features.count() == len(shop.members["customer_id"].unique())
        assert shop.segments["share"].sum() == pytest.approx(1)
    assert rhythms.segments["revenue_share"].sum() == pytest.approx(1)


# Mean and covariance of the features of Complete Journey's households on 2017-08-08, rates and amounts as log1p.
FEATURES = (
    "typical_gap_days",
    "purchase_days_per_month",
    "average_order_value",
    "days_since_last_order",
    "regularity",
    "breadth",
    "discount_share",
)
MEAN = (1.960, 1.445, 3.419, 2.104, 0.756, 4.971, 0.153)
COVARIANCE = (
    (0.348, -0.356, -0.017, 0.318, -0.017, -0.448, 0.001),
    (-0.356, 0.480, 0.059, -0.514, 0.032, 0.660, -0.001),
    (-0.017, 0.059, 0.411, -0.133, 0.006, 0.438, -0.002),
    (0.318, -0.514, -0.133, 1.327, -0.033, -0.820, -0.003),
    (-0.017, 0.032, 0.006, -0.033, 0.060, 0.042, 0.000),
    (-0.448, 0.660, 0.438, -0.820, 0.042, 1.394, 0.006),
    (0.001, -0.001, -0.002, -0.003, 0.000, 0.006, 0.004),
)
TWIN_SEED = 1


def twin_of_a_grocer(spark: SparkSession, customers: int, seed: int) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Features of one Gaussian cloud, and gaps that have nothing to do with them: fit features, features, history."""
    chance = np.random.default_rng(seed)
    drawn = chance.multivariate_normal(MEAN, COVARIANCE, customers)
    values = {
        n: drawn[:, i] if n in ("regularity", "discount_share") else np.expm1(drawn[:, i])
        for i, n in enumerate(FEATURES)
    }
    gaps = np.maximum(np.rint(chance.exponential(14, (customers, 12))), 1).astype(int)
    twin = pd.DataFrame(
        {
            "customer_id": [f"t-{i}" for i in range(customers)],
            **values,
            "gaps_days": [list(map(int, own[:10])) for own in gaps],
            "open_gap_days": gaps[:, 10],
            "has_held_out": True,
            "held_out_gap_days": gaps[:, 11],
        }
    )
    frame = spark.createDataFrame(twin).withColumn("gaps_days", F.col("gaps_days").cast("array<int>"))
    whole = {name: F.col(name).cast("int") for name in ("open_gap_days", "held_out_gap_days")}
    fit = frame.withColumns({**whole, "fit_day": F.lit(date(2023, 8, 8)), "horizon_days": F.lit(73)})
    days = F.greatest(F.round("days_since_last_order"), F.lit(1)).cast("int")
    features = frame.select("customer_id", *FEATURES).withColumn("days_since_last_order", days)
    history = frame.select("customer_id", "gaps_days", F.lit(date(2023, 1, 1)).alias("first_order_day"))
    return fit, features, history


def test_a_structureless_twin_of_a_real_shop_is_one_segment_and_says_so(spark: SparkSession, tmp_path: Path) -> None:
    selection = select(tmp_path, *twin_of_a_grocer(spark, 500, TWIN_SEED), segments_settings())
    assert len(selection.segmentation.nodes) == 1
    assert selection.segmentation.summary == "one segment: no division of the customers passes the gates"
    rows = {row["segment_count"]: row for row in selection.segment_candidates.collect()}
    assert rows[1]["is_chosen"]
    assert not any(row["is_eligible"] for count, row in rows.items() if count > 1)
    assert "within reach of structureless customers" in rows[2]["reason"]


def on(day: int) -> date:
    return AS_OF - timedelta(days=day)


def one_segment_of(shop: Shop, customers: int, why: str) -> pd.Series:
    """The only segment of a shop that is not divided, after checking that the tables say so and why."""
    assert shop.model.summary == f"one segment: {why}"
    assert shop.chosen["segment_count"] == 1 and shop.chosen["reason"] == f"chosen: {why}"
    assert list(shop.segments["customers"]) == [customers]
    segment = shop.segments.iloc[0]
    assert (segment["segment_id"], segment["rule"]) == (1, "everybody")
    assert len(shop.members) == customers
    return segment


def test_a_shop_of_40_customers(spark: SparkSession, tmp_path: Path) -> None:
    shop = build_shop(spark, tmp_path, purchases([Group(40, 20, regularity=2)], 365, seed=3))
    segment = one_segment_of(shop, 40, UNDIVIDED)
    assert segment["cycle_days"] == pytest.approx(20, rel=0.2)
    assert segment["verdict"] == "insufficient"  # fewer than 100 customers with two gaps


def test_one_customer_with_one_order(spark: SparkSession, tmp_path: Path) -> None:
    bought = pd.DataFrame({"customer_id": ["g-1"], "day": [on(30)], "amount": [5.0]})
    segment = one_segment_of(build_shop(spark, tmp_path, bought), 1, UNDIVIDED)
    assert segment["name"] == "One-time buyers"
    assert np.isnan(segment["cycle_days"])
    assert "have not come back yet" in segment["description"]


def test_ten_thousand_customers_who_are_all_alike(spark: SparkSession, tmp_path: Path) -> None:
    """Six purchases each, every 40 days."""
    orders = spark.range(60_000).withColumn("nth", (F.col("id") % 6).cast("int"))
    bought = orders.select(
        F.concat(F.lit("g-"), F.floor(F.col("id") / 6)).alias("customer_id"),
        F.date_sub(F.lit(AS_OF), 260 - 40 * F.col("nth")).alias("day"),
        F.lit(20.0).alias("amount"),
    )
    segment = one_segment_of(build_shop(spark, tmp_path, bought), 10_000, UNDIVIDED)
    assert segment["cycle_days"] == pytest.approx(40)
    assert (segment["verdict"], segment["is_regular"]) == ("representative", True)


def test_only_one_time_buyers(spark: SparkSession, tmp_path: Path) -> None:
    """300 customers, 60 of whom spend fifty times as much: groups by value there may be, a cycle there is not."""
    chance = np.random.default_rng(4)
    bought = pd.DataFrame(
        {
            "customer_id": [f"g{int(i < 60)}-{i}" for i in range(300)],
            "day": [on(int(d)) for d in chance.integers(1, 365, 300)],
            "amount": [round(v, 2) for v in np.where(np.arange(300) < 60, 1000, 20) * chance.lognormal(0, 0.1, 300)],
        }
    )
    shop = build_shop(spark, tmp_path, bought)
    assert "no common cycle" in shop.model.summary or shop.model.summary.startswith("one segment: ")
    assert shop.segments["customers"].sum() == 300
    assert shop.segments["cycle_days"].isna().all()
    assert set(shop.segments["verdict"]) == {"insufficient"}
    assert (shop.segments["return_probability"] == 0).all()
    assert shop.segments["name"].str.startswith("One-time buyers").all() and shop.segments["name"].is_unique
    assert set(shop.members["membership"]) <= {"core", "fringe"}


def test_where_nobody_has_bought_yet_there_is_a_sentence(spark: SparkSession) -> None:
    config = segments_settings()
    nobody = spark.createDataFrame([], customer_history.TABLE.schema)
    lines = spark.createDataFrame([], "known_day date")
    with pytest.raises(NotApplicable, match="nobody had bought anything before 2024-01-01"):
        _work_fit_features.build(lines, nobody, AS_OF, config.features, config.loyal, config.segments, None, None)
