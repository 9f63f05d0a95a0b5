"""The orders: their lines added up, returns taken off."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.exact import from_units, units
from habitue.table import Table, column


def build(order_lines: DataFrame) -> DataFrame:
    def total(name: str) -> Column:
        return from_units(F.sum(units(name))).alias(name)

    return order_lines.groupBy("order_id").agg(
        F.min("customer_id").alias("customer_id"),
        F.min("ordered_at").alias("ordered_at"),
        F.min("order_day").alias("order_day"),
        F.min("known_day").alias("known_day"),
        total("amount"),
        total("discount"),
        total("coupon_discount"),
        F.count(F.lit(1)).cast("int").alias("line_count"),
        from_units(F.sum(units("quantity"))).alias("item_count"),
        F.min_by("channel", F.when(F.col("channel").isNotNull(), F.col("line_id"))).alias("channel"),
        F.min("currency").alias("currency"),
    )


SCHEMA = StructType(
    [
        column("order_id", "string", "The order."),
        column("customer_id", "string", "Who ordered."),
        column("ordered_at", "timestamp", "When it was ordered, UTC."),
        column("order_day", "date", "The same as a shop-local date."),
        column("known_day", "date", "Shop-local date from which the order was known."),
        column("amount", "decimal(18,4)", "Net amount less returns; NULL where the source has none.", nullable=True),
        column("discount", "decimal(18,4)", "Discounts of its lines.", nullable=True),
        column("coupon_discount", "decimal(18,4)", "Discounts by coupon of its lines.", nullable=True),
        column("line_count", "int", "Lines, with those of returns."),
        column(
            "item_count",
            "decimal(18,4)",
            "Units less returned ones; NULL where there are no quantities.",
            nullable=True,
        ),
        column("channel", "string", "Sales channel of the first line that names one.", nullable=True),
        column("currency", "string", "ISO 4217 code of the amount.", nullable=True),
    ]
)

TABLE = Table(
    name="orders",
    grain="One row per order.",
    key=("order_id",),
    known_by="known_day",
    schema=SCHEMA,
    checks={"has_lines": "line_count >= 1", "known_when_ordered_or_later": "known_day >= order_day"},
    build=build,
)
