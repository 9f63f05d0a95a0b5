"""How well scores rank customers: the lift of the top share, areas under curves, reliability; all on arrays.

A score is used by its order alone, so it need not be calibrated. Rows of one customer stay together in every bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.stats import poisson

from habitue.models.score_calibration import expected_calibration_error, reliability

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INTERVAL = (0.025, 0.975)
CHUNK_CELLS = 5_000_000  # bootstrap draws x customers held at a time: 20 MB
MOST_GROUPS = 5_000  # of neighbouring scores that draws tell apart; what is published of the rows themselves is exact
DIGITS_OF_A_ROW = 9  # of the rows that a share comes to: .1 x 30 is 3 rows, not 3.0000000000000004


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one set of rows. Shares and rates are 0-1; None is a figure that does not exist here.

    customers: rows evaluated. top_rate, rest_rate: positives among the top_share by score, and among the rest.
    lift_ratio: their quotient, with its 95 % customer-bootstrap interval. lift_ceiling: the most that it can be.
    sort_lift_ratio: the same quotient by the plain sort. reliability: one dict a decile of probability.
    reason: why there is no lift_ratio.
    """

    customers: int
    positives: int
    base_rate: float | None
    auc: float | None
    auc_error: float | None
    average_precision: float | None
    brier: float | None
    top_share: float
    top_rate: float | None
    rest_rate: float | None
    lift_ratio: float | None
    lift_low: float | None
    lift_high: float | None
    lift_ceiling: float | None
    sort_lift_ratio: float | None
    calibration_error: float | None
    reliability: list[dict[str, Any]]
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class AucDifference:
    """AUC of a minus AUC of b on the same rows, with the bootstrap's standard error; None where one class is missing."""

    difference: float | None
    standard_error: float | None


def evaluate(
    scores: ArrayLike,
    labels: ArrayLike,
    customers: ArrayLike,
    probabilities: ArrayLike | None,
    sort_scores: ArrayLike | None,
    *,
    share: float,
    draws: int,
    seed: int,
) -> Evaluation:
    """Every figure of `Evaluation` for rows with a score (order only), a label 0 or 1 and the customer they belong to.

    customers: ids of any kind; several rows may have the same. probabilities: calibrated; None leaves out what needs them.
    sort_scores: the plain sort's figure, larger is better. draws: of customers, with replacement.
    """
    ranked, positive = _floats(scores), _floats(labels)
    rate = float(positive.mean()) if len(positive) else None
    top, rest = _rates(ranked, positive, share)
    ratio, reason = _ratio(top, rest, len(positive))
    resampled = Resampling(customers, draws=draws, seed=seed)
    drawn_ratios, drawn_aucs = _bootstrap(ranked, positive, resampled, share)
    low, high = _interval(drawn_ratios) if ratio is not None else (None, None)
    sort_ratio = None
    if sort_scores is not None:
        sort_ratio, _ = _ratio(*_rates(_floats(sort_scores), positive, share), len(positive))
    probable = None if probabilities is None else _floats(probabilities)
    known = probable is not None and len(probable) > 0
    return Evaluation(
        customers=len(positive),
        positives=int(positive.sum()),
        base_rate=rate,
        auc=auc(ranked, positive),
        auc_error=_standard_error(drawn_aucs),
        average_precision=average_precision(ranked, positive),
        brier=float(np.mean((probable - positive) ** 2)) if known and probable is not None else None,
        top_share=share,
        top_rate=top,
        rest_rate=rest,
        lift_ratio=ratio,
        lift_low=low,
        lift_high=high,
        lift_ceiling=None if rate is None else lift_ceiling(rate, share),
        sort_lift_ratio=sort_ratio,
        calibration_error=expected_calibration_error(probable, positive) if known and probable is not None else None,
        reliability=reliability(probable, positive) if known and probable is not None else [],
        reason=reason,
    )


def auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Area under the ROC curve, ties counting half (Mann-Whitney); None where a class is missing."""
    value = _auc(*_by_score(_floats(scores), _floats(labels)))[0]
    return None if np.isnan(value) else float(value)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Sum over distinct scores of precision x gain in recall, as in scikit-learn; None without a positive."""
    gained, rows = (sums[0] for sums in _by_score(_floats(scores), _floats(labels)))
    if gained.sum() == 0:
        return None
    return float((np.cumsum(gained) / np.cumsum(rows) * gained).sum() / gained.sum())


def lift_ratio(scores: ArrayLike, labels: ArrayLike, share: float) -> float | None:
    """Rate among the top `share` by score / rate among the rest; None where that does not exist."""
    return _ratio(*_rates(_floats(scores), _floats(labels), share), len(_floats(labels)))[0]


def lift_ceiling(base_rate: float, share: float) -> float | None:
    """The ratio of a perfect ranking, (1 - q) / (p - q); None where p <= q, as it then has no bound."""
    return (1 - share) / (base_rate - share) if base_rate > share else None


def auc_difference(
    scores_a: ArrayLike, scores_b: ArrayLike, labels: ArrayLike, customers: ArrayLike, *, draws: int, seed: int
) -> AucDifference:
    """AUC of a - AUC of b, paired: both are resampled by the same draws of customers."""
    positive = _floats(labels)
    first, second = auc(scores_a, positive), auc(scores_b, positive)
    if first is None or second is None:
        return AucDifference(None, None)
    resampled = Resampling(customers, draws=draws, seed=seed)
    drawn = [
        np.concatenate([_auc(*sums) for sums in resampled.sums(_floats(scores), positive)])
        for scores in (scores_a, scores_b)
    ]
    return AucDifference(first - second, _standard_error(drawn[0] - drawn[1]))


class Resampling:
    """Bootstrap of customers: the same weights for the same ids, draws and seed, in whatever order rows come.

    Poisson(1) weights in place of multinomial ones (Chamandy et al. 2012, Estimating uncertainty for massive data
    streams): every figure here is free of scale, and a draw costs a table look-up a customer.
    """

    def __init__(self, customers: ArrayLike, *, draws: int, seed: int):
        ids, self._customer = np.unique(np.asarray(customers), return_inverse=True)
        self._customers, self._draws, self._seed = len(ids), draws, seed

    def sums(self, scores: Floats, labels: Floats) -> Iterator[tuple[Floats, Floats]]:
        """(some draws, groups) twice: positives and rows by score from the highest down, all draws in turn."""
        if not len(scores):
            return
        group = _neighbours(_groups(scores))
        shape = (int(group.max()) + 1, self._customers)
        rows, positives = (
            csr_array((values.astype(np.float32), (group, self._customer)), shape=shape)
            for values in (np.ones(len(group)), labels)
        )
        for weights in self._weights():
            yield (positives @ weights).T.astype(np.float64), (rows @ weights).T.astype(np.float64)

    def _weights(self) -> Iterator[NDArray[np.float32]]:
        """(customers, some draws), all draws in turn."""
        rng = np.random.default_rng(self._seed)
        at_a_time = max(1, CHUNK_CELLS // self._customers)
        for start in range(0, self._draws, at_a_time):
            drawn = min(at_a_time, self._draws - start)
            yield _POISSON[rng.integers(0, 2**16, size=(self._customers, drawn), dtype=np.uint16)]


# Number of events of a Poisson(1) variable at each of 2^16 equal steps of its distribution.
_POISSON = np.searchsorted(poisson.cdf(np.arange(12), 1), (np.arange(2**16) + 0.5) / 2**16).astype(np.float32)


def _groups(scores: Floats) -> Ints:
    """(rows,): 0 for the highest score, 1 for the next, and so on."""
    distinct, position = np.unique(scores, return_inverse=True)
    return len(distinct) - 1 - position


def _neighbours(group: Ints) -> Ints:
    """Groups with their neighbours where there are too many, about equally many rows in each."""
    if group.max() < MOST_GROUPS:
        return group
    before = np.concatenate([[0], np.cumsum(np.bincount(group))[:-1]])
    return np.unique(before * MOST_GROUPS // len(group), return_inverse=True)[1][group]


def _by_score(scores: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """(1, groups) twice: positives and rows of each score, from the highest down."""
    group = _groups(scores)
    positives: Floats = np.bincount(group, labels).astype(np.float64)
    return positives[None, :], np.bincount(group).astype(np.float64)[None, :]


def _auc(positives: Floats, rows: Floats) -> Floats:
    """(draws,): AUC of each draw from the sums by group; NaN where a class is missing."""
    negatives = rows - positives
    below = negatives.sum(axis=1, keepdims=True) - np.cumsum(negatives, axis=1)
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    won = (positives * (below + negatives / 2)).sum(axis=1)
    area: Floats = np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return area


def _top_and_rest(positives: Floats, rows: Floats, share: float) -> tuple[Floats, Floats]:
    """(draws,) twice: rates of the top `share` of the rows and of the rest; the group at the cut counts by its share."""
    counted, gained = np.cumsum(rows, axis=1), np.cumsum(positives, axis=1)
    total, all_gained = counted[:, -1], gained[:, -1]
    wanted = np.round(share * total, DIGITS_OF_A_ROW)
    draw = np.arange(len(total))
    cut = np.array([np.searchsorted(c, w) for c, w in zip(counted, wanted, strict=True)], dtype=np.int64)
    cut = np.minimum(cut, counted.shape[1] - 1)
    in_cut = rows[draw, cut]
    missing = counted[draw, cut] - wanted
    part = np.divide(missing, in_cut, out=np.zeros_like(missing), where=in_cut > 0)
    top = gained[draw, cut] - part * positives[draw, cut]
    rest = total - wanted
    nothing = np.full(len(total), np.nan)
    top_rate = np.divide(top, wanted, out=nothing.copy(), where=wanted > 0)
    return top_rate, np.divide(all_gained - top, rest, out=nothing.copy(), where=rest > 0)


def _rates(scores: Floats, labels: Floats, share: float) -> tuple[float | None, float | None]:
    """Rates of the top `share` by score and of the rest; None without rows."""
    if not len(labels):
        return None, None
    top, rest = _top_and_rest(*_by_score(scores, labels), share)
    return float(top[0]), float(rest[0])


def _ratio(top: float | None, rest: float | None, rows: int) -> tuple[float | None, str | None]:
    """The quotient of the two rates, or None and why there is none."""
    if top is None or rest is None:
        return None, "There is no row to judge by."
    if rest > 0:
        return top / rest, None
    if top > 0:
        return None, "Every positive row is in the top share: the rest has none, so there is no ratio."
    return None, f"None of the {rows:,} rows is positive, so there is no ratio."


def _bootstrap(scores: Floats, labels: Floats, resampled: Resampling, share: float) -> tuple[Floats, Floats]:
    """(draws,) twice: lift ratio (infinite where the rest has no positive) and AUC; NaN where a draw has none."""
    ratios, aucs = [np.empty(0)], [np.empty(0)]
    for positives, rows in resampled.sums(scores, labels):
        top, rest = _top_and_rest(positives, rows, share)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append(top / rest)  # 0 / 0, without any positive, is NaN
        aucs.append(_auc(positives, rows))
    return np.concatenate(ratios), np.concatenate(aucs)


def _interval(draws: Floats) -> tuple[float | None, float | None]:
    """Percentiles of the draws; a limit that is infinite is None, as it bounds nothing."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, INTERVAL, method="inverted_cdf")
    return tuple(float(limit) if np.isfinite(limit) else None for limit in (low, high))  # type: ignore[return-value]


def _standard_error(draws: Floats) -> float | None:
    known = draws[~np.isnan(draws)]
    return float(known.std(ddof=1)) if len(known) > 1 else None


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
