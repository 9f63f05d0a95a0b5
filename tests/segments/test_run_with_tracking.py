"""One small run of the pipeline up to the choice of segments, into a warehouse that has later snapshots, with MLflow's copy.

80 customers, of whom one half buys every 5 days and the other every 25, for 150 days.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from rich.console import Console
from segment_shops import AS_OF, Group, purchases
from small_shop import NOW, configured, run, write_csv
from two_segments import two_segments

from habitue.config import Config
from habitue.models.gap_sums import hash_group
from habitue.models.segmentation import Segmentation
from habitue.pipeline import Run, RunResult, select_steps
from habitue.progress import ConsoleProgress
from habitue.registry import listed
from habitue.store import Store
from habitue.tables.segments import _work_fit_features, segment_candidates
from habitue.tracking import Tracking

EARLIER, LATER, LATEST = date(2023, 12, 1), date(2024, 2, 1), date(2024, 3, 1)
ONLY = (
    "order_lines",
    "_work_known_orders",
    "customer_history",
    "customer_features",
    "_work_fit_features",
    "segment_candidates",
)
QUICK = {
    "max_leaves": 3,
    "stability_refits": 2,
    "twins": 2,
    "twin_customers": 100,
    "bootstrap_draws": 100,
    "min_segment_customers": 10,
}
CHOOSING, PUBLISHING = 0, 1  # the halves: even and odd hash groups


@dataclass(frozen=True)
class SegmentsRun:
    """The run's configuration and result, and what it left: the store, the model and the rows of the candidates."""

    config: Config
    result: RunResult
    store: Store
    model: Segmentation
    candidates: list[Any]


@pytest.fixture(scope="module")
def small(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SegmentsRun:
    folder = tmp_path_factory.mktemp("tracked")
    bought = purchases([Group(40, 5, regularity=8), Group(40, 25, regularity=8)], 150, seed=2)
    rows = [(f"O{i}", row.customer_id, row.day, row.amount) for i, row in enumerate(bought.itertuples())]
    path = write_csv(folder / "orders.csv", ("order_id", "customer_id", "ordered_at", "amount"), rows)
    config = configured(folder / "warehouse", {"orders": path}, segments=QUICK)
    _put_other_snapshots(Store(spark, config))
    result = run(spark, config, AS_OF, ONLY)
    store = Store(spark, config)
    model = Segmentation.from_json(str(store.load_model("segmentation", AS_OF)))
    return SegmentsRun(config, result, store, model, store.read(segment_candidates.TABLE, AS_OF).collect())


def _put_other_snapshots(store: Store) -> None:
    """A row each of an earlier and of two later snapshots, as far as the contract asks; in one write, as the table is new."""
    table = segment_candidates.TABLE
    row: dict[str, Any] = dict.fromkeys(table.columns)
    row |= {"segment_count": 1, "smallest_share": 1.0, "is_eligible": True, "is_chosen": True, "reason": "by hand"}
    rows = [tuple({**row, "as_of": day, "refinement": []}.values()) for day in (LATEST, EARLIER, LATER)]
    store.write(table, store.spark.createDataFrame(rows, table.schema), LATER)


# The notes of a run that inserts a snapshot.


def test_a_run_tells_which_later_snapshots_may_get_other_ids(small: SegmentsRun) -> None:
    told = f"segments: of {LATER}, {LATEST} nothing changed; built again, they may get other ids"
    assert [note for note in small.result.notes if "other ids" in note] == [told]
    assert small.result.notes[0] == f"segments: {small.model.summary}"


@pytest.mark.parametrize(
    ("as_of", "notes"),
    [(LATER, [f"segments: of {LATEST} nothing changed; built again, they may get other ids"]), (LATEST, [])],
)
def test_only_later_snapshots_are_told_of(
    small: SegmentsRun, spark: SparkSession, as_of: date, notes: list[str]
) -> None:
    off = small.config.model_copy(update={"tracking": small.config.tracking.model_copy(update={"uri": None})})
    again = Run(Store(spark, off), off, NOW, ConsoleProgress(Console(file=io.StringIO())), "run2")
    again.result.as_of = as_of
    (step,) = select_steps([segment_candidates.TABLE.name])
    nothing = spark.createDataFrame([], segment_candidates.TABLE.schema)
    made = segment_candidates.Selection(two_segments(as_of), nothing, False)
    again._made_model(step, segment_candidates.TABLE, made, {})
    assert again.result.notes == notes


# MLflow's copy.


def test_the_run_registers_its_model(small: SegmentsRun) -> None:
    assert small.result.notes[-1] == "MLflow: the model is version 1 of habitue-segmentation, @champion"
    tracking = Tracking(small.config)
    (version,) = listed(tracking)
    assert (version.version, version.as_of, version.aliases) == (1, AS_OF, ("champion",))
    assert tracking.document(version.mlflow_run_id) == small.store.load_model("segmentation", AS_OF)


def test_mlflow_has_every_candidates_figures_and_what_they_came_from(small: SegmentsRun) -> None:
    tracking = Tracking(small.config)
    (version,) = listed(tracking)
    with tracking.reached() as client:
        logged = client.get_run(version.mlflow_run_id).data
        steps = {
            name: {m.step: m.value for m in client.get_metric_history(version.mlflow_run_id, name)}
            for name in ("cycle_gain", "published_gain", "silhouette")
        }
    assert len(small.candidates) >= 2
    for name, by_step in steps.items():
        in_table = {row["segment_count"]: row[name] for row in small.candidates if row[name] is not None}
        assert by_step == pytest.approx(in_table), name
    assert logged.metrics["chosen_gain"] == pytest.approx(small.model.gain)
    assert logged.params["segments.max_leaves"] == "3"
    inputs = ("_work_fit_features", "customer_features", "customer_history")
    assert json.loads(logged.tags["input_versions"]) == {name: small.store.version(name) for name in inputs}
    assert (logged.tags["run_id"], logged.tags["as_of"]) == ("run1", str(AS_OF))


# The halves: one chooses, the other's gain is published. Everything anew from the fit features, in plain loops.


def cycle_within(customers: pd.DataFrame, horizon: int) -> float:
    """m(h): the Wang-Chang median of the gaps before t0, each customer weighing 1, among gaps of up to h days."""
    complete, still_open = np.zeros(1000), np.zeros(1000)
    for gaps, open_gap in zip(customers["gaps_days"], customers["open_gap_days"], strict=True):
        for gap in gaps:
            complete[gap] += 1 / len(gaps)
        if len(gaps) == 0:
            still_open[open_gap] += 1
    survival, reached = 1.0, [0.0]  # reached[d]: the share of gaps that end by d - 1/2 days
    for day in range(horizon + 1):
        if complete[day] > 0:
            survival *= 1 - complete[day] / (complete[day:].sum() + still_open[day + 1 :].sum())
        reached.append(1 - survival)
    half = reached[-1] / 2
    if half == 0:
        return float("nan")
    day = next(d for d in range(horizon + 1) if reached[d + 1] >= half * (1 - 1e-9))
    return day - 0.5 + (half - reached[day]) / (reached[day + 1] - reached[day])


def gains_by_hand(customers: pd.DataFrame, half: int) -> tuple[float, list[float]]:
    """The gain of one half's held-out gaps, and that of each segment; customers: with `segment` and `half`."""
    horizon = int(customers["horizon_days"].max())
    shop = cycle_within(customers, horizon)
    own = {segment: cycle_within(members, horizon) for segment, members in customers.groupby("segment")}
    own = {segment: shop if np.isnan(days) else days for segment, days in own.items()}
    # NULL, for a gap that is still open, is not up to h days either.
    judged = customers[(customers["half"] == half) & (customers["held_out_gap_days"] <= horizon)]
    log_gap = np.log(judged["held_out_gap_days"].astype(float))
    errors = pd.DataFrame(
        {
            "segment": judged["segment"],
            "own": (log_gap - np.log(judged["segment"].map(own))).abs(),
            "shop": (log_gap - np.log(shop)).abs(),
        }
    )
    by_segment = errors.groupby("segment")[["own", "shop"]].sum().reindex(sorted(own))
    total = by_segment.sum()
    return float(1 - total["own"] / total["shop"]), list(1 - by_segment["own"] / by_segment["shop"])


@pytest.fixture(scope="module")
def customers(small: SegmentsRun) -> pd.DataFrame:
    """The fit features with each customer's half, and the leaf of the run's tree."""
    rows = small.store.read(_work_fit_features.TABLE, AS_OF).withColumn("half", hash_group() % 2).toPandas()
    rows["held_out_gap_days"] = pd.to_numeric(rows["held_out_gap_days"])
    scaled = small.model.scaling.apply_numpy(rows[small.model.inputs].to_numpy(dtype=np.float64))
    return rows.assign(leaf=small.model.tree.assign_numpy(scaled))


def test_one_half_chooses_and_the_other_halfs_gain_is_published(small: SegmentsRun, customers: pd.DataFrame) -> None:
    for row in small.candidates:
        cut = customers.assign(segment=small.model.tree.cut(row["segment_count"])[customers["leaf"]])
        chosen_on, _ = gains_by_hand(cut, CHOOSING)
        outside, _ = gains_by_hand(cut, PUBLISHING)
        assert row["cycle_gain"] == pytest.approx(chosen_on), row["segment_count"]
        assert row["published_gain"] == pytest.approx(outside), row["segment_count"]
    (chosen,) = (row for row in small.candidates if row["is_chosen"])
    assert chosen["segment_count"] == small.model.chosen_count >= 2
    assert abs(chosen["cycle_gain"] - chosen["published_gain"]) > 1e-4  # else this test could not tell the halves apart
    assert min(chosen["cycle_gain"], chosen["published_gain"]) > 0.2  # 5 and 25 days are no one cycle


def test_the_segments_gains_are_of_the_publishing_half_and_the_watched_one_of_the_choosing(
    small: SegmentsRun, customers: pd.DataFrame
) -> None:
    cut = customers.assign(segment=small.model.cut[customers["leaf"]])
    assert small.model.gain == pytest.approx(gains_by_hand(cut, CHOOSING)[0])
    _, of_segments = gains_by_hand(cut, PUBLISHING)
    assert [gain for gain, _, _ in small.model.segment_gains] == pytest.approx(of_segments, nan_ok=True)
