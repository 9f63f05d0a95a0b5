"""Nothing that becomes known on the as-of or later counts, from order lines to scores; on the smallest shop that has any."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from loyalty_shops import AS_OF, Line, lines_frame
from predicted_shop import CAMPAIGNS, CUSTOMERS, QUICK, Contact, contacts_frame, order_lines, plans_frames
from predicted_shop import responses as all_responses
from predicted_shop import sends as all_sends
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from small_shop import assert_same

from habitue.config import resolve
from habitue.table import Table
from habitue.tables.loyalty import _work_loyalty_snapshots, _work_response_snapshots
from habitue.tables.loyalty import loyalty_prediction as loyalty
from habitue.tables.loyalty import response_prediction as response
from habitue.tables.loyalty.loyalty_prediction import loyalty_evaluation, loyalty_scores
from habitue.tables.loyalty.response_prediction import response_evaluation, response_scores

CONFIG = resolve(overrides={"prediction": QUICK}).config
TESTED_ON = AS_OF - timedelta(days=30)
SECRET = "secret"
# What gives everything away, but only from the as-of on: who buys on many days then, orders of before that turn up then, and
# who responds then, also to campaigns that are over.
FUTURE = [
    *(
        Line(f"F{i}-{d}", f"c{i:03}", AS_OF + timedelta(days=d), AS_OF + timedelta(days=d), SECRET, 1, "9.00")
        for i in range(0, CUSTOMERS, 3)
        for d in range(8)
    ),
    *(Line(f"L{i}", f"c{i:03}", AS_OF - timedelta(days=5), AS_OF, SECRET, 1, "9.00") for i in range(1, CUSTOMERS, 3)),
]
FUTURE_RESPONSES = [Contact(c, f"c{i:03}", AS_OF) for c, _, _, _ in CAMPAIGNS[-3:] for i in range(0, CUSTOMERS, 3)]


def products(spark: SparkSession) -> DataFrame:
    known = {"tea": "drink", "rum": "drink", "mug": "ware", "pot": "ware", SECRET: SECRET}
    return spark.createDataFrame([*known.items()], "product_id string, category string")


def rows(table: Table, frame: DataFrame) -> list[Any]:
    return sorted((tuple(row) for row in table.conform(frame).collect()), key=repr)


def loyalty_of(spark: SparkSession, lines: list[Line], folder: Path) -> tuple[DataFrame, list[Any], list[Any]]:
    """The snapshots, the scores and the evaluation."""
    frame = lines_frame(spark, lines)
    built = _work_loyalty_snapshots.build(
        frame, AS_OF, CONFIG.features, CONFIG.loyal, CONFIG.prediction, products=products(spark)
    )
    stored = _stored(_work_loyalty_snapshots.TABLE.conform(built), folder)
    found = loyalty.build(stored, AS_OF, CONFIG.prediction, CONFIG.loyal, CONFIG.shop, str(folder / "m"), None, None)
    evaluation = rows(loyalty_evaluation.TABLE, found.loyalty_evaluation)
    return stored, rows(loyalty_scores.TABLE, found.loyalty_scores), evaluation


def response_of(
    spark: SparkSession, lines: list[Line], responses: list[Contact], folder: Path
) -> tuple[list[Any], list[Any]]:
    """The scores and the evaluation."""
    plans, promoted = plans_frames(spark)
    built = _work_response_snapshots.build(
        contacts_frame(spark, all_sends()),
        plans,
        contacts_frame(spark, responses),
        lines_frame(spark, lines),
        AS_OF,
        CONFIG.features,
        promoted,
        products=products(spark),
    )
    stored = _stored(_work_response_snapshots.TABLE.conform(built), folder)
    found = response.build(stored, AS_OF, CONFIG.prediction, CONFIG.shop, str(folder / "m"), None, None)
    evaluation = rows(response_evaluation.TABLE, found.response_evaluation)
    return rows(response_scores.TABLE, found.response_scores), evaluation


def _stored(frame: DataFrame, folder: Path) -> DataFrame:
    frame.write.parquet(str(folder / "snapshots"))
    return frame.sparkSession.read.parquet(str(folder / "snapshots"))


@pytest.fixture(scope="module")
def past(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataFrame, list[Any], list[Any]]:
    return loyalty_of(spark, order_lines(), tmp_path_factory.mktemp("past"))


def aucs(evaluation: list[Any]) -> dict[tuple[str, str], float]:
    """By model and population."""
    named = [dict(zip(loyalty_evaluation.TABLE.columns, row, strict=True)) for row in evaluation]
    return {(row["model"], row["population"]): row["auc"] for row in named}


def test_the_future_moves_no_loyalty_score_and_no_figure(
    spark: SparkSession, past: tuple[DataFrame, list[Any], list[Any]], tmp_path: Path
) -> None:
    _, scores, evaluation = loyalty_of(spark, [*FUTURE, *order_lines()[::-1]], tmp_path)
    assert_same(scores, past[1], "scores")
    assert_same(evaluation, past[2], "evaluation")
    assert all(0.3 < area < 1 for area in aucs(evaluation).values())


def test_a_column_that_only_the_future_knows_moves_no_area(
    spark: SparkSession, past: tuple[DataFrame, list[Any], list[Any]], tmp_path: Path
) -> None:
    """From the test day on, who turns loyal buys a product, of a category, that nobody else does."""
    task, _ = loyalty.task_of(past[0], AS_OF, CONFIG.prediction)
    tested = task.rows.where((F.col("snapshot_on") == F.lit(TESTED_ON)) & (F.col("label") == 1))
    positive = {row["customer_id"] for row in tested.select("customer_id").collect()}
    assert len(positive) >= QUICK["min_positives"]
    given_away = [
        line._replace(product_id=SECRET) if line.customer_id in positive and line.known_day >= TESTED_ON else line
        for line in order_lines()
    ]
    snapshots, _, evaluation = loyalty_of(spark, given_away, tmp_path)
    assert aucs(evaluation) == pytest.approx(aucs(past[2]), rel=1e-9)
    categories = snapshots.groupBy("snapshot_on").agg(F.max("category_count").alias("most")).collect()
    most = {row["snapshot_on"]: row["most"] for row in categories}
    assert (most[TESTED_ON], most[AS_OF]) == (2, 3)  # it is a feature from when it is known


def test_the_future_moves_no_response_score_and_no_figure(spark: SparkSession, tmp_path: Path) -> None:
    before = response_of(spark, order_lines(), all_responses(), tmp_path / "past")
    after = response_of(
        spark, [*FUTURE, *order_lines()[::-1]], [*FUTURE_RESPONSES, *all_responses()], tmp_path / "future"
    )
    assert_same(after[0], before[0], "scores")
    assert_same(after[1], before[1], "evaluation")
    assert len(before[0]) == CUSTOMERS
