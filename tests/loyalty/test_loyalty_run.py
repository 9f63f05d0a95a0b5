"""The loyalty area by the pipeline, from files to scores, with MLflow's copy and without; on a synthetic shop."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import numpy as np
import pytest
from loyalty_shops import AS_OF
from predicted_shop import CAMPAIGNS, CUSTOMERS, QUICK, write
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from small_shop import assert_second_reader, configured, run

from habitue.config import Config
from habitue.models.prediction_record import PredictionRecord
from habitue.pipeline import RunResult
from habitue.registry import listed, promote, roll_back
from habitue.store import Store
from habitue.tables import by_name
from habitue.tables.loyalty import loyalty_prediction
from habitue.tracking import Tracking, circumstances

NOW = datetime(2024, 8, 1, tzinfo=timezone.utc)


class Done(NamedTuple):
    config: Config
    store: Store
    result: RunResult


@pytest.fixture(scope="module")
def done(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("loyalty_run")
    tracking = {"uri": f"sqlite:///{folder}/mlflow.db"}
    config = configured(folder / "warehouse", write(folder), prediction=QUICK, tracking=tracking)
    result = run(spark, config, AS_OF, only=("clean", "loyalty"), now=NOW)
    return Done(config, Store(spark, config), result)


def scores(store: Store, name: str) -> list[Any]:
    table = by_name()[name]
    return store.read(table, AS_OF).orderBy(*table.key).collect()


def test_scores_are_written_and_the_summary_says_what_was_done(done: Done) -> None:
    tables = {"loyalty_scores", "loyalty_evaluation", "response_scores", "response_evaluation"}
    assert tables <= set(done.result.written) and not tables & set(done.result.skipped)
    notes = "\n".join(done.result.notes)
    assert "version 1 of habitue-loyalty, @champion" in notes and "version 1 of habitue-response, @champion" in notes
    assert "the history is too short for 90 days" in notes and "looks ahead 30 days" in notes
    assert "does not hold them" not in notes  # MLflow's copies are whole


def test_another_reader_finds_the_same_scores(done: Done) -> None:
    checked = assert_second_reader(done.store)
    assert {"loyalty_scores", "loyalty_evaluation", "response_scores", "response_evaluation"} <= checked


def test_a_coming_campaign_without_known_sends_is_scored_for_everybody(done: Done) -> None:
    """Without `sent_at` a send is known on the campaign's first day, so of July's nothing is known."""
    found = scores(done.store, "response_scores")
    assert {row["campaign_id"] for row in found} == {CAMPAIGNS[-1][0]}
    assert len(found) == CUSTOMERS == len(scores(done.store, "loyalty_scores"))
    assert len({row["probability"] for row in found}) > 2
    assert sum(row["reasons"] is not None for row in found) == CUSTOMERS // 10
    assert "everybody who bought in the look-back is scored" in "\n".join(done.result.notes)


def test_mlflow_has_figures_parameters_and_a_model_that_scores_as_the_run_did(done: Done) -> None:
    import mlflow

    tracking = Tracking(done.config)
    record = _record(done)
    (version,) = listed(tracking, "loyalty")
    with tracking.reached() as client:
        data = client.get_run(version.mlflow_run_id).data
    assert data.metrics["auc"] == pytest.approx(record.figures()["auc"])
    assert data.params["recipe.kind"] == record.recipe.kind
    assert {f"recipe.{name}" for name in record.recipe.parameters} <= set(data.params)
    mlflow.set_tracking_uri(done.config.tracking.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{version.name}@champion")
    snapshots = done.store.read(by_name()["_work_loyalty_snapshots"], AS_OF)
    _, rows = loyalty_prediction.task_of(snapshots, AS_OF, done.config.prediction)
    now = rows.where((F.col("snapshot_on") == F.lit(AS_OF)) & ~F.col("is_loyal")).toPandas()
    expected = {row["customer_id"]: row["probability"] for row in scores(done.store, "loyalty_scores")}
    np.testing.assert_allclose(loaded.predict(now), now["customer_id"].map(expected), rtol=1e-9)


def test_promoting_and_going_back(done: Done) -> None:
    tracking, record = Tracking(done.config), _record(done)
    later = replace(record, as_of=AS_OF + timedelta(days=30))
    facts = circumstances(done.config, "run2", {}, {}, True)
    assert "version 2 of habitue-loyalty, @champion" in str(tracking.record("loyalty", later, facts))
    assert "Version 1 " in roll_back(done.store, tracking, model="loyalty")
    kept = PredictionRecord.from_json(str(done.store.load_model("loyalty", None)))
    assert (kept.as_of, kept.recipe) == (AS_OF, record.recipe)
    assert "Version 2 " in promote(done.store, tracking, 2, model="loyalty")
    assert {v.version: v.aliases for v in listed(tracking, "loyalty")} == {2: ("champion",), 1: ()}


def test_the_same_scores_without_mlflow(spark: SparkSession, done: Done) -> None:
    before = scores(done.store, "loyalty_scores")
    off = done.config.model_copy(update={"tracking": done.config.tracking.model_copy(update={"uri": None})})
    result = run(spark, off, AS_OF, only=("loyalty_scores", "loyalty_evaluation"), now=NOW, run_id="off")
    assert result.written["loyalty_scores"] == CUSTOMERS
    assert not any("MLflow" in note for note in result.notes)
    assert scores(done.store, "loyalty_scores") == before


def _record(done: Done) -> PredictionRecord:
    return PredictionRecord.from_json(str(done.store.load_model("loyalty", AS_OF)))
