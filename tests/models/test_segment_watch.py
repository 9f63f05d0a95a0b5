"""Which model serves a snapshot, when a promotion ends, and when a re-fit is proposed; worked out by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from two_segments import two_segments

from habitue.models.segment_watch import carried_forward, ends_promotion, refit_proposal, why_carried_forward

MARCH, LATE_MARCH, APRIL, MAY = date(2024, 3, 1), date(2024, 3, 20), date(2024, 4, 1), date(2024, 5, 1)
FALLS = {"max_silhouette_fall": 0.2, "max_gain_fall": 0.5, "min_gain": 0.01}


@pytest.mark.parametrize(
    ("refit", "as_of", "is_carried"),
    [("never", MAY, True), ("monthly", LATE_MARCH, True), ("monthly", APRIL, False), ("always", LATE_MARCH, False)],
)
def test_the_newest_model_is_carried_forward_as_refit_says(refit: str, as_of: date, is_carried: bool) -> None:
    earlier = two_segments(MARCH)
    assert (carried_forward(refit, None, earlier, as_of) is earlier) == is_carried
    assert carried_forward(refit, None, None, as_of) is None


def test_a_month_is_a_calendar_month_of_one_year() -> None:
    assert carried_forward("monthly", None, two_segments(date(2023, 3, 1)), LATE_MARCH) is None


def test_the_promoted_model_goes_before_the_newest() -> None:
    # Fitted on 1 March, and again on 1 April; then the March model was made the champion.
    promoted, earlier = two_segments(MARCH, newest_fit_as_of=APRIL), two_segments(APRIL)
    assert carried_forward("never", promoted, earlier, MAY) is promoted
    assert carried_forward("monthly", promoted, earlier, date(2024, 4, 20)) is promoted  # April had its fit
    assert carried_forward("monthly", promoted, earlier, MAY) is None
    assert carried_forward("always", promoted, earlier, date(2024, 4, 20)) is None
    assert carried_forward("never", promoted, None, MAY) is promoted
    assert "promoted" in why_carried_forward(promoted, promoted, "never")
    assert "segments.refit is never" in why_carried_forward(earlier, promoted, "never")


def test_a_later_months_fit_ends_a_promotion_and_no_other_does() -> None:
    promoted = two_segments(MARCH, newest_fit_as_of=APRIL)
    assert ends_promotion("monthly", promoted, MAY)
    assert not ends_promotion("monthly", promoted, APRIL)  # the fit that was not kept, built again
    assert not ends_promotion("never", promoted, MAY)
    assert not ends_promotion("always", promoted, MAY)
    assert not ends_promotion("monthly", None, MAY)


def proposal(**changes: float) -> str | None:
    figures: dict[str, Any] = {"silhouette": 0.5, "fitted_silhouette": 0.5, "gain": 0.2, "fitted_gain": 0.2}
    return refit_proposal(MARCH, **{**figures, **FALLS, **changes})


def test_falls_beyond_their_share_propose_a_refit() -> None:
    # .5 less 20 % is .4, and 20 % less half is 10 %.
    assert proposal(silhouette=0.41, gain=0.11) is None
    low = proposal(silhouette=0.39)
    assert low is not None and "the silhouette fell from 0.50 to 0.39" in low and "gain" not in low
    lost = proposal(gain=-0.05)
    assert lost is not None and "cycles fell from 20.0 % to -5.0 %" in lost and "silhouette" not in lost
    assert low.startswith("a re-fit is proposed: since the fit of 2024-03-01 ")
    assert low.endswith("--set segments.refit=always")


def test_what_is_not_known_or_was_no_reason_proposes_nothing() -> None:
    nan = float("nan")
    assert proposal(silhouette=nan, gain=nan) is None
    assert proposal(fitted_silhouette=nan, fitted_gain=nan, gain=-1.0) is None
    assert proposal(fitted_gain=0.009, gain=-1.0) is None
