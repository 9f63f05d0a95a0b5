"""Every customer's order days as they were known on each of several snapshot days, from one pass over the order lines.

A line is worth nothing before the first snapshot day after its `known_day`, its `known_from`; so lines are added up by
customer, day and known_from once, whatever the number of snapshots. An order's day is that of its first known lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from habitue.exact import UNITS, units
from habitue.tables.features.customer_history import ranked

ORDER_MEASURES = (  # of a customer's day; amounts and quantities in whole ten-thousandths, NULL where the shop has none
    "order_count",
    "coupon_order_count",
    "line_count",
    "quantity",
    "amount",
    "discount",
)
MEASURES = (*ORDER_MEASURES, "product_count", "new_product_count", "new_category_count")
DAY_PLACES = 1_000_000  # more than any number of days since 1970: two days in one whole number, compared in order


def known_from(known_day: Column, days: Sequence[date]) -> Column:
    """The first of the snapshot days on which something known on known_day counts; NULL where none does."""
    return F.coalesce(*(F.when(known_day < F.lit(day), F.lit(day)) for day in sorted(days)), F.lit(None).cast("date"))


def known_lines(order_lines: DataFrame, days: Sequence[date]) -> DataFrame:
    """The lines that count on a snapshot day, set out by customer: every later grouping is within a customer."""
    lines = order_lines.withColumn("known_from", known_from(F.col("known_day"), days))
    return lines.where(F.col("known_from").isNotNull()).repartition("customer_id")


def order_days(lines: DataFrame) -> DataFrame:
    """customer_days without the measures of products: enough for counts of purchase days, and cheaper."""
    return _versions(_orders(lines), ORDER_MEASURES)


def customer_days(lines: DataFrame, products: DataFrame | None = None) -> DataFrame:
    """One row per customer, day and version of it: MEASURES, valid from `known_from` until before `known_until`.

    lines: of known_lines. A version replaces the one before, as when a return became known.
    """
    return _versions(_orders(lines).unionByName(_items(lines, products), allowMissingColumns=True), MEASURES)


def _versions(events: DataFrame, measures: Sequence[str]) -> DataFrame:
    changes = events.groupBy("customer_id", "day", "known_from").agg(*(F.sum(name).alias(name) for name in measures))
    versions = Window.partitionBy("customer_id", "day").orderBy("known_from")
    so_far = versions.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return changes.select(
        "customer_id",
        "day",
        "known_from",
        F.lead("known_from").over(versions).alias("known_until"),
        *(F.sum(name).over(so_far).alias(name) for name in measures),
    )


def purchase_days(versions: DataFrame) -> DataFrame:
    """The versions in which the day is a purchase day: with a positive net amount, or any order without amounts."""
    return versions.where((F.col("order_count") > 0) & F.coalesce(F.col("amount") > 0, F.lit(True)))


def _orders(lines: DataFrame) -> DataFrame:
    per_order = lines.groupBy("customer_id", "order_id", "known_from").agg(
        F.min("order_day").alias("first_day"),
        F.count_if(~F.col("is_return")).alias("line_count"),
        F.sum(units("quantity")).alias("quantity"),
        F.sum(units("amount")).alias("amount"),
        F.sum(units("discount")).alias("discount"),
        F.sum(units("coupon_discount")).alias("coupon_discount"),
    )
    known = Window.partitionBy("customer_id", "order_id").orderBy("known_from")
    is_first = F.row_number().over(known) == 1
    uses_coupon = (F.col("coupon_discount") != 0).cast("bigint")
    return per_order.select(
        "customer_id",
        F.first("first_day").over(known).alias("day"),
        "known_from",
        is_first.cast("bigint").alias("order_count"),
        F.when(is_first, uses_coupon).alias("coupon_order_count"),
        "line_count",
        "quantity",
        "amount",
        "discount",
    )


def _items(lines: DataFrame, products: DataFrame | None) -> DataFrame:
    """How many products were bought on each day, and how many of them, and of the categories, for the first time."""
    per_day = bought(lines).groupBy("customer_id", "product_id", "day").agg(F.min("known_from").alias("known_from"))
    counts = _counted(per_day, "product_count")
    firsts = _firsts(per_day, "product_id")
    items = counts.unionByName(_counted(firsts, "new_product_count"), allowMissingColumns=True)
    if products is None:
        return items.withColumn("new_category_count", F.lit(None).cast("bigint"))
    in_categories = firsts.join(_categories(products), "product_id", "inner")
    categories = _counted(_firsts(in_categories, "category"), "new_category_count")
    return items.unionByName(categories, allowMissingColumns=True)


def bought(lines: DataFrame) -> DataFrame:
    """The lines that name a product and take nothing back, with `worth`: the amount, or 1 where there is none."""
    named = lines.where(F.col("product_id").isNotNull() & ~F.col("is_return"))
    worth = F.coalesce(units("amount"), F.lit(UNITS))
    return named.select(
        "customer_id", "product_id", F.col("order_day").alias("day"), "known_from", worth.alias("worth")
    )


def _firsts(per_day: DataFrame, item: str) -> DataFrame:
    """The day on which the customer's first known purchase of each item was."""
    # Spark sorts for the least of structs, and hashes for the least of numbers.
    both = F.unix_date("known_from").cast("bigint") * DAY_PLACES + F.unix_date("day")
    firsts = per_day.groupBy("customer_id", item).agg(F.min(both).alias("first"))
    known, day = F.expr(f"first div {DAY_PLACES}"), F.col("first") % DAY_PLACES
    return firsts.select(
        "customer_id",
        item,
        F.date_from_unix_date(day.cast("int")).alias("day"),
        F.date_from_unix_date(known.cast("int")).alias("known_from"),
    )


def _counted(rows: DataFrame, name: str) -> DataFrame:
    return rows.groupBy("customer_id", "day", "known_from").agg(F.count(F.lit(1)).alias(name))


def _categories(products: DataFrame) -> DataFrame:
    return products.where(F.col("category").isNotNull()).select("product_id", "category")


def known_favourites(worths: DataFrame, item: str, snapshots: DataFrame) -> DataFrame:
    """snapshot_on, customer_id and the item of the largest worth known by then; ties go to the smaller name.

    worths: customer_id, the item, known_from, worth. snapshots: snapshot_on, one row a day.
    """
    changes = worths.where(F.col(item).isNotNull()).groupBy("customer_id", item, "known_from").agg(
        F.sum("worth").alias("worth")
    )  # fmt: skip
    counting = changes.join(F.broadcast(snapshots), F.col("known_from") <= F.col("snapshot_on"), "inner")
    totals = counting.groupBy("customer_id", "snapshot_on", item).agg(F.sum("worth").alias("worth"))
    largest = F.min(ranked("worth", item))[item]
    return totals.groupBy("customer_id", "snapshot_on").agg(largest.alias(f"favourite_{item}"))


def favourite_category(lines: DataFrame, products: DataFrame, snapshots: DataFrame) -> DataFrame:
    per_product = bought(lines).groupBy("customer_id", "product_id", "known_from").agg(F.sum("worth").alias("worth"))
    return known_favourites(per_product.join(_categories(products), "product_id", "inner"), "category", snapshots)


def favourite_channel(lines: DataFrame, snapshots: DataFrame) -> DataFrame:
    """By lines bought, not by orders: near enough, and one grouping less."""
    counted = lines.where(~F.col("is_return")).groupBy("customer_id", "channel", "known_from")
    return known_favourites(counted.agg(F.count(F.lit(1)).alias("worth")), "channel", snapshots)


def first_category(lines: DataFrame, products: DataFrame) -> DataFrame:
    """customer_id, first_category, first_known_from: of the largest worth among what was first known, on its first day."""
    in_categories = bought(lines).join(_categories(products), "product_id", "inner")
    per_category = in_categories.groupBy("customer_id", "known_from", "day", "category").agg(
        F.sum("worth").alias("worth")
    )
    first = F.min(F.struct("known_from", "day", (-F.col("worth")).alias("minus_worth"), "category"))
    firsts = per_category.groupBy("customer_id").agg(first.alias("first"))
    return firsts.select(
        "customer_id", F.col("first.category").alias("first_category"), F.col("first.known_from").alias("category_from")
    )
