"""Who will, by a stored model: what a model server loads. It scores with MLlib, so it needs a Spark session.

A run never scores by this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from habitue.models.prediction_record import PredictionRecord
from habitue.models.propensity import Propensity, fold

ROW = "__row"


class PropensityScorer:
    """Scores rows of features with the pipelines of a prediction."""

    def __init__(self, model: Propensity):
        self.model = model

    def predict(self, features: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.Series[float]:
        """The calibrated probability of each row, by the model of its customer's fold.

        features: the model's columns, NULL where unknown, and customer_id; rows without one are scored by fold 0's model.
        """
        spark = SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()
        names = self.model.features
        rows = pd.DataFrame({ROW: range(len(features))})
        for name in names.names:
            rows[name] = features[name].to_numpy()
        has_id = "customer_id" in features
        rows["customer_id"] = features["customer_id"].astype(str).to_numpy() if has_id else ""
        kinds = [f"{ROW} bigint", *(f"`{n}` double" for n in names.numeric), *(f"`{n}` string" for n in names.text)]
        frame = spark.createDataFrame(rows, ", ".join([*kinds, "customer_id string"]))
        numbers = [F.when(~F.isnan(f"`{n}`"), F.col(f"`{n}`")).alias(n) for n in names.numeric]
        known = frame.select(ROW, "customer_id", *numbers, *(F.col(f"`{n}`") for n in names.text))
        own = fold(F.col("customer_id"), len(self.model.calibrators)) if has_id else F.lit(0)
        scored = self.model.score(known.withColumn("fold", own)).select(ROW, "probability").toPandas()
        ordered = scored.sort_values(ROW)["probability"].to_numpy()
        found: pd.Series[float] = pd.Series(ordered, index=features.index, name="probability")
        return found


def _load_pyfunc(path: str) -> PropensityScorer:
    """What MLflow calls with the folder of the document and, where they were copied, the pipelines."""
    record = PredictionRecord.from_json((Path(path) / "document.json").read_text(encoding="utf-8"))
    copied = Path(path) / "pipelines"
    return PropensityScorer(Propensity.from_json(record.document, str(copied) if copied.is_dir() else record.folder))
