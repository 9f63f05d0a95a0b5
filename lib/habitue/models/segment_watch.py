"""Segments carried forward without a new fit: which model that is, and when it no longer divides the shop as it did."""

from __future__ import annotations

from datetime import date

from habitue.models.segmentation import Segmentation
from habitue.percent import percent

HOW_TO_REFIT = "run once with --set segments.refit=always"


def carried_forward(
    refit: str, promoted: Segmentation | None, earlier: Segmentation | None, as_of: date
) -> Segmentation | None:
    """The model that serves this snapshot without a new fit; None where a new one is due.

    promoted: the model that a person made the champion, if it is of an earlier as-of. earlier: that of the newest earlier
    snapshot. `monthly` is due in each calendar month without a fit, whether or not that fit was kept.
    """
    known = [model for model in (promoted, earlier) if model]
    if refit == "always" or not known:
        return None
    fitted_in = {(model.newest_fit_as_of.year, model.newest_fit_as_of.month) for model in known}
    is_due = refit == "monthly" and (as_of.year, as_of.month) not in fitted_in
    return None if is_due else known[0]


def ends_promotion(refit: str, promoted: Segmentation | None, as_of: date) -> bool:
    """Whether a fit of this as-of replaces the promoted model: a later month's fit does, where fits are monthly.

    Without monthly fits it waits as the challenger, until somebody promotes it.
    """
    return refit == "monthly" and promoted is not None and as_of > promoted.newest_fit_as_of


def why_carried_forward(reused: Segmentation, promoted: Segmentation | None, refit: str) -> str:
    """In words, why `reused` serves this snapshot."""
    why = "whose model was promoted" if reused is promoted else f"segments.refit is {refit}"
    return f"kept from the fit of {reused.trained_as_of}, {why}"


def refit_proposal(
    trained_as_of: date,
    *,
    silhouette: float,
    fitted_silhouette: float,
    max_silhouette_fall: float,
    gain: float,
    fitted_gain: float,
    max_gain_fall: float,
    min_gain: float,
) -> str | None:
    """A sentence that proposes a re-fit, or None where neither figure fell by more than its share of the fit's.

    silhouette, gain: in this snapshot; fitted_*: in the one that the model was trained for. NaN is not known, and proposes
    nothing. A gain that was below `min_gain` was no reason for these segments, so its fall is none against them.
    """
    fallen = []
    if fitted_silhouette > 0 and silhouette < fitted_silhouette * (1 - max_silhouette_fall):
        fallen.append(f"the silhouette fell from {fitted_silhouette:.2f} to {silhouette:.2f}")
    if fitted_gain >= min_gain and gain < fitted_gain * (1 - max_gain_fall):
        fallen.append(f"the gain of the segments' cycles fell from {percent(fitted_gain)} to {percent(gain)}")
    if not fallen:
        return None
    return f"a re-fit is proposed: since the fit of {trained_as_of} {' and '.join(fallen)}; {HOW_TO_REFIT}"
