"""A model that is carried forward into a shop whose gaps changed: nothing is fitted, and a re-fit is proposed.

The model is `two_segments`: made on 1 November, gaps of 5 and of 45 days, silhouette .50, gain 20 %. In its shop are 24
customers who bought every 5 days before t0, and 16 who bought every 45 days. (test_carried_forward.py has whole runs.)
"""

from __future__ import annotations

from datetime import date, timedelta
from math import log, log1p
from pathlib import Path
from typing import NamedTuple

import pytest
from pyspark.sql import SparkSession
from segment_shops import AS_OF
from two_segments import two_segments

from habitue.config import resolve
from habitue.models.gap_sums import hash_group
from habitue.models.segmentation import Segmentation
from habitue.tables.segments import segment_candidates
from habitue.tables.segments.segment_candidates import Selection

MADE = date(2023, 11, 1)
FIT_DAY, HORIZON = AS_OF - timedelta(days=120), 60
QUICK = {
    "refit": "never",
    "stability_refits": 2,
    "twins": 2,
    "twin_customers": 100,
    "bootstrap_draws": 100,
    "min_segment_customers": 10,
}


class Group(NamedTuple):
    """customers who bought every `gap_days` before t0, whose held-out gap is `held_out_days`, and whose typical gap now is
    `typical_days`."""

    customers: int
    gap_days: int
    held_out_days: int
    typical_days: float


STEADY = (Group(24, 5, 5, 5.0), Group(16, 45, 45, 45.0))
# Since t0 the quick customers take 45 days and the slow ones 5; what is typical of them has moved to the middle.
SHIFTED = (Group(24, 5, 45, 14.0), Group(16, 45, 5, 17.0))


class Carried(NamedTuple):
    """What came of carrying the model forward; `halves`: choosing customers of each group."""

    earlier: Segmentation
    selection: Selection
    model_path: Path
    halves: tuple[int, ...]

    @property
    def model(self) -> Segmentation:
        return self.selection.segmentation


def carried(spark: SparkSession, folder: Path, groups: tuple[Group, ...]) -> Carried:
    people = [(f"{number}-{i}", group) for number, group in enumerate(groups) for i in range(group.customers)]
    fit = spark.createDataFrame(
        [
            (c, float(g.gap_days), [g.gap_days] * 3, g.gap_days, FIT_DAY, HORIZON, True, g.held_out_days)
            for c, g in people
        ],
        "customer_id string, typical_gap_days double, gaps_days array<int>, open_gap_days int, fit_day date, "
        "horizon_days int, has_held_out boolean, held_out_gap_days int",
    )
    features = spark.createDataFrame(
        [(c, g.typical_days, 3) for c, g in people],
        "customer_id string, typical_gap_days double, days_since_last_order int",
    )
    history = spark.createDataFrame(
        [(c, [g.gap_days] * 3, AS_OF - timedelta(days=300)) for c, g in people],
        "customer_id string, gaps_days array<int>, first_order_day date",
    )
    earlier, model_path = two_segments(MADE, names=((1, "Was renamed"), (7, "Long gone"))), folder / "model"
    named = spark.createDataFrame([(1, "Quick"), (2, "Slow")], "segment_id int, name string")
    selection = segment_candidates.build(
        fit,
        features,
        history,
        AS_OF,
        resolve(overrides={"segments": QUICK}).config.segments,
        model_path=str(model_path),
        earlier_segmentation=earlier,
        earlier_segment_members=None,
        earlier_segments=named,
        promoted_segmentation=None,
    )
    choosing = [row["customer_id"] for row in fit.where(hash_group() % 2 == 0).select("customer_id").collect()]
    halves = tuple(sum(c.startswith(f"{number}-") for c in choosing) for number in range(len(groups)))
    return Carried(earlier, selection, model_path, halves)


@pytest.fixture(scope="module")
def shifted(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Carried:
    return carried(spark, tmp_path_factory.mktemp("shifted"), SHIFTED)


def test_nothing_is_fitted(shifted: Carried) -> None:
    model, earlier = shifted.model, shifted.earlier
    assert (model.as_of, model.trained_as_of, model.newest_fit_as_of, model.fit_day) == (AS_OF, MADE, MADE, FIT_DAY)
    assert model.tree.to_rows() == earlier.tree.to_rows()
    assert model.scaling == earlier.scaling
    assert (model.nodes, model.ids, model.last_id, model.cycles) == ((1, 2), (1, 2), 2, earlier.cycles)
    assert (model.fitted_silhouette, model.fitted_gain) == (0.5, 0.2)
    assert not shifted.model_path.exists()  # MLlib's model of a fit would lie there
    assert not shifted.selection.ends_promotion


def test_the_names_of_all_earlier_segments_are_kept(shifted: Carried) -> None:
    """Segment 7 is in no snapshot that the run sees; its name came with the earlier model."""
    assert shifted.model.names == ((1, "Quick"), (2, "Slow"), (7, "Long gone"))


def test_the_gain_is_that_of_the_old_segments_on_the_new_gaps(shifted: Carried) -> None:
    """Learned are cycles of 5 and 45 days. Of the shop's customers .6 have gaps of 5 days, whose mass lies on [4.5, 5.5]:
    its cycle is 4.5 + .5 / .6 = 16/3 days. A segment's cycle errs by ln 9 on every new gap; the shop's by ln(45 / (16/3))
    on those of the quick customers, who now take 45 days, and by ln((16/3) / 5) on those of the slow ones."""
    quick, slow = shifted.halves
    assert min(quick, 24 - quick) > 0  # both halves have quick customers, or the gain would say nothing
    shop_error = quick * log(45 * 3 / 16) + slow * log(16 / 15)
    assert shifted.model.gain == pytest.approx(1 - (quick + slow) * log(9) / shop_error)
    assert shifted.model.gain < 0


def test_the_silhouette_is_that_of_the_customers_now(shifted: Carried) -> None:
    """The scaled gap is 4 ln(1 + days); the tree has 120 customers around 5 and 80 around 45 days, with squared distances
    to the centre of 10 in all each. 14 days are nearer to 5 and 17 days to 45: the border lies at 15.6."""
    quick, slow, five, forty_five = (4 * log1p(days) for days in (14, 17, 5, 45))

    def score(x: float, own: float, own_size: int, other: float, other_size: int) -> float:
        a = (own_size * (x - own) ** 2 + 10) / (own_size - 1)
        return 1 - a / ((x - other) ** 2 + 10 / other_size)

    of_quick, of_slow = score(quick, five, 120, forty_five, 80), score(slow, forty_five, 80, five, 120)
    assert shifted.model.silhouette == pytest.approx((24 * of_quick + 16 * of_slow) / 40)  # .299
    assert shifted.model.silhouette < 0.8 * 0.5


def test_a_refit_is_proposed_in_the_notes_and_in_the_reason(shifted: Carried) -> None:
    kept = f"kept from the fit of {MADE}, segments.refit is never"
    proposal = (
        f"a re-fit is proposed: since the fit of {MADE} the silhouette fell from 0.50 to 0.30 and the gain of the "
        f"segments' cycles fell from 20.0 % to {100 * shifted.model.gain:.1f} %; run once with --set segments.refit=always"
    )
    assert shifted.model.notes == (f"segments: {kept}", f"segments: {proposal}")
    rows = {row["segment_count"]: row for row in shifted.selection.segment_candidates.collect()}
    assert [count for count, row in rows.items() if row["is_chosen"]] == [2]
    assert rows[2]["reason"] == f"{kept}; {proposal}"
    assert rows[1]["reason"].startswith("not judged anew: ")
    assert rows[2]["cycle_gain"] == pytest.approx(shifted.model.gain)


def test_a_steady_shop_gets_no_proposal(spark: SparkSession, tmp_path: Path) -> None:
    """Every held-out gap is the segment's cycle, so the gain is 1; the silhouette is nearly 1, too."""
    steady = carried(spark, tmp_path, STEADY).model
    assert steady.gain == pytest.approx(1)
    assert steady.silhouette > 0.95
    assert steady.notes == (f"segments: kept from the fit of {MADE}, segments.refit is never",)
