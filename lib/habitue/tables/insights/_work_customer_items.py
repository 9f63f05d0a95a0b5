"""What each customer bought on its first purchase days, and how many products in all: the lines are read once for it."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.errors import NotApplicable
from habitue.exact import UNITS, units
from habitue.table import Table, as_of_column, column
from habitue.tables.features.customer_history import ranked

STEPS = 4  # purchase days that a journey goes through


def build(
    order_lines: DataFrame, customer_history: DataFrame, as_of: date, products: DataFrame | None = None
) -> DataFrame:
    named = order_lines.where(F.col("product_id").isNotNull())
    if named.limit(1).isEmpty():
        raise NotApplicable("orders name no products")
    first_days = customer_history.where(F.col("purchase_day_count") > 0).select(
        "customer_id",
        "first_purchase_day",
        F.slice(F.transform("purchase_days", lambda p: p["day"]), 1, STEPS).alias("step_days"),
    )
    # The customers go into a hash table; a join by sorting would put all lines in order.
    bought = _per_day(named).join(first_days.hint("shuffle_hash"), "customer_id", "inner")
    on_step = bought.withColumn("step", F.array_position("step_days", F.col("day")).cast("int")).where("step > 0")
    steps = _with_categories(on_step, products).join(_largest(on_step, "product_id"), ["customer_id", "step", "day"])
    collected = steps.groupBy("customer_id").agg(
        F.sort_array(F.collect_list(F.struct("step", "day", "product_id", "category"))).alias("steps")
    )
    is_later = F.col("day") > F.col("first_purchase_day")
    first_products = F.count_distinct(F.when(~is_later, F.col("product_id")))
    counts = bought.groupBy("customer_id").agg(
        (first_products + F.count_if(is_later)).cast("int").alias("product_day_count"),
        first_products.cast("int").alias("first_product_count"),
    )
    return counts.join(collected, "customer_id", "inner").withColumn("as_of", F.lit(as_of))


def _per_day(lines: DataFrame) -> DataFrame:
    """customer_id, day, product_id, worth of what was bought, less what was returned of it later.

    A return is a line of the order that it takes back, so its product's first day in that order is the day it was
    bought. Where there are no amounts, lines are counted.
    """
    per_order = (
        lines.repartition("customer_id")
        .groupBy("customer_id", "order_id", "product_id")
        .agg(
            F.min("order_day").alias("day"),
            F.coalesce(F.sum(units("amount")), F.count_if(~F.col("is_return")) * UNITS).alias("worth"),
            F.bool_or(~F.col("is_return")).alias("is_bought"),
        )
    )
    return per_order.where("is_bought").groupBy("customer_id", "day", "product_id").agg(F.sum("worth").alias("worth"))


def _with_categories(on_step: DataFrame, products: DataFrame | None) -> DataFrame:
    """customer_id, step, day, category: that of the largest amount of the day."""
    if products is None:
        days = on_step.select("customer_id", "step", "day").distinct()
        return days.withColumn("category", F.lit(None).cast("string"))
    categories = products.select("product_id", "category")
    per_category = (
        on_step.join(categories, "product_id", "left")
        .groupBy("customer_id", "step", "day", "category")
        .agg(F.sum("worth").alias("worth"))
    )
    return _largest(per_category, "category")


def _largest(worths: DataFrame, item: str) -> DataFrame:
    """The item of the largest worth on each step; ties go to the smaller id, and an unknown item is none."""
    largest: Column = F.min(ranked("worth", item))[item]
    return worths.groupBy("customer_id", "step", "day").agg(largest.alias(item))


TABLE = Table(
    name="_work_customer_items",
    grain="One row per as-of and customer with a purchase day on which a product is known.",
    key=("as_of", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("customer_id", "string", "The customer."),
            column(
                "product_day_count",
                "int",
                "Different products bought up to the first purchase day, and those of each later day, added up.",
            ),
            column("first_product_count", "int", "Of these, those up to the first purchase day."),
            column(
                "steps",
                "array<struct<step:int,day:date,product_id:string,category:string>>",
                "The first purchase days, numbered from 1, with the product and the category of the largest net amount.",
            ),
        ]
    ),
    build=build,
)
