"""The shops that the tests of insights share, each made once."""

from __future__ import annotations

from datetime import date

import pytest
from insight_shops import CDNOW, TRANSACTIONS, Tables, cdnow, grocer, shop
from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def records(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """1,000 customers of CDNOW over 18 months: one amount an order, days only, no products. The last month is not over."""
    if not CDNOW.exists():
        pytest.skip("CDNOW is not in .data")
    return shop(spark, tmp_path_factory.mktemp("records"), cdnow(1000), date(1998, 6, 17), bootstrap_draws=100)


@pytest.fixture(scope="session")
def groceries(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """100 households of Complete Journey over most of a year: baskets with products, categories and times."""
    if not TRANSACTIONS.exists():
        pytest.skip("Complete Journey is not in .data")
    lines, described = grocer(100)
    households = sorted(lines["customer_id"].unique())
    attributes = {
        h: {"acquisition_channel": "mail" if i % 3 else "web", "persons": str(1 + i % 4)}
        for i, h in enumerate(households)
        if i % 10
    }
    return shop(
        spark,
        tmp_path_factory.mktemp("groceries"),
        lines,
        date(2017, 11, 20),
        described,
        attributes,
        min_journey_support=5,
        journey_items=20,
        top_values=5,
        bootstrap_draws=100,
    )
