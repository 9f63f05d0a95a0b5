"""The purchase cycle of a group of customers, from sums that add up over groups.

Pooling all gaps misleads twice: frequent buyers contribute more gaps than others, and long gaps are still open at the
as-of day. So each customer weighs the same here, and open gaps count as open. The sums are taken once by leaf; the
cycle of any union of leaves then follows by adding arrays, without another pass over the customers.

Throughout, a gap is a whole number of days between purchase days, an open gap is the as-of day (the first unknown one)
minus the last purchase day, and NaN stands for NULL: a figure that the data do not give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
_Sums = TypeVar("_Sums", bound="AdditiveSums")

OBSERVABLE_SHARE = 0.9  # of the observed span: few customers are followed for longer gaps, so the curve stops there
NEAR_CYCLE = (0.75, 1.25)  # gaps between these multiples of the median count as "about one cycle"
AGREEMENT_FACTOR = 1.5  # members agree with a group whose typical gap is theirs within this factor
LOWER_TAIL = 0.025  # of the two-sided 95 % interval

# Sums of doubles come in any order. A quantile that falls on a flat stretch of the curve must not hop across it.
_SAME_SHARE = 1e-9
# A variance of log gaps below this is rounding: between 3,650 and 3,651 days lies a squared log step of 7.5e-8.
_NO_SPREAD = 1e-9
_NEWTON_STEPS = 60  # enough even at limit / median just above 2, where each step only halves the error
_NEARLY_UNIFORM = (
    1 - 1e-7
)  # exp(-rate * median) beyond which the truncated exponential is flat, and rounding takes over


@dataclass(frozen=True)
class AdditiveSums:
    """Arrays that may be added. Axis 0 is the leaf; then, where kept, the half and the hash group of customers."""

    def total(self: _Sums, axis: int) -> _Sums:
        """Add up one axis (counted from the front: the arrays need not have the same number of axes)."""
        return type(self)(*(getattr(self, field.name).sum(axis=axis) for field in fields(self)))

    def part(self: _Sums, index: int | slice, axis: int) -> _Sums:
        """One place on an axis (which then disappears), or a slice of it: one half, say."""
        where = (slice(None),) * axis + (index,)
        return type(self)(*(getattr(self, field.name)[where] for field in fields(self)))

    def by_segment(self: _Sums, segments: Sequence[Sequence[int]]) -> _Sums:
        """Turn the leaf axis into a segment axis; a segment is a set of leaves, added in ascending order."""
        leaves = [sorted(segment) for segment in segments]
        arrays = (getattr(self, field.name) for field in fields(self))
        return type(self)(*(np.stack([array[chosen].sum(axis=0) for chosen in leaves]) for array in arrays))


@dataclass(frozen=True)
class GapWeights(AdditiveSums):
    """Weights of gaps, shape (..., longest gap + 1), indexed by the gap in days. n is a customer's complete gaps.

    complete: 1 / n for each complete gap.          censored: 1 for the open gap of a customer with n = 0.
    km_complete: 1 / (n + 1) for each complete gap. km_open: 1 / (n + 1) for the open gap, of every customer.
    """

    complete: Floats
    censored: Floats
    km_complete: Floats
    km_open: Floats


@dataclass(frozen=True)
class MemberSums(AdditiveSums):
    """Sums over the members with at least one complete gap, shape (...); means and squares are of log gaps.

    members: their number. mean_sum, mean_square_sum: of the members' means, and of those squared.
    inverse_count_sum: of 1 / n. within_square_sum: of (log gap - the member's mean)^2. degrees_of_freedom: of n - 1.
    two_gap_members: those with n >= 2. wheat_morrison_sum: over these, of (g1 / (g1 + g2) - 1/2)^2 with the last two
    gaps g1 and g2.
    """

    members: Floats
    mean_sum: Floats
    mean_square_sum: Floats
    inverse_count_sum: Floats
    within_square_sum: Floats
    degrees_of_freedom: Floats
    two_gap_members: Floats
    wheat_morrison_sum: Floats


@dataclass(frozen=True)
class GapCurve:
    """F(u), the share of gaps up to u days among those up to `limit` days, linear between the knots.

    `knots` (..., longest gap + 2) holds 1 - S at -1/2, 1/2, 3/2, ... days: the mass of whole-day gap d is spread evenly
    over [d - 1/2, d + 1/2], so that quantiles of short cycles are not tied to whole days.
    """

    knots: Floats
    limit: float

    @property
    def reached(self) -> Floats:
        """1 - S(limit), shape (...): the mass that F is divided by."""
        return self._unscaled(np.full(self.knots.shape[:-1], self.limit))

    def share_by(self, days: ArrayLike) -> Floats:
        """F at `days` (a number, or one per curve), shape (...); NaN where no complete gap is within the limit."""
        at = np.minimum(np.broadcast_to(np.asarray(days, dtype=float), self.knots.shape[:-1]), self.limit)
        return ratio_or_nan(self._unscaled(at), self.reached)

    def quantile(self, share: float) -> Floats:
        """The fewest days u with F(u) >= share, shape (...), for 0 < share < 1; NaN as in `share_by`."""
        reached = self.reached
        target = share * reached
        upper = np.argmax(self.knots >= (target * (1 - _SAME_SHARE))[..., None], axis=-1).clip(1)
        below, above = self._knot(upper - 1), self._knot(upper)
        return np.where(reached > 0, upper - 1.5 + np.clip(ratio_or_nan(target - below, above - below), 0, 1), np.nan)

    def _unscaled(self, days: Floats) -> Floats:
        position = np.clip(np.nan_to_num(days) + 0.5, 0, self.knots.shape[-1] - 1)
        lower = np.minimum(position.astype(int), self.knots.shape[-1] - 2)
        below = self._knot(lower)
        value = below + (position - lower) * (self._knot(lower + 1) - below)
        return np.where(np.isnan(days), np.nan, value)

    def _knot(self, index: NDArray[np.intp]) -> Floats:
        return np.take_along_axis(self.knots, index[..., None], axis=-1)[..., 0]


@dataclass(frozen=True)
class PurchaseCycles:
    """The figures of each group, all of shape (...): days, shares of customers or of gaps, variances of log gaps."""

    cycle_days: Floats
    p10_days: Floats
    p90_days: Floats
    return_probability: Floats
    concentration: Floats
    concentration_low: Floats
    member_agreement: Floats
    between_variance: Floats
    within_variance: Floats
    interval_icc: Floats
    wheat_morrison_k: Floats
    two_gap_members: Floats


def cycle_limit(span_days: float) -> float:
    """U, the longest gap (days) that an observed span of `span_days` can speak of."""
    return OBSERVABLE_SHARE * span_days


def purchase_cycles(weights: GapWeights, members: MemberSums, limit: float) -> PurchaseCycles:
    """Every figure of each group.

    `weights` (..., hash group, longest gap + 1) keeps the hash groups of customers, for the jackknife; `members` (...)
    does not; `limit` is U in days. A group with no complete gap up to U has no cycle.
    """
    everyone = weights.total(axis=weights.complete.ndim - 2)
    curve = wang_chang_curve(everyone, limit)
    between, within = log_gap_variances(members)
    concentration, concentration_low = concentration_with_bound(weights, limit)
    return PurchaseCycles(
        cycle_days=curve.quantile(0.5),
        p10_days=curve.quantile(0.1),
        p90_days=curve.quantile(0.9),
        return_probability=return_probability(everyone, limit),
        concentration=concentration,
        concentration_low=concentration_low,
        member_agreement=member_agreement(between),
        between_variance=between,
        within_variance=within,
        interval_icc=ratio_or_nan(between, between + within),
        wheat_morrison_k=wheat_morrison_k(members),
        two_gap_members=members.two_gap_members,
    )


def wang_chang_curve(weights: GapWeights, limit: float) -> GapCurve:
    """F of each group for recurrent gaps that correlate within a customer (Wang & Chang, JASA 94, 1999, 146-153)."""
    return GapCurve(_product_limit(weights.complete, weights.censored), limit)


def return_probability(weights: GapWeights, limit: float) -> Floats:
    """Chance of a next purchase within `limit` days, shape (...): Kaplan-Meier over every gap, a customer weighing 1.

    Wang-Chang drops the open gaps of customers who came back once, so under churn it promises too many returns.
    0 where every gap is open, NaN where there is no customer.
    """
    customers = weights.km_complete.sum(axis=-1) + weights.km_open.sum(axis=-1)
    reached = GapCurve(_product_limit(weights.km_complete, weights.km_open), limit).reached
    return np.where(customers > 0, reached, np.nan)


def concentration_with_bound(weights: GapWeights, limit: float) -> tuple[Floats, Floats]:
    """R of each group and its lower 95 % bound, shape (...), from weights of shape (..., hash group, longest gap + 1).

    The bound is R - t * SE by the delete-a-group jackknife (Kott, J. Official Statistics 17, 2001) over the hash groups
    that hold customers; NaN with fewer than two of them, or where some group holds all that R rests on.
    """
    estimate = concentration(wang_chang_curve(weights.total(axis=weights.complete.ndim - 2), limit))
    # The other groups are added up, not subtracted from the total: a residue of 1e-17 in the last cell would be taken
    # for the last customer at risk, and send the product-limit curve to 0.
    groups = weights.complete.shape[-2]
    others = 1.0 - np.eye(groups)
    left_out = GapWeights(*(others @ getattr(weights, field.name) for field in fields(weights)))
    replicates = concentration(wang_chang_curve(left_out, limit))
    squares = ((replicates - estimate[..., None]) ** 2).sum(axis=-1)
    occupied = ((weights.complete + weights.censored).sum(axis=-1) > 0).sum(axis=-1)
    error = np.sqrt(np.where(occupied >= 2, (occupied - 1) / np.maximum(occupied, 1) * squares, np.nan))
    return estimate, estimate + stats.t.ppf(LOWER_TAIL, np.maximum(occupied - 1, 1)) * error


def concentration(curve: GapCurve) -> Floats:
    """R = (C - C0) / (1 - C0), shape (...): 0 is memoryless, 1 is clockwork, below 0 is bursty.

    C is the share of gaps near one cycle, C0 that of an exponential with the same median and limit. NaN where the
    median is at least half the limit: no truncated exponential has such a median.
    """
    median = curve.quantile(0.5)
    low, high = NEAR_CYCLE
    near = curve.share_by(high * median) - curve.share_by(low * median)
    chance = memoryless_share(high * median, median, curve.limit) - memoryless_share(low * median, median, curve.limit)
    return (near - chance) / (1 - chance)


def memoryless_share(days: ArrayLike, median: ArrayLike, limit: float) -> Floats:
    """F(days) of the exponential truncated at `limit` with this median, broadcast; NaN where median >= limit / 2.

    With x = exp(-rate * median) and r = limit / median, the median's definition reads f(x) = 1 - 2 x + x^r = 0. f is
    convex and f(1/2) > 0, so Newton's steps from 1/2 climb to the root below 1 without passing it.
    """
    time, middle = np.asarray(days, dtype=float), np.asarray(median, dtype=float)
    exists = (middle > 0) & (2 * middle < limit)
    ratio = limit / np.where(exists, middle, limit / 3)
    x = np.full(ratio.shape, 0.5)
    for _ in range(_NEWTON_STEPS):
        x = np.clip(x - (1 - 2 * x + x**ratio) / (ratio * x ** (ratio - 1) - 2), 0.5, _NEARLY_UNIFORM)
    share = (1 - x ** (np.clip(time, 0, limit) / np.where(exists, middle, 1.0))) / (2 * (1 - x))
    return np.where(exists, share, np.nan)


def log_gap_variances(members: MemberSums) -> tuple[Floats, Floats]:
    """tau2 between the members' true mean log gaps and w2 within them (method of moments), shape (...).

    NaN where no member has two gaps, for then the two cannot be told apart. One member alone has tau2 = 0.
    """
    within = _settled(ratio_or_nan(members.within_square_sum, members.degrees_of_freedom))
    centre = ratio_or_nan(members.mean_sum, members.members)
    spread = (members.mean_square_sum - members.members * centre**2) / np.maximum(members.members - 1, 1)
    between = _settled(spread - within * ratio_or_nan(members.inverse_count_sum, members.members))
    return between, within


def member_agreement(between: ArrayLike) -> Floats:
    """A: the share of members whose true typical gap is within a factor 1.5 of the group's; 1 where tau2 is 0."""
    tau = np.sqrt(np.asarray(between, dtype=float))
    with np.errstate(divide="ignore"):
        return np.asarray(2 * special.ndtr(np.log(AGREEMENT_FACTOR) / tau) - 1)


def wheat_morrison_k(members: MemberSums) -> Floats:
    """Regularity k of gamma gaps, 1 for memoryless ones (Wheat & Morrison, J. Marketing Research 27, 1990).

    NaN where no member has two gaps, and where their two last gaps are always equal.
    """
    variance = ratio_or_nan(members.wheat_morrison_sum, members.two_gap_members)
    return ratio_or_nan(1 - 4 * variance, 8 * variance)


def ratio_or_nan(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """The quotient, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float))
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient


def _product_limit(complete: Floats, still_open: Floats) -> Floats:
    """1 - S at -1/2, 1/2, 3/2, ... days, shape (..., longest gap + 2).

    A gap of d days was at risk of ending on day d if it is complete with at least d days, or open with more than d: the
    as-of day itself is unknown, so an open gap of d days could not yet be seen to end on its day d.
    """
    longer_open = np.concatenate([_sum_from(still_open)[..., 1:], np.zeros((*still_open.shape[:-1], 1))], axis=-1)
    at_risk = _sum_from(complete) + longer_open
    survival = np.cumprod(1 - np.divide(complete, at_risk, out=np.zeros_like(at_risk), where=complete > 0), axis=-1)
    return np.concatenate([np.zeros((*complete.shape[:-1], 1)), np.clip(1 - survival, 0, 1)], axis=-1)


def _sum_from(weights: Floats) -> Floats:
    return np.asarray(np.cumsum(weights[..., ::-1], axis=-1)[..., ::-1])


def _settled(variance: Floats) -> Floats:
    return np.where(variance < _NO_SPREAD, 0.0, variance)
