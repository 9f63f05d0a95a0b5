"""Choosing, testing and scoring, on synthetic snapshots whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prediction_snapshots import AS_OF, CUSTOMERS, DAYS, HORIZON, loyalty_snapshots, response_snapshots, settings
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.config import resolve
from habitue.errors import NotApplicable
from habitue.models.lift import auc_difference, evaluate
from habitue.models.lift_claim import CANNOT, MET, NOT_SHOWN, claim, claim_sentence
from habitue.models.prediction_record import PredictionRecord
from habitue.models.propensity import OneClass, Propensity, Recipe, fit, fold
from habitue.tables.loyalty import loyalty_prediction, predicting, response_prediction
from habitue.tables.loyalty.loyalty_prediction import loyalty_evaluation, loyalty_scores
from habitue.tables.loyalty.predicting import PLAIN_SORT, Tested, known_before_the_test, tested_on_later_rows
from habitue.tables.loyalty.response_prediction import response_evaluation, response_scores, test_days

CONFIG = resolve().config
test_days.__test__ = False  # type: ignore[attr-defined]


def predicted(snapshots: DataFrame, folder: Path, **changes: Any) -> loyalty_prediction.Prediction:
    earlier = changes.pop("earlier", None)
    return loyalty_prediction.build(
        snapshots, AS_OF, settings(**changes), CONFIG.loyal, CONFIG.shop, str(folder / "mllib"), earlier, None
    )


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("loyalty")
    loyalty_snapshots(spark).write.parquet(str(folder / "snapshots"))
    snapshots = spark.read.parquet(str(folder / "snapshots"))
    found = predicted(snapshots, folder)
    scores = loyalty_scores.TABLE.conform(found.loyalty_scores).collect()
    evaluation = loyalty_evaluation.TABLE.conform(found.loyalty_evaluation).collect()
    return {"prediction": found, "scores": scores, "evaluation": evaluation, "snapshots": snapshots}


def test_what_was_planted_is_found_and_tested_on_the_newest_complete_snapshot(built: dict[str, Any]) -> None:
    whole = [r for r in built["evaluation"] if r["is_whole_population"] and r["left_out_source"] is None]
    by_model = {r["model"]: r for r in whole}
    chosen = [r for r in whole if r["is_chosen"]]
    assert len(whole) == 3 and len(chosen) == 1
    assert chosen[0]["tested_on"] == AS_OF - timedelta(days=HORIZON)
    assert chosen[0]["auc"] > 0.75
    assert by_model[PLAIN_SORT]["auc"] < 0.6  # the plain score is noise here
    assert by_model[PLAIN_SORT]["brier"] is None
    regular = CUSTOMERS * 9 // 10
    assert chosen[0]["customers"] == regular
    assert chosen[0]["base_rate"] == pytest.approx(chosen[0]["positives"] / regular)
    assert sum(decile["customers"] for decile in chosen[0]["reliability"]) == regular
    assert f"{chosen[0]['lift_ratio']:.1f} times" in chosen[0]["says"]


def test_what_the_customers_source_is_worth_is_shown(built: dict[str, Any]) -> None:
    rows = {
        r["left_out_source"]: r for r in built["evaluation"] if r["is_whole_population"] and r["model"] != PLAIN_SORT
    }
    assert "customers" in rows and not rows["customers"]["is_chosen"]
    chosen = next(r for r in built["evaluation"] if r["is_chosen"] and r["is_whole_population"])
    assert rows["customers"]["auc"] < chosen["auc"]


def test_everyone_has_a_row_and_loyal_customers_no_probability(built: dict[str, Any]) -> None:
    scores = built["scores"]
    assert len(scores) == CUSTOMERS
    loyal = [r for r in scores if r["is_loyal"]]
    assert len(loyal) == CUSTOMERS // 10
    assert all(r["probability"] is None and r["percentile"] is None and not r["is_prospect"] for r in loyal)
    regular = [r for r in scores if not r["is_loyal"]]
    assert all(0 < r["probability"] < 1 for r in regular)
    prospects = [r for r in regular if r["is_prospect"]]
    assert len(prospects) == len(regular) // 10  # ties at the cut add nobody
    others = [r for r in regular if not r["is_prospect"]]
    assert min(r["percentile"] for r in prospects) >= max(r["percentile"] for r in others)
    assert all(1 <= len(r["reasons"]) <= 3 for r in prospects)
    assert all(r["reasons"] is None for r in regular if not r["is_prospect"])


def test_of_those_who_tie_at_the_cut_some_are_prospects_whatever_the_order(spark: SparkSession) -> None:
    # The first two are on top; of 30 rows three are wanted, and 28 tie for the third place. .1 x 30 is 3 rows, not 4.
    rows = [(f"c{i}", 2.0 if i < 2 else 1.0) for i in range(30)]
    found = []
    for given in (rows, rows[::-1]):
        frame = spark.createDataFrame(given, "customer_id string, score double").repartition(3)
        ranked = loyalty_prediction.with_percentile(frame, [], 0.1)
        found.append(sorted(r["customer_id"] for r in ranked.where("is_prospect").collect()))
    assert len(found[0]) == 3 and found[0] == found[1] and {"c0", "c1"} <= set(found[0])


@pytest.mark.parametrize("kind", ["logistic", "gbt"])
def test_shuffled_labels_teach_nothing(built: dict[str, Any], kind: str, tmp_path: Path) -> None:
    """Labels shuffled in training and test: the mean AUC of ten shuffles is .5 (a single one's standard error is .04)."""
    few = settings()
    task, _ = loyalty_prediction.task_of(built["snapshots"], AS_OF, few)
    labels = task.rows.select("customer_id", "snapshot_on", "label").orderBy("customer_id", "snapshot_on").toPandas()
    for seed in range(10):
        labels[f"label_{seed}"] = np.random.default_rng(seed).permutation(labels["label"])
    shuffled = task.rows.sparkSession.createDataFrame(labels.drop(columns="label"))
    task.rows.join(shuffled, ["customer_id", "snapshot_on"]).write.parquet(str(tmp_path / "shuffled"))
    stored = task.rows.sparkSession.read.parquet(str(tmp_path / "shuffled"))
    recipe = {
        "logistic": Recipe("logistic", few.linear[0].model_dump()),
        "gbt": Recipe("gbt", few.trees[0].model_dump()),
    }[kind]
    areas = []
    for seed in range(10):
        one = replace(task, rows=stored.withColumn("label", F.col(f"label_{seed}")))
        known = known_before_the_test(one, few)
        tested = tested_on_later_rows(one, known, task.features, recipe, few, {"test_rows": CUSTOMERS})
        areas.append(tested.found.auc)
    assert abs(np.mean(areas) - 0.5) < 0.03, areas


def test_prospects_are_those_who_bought_lately(built: dict[str, Any]) -> None:
    now = {r["customer_id"]: r for r in built["snapshots"].where(F.col("snapshot_on") == F.lit(AS_OF)).collect()}
    prospects = [now[r["customer_id"]] for r in built["scores"] if r["is_prospect"]]
    assert all(r["days_since_last_order"] < 45 for r in prospects)
    said = [reason for r in built["scores"] if r["reasons"] for reason in r["reasons"]]
    assert any("last bought" in reason for reason in said)


def test_the_kept_model_scores_as_the_run_did(built: dict[str, Any]) -> None:
    text = built["prediction"].loyalty.to_json()
    record = PredictionRecord.from_json(text)
    assert record.to_json() == text
    model = Propensity.from_json(record.document, record.folder)
    _, rows = loyalty_prediction.task_of(built["snapshots"], AS_OF, settings())
    now = rows.where((F.col("snapshot_on") == F.lit(AS_OF)) & ~F.col("is_loyal"))
    again = model.score(loyalty_prediction.folded(now, settings())).select("customer_id", "probability").collect()
    before = {r["customer_id"]: r["probability"] for r in built["scores"]}
    assert all(r["probability"] == pytest.approx(before[r["customer_id"]], rel=1e-9) for r in again)


def test_a_challenger_needs_more_than_its_standard_error_and_nothing_later_counts(
    built: dict[str, Any], tmp_path: Path
) -> None:
    """The champion so far is the recipe that was not chosen; and the scored snapshot, later than the tests, is another one."""
    kinds = {"gbt": settings().trees[0], "logistic": settings().linear[0]}
    chosen = built["prediction"].loyalty.recipe
    other = next(k for k in kinds if k != chosen.kind)
    holder = replace(built["prediction"].loyalty, recipe=Recipe(other, kinds[other].model_dump()))
    is_later = F.col("snapshot_on") == F.lit(AS_OF)
    spoiled = F.when(is_later, F.lit(1.0)).otherwise(F.col("days_since_last_order"))
    later = built["snapshots"].withColumn("days_since_last_order", spoiled)
    found = predicted(later, tmp_path, earlier=holder, left_out_sources=False)
    assert figures(found.loyalty) == figures(built["prediction"].loyalty)
    rows = {r["model"]: r for r in found.loyalty.evaluations if r["is_whole_population"]}
    gain = rows[chosen.name]["auc"] - rows[holder.recipe.name]["auc"]
    if found.challenger is None:
        assert found.loyalty.recipe == chosen and gain > 0
        assert "beats the champion before" in found.loyalty.notes[0]
    else:
        assert found.loyalty.recipe == holder.recipe
        assert found.challenger.recipe == chosen and not found.challenger.takes_over
        assert "stays champion" in found.loyalty.notes[0]


def test_a_challenger_is_promoted_just_above_one_standard_error_and_not_just_below() -> None:
    """Of 800 rows the holder ranks by noise alone; the challenger has 40 positives lower, and more and more others higher."""
    few, rng = settings(), np.random.default_rng(2)
    label = (rng.random(800) < 0.3).astype(float)
    noise = rng.normal(size=800)
    positives = np.flatnonzero(label)
    recipes = [Recipe("logistic", few.linear[0].model_dump()), Recipe("gbt", few.trees[0].model_dump())]

    def outcome(moved: int) -> tuple[Recipe, str, float]:
        better = noise.copy()
        better[positives[:40]] -= 0.5
        better[positives[40 : 40 + moved]] += 0.5
        tested = {}
        for recipe, score in zip(recipes, (better, noise), strict=True):
            rows = pd.DataFrame({"score": score, "label": label, "customer": np.arange(800)})
            tested[recipe.name] = Tested(None, rows, None)  # type: ignore[arg-type]
        compared = auc_difference(better, noise, label, np.arange(800), draws=few.bootstrap_draws, seed=few.seed)
        champion, said = predicting._champion(recipes[0], recipes[1], tested, few)
        return champion, said, float(compared.difference or 0) / float(compared.standard_error or 1)

    above = next(moved for moved in range(40, 200) if outcome(moved)[2] > 1)
    champion, said, ratio = outcome(above)
    assert 1 < ratio < 1.15 and champion == recipes[0] and "beats the champion before" in said
    champion, said, ratio = outcome(above - 1)
    assert 0.85 < ratio <= 1 and champion == recipes[1] and "stays champion" in said


def figures(record: PredictionRecord) -> dict[tuple[str, str], tuple[float, float]]:
    """AUC and ratio of every model and population, without the left-out sources."""
    kept = [row for row in record.evaluations if row["left_out_source"] is None]
    return {(row["model"], row["population"]): (row["auc"], row["lift_ratio"]) for row in kept}


def test_too_few_positives_are_a_sentence(built: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="a prediction needs 5000"):
        predicted(built["snapshots"], tmp_path, min_positives=5000)


def test_without_room_for_validation_the_newest_training_rows_choose(built: dict[str, Any], tmp_path: Path) -> None:
    short = built["snapshots"].where(F.col("snapshot_on") >= F.lit(DAYS[2]))
    task, _ = loyalty_prediction.task_of(short, AS_OF, settings())
    assert task.validated_on is None
    assert predicted(short, tmp_path, left_out_sources=False).loyalty.recipe.kind in ("gbt", "logistic")


def test_too_few_validation_positives_leave_the_choice_to_rows_before_the_test(built: dict[str, Any]) -> None:
    task, _ = loyalty_prediction.task_of(built["snapshots"], AS_OF, settings())
    is_validation = F.col("begins_on") == F.lit(task.validated_on)
    nobody = replace(task, rows=task.rows.withColumn("label", F.when(is_validation, 0).otherwise(F.col("label"))))
    # The validation snapshot, which is the newest to train on too, has none: all training rows are left.
    assert {recipe.kind for recipe in predicting.best_of_each_kind(nobody, settings())} == {"gbt", "logistic"}
    with pytest.raises(NotApplicable, match="to choose a model by"):
        predicting.best_of_each_kind(nobody, settings(min_positives=1000))


def test_a_fold_with_one_class_is_a_sentence_and_not_a_failure(built: dict[str, Any], tmp_path: Path) -> None:
    """All positives are of the customers of one fold: the model for that fold has none to learn from."""
    task, _ = loyalty_prediction.task_of(built["snapshots"], AS_OF, settings())
    own = fold(F.col("customer_id"), 2) == 0
    lopsided = replace(task, rows=task.rows.withColumn("label", F.when(own, F.col("label")).otherwise(0)))
    with pytest.raises(NotApplicable, match="too few turned loyal"):
        predicting.study(lopsided, settings(), str(tmp_path), None, None)
    alike = lopsided.rows.withColumn("fold", fold(F.col("customer_id"), 2))
    with pytest.raises(OneClass, match="hold 0 positives"):
        fit(alike, task.features, Recipe("logistic", settings().linear[0].model_dump()), settings())


def test_a_shorter_horizon_is_said(built: dict[str, Any]) -> None:
    assert any("too short for 90 days" in note and "30 days" in note for note in built["prediction"].loyalty.notes)


def test_training_rows_have_labels_that_were_known(built: dict[str, Any]) -> None:
    task, _ = loyalty_prediction.task_of(built["snapshots"], AS_OF, settings())
    assert (task.validated_on, task.tested_on) == (DAYS[2], DAYS[1])
    for day, begins in ((DAYS[2], [DAYS[3]]), (DAYS[1], [DAYS[3], DAYS[2]])):
        assert sorted(r[0] for r in task.training(day).select("begins_on").distinct().collect()) == begins
    newest = replace(task, max_snapshots=1).training(DAYS[1])
    assert [r[0] for r in newest.select("begins_on").distinct().collect()] == [DAYS[2]]


def test_responses_are_scored_for_coming_campaigns(spark: SparkSession, tmp_path: Path) -> None:
    # Of the campaign to come it is not known whom it goes to.
    response_snapshots(spark).write.parquet(str(tmp_path / "snapshots"))
    snapshots = spark.read.parquet(str(tmp_path / "snapshots"))
    found = response_prediction.build(snapshots, AS_OF, settings(), CONFIG.shop, str(tmp_path / "m"), None, None)
    scores = response_scores.TABLE.conform(found.response_scores).collect()
    assert {r["campaign_id"] for r in scores} == {"K6"}
    assert len(scores) == 150
    assert sum(r["reasons"] is not None for r in scores) == 15
    assert any("1 of 1 coming campaigns it is not known whom" in note for note in found.response.notes)
    rows = response_evaluation.TABLE.conform(found.response_evaluation).collect()
    chosen = next(r for r in rows if r["is_chosen"])
    assert chosen["tested_on"] == AS_OF - timedelta(days=90)
    assert chosen["horizon_days"] is None and chosen["auc"] > 0.6
    assert chosen["customers"] == 300  # the campaigns of October and November; December's is over after the as-of


def test_a_customer_counts_no_more_often_than_the_newest_sends(spark: SparkSession) -> None:
    task, _ = response_prediction.task_of(response_snapshots(spark), AS_OF, settings(max_snapshots=2))
    kept = task.training(AS_OF).select("customer_id", "campaign_id").collect()
    assert len(kept) == 300
    assert {row["campaign_id"] for row in kept} == {"K4", "K5"}  # of K0 to K5, which are over


def test_the_shortest_period_with_enough_responders_is_tested() -> None:
    campaigns = [(date(2023, month, 1), date(2023, month, 20), 30) for month in range(1, 13)]
    assert test_days(campaigns, AS_OF, 60) == (date(2023, 10, 3), date(2023, 7, 5))
    assert test_days(campaigns, AS_OF, 100) == (date(2023, 7, 5), None)
    with pytest.raises(NotApplicable, match="12 campaigns are over, with 360 responders"):
        test_days(campaigns, AS_OF, 300)


@pytest.mark.parametrize(("top", "rest", "expected"), [(100, 2, MET), (20, 40, NOT_SHOWN), (100, 400, CANNOT)])
def test_the_claim_is_met_only_by_the_lower_limit(top: int, rest: int, expected: str) -> None:
    """1,000 rows: of the 100 with the higher score `top` are positive, of the other 900 `rest`."""
    labels = [1] * top + [0] * (100 - top) + [1] * rest + [0] * (900 - rest)
    scores = [2.0] * 100 + [1.0] * 900
    found = evaluate(scores, labels, range(1000), None, None, share=0.1, draws=200, seed=1)
    assert claim(found, 6.0) == expected
    said = claim_sentence(found, 6.0, "customers", 30, "came back")
    assert {"met": "holds", "not shown": "is not shown", "cannot hold here": "cannot hold"}[expected] in said
    assert "within 30 days" in said


@pytest.mark.parametrize(("top", "rest", "expected"), [(50, 0, "is not shown"), (0, 0, "is not shown")])
def test_without_a_ratio_the_claim_is_judged_all_the_same(top: int, rest: int, expected: str) -> None:
    labels = [1] * top + [0] * (100 - top) + [1] * rest + [0] * (900 - rest)
    found = evaluate([2.0] * 100 + [1.0] * 900, labels, range(1000), None, None, share=0.1, draws=100, seed=1)
    assert found.lift_ratio is None
    said = claim_sentence(found, 6.0, "customers", 30, "came back")
    assert said.startswith(f"The claim of 6 times {expected} here: ") and str(found.reason) in said
    assert f"{top / 10:.1f} % of 1,000 customers came back within 30 days" in said


def test_a_share_without_a_ratio_cannot_hold_where_too_many_do_it() -> None:
    found = evaluate([1.0] * 10, [1] * 10, range(10), None, None, share=0.1, draws=100, seed=1)
    none = replace(found, lift_ratio=None, reason="There is none.")
    said = claim_sentence(none, 6.0, "customers", None, "came back")
    assert "cannot hold here" in said and said.endswith("There is none.")
