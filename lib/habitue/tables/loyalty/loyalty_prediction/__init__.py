"""Who of the regular customers can turn loyal: chosen, tested out of time and out of customer, and scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from habitue.config import LoyalSettings, PredictionSettings, ShopSettings
from habitue.models.prediction_record import PredictionRecord
from habitue.models.propensity import FeatureSet, Propensity
from habitue.models.score_reasons import phrase_of, reasons, typical_values
from habitue.tables.loyalty import evaluation_columns, snapshot_features
from habitue.tables.loyalty.predicting import Studied, Task, folded, study
from habitue.tables.loyalty.snapshot_days import HORIZONS_DAYS

NEAR = 0.8  # of the threshold: from there on a sort by purchases is good already
DIGITS_OF_A_ROW = 9  # of the rows that a share comes to: .1 x 30 is 3 rows, not 3.0000000000000004


class Prediction(NamedTuple):
    """The model, who was scored how, and what the tests found."""

    loyalty: PredictionRecord
    loyalty_scores: DataFrame
    loyalty_evaluation: DataFrame
    ends_promotion: bool
    challenger: PredictionRecord | None


def build(
    _work_loyalty_snapshots: DataFrame,
    as_of: date,
    prediction: PredictionSettings,
    loyal: LoyalSettings,
    shop: ShopSettings,
    model_path: str,
    earlier_loyalty: PredictionRecord | None,
    promoted_loyalty: PredictionRecord | None,
) -> Prediction:
    task, rows = task_of(_work_loyalty_snapshots, as_of, prediction)
    studied = study(task, prediction, model_path, earlier_loyalty, promoted_loyalty)
    now = folded(rows.where(F.col("snapshot_on") == F.lit(as_of)), prediction)
    scores = _scores(now, studied, prediction, shop.currency)
    evaluation = evaluation_columns.frame(rows.sparkSession, studied.record.evaluations, as_of)
    record = replace(studied.record, notes=(*studied.record.notes, *_notes(task, loyal)))
    return Prediction(record, scores, evaluation, record.ends_promotion, studied.challenger)


def _notes(task: Task, loyal: LoyalSettings) -> list[str]:
    """Where the loyal rule's window and the horizon were stepped down, that they were."""
    longest = HORIZONS_DAYS[0]
    if loyal.window_days != "auto" or task.horizon_days is None or task.horizon_days >= longest:
        return []
    return [
        f"loyalty: the history is too short for {longest} days, so the loyal rule looks back and the prediction looks ahead "
        f"{task.horizon_days} days"
    ]


def task_of(snapshots: DataFrame, as_of: date, prediction: PredictionSettings) -> tuple[Task, DataFrame]:
    """The task over the labelled regular customers, and all rows of the snapshots with their attributes as columns."""
    rows, features = with_features(snapshots, snapshot_features.NUMERIC_FEATURES, snapshot_features.TEXT_FEATURES)
    horizon: int = snapshots.agg(F.max("horizon_days")).collect()[0][0]
    complete = snapshots.where("purchase_days_in_horizon IS NOT NULL").select("snapshot_on").distinct()
    days = sorted(row["snapshot_on"] for row in complete.collect())
    tested_on = as_of - timedelta(days=horizon)
    labelled = rows.where("NOT is_loyal AND purchase_days_in_horizon IS NOT NULL").withColumns(
        {
            "begins_on": F.col("snapshot_on"),
            "known_on": F.date_add("snapshot_on", horizon),
            "label": (F.col("purchase_days_in_horizon") >= F.col("loyal_threshold")).cast("int"),
            "is_near": F.col("purchase_days_in_window") >= NEAR * F.col("loyal_threshold"),
        }
    )
    task = Task(
        rows=labelled,
        features=features,
        sources={name: snapshot_features.source_of(name) for name in features.names},
        validated_on=_validation_day(days, tested_on, horizon),
        tested_on=tested_on,
        as_of=as_of,
        horizon_days=horizon,
        population="regular customers",
        others="regular customers below 0.8 of the loyal threshold",
        act="turned loyal",
        days=tuple((day, day + timedelta(days=horizon)) for day in days),
        max_snapshots=prediction.max_snapshots,
    )
    return task, rows


def with_features(snapshots: DataFrame, numeric: Iterable[str], text: Iterable[str]) -> tuple[DataFrame, FeatureSet]:
    """The rows with the customers' attributes as columns, and the features among the columns."""
    numbers, texts = snapshot_features.attribute_names(snapshots)
    prefix = snapshot_features.ATTRIBUTE_PREFIX
    features = FeatureSet((*numeric, *(prefix + n for n in numbers)), (*text, *(prefix + n for n in texts)))
    return snapshot_features.expanded(snapshots, numbers, texts), features


def _validation_day(days: Iterable[date], tested_on: date, horizon: int) -> date | None:
    """The snapshot a horizon before the test, where there are snapshots to train on for it."""
    validated_on = tested_on - timedelta(days=horizon)
    has_training = any(day + timedelta(days=horizon) <= validated_on for day in days)
    return validated_on if validated_on in set(days) and has_training else None


def _scores(now: DataFrame, studied: Studied, prediction: PredictionSettings, currency: str | None) -> DataFrame:
    """Every customer of the snapshot; loyal ones without a probability."""
    regular = now.where("NOT is_loyal")
    plain = studied.model.score(regular).select("customer_id", "score", "probability")
    scored = with_percentile(plain, [], prediction.top_share)
    prospects = regular.join(scored.where("is_prospect").select("customer_id"), "customer_id", "left_semi")
    because = reasons_of(studied.model, prospects, regular, studied.model.features, currency, ("customer_id",))
    named = ("customer_id", "probability", "percentile", "is_prospect")
    return (
        now.select("as_of", "customer_id", "is_loyal")
        .join(scored.select(*named), "customer_id", "left")
        .join(because, "customer_id", "left")
        .withColumn("is_prospect", F.coalesce("is_prospect", F.lit(False)))
    )


def with_percentile(scored: DataFrame, within: list[str], top_share: float) -> DataFrame:
    """`scored` with `percentile` (0-100: share of the rows, of each `within`, with lower scores) and `is_prospect`.

    scored: customer_id, score and little else, as rows are sorted, all of a group in one place. Prospects are the top share
    and no more: of those who tie with the last of them some, by hash.
    """
    group = Window.partitionBy(*within)
    from_below = group.orderBy("score")
    from_above = group.orderBy(F.desc("score"), F.xxhash64("customer_id"), "customer_id")
    wanted = F.ceil(F.round(top_share * F.count(F.lit(1)).over(group), DIGITS_OF_A_ROW))
    return scored.select(
        "*",
        (100 * F.percent_rank().over(from_below)).alias("percentile"),
        (F.row_number().over(from_above) <= wanted).alias("is_prospect"),
    )


def reasons_of(
    model: Propensity,
    rows: DataFrame,
    others: DataFrame,
    features: FeatureSet,
    currency: str | None,
    key: tuple[str, ...],
) -> DataFrame:
    """`key` and `reasons` of the rows: against what is typical of `others`."""
    typical = typical_values(others, features)
    texts = set(features.text)
    found = reasons(model, rows, typical, lambda name: phrase_of(name, is_text=name in texts, currency=currency), key)
    return found.select(*key, "reasons")
