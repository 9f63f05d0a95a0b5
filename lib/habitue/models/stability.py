"""Whether a segmentation comes back when it is fitted again on other samples of the same customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from habitue.models.bisecting_kmeans import fit_local
from habitue.models.bisecting_tree import BisectingTree, Floats, Ints


class Stability(NamedTuple):
    """stability: mean adjusted Rand index of the refits. lowest_jaccard: that of the least stable segment (0 to 1)."""

    stability: float
    lowest_jaccard: float


def stability(
    rows: Floats,
    tree: BisectingTree,
    counts: Sequence[int],
    *,
    refits: int,
    share: float,
    max_leaves: int,
    max_iter: int,
    seed: int,
) -> dict[int, Stability]:
    """How well `refits` trees, each fitted to a `share` of (rows, features), agree with `tree` at each segment count.

    Both are pruned to the count (a refit with fewer leaves keeps them all) and compared over all rows. A segment's
    Jaccard index is the mean over the refits of its best one with any refitted segment (Hennig 2007, Cluster-wise
    assessment of cluster stability). A segment that none of the rows lies in leaves the lowest out of account.
    """
    rng = np.random.default_rng(seed)
    leaf = tree.assign_numpy(rows)
    rands: dict[int, list[float]] = {count: [] for count in counts}
    jaccards: dict[int, list[Floats]] = {count: [] for count in counts}
    for _ in range(refits):
        # In ascending order, so that the fit sums in the order of the rows.
        chosen = np.sort(rng.choice(len(rows), size=max(1, round(share * len(rows))), replace=False))
        refit = fit_local(rows[chosen], max_leaves=max_leaves, max_iter=max_iter, seed=int(rng.integers(2**31)))
        leaves = contingency_table(leaf, refit.assign_numpy(rows), tree.leaf_count, refit.leaf_count)
        for count in counts:
            ours, theirs = tree.cut(count), refit.cut(min(count, refit.leaf_count))
            table = _united(_united(leaves, ours).T, theirs).T
            rands[count].append(adjusted_rand(table))
            jaccards[count].append(best_jaccards(table))
    return {
        count: Stability(float(np.mean(rands[count])), float(np.nanmin(np.mean(jaccards[count], axis=0))))
        for count in counts
    }


def contingency_table(labels: Ints, others: Ints, label_count: int, other_count: int) -> Floats:
    """(label_count, other_count): how many rows bear each pair of labels."""
    pairs = np.bincount(labels * other_count + others, minlength=label_count * other_count)
    return pairs.reshape(label_count, other_count).astype(np.float64)


def adjusted_rand(table: Floats) -> float:
    """Hubert and Arabie's (1985) adjusted Rand index of a contingency table; 1 where both partitions are trivial."""
    together = _pairs(table).sum()
    first, second = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    every = _pairs(table.sum())
    expected = first * second / every if every else 0.0
    highest = (first + second) / 2
    return 1.0 if highest == expected else float((together - expected) / (highest - expected))


def best_jaccards(table: Floats) -> Floats:
    """(labels,): each label's largest Jaccard index with any of the other labels; NaN for a label without rows."""
    sizes = table.sum(axis=1, keepdims=True)
    either = sizes + table.sum(axis=0, keepdims=True) - table
    jaccard = np.divide(table, either, out=np.zeros_like(table), where=either > 0)
    return np.where(sizes[:, 0] > 0, jaccard.max(axis=1), np.nan)


def _pairs(counts: Floats) -> Floats:
    return counts * (counts - 1) / 2


def _united(table: Floats, cut: Ints) -> Floats:
    """The table's rows added up by the segment that `cut` gives them."""
    united: Floats = np.eye(int(cut.max()) + 1)[cut].T @ table
    return united
