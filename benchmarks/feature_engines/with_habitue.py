"""The features by Habitué's own builds: orders, then customer_history, then customer_features, each table written.

All columns of the tables are computed, not the compared ones alone.
"""

from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from habitue.config import resolve
from habitue.session import get_session
from habitue.tables.clean import orders
from habitue.tables.features import customer_features, customer_history

ABSENT = {
    "discount": "decimal(18,4)",
    "coupon_discount": "decimal(18,4)",
    "channel": "string",
    "currency": "string",
}


def compute(lines: Path, result: Path, as_of: date) -> None:
    config = resolve().config
    spark = get_session(config.spark)
    known = order_lines(spark.read.parquet(str(lines)), as_of)
    orders_path, history_path, features_path = (
        f"{result.with_suffix('')}-{name}" for name in ("orders", "history", "features")
    )
    orders.build(known).write.parquet(orders_path)
    history = customer_history.build(spark.read.parquet(orders_path), known, as_of)
    history.select(*customer_history.TABLE.columns).write.parquet(history_path)
    features = customer_features.build(spark.read.parquet(history_path), as_of, config.features, config.loyal)
    features.write.parquet(features_path)
    _compared(spark.read.parquet(history_path), spark.read.parquet(features_path)).write.parquet(str(result))


def order_lines(lines: DataFrame, as_of: date) -> DataFrame:
    """The lines with all columns of the table order_lines."""
    return lines.where(F.col("order_day") < F.lit(as_of)).select(
        F.concat_ws("-", "order_id", "product_id").alias("line_id"),
        "order_id",
        "customer_id",
        "ordered_at",
        "order_day",
        F.col("order_day").alias("known_day"),
        "product_id",
        F.col("quantity").cast("decimal(18,4)").alias("quantity"),
        "amount",
        *(F.lit(None).cast(kind).alias(name) for name, kind in ABSENT.items()),
        F.lit(False).alias("is_reconciled"),
        F.lit(False).alias("is_return"),
    )


def _compared(history: DataFrame, features: DataFrame) -> DataFrame:
    """The features that the other engines compute too: the two tables side by side."""
    shared = ["as_of", *(c for c in features.columns if c in history.columns and c != "customer_id")]
    both = history.join(features.drop(*shared), "customer_id", "inner")
    return both.withColumns({"first_day": F.col("first_purchase_day"), "last_day": F.col("last_purchase_day")}).drop(
        "purchase_days", "gaps_days", "products_last_bought", "numeric_attributes", "text_attributes"
    )
