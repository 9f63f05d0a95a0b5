"""Gradient-boosted trees: MLlib's `GBTClassifier`.

Friedman (2001), Greedy function approximation; with a sample of the rows for each tree, Friedman (2002).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.classification import GBTClassificationModel, GBTClassifier
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.models.feature_encoding import Floats

SAMPLED_SHARE = 0.7  # of the rows, for each tree: trees differ more, and the sum of them errs less
FEWEST_IN_LEAF = 20  # rows: fewer say little of a rate
LEAVES_WANTED = 50  # a small training set is still allowed so many leaves of the fewest rows
MAX_BINS = 64  # of a feature's values; more than any text has
ROWS_TO_DIVIDE = 20_000  # fewer are added up sooner than a second task is started, hundreds of times a fit
CLASS_BALANCE = 0.25  # weight of a positive: (negatives / positives) to this power. 0 is none, 1 makes classes equal


def fit(
    spark: SparkSession, dense: Floats, labels: Floats, parameters: Mapping[str, Any], seed: int
) -> GBTClassificationModel:
    """The trees for rows of features without gaps. parameters: depth, iterations, step_size. Rows must come in a fixed order.

    Many rows are divided in two, whatever the cores: of more parts the sums, and so the trees, would depend on the order in
    which parts end.
    """
    positives = labels.sum()
    balance = ((len(labels) - positives) / positives) ** CLASS_BALANCE
    frame = _frame(spark, dense, {"label": labels, "weight": np.where(labels == 1, balance, 1.0)})
    classifier = GBTClassifier(
        maxDepth=parameters["depth"],
        maxIter=parameters["iterations"],
        stepSize=parameters["step_size"],
        subsamplingRate=SAMPLED_SHARE,
        minInstancesPerNode=max(1, min(FEWEST_IN_LEAF, len(labels) // LEAVES_WANTED)),
        maxBins=MAX_BINS,
        weightCol="weight",
        seed=seed,
    )
    parted = frame.repartition(2) if len(labels) >= ROWS_TO_DIVIDE else frame
    vectors = parted.select(array_to_vector(F.col("values")).alias("features"), "label", "weight")
    model: GBTClassificationModel = classifier.fit(vectors)
    return model


def scored(rows: DataFrame, model: GBTClassificationModel) -> DataFrame:
    """`rows`, which have `__features`, with `score`: the margin, of which larger is more probable."""
    named = model.copy()
    for name in ("features", "rawPrediction", "probability", "prediction"):
        named = named._set(**{f"{name}Col": f"__{name}"})
    return named.transform(rows).withColumn("score", vector_to_array(F.col("__rawPrediction"))[1])


def margins(spark: SparkSession, model: GBTClassificationModel, dense: Floats) -> Floats:
    """(rows,): the margins of rows on the driver."""
    frame = _frame(spark, dense, {"place": np.arange(len(dense))})
    found = scored(frame.select("place", array_to_vector(F.col("values")).alias("__features")), model)
    ordered: pd.DataFrame = found.select("place", "score").toPandas().sort_values("place")
    result: Floats = ordered["score"].to_numpy(dtype=np.float64)
    return result


def _frame(spark: SparkSession, dense: Floats, beside: Mapping[str, NDArray[Any]]) -> DataFrame:
    """The rows in one partition, in their order: `values`, an array of doubles, and the columns beside it.

    An Arrow table is taken whether the session uses Arrow for pandas or not, and copies nothing here.
    """
    ends = pa.array(np.arange(len(dense) + 1, dtype=np.int32) * dense.shape[1])
    values = pa.ListArray.from_arrays(ends, pa.array(dense.ravel()))
    columns = {"values": values, **{name: pa.array(column) for name, column in beside.items()}}
    return spark.createDataFrame(pa.table(columns)).coalesce(1)
