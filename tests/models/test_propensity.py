"""Propensity models on synthetic rows: who is scored by what, the same again, missing values, odd names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from propensity_rows import (
    FEATURES,
    SMALL_LOGISTIC,
    SMALL_TREES,
    as_rows,
    collected,
    settings,
    synthetic,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.config import resolve
from habitue.models import boosted_trees
from habitue.models.lift import auc
from habitue.models.propensity import FeatureSet, Propensity, Recipe, fit, fold, recipes, training_rows

BOTH = pytest.mark.parametrize("recipe", [SMALL_TREES, SMALL_LOGISTIC], ids=["gbt", "logistic"])


@pytest.fixture(scope="module")
def rows(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    return _stored(as_rows(spark, synthetic()), tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def fitted(rows: DataFrame) -> dict[str, Propensity]:
    return {recipe.kind: fit(rows, FEATURES, recipe, settings()) for recipe in (SMALL_TREES, SMALL_LOGISTIC)}


def _stored(frame: DataFrame, folder: Path) -> DataFrame:
    frame.write.mode("overwrite").parquet(str(folder))
    return frame.sparkSession.read.parquet(str(folder))


def _scores(model: Propensity, rows: DataFrame) -> pd.DataFrame:
    return collected(model.score(rows))


def test_recipes_of_the_configuration_have_names_and_documents() -> None:
    found = recipes(resolve().config.prediction)
    assert {recipe.kind for recipe in found} == {"gbt", "logistic"}
    assert len({recipe.name for recipe in found}) == len(found)
    assert [Recipe.from_dict(recipe.to_dict()) for recipe in found] == found
    assert FeatureSet.from_dict(FEATURES.to_dict()) == FEATURES


def test_a_customer_is_in_one_fold_on_every_day(rows: DataFrame) -> None:
    of_customer = rows.groupBy("customer_id").agg(F.count_distinct("fold").alias("n"), F.first("fold").alias("fold"))
    assert of_customer.agg(F.max("n")).collect()[0][0] == 1
    sizes = of_customer.groupBy("fold").count().toPandas()["count"]
    assert len(sizes) == 3 and sizes.min() > 180  # of 700: about a third each


@BOTH
def test_scores_rank_customers_they_never_saw(rows: DataFrame, fitted: dict[str, Propensity], recipe: Recipe) -> None:
    scored = _scores(fitted[recipe.kind], rows)
    best = auc(scored["chance"], scored["label"])
    reached = auc(scored["score"], scored["label"])
    assert best is not None and reached is not None
    assert best - 0.05 < reached < best + 0.02
    assert list(scored.columns) == [*rows.columns, "score", "probability"]
    assert scored["probability"].between(0, 1).all()
    assert abs(scored["probability"].mean() - scored["label"].mean()) < 0.03


@BOTH
def test_nobody_is_scored_by_a_model_that_saw_them(
    spark: SparkSession, fitted: dict[str, Propensity], recipe: Recipe
) -> None:
    """Turning the labels of one fold's customers over, and spoiling their features, leaves their own fold's model alone."""
    rows = as_rows(spark, synthetic())
    own = F.col("fold") == 1
    spoiled = rows.withColumns(
        {
            "label": F.when(own, 1 - F.col("label")).otherwise(F.col("label")),
            "purchase_days_90d": F.when(own, F.lit(99.0)).otherwise(F.col("purchase_days_90d")),
            "favourite_channel": F.when(own, F.lit("spoiled")).otherwise(F.col("favourite_channel")),
        }
    )
    before = _scores(fitted[recipe.kind], rows)
    after = _scores(fit(spoiled, FEATURES, recipe, settings()), rows)
    mine = before["fold"] == 1
    np.testing.assert_allclose(after["score"][mine], before["score"][mine], rtol=1e-9)
    assert (after["score"] - before["score"])[~mine].abs().max() > 0.1  # the others' models did see them


@BOTH
def test_same_rows_in_another_order_and_partitioning_give_the_same_scores(
    rows: DataFrame, fitted: dict[str, Propensity], recipe: Recipe
) -> None:
    again = fit(rows.orderBy(F.desc("chance")).repartition(3), FEATURES, recipe, settings())
    first, second = _scores(fitted[recipe.kind], rows), _scores(again, rows)
    assert (first["score"] == second["score"]).all()
    np.testing.assert_allclose(first["probability"], second["probability"], rtol=1e-9)


def test_trees_of_rows_in_two_parts_are_the_same_each_time(
    rows: DataFrame, fitted: dict[str, Propensity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sums have one sum whichever comes first, so many rows may be divided in two."""
    monkeypatch.setattr(boosted_trees, "ROWS_TO_DIVIDE", 1)
    once, again = (fit(given, FEATURES, SMALL_TREES, settings()) for given in (rows, rows.repartition(3)))
    first, second = _scores(once, rows), _scores(again, rows)
    assert (first["score"] == second["score"]).all()
    # The rows were divided indeed: each part draws its own sample for a tree.
    assert (first["score"] != _scores(fitted["gbt"], rows)["score"]).any()


def test_trees_need_no_setting_for_arrow_and_no_number_of_cores(
    spark: SparkSession, rows: DataFrame, fitted: dict[str, Propensity]
) -> None:
    """Spark 4.0 and 4.1 have it off. Sums of one partition have one order, however many rows and cores there are."""
    spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "false")
    try:
        again = fit(rows, FEATURES, SMALL_TREES, settings())
        assert boosted_trees._frame(spark, np.zeros((150_000, 1)), {}).rdd.getNumPartitions() == 1
    finally:
        spark.conf.unset("spark.sql.execution.arrow.pyspark.enabled")
    assert (_scores(again, rows)["score"] == _scores(fitted["gbt"], rows)["score"]).all()


@BOTH
def test_shuffled_labels_teach_nothing(spark: SparkSession, recipe: Recipe) -> None:
    frame = synthetic(customers=1500)
    frame["label"] = np.random.default_rng(5).permutation(frame["label"])
    rows = as_rows(spark, frame)
    scored = _scores(fit(rows, FEATURES, recipe, settings()), rows)
    reached = auc(scored["score"], scored["label"])
    assert reached is not None and abs(reached - 0.5) < 0.04  # standard error .01


@BOTH
def test_missing_values_and_unseen_categories_have_scores(
    spark: SparkSession, fitted: dict[str, Propensity], recipe: Recipe
) -> None:
    frame = synthetic(customers=6, snapshots=1)
    frame["favourite_channel"] = ["never seen", None, "", "app", "o'clock \\ \"", "web"]
    for name in FEATURES.numeric:
        frame.loc[:3, name] = np.nan
    frame.loc[4, FEATURES.numeric[0]] = np.inf
    scored = _scores(fitted[recipe.kind], as_rows(spark, frame).drop("label"))
    assert len(scored) == 6 and np.isfinite(scored[["score", "probability"]].to_numpy()).all()


@BOTH
def test_what_is_missing_altogether_or_constant_is_no_obstacle(spark: SparkSession, recipe: Recipe) -> None:
    rows = as_rows(spark, synthetic(customers=300))
    odd = rows.withColumns(
        {"nothing": F.lit(None).cast("double"), "one": F.lit(1.0), "no text": F.lit(None).cast("string")}
    )
    features = FeatureSet(("nothing", "one", *FEATURES.numeric), ("no text",))
    scored = _scores(fit(odd, features, recipe, settings()), odd)
    reached = auc(scored["score"], scored["label"])
    assert reached is not None and reached > 0.7


@BOTH
def test_a_stored_model_gives_the_same_scores(
    rows: DataFrame, fitted: dict[str, Propensity], recipe: Recipe, tmp_path: Path
) -> None:
    model = fitted[recipe.kind]
    model.save(str(tmp_path / "model"))
    model.save(str(tmp_path / "model"))  # again, in its own place
    loaded = Propensity.load(str(tmp_path / "model"))
    assert loaded.to_json() == model.to_json()
    pd.testing.assert_frame_equal(_scores(loaded, rows), _scores(model, rows))


def test_a_bound_on_training_rows_keeps_whole_customers(rows: DataFrame) -> None:
    every = training_rows(rows, FEATURES, settings())
    some = training_rows(rows, FEATURES, settings(training_rows=500))
    assert len(every.labels) == 1400
    assert 400 < len(some.labels) < 600
    assert len(some.labels) % 2 == 0  # both snapshots of a customer, or none


def test_probabilities_are_those_of_the_newest_days(spark: SparkSession) -> None:
    # The rows of the second snapshot turn out half as often as those of the first.
    frame = synthetic(seed=5, customers=2000)
    is_late = frame["snapshot"] == 1
    kept = np.random.default_rng(6).random(len(frame)) < 0.5
    frame["label"] = np.where(is_late & ~kept, 0, frame["label"])
    rows = as_rows(spark, frame)
    late = frame.loc[is_late, "label"]
    for positives, expected in ((int(late.sum()) // 2, late.mean()), (10_000, frame["label"].mean())):
        model = fit(rows, FEATURES, SMALL_LOGISTIC, settings(calibration_positives=positives))
        said = model.score(rows.where("snapshot = 1")).agg(F.avg("probability")).collect()[0][0]
        assert said == pytest.approx(expected, abs=0.02)
    assert frame["label"].mean() - late.mean() > 0.08


def test_one_class_only_is_refused_with_the_reason(rows: DataFrame) -> None:
    with pytest.raises(ValueError, match="hold 0 positives"):
        fit(rows.withColumn("label", F.lit(0)), FEATURES, SMALL_LOGISTIC, settings())


def test_some_features_of_rows_that_were_fetched_are_those_features(rows: DataFrame) -> None:
    fewer = FeatureSet(FEATURES.numeric[1:], FEATURES.text[:1])
    fetched = training_rows(rows, FEATURES, settings())
    own = fit(rows, fewer, SMALL_LOGISTIC, settings())
    assert fit(fetched, fewer, SMALL_LOGISTIC, settings()).features == fewer
    first, second = _scores(own, rows), _scores(fit(fetched, fewer, SMALL_LOGISTIC, settings()), rows)
    np.testing.assert_allclose(first["score"], second["score"], atol=1e-4)


def test_fold_is_the_published_hash(spark: SparkSession) -> None:
    ids = spark.createDataFrame([(f"c{i}",) for i in range(50)], "customer_id string")
    found = ids.select(fold(F.col("customer_id"), 5).alias("f"), F.expr("pmod(xxhash64(customer_id), 5)").alias("e"))
    assert all(row["f"] == row["e"] for row in found.collect())
