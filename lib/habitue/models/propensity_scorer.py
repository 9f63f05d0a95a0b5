"""Who will, by a stored model: what a model server loads. It scores with MLlib, so it needs a Spark session.

A run never scores by this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
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
        A column that is not there is unknown for everybody.
        """
        names = self.model.features
        given = features.reindex(columns=[*names.names, "customer_id"])
        columns: dict[str, Any] = {ROW: pa.array(range(len(given)))}
        columns |= {name: pa.array(given[name], pa.float64(), from_pandas=True) for name in names.numeric}
        for name in (*names.text, "customer_id"):
            texts = given[name].map(str, na_action="ignore").astype(object)
            columns[name] = pa.array(texts, pa.string(), from_pandas=True)
        known = _session().createDataFrame(pa.table(columns))  # of Arrow: no setting of the session matters
        has_id = F.col("customer_id").isNotNull()
        own = F.when(has_id, fold(F.col("customer_id"), len(self.model.calibrators))).otherwise(0)
        scored = self.model.score(known.withColumn("fold", own)).select(ROW, "probability").toPandas()
        ordered = scored.sort_values(ROW)["probability"].to_numpy()
        found: pd.Series[float] = pd.Series(ordered, index=features.index, name="probability")
        return found


def _session() -> SparkSession:
    return SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()


def _load_pyfunc(path: str) -> PropensityScorer:
    """What MLflow calls with the folder of the document and, where they were copied, the pipelines."""
    _session()  # the trees load into it
    record = PredictionRecord.from_json((Path(path) / "document.json").read_text(encoding="utf-8"))
    copied = Path(path) / "pipelines"
    return PropensityScorer(Propensity.from_json(record.document, str(copied) if copied.is_dir() else record.folder))
