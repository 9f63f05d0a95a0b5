"""Monthly cohorts divided by what a customer bought first, where it came from, or any other attribute."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import InsightSettings
from habitue.errors import NotApplicable
from habitue.models.cohorts import activity, cohort_cells
from habitue.models.shares import OTHER
from habitue.table import Table, as_of_column, column
from habitue.tables.insights.cohort_retention import CELL_CHECKS, CELL_NAMES, MONTH, SEGMENT, cell_columns, starters

UNKNOWN = "(unknown)"


def build(
    _work_known_orders: DataFrame,
    customer_history: DataFrame,
    customer_features: DataFrame,
    segment_members: DataFrame,
    as_of: date,
    insights: InsightSettings,
    products: DataFrame | None = None,
) -> DataFrame:
    values = attribute_values(customer_features, products, insights.cohort_attributes)
    pooled = _pooled(values, insights.top_values)
    customers = starters(customer_history, segment_members).join(pooled, "customer_id", "inner")
    groups = ["attribute", "attribute_value"]
    cells = cohort_cells(activity(_work_known_orders, MONTH), customers, MONTH, as_of, groups)
    return cells.select(
        F.lit(as_of).alias("as_of"),
        "segment_id",
        *groups,
        F.col("cohort").alias("cohort_month"),
        F.col("number").alias("month_number"),
        *CELL_NAMES,
    )


def attribute_values(features: DataFrame, products: DataFrame | None, attributes: tuple[str, ...]) -> DataFrame:
    """customer_id, attribute, value (NULL where the customer has none): one row a customer and attribute."""
    described = features.select("customer_id", "first_item", "numeric_attributes", "text_attributes")
    if "first_category" in attributes:
        described = with_first_category(described, products)
    pairs = [F.struct(F.lit(name).alias("attribute"), _value(name).alias("value")) for name in attributes]
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


def _pooled(values: DataFrame, top_values: int) -> DataFrame:
    """The values of most customers by name, the others as one; an attribute that nobody has is left out."""
    named = values.where(F.col("value").isNotNull())
    by_size = Window.partitionBy("attribute").orderBy(F.desc("customers"), "value")
    top = (
        named.groupBy("attribute", "value")
        .agg(F.count(F.lit(1)).alias("customers"))
        .withColumn("rank", F.row_number().over(by_size))
        .where(F.col("rank") <= top_values)
        .select("attribute", "value", F.col("value").alias("attribute_value"))
    )
    kept = {row["attribute"] for row in top.select("attribute").distinct().collect()}
    if not kept:
        raise NotApplicable(
            "orders name no products and no customer has one of the attributes of insights.cohort_attributes"
        )
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
