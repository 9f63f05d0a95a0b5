"""Who will respond to a campaign: chosen, tested on later campaigns and out of customer, and scored for those to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from habitue.config import PredictionSettings, ShopSettings
from habitue.errors import NotApplicable
from habitue.models.prediction_record import PredictionRecord
from habitue.tables.loyalty import _work_response_snapshots, evaluation_columns
from habitue.tables.loyalty.loyalty_prediction import reasons_of, with_features, with_percentile
from habitue.tables.loyalty.predicting import Studied, Task, folded, study

TEST_DAYS = (90, 180, 365)  # tried in turn: campaigns that start in the last so many days, and ended, are tested on
KEY = ("campaign_id", "customer_id")


class Prediction(NamedTuple):
    """The model, who was scored how, and what the tests found."""

    response: PredictionRecord
    response_scores: DataFrame
    response_evaluation: DataFrame
    ends_promotion: bool
    challenger: PredictionRecord | None


def build(
    _work_response_snapshots: DataFrame,
    as_of: date,
    prediction: PredictionSettings,
    shop: ShopSettings,
    model_path: str,
    earlier_response: PredictionRecord | None,
    promoted_response: PredictionRecord | None,
) -> Prediction:
    task, rows = task_of(_work_response_snapshots, as_of, prediction)
    studied = study(task, prediction, model_path, earlier_response, promoted_response)
    coming = folded(rows.where(F.col("starts_on") >= F.lit(as_of)), prediction)
    scores = _scores(coming, rows, studied, prediction, shop.currency)
    evaluation = evaluation_columns.frame(rows.sparkSession, studied.record.evaluations, as_of)
    notes = (*studied.record.notes, *_notes(coming, as_of))
    studied = studied._replace(record=replace(studied.record, notes=notes))
    return Prediction(studied.record, scores, evaluation, studied.record.ends_promotion, studied.challenger)


def task_of(snapshots: DataFrame, as_of: date, prediction: PredictionSettings) -> tuple[Task, DataFrame]:
    """The task over the sends whose campaigns are over, and all sends with the customers' attributes as columns."""
    own = _work_response_snapshots
    rows, features = with_features(snapshots, own.NUMERIC_FEATURES, own.TEXT_FEATURES)
    labelled = rows.where("has_responded IS NOT NULL").withColumns(
        {
            "begins_on": F.col("starts_on"),
            "known_on": F.date_add("ends_on", 1),
            "label": F.col("has_responded").cast("int"),
            "is_near": F.lit(False),
        }
    )
    campaigns = _campaigns(labelled)
    tested_on, validated_on = test_days(campaigns, as_of, prediction.min_positives)
    task = Task(
        rows=labelled,
        features=features,
        sources={name: own.FEATURE_SOURCES.get(name, "customers") for name in features.names},
        validated_on=validated_on,
        tested_on=tested_on,
        as_of=as_of,
        horizon_days=None,
        population="customers written to",
        others=None,
        act="responded",
        max_snapshots=prediction.max_snapshots,
    )
    return task, rows


def _notes(coming: DataFrame, as_of: date) -> list[str]:
    """Who is scored, where that is not those on the campaigns' lists."""
    campaigns = [bool(row["is_listed"]) for row in coming.select("campaign_id", "is_listed").distinct().collect()]
    if not campaigns:
        return [f"response_scores: no campaign starts on {as_of} or later, so nobody is scored"]
    unlisted = campaigns.count(False)
    if not unlisted:
        return []
    return [
        f"response_scores: of {unlisted} of {len(campaigns)} coming campaigns it is not known whom they go to, so everybody "
        "who bought in the look-back is scored, as if the campaign went to customers like those of the past ones"
    ]


def _campaigns(labelled: DataFrame) -> list[tuple[date, date, int]]:
    """Of each campaign that is over: first day, first day after it, responders."""
    found = labelled.groupBy("campaign_id", "begins_on", "known_on").agg(F.sum("label").alias("positives")).collect()
    return [(row["begins_on"], row["known_on"], int(row["positives"])) for row in found]


def test_days(campaigns: list[tuple[date, date, int]], as_of: date, min_positives: int) -> tuple[date, date | None]:
    """The first days of the campaigns to test and to validate on: of the shortest period with enough responders in both
    the test and what is over before it. No validation where the period before it has too few.

    Raises NotApplicable where no period does.
    """

    def responders(first: date, until: date) -> int:
        return sum(n for begins, known, n in campaigns if begins >= first and known <= until)

    for days in TEST_DAYS:
        tested_on = as_of - timedelta(days=days)
        if responders(tested_on, as_of) >= min_positives <= responders(date.min, tested_on):
            validated_on = tested_on - timedelta(days=days)
            enough = responders(validated_on, tested_on) >= min_positives <= responders(date.min, validated_on)
            return tested_on, validated_on if enough else None
    total = sum(n for _, _, n in campaigns)
    raise NotApplicable(
        f"{len(campaigns):,} campaigns are over, with {total:,} responders, and a prediction needs {min_positives} to learn "
        "from and as many in later campaigns to be tested on (prediction.min_positives)"
    )


def _scores(
    coming: DataFrame, rows: DataFrame, studied: Studied, prediction: PredictionSettings, currency: str | None
) -> DataFrame:
    """Everyone whom a coming campaign is sent to; reasons for the top share of each."""
    plain = studied.model.score(coming).select("as_of", *KEY, "score", "probability")
    scored = with_percentile(plain, ["campaign_id"], prediction.top_share)
    top = coming.join(scored.where("is_prospect").select(*KEY), list(KEY), "left_semi")
    because = reasons_of(studied.model, top, rows, studied.model.features, currency, KEY)
    return scored.select("as_of", *KEY, "probability", "percentile").join(because, list(KEY), "left")
