"""The whole job killed at every table of every area in turn, on a shop that has them all: the tables of an undisturbed run."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from killed_runs import kill_at_each
from loyalty_shops import AS_OF
from predicted_shop import QUICK, write
from pyspark.sql import SparkSession
from small_shop import assert_same, assert_second_reader, configured, rows_of, run

from habitue.store import Store
from habitue.tables import TABLES, by_name

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
NOW = datetime(2024, 8, 1, tzinfo=timezone.utc)
AREAS = ("clean", "features", "segments", "insights", "loyalty")


def test_a_run_killed_at_every_table_leaves_what_an_undisturbed_one_leaves(spark: SparkSession, tmp_path: Path) -> None:
    sources = write(tmp_path)
    whole, killed = (
        configured(tmp_path / name, sources, prediction=QUICK, tracking={"uri": None}) for name in ("whole", "killed")
    )
    result = run(spark, whole, AS_OF, only=AREAS, now=NOW)
    for area in AREAS:
        names = [name for name in result.written if by_name()[name].area == area]
        assert names, area
        kill_at_each(spark, killed, AS_OF, (area,), names, NOW)
        assert run(spark, killed, AS_OF, only=(area,), now=NOW).written == {n: result.written[n] for n in names}
    expected, found = Store(spark, whole), Store(spark, killed)
    for name in result.written:
        assert_same(rows_of(found, name), rows_of(expected, name), name)
    for model in ("segmentation", "loyalty", "response"):
        assert found.load_model(model, AS_OF) == expected.load_model(model, AS_OF) is not None
    checked = assert_second_reader(found)
    assert checked == {t.name for t in TABLES if t.name in result.written and not t.is_hidden} | {"runs"}
    assert {"segments", "segment_members", "segment_candidates", "purchase_patterns", "cohort_retention"} <= checked
    assert {"segment_retention", "item_journeys", "loyalty_contrast"} <= checked
    assert {"loyalty_scores", "loyalty_evaluation", "response_scores", "response_evaluation"} <= checked
