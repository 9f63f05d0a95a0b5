"""Synthetic snapshots to learn from: whoever bought lately, and grew up in the right town, mostly turns loyal."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from habitue.config import PredictionSettings, resolve
from habitue.tables.loyalty import _work_loyalty_snapshots, _work_response_snapshots

AS_OF = date(2024, 1, 1)
HORIZON = 30
DAYS = [AS_OF - timedelta(days=HORIZON * i) for i in range(4)]
CUSTOMERS = 300
THRESHOLD = 4


def settings(**changes: Any) -> PredictionSettings:
    """Small models, so that tests are quick."""
    quick = {
        "trees": [{"depth": 2, "iterations": 2, "step_size": 0.3}],
        "linear": [{"bins": 4, "penalty": 0.01}],
        "folds": 2,
        "min_positives": 20,
        "bootstrap_draws": 100,
    }
    return resolve(overrides={"prediction": {**quick, **changes}}).config.prediction


def loyalty_snapshots(spark: SparkSession, seed: int = 5) -> DataFrame:
    """Four days of 300 customers."""
    rows = []
    for number, day in enumerate(DAYS):
        for i in range(CUSTOMERS):
            chance = random.Random(seed * 1_000_003 + number * 10_007 + i)
            since, town = chance.randrange(1, 120), chance.choice("AB")
            is_loyal = i % 10 == 0
            odds = 0.75 * (since < 40) * (1 if town == "A" else 0.4) + 0.02
            later = (THRESHOLD if chance.random() < odds else 1) if number else None
            rows.append(
                {
                    "as_of": AS_OF,
                    "snapshot_on": day,
                    "customer_id": f"C{i:03}",
                    "horizon_days": HORIZON,
                    "loyal_window_days": HORIZON,
                    "loyal_threshold": THRESHOLD,
                    "purchase_days_in_window": THRESHOLD if is_loyal else chance.randrange(THRESHOLD),
                    "is_loyal": is_loyal,
                    "purchase_days_in_horizon": later,
                    "orders_in_window": 1,
                    "orders_in_horizon": later,
                    "plain_score": float(chance.randrange(5)),
                    "days_since_last_order": float(since),
                    "longevity_days": float(chance.randrange(400)),
                    "favourite_weekday": str(chance.randrange(1, 8)),
                    "numeric_attributes": {"age": float(chance.randrange(20, 70))},
                    "text_attributes": {"town": town},
                }
            )
    return _frame(spark, _work_loyalty_snapshots.TABLE.schema, rows)


def response_snapshots(spark: SparkSession) -> DataFrame:
    """Six campaigns of 150 customers, one a month, and one to come, of which it is not known whom it goes to: who answered
    before answers again."""
    rows = []
    for number in range(7):
        starts = date(2023, 7, 1) + timedelta(days=31 * number)
        for i in range(150):
            chance = random.Random(number * 10_007 + i)
            before = float(chance.randrange(3))
            is_over = starts + timedelta(days=14) < AS_OF
            rows.append(
                {
                    "as_of": AS_OF,
                    "campaign_id": f"K{number}",
                    "customer_id": f"C{i:03}",
                    "is_listed": starts < AS_OF,
                    "snapshot_on": min(starts, AS_OF),
                    "starts_on": starts,
                    "ends_on": starts + timedelta(days=14),
                    "has_responded": chance.random() < 0.1 + 0.3 * before if is_over else None,
                    "plain_score": before,
                    "responses_before": before,
                    "days_since_last_order": float(chance.randrange(1, 120)),
                    "campaign_kind": "mail",
                    "numeric_attributes": {},
                    "text_attributes": {},
                }
            )
    return _frame(spark, _work_response_snapshots.TABLE.schema, rows)


def _frame(spark: SparkSession, schema: Any, rows: list[dict[str, Any]]) -> DataFrame:
    return spark.createDataFrame([tuple(row.get(f.name) for f in schema.fields) for row in rows], schema).repartition(2)
