"""On which days snapshots are taken, worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from habitue.config import resolve
from habitue.errors import NotApplicable
from habitue.tables.loyalty.snapshot_days import SnapshotDays, purged, snapshot_days

AS_OF = date(2024, 1, 1)


def days_for(span: int, window: str = "auto", most: int = 10) -> SnapshotDays:
    sets = (f"loyal.window_days={window}", f"prediction.max_snapshots={most}")
    config = resolve(None, sets).config
    return snapshot_days(AS_OF, AS_OF - timedelta(days=span), config.loyal, config.prediction)


def ages(days: tuple[date, ...]) -> list[int]:
    return [(AS_OF - day).days for day in days]


@pytest.mark.parametrize(
    ("span", "horizon"), [(5000, 90), (360, 90), (359, 60), (240, 60), (239, 30), (120, 30)]
)  # four horizons must fit
def test_the_longest_horizon_that_fits_four_times(span: int, horizon: int) -> None:
    days = days_for(span)
    assert (days.horizon_days, days.window_days) == (horizon, horizon)
    assert (AS_OF - days.tested_on).days == horizon
    assert days.validated_on is not None and (AS_OF - days.validated_on).days == 2 * horizon


def test_too_short_a_history_is_said() -> None:
    with pytest.raises(NotApplicable, match=r"119 days.*4 windows of 30 days"):
        days_for(119)
    with pytest.raises(NotApplicable, match=r"179 days.*3 windows of 60 days"):
        days_for(179, "60")


def test_a_configured_window_is_kept_and_may_leave_no_validation() -> None:
    assert days_for(180, "60").validated_on is None  # a history, a training label and a test label: 3 * 60
    assert days_for(239, "60").validated_on is None
    assert ages((days_for(240, "60").validated_on or AS_OF,)) == [120]
    assert days_for(5000, "60").horizon_days == 60


def test_days_are_a_month_apart_and_keep_a_window_of_history() -> None:
    # 90 days in three steps of 30; 400 - 310 = 90 days of history are too few for 330.
    assert ages(days_for(400).days) == [0, 90, 120, 150, 180, 210, 240, 270, 300]
    # 50 days in two steps of 25 (round(50 / 30) = 2); the last leaves 50 of 200 days.
    assert ages(days_for(200, "50").days) == [0, 50, 75, 100, 125, 150]
    # 7 days are one step.
    assert ages(days_for(30, "7").days) == [0, 7, 14, 21]


def test_at_most_so_many_snapshots_and_the_newest() -> None:
    days = days_for(5000, most=8)
    assert ages(days.labelled) == [90, 120, 150, 180, 210, 240, 270, 300]
    assert ages(days.training_days(days.tested_on)) == [180, 210, 240, 270, 300]
    assert ages(days.training_days(AS_OF)) == [90, 120, 150, 180, 210, 240, 270, 300]
    # One snapshot would leave nothing to learn from: the validation's training day, 270, is kept all the same.
    few = days_for(5000, most=1)
    assert ages(few.labelled) == [90, 120, 150, 180, 210, 240, 270]
    assert ages(few.training_days(few.validated_on or AS_OF)) == [270]
    assert ages(few.training_days(AS_OF)) == [90]


def test_training_labels_end_by_the_judged_day() -> None:
    days = [AS_OF - timedelta(days=age) for age in (179, 180, 181)]
    assert ages(purged(days, AS_OF - timedelta(days=90), 90)) == [180, 181]


def test_labels_end_on_observed_days() -> None:
    days = days_for(400)
    ends = {day + timedelta(days=90) for day in days.labelled}
    assert ends <= set(days.observed) and set(days.days) <= set(days.observed)
    assert ages(days.observed)[:4] == [0, 30, 60, 90]
