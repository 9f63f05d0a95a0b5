"""Judging every pruning of a tree: what the data say of each number of segments, before one is chosen.

Passes over the customers: one for the sums of the silhouette and one for its scores, two for gaps before the fit day
and one for held-out gaps; everything else works on those sums, on the driver, for any union of leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame

from habitue.config import SegmentSettings
from habitue.models.bisecting_tree import BisectingTree, Floats
from habitue.models.gap_sums import gap_weights, held_out_gaps
from habitue.models.held_out_gain import CandidateGain, HeldOutGaps, held_out_gains
from habitue.models.purchase_cycle import GapWeights
from habitue.models.segment_choice import Candidate, Gates
from habitue.models.silhouette import leaf_sums_distributed, mean_silhouettes_distributed
from habitue.models.stability import stability
from habitue.models.structure import silhouette_null


@dataclass(frozen=True)
class Evidence:
    """What judging learned: gap weights (leaf, gap) before the fit day, and the held-out gaps of each half."""

    learned: GapWeights
    choosing: HeldOutGaps
    publishing: HeldOutGaps
    draws: int
    seed: int

    def gains(
        self, tree: BisectingTree, cuts: list[tuple[int, ...]], *, published: bool = False
    ) -> list[CandidateGain]:
        """The gain of each cut (nodes of the tree), of the choosing half or of the other."""
        held_out = self.publishing if published else self.choosing
        return held_out_gains(
            self.learned, held_out, [segments_of(tree, nodes) for nodes in cuts], draws=self.draws, seed=self.seed
        )


def segments_of(tree: BisectingTree, nodes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """A cut as sets of leaves."""
    cut = tree.leaf_segments(nodes)
    return [tuple(int(leaf) for leaf in np.flatnonzero(cut == s)) for s in range(len(nodes))]


def gather(customers: DataFrame, leaf_count: int, horizon: int, settings: SegmentSettings) -> Evidence:
    """The evidence from customers with leaf, hash_group, gaps_days, open_gap_days, has_held_out, held_out_gap_days."""
    choosing, publishing = held_out_gaps(customers, leaf_count, horizon)
    learned = gap_weights(customers, leaf_count).total(axis=1)
    return Evidence(learned, choosing, publishing, settings.bootstrap_draws, settings.seed)


def judge(
    customers: DataFrame,
    columns: list[str],
    tree: BisectingTree,
    leaf_customers: Floats,
    sample: Floats,
    evidence: Evidence,
    settings: SegmentSettings,
) -> list[Candidate]:
    """Every pruning with its figures, from one segment up. leaf_customers: (leaves,), the published customers of each.

    sample: (customers, features), scaled, for stability and structure.
    """
    counts = sorted(tree.prunings())
    cuts = [tree.cut(count) for count in counts]
    gains = evidence.gains(tree, [tree.cut_nodes(count) for count in counts])
    silhouettes = np.full(len(counts), np.nan)
    null = {count: float("nan") for count in counts}
    stable = None
    if len(counts) > 1:
        sums = leaf_sums_distributed(customers, columns, "leaf", tree.leaf_count, tree.centres[0])
        silhouettes = mean_silhouettes_distributed(customers, columns, "leaf", sums, cuts)
        null = silhouette_null(
            sample,
            counts,
            twins=settings.twins,
            twin_rows=settings.twin_customers,
            quantile=settings.twin_quantile,
            max_leaves=settings.max_leaves,
            max_iter=settings.max_iterations,
            seed=settings.seed,
        )
        stable = stability(
            sample,
            tree,
            counts,
            refits=settings.stability_refits,
            share=settings.stability_share,
            max_leaves=settings.max_leaves,
            max_iter=settings.max_iterations,
            seed=settings.seed,
        )
    return [
        Candidate(
            segment_count=count,
            silhouette=float(silhouettes[i]),
            silhouette_null=null[count],
            smallest_share=float(np.bincount(cuts[i], leaf_customers, count).min() / leaf_customers.sum()),
            stability=stable[count].stability if stable else float("nan"),
            lowest_jaccard=stable[count].lowest_jaccard if stable else float("nan"),
            gain=gains[i],
        )
        for i, count in enumerate(counts)
    ]


def gates_of(settings: SegmentSettings, customers: int) -> Gates:
    """The gates for a shop of so many customers: a segment is large enough in share and in number."""
    by_number = settings.min_segment_customers / customers if customers else 1.0
    return Gates(
        smallest_share=max(settings.min_segment_share, by_number),
        min_stability=settings.min_stability,
        min_jaccard=settings.min_jaccard,
        min_gain=settings.min_gain,
    )
