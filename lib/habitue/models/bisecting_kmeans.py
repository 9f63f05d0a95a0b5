"""Bisecting k-means: MLlib's over a DataFrame, and the same algorithm over an array for samples on the driver.

Steinbach, Karypis and Kumar (2000), A comparison of document clustering techniques; level by level as in MLlib.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.clustering import BisectingKMeans
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.models.bisecting_tree import BisectingTree, Floats

# MLlib starts the two halves of a split this far apart, as a share of the norm of the cluster's centre.
SPLIT_NOISE = 1e-4
# MLlib's bound on the cost a row below which the rows of a cluster count as identical.
SMALLEST_COST = float(np.finfo(np.float64).eps)


def fit_distributed(
    frame: DataFrame, feature_columns: Sequence[str], *, max_leaves: int, max_iter: int, seed: int, model_path: str
) -> BisectingTree:
    """The tree of one `BisectingKMeans` fit over at least one row; the MLlib model is (over)written at `model_path`.

    feature_columns: doubles without NULL or NaN, scaled but not centred (MLlib's first step of a split is
    proportional to the norm of the cluster's centre). max_leaves: at least 2; fewer come back where rows run out or
    are identical. max_iter: rounds a level, all of them run. `model_path` must be readable by the session's executors.
    """
    _check_max_leaves(max_leaves)
    assembled = VectorAssembler(inputCols=list(feature_columns), outputCol="features").transform(frame)
    estimator = BisectingKMeans(featuresCol="features", k=max_leaves, maxIter=max_iter, seed=seed)
    model = estimator.fit(assembled.select("features"))
    model.write().overwrite().save(model_path)
    return read_saved_tree(frame.sparkSession, model_path)


def read_saved_tree(spark: SparkSession, model_path: str) -> BisectingTree:
    """The tree of a saved MLlib `BisectingKMeansModel`.

    Spark 4.0 to 4.2 differ in the folders below `data`, so its parquet files are looked up recursively.
    """
    saved = spark.read.option("recursiveFileLookup", "true").option("pathGlobFilter", "*.parquet")
    nodes = saved.parquet(f"{model_path}/data").select(
        "index", "size", "cost", "children", vector_to_array(F.col("center")).alias("centre")
    )
    rows = nodes.collect()
    return BisectingTree.from_children(
        centres={row["index"]: row["centre"] for row in rows},
        sizes={row["index"]: row["size"] for row in rows},
        costs={row["index"]: row["cost"] for row in rows},
        children={row["index"]: row["children"] for row in rows},
    )


def fit_local(rows: Floats, *, max_leaves: int, max_iter: int, seed: int) -> BisectingTree:
    """The tree over an array of (rows, features), by MLlib's algorithm: for samples, on the driver.

    Its random numbers are not MLlib's, so the trees agree closely but not exactly.
    """
    _check_max_leaves(max_leaves)
    if len(rows) == 0:
        raise ValueError("There is no row to fit a tree to.")
    rng = np.random.default_rng(seed)
    grown = _Growing()
    level = {grown.add(rows, None): rows}
    still_needed = max_leaves - 1
    while level and still_needed > 0:
        divisible = [node for node in level if grown.costs[node] > SMALLEST_COST * grown.sizes[node]]
        # Where leaves run short the largest clusters are divided; a stable sort, so equal ones from left to right.
        divisible = sorted(divisible, key=lambda node: -grown.sizes[node])[:still_needed]
        below: dict[int, Floats] = {}
        for node in sorted(divisible):
            halves = _bisect(level[node], grown.centres[node], max_iter, rng)
            if halves is None:
                continue
            for summarised, members in halves:
                below[grown.add(summarised, node)] = members
            still_needed -= 1
        level = below
    return BisectingTree.from_children(grown.centres, grown.sizes, grown.costs, grown.children)


class _Growing:
    """The nodes found so far, numbered in the order of their discovery."""

    def __init__(self) -> None:
        self.centres: dict[int, Floats] = {}
        self.sizes: dict[int, int] = {}
        self.costs: dict[int, float] = {}
        self.children: dict[int, list[int]] = {}

    def add(self, rows: Floats, parent: int | None) -> int:
        node = len(self.sizes)
        centre = rows.mean(axis=0)
        self.centres[node] = centre
        self.sizes[node] = len(rows)
        self.costs[node] = float(np.square(rows - centre).sum())
        self.children[node] = []
        if parent is not None:
            self.children[parent].append(node)
        return node


def _bisect(
    rows: Floats, centre: Floats, max_iter: int, rng: np.random.Generator
) -> list[tuple[Floats, Floats]] | None:
    """Left and right half of a cluster, each as (rows of the last round, rows nearest to the final centres).

    None where a side stays empty.
    """
    step = SPLIT_NOISE * np.linalg.norm(centre) * rng.random(len(centre))
    left, right = centre - step, centre + step
    total = rows.sum(axis=0)
    for _ in range(max_iter):
        is_left = _nearer_left(rows, left, right)
        left_size = int(is_left.sum())
        if left_size in (0, len(rows)):
            return None
        left_sum = is_left @ rows
        left, right = left_sum / left_size, (total - left_sum) / (len(rows) - left_size)
    final = _nearer_left(rows, left, right)
    return [(rows[is_left], rows[final]), (rows[~is_left], rows[~final])]


def _nearer_left(rows: Floats, left: Floats, right: Floats) -> NDArray[np.bool_]:
    return rows @ (left - right) >= (left - right) @ (left + right) / 2


def _check_max_leaves(max_leaves: int) -> None:
    if max_leaves < 2:
        raise ValueError(f"max_leaves must be at least 2, not {max_leaves}: one segment needs no fit.")
