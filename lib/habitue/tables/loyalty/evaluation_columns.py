"""The columns of an evaluation table, and its frame from the rows of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from habitue.table import as_of_column, column

SCHEMA = StructType(
    [
        as_of_column(),
        column("model", "string", "The model, or the plain sort."),
        column("is_chosen", "boolean", "Scores are of this one, fitted again on all that is known."),
        column("population", "string", "Whose rows were tested."),
        column("is_whole_population", "boolean", "Not only of those that are not nearly there already."),
        column("horizon_days", "int", "H: what the label looks ahead, days; NULL for campaigns.", nullable=True),
        column("tested_on", "date", "The test rows begin on this day or later; no tested model saw anything after it."),
        column("customers", "int", "Rows tested."),
        column("positives", "int", "Of these, those that did it."),
        column("base_rate", "double", "positives / customers, 0-1.", nullable=True),
        column("auc", "double", "Area under the ROC curve, by the uncalibrated score.", nullable=True),
        column("auc_error", "double", "Its standard error, by customer bootstrap.", nullable=True),
        column("average_precision", "double", "Area under the precision-recall curve.", nullable=True),
        column("brier", "double", "Mean squared error of the probabilities; NULL for the plain sort.", nullable=True),
        column("top_share", "double", "q: the share by score that lift is of, 0-1."),
        column("top_rate", "double", "Rate in the top q.", nullable=True),
        column("rest_rate", "double", "Rate in the rest.", nullable=True),
        column("lift_ratio", "double", "top_rate / rest_rate; NULL where the rest has none.", nullable=True),
        column("lift_low", "double", "Lower limit of its 95 % interval, by customer bootstrap.", nullable=True),
        column("lift_high", "double", "Upper limit; NULL where there is none.", nullable=True),
        column("lift_ceiling", "double", "Ratio of a perfect ranking; NULL where it has no bound.", nullable=True),
        column("sort_lift_ratio", "double", "Ratio of the plain sort on the same rows.", nullable=True),
        column("calibration_error", "double", "Expected calibration error over deciles, 0-1.", nullable=True),
        column(
            "reliability",
            "array<struct<mean_probability:double,observed_rate:double,customers:int>>",
            "By decile of probability: promised and observed.",
        ),
        column("left_out_source", "string", "Fitted without the features of this source; NULL: none.", nullable=True),
        column("claim", "string", "Of the claimed ratio: met, not shown, cannot hold here."),
        column("says", "string", "The same in a sentence, with what it rests on."),
    ]
)
CHECKS = {
    "rates": "coalesce(base_rate BETWEEN 0 AND 1, true)",
    "known_claim": "claim IN ('met', 'not shown', 'cannot hold here')",
}


def frame(spark: SparkSession, rows: Sequence[Mapping[str, Any]], as_of: date) -> DataFrame:
    """The table's rows, one a model, population and left-out source."""
    names = [f.name for f in SCHEMA.fields]
    decile = ("mean_probability", "observed_rate", "customers")
    values = []
    for row in rows:
        whole = {**row, "as_of": as_of, "reliability": [tuple(d[n] for n in decile) for d in row["reliability"]]}
        values.append(tuple(whole[name] for name in names))
    return spark.createDataFrame(values, SCHEMA)
