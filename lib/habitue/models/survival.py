"""Survival curves by day with their intervals: Kaplan-Meier, and the bootstrap of the Wang-Chang curve.

Time is whole days. Somebody followed for c days has been seen on days 0 to c - 1, so is not at risk on day c itself: the
as-of day is the first unknown one. (This is the convention of `purchase_cycle`, too.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from habitue.models.purchase_cycle import GapWeights, wang_chang_curve

Floats = NDArray[np.float64]

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class EventCurve:
    """To whom something has happened by each day 0, 1, ...: share, its 95 % interval, and how many were at risk on it.

    All of shape (days,). NaN limits: there is no interval.
    """

    share: Floats
    low: Floats
    high: Floats
    at_risk: Floats


def at_risk(events: Floats, censored: Floats) -> Floats:
    """Those still at risk on each day, shape (..., days): with an event on it or later, or followed beyond it."""
    followed = _sum_from(censored)
    beyond = np.concatenate([followed[..., 1:], np.zeros((*followed.shape[:-1], 1))], axis=-1)
    risk: Floats = _sum_from(events) + beyond
    return risk


def kaplan_meier(events: Floats, censored: Floats) -> EventCurve:
    """1 - S of counts by day, shape (days,), with log-log intervals.

    S by Kaplan & Meier (JASA 53, 1958), its variance by Greenwood's sum G = sum d / (n (n - d)), and the limits
    S ^ exp(-+ z sqrt(G) / ln S) (Kalbfleisch & Prentice 1980), which stay within 0 and 1. Before the first event both
    limits are the share itself; where S is 0 there are none.
    """
    n = at_risk(events, censored)
    hazard = np.divide(events, n, out=np.zeros_like(n), where=n > 0)
    survival = np.cumprod(1 - hazard)
    left = n * (n - events)
    greenwood = np.cumsum(np.divide(events, left, out=np.zeros_like(n), where=left > 0))
    inside = (survival > 0) & (survival < 1)
    log_survival = np.log(np.where(inside, survival, 0.5))
    width = NORMAL_95 * np.sqrt(greenwood) / np.abs(log_survival)
    limits = [np.where(inside, 1 - survival ** np.exp(sign * width), 1 - survival) for sign in (-1, 1)]
    low, high = (np.where(survival > 0, limit, np.nan) for limit in limits)
    return EventCurve(1 - survival, low, high, n)


def wang_chang(complete: Floats, censored: Floats, draws: int, seed: tuple[int, ...]) -> EventCurve:
    """The Wang-Chang curve of gaps, with percentile intervals from a bootstrap of customers.

    complete, censored: weights by (group, gap in days) as in `GapWeights`, the groups being a hash's. A draw takes as
    many groups as there are occupied ones, with replacement: customers fall into groups by chance, so groups vary as
    customers do, and a segment smaller than the number of groups is resampled customer by customer. Fewer than two
    occupied groups: no interval. `at_risk` counts a customer as the share of its gaps that last so long.
    """
    occupied = (complete + censored).sum(axis=1) > 0
    complete, censored = complete[occupied], censored[occupied]
    total, total_open = complete.sum(axis=0), censored.sum(axis=0)
    share = _gap_shares(total, total_open)
    groups = len(complete)
    limits = np.full((2, len(share)), np.nan)
    if groups >= 2:
        times = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws).astype(float)
        limits = np.quantile(_gap_shares(times @ complete, times @ censored), TAILS, axis=0)
    return EventCurve(share, limits[0], limits[1], at_risk(total, total_open))


def _gap_shares(complete: Floats, censored: Floats) -> Floats:
    """1 - S at the end of each day; the curve's knots stand half a day after it, and before day 0 there is one more."""
    nothing = np.zeros_like(complete)
    curve = wang_chang_curve(GapWeights(complete, censored, nothing, nothing), limit=float(complete.shape[-1]))
    return curve.knots[..., 1:]


def _sum_from(weights: Floats) -> Floats:
    return np.asarray(np.cumsum(weights[..., ::-1], axis=-1)[..., ::-1])
