"""Bars on real shops: Complete Journey's groceries gain by segments that last, CDNOW's records have no common cycle."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from small_shop import run

from habitue.config import resolve
from habitue.models.bisecting_kmeans import fit_local
from habitue.models.bisecting_tree import Floats
from habitue.models.scaling import Scaling
from habitue.models.segment_choice import NO_COMMON_CYCLE
from habitue.models.segmentation import Segmentation
from habitue.models.stability import adjusted_rand, contingency_table
from habitue.store import Store

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

PROJECT = Path(__file__).parents[2]
GROCERIES = PROJECT / ".data" / "completejourney" / "transactions.parquet"
RECORDS = PROJECT / ".data" / "cdnow" / "CDNOW_master.txt"
MONTH_ENDS = [date(2017, month, 1) for month in range(8, 13)] + [date(2018, 1, 1)]
REFIT_SHARE = 0.8


class Warehouse(NamedTuple):
    """The tables of a run, read without Spark."""

    folder: Path
    as_of: date

    def rows(self, table: str, as_of: date | None = None) -> pd.DataFrame:
        partition = [("as_of", "=", str(as_of or self.as_of))]
        return DeltaTable(str(self.folder / table)).to_pandas(partitions=partition)

    def model(self) -> Segmentation:
        parts = (self.folder / "_models" / "segmentation" / str(self.as_of) / "document").glob("part-*.txt")
        (document,) = [text for part in parts if (text := part.read_text())]
        return Segmentation.from_json(document)

    def chosen(self) -> pd.Series:
        (row,) = [row for _, row in self.rows("segment_candidates").iterrows() if row["is_chosen"]]
        return row


def scaled(scaling: Scaling, rows: pd.DataFrame) -> Floats:
    """(rows, features): what `Scaling.apply` gives, in numpy."""
    columns = []
    for scale in scaling.features:
        values = rows[scale.name].astype(float).to_numpy()
        values = np.log1p(np.maximum(values, 0)) if scale.is_logged else values
        values = np.where(np.isnan(values), scale.typical, values)
        columns.append(np.clip(values, scale.low, scale.high) * scale.weight / scale.spread)
    return np.stack(columns, axis=1)


def refit_agreements(warehouse: Warehouse, seeds: range) -> list[float]:
    """Adjusted Rand index of the published membership with refits, one a seed.

    A refit is a tree fitted to 80 % of the customers as of the fit day, pruned to the published number of segments. It
    places all customers as of the as-of day, and is compared with their published segment_id, moves of the fringe in it.
    """
    model = warehouse.model()
    at_fit = scaled(model.scaling, warehouse.rows("_work_fit_features").sort_values("customer_id"))
    features = warehouse.rows("customer_features")
    now = scaled(model.scaling, features)
    published = features.merge(warehouse.rows("segment_members"), on="customer_id", how="left")["segment_id"]
    labels, names = pd.factorize(published)
    found = []
    for seed in seeds:
        chance = np.random.default_rng(seed)
        chosen = np.sort(chance.choice(len(at_fit), size=round(REFIT_SHARE * len(at_fit)), replace=False))
        tree = fit_local(at_fit[chosen], max_leaves=16, max_iter=5, seed=seed)
        refitted = tree.cut(len(model.nodes))[tree.assign_numpy(now)]
        found.append(adjusted_rand(contingency_table(labels, refitted, len(names), len(model.nodes))))
    return found


@pytest.fixture(scope="module")
def groceries(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Complete Journey as of six month-ends in a row, with a fit in each."""
    if not GROCERIES.exists():
        pytest.skip("Complete Journey is not in .data: `make data` puts it there")
    folder = tmp_path_factory.mktemp("groceries") / "warehouse"
    config = resolve(str(PROJECT / "conf" / "demo.yml"), overrides={"warehouse": str(folder)}).config
    store = Store(spark, config)
    for as_of in MONTH_ENDS:
        areas = ("features", "segments") if as_of != MONTH_ENDS[0] else ("clean", "features", "segments")
        run(spark, config, as_of, areas, store=store)
    return Warehouse(folder, MONTH_ENDS[-1])


def test_grocery_segments_gain(groceries: Warehouse) -> None:
    """At least 10 % on the half of the customers that did not choose, and above 0 for certain."""
    chosen = groceries.chosen()
    assert chosen["segment_count"] > 1
    assert chosen["published_gain"] >= 0.10
    assert chosen["published_gain_low"] > 0


def test_grocery_segments_are_stable(groceries: Warehouse) -> None:
    agreements = refit_agreements(groceries, range(10))
    assert np.mean(agreements) >= 0.80, agreements


def test_grocery_ids_and_names_last_six_months(groceries: Warehouse) -> None:
    """A segment that goes on keeps its id, an id keeps its name, no id returns for others, and members stay put."""
    named: dict[int, str] = {}
    for as_of in MONTH_ENDS:
        segments = groceries.rows("segments", as_of)
        assert segments["name"].is_unique
        for segment, name in zip(segments["segment_id"], segments["name"], strict=True):
            assert named.setdefault(segment, name) == name
    last = groceries.rows("segments")
    assert set(last["segment_id"]) & set(groceries.rows("segments", MONTH_ENDS[0])["segment_id"])
    for earlier, later in pairwise(MONTH_ENDS):
        both = groceries.rows("segment_members", earlier).merge(
            groceries.rows("segment_members", later), on="customer_id", suffixes=("_then", "_now")
        )
        assert (both["segment_id_then"] == both["segment_id_now"]).mean() > 0.75, (earlier, later)


def test_grocery_migrations_add_up(groceries: Warehouse) -> None:
    for earlier, later in pairwise(MONTH_ENDS):
        moves = groceries.rows("segment_migrations", later)
        behaviour, refit = (moves[moves["cause"] == cause] for cause in ("behaviour", "re-fit"))
        then, now = (len(groceries.rows("segment_members", day)) for day in (earlier, later))
        assert behaviour.dropna(subset=["from_segment_id"])["customers"].sum() == then
        assert behaviour.dropna(subset=["to_segment_id"])["customers"].sum() == now
        assert refit["customers"].sum() == now
        revenue = groceries.rows("customer_features", later)["amount_365d"].sum()
        assert refit["revenue"].sum() == revenue


def test_records_have_no_common_cycle(spark: SparkSession, tmp_path: Path) -> None:
    """CDNOW's 23,570 customers: no number of segments gains, and the choice says what it goes by instead."""
    if not RECORDS.exists():
        pytest.skip("CDNOW is not in .data: `make data` puts it there")
    source = {
        "path": str(RECORDS),
        "delimiter": "spaces",
        "header": False,
        "date_format": "yyyyMMdd",
        "columns": {"customer_id": "c1", "ordered_at": "c2", "quantity": "c3", "amount": "c4"},
    }
    overrides = {"warehouse": str(tmp_path / "warehouse"), "sources": {"orders": source}}
    config = resolve(overrides=overrides).config
    run(spark, config, date(1998, 7, 1), ("clean", "features", "segments"))
    records = Warehouse(tmp_path / "warehouse", date(1998, 7, 1))
    candidates = records.rows("segment_candidates")
    assert not (candidates["published_gain_low"] > 0).any()
    assert NO_COMMON_CYCLE in records.model().summary
    assert NO_COMMON_CYCLE in records.chosen()["reason"]
    assert not (records.rows("segments")["verdict"] == "representative").any() or len(records.model().nodes) == 1
