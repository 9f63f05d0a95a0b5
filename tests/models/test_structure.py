import numpy as np
import pytest

from habitue.models.bisecting_kmeans import fit_local
from habitue.models.bisecting_tree import Floats
from habitue.models.silhouette import leaf_sums, mean_silhouettes
from habitue.models.structure import silhouette_null


def null_of(rows: Floats, counts: list[int], quantile: float = 0.95) -> dict[int, float]:
    return silhouette_null(rows, counts, twins=10, twin_rows=2000, quantile=quantile, max_leaves=8, max_iter=5, seed=1)


def silhouette_of(rows: Floats, count: int) -> float:
    tree = fit_local(rows, max_leaves=8, max_iter=5, seed=2)
    leaf = tree.assign_numpy(rows)
    return float(mean_silhouettes(rows, leaf, leaf_sums(rows, leaf, tree.leaf_count), [tree.cut(count)])[0])


def test_real_groups_exceed_their_twins_and_a_cloud_does_not() -> None:
    rng = np.random.default_rng(3)
    cloud = rng.multivariate_normal([5.0, 5.0, 5.0], [[4.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], 2000)
    groups = np.array([[2.0, 2.0, 2.0], [8.0, 2.0, 2.0], [2.0, 9.0, 2.0]])[rng.integers(3, size=2000)]
    groups = groups + rng.normal(0.0, 0.5, (2000, 3))
    assert silhouette_of(groups, 3) > null_of(groups, [3])[3] + 0.2
    assert silhouette_of(cloud, 3) == pytest.approx(null_of(cloud, [3], quantile=0.5)[3], abs=0.03)


def test_halving_one_normal_feature_scores_what_theory_says() -> None:
    # A standard normal x cut at 0: the halves have means m = +-.798 and variance v = .363. Mean squared distances
    # of x > 0: to its own half a = (x - m)^2 + v, to the other b = (x + m)^2 + v. The mean of (b - a) / max(a, b)
    # over x > 0, integrated numerically, is the silhouette; the mean and the scale of x do not matter.
    x = (np.arange(200_000) + 0.5) / 25_000
    m, v = np.sqrt(2 / np.pi), 1 - 2 / np.pi
    a, b = (x - m) ** 2 + v, (x + m) ** 2 + v
    density = np.exp(-(x**2) / 2)
    theory = float((density * (b - a) / np.maximum(a, b)).sum() / density.sum())
    rows = np.random.default_rng(5).normal(40.0, 3.0, (4000, 1))
    assert null_of(rows, [2], quantile=0.5)[2] == pytest.approx(theory, abs=0.01)


def pulled_in(rows: Floats) -> Floats:
    """Outliers at the quantiles of .01 and .99 and nothing below 0, as a shop's features are when they come to the fit."""
    low, high = np.quantile(np.maximum(rows, 0.0), [0.01, 0.99], axis=0)
    clipped: Floats = np.clip(rows, low, high)
    return clipped


def test_shops_without_structure_seldom_pass_any_bar() -> None:
    """Of 40 shops of one cloud each 2 pass by the meaning of the quantile, and more than 6 do once in 200 times."""
    counts, passed = list(range(2, 9)), 0
    for shop in range(40):
        rng = np.random.default_rng(100 + shop)
        mixing = np.random.default_rng(7).normal(0.0, 1.0, (6, 6)) * 0.6
        rows = pulled_in(4.0 + rng.normal(0.0, 1.0, (400, 6)) @ mixing)
        bars = silhouette_null(
            rows, counts, twins=20, twin_rows=400, quantile=0.95, max_leaves=8, max_iter=5, seed=shop
        )
        tree = fit_local(rows, max_leaves=8, max_iter=5, seed=shop)
        leaf = tree.assign_numpy(rows)
        cuts = [tree.cut(count) for count in counts if count <= tree.leaf_count]
        reached = mean_silhouettes(rows, leaf, leaf_sums(rows, leaf, tree.leaf_count), cuts)
        passed += any(found > bars[count] for count, found in zip(counts, reached, strict=False))
    assert passed <= 6


def test_one_segment_and_identical_rows_have_no_bar() -> None:
    rows = np.random.default_rng(3).normal(5.0, 1.0, (300, 2))
    assert np.isnan(null_of(rows, [1])[1])
    assert np.isnan(null_of(np.ones((40, 2)), [2])[2])


def test_small_shops_have_small_twins_which_score_higher() -> None:
    rows = np.random.default_rng(3).normal(5.0, 1.0, (2000, 6))
    assert null_of(rows[:40], [8])[8] > null_of(rows, [8])[8] + 0.03


def test_a_constant_feature_is_no_obstacle() -> None:
    rows = np.random.default_rng(3).normal(5.0, 1.0, (500, 2))
    widened = np.column_stack([rows, np.full(500, 2.0), rows.sum(axis=1)])
    assert 0 < null_of(widened, [2])[2] < 1
