"""What a customer has done so far: only new orders change it, never the passing of days."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.exact import UNITS, from_units, units
from habitue.table import Table, as_of_column, column

PURCHASE_DAYS = "array<struct<day:date,amount:decimal(18,4),discount:decimal(18,4),order_count:int>>"


def build(
    _work_known_orders: DataFrame, order_lines: DataFrame, as_of: date, products: DataFrame | None = None
) -> DataFrame:
    # Orders, and lines further down, are set out by customer once; every later grouping moves no row again.
    orders = _work_known_orders.repartition("customer_id")
    customers = _with_gaps(_per_customer(_per_day(orders)))
    items = _items(order_lines, products)
    # Hash tables of one row a customer: joins by sorting would put their lists in order for it.
    return (
        customers.join(items.hint("shuffle_hash"), "customer_id", "left")
        .join(_channels(orders).hint("shuffle_hash"), "customer_id", "left")
        .withColumn("as_of", F.lit(as_of))
    )


def _per_day(orders: DataFrame) -> DataFrame:
    """One row per customer and day with an order: amounts in whole units, and whether the day is a purchase day."""
    return (
        orders.groupBy("customer_id", "order_day")
        .agg(
            F.sum(units("amount")).alias("amount"),
            F.sum(units("discount")).alias("discount"),
            F.sum(units("coupon_discount")).alias("coupon_discount"),
            F.sum(units("item_count")).alias("item_count"),
            F.count(F.lit(1)).cast("int").alias("order_count"),
        )
        # Without amounts every order counts.
        .withColumn("is_purchase", F.coalesce(F.col("amount") > 0, F.lit(True)))
    )


def _per_customer(per_day: DataFrame) -> DataFrame:
    purchase_day = F.when(F.col("is_purchase"), F.col("order_day"))
    entry = F.struct(
        F.col("order_day").alias("day"),
        from_units("amount").alias("amount"),
        from_units("discount").alias("discount"),
        "order_count",
    )
    return per_day.groupBy("customer_id").agg(
        F.min("order_day").alias("first_order_day"),
        F.max("order_day").alias("last_order_day"),
        F.min(purchase_day).alias("first_purchase_day"),
        F.max(purchase_day).alias("last_purchase_day"),
        F.sum("order_count").cast("int").alias("order_count"),
        F.count(purchase_day).cast("int").alias("purchase_day_count"),
        from_units(F.sum("amount")).alias("amount"),
        from_units(F.sum("discount")).alias("discount"),
        from_units(F.sum("coupon_discount")).alias("coupon_discount"),
        from_units(F.sum("item_count")).alias("item_count"),
        F.sort_array(F.collect_list(F.when(F.col("is_purchase"), entry))).alias("purchase_days"),
    )


def _channels(orders: DataFrame) -> DataFrame:
    named = orders.where(F.col("channel").isNotNull())
    per_channel = named.groupBy("customer_id", "channel").agg(F.count(F.lit(1)).alias("worth"))
    return per_channel.groupBy("customer_id").agg(
        F.min(ranked("worth", "channel"))["channel"].alias("favourite_channel")
    )


def _with_gaps(customers: DataFrame) -> DataFrame:
    """Gaps are the whole days between successive purchase days."""
    days = F.transform("purchase_days", lambda p: p["day"])
    count = F.col("purchase_day_count")
    length = F.greatest(count - 1, F.lit(0))
    later, earlier = F.slice("__days", F.lit(2), length), F.slice("__days", F.lit(1), length)
    gaps = F.zip_with(later, earlier, lambda b, a: F.datediff(b, a))
    with_gaps = customers.withColumn("__days", days).withColumn("gaps_days", gaps).drop("__days")
    n = F.size("gaps_days")
    logs = F.transform("gaps_days", lambda g: F.log(g))
    with_logs = with_gaps.withColumns({"gap_count": n, "__logs": logs, "__sorted": F.sort_array("gaps_days")})
    half = (F.col("gap_count") / 2).cast("int")
    median = (F.get("__sorted", ((F.col("gap_count") - 1) / 2).cast("int")) + F.get("__sorted", half)) / F.lit(2.0)
    last, before = F.get("gaps_days", F.col("gap_count") - 1), F.get("gaps_days", F.col("gap_count") - 2)
    means = with_logs.withColumns(
        {
            "gap_mean_days": _mean("gaps_days"),
            "gap_median_days": F.when(F.col("gap_count") > 0, median),
            "gap_log_mean": _mean("__logs"),
            "regularity": F.when(F.col("gap_count") >= 2, 1 - 4 * F.pow(last / (last + before) - F.lit(0.5), 2)),
        }
    )
    deviations = F.transform("__logs", lambda x: F.pow(x - F.col("gap_log_mean"), F.lit(2)))
    squares = F.aggregate(deviations, F.lit(0.0), lambda total, x: total + x)
    return means.withColumn("gap_log_squares", F.when(F.col("gap_count") > 0, squares)).drop("__logs", "__sorted")


def _mean(values: str) -> Column:
    total = F.aggregate(values, F.lit(0.0), lambda sum_, x: sum_ + x)
    return F.when(F.size(values) > 0, total / F.size(values))


def _items(lines: DataFrame, products: DataFrame | None) -> DataFrame:
    """What a customer buys. Ties go to the smaller id. Where there are no amounts, lines are counted."""
    per_product = _per_product(lines.where(F.col("product_id").isNotNull() & ~F.col("is_return")))
    per_category = (
        _with_category(per_product, products)
        .groupBy("customer_id", "category")
        .agg(
            F.sum("worth").alias("worth"),
            F.max("worth").alias("largest"),
            F.count(F.lit(1)).alias("products"),
            F.min(ranked("worth_on_first_day", "product_id")).alias("first"),
            F.min(ranked("worth", "product_id")).alias("favourite"),
            F.collect_list("last_day").alias("last_days"),
        )
    )
    return per_category.groupBy("customer_id").agg(
        F.sum("products").cast("int").alias("product_count"),
        F.min("first")["product_id"].alias("first_item"),
        F.min("favourite")["product_id"].alias("favourite_item"),
        F.when(F.sum("worth") > 0, F.max("largest") / F.sum("worth")).alias("favourite_item_share"),
        F.sort_array(F.flatten(F.collect_list("last_days"))).alias("products_last_bought"),
        F.nullif(F.count("category").cast("int"), F.lit(0)).alias("category_count"),
        F.min(ranked("worth", "category"))["category"].alias("favourite_category"),
    )


def _per_product(bought: DataFrame) -> DataFrame:
    """One row per customer and product, by numbers alone, which Spark adds up in hash tables, without putting lines in order."""
    worth = F.coalesce(units("amount"), F.lit(UNITS))
    lines = bought.select("customer_id", "product_id", "order_day", worth.alias("worth"))
    # Of the lines as they lie, so that all that moves for it is a row a customer and part.
    first_days = lines.groupBy("customer_id").agg(F.min("order_day").alias("first_day"))
    is_first = F.col("order_day") == F.col("first_day")
    return (
        lines.repartition("customer_id")
        .join(first_days.hint("shuffle_hash"), "customer_id", "inner")
        .groupBy("customer_id", "product_id")
        .agg(
            F.sum("worth").alias("worth"),
            F.sum(F.when(is_first, F.col("worth"))).alias("worth_on_first_day"),
            F.max("order_day").alias("last_day"),
        )
    )


def _with_category(per_product: DataFrame, products: DataFrame | None) -> DataFrame:
    if products is None:
        return per_product.withColumn("category", F.lit(None).cast("string"))
    return per_product.join(products.select("product_id", "category"), "product_id", "left")


def ranked(worth: str, item: str) -> Column:
    """A struct whose least is the item of the largest worth, of several the smallest; NULL, which `min` passes over, without
    one of them."""
    rank = F.struct((-F.col(worth)).alias("minus_worth"), item)
    return F.when(F.col(worth).isNotNull() & F.col(item).isNotNull(), rank)


TABLE = Table(
    name="customer_history",
    grain="One row per as-of and customer with an order known before it.",
    key=("as_of", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("customer_id", "string", "The customer."),
            column("first_order_day", "date", "Shop-local day of the first order."),
            column("last_order_day", "date", "Shop-local day of the last order."),
            column("first_purchase_day", "date", "First day with a positive net amount.", nullable=True),
            column("last_purchase_day", "date", "Last day with a positive net amount.", nullable=True),
            column("order_count", "int", "Orders."),
            column(
                "purchase_day_count", "int", "Days with a positive net amount; any order's, where there are no amounts."
            ),
            column("amount", "decimal(18,4)", "Net amount of all orders.", nullable=True),
            column("discount", "decimal(18,4)", "Discounts of all orders.", nullable=True),
            column("coupon_discount", "decimal(18,4)", "Discounts by coupon of all orders.", nullable=True),
            column("item_count", "decimal(18,4)", "Units of all orders.", nullable=True),
            column("purchase_days", PURCHASE_DAYS, "The purchase days in order, with what was spent on each."),
            column("gaps_days", "array<int>", "Whole days between successive purchase days, in order."),
            column("gap_count", "int", "Complete gaps."),
            column("gap_mean_days", "double", "Mean gap, days.", nullable=True),
            column("gap_median_days", "double", "Median gap, days.", nullable=True),
            column("gap_log_mean", "double", "Mean natural logarithm of the gaps in days.", nullable=True),
            column("gap_log_squares", "double", "Sum of squares of the log gaps about their mean.", nullable=True),
            column(
                "regularity", "double", "1 - 4 (g1 / (g1 + g2) - 1/2)^2 of the last two gaps: 1 is even.", nullable=True
            ),
            column("product_count", "int", "Distinct products bought.", nullable=True),
            column(
                "first_item",
                "string",
                "Product of the largest amount, before returns, on the first day on which one was bought.",
                nullable=True,
            ),
            column("favourite_item", "string", "Product of the largest amount overall.", nullable=True),
            column(
                "favourite_item_share", "double", "Its share of what the customer's products cost, 0-1.", nullable=True
            ),
            column("products_last_bought", "array<date>", "Last day of each product bought, in order.", nullable=True),
            column("category_count", "int", "Distinct categories bought.", nullable=True),
            column("favourite_category", "string", "Category of the largest amount.", nullable=True),
            column("favourite_channel", "string", "Channel of most orders, ties to the first by name.", nullable=True),
        ]
    ),
    checks={
        "gaps_between_purchases": "gap_count = greatest(purchase_day_count - 1, 0)",
        "purchases_are_orders": "purchase_day_count <= order_count",
    },
    build=build,
)
