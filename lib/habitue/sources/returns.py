"""Which order a return belongs to, where the return came under an order id of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from habitue.exact import units


def is_return() -> Column:
    """A line that takes something back: a negative quantity or amount."""
    return (F.coalesce(F.col("quantity"), F.lit(0)) < 0) | (F.coalesce(F.col("amount"), F.lit(0)) < 0)


def matched_returns(lines: DataFrame) -> DataFrame:
    """The returns whose purchase is found: (line_id, matched_order_id).

    lines: line_id, order_id, customer_id, product_id, quantity, amount, known_at. A return whose own order holds purchases needs
    no match. Another is matched, in the order things became known, with the newest earlier purchase of the same
    customer and product of which the same quantity is left, else the newest of which at least so much is left (a
    partial return). Where there are no quantities, amounts stand in for them.
    """
    returns = lines.where(is_return())
    purchases = lines.where(~is_return())
    # Only what was known by then counts: an order id that is used again later changes no earlier match.
    first_known = (
        purchases.join(F.broadcast(returns.select("order_id").distinct()), "order_id", "left_semi")
        .groupBy("order_id")
        .agg(F.min("known_at").alias("purchase_known_at"))
    )
    is_alone = F.col("purchase_known_at").isNull() | (F.col("purchase_known_at") > F.col("known_at"))
    alone = returns.join(first_known, "order_id", "left").where(is_alone)
    pair = ["customer_id", "product_key"]
    wanted = alone.select(*_keyed(alone), F.lit(True).alias("is_return"))
    candidates = purchases.select(*_keyed(purchases), F.lit(False).alias("is_return")).join(
        F.broadcast(wanted.select(*pair).distinct()), pair, "left_semi"
    )
    return (
        candidates.unionByName(wanted)
        .groupBy(*pair)
        .applyInPandas(_matcher(), "line_id string, matched_order_id string")
    )


def _keyed(lines: DataFrame) -> list[Column]:
    size = F.abs(units(F.coalesce(F.when(F.col("quantity") != 0, F.col("quantity")), F.col("amount"))))
    return [
        F.col("line_id"),
        F.col("order_id"),
        F.col("customer_id"),
        F.coalesce("product_id", F.lit("")).alias("product_key"),
        F.unix_micros("known_at").alias("known_micros"),
        size.alias("size"),
    ]


def _matcher() -> Any:
    """The matching of one customer's and product's lines, as a closure: executors need not have Habitué installed."""

    def match(lines: pd.DataFrame) -> pd.DataFrame:
        ordered = lines.sort_values(["known_micros", "is_return", "line_id"])
        open_purchases: list[list[Any]] = []  # [order id, quantity left], oldest first
        found: list[tuple[str, str]] = []

        def newest(fits: Any) -> list[Any] | None:
            matching: Iterator[list[Any]] = (p for p in reversed(open_purchases) if fits(p[1]))
            return next(matching, None)

        for line in ordered.itertuples():
            if not line.is_return:
                open_purchases.append([line.order_id, line.size])
                continue
            size = line.size
            purchase = newest(lambda left, size=size: left == size) or newest(lambda left, size=size: left > size)
            if purchase is not None:
                purchase[1] -= size
                found.append((line.line_id, purchase[0]))
        pairs: pd.DataFrame = pd.DataFrame(found, columns=["line_id", "matched_order_id"])
        return pairs

    return match
