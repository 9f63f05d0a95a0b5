"""MLflow's copy of the models, in a real sqlite database: what is logged, which version is champion, and doing without."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from propensity_rows import FEATURES, SMALL_LOGISTIC, SMALL_TREES, as_rows, collected, settings, synthetic
from pyspark.sql import SparkSession
from small_shop import configured
from two_segments import two_segments

from habitue import cli
from habitue.config import Config
from habitue.errors import HabitueError, UsageError
from habitue.models.prediction_record import PredictionRecord
from habitue.models.propensity import Propensity, Recipe, fit
from habitue.models.segmentation import Segmentation
from habitue.registry import ModelVersion, listed, promote, roll_back
from habitue.store import Store
from habitue.tables.segments import segment_candidates
from habitue.tracking import Tracking, _generic_model, candidate_figures, circumstances

MARCH, APRIL, MAY = date(2024, 3, 1), date(2024, 4, 1), date(2024, 5, 1)
NAME = "habitue-segmentation"


def tracked(config: Config, model: Segmentation, takes_over: bool = True) -> str | None:
    """Record a model as the pipeline does; returns the note."""
    facts = circumstances(
        config, "run1", {"segments": config.segments, "as_of": model.as_of}, {"orders": 7}, takes_over
    )
    return Tracking(config).record("segmentation", model, facts)


def aliases(config: Config) -> dict[int, tuple[str, ...]]:
    return {v.version: v.aliases for v in listed(Tracking(config))}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all tests of the module, for making one takes ten seconds; experiments keep the tests apart."""
    return tmp_path_factory.mktemp("a shop's folder")


@pytest.fixture
def config(shared: Path, request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """A configuration with an experiment, and so a registered model, of its own."""
    uri = f"sqlite:///{shared}/_mlflow/mlflow.db"
    return configured(tmp_path, {}, tracking={"uri": uri, "experiment": f"/shops/{request.node.name}"})


def test_auto_is_sqlite_beside_a_local_warehouse(tmp_path: Path) -> None:
    config = configured(tmp_path / "my warehouse", {})
    tracking = Tracking(config)
    assert tracking.uri == f"sqlite:///{tmp_path}/my warehouse/_mlflow/mlflow.db"
    assert tracking.registered_name("segmentation") == NAME
    with pytest.raises(HabitueError, match="habitue run"):
        listed(tracking)
    assert not (tmp_path / "my warehouse").exists()  # looking makes nothing


def test_tracking_is_off_where_it_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    off = Tracking(configured("w", {}, tracking={"uri": None}))
    assert (off.uri, off.off_because) == (None, "")
    assert tracked(configured("w", {}, tracking={"uri": None}), two_segments(MARCH)) is None
    for config in (configured("s3a://bucket/w", {}), configured("w", {}, catalog="main", schema="shop")):
        assert Tracking(config).uri is None
        assert "set tracking.uri" in str(tracked(config, two_segments(MARCH)))
    assert Tracking(configured("file:/tmp/w", {})).uri == "sqlite:////tmp/w/_mlflow/mlflow.db"
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17")
    platform = Tracking(configured("w", {}, catalog="main", schema="shop"))
    assert (platform.uri, platform.registered_name("segmentation")) == ("databricks", f"main.shop.{NAME}")
    with pytest.raises(UsageError, match=r"tracking\.uri is null"):
        listed(off)


def test_a_server_that_does_not_answer_is_a_note_and_not_a_failure(tmp_path: Path) -> None:
    # Port 9 of this machine: nothing listens there. And a database that cannot be, below a file.
    (tmp_path / "file").write_text("")
    for uri in ("http://127.0.0.1:9", f"sqlite:///{tmp_path}/file/mlflow.db"):
        config = configured(tmp_path, {}, tracking={"uri": uri})
        started = time.monotonic()
        note = tracked(config, two_segments(MARCH))
        assert note is not None and note.startswith("MLflow got no copy of the model, and the run needs none (")
        assert time.monotonic() - started < 60
        with pytest.raises(HabitueError):
            listed(Tracking(config))


def test_a_fit_is_logged_with_all_that_it_came_from(config: Config, spark: SparkSession) -> None:
    model = two_segments(MARCH, decisions=("split node 3: mixed",))
    facts = circumstances(config, "run1", {"segments": config.segments, "as_of": MARCH}, {"customer_features": 7}, True)
    row: dict[str, Any] = dict.fromkeys(segment_candidates.TABLE.columns)
    row |= {"as_of": MARCH, "segment_count": 2, "silhouette": 0.4, "published_gain": 0.3, "stability": 0.9}
    row |= {"smallest_share": 0.4, "is_eligible": True, "is_chosen": True, "reason": "", "refinement": []}
    frame = spark.createDataFrame([tuple(row.values())], segment_candidates.TABLE.schema)
    candidates = candidate_figures(segment_candidates.TABLE, frame)
    assert candidates == {2: {"silhouette": 0.4, "published_gain": 0.3, "stability": 0.9, "smallest_share": 0.4}}
    tracking = Tracking(config)
    note = tracking.record("segmentation", model, replace(facts, candidates=candidates))
    (version,) = listed(tracking)
    assert note == f"MLflow: the model is version 1 of {version.name}, @champion"
    with tracking.reached() as client:
        run = client.get_run(version.mlflow_run_id)
        (silhouette,) = client.get_metric_history(version.mlflow_run_id, "silhouette")
        files = sorted(f.path for f in client.list_artifacts(version.mlflow_run_id))
        centres = Path(client.download_artifacts(version.mlflow_run_id, "centres.csv")).read_text()
    assert (silhouette.step, silhouette.value) == (2, 0.4)
    assert run.data.params["segments.seed"] == str(config.segments.seed)
    assert run.data.params["segments.verdict.min_icc"] == str(config.segments.verdict.min_icc)
    assert run.data.metrics["chosen_gain"] == 0.2
    assert run.data.tags.items() >= {"run_id": "run1", "input_versions": '{"customer_features": 7}'}.items()
    assert run.data.tags["config_hash"] == config.fingerprint
    assert files == ["centres.csv", "document.json", "model", "refinement.txt"]
    assert tracking.document(version.mlflow_run_id) == model.to_json()
    first, *rows = (line.split(",") for line in centres.splitlines())
    assert first == ["segment_id", "node", "size", "typical_gap_days"]
    assert [(r[0], round(float(r[3]), 6)) for r in rows] == [("1", 5.0), ("2", 45.0)]  # where two_segments put them


def test_the_registered_model_scores_without_a_session(config: Config) -> None:
    import mlflow

    tracked(config, two_segments(MARCH))
    mlflow.set_tracking_uri(config.tracking.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{Tracking(config).registered_name('segmentation')}@champion")
    # On the log scale the boundary lies where 1 + days = sqrt(6 x 46), at 15.6 days; a missing gap counts as 20.
    gaps = pd.DataFrame({"typical_gap_days": [0.0, 15.0, 16.0, 400.0, np.nan]})
    assert list(loaded.predict(gaps)) == [1, 1, 2, 2, 2]


def test_an_equal_fit_is_registered_once_and_a_carried_model_not_at_all(config: Config) -> None:
    tracked(config, two_segments(MARCH))
    assert "is version 1" in str(tracked(config, two_segments(MARCH)))
    assert tracked(config, two_segments(APRIL, trained_as_of=MARCH)) is None
    assert aliases(config) == {1: ("champion",)}
    with Tracking(config).reached() as client:
        experiment = client.get_experiment_by_name(config.tracking.experiment)
        runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["as_of"] for run in runs) == ["2024-03-01", "2024-03-01", "2024-04-01"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_new_fits_take_over_until_one_is_promoted_by_hand(config: Config, spark: SparkSession) -> None:
    store, tracking = Store(spark, config), Tracking(config)
    tracked(config, two_segments(MARCH))
    tracked(config, two_segments(APRIL))
    assert aliases(config) == {2: ("champion",), 1: ()}
    tracked(config, two_segments(date(2024, 2, 1)))  # an older snapshot that is inserted later
    assert aliases(config) == {3: (), 2: ("champion",), 1: ()}
    assert "Version 1 " in roll_back(store, tracking)
    carried = Segmentation.from_json(str(store.load_model("segmentation", None)))
    assert (carried.as_of, carried.newest_fit_as_of) == (MARCH, APRIL)
    assert aliases(config) == {3: (), 2: (), 1: ("champion",)}
    assert "@challenger" in str(tracked(config, two_segments(MAY), takes_over=False))
    assert aliases(config) == {4: ("challenger",), 3: (), 2: (), 1: ("champion",)}
    assert "Version 4 " in promote(store, tracking, None)
    assert aliases(config) == {4: ("champion",), 3: (), 2: (), 1: ()}
    assert Segmentation.from_json(str(store.load_model("segmentation", None))).as_of == MAY
    roll_back(store, tracking)
    assert aliases(config)[1] == ("champion",)
    with pytest.raises(UsageError, match="No version was champion before"):
        roll_back(store, tracking)
    with pytest.raises(UsageError, match=r"no challenger: name one of 1, 2, 3, 4"):
        promote(store, tracking, None)
    with pytest.raises(UsageError, match="no version 9"):
        promote(store, tracking, 9)


def test_a_prediction_that_takes_over_ends_an_older_challenge(config: Config, tmp_path: Path) -> None:
    """Else `promote` without a number would bring back the fit of an earlier month."""

    def recorded(as_of: date, takes_over: bool) -> None:
        facts = circumstances(config, "run1", {}, {}, takes_over)
        Tracking(config).record("loyalty", replace(prediction(tmp_path), as_of=as_of), facts)

    recorded(MARCH, True)
    recorded(MARCH + timedelta(days=1), False)
    versions = {v.version: v.aliases for v in listed(Tracking(config), "loyalty")}
    assert versions == {2: ("challenger",), 1: ("champion",)}
    recorded(APRIL, True)
    versions = {v.version: v.aliases for v in listed(Tracking(config), "loyalty")}
    assert versions == {3: ("champion",), 2: (), 1: ()}


def prediction(folder: Path, kind: str = "logistic", model: Propensity | None = None) -> PredictionRecord:
    recipe = {"logistic": SMALL_LOGISTIC, "gbt": SMALL_TREES}[kind]
    return PredictionRecord(
        as_of=MARCH,
        recipe=recipe,
        challenger=None,
        tested_on=MARCH,
        rows=10,
        features=FEATURES,
        document=model.to_json() if model else "{}",
        folder=str(folder),
        evaluations=(),
    )


def test_trees_that_cannot_be_copied_are_said(config: Config, tmp_path: Path) -> None:
    """As against a remote Spark Connect server, whose folders are on another machine; a regression needs no folder."""
    facts = circumstances(config, "run1", {}, {}, True)
    away, here = tmp_path / "of another machine", tmp_path / "here"
    here.mkdir()
    note = str(Tracking(config).record("loyalty", prediction(away, "gbt"), facts))
    assert "version 1" in note and str(away) in note and "does not hold them" in note
    for folder, kind in ((f"file:{here}", "gbt"), (str(away), "logistic")):
        kept = replace(prediction(Path("x"), kind), folder=folder, rows=len(kind))
        assert "does not hold" not in str(Tracking(config).record("response", kept, facts))


@pytest.mark.parametrize("recipe", [SMALL_TREES, SMALL_LOGISTIC], ids=["gbt", "logistic"])
def test_mlflows_copy_scores_each_customer_by_the_model_of_the_own_fold(
    spark: SparkSession, recipe: Recipe, tmp_path: Path
) -> None:
    import mlflow

    frame = synthetic(customers=300)
    rows = as_rows(spark, frame)
    model = fit(rows, FEATURES, recipe, settings())
    model.save(str(tmp_path / "mllib"))
    path = _generic_model(prediction(tmp_path / "mllib", recipe.kind, model), tmp_path)
    loaded = mlflow.pyfunc.load_model(str(path))
    expected = collected(model.score(rows))
    given = expected.drop(columns=["score", "probability", "begins_on"])
    np.testing.assert_allclose(loaded.predict(given), expected["probability"], rtol=1e-9)
    # Without the customer fold 0's model scores, and what is not there is unknown.
    first = expected["fold"] == 0
    nobody = loaded.predict(given.drop(columns="customer_id"))
    np.testing.assert_allclose(nobody[first], expected["probability"][first], rtol=1e-9)
    assert np.abs(nobody[~first] - expected["probability"][~first]).max() > 1e-6
    unknown = collected(model.score(as_rows(spark, frame.assign(**{FEATURES.text[0]: None}))))
    np.testing.assert_allclose(loaded.predict(given.drop(columns=FEATURES.text[0])), unknown["probability"], rtol=1e-9)


@pytest.mark.usefixtures("spark")
def test_the_commands_say_what_they_did(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    tracked(config, two_segments(MARCH))
    tracked(config, two_segments(APRIL))
    options = ["--warehouse", config.warehouse]
    for key, value in (("uri", config.tracking.uri), ("experiment", config.tracking.experiment)):
        options += ["--set", f"tracking.{key}={value}"]
    cli.main(["models", "rollback", *options])
    cli.main(["models", "promote", "2", *options])
    said = capsys.readouterr().out
    assert "Version 1 of" in said and "Version 2 of" in said
    cli.main(["models", "list", *options])
    newest, oldest = capsys.readouterr().out.splitlines()[1:]
    for text in ("2024-04-01", "what was known before 2023-11-01", "@champion", "0.50", "20.0 %"):
        assert text in newest
    assert "2024-03-01" in oldest and "@" not in oldest
    with pytest.raises(SystemExit) as refused:
        cli.main(["models", "promote", *options])
    assert refused.value.code == 2


def test_versions_tell_when_they_were_registered(config: Config) -> None:
    tracked(config, two_segments(MARCH))
    (version,) = listed(Tracking(config))
    assert isinstance(version, ModelVersion) and version.registered_at.tzinfo is not None
    assert abs(time.time() - version.registered_at.timestamp()) < 600
