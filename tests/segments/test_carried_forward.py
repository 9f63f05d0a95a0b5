"""A segmentation is fitted once and carried forward: ids stay, the shop is watched, and a person may choose another model.

The shop: 240 customers, every third of them with a rhythm of 5, 15 and 45 days.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from small_shop import configured, run, write_csv

from habitue.config import Config
from habitue.models.segment_scorer import SegmentScorer
from habitue.models.segmentation import Segmentation
from habitue.pipeline import RunResult
from habitue.registry import listed, roll_back
from habitue.store import Store
from habitue.tables import by_name
from habitue.tracking import Tracking

FIRST_DAY = date(2023, 1, 1)
FITTED, REFITTED, LATER, LAST = (FIRST_DAY + timedelta(days=days) for days in (300, 330, 340, 420))
RHYTHMS = (5, 15, 45)
CUSTOMERS = 240
QUICK = {
    "refit": "never",
    "max_leaves": 6,
    "stability_refits": 3,
    "twins": 3,
    "twin_customers": 200,
    "bootstrap_draws": 200,
    "min_segment_customers": 20,
}

pytestmark = pytest.mark.soak  # four snapshots of a shop take minutes: `make soak`


def orders(slower_from: int | None = None) -> list[tuple[str, str, float]]:
    """420 days of orders; every gap that starts on day `slower_from` or later is three times as long."""
    chance, rows = random.Random(5), []
    for i in range(CUSTOMERS):
        rhythm = RHYTHMS[i % 3]
        day = chance.uniform(0, rhythm)
        while day < 420:
            rows.append((f"C{i:03}", str(FIRST_DAY + timedelta(days=int(day))), round(chance.uniform(5, 50), 2)))
            is_slower = slower_from is not None and day >= slower_from
            day += max(1.0, chance.gauss(rhythm, rhythm / 5)) * (3 if is_slower else 1)
    return rows


def shop(folder: Path, rows: list[tuple[str, str, float]], **segments: object) -> Config:
    columns = ("customer_id", "ordered_at", "amount")
    source = {"path": write_csv(folder / "orders.csv", columns, rows), "columns": {name: name for name in columns}}
    return configured(folder / "warehouse", {"orders": source}, segments={**QUICK, **segments})


@dataclass(frozen=True)
class Snapshot:
    """What a run left: its result, the model, and segment_id by customer."""

    result: RunResult
    model: Segmentation
    members: dict[str, int]
    store: Store

    @classmethod
    def of(cls, spark: SparkSession, config: Config, as_of: date, *only: str) -> Snapshot:
        result, store = run(spark, config, as_of, only=only), Store(spark, config)
        rows = store.read(by_name()["segment_members"], as_of).select("customer_id", "segment_id").collect()
        model = Segmentation.from_json(str(store.load_model("segmentation", as_of)))
        return cls(result, model, {row["customer_id"]: row["segment_id"] for row in rows}, store)

    def rows(self, table: str) -> pd.DataFrame:
        return self.store.read(by_name()[table], self.model.as_of).toPandas()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("carried")


@pytest.fixture(scope="module")
def fitted(spark: SparkSession, folder: Path) -> Snapshot:
    return Snapshot.of(spark, shop(folder / "steady", orders()), FITTED, "clean", "features", "segments")


@pytest.fixture(scope="module")
def shifted(spark: SparkSession, folder: Path, fitted: Snapshot) -> Snapshot:
    """The same shop up to the fit; afterwards everybody's gaps are three times as long."""
    shutil.copytree(folder / "steady" / "warehouse", folder / "shifted" / "warehouse")
    config = shop(folder / "shifted", orders(slower_from=300))
    return Snapshot.of(spark, config, LAST, "clean", "features", "segments")


@pytest.fixture(scope="module")
def refitted(spark: SparkSession, folder: Path, fitted: Snapshot, shifted: Snapshot) -> Snapshot:
    """The steady shop, fitted again on purpose (the shifted one has copied its folder by then)."""
    config = shop(folder / "steady", orders(), refit="always")
    return Snapshot.of(spark, config, REFITTED, "features", "segments")


@pytest.fixture(scope="module")
def rolled_back(spark: SparkSession, folder: Path, refitted: Snapshot) -> Snapshot:
    """The steady shop after `habitue models rollback`, in a run that knows nothing of MLflow."""
    config = shop(folder / "steady", orders())
    assert [(v.as_of, v.aliases) for v in listed(Tracking(config))] == [(REFITTED, ("champion",)), (FITTED, ())]
    roll_back(refitted.store, Tracking(config))
    off = config.model_copy(update={"tracking": config.tracking.model_copy(update={"uri": None})})
    return Snapshot.of(spark, off, LATER, "features", "segments")


def test_the_fit_finds_the_rhythms_and_says_why(fitted: Snapshot) -> None:
    assert fitted.model.trained_as_of == FITTED
    assert f"segments: {fitted.model.summary}" in fitted.result.notes
    assert not any("re-fit" in note for note in fitted.result.notes)
    # 5 and 45 days are told apart whatever number of segments was chosen.
    fastest, slowest = ({fitted.members[f"C{i:03}"] for i in range(k, CUSTOMERS, 3)} for k in (0, 2))
    assert not fastest & slowest


def test_the_watched_silhouette_is_that_of_the_members(fitted: Snapshot, shifted: Snapshot) -> None:
    for snapshot in (fitted, shifted):
        assert snapshot.model.silhouette == pytest.approx(
            snapshot.rows("segment_members")["silhouette"].mean(), abs=1e-9
        )
    assert fitted.model.fitted_silhouette == fitted.model.silhouette
    assert shifted.model.fitted_silhouette == fitted.model.silhouette != shifted.model.silhouette
    assert shifted.model.fitted_gain == fitted.model.gain != shifted.model.gain


def test_a_carried_model_is_the_fitted_one_judged_on_new_data(fitted: Snapshot, shifted: Snapshot) -> None:
    model = shifted.model
    assert (model.as_of, model.trained_as_of, model.newest_fit_as_of) == (LAST, FITTED, FITTED)
    assert (model.ids, model.nodes, model.cycles) == (fitted.model.ids, fitted.model.nodes, fitted.model.cycles)
    assert model.tree.to_rows() == fitted.model.tree.to_rows()
    assert LAST - model.fit_day == FITTED - fitted.model.fit_day  # judged over as many days
    assert f"segments: kept from the fit of {FITTED}, segments.refit is never" in shifted.result.notes
    assert set(shifted.rows("segment_migrations")["cause"]) == {"behaviour"}


def test_a_shop_that_changed_gets_a_refit_proposed(shifted: Snapshot) -> None:
    (note,) = (note for note in shifted.result.notes if "a re-fit is proposed" in note)
    assert f"since the fit of {FITTED}" in note and "--set segments.refit=always" in note
    candidates = shifted.rows("segment_candidates")
    (reason,) = candidates[candidates["is_chosen"]]["reason"]
    assert "a re-fit is proposed" in reason


def test_the_document_alone_places_customers_as_the_run_did(fitted: Snapshot) -> None:
    features = fitted.rows("customer_features").set_index("customer_id")
    by_document = SegmentScorer(fitted.model).predict(features.astype(dict.fromkeys(fitted.model.inputs, "float64")))
    moved = [customer for customer, segment in by_document.items() if fitted.members[str(customer)] != segment]
    members = fitted.rows("segment_members").set_index("customer_id")
    # Only customers who lie nearer to the neighbour may have been moved there.
    assert all(members.loc[moved, "silhouette"] < 0)
    assert len(moved) < 0.1 * len(members)


def test_rolling_back_is_carried_forward_without_asking_mlflow(
    fitted: Snapshot, refitted: Snapshot, rolled_back: Snapshot
) -> None:
    assert refitted.model.trained_as_of == REFITTED
    back = rolled_back.model
    assert (back.trained_as_of, back.newest_fit_as_of) == (FITTED, REFITTED)
    assert (back.tree.to_rows(), back.ids) == (fitted.model.tree.to_rows(), fitted.model.ids)
    assert back.last_id == refitted.model.last_id
    named, named_again = (
        snapshot.rows("segments").set_index("segment_id")["name"].to_dict() for snapshot in (fitted, rolled_back)
    )
    assert named_again == named
    assert any("whose model was promoted" in note for note in rolled_back.result.notes)
    # Going back to another model is no behaviour: the snapshot before was placed by the newer one.
    assert set(rolled_back.rows("segment_migrations")["cause"]) == {"behaviour", "re-fit"}


def test_a_steady_shop_stays_where_it_is_and_gets_no_proposal(fitted: Snapshot, rolled_back: Snapshot) -> None:
    same = sum(rolled_back.members[customer] == segment for customer, segment in fitted.members.items())
    assert same / len(fitted.members) > 0.9
    assert not any("a re-fit is proposed" in note for note in rolled_back.result.notes)
