"""The lines of the orders, cleaned, with returns put to the orders they belong to."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.sources.cleaning import is_kept
from habitue.sources.returns import is_return, matched_returns
from habitue.table import Table, column


def build(judged_orders: DataFrame) -> DataFrame:
    kept = judged_orders.where(is_kept()).withColumn("line_id", F.concat_ws("-", "order_id", "line_number"))
    matched = matched_returns(kept)
    placed = kept.join(matched, "line_id", "left")
    return placed.select(
        "line_id",
        F.coalesce("matched_order_id", "order_id").alias("order_id"),
        "customer_id",
        "ordered_at",
        F.col("ordered_at_day").alias("order_day"),
        F.col("known_at_day").alias("known_day"),
        "product_id",
        "quantity",
        "amount",
        "discount",
        "coupon_discount",
        F.col("matched_order_id").isNotNull().alias("is_reconciled"),
        is_return().alias("is_return"),
        "channel",
        "currency",
    )


TABLE = Table(
    name="order_lines",
    grain="One row per distinct line of an order; a return is a line of the order it belongs to.",
    key=("line_id",),
    known_by="known_day",
    schema=StructType(
        [
            column("line_id", "string", "Order id as it came, and the line's number in the order it became known."),
            column("order_id", "string", "The order; for a reconciled return, the order that it takes back."),
            column("customer_id", "string", "The customer."),
            column("ordered_at", "timestamp", "When this line was ordered or returned, UTC."),
            column("order_day", "date", "The same as a shop-local date."),
            column("known_day", "date", "Shop-local date from which the line was known."),
            column("product_id", "string", "The product; NULL where orders do not name products.", nullable=True),
            column("quantity", "decimal(18,4)", "Units; negative for returns.", nullable=True),
            column(
                "amount", "decimal(18,4)", "Net amount in the shop's currency; negative for returns.", nullable=True
            ),
            column(
                "discount",
                "decimal(18,4)",
                "Discount given on the line; 0 where blank, NULL where there are none.",
                nullable=True,
            ),
            column(
                "coupon_discount",
                "decimal(18,4)",
                "Discount by coupon; 0 where blank, NULL where there are none.",
                nullable=True,
            ),
            column("is_reconciled", "boolean", "A return that was matched to an order of another id."),
            column("is_return", "boolean", "The line takes something back."),
            column("channel", "string", "Sales channel.", nullable=True),
            column("currency", "string", "ISO 4217 code of the amounts.", nullable=True),
        ]
    ),
    checks={"known_when_ordered_or_later": "known_day >= order_day"},
    build=build,
)
