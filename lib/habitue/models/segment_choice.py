"""Choosing how many segments there are: gates, the fewest within a standard error of the best gain, and refinement.

Figures in, a choice and its reasons in words out; no data is read here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from habitue.models.held_out_gain import CandidateGain, gain_difference_se
from habitue.percent import percent

NO_COMMON_CYCLE = "no common cycle: groups by value and recency"
UNDIVIDED = "the customers are too few, or too much alike, to be divided"


@dataclass(frozen=True)
class Gates:
    """What a candidate must reach. smallest_share: of the customers, in its smallest segment; the others as in base.yml."""

    smallest_share: float
    min_stability: float
    min_jaccard: float
    min_gain: float


@dataclass(frozen=True)
class Candidate:
    """One pruning of the tree. silhouette_null is the twins' quantile; NaN where a figure does not exist (one segment)."""

    segment_count: int
    silhouette: float
    silhouette_null: float
    smallest_share: float
    stability: float
    lowest_jaccard: float
    gain: CandidateGain

    def gains_for_certain(self, gates: Gates) -> bool:
        """Of so many candidates some gain a little by chance, so the gain must be worth something, too."""
        return self.gain.gain_low > 0 and self.gain.gain >= gates.min_gain

    def refusals(self, gates: Gates) -> list[str]:
        """Why it is not eligible, in words; one segment always is."""
        if self.segment_count == 1:
            return []
        found = []
        if self.smallest_share < gates.smallest_share:
            found.append(
                f"its smallest segment has {percent(self.smallest_share)} of the customers, under {percent(gates.smallest_share)}"
            )
        if not self.stability >= gates.min_stability:
            found.append(f"refits agree only {self.stability:.3f}, under {gates.min_stability:g}")
        if not self.lowest_jaccard >= gates.min_jaccard:
            found.append(f"a segment is found again only {self.lowest_jaccard:.3f}, under {gates.min_jaccard:g}")
        if not (self.silhouette > self.silhouette_null or self.gains_for_certain(gates)):
            found.append(
                f"its silhouette {self.silhouette:.2f} is within reach of structureless customers "
                f"({self.silhouette_null:.2f}), and its cycles gain nothing that counts for certain"
            )
        return found


@dataclass(frozen=True)
class Choice:
    """segment_count: the chosen one. reasons: per candidate, in the order given. summary: one sentence for the shop.
    best_gain: the candidate of the largest gain among eligible ones, for the paired errors."""

    segment_count: int
    reasons: tuple[str, ...]
    summary: str
    best_gain: Candidate


def choose(candidates: Sequence[Candidate], gates: Gates) -> Choice:
    """The chosen candidate; `candidates` holds one segment, which is always eligible."""
    eligible = [c for c in candidates if not c.refusals(gates)]
    divided = [c for c in eligible if c.segment_count > 1]
    best = max(eligible, key=lambda c: (_number(c.gain.gain), -c.segment_count))
    if any(c.gains_for_certain(gates) for c in divided):
        chosen, why = _fewest_within_error(eligible, best, gates)
        reasons = [_reason_by_gain(c, chosen, best, gates) for c in candidates]
    elif divided:
        chosen = max(divided, key=lambda c: (c.silhouette, -c.segment_count))
        why = f"{NO_COMMON_CYCLE}; silhouette {chosen.silhouette:.2f} is the best"
        reasons = [_reason_by_silhouette(c) for c in candidates]
    else:
        (chosen,) = eligible
        why = "no division of the customers passes the gates" if len(candidates) > 1 else UNDIVIDED
        reasons = ["" for _ in candidates]
    named = "one segment" if chosen.segment_count == 1 else f"{chosen.segment_count} segments"
    return Choice(
        chosen.segment_count,
        tuple(
            f"chosen: {why}" if c is chosen else _refused(c, gates) or reason
            for c, reason in zip(candidates, reasons, strict=True)
        ),
        f"{named}: {why}",
        best,
    )


def tolerance(candidate: Candidate, best: Candidate, gates: Gates) -> float:
    """How far below the best gain a candidate may be: the paired standard error, at least `min_gain`."""
    return max(gain_difference_se(best.gain, candidate.gain), gates.min_gain)


def _fewest_within_error(eligible: Sequence[Candidate], best: Candidate, gates: Gates) -> tuple[Candidate, str]:
    near = [c for c in eligible if c.gain.gain >= best.gain.gain - tolerance(c, best, gates)]
    chosen = min(near, key=lambda c: c.segment_count)
    if chosen is best:
        return chosen, f"their cycles gain the most, {percent(best.gain.gain)} on customers held out"
    return chosen, (
        f"the fewest whose cycles gain as much as the best, but for chance: {percent(chosen.gain.gain)} on customers held "
        f"out, against {percent(best.gain.gain)} of {best.segment_count} segments"
    )


def _refused(candidate: Candidate, gates: Gates) -> str:
    refusals = candidate.refusals(gates)
    return "not eligible: " + "; ".join(refusals) if refusals else ""


def _reason_by_gain(candidate: Candidate, chosen: Candidate, best: Candidate, gates: Gates) -> str:
    gain = f"gains {percent(candidate.gain.gain)}"
    if candidate.segment_count > chosen.segment_count:
        return f"{gain}: no reason for more segments than {chosen.segment_count}"
    short, allowed = best.gain.gain - candidate.gain.gain, tolerance(candidate, best, gates)
    return f"{gain}: {_points(short)} less than the best, where {_points(allowed)} would not count"


def _reason_by_silhouette(candidate: Candidate) -> str:
    if candidate.segment_count == 1:
        return "a division passes the gates"
    return f"its silhouette {candidate.silhouette:.2f} is no better"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _number(value: float) -> float:
    return -math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class Split:
    """One decision of the refinement: the node of the tree, whether it was split, and why, in words."""

    node: int
    is_accepted: bool
    reason: str


def refine(
    nodes: Sequence[int],
    gain_of: Callable[[Sequence[int]], CandidateGain],
    mixed_of: Callable[[Sequence[int]], list[int]],
    children_of: Callable[[int], tuple[int, int] | None],
    share_of: Callable[[int], float],
    refusals_of: Callable[[Sequence[int]], list[str]],
    gates: Gates,
) -> tuple[tuple[int, ...], list[Split]]:
    """Split mixed segments while the choosing half's gain rises by more than its standard error.

    nodes: the chosen cut. gain_of: a cut's gain. mixed_of: the nodes of a cut whose verdict is `mixed`. children_of:
    a node's two children, None for a leaf. share_of: a node's share of the customers. refusals_of: why the gates refuse a
    cut that is a candidate itself; none for other cuts.
    """
    current, log = tuple(nodes), []
    refused: set[int] = set()
    while waiting := [node for node in mixed_of(current) if node not in refused]:
        node = waiting[0]
        finer, reason = _split(current, node, gain_of, children_of(node), share_of, refusals_of, gates)
        log.append(Split(node, finer is not None, reason))
        if finer is None:
            refused.add(node)
        else:
            current = finer
    return current, log


def _split(
    cut: tuple[int, ...],
    node: int,
    gain_of: Callable[[Sequence[int]], CandidateGain],
    children: tuple[int, int] | None,
    share_of: Callable[[int], float],
    refusals_of: Callable[[Sequence[int]], list[str]],
    gates: Gates,
) -> tuple[tuple[int, ...] | None, str]:
    """The cut with the mixed node in two, or None where it stays whole; and why."""
    if children is None:
        return None, "mixed, but the tree divides it no further"
    if min(map(share_of, children)) < gates.smallest_share:
        return None, "mixed, but a part would be too small"
    finer = tuple(sorted((set(cut) - {node}) | set(children)))
    if refusals := refusals_of(finer):
        return None, f"mixed, but {len(finer)} segments are not eligible: {'; '.join(refusals)}"
    now, then = gain_of(cut), gain_of(finer)
    rise, error = then.gain - now.gain, gain_difference_se(then, now)
    if rise > error:
        return finer, f"mixed; in two the gain rises by {_points(rise)}, {_error(error)}"
    return None, f"mixed, but in two the gain changes by {_points(rise)} only, {_error(error)}"


def _error(error: float) -> str:
    return f"with a standard error of {100 * error:.1f}"
