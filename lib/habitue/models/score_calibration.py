"""From scores, which only rank, to probabilities: isotonic where positives are many, else a sigmoid.

Isotonic: Zadrozny and Elkan (2002). Sigmoid: Platt (1999), with his smoothed targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit

Floats = NDArray[np.float64]

BINS = 10  # of reliability, with equally many rows


@dataclass(frozen=True, eq=False)
class ScoreGroups:
    """Rows by score, in groups: (groups,) mean score, rising; rows; positives."""

    scores: Floats
    rows: Floats
    positives: Floats


@dataclass(frozen=True)
class Calibrator:
    """Score to probability. Isotonic: linear between `knots` (score, probability), level outside them.

    Sigmoid: 1 / (1 + exp(-(slope x score + intercept))); slope is at least 0, so the order of scores stays.
    """

    kind: str
    knots: tuple[tuple[float, float], ...] = ()
    slope: float = 0.0
    intercept: float = 0.0

    def probability(self, score: Column) -> Column:
        """The calibrated probability (double, 0-1) of a score; NULL of NULL."""
        if self.kind == "sigmoid":
            return F.lit(1.0) / (F.lit(1.0) + F.exp(-(score * F.lit(self.slope) + F.lit(self.intercept))))
        return _interpolated(score, self.knots)

    def probability_numpy(self, scores: ArrayLike) -> Floats:
        """`probability` for an array."""
        values = np.asarray(scores, dtype=np.float64)
        if self.kind == "sigmoid":
            return np.asarray(expit(self.slope * values + self.intercept), dtype=np.float64)
        return np.interp(values, [score for score, _ in self.knots], [probability for _, probability in self.knots])

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "knots": [list(knot) for knot in self.knots],
            "slope": self.slope,
            "intercept": self.intercept,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibrator:
        knots = tuple((float(score), float(probability)) for score, probability in values["knots"])
        return cls(values["kind"], knots, float(values["slope"]), float(values["intercept"]))


def fit_calibrator(groups: ScoreGroups, isotonic_positives: int) -> Calibrator:
    """Isotonic where there are at least so many positives, else the sigmoid."""
    if groups.positives.sum() >= isotonic_positives:
        return _isotonic(groups)
    return _sigmoid(groups)


def group_by_score(scores: ArrayLike, labels: ArrayLike) -> ScoreGroups:
    """Groups of equal scores, for arrays that are small enough."""
    values, position = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    rows = np.bincount(position, minlength=len(values)).astype(np.float64)
    positives: Floats = np.bincount(position, np.asarray(labels, dtype=np.float64), len(values)).astype(np.float64)
    return ScoreGroups(values, rows, positives)


def pooled(several: Sequence[ScoreGroups]) -> ScoreGroups:
    """All groups together, rising by score."""
    scores = np.concatenate([groups.scores for groups in several])
    order = np.argsort(scores, kind="stable")
    rows = np.concatenate([groups.rows for groups in several])[order]
    positives = np.concatenate([groups.positives for groups in several])[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores[order]) > 0]))
    return ScoreGroups(scores[order][starts], np.add.reduceat(rows, starts), np.add.reduceat(positives, starts))


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> list[dict[str, Any]]:
    """Bins with equally many rows, from the least probable up: mean_probability, observed_rate, customers (rows).

    Rows of equal probability share their positives evenly, so that it does not matter in what order they come.
    """
    probable, positive = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    order = np.argsort(probable, kind="stable")
    groups, position = np.unique(probable[order], return_inverse=True)
    shared = np.bincount(position, positive[order], len(groups)) / np.maximum(np.bincount(position), 1)
    evened = shared[position] if len(order) else positive
    parts = [rows for rows in np.array_split(np.arange(len(order)), bins) if len(rows)]
    return [
        {
            "mean_probability": float(probable[order][rows].mean()),
            "observed_rate": float(evened[rows].mean()),
            "customers": len(rows),
        }
        for rows in parts
    ]


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> float | None:
    """Mean over rows of |mean probability - observed rate| of their bin; None without rows."""
    found = reliability(probabilities, labels, bins)
    rows = sum(one["customers"] for one in found)
    off = sum(one["customers"] * abs(one["mean_probability"] - one["observed_rate"]) for one in found)
    return off / rows if rows else None


def _isotonic(groups: ScoreGroups) -> Calibrator:
    """The rising step function nearest to the groups' rates, joined between the ends of its steps.

    Each step counts one more row, with the rate of all, so that a single customer at the top is no certainty.
    """
    blocks = isotonic_regression(groups.positives / groups.rows, weights=groups.rows).blocks
    rows, positives = (np.add.reduceat(values, blocks[:-1]) for values in (groups.rows, groups.positives))
    shrunk = (positives + positives.sum() / rows.sum()) / (rows + 1)
    level = np.repeat(isotonic_regression(shrunk, weights=rows).x, np.diff(blocks))
    ends = np.unique(np.concatenate([blocks[:-1], blocks[1:] - 1]))
    return Calibrator("isotonic", tuple((float(groups.scores[i]), float(level[i])) for i in ends))


def _sigmoid(groups: ScoreGroups) -> Calibrator:
    """Platt's sigmoid: positives count as (P + 1) / (P + 2), others as 1 / (N + 2), so that few rows promise nothing."""
    positives, rows = groups.positives, groups.rows
    high, low = (positives.sum() + 1) / (positives.sum() + 2), 1 / ((rows - positives).sum() + 2)
    target = positives * high + (rows - positives) * low
    centre, spread = np.average(groups.scores, weights=rows), 1.0
    variance = np.average((groups.scores - centre) ** 2, weights=rows)
    if variance > 0:
        spread = float(np.sqrt(variance))
    z = (groups.scores - centre) / spread

    def loss(values: Floats) -> tuple[float, Floats]:
        margin = values[0] * z + values[1]
        value = float((rows * np.logaddexp(0, margin) - target * margin).sum() / rows.sum())
        off = (rows * expit(margin) - target) / rows.sum()
        return value, np.array([off @ z, off.sum()])

    start = np.array([0.0, np.log(target.sum() / (rows.sum() - target.sum()))])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)], tol=1e-12)
    slope = float(found.x[0]) / spread
    return Calibrator("sigmoid", slope=slope, intercept=float(found.x[1] - slope * centre))


def _interpolated(score: Column, knots: Sequence[tuple[float, float]]) -> Column:
    if len(knots) == 1:
        return F.when(score.isNotNull(), F.lit(knots[0][1]))
    scores, levels = (F.array(*(F.lit(knot[i]) for knot in knots)) for i in (0, 1))
    inside = F.least(F.greatest(score, F.lit(knots[0][0])), F.lit(knots[-1][0]))
    # Position of the last knot at or below the score, with another one after it.
    left = F.least(F.size(F.filter(scores, lambda knot: knot <= inside)), F.lit(len(knots) - 1))
    x0, x1 = F.element_at(scores, left), F.element_at(scores, left + 1)
    y0, y1 = F.element_at(levels, left), F.element_at(levels, left + 1)
    return F.when(score.isNotNull(), y0 + (y1 - y0) * (inside - x0) / (x1 - x0))
