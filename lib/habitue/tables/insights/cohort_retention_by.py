"""Monthly cohorts divided by what a customer bought first, where it came from, or any other attribute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import InsightSettings, nearest
from habitue.errors import NotApplicable
from habitue.models.cohorts import activity, cohort_cells
from habitue.models.shares import OTHER
from habitue.table import Table, as_of_column, column
from habitue.tables.insights.cohort_retention import (
    CELL_CHECKS,
    CELL_NAMES,
    MONTH,
    SEGMENT,
    cell_columns,
    records,
    starters,
)

UNKNOWN = "(unknown)"
_OF_PRODUCTS = {"first_item": "orders name no products", "first_category": "no product that was bought first has one"}


class Cohorts(NamedTuple):
    """The table, and for the run's summary why attributes of the configuration are not in it."""

    cohort_retention_by: DataFrame
    notes: tuple[str, ...]


def build(
    _work_known_orders: DataFrame,
    customer_history: DataFrame,
    customer_features: DataFrame,
    segment_members: DataFrame,
    as_of: date,
    insights: InsightSettings,
    products: DataFrame | None = None,
) -> Cohorts:
    if not insights.cohort_attributes:
        raise NotApplicable("insights.cohort_attributes names no attribute")
    values = attribute_values(customer_features, products, insights.cohort_attributes)
    top = _top(values, insights.top_values)
    kept = {row["attribute"] for row in top.select("attribute").distinct().collect()}
    absent = _why_absent([name for name in insights.cohort_attributes if name not in kept], customer_features)
    if not kept:
        raise NotApplicable("; ".join(absent))
    customers = starters(customer_history, segment_members).join(_pooled(values, top, kept), "customer_id", "inner")
    groups = ["attribute", "attribute_value"]
    active = activity(_work_known_orders, MONTH)
    cells = cohort_cells(active, customers, records(customer_history), MONTH, as_of, groups)
    table = cells.select(
        F.lit(as_of).alias("as_of"),
        "segment_id",
        *groups,
        F.col("cohort").alias("cohort_month"),
        F.col("number").alias("month_number"),
        *CELL_NAMES,
    )
    return Cohorts(table, tuple(f"cohort_retention_by: {reason}" for reason in absent))


def attribute_values(features: DataFrame, products: DataFrame | None, attributes: tuple[str, ...]) -> DataFrame:
    """customer_id, attribute, value (NULL where the customer has none): one row a customer and attribute."""
    described = features.select("customer_id", "first_item", "numeric_attributes", "text_attributes")
    if "first_category" in attributes:
        described = with_first_category(described, products)
    pairs = [
        F.struct(F.lit(name).alias("attribute"), _value(name).alias("value")) for name in dict.fromkeys(attributes)
    ]
    return described.select("customer_id", F.inline(F.array(*pairs)))


def with_first_category(customers: DataFrame, products: DataFrame | None) -> DataFrame:
    """`customers` with the category of their `first_item`."""
    if products is None:
        return customers.withColumn("first_category", F.lit(None).cast("string"))
    categories = products.select(F.col("product_id").alias("first_item"), F.col("category").alias("first_category"))
    return customers.join(categories, "first_item", "left")


def _value(attribute: str) -> Column:
    if attribute in ("first_item", "first_category"):
        return F.col(attribute)
    number = F.try_element_at("numeric_attributes", F.lit(attribute))
    whole = number.try_cast("bigint")
    written = F.when(number == whole, whole.cast("string")).otherwise(number.cast("string"))
    return F.coalesce(F.try_element_at("text_attributes", F.lit(attribute)), written)


def _why_absent(names: Sequence[str], features: DataFrame) -> list[str]:
    """A sentence for each attribute that no customer has, with the name that was perhaps meant."""
    if not names:
        return []
    keys = F.array_union(F.map_keys("numeric_attributes"), F.map_keys("text_attributes"))
    known = [row["name"] for row in features.select(F.explode(keys).alias("name")).distinct().orderBy("name").collect()]
    reasons = {
        name: _OF_PRODUCTS.get(name, f"no customer has it{nearest(name, [*known, *_OF_PRODUCTS])}") for name in names
    }
    return [f"without {name} (insights.cohort_attributes): {reason}" for name, reason in reasons.items()]


def _top(values: DataFrame, top_values: int) -> DataFrame:
    """attribute, value, attribute_value: the values of most customers of each attribute."""
    named = values.where(F.col("value").isNotNull())
    by_size = Window.partitionBy("attribute").orderBy(F.desc("customers"), "value")
    return (
        named.groupBy("attribute", "value")
        .agg(F.count(F.lit(1)).alias("customers"))
        .withColumn("rank", F.row_number().over(by_size))
        .where(F.col("rank") <= top_values)
        .select("attribute", "value", F.col("value").alias("attribute_value"))
    )


def _pooled(values: DataFrame, top: DataFrame, kept: set[str]) -> DataFrame:
    """The values of `top` by name, the others as one; only of the attributes that somebody has."""
    pooled = F.when(F.col("value").isNull(), F.lit(UNKNOWN)).otherwise(F.coalesce("attribute_value", F.lit(OTHER)))
    return (
        values.where(F.col("attribute").isin(*sorted(kept)))
        .join(F.broadcast(top), ["attribute", "value"], "left")
        .select("customer_id", "attribute", pooled.alias("attribute_value"))
    )


TABLE = Table(
    name="cohort_retention_by",
    grain="One row per as-of, segment, attribute, value, month of the first purchase, and month since.",
    key=("as_of", "segment_id", "attribute", "attribute_value", "cohort_month", "month_number"),
    schema=StructType(
        [
            as_of_column(),
            SEGMENT,
            column(
                "attribute",
                "string",
                "first_item (product of the largest amount on the first day), first_category (its category), "
                "acquisition_channel, or another attribute of insights.cohort_attributes.",
            ),
            column(
                "attribute_value",
                "string",
                "Its value, one of those of most customers; (other) are the rest, (unknown) those without one.",
            ),
            column("cohort_month", "date", "First day of the month of the first purchase day."),
            column("month_number", "int", "Calendar months since that month, which is 0."),
            *cell_columns("month"),
        ]
    ),
    checks=CELL_CHECKS,
    build=build,
)
