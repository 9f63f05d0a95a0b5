import subprocess
import sys

import numpy as np
import pytest
from pyspark import cloudpickle
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import silhouette_samples, silhouette_score

from habitue.models.bisecting_kmeans import fit_local
from habitue.models.bisecting_tree import BisectingTree, Floats
from habitue.models.silhouette import (
    _row_scorer,
    leaf_sums,
    leaf_sums_distributed,
    mean_silhouettes,
    mean_silhouettes_distributed,
    silhouette_column,
)

COLUMNS = ["a", "b", "c"]


def some_rows() -> Floats:
    """Far from the origin, as features that are not centred may be."""
    return np.random.default_rng(6).normal(1000.0, 1.0, (300, 3)) * [1.0, 2.0, 3.0]


def tree_of(rows: Floats) -> BisectingTree:
    return fit_local(rows, max_leaves=8, max_iter=5, seed=1)


def with_leaves(spark: SparkSession, rows: Floats, tree: BisectingTree) -> DataFrame:
    frame = spark.createDataFrame([(i, *row) for i, row in enumerate(rows.tolist())], ["row", *COLUMNS])
    return frame.withColumn("leaf", tree.leaf_expression(COLUMNS))


def test_by_hand() -> None:
    # Segments {0, 1} and {5}: the row 0 has a = 1, b = 25, so .96; the row 1 has a = 1, b = 16, so .9375;
    # the row 5 is alone, so 0. Mean .6325.
    rows, leaf = np.array([[0.0], [1.0], [5.0]]), np.array([0, 0, 1])
    sums = leaf_sums(rows, leaf, 2)
    assert sums.counts.tolist() == [2.0, 1.0]
    found = mean_silhouettes(rows, leaf, sums, [np.array([0, 1]), np.array([0, 0])])
    assert found[0] == pytest.approx((0.96 + 0.9375) / 3)
    assert np.isnan(found[1])


def test_every_cut_as_scikit_learn_scores_it() -> None:
    rows = some_rows()
    tree = tree_of(rows)
    leaf = tree.assign_numpy(rows)
    cuts = [tree.cut(count) for count in range(2, 9)]
    expected = [silhouette_score(rows, cut[leaf], metric="sqeuclidean") for cut in cuts]
    found = mean_silhouettes(rows, leaf, leaf_sums(rows, leaf, tree.leaf_count), cuts)
    assert found == pytest.approx(expected, rel=1e-9)


def test_singletons_score_zero_as_in_scikit_learn() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.5], [9.0, 9.0]])
    leaf = np.array([0, 0, 0, 1])
    found = mean_silhouettes(rows, leaf, leaf_sums(rows, leaf, 2), [np.array([0, 1])])
    assert found[0] == pytest.approx(silhouette_score(rows, leaf, metric="sqeuclidean"))


def test_a_leaf_without_rows_is_nobodys_neighbour() -> None:
    rows, leaf = np.array([[4.0], [5.0], [9.0], [9.5]]), np.array([0, 0, 2, 2])
    found = mean_silhouettes(rows, leaf, leaf_sums(rows, leaf, 3), [np.array([0, 1, 2])])
    assert found[0] == pytest.approx(silhouette_score(rows, leaf, metric="sqeuclidean"))


def test_identical_rows_in_two_leaves_score_zero() -> None:
    rows, leaf = np.full((6, 2), 0.1), np.array([0, 0, 0, 1, 1, 1])
    assert mean_silhouettes(rows, leaf, leaf_sums(rows, leaf, 2), [np.array([0, 1])]).tolist() == [0.0]


def test_the_spark_pass_agrees_with_numpy_and_mllib(spark: SparkSession) -> None:
    rows = some_rows()
    tree = tree_of(rows)
    leaf = tree.assign_numpy(rows)
    cuts = [tree.cut(count) for count in range(1, 9)]
    frame = with_leaves(spark, rows, tree)
    sums = leaf_sums_distributed(frame, COLUMNS, "leaf", tree.leaf_count, tree.centres[0])
    assert sums.counts.tolist() == np.bincount(leaf).tolist()
    found = mean_silhouettes_distributed(frame, COLUMNS, "leaf", sums, cuts)
    expected = mean_silhouettes(rows, leaf, leaf_sums(rows, leaf, tree.leaf_count), cuts)
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)

    assembled = VectorAssembler(inputCols=COLUMNS, outputCol="features").transform(frame)
    evaluator = ClusteringEvaluator(predictionCol="leaf", featuresCol="features")
    # Eight leaves are the last cut; MLlib does not shift its sums, hence the tolerance.
    assert found[-1] == pytest.approx(evaluator.evaluate(assembled), rel=1e-6)


def test_a_rows_silhouette_and_neighbour(spark: SparkSession) -> None:
    rows = some_rows()
    tree = tree_of(rows)
    frame = with_leaves(spark, rows, tree)
    sums = leaf_sums_distributed(frame, COLUMNS, "leaf", tree.leaf_count, tree.centres[0])
    cut = tree.cut(3)
    segment = cut[tree.assign_numpy(rows)]
    scores = frame.select("row", silhouette_column(COLUMNS, "leaf", sums, cut).alias("s")).select("row", "s.*")
    found = scores.orderBy("row").collect()
    expected = silhouette_samples(rows, segment, metric="sqeuclidean")
    assert [row["silhouette"] for row in found] == pytest.approx(expected.tolist(), abs=1e-9)

    def mean_distance(row: Floats, other: int) -> float:
        return float(np.square(rows[segment == other] - row).sum(axis=1).mean())

    for at in range(0, 300, 30):
        others = sorted({0, 1, 2} - {int(segment[at])}, key=lambda other: mean_distance(rows[at], other))
        assert found[at]["neighbour"] == others[0]


def test_one_segment_has_neither_silhouette_nor_neighbour(spark: SparkSession) -> None:
    rows = some_rows()[:5]
    tree = tree_of(rows)
    frame = with_leaves(spark, rows, tree)
    sums = leaf_sums_distributed(frame, COLUMNS, "leaf", tree.leaf_count, tree.centres[0])
    scores = frame.select(silhouette_column(COLUMNS, "leaf", sums, tree.cut(1)).alias("s")).select("s.*")
    assert {tuple(row) for row in scores.collect()} == {(None, None)}


def test_what_executors_run_needs_no_habitue() -> None:
    rows, leaf = np.array([[0.0], [1.0], [5.0]]), np.array([0, 0, 1])
    pickled = cloudpickle.dumps(_row_scorer(leaf_sums(rows, leaf, 2), [np.array([0, 1])]))
    code = (
        "import pickle, sys, numpy as np\n"
        f"score = pickle.loads({pickled!r})\n"
        "next(score(np.array([[0.0]]), np.array([0])))\n"
        "sys.exit('habitue' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0
