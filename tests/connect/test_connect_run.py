"""The main job on a Spark Connect server, with the facts that hold on a classic session.

Classic and Connect cannot share a process: `pytest -m connect` runs these by themselves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from propensity_rows import FEATURES, SMALL_LOGISTIC, SMALL_TREES, as_rows, collected, settings, synthetic
from pyspark.sql import SparkSession
from segment_shops import assert_planted_cycles, assert_three_rhythms, build_shop, three_rhythms
from small_shop import AS_OF, assert_facts, configured, run, small_shop
from spark_settings import SETTINGS

from habitue.models.lift import auc
from habitue.models.propensity import Propensity, Recipe, fit
from habitue.query import answer
from habitue.session import is_connect
from habitue.store import Store
from habitue.tables import TABLES

pytestmark = pytest.mark.connect
WITHOUT_MORE = {"segment_migrations"}  # there is no earlier snapshot


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """A client of a Connect server that starts in a process of its own, with Delta, and ends with the session."""
    from delta.pip_utils import configure_spark_with_delta_pip

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.remote("local[2]").config(map=SETTINGS)
    session = configure_spark_with_delta_pip(builder).getOrCreate()
    yield session
    session.stop()


def test_main_job_has_the_same_facts(spark: SparkSession, tmp_path: Path) -> None:
    assert is_connect(spark)
    shop = small_shop()
    config = configured(tmp_path / "warehouse", shop.write(tmp_path))
    result = run(spark, config, AS_OF, only=("clean", "features", "segments", "insights"))
    store = Store(spark, config)
    assert_facts(store, shop, result)
    counted = answer(store, "SELECT count(*) AS customers FROM customer_features_latest", "csv")
    assert counted == f"customers\n{result.written['customer_features']}"
    assert {name for name in result.skipped if not name.startswith("_")} <= WITHOUT_MORE
    assert {t.name for t in TABLES if t.area == "insights"} - set(result.written) <= WITHOUT_MORE | {
        "_work_customer_items"
    }
    placed = answer(store, "SELECT sum(customers) AS customers FROM segments_latest", "csv")
    assert placed == counted


def test_rhythms_are_found_here_too(spark: SparkSession, tmp_path: Path) -> None:
    shop = build_shop(spark, tmp_path, three_rhythms())
    assert_three_rhythms(shop)
    assert_planted_cycles(shop)


@pytest.mark.parametrize("recipe", [SMALL_TREES, SMALL_LOGISTIC], ids=["gbt", "logistic"])
def test_predictions_are_fitted_stored_and_scored(spark: SparkSession, recipe: Recipe, tmp_path: Path) -> None:
    rows = as_rows(spark, synthetic(customers=300))
    model = fit(rows, FEATURES, recipe, settings())
    scored = collected(model.score(rows))
    reached = auc(scored["score"], scored["label"])
    assert reached is not None and reached > 0.7
    model.save(str(tmp_path / "model"))
    assert collected(Propensity.load(str(tmp_path / "model")).score(rows)).equals(scored)
