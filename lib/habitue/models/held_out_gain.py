"""How much better the segments' own cycles foresee held-out gaps than the shop's one cycle does.

One held-out gap a customer: the first that starts between t0 and h days before the as-of day, so that everybody is
followed for h days. Gaps of more than h days are counted, not judged; the cycles are learned before t0 and cut at h
days too. The error of a cycle m on a gap g is |ln g - ln m|, and the gain is 1 - error(segments) / error(shop).

With one gap a customer the counts by (leaf, gap) are all there is to know: a multinomial draw over these cells is a
bootstrap over customers, and it is the same draw for every candidate, so that differences between them are paired.
NaN stands for NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from habitue.models.purchase_cycle import AdditiveSums, Floats, GapWeights, ratio_or_nan, wang_chang_curve

INTERVAL_PERCENTILES = (2.5, 97.5)

# A draw over many cells is made in blocks of about 32 MB, so that memory does not grow with their number.
_CELLS_PER_BLOCK = 4_000_000

Segments = Sequence[Sequence[int]]


@dataclass(frozen=True)
class HeldOutGaps(AdditiveSums):
    """Customers by their held-out gap.

    within (..., h + 1): those whose gap is of 0, 1, ..., h days. longer (...): those who took more than h days.
    """

    within: Floats
    longer: Floats


@dataclass(frozen=True)
class CandidateGain:
    """A segmentation against the shop's one cycle. Arrays named segment_* and cycle_days run over `segments`.

    segments: the leaves of each. customers: those judged, with a held-out gap up to h days. cycle_days: m(h), the
    shop's where a segment has no complete gap before t0. error, shop_error: mean |ln g - ln m(h)|. gain and its 95 %
    interval. gain_draws (draws,): the gain in each resample. slope: of ln g on ln m(h) over customers, NaN where all
    have one cycle. share_within: customers whose gap is up to h days, among all with a held-out gap.
    """

    segments: tuple[tuple[int, ...], ...]
    customers: float
    cycle_days: Floats
    error: float
    shop_error: float
    gain: float
    gain_low: float
    gain_high: float
    gain_draws: Floats
    slope: float
    share_within: float
    segment_customers: Floats
    segment_gain: Floats
    segment_gain_low: Floats
    segment_gain_high: Floats
    segment_share_within: Floats


@dataclass(frozen=True)
class _Sums:
    """By segment (..., segments): what its cycle saves of the shop's loss, and that loss."""

    saved: Floats
    lost: Floats


def held_out_gains(
    learned: GapWeights, held_out: HeldOutGaps, candidates: Sequence[Segments], *, draws: int, seed: int
) -> list[CandidateGain]:
    """The gain of each candidate, in the order given.

    learned: weights (leaf, longest gap + 1) of the gaps known before t0. held_out: counts by leaf of the customers who
    judge (one half of them). candidates: for each, its segments as sets of leaves that share out all leaves.
    draws, seed: of the bootstrap. Calls with the same counts and seed draw the same resamples, so that candidates
    judged in different calls may be compared by `gain_difference_se` too.
    """
    horizon = held_out.within.shape[-1] - 1
    leaves = held_out.within.shape[0]
    named = [tuple(tuple(sorted(segment)) for segment in candidate) for candidate in candidates]
    for candidate in named:
        if sorted(leaf for segment in candidate for leaf in segment) != list(range(leaves)):
            raise ValueError(f"each of the {leaves} leaves must be in one segment, but the candidate is {candidate}")

    everyone = tuple(range(leaves))
    distinct = sorted({segment for candidate in named for segment in candidate} | {everyone})
    place = {segment: position for position, segment in enumerate(distinct)}
    medians = medians_within(learned.by_segment(distinct), horizon)
    shop_median = medians[place[everyone]]
    medians = np.where(np.isnan(medians), shop_median, medians)

    counts, savings, shop_losses = _losses_by_cell(held_out.within, distinct, medians, float(shop_median))
    observed_saved, observed_lost = counts @ savings, counts @ shop_losses
    drawn = _resampled_sums(counts, np.concatenate([savings, shop_losses], axis=1), draws, seed)
    drawn_saved, drawn_lost = np.split(drawn, 2, axis=1)
    by_segment = held_out.by_segment(distinct)

    def judged(candidate: tuple[tuple[int, ...], ...]) -> CandidateGain:
        chosen = [place[segment] for segment in candidate]
        observed = _Sums(observed_saved[chosen], observed_lost[chosen])
        resampled = _Sums(drawn_saved[:, chosen], drawn_lost[:, chosen])
        counted = HeldOutGaps(by_segment.within[chosen], by_segment.longer[chosen])
        return _candidate_gain(candidate, medians[chosen], counted, observed, resampled)

    return [judged(candidate) for candidate in named]


def medians_within(weights: GapWeights, horizon: int) -> Floats:
    """m(h) in days, shape (...): the median of F renormalised at h = `horizon` days; NaN without a complete gap.

    The held-out gaps are whole days up to and including h, and the mass of gap h reaches to h + 1/2: there the curve
    is cut, so that what is learned and what is judged are cut at the same place.
    """
    return wang_chang_curve(weights, horizon + 0.5).quantile(0.5)


def gain_difference_se(one: CandidateGain, other: CandidateGain) -> float:
    """Standard error of the difference between two gains from the same resamples (same counts, draws and seed)."""
    return float(np.std(one.gain_draws - other.gain_draws, ddof=1))


def _losses_by_cell(
    within: Floats, distinct: Sequence[tuple[int, ...]], medians: Floats, shop_median: float
) -> tuple[Floats, Floats, Floats]:
    """The customers of each occupied (leaf, gap) cell, shape (cells,); then, of one customer there and by segment,
    what the segment's cycle saves of the shop's loss, and that loss; both 0 outside the segment's leaves.

    Savings are kept, not losses: where a segment has the shop's cycle they are exactly 0, whatever the rounding.
    """
    leaf, gap = np.nonzero(within)
    if np.any(gap == 0):
        raise ValueError("a gap between two purchase days has at least one day")
    log_gap = np.log(gap)[:, None]
    inside = np.array([np.isin(leaf, segment) for segment in distinct]).T
    shop_loss = np.abs(log_gap - np.log(shop_median))
    saving = shop_loss - np.abs(log_gap - np.log(medians))
    return within[leaf, gap], np.where(inside, saving, 0.0), np.where(inside, shop_loss, 0.0)


def _resampled_sums(counts: Floats, values: Floats, draws: int, seed: int) -> Floats:
    """Sums of `values` (cells, columns) over customers drawn with replacement, shape (draws, columns)."""
    customers = int(counts.sum())
    if customers == 0:
        return np.zeros((draws, values.shape[1]))
    rng = np.random.default_rng(seed)
    shares = counts / counts.sum()
    block = max(1, _CELLS_PER_BLOCK // len(counts))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    return np.concatenate([rng.multinomial(customers, shares, size=size).astype(float) @ values for size in sizes])


def _candidate_gain(
    candidate: tuple[tuple[int, ...], ...], medians: Floats, counted: HeldOutGaps, observed: _Sums, resampled: _Sums
) -> CandidateGain:
    segment_customers = counted.within.sum(axis=-1)
    started = segment_customers + counted.longer
    customers, saved, lost = segment_customers.sum(), observed.saved.sum(), observed.lost.sum()
    gain_draws = _gain(resampled.saved.sum(axis=1), resampled.lost.sum(axis=1), customers)
    low, high = np.percentile(gain_draws, INTERVAL_PERCENTILES)
    segment_draws = _gain(resampled.saved, resampled.lost, segment_customers)
    segment_low, segment_high = np.percentile(segment_draws, INTERVAL_PERCENTILES, axis=0)
    return CandidateGain(
        segments=candidate,
        customers=float(customers),
        cycle_days=medians,
        error=float(ratio_or_nan(lost - saved, customers)),
        shop_error=float(ratio_or_nan(lost, customers)),
        gain=float(_gain(saved, lost, customers)),
        gain_low=float(low),
        gain_high=float(high),
        gain_draws=gain_draws,
        slope=_slope(counted.within, medians),
        share_within=float(ratio_or_nan(customers, started.sum())),
        segment_customers=segment_customers,
        segment_gain=_gain(observed.saved, observed.lost, segment_customers),
        segment_gain_low=segment_low,
        segment_gain_high=segment_high,
        segment_share_within=ratio_or_nan(segment_customers, started),
    )


def _gain(saved: Floats, lost: Floats, customers: Floats) -> Floats:
    """1 - error(own) / error(shop) from summed savings and losses: 0 where the shop errs nowhere, NaN with nobody."""
    gain = np.where(lost == 0, 0.0, ratio_or_nan(saved, lost))
    return np.where(customers > 0, gain, np.nan)


def _slope(within: Floats, medians: Floats) -> float:
    """Least-squares slope of ln g on ln m(h), each customer one point; `within` (segments, h + 1)."""
    customers = within.sum(axis=-1)
    cycles = np.log(medians[customers > 0])
    if cycles.size < 2 or np.ptp(cycles) == 0:
        return float("nan")
    log_gap_sums = within[customers > 0, 1:] @ np.log(np.arange(1, within.shape[-1]))
    weight = customers[customers > 0]
    deviation = cycles - np.average(cycles, weights=weight)
    return float(deviation @ log_gap_sums / (weight @ deviation**2))
