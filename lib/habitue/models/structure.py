"""What silhouette a shop without any groups would reach: the bar that real groups must clear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from habitue.models.bisecting_kmeans import fit_local
from habitue.models.bisecting_tree import Floats
from habitue.models.silhouette import leaf_sums, mean_silhouettes


def silhouette_null(
    rows: Floats,
    counts: Sequence[int],
    *,
    twins: int,
    twin_rows: int,
    quantile: float,
    max_leaves: int,
    max_iter: int,
    seed: int,
) -> dict[int, float]:
    """For each segment count the `quantile` (0 to 1) of the silhouettes of structureless twins of (rows, features).

    A twin is a Gaussian sample with the rows' mean and covariance: one cloud, so whatever silhouette it reaches owes
    nothing to groups. It has `twin_rows` rows, or as many as the data where those are fewer, since a small sample
    scores higher by chance. NaN for one segment, and where no twin has that many.
    """
    rng = np.random.default_rng(seed)
    centre = rows.mean(axis=0)
    spread = _square_root(np.atleast_2d(np.cov(rows, rowvar=False, ddof=0)))
    size = min(twin_rows, len(rows))
    scores = np.full((twins, len(counts)), np.nan)
    for twin in range(twins):
        sample = centre + rng.standard_normal((size, len(centre))) @ spread
        tree = fit_local(sample, max_leaves=max_leaves, max_iter=max_iter, seed=int(rng.integers(2**31)))
        leaf = tree.assign_numpy(sample)
        reached = [at for at, count in enumerate(counts) if 1 < count <= tree.leaf_count]
        cuts = [tree.cut(counts[at]) for at in reached]
        if cuts:
            sums = leaf_sums(sample, leaf, tree.leaf_count)
            scores[twin, reached] = mean_silhouettes(sample, leaf, sums, cuts)
    return {count: _quantile(scores[:, at], quantile) for at, count in enumerate(counts)}


def _square_root(covariance: Floats) -> Floats:
    """The symmetric square root of a covariance that may be singular (Cholesky's needs full rank)."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _quantile(values: Floats, quantile: float) -> float:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, quantile)) if len(known) else float("nan")
