"""The features in Polars, lazily and streaming."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl


def compute(lines: Path, result: Path, as_of: date) -> None:
    known = pl.scan_parquet(lines / "*.parquet").filter(pl.col("order_day") < as_of)
    customers = _customers(_days(known), as_of).join(_items(known, as_of), on="customer_id")
    customers.sink_parquet(result, engine="streaming")


def _days(lines: pl.LazyFrame) -> pl.LazyFrame:
    orders = lines.group_by("order_id").agg(
        pl.col("customer_id").first(), pl.col("order_day").min().alias("day"), pl.col("amount").sum()
    )
    return orders.group_by("customer_id", "day").agg(pl.len().alias("orders"), pl.col("amount").sum())


def _customers(days: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    windows = []
    for window in (7, 30, 90, 365):
        inside = pl.col("day") >= as_of - timedelta(days=window)
        windows.append(inside.sum().alias(f"purchase_days_{window}d"))
        windows.append(pl.col("amount").filter(inside).sum().alias(f"amount_{window}d"))
    gaps = pl.col("day").sort().diff().drop_nulls().dt.total_days()
    return days.group_by("customer_id").agg(
        pl.col("orders").sum().alias("order_count"),
        pl.col("day").min().alias("first_day"),
        pl.col("day").max().alias("last_day"),
        pl.col("amount").sum(),
        *windows,
        (pl.len() - 1).alias("gap_count"),
        gaps.mean().alias("gap_mean_days"),
        gaps.median().alias("gap_median_days"),
    )


def _items(lines: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    products = lines.group_by("customer_id", "product_id").agg(
        pl.col("amount").sum().alias("worth"), pl.col("order_day").max().alias("last_day")
    )
    is_best = pl.col("worth") == pl.col("worth").max()
    return products.group_by("customer_id").agg(
        pl.len().alias("product_count"),
        (pl.col("last_day") >= as_of - timedelta(days=365)).sum().alias("breadth"),
        pl.col("product_id").filter(is_best).min().alias("favourite_item"),
    )
