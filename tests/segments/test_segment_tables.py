"""The tables of segments over six month-ends of one shop: they add up, ids and names last, and the future changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from segment_shops import AS_OF, Group, purchases
from small_shop import assert_same, configured, rows_of, run, write_csv

from habitue.pipeline import RunResult
from habitue.store import Store
from habitue.tables import by_name

MONTH_ENDS = [date(2023, month, 1) for month in range(8, 13)] + [AS_OF]
TABLES = ("segment_candidates", "segments", "segment_members", "segment_migrations")
# Fewer refits, twins and resamples than by default: these tests are of the tables, not of the choice.
SETTINGS = {"max_leaves": 6, "stability_refits": 3, "twins": 3, "bootstrap_draws": 200}


pytestmark = pytest.mark.soak  # six snapshots of a shop: minutes


@dataclass(frozen=True)
class Months:
    """The store after all six runs, their results, and what the first snapshot was when it was the newest."""

    store: Store
    results: list[RunResult]
    first: dict[str, list[Any]]

    def rows(self, name: str, as_of: date) -> pd.DataFrame:
        return self.store.read(by_name()[name], as_of).toPandas()


def orders() -> pd.DataFrame:
    """Two years of 360 customers: weekly, monthly and quarterly, a third each. Some begin within the last six months."""
    bought = purchases([Group(120, gap, regularity=4) for gap in (7, 30, 90)], 730, seed=6)
    begins = {f"g{g}-{i:04}": date(2023, 7, 15) + timedelta(days=10 * i) for g in range(3) for i in range(10)}
    known = [row.day >= begins.get(row.customer_id, row.day) for row in bought.itertuples()]
    return bought[known].assign(order_id=lambda b: [f"O{i}" for i in range(len(b))])


def files(folder: Path, bought: pd.DataFrame) -> dict[str, str]:
    header = ("order_id", "customer_id", "ordered_at", "amount")
    rows: Sequence[tuple[Any, ...]] = [(r.order_id, r.customer_id, r.day, r.amount) for r in bought.itertuples()]
    return {"orders": write_csv(folder / "orders.csv", header, rows)}


@pytest.fixture(scope="module")
def months(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Months:
    folder = tmp_path_factory.mktemp("months")
    config = configured(folder / "warehouse", files(folder, orders()), segments=SETTINGS)
    store, first = Store(spark, config), {}
    results = []
    for as_of in MONTH_ENDS:
        only = ("features", "segments") if results else ("clean", "features", "segments")
        results.append(run(spark, config, as_of, only, run_id=str(as_of), store=store))
        first = first or {name: rows_of(store, name, as_of) for name in TABLES if store.exists(name)}
    return Months(store, results, first)


def test_segments_add_up_to_the_customers(months: Months) -> None:
    for as_of in MONTH_ENDS:
        members, segments = months.rows("segment_members", as_of), months.rows("segments", as_of)
        customers = months.rows("customer_features", as_of)
        assert sorted(members["customer_id"]) == sorted(customers["customer_id"])
        sizes = members.groupby("segment_id").size().to_dict()
        assert dict(zip(segments["segment_id"], segments["customers"], strict=True)) == sizes
        assert segments["revenue"].sum() == customers["amount_365d"].sum()
        assert segments["share"].sum() == pytest.approx(1)
        assert segments["revenue_share"].sum() == pytest.approx(1)


def test_the_first_snapshot_has_nobody_to_compare_with(months: Months) -> None:
    assert months.results[0].skipped["segment_migrations"] == "there is no earlier snapshot to compare with"
    assert all("segment_migrations" in result.written for result in months.results[1:])


def test_migrations_add_up_to_the_earlier_and_the_later_customers(months: Months) -> None:
    """Behaviour leads from the earlier segments to where the old model puts everybody now; the re-fit from there to the
    later segments. New customers come from NULL; nobody disappears."""
    for earlier, later in pairwise(MONTH_ENDS):
        moves = months.rows("segment_migrations", later)
        assert set(moves["earlier_as_of"]) == {earlier}
        before, after = (_sizes(months, day) for day in (earlier, later))
        behaviour, refit = (moves[moves["cause"] == cause] for cause in ("behaviour", "re-fit"))
        assert _sums(behaviour, "from_segment_id") == before
        assert _sums(refit, "to_segment_id") == after
        assert _sums(behaviour, "to_segment_id") == _sums(refit, "from_segment_id")
        new = behaviour.loc[behaviour["from_segment_id"].isna(), "customers"].sum()
        assert new == sum(after.values()) - sum(before.values())
        assert moves["to_segment_id"].notna().all()
        revenue = months.rows("customer_features", later)["amount_365d"].sum()
        assert behaviour["revenue"].sum() == refit["revenue"].sum() == revenue


def _sizes(months: Months, as_of: date) -> dict[int, int]:
    return months.rows("segment_members", as_of).groupby("segment_id").size().to_dict()


def _sums(moves: pd.DataFrame, side: str) -> dict[int, int]:
    return moves.dropna(subset=[side]).astype({side: int}).groupby(side)["customers"].sum().to_dict()


def test_ids_and_names_last_six_months(months: Months) -> None:
    """Each month has its own fit; the rhythms stay, so the segments do, and with them nearly everybody's."""
    named = [dict(months.rows("segments", d)[["segment_id", "name"]].itertuples(index=False)) for d in MONTH_ENDS]
    assert named == [named[0]] * 6
    assert len(set(named[0].values())) == len(named[0]) == 3
    for group in ("g0", "g1", "g2"):
        usual = [_usual_segment(months, as_of, group) for as_of in MONTH_ENDS]
        assert len({segment for segment, _ in usual}) == 1
        assert (
            min(share for _, share in usual) > 0.85
        )  # customers who have only begun are not yet known by their rhythm


def _usual_segment(months: Months, as_of: date, group: str) -> tuple[int, float]:
    members = months.rows("segment_members", as_of)
    shares = members.loc[members["customer_id"].str.startswith(group), "segment_id"].value_counts(normalize=True)
    return int(shares.index[0]), float(shares.iloc[0])


def test_later_snapshots_leave_earlier_ones_alone(months: Months) -> None:
    assert set(months.first) == {"segment_candidates", "segments", "segment_members"}
    for name, rows in months.first.items():
        assert_same(rows_of(months.store, name, MONTH_ENDS[0]), rows, name)


def test_the_future_changes_nothing(spark: SparkSession, months: Months, tmp_path: Path) -> None:
    """Orders from the as-of day on are deleted, moved, given to others and multiplied; those before it only change
    places in the file. Labels, counts and decimals are the same, doubles to 1e-9."""
    chance, as_of = np.random.default_rng(8), MONTH_ENDS[0]
    bought = orders()
    past, future = bought[bought["day"] < as_of], bought[bought["day"] >= as_of]
    kept = future.sample(frac=0.5, random_state=1)
    kept = kept.assign(customer_id=chance.permutation(kept["customer_id"]), amount=kept["amount"] * 100)
    newcomers = kept.assign(customer_id="new-" + kept["customer_id"], order_id="N" + kept["order_id"])
    other = pd.concat([past, kept, newcomers]).sample(frac=1, random_state=2)
    config = configured(tmp_path / "warehouse", files(tmp_path, other), segments=SETTINGS)
    store = Store(spark, config)
    run(spark, config, as_of, ("clean", "features", "segments"), store=store)
    for name, rows in months.first.items():
        assert_same(rows_of(store, name, as_of), rows, name)
