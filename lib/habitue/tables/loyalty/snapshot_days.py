"""On which days the past is looked at, so that a model can learn from it and be judged: plain arithmetic of days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from habitue.config import LoyalSettings, PredictionSettings
from habitue.errors import NotApplicable

HORIZONS_DAYS = (90, 60, 30)  # tried in turn where the window of the loyal rule is `auto`
BLOCKS_WITH_VALIDATION = 4  # history, training label, validation label, test label
BLOCKS_WITHOUT = 3
STEP_DAYS = 30  # snapshots are about this far apart


@dataclass(frozen=True)
class SnapshotDays:
    """The days of one as-of's snapshots, and what each is for.

    horizon_days: H, the length of a label; window_days: W of the loyal rule, the same.
    first_day: the shop's first order.
    days: as_of, which is scored, and before it every day with a complete label, newest first.
    tested_on, validated_on: days of the test and of the validation snapshot; no validation where there is no room.
    max_snapshots: how many days a model may learn from.
    """

    as_of: date
    first_day: date
    horizon_days: int
    window_days: int
    days: tuple[date, ...]
    tested_on: date
    validated_on: date | None
    max_snapshots: int

    @property
    def labelled(self) -> tuple[date, ...]:
        return tuple(day for day in self.days if day != self.as_of)

    @property
    def observed(self) -> tuple[date, ...]:
        """`days` and the days on which their labels end, newest first."""
        ends = {label_end(day, self.horizon_days) for day in self.labelled}
        return tuple(sorted({*self.days, *ends}, reverse=True))

    def training_days(self, judged_on: date) -> tuple[date, ...]:
        """The newest days that a model may learn from that is judged, or scores, on `judged_on`."""
        return purged(self.labelled, judged_on, self.horizon_days)[: self.max_snapshots]


def label_end(day: date, horizon_days: int) -> date:
    """The first day after the label of the snapshot of `day`."""
    return day + timedelta(days=horizon_days)


def purged(days: Iterable[date], judged_on: date, horizon_days: int) -> tuple[date, ...]:
    """Those of the days whose labels had ended by `judged_on`, newest first."""
    return tuple(sorted((d for d in days if label_end(d, horizon_days) <= judged_on), reverse=True))


def snapshot_days(as_of: date, first_day: date, loyal: LoyalSettings, prediction: PredictionSettings) -> SnapshotDays:
    """The snapshots of a shop that is known from first_day until before as_of.

    Raises NotApplicable where the history is too short.
    """
    horizon = _horizon(as_of, first_day, loyal)
    has_validation = as_of - timedelta(days=BLOCKS_WITH_VALIDATION * horizon) >= first_day
    steps = max(1, round(horizon / STEP_DAYS))
    # The earliest model to be judged, on the validation or else the test snapshot, learns from the block before it.
    needed = (2 if has_validation else 1) * steps + 1
    labelled = _labelled(as_of, first_day, horizon, steps)[: max(prediction.max_snapshots, needed)]
    return SnapshotDays(
        as_of=as_of,
        first_day=first_day,
        horizon_days=horizon,
        window_days=horizon,
        days=(as_of, *labelled),
        tested_on=as_of - timedelta(days=horizon),
        validated_on=as_of - timedelta(days=2 * horizon) if has_validation else None,
        max_snapshots=prediction.max_snapshots,
    )


def _horizon(as_of: date, first_day: date, loyal: LoyalSettings) -> int:
    span = (as_of - first_day).days
    if loyal.window_days != "auto":
        if span >= BLOCKS_WITHOUT * loyal.window_days:
            return loyal.window_days
        wanted = f"{BLOCKS_WITHOUT} windows of {loyal.window_days} days (loyal.window_days)"
    else:
        fitting = [days for days in HORIZONS_DAYS if span >= BLOCKS_WITH_VALIDATION * days]
        if fitting:
            return fitting[0]
        wanted = f"{BLOCKS_WITH_VALIDATION} windows of {HORIZONS_DAYS[-1]} days"
    raise NotApplicable(f"the orders cover {span} days, and a prediction that can be checked needs {wanted}")


def _labelled(as_of: date, first_day: date, horizon: int, steps: int) -> list[date]:
    """Days with a complete label and at least a window of history, newest first: each block of H in equal steps."""
    days: list[date] = []
    block = 1
    while True:
        for step in range(steps):
            day = as_of - timedelta(days=block * horizon + round(step * horizon / steps))
            if (day - first_day).days < horizon:
                return days
            days.append(day)
        block += 1
