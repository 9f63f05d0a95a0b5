"""Simulated customers with a known rhythm, and their additive sums in plain numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from habitue.models.held_out_gain import HeldOutGaps
from habitue.models.purchase_cycle import GapWeights, MemberSums

GROUPS = 20


@dataclass(frozen=True)
class Purchases:
    """Purchase days (whole numbers from 0) sorted by customer and day, and each customer's leaf."""

    customer: np.ndarray
    day: np.ndarray
    leaf: np.ndarray


def gamma_gaps(shape: float, median: float):
    return stats.gamma(shape, scale=median / stats.gamma.ppf(0.5, shape))


def simulate(seed: int, rhythms, span: int = 365) -> Purchases:
    """`rhythms` lists (customers, distribution of their gaps), one leaf each. Buying began long before day 0."""
    rng = np.random.default_rng(seed)
    customers, days, leaves, first = [], [], [], 0
    for leaf, (count, gaps) in enumerate(rhythms):
        warm_up = 5 * gaps.mean()
        steps = int(2 * (span + 2 * warm_up) / gaps.mean()) + 40
        starts = rng.uniform(-2 * warm_up, -warm_up, (count, 1))
        times = starts + gaps.rvs((count, steps), random_state=rng).cumsum(axis=1)
        assert times[:, -1].min() > span
        who, when = np.nonzero((times >= 0) & (times < span))
        customers.append(who + first)
        days.append(np.floor(times[who, when]).astype(int))
        leaves.append(np.full(count, leaf))
        first += count
    pairs = np.unique(np.stack([np.concatenate(customers), np.concatenate(days)], axis=1), axis=0)
    return Purchases(pairs[:, 0], pairs[:, 1], np.concatenate(leaves))


def additive_sums(bought: Purchases, as_of: int, longest: int | None = None) -> tuple[GapWeights, MemberSums]:
    """Weights (leaf, hash group, gap) and member sums (leaf,) of what is known before day `as_of`."""
    known = bought.day < as_of
    customer, day = bought.customer[known], bought.day[known]
    follows = customer[1:] == customer[:-1]
    owner, gap = customer[1:][follows], np.diff(day)[follows]
    last = np.append(~follows, True)
    buyer, open_gap = customer[last], as_of - day[last]
    n = np.bincount(owner, minlength=len(bought.leaf))
    shape = (bought.leaf.max() + 1, GROUPS, (longest or as_of) + 1)

    def weights(who, gaps, weight):
        table = np.zeros(shape)
        np.add.at(table, (bought.leaf[who], who % GROUPS, gaps), weight)
        return table

    gap_weights = GapWeights(
        complete=weights(owner, gap, 1 / n[owner]),
        censored=weights(buyer, open_gap, (n[buyer] == 0).astype(float)),
        km_complete=weights(owner, gap, 1 / (n[owner] + 1)),
        km_open=weights(buyer, open_gap, 1 / (n[buyer] + 1)),
    )
    return gap_weights, _member_sums(bought.leaf, owner, gap, n)


def _member_sums(leaf, owner, gap, n) -> MemberSums:
    member = n > 0
    count = np.maximum(n, 1)
    means = np.bincount(owner, np.log(gap), minlength=len(n)) / count
    within = np.bincount(owner, (np.log(gap) - means[owner]) ** 2, minlength=len(n))
    ends = np.cumsum(n)
    two = n >= 2
    g2, g1 = gap[ends[two] - 1], gap[ends[two] - 2]
    imbalance = np.zeros(len(n))
    imbalance[two] = (g1 / (g1 + g2) - 0.5) ** 2

    def per_leaf(values):
        return np.bincount(leaf, np.where(member, values, 0.0))

    return MemberSums(
        members=per_leaf(1.0),
        mean_sum=per_leaf(means),
        mean_square_sum=per_leaf(means**2),
        inverse_count_sum=per_leaf(1 / count),
        within_square_sum=per_leaf(within),
        degrees_of_freedom=per_leaf(n - 1.0),
        two_gap_members=per_leaf(two),
        wheat_morrison_sum=per_leaf(imbalance),
    )


def held_out_gaps(bought: Purchases, start: int, as_of: int) -> HeldOutGaps:
    """Counts by leaf of the first gap that starts in [start, as_of - h), h = (as_of - start) // 2."""
    horizon = (as_of - start) // 2
    eligible = (bought.day >= start) & (bought.day < as_of - horizon)
    first = np.flatnonzero(eligible)
    first = first[np.unique(bought.customer[first], return_index=True)[1]]
    following = np.minimum(first + 1, len(bought.day) - 1)
    returned = (following > first) & (bought.customer[following] == bought.customer[first])
    gap = np.where(returned, bought.day[following] - bought.day[first], horizon + 1)
    gap = np.minimum(gap, horizon + 1)
    table = np.zeros((bought.leaf.max() + 1, horizon + 2))
    np.add.at(table, (bought.leaf[bought.customer[first]], gap), 1.0)
    return HeldOutGaps(within=table[:, :-1], longer=table[:, -1])


def truncated_quantile(rhythms, limit: float, share: float = 0.5) -> float:
    """The quantile of the members' mixture, each member weighing 1, cut at `limit` days."""
    days = np.linspace(0, limit, 200_001)
    mixture = sum(count * gaps.cdf(days) for count, gaps in rhythms)
    return float(np.interp(share * mixture[-1], mixture, days))
