"""What a table is."""

from __future__ import annotations

from datetime import date

import pytest
from pyspark.errors import ArithmeticException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from habitue.table import ContractError, Table, column, contract_problems, parse_type
from habitue.tables import TABLES


@pytest.mark.parametrize(
    "text",
    [
        "string",
        "date",
        "timestamp",
        "boolean",
        "int",
        "bigint",
        "double",
        "decimal(18,4)",
        "array<date>",
        "map<string,bigint>",
        "map<string,array<decimal(5,2)>>",
        "array<struct<day:date,amount:decimal(18,4),gaps:array<int>>>",
        "struct<a:struct<b:map<string,double>,c:int>,d:string>",
    ],
)
def test_types_are_those_that_spark_writes(text: str) -> None:
    assert parse_type(text).simpleString() == text


def test_types_that_are_none_are_refused() -> None:
    with pytest.raises(KeyError):
        parse_type("varchar")


def build(orders: DataFrame, as_of: date) -> DataFrame:
    return orders


def test_columns_are_not_null_unless_they_say_so() -> None:
    assert not column("a", "int", "A.").nullable
    assert column("a", "int", "A.", nullable=True).nullable
    assert column("a", "int", "A.").metadata == {"comment": "A."}


def test_every_difference_is_found() -> None:
    promised = StructType(
        [column(n, t, "") for n, t in (("a", "int"), ("b", "decimal(18,4)"), ("c", "date"), ("d", "string"))]
    )
    given = StructType(
        [column(n, t, "") for n, t in (("a", "bigint"), ("b", "decimal(38,6)"), ("c", "timestamp"), ("e", "int"))]
    )
    assert contract_problems(promised, given) == [
        "column d is missing",
        "column e is not in the contract",
        "column c is timestamp, not date",
    ]


def test_conforming_orders_and_narrows_but_never_in_silence(spark: SparkSession) -> None:
    schema = StructType([column("a", "int", "A."), column("b", "string", "B.", nullable=True)])
    table = Table("t", "One row.", ("a",), schema, build)
    frame = spark.createDataFrame([("x", 1)], "b string, a bigint")
    assert [tuple(row) for row in table.conform(frame).collect()] == [(1, "x")]
    with pytest.raises(ArithmeticException, match="CAST_OVERFLOW"):
        table.conform(spark.createDataFrame([("x", 2**40)], "b string, a bigint")).collect()
    with pytest.raises(ContractError, match=r"Table t: .*\n.*column b is missing"):
        table.conform(frame.drop("b"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_contracts_keep_the_conventions(table: Table) -> None:
    assert table.grain.startswith("One row per ") and table.grain.endswith(".")
    assert table.build.__module__.split(".")[:2] == ["habitue", "tables"]
    assert set(table.key) <= set(table.columns)
    assert all(f.metadata.get("comment", "").endswith(".") for f in table.schema.fields)
    assert len(set(table.columns)) == len(table.columns)
    if table.is_snapshot and table.name != "runs":  # a run that fails early has no as-of
        assert table.columns[0] == table.key[0] == "as_of"
    if table.known_by:
        assert table.schema[table.known_by].dataType.simpleString() == "date"
