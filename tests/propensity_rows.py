"""Synthetic rows for the tests of propensity models, with a known chance of each label."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.config import PredictionSettings, resolve
from habitue.models.propensity import FeatureSet, Recipe, fold

FEATURES = FeatureSet(("purchase_days_90d", "days since.last", "it's `noise`"), ("favourite_channel", "colour.1"))
SMALL_TREES = Recipe("gbt", {"depth": 2, "iterations": 8, "step_size": 0.3})
SMALL_LOGISTIC = Recipe("logistic", {"bins": 5, "penalty": 0.01})
CUSTOMERS = 700
FIRST_DAY = date(2026, 1, 1)


def settings(**changes: object) -> PredictionSettings:
    prediction = resolve().config.prediction
    return prediction.model_copy(update={"folds": 3, **changes})


def synthetic(seed: int = 1, customers: int = CUSTOMERS, snapshots: int = 2) -> pd.DataFrame:
    """customer_id, snapshot, chance, label and FEATURES: many purchase days and few days since the last one help, as does
    the shop's own app; some numbers and texts are missing, and the noise is noise."""
    rng = np.random.default_rng(seed)
    rows = customers * snapshots
    days, since = rng.poisson(3, rows).astype(float), rng.exponential(30, rows)
    channel = rng.choice(["app", "web", "shop"], rows, p=[0.2, 0.5, 0.3])
    chance = 1 / (1 + np.exp(-(0.7 * days - since / 20 + 1.0 * (channel == "app") - 2.0)))
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i // snapshots}" for i in range(rows)],
            "snapshot": [i % snapshots for i in range(rows)],
            "chance": chance,
            "label": (rng.random(rows) < chance).astype(int),
            FEATURES.numeric[0]: days,
            FEATURES.numeric[1]: np.where(rng.random(rows) < 0.1, np.nan, since),
            FEATURES.numeric[2]: rng.normal(size=rows),
            FEATURES.text[0]: channel,
            FEATURES.text[1]: rng.choice(["red's", "b\\ue", "rare"], rows, p=[0.6, 0.399, 0.001]),
        }
    )
    frame.loc[rng.random(rows) < 0.05, "colour.1"] = None
    return frame


def as_rows(spark: SparkSession, frame: pd.DataFrame, folds: int = 3) -> DataFrame:
    """The rows with their fold; NaN is NULL."""
    plain = frame.astype(object).where(frame.notna(), None)
    types = dict.fromkeys((*FEATURES.numeric, "chance"), "double")
    types |= dict.fromkeys(("customer_id", *FEATURES.text), "string")
    schema = ", ".join(f"`{name.replace('`', '``')}` {types.get(name, 'int')}" for name in frame.columns)
    rows = spark.createDataFrame(plain.to_dict("split")["data"], schema)
    dated = rows.withColumn("begins_on", F.date_add(F.lit(FIRST_DAY), 30 * F.col("snapshot")))
    return dated.withColumn("fold", fold(F.col("customer_id"), folds))


def collected(rows: DataFrame) -> pd.DataFrame:
    """On the driver, in the order of customers and snapshots."""
    found: pd.DataFrame = rows.toPandas().sort_values(["customer_id", "snapshot"]).reset_index(drop=True)
    return found
