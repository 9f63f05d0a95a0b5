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
    """For each segment count the silhouette that structureless twins of (rows, features) stay below.

    A twin is a Gaussian sample, cut off where the rows are, with their mean and covariance: one cloud, so whatever
    silhouette it reaches owes nothing to groups. (Without the cut its longer tails would score lower than the rows can.)
    It has `twin_rows` rows, or as many as the data where those are fewer, since a small sample scores higher by chance.
    The share `quantile` (0 to 1) of the twins stays below the bars of all counts at once: one count that passes is
    enough to divide a shop, so each bar alone would let too many through. NaN for one segment, and where no twin has that
    many.
    """
    rng = np.random.default_rng(seed)
    size = min(twin_rows, len(rows))
    scores = np.full((twins, len(counts)), np.nan)
    for twin in range(twins):
        sample = _twin(rows, size, rng)
        tree = fit_local(sample, max_leaves=max_leaves, max_iter=max_iter, seed=int(rng.integers(2**31)))
        leaf = tree.assign_numpy(sample)
        reached = [at for at, count in enumerate(counts) if 1 < count <= tree.leaf_count]
        cuts = [tree.cut(counts[at]) for at in reached]
        if cuts:
            sums = leaf_sums(sample, leaf, tree.leaf_count)
            scores[twin, reached] = mean_silhouettes(sample, leaf, sums, cuts)
    return dict(zip(counts, _joint_bars(scores, quantile), strict=True))


def _twin(rows: Floats, size: int, rng: np.random.Generator) -> Floats:
    """`size` rows of one cloud within the bounds of `rows`, then given their exact mean and covariance."""
    centre, root = rows.mean(axis=0), _square_root(_covariance(rows))
    drawn = centre + rng.standard_normal((size, len(centre))) @ root
    cut = np.clip(drawn, rows.min(axis=0), rows.max(axis=0))
    whitened = (cut - cut.mean(axis=0)) @ np.linalg.pinv(_square_root(_covariance(cut)), rcond=1e-8, hermitian=True)
    twin: Floats = centre + whitened @ root
    return twin


def _covariance(rows: Floats) -> Floats:
    return np.atleast_2d(np.cov(rows, rowvar=False, ddof=0))


def _joint_bars(scores: Floats, quantile: float) -> list[float]:
    """(counts,): bars, equally many standard deviations above the mean of each count's (twins, counts) scores, that the
    share `quantile` of the twins stays below everywhere; of so few twins the next larger one."""
    known = ~np.isnan(scores)
    reached = known.any(axis=0)
    mean, spread = np.full(scores.shape[1], np.nan), np.zeros(scores.shape[1])
    mean[reached] = np.nanmean(scores[:, reached], axis=0)
    several = known.sum(axis=0) > 1
    spread[several] = np.nanstd(scores[:, several], axis=0, ddof=1)
    at = known & (spread > 0)
    excess = np.where(at, (scores - mean) / np.where(spread > 0, spread, 1.0), -np.inf).max(axis=1)
    excess = excess[np.isfinite(excess)]
    allowed = float(np.quantile(excess, quantile, method="higher")) if len(excess) else 0.0
    return [float(bar) for bar in mean + allowed * spread]


def _square_root(covariance: Floats) -> Floats:
    """The symmetric square root of a covariance that may be singular (Cholesky's needs full rank)."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root
