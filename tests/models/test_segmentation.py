"""Who belongs where: core, fringe and outside on cases worked out by hand, and a model that survives being written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from small_models import cycle, two_segments

from habitue.models.purchase_cycle import GapWeights
from habitue.models.segmentation import Segmentation, SegmentCycle, place, segment_cycles

# customer -> (trend, gaps, segment, membership). Segment 4: gaps of 7 days, p10-p90 5 to 9, p1-p99 2 to 12.
# Segment 9: gaps of 30 days, p10-p90 25 to 35, p1-p99 20 to 40. Up to trend 5 the tree gives segment 4.
CASES: dict[str, tuple[float, list[int], int, str]] = {
    **{f"far {i}": (-4.0, [7, 7, 7], 4, "core") for i in range(4)},
    "own rhythm": (0.0, [6, 7, 8], 4, "core"),
    "slower": (0.0, [11, 11, 11], 4, "fringe"),  # 11 is over p90
    "slower, two gaps": (0.0, [11, 11], 4, "core"),  # two gaps say too little
    "rhythm of the other": (0.0, [30, 30, 30], 4, "fringe"),  # near to its own centre: it stays
    # These are nearer to segment 9 than to their own, though on its side of the border (see below).
    "between, slow": (4.5, [30, 30, 30], 9, "fringe"),  # both speak for segment 9: moved
    "between, quick": (4.5, [7, 7, 7], 4, "fringe"),
    "between, one slow gap": (4.5, [30], 9, "fringe"),
    "between, came once": (4.5, [], 4, "fringe"),  # nothing speaks for another rhythm
    "monthly": (10.0, [29, 30, 31], 9, "core"),
    "in no rhythm": (10.0, [100, 100, 100], 9, "outside"),
    "between the rhythms": (10.0, [15, 15, 15], 9, "outside"),  # over 12, under 20
    "one gap of no segment": (10.0, [100], 9, "outside"),  # one is enough: hardly any of a segment's gaps lie there
    "one gap beyond p90": (0.0, [11], 4, "core"),  # while a tenth of them do beyond p90
    "came once": (10.0, [], 9, "core"),
}


def customers(spark: SparkSession, cases: dict[str, tuple[float, list[int], int, str]] = CASES) -> DataFrame:
    rows = [(c, t, gaps, len(gaps), float(np.median(gaps)) if gaps else None) for c, (t, gaps, _, _) in cases.items()]
    types = "customer_id string, trend double, gaps_days array<int>, gap_count int, gap_median_days double"
    return spark.createDataFrame(rows, types)


def placed(spark: SparkSession, model: Segmentation) -> dict[str, tuple[int, str, float | None]]:
    rows = place(model, customers(spark)).collect()
    return {row["customer_id"]: (row["segment_id"], row["membership"], row["silhouette"]) for row in rows}


def test_core_fringe_and_outside(spark: SparkSession) -> None:
    found = placed(spark, two_segments())
    assert {c: where[:2] for c, where in found.items()} == {c: case[2:] for c, case in CASES.items()}


def test_silhouettes_by_hand(spark: SparkSession) -> None:
    """At the fit ten customers were around 0, their squared distances to it 110 in all, and ten around 10, 1 in all.

    At 4.5: own (10 * 4.5^2 + 110) / 9 = 34.722, other 5.5^2 + 1 / 10 = 30.35: (30.35 - 34.722) / 34.722 = -.126.
    At 0: own 110 / 9 = 12.222, other 100 + 1 / 10. At 10: own 1 / 9, other 100 + 110 / 10 = 111.
    """
    found = placed(spark, two_segments())
    assert found["between, slow"][2] == pytest.approx(30.35 / (312.5 / 9) - 1)
    assert found["own rhythm"][2] == pytest.approx(1 - (110 / 9) / 100.1)
    assert found["monthly"][2] == pytest.approx(1 - (1 / 9) / 111)


def test_where_a_customer_belongs_does_not_depend_on_who_else_is_placed(spark: SparkSession) -> None:
    whole = placed(spark, two_segments())
    for some in (["between, slow"], ["slower", "monthly"]):
        rows = place(two_segments(), customers(spark, {name: CASES[name] for name in some})).collect()
        for row in rows:
            assert (row["segment_id"], row["membership"], row["silhouette"]) == whole[row["customer_id"]]


def test_one_segment_has_no_neighbours_and_still_a_fringe(spark: SparkSession) -> None:
    whole = two_segments(nodes=(0,), ids=(4,), cycles=(cycle(7, 2, 5, 9, 12),), segment_gains=((0.0, 0.0, 0.0),))
    found = placed(spark, whole)
    assert {where[0] for where in found.values()} == {4}
    assert {where[2] for where in found.values()} == {None}
    assert (found["own rhythm"][1], found["slower"][1], found["monthly"][1]) == ("core", "fringe", "outside")


def test_without_any_cycle_nobody_is_outside(spark: SparkSession) -> None:
    unknown = float("nan")
    none = SegmentCycle(unknown, unknown, unknown, unknown, (0.0,) * 61)
    found = placed(spark, two_segments(cycles=(none, none)))
    assert {where[1] for where in found.values()} == {"core", "fringe"}
    assert [c for c, where in found.items() if where[1] == "fringe"] == [
        "between, slow",
        "between, quick",
        "between, one slow gap",
        "between, came once",
    ]


def test_who_is_placed_does_not_depend_on_the_model_being_written(spark: SparkSession) -> None:
    """Through JSON and back: the same text again, the same placement, and a cycle that is unknown stays so."""
    model = two_segments(names=((4, "Weekly buyers"), (9, "Monthly buyers")))
    again = Segmentation.from_json(model.to_json())
    assert again.to_json() == model.to_json()
    assert placed(spark, again) == placed(spark, model)
    for name in (
        "as_of",
        "trained_as_of",
        "fit_day",
        "nodes",
        "ids",
        "last_id",
        "segment_gains",
        "summary",
        "decisions",
        "names",
    ):
        assert getattr(again, name) == getattr(model, name), name
    unknown = replace(model, cycles=(model.cycles[0], SegmentCycle(*[float("nan")] * 4, densities=(0.0,) * 61)))
    assert placed(spark, Segmentation.from_json(unknown.to_json())) == placed(spark, unknown)


def test_cycles_for_membership_from_weights() -> None:
    """Two segments: gaps of 10 and 20 days, evenly; and none at all. Mass of gap 10 lies on [9.5, 10.5], of 20 on
    [19.5, 20.5]: p10 is a fifth of the way into the first, 9.7; p90 20.3; p1 9.52, p99 20.48."""
    complete = np.zeros((2, 31))
    complete[0, [10, 20]] = 5.0
    nothing = np.zeros((2, 31))
    weights = GapWeights(complete, nothing, complete / 2, nothing)
    first, second = segment_cycles(weights, limit=30.0)
    assert (first.p1_days, first.p10_days, first.p90_days, first.p99_days) == pytest.approx((9.52, 9.7, 20.3, 20.48))
    assert {day: share for day, share in enumerate(first.densities) if share} == pytest.approx({10: 0.5, 20: 0.5})
    assert np.isnan([second.p1_days, second.p99_days]).all()
    assert sum(second.densities) == 0
