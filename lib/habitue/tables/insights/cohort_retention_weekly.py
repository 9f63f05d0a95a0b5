"""Cohorts by the ISO week of the first purchase: who comes back in which week, and what they have spent by then."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.models.cohorts import Period, activity, cohort_cells
from habitue.table import Table, as_of_column, column
from habitue.tables.insights.cohort_retention import (
    CELL_CHECKS,
    CELL_NAMES,
    SEGMENT,
    cell_columns,
    records,
    starters,
)

WEEK = Period("week")


def build(
    _work_known_orders: DataFrame, customer_history: DataFrame, segment_members: DataFrame, as_of: date
) -> DataFrame:
    customers = starters(customer_history, segment_members)
    cells = cohort_cells(activity(_work_known_orders, WEEK), customers, records(customer_history), WEEK, as_of)
    # The ISO year of a week is the year of its Thursday, which the plain year of a date near New Year is not.
    iso_year = F.extract(F.lit("YEAROFWEEK"), F.col("cohort")).cast("int")
    return cells.select(
        F.lit(as_of).alias("as_of"),
        "segment_id",
        F.col("cohort").alias("cohort_week"),
        F.format_string("%04d-W%02d", iso_year, F.weekofyear("cohort")).alias("iso_week"),
        F.col("number").alias("week_number"),
        *CELL_NAMES,
    )


TABLE = Table(
    name="cohort_retention_weekly",
    grain="One row per as-of, segment, ISO week of the first purchase, and week since that began before as_of.",
    key=("as_of", "segment_id", "cohort_week", "week_number"),
    schema=StructType(
        [
            as_of_column(),
            SEGMENT,
            column("cohort_week", "date", "Monday of the ISO week of the first purchase day."),
            column("iso_week", "string", "The same week in the notation of ISO 8601, such as 2020-W53."),
            column("week_number", "int", "Weeks since that week, which is 0."),
            *cell_columns("week"),
        ]
    ),
    checks={**CELL_CHECKS, "starts_on_a_monday": "weekday(cohort_week) = 0"},
    build=build,
)
