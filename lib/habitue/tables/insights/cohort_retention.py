"""Cohorts by the month of the first purchase: who comes back in which month, and what they have spent by then."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from habitue.models.cohorts import Period, activity, cohort_cells
from habitue.table import Table, as_of_column, column

MONTH = Period("month")


def build(
    _work_known_orders: DataFrame, customer_history: DataFrame, segment_members: DataFrame, as_of: date
) -> DataFrame:
    customers = starters(customer_history, segment_members)
    cells = cohort_cells(activity(_work_known_orders, MONTH), customers, records(customer_history), MONTH, as_of)
    return cells.select(
        F.lit(as_of).alias("as_of"),
        "segment_id",
        F.col("cohort").alias("cohort_month"),
        F.col("number").alias("month_number"),
        *CELL_NAMES,
    )


def starters(customer_history: DataFrame, segment_members: DataFrame) -> DataFrame:
    """customer_id, segment_id, first_purchase_day, has_amounts of every customer with a purchase day."""
    started = customer_history.select(
        "customer_id", "first_purchase_day", F.col("amount").isNotNull().alias("has_amounts")
    )
    return segment_members.select("customer_id", "segment_id").join(started, "customer_id", "inner")


def records(customer_history: DataFrame) -> DataFrame:
    """One row, records_begin: the day of the shop's first order."""
    return customer_history.agg(F.min("first_order_day").alias("records_begin"))


def cell_columns(period: str) -> list[StructField]:
    """The figures of a cell, which every table of cohorts has; `period` is month or week."""
    return [
        column("customers", "bigint", "Customers of the cohort: those whose first purchase day is in its period."),
        column(
            "retained", "bigint", f"Of them, those with a purchase day in this {period}, as far as it was observed."
        ),
        column("retention", "double", "retained / customers; NULL unless is_complete.", nullable=True),
        column("orders", "bigint", f"Their orders in this {period}, returns without an order of their own among them."),
        column(
            "revenue",
            "decimal(18,4)",
            f"Net amount of these orders, returns taken off; in {period} 0 with what came before the first purchase.",
            nullable=True,
        ),
        column(
            "average_value",
            "double",
            "revenue / customers, so over all customers of the cohort; NULL unless is_complete.",
            nullable=True,
        ),
        column(
            "cumulative_value",
            "double",
            f"Revenue up to this {period} / customers; NULL unless is_complete.",
            nullable=True,
        ),
        column(
            "is_complete",
            "boolean",
            f"The whole {period} lies between the shop's first order and as_of. Only such cells may be compared.",
        ),
    ]


CELL_NAMES = [field.name for field in cell_columns("month")]
CELL_CHECKS = {
    "no_more_than_all": "retained BETWEEN 0 AND customers",
    "incomplete_is_no_drop": "is_complete = (retention IS NOT NULL)",
}
SEGMENT = column("segment_id", "int", "The segment that the customers are in as of as_of; 0 is everyone.")

TABLE = Table(
    name="cohort_retention",
    grain="One row per as-of, segment, month of the first purchase, and month since that began before as_of.",
    key=("as_of", "segment_id", "cohort_month", "month_number"),
    schema=StructType(
        [
            as_of_column(),
            SEGMENT,
            column("cohort_month", "date", "First day of the month of the first purchase day."),
            column("month_number", "int", "Calendar months since that month, which is 0."),
            *cell_columns("month"),
        ]
    ),
    checks=CELL_CHECKS,
    build=build,
)
