"""Answers to SQL, as text."""

from __future__ import annotations

import json

import pytest
from pyspark.sql import SparkSession
from small_shop import SmallRun, configured

from habitue.errors import HabitueError, UsageError
from habitue.query import answer
from habitue.store import Store

VALUES = (
    "SELECT 1.5D AS d, CAST('2.50' AS decimal(5,2)) AS amount, DATE'2024-01-02' AS day, NULL AS nothing, 'a,b' AS text"
)


@pytest.fixture
def store(small_run: SmallRun, spark: SparkSession) -> Store:
    return Store(spark, small_run.config)


def test_formats(store: Store) -> None:
    assert answer(store, VALUES + ";", "csv") == 'd,amount,day,nothing,text\n1.5,2.50,2024-01-02,,"a,b"'
    assert json.loads(answer(store, VALUES, "json")) == {
        "d": 1.5, "amount": 2.5, "day": "2024-01-02", "nothing": None, "text": "a,b",
    }  # fmt: skip
    heading, row, count = answer(store, VALUES, "table").splitlines()
    assert heading.split() == ["d", "amount", "day", "nothing", "text"]
    assert row.split() == ["1.5", "2.50", "2024-01-02", "a,b"]
    assert count == "(1 row)"


def test_nested_values_are_json(store: Store) -> None:
    nested = "SELECT named_struct('a', 1, 'b', array(DATE'2024-01-02')) AS s, map('k', 1.5D) AS m"
    assert json.loads(answer(store, nested, "json")) == {"s": {"a": 1, "b": ["2024-01-02"]}, "m": {"k": 1.5}}


def test_tables_and_their_newest_snapshots_have_names(store: Store, small_run: SmallRun) -> None:
    rows = answer(store, "SELECT count(*) AS n FROM customer_features_latest", "csv")
    assert rows == f"n\n{small_run.result.written['customer_features']}"
    joined = "SELECT count(*) AS n FROM orders o JOIN customer_features f ON o.customer_id = f.customer_id"
    assert int(answer(store, joined, "csv").split()[1]) > 1000


def test_what_does_not_work_is_said_in_a_paragraph(store: Store, spark: SparkSession) -> None:
    for query in ("SELECT nothing FROM orders", "SELEC 1", "SELECT * FROM no_such_table", "SELECT 1 / 0"):
        with pytest.raises(UsageError, match=r"The query does not work: .*\nTables: .*orders"):
            answer(store, query, "csv")
    with pytest.raises(UsageError, match="more than 10,000 rows"):
        answer(store, "SELECT * FROM range(10001)", "csv")
    assert len(answer(store, "SELECT * FROM range(10000)", "csv").splitlines()) == 10_001
    with pytest.raises(HabitueError, match="There are no tables at"):
        answer(Store(spark, configured("/nowhere/to/be/found", {})), "SELECT 1", "csv")
