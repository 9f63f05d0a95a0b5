"""Amounts as whole ten-thousandths, there and back."""

from __future__ import annotations

import random
from decimal import Decimal

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from habitue.exact import AMOUNT, LARGEST, UNITS, from_units, units


def test_every_digit_comes_back(spark: SparkSession) -> None:
    """Up to the largest amount that cleaning lets in, where a double has no digit to spare."""
    chance = random.Random(1)
    edges = [0, 1, -1, 5, 10_000, -12_345, LARGEST * UNITS - 1, 1 - LARGEST * UNITS]
    wholes = edges + [chance.randrange(-LARGEST * UNITS, LARGEST * UNITS) for _ in range(5_000)]
    amounts = [(Decimal(whole) / UNITS,) for whole in wholes] + [(None,)]
    frame = spark.createDataFrame(amounts, f"amount {AMOUNT}").select("amount", units("amount").alias("units"))
    rows = frame.select("*", from_units(F.col("units")).alias("back")).collect()
    assert [row["units"] for row in rows] == [*wholes, None]
    assert [row["back"] for row in rows] == [amount for (amount,) in amounts]
    assert frame.select(from_units("units").alias("back")).dtypes == [("back", AMOUNT)]
