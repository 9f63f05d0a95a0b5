from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.clustering import BisectingKMeansModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import adjusted_rand_score

from habitue.models.bisecting_kmeans import fit_distributed, fit_local
from habitue.models.bisecting_tree import BisectingTree, Floats

COLUMNS = ["a", "b", "c"]


def blobs(rows: int) -> tuple[Floats, Floats]:
    """Eight clouds at the corners of a box with edges of 20, 10 and 5 around (5, 5, 5), spread 0.5."""
    rng = np.random.default_rng(3)
    corners = np.array([[x, y, z] for x in (0, 20) for y in (0, 10) for z in (0, 5)]) + 5.0
    cloud = rng.integers(len(corners), size=rows)
    return corners[cloud] + rng.normal(0.0, 0.5, (rows, 3)), cloud


def as_frame(spark: SparkSession, rows: Floats) -> DataFrame:
    return spark.createDataFrame(rows.tolist(), COLUMNS)


def fit_spark(spark: SparkSession, rows: Floats, max_leaves: int, path: Path) -> BisectingTree:
    frame = as_frame(spark, rows)
    return fit_distributed(frame, COLUMNS, max_leaves=max_leaves, max_iter=5, seed=7, model_path=str(path / "model"))


def leaf_cost(tree: BisectingTree) -> float:
    return float(tree.costs[tree.leaves].sum())


def test_local_fit_finds_planted_clouds_at_every_level() -> None:
    rows, cloud = blobs(4000)
    tree = fit_local(rows, max_leaves=8, max_iter=5, seed=1)
    leaf = tree.assign_numpy(rows)
    # The longest edge is divided first, then the next: corners 0-3 have x = 5, and 0-1 and 4-5 y = 5.
    for count, truth in [(2, cloud // 4), (4, cloud // 2), (8, cloud)]:
        assert adjusted_rand_score(truth, tree.cut(count)[leaf]) == 1.0
    assert tree.sizes[0] == 4000
    assert tree.costs[0] == pytest.approx(4000 * rows.var(axis=0).sum())
    # At the leaves three features of variance 0.25 a row are left.
    assert leaf_cost(tree) == pytest.approx(4000 * 0.75, rel=0.05)


def test_mllib_and_the_local_fit_agree(spark: SparkSession, tmp_path: Path) -> None:
    rows, _ = blobs(4000)
    local = fit_local(rows, max_leaves=8, max_iter=5, seed=1)
    distributed = fit_spark(spark, rows, 8, tmp_path)
    for count in range(1, 9):
        ours, theirs = (tree.cut(count)[tree.assign_numpy(rows)] for tree in (local, distributed))
        assert adjusted_rand_score(ours, theirs) > 0.99
    assert np.allclose(np.sort(local.sizes), np.sort(distributed.sizes), atol=2)
    assert leaf_cost(local) == pytest.approx(leaf_cost(distributed), rel=0.01)


def test_both_fits_cost_the_same_where_there_are_no_clouds(spark: SparkSession, tmp_path: Path) -> None:
    # One long axis: where all are alike, two seeds of the same algorithm may differ by 7 % in either fit.
    rows = np.random.default_rng(8).lognormal(0.5, 0.3, (4000, 3)) * [10.0, 1.0, 1.0]
    local = fit_local(rows, max_leaves=12, max_iter=5, seed=1)
    distributed = fit_spark(spark, rows, 12, tmp_path)
    assert local.leaf_count == distributed.leaf_count == 12
    assert leaf_cost(local) == pytest.approx(leaf_cost(distributed), rel=0.02)


def test_the_tree_predicts_as_the_saved_model_does(spark: SparkSession, tmp_path: Path) -> None:
    rows = np.random.default_rng(8).lognormal(0.5, 0.5, (2000, 3))
    tree = fit_spark(spark, rows, 12, tmp_path)
    assembled = VectorAssembler(inputCols=COLUMNS, outputCol="features").transform(as_frame(spark, rows))
    predicted = BisectingKMeansModel.load(str(tmp_path / "model")).transform(assembled)
    differing = predicted.withColumn("leaf", tree.leaf_expression(COLUMNS)).where("leaf <> prediction")
    assert differing.count() == 0


def test_largest_clusters_are_divided_where_leaves_run_short() -> None:
    # 60 rows near 1 and 30 near 100: after the first split the 60 are divided, though the 30 cost more.
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.normal(1.0, 0.1, (60, 1)), rng.normal(100.0, 5.0, (30, 1))])
    tree = fit_local(rows, max_leaves=3, max_iter=5, seed=1)
    assert tree.leaf_count == 3
    assert 30 in tree.sizes[tree.leaves]


DEGENERATE = {
    "identical rows": (np.full((50, 3), 0.1), 1),
    "one row": (np.array([[0.3, 0.7, 0.9]]), 1),
    "fewer rows than leaves": (np.array([[1.0, 2.0, 3.0], [2.0, 9.0, 4.0], [7.0, 5.0, 1.0]]), 3),
    "two different rows, many times": (np.array([[1.0, 2.0, 3.0], [2.0, 9.0, 4.0]] * 40), 2),
    "all zero": (np.zeros((20, 3)), 1),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_rows_give_as_many_leaves_as_there_are_different_rows(name: str) -> None:
    rows, leaves = DEGENERATE[name]
    tree = fit_local(rows, max_leaves=8, max_iter=5, seed=1)
    assert tree.leaf_count == leaves
    assert tree.sizes[tree.leaves].sum() == len(rows)
    assert len(np.unique(tree.assign_numpy(rows))) == leaves


@pytest.mark.parametrize("name", DEGENERATE)
def test_mllib_on_degenerate_rows_gives_a_usable_tree(name: str, spark: SparkSession, tmp_path: Path) -> None:
    rows, leaves = DEGENERATE[name]
    tree = fit_spark(spark, rows, 4, tmp_path)
    assert tree.leaf_count == leaves
    assert tree.sizes[0] == len(rows)
    assert len(np.unique(tree.assign_numpy(rows))) == leaves


def test_no_rows_and_one_leaf_are_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        fit_local(np.empty((0, 3)), max_leaves=4, max_iter=5, seed=1)
    with pytest.raises(ValueError, match="at least 2"):
        fit_local(np.ones((5, 3)), max_leaves=1, max_iter=5, seed=1)
