"""Shops to test insights on: real ones as pandas, and any shop's tables up to the features, as the run makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from habitue.config import Config, resolve
from habitue.errors import NotApplicable
from habitue.table import Table
from habitue.tables.clean import order_lines, products
from habitue.tables.features import _work_known_orders, customer_features, customer_history
from habitue.tables.insights import _work_customer_items

DATA = Path(__file__).parents[2] / ".data"
CDNOW = DATA / "cdnow" / "CDNOW_master.txt"
TRANSACTIONS = DATA / "completejourney" / "transactions.parquet"


@dataclass(frozen=True)
class Tables:
    """What the tables of insights read, as of `as_of`; `lines` are the same order lines in pandas."""

    lines: pd.DataFrame
    as_of: date
    config: Config
    order_lines: DataFrame
    orders: DataFrame
    history: DataFrame
    features: DataFrame
    members: DataFrame
    products: DataFrame | None
    items: DataFrame | None


def settings(**insights: Any) -> Config:
    return resolve(overrides={"insights": insights}).config


def cdnow(customers: int) -> pd.DataFrame:
    """customer_id, day, amount of every n-th customer: one row an order, some of amount 0, no products."""
    rows = pd.read_csv(CDNOW, sep=r"\s+", dtype={"customer_id": str})
    ids = sorted(rows["customer_id"].unique())
    kept = rows[rows["customer_id"].isin(ids[:: len(ids) // customers][:customers])]
    days = pd.to_datetime(kept["date"].astype(str)).dt.date
    return pd.DataFrame(
        {
            "order_id": [f"O{i}" for i in kept.index],
            "customer_id": kept["customer_id"],
            "day": days,
            "amount": [Decimal(f"{x:.2f}") for x in kept["dollar_value"]],
            "quantity": [Decimal(int(x)) for x in kept["number_of_cds"]],
        }
    )


def grocer(households: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines and products of a grocery chain: every n-th household of a year, baskets of several products."""
    rows = pd.read_parquet(TRANSACTIONS)
    ids = np.sort(rows["household_id"].unique())
    kept = rows[rows["household_id"].isin(ids[:: len(ids) // households][:households])]
    lines = pd.DataFrame(
        {
            "order_id": kept["basket_id"].astype(str),
            "customer_id": kept["household_id"].astype(str),
            "at": kept["transaction_timestamp"],
            "day": kept["transaction_timestamp"].dt.date,
            "product_id": kept["product_id"].astype(str),
            "quantity": [Decimal(int(x)) for x in kept["quantity"]],
            "amount": [Decimal(f"{x:.2f}") for x in kept["sales_value"]],
            "discount": [Decimal(f"{x:.2f}") for x in kept["retail_disc"]],
            "channel": "store " + (kept["store_id"] % 3).astype(str),
        }
    )
    known = pd.read_parquet(DATA / "completejourney" / "products.parquet")
    catalogue = known[known["product_id"].isin(kept["product_id"].unique())]
    category = catalogue["product_category"].where(catalogue["product_category"].notna(), None)
    described = pd.DataFrame(
        {"product_id": catalogue["product_id"].astype(str), "category": category, "brand": catalogue["brand"]}
    )
    # A basket that runs over midnight is one order, of its first day.
    lines["day"] = lines.groupby("order_id")["day"].transform("min")
    return lines.reset_index(drop=True), described


def shop(
    spark: SparkSession,
    folder: Path,
    lines: pd.DataFrame,
    as_of: date,
    described: pd.DataFrame | None = None,
    attributes: dict[str, dict[str, str]] | None = None,
    **insights: Any,
) -> Tables:
    """Every input of the tables of insights. Needed of `lines`: customer_id, day; see `_line_rows` for the rest.

    Customers are in one of three segments by a hash (`segment_of` tells which).
    """
    config = settings(**insights)

    def kept(name: str, frame: DataFrame) -> DataFrame:
        frame.write.mode("overwrite").parquet(str(folder / name))
        return spark.read.parquet(str(folder / name))

    catalogue = _catalogue(spark, folder, described)
    _write_parquet(folder / "lines.parquet", _line_rows(lines), order_lines.TABLE.schema)
    known_lines = spark.read.parquet(str(folder / "lines.parquet"))
    known_lines = known_lines.where(F.col("known_day") < F.lit(as_of))
    orders = kept("orders", _work_known_orders.build(known_lines, as_of))
    history = kept("history", customer_history.build(orders, known_lines, as_of, catalogue))
    customers = _customers(spark, attributes)
    features = kept("features", customer_features.build(history, as_of, config.features, config.loyal, customers))
    by_id = F.pmod(F.xxhash64("customer_id"), F.lit(3)).cast("int") + 1
    members = kept("members", features.select("as_of", "customer_id", by_id.alias("segment_id")))
    try:
        items = kept("items", _work_customer_items.build(known_lines, history, as_of, catalogue))
    except NotApplicable:
        items = None
    return Tables(lines, as_of, config, known_lines, orders, history, features, members, catalogue, items)


@dataclass(frozen=True)
class Tiny:
    """A handful of orders, with as much of the tables as hand-worked cases need, made without the pipeline."""

    orders: DataFrame
    history: DataFrame
    members: DataFrame


def tiny(
    spark: SparkSession, orders: Sequence[tuple[str, date, str | None]], as_of: date, segments: dict[str, int]
) -> Tiny:
    """`orders`: customer_id, day, amount (None: the shop has none); each is an order and a day of its own."""
    known = [(c, day, None if amount is None else Decimal(amount)) for c, day, amount in orders if day < as_of]
    histories = []
    for customer in sorted({c for c, _, _ in known}):
        own = sorted((day, amount) for c, day, amount in known if c == customer)
        days = [day for day, amount in own if amount is None or amount > 0]
        amounts = [amount for _, amount in own if amount is not None]
        gaps = [(b - a).days for a, b in pairwise(days)]
        ends = (days[0], days[-1]) if days else (None, None)
        total = sum(amounts) if amounts else None
        histories.append((customer, own[0][0], *ends, len(days), total, [(day,) for day in days], gaps, len(gaps)))
    history = spark.createDataFrame(
        histories,
        "customer_id string, first_order_day date, first_purchase_day date, last_purchase_day date, "
        "purchase_day_count int, amount decimal(18,4), purchase_days array<struct<day:date>>, gaps_days array<int>, "
        "gap_count int",
    )
    members = [(h[0], segments[h[0]]) for h in histories if h[4] > 0]
    return Tiny(
        spark.createDataFrame(known, "customer_id string, order_day date, amount decimal(18,4)"),
        history,
        spark.createDataFrame(members, "customer_id string, segment_id int"),
    )


def _line_rows(lines: pd.DataFrame) -> pd.DataFrame:
    """Order lines as cleaning would write them; an order is by default a customer's day."""
    count = len(lines)
    default = lines["customer_id"] + "/" + lines["day"].astype(str)
    nothing: Sequence[Any] = [None] * count
    day = lines["day"]
    return pd.DataFrame(
        {
            "line_id": [f"L{i}" for i in range(count)],
            "order_id": lines.get("order_id", default),
            "customer_id": lines["customer_id"],
            "ordered_at": pd.to_datetime(lines.get("at", day)),
            "order_day": day,
            "known_day": lines.get("known", day),
            "product_id": lines.get("product_id", nothing),
            "quantity": lines.get("quantity", nothing),
            "amount": lines.get("amount", nothing),
            "discount": lines.get("discount", nothing),
            "coupon_discount": nothing,
            "is_reconciled": False,
            "is_return": lines.get("is_return", False),
            "channel": lines.get("channel", nothing),
            "currency": nothing,
        }
    )


def _write_parquet(path: Path, rows: pd.DataFrame, schema: StructType) -> None:
    """By pyarrow, since Spark takes many rows of Python decimals slowly."""
    types = to_arrow_schema(schema, timezone="UTC")
    columns = [pa.array(rows[f.name].astype(object).where(rows[f.name].notna(), None), type=f.type) for f in types]
    pq.write_table(pa.table(columns, names=types.names), path)


def _catalogue(spark: SparkSession, folder: Path, described: pd.DataFrame | None) -> DataFrame | None:
    if described is None:
        return None
    schema = products.TABLE.schema
    _write_parquet(folder / "products.parquet", described.reindex(columns=schema.names), schema)
    return spark.read.parquet(str(folder / "products.parquet"))


def _customers(spark: SparkSession, attributes: dict[str, dict[str, str]] | None) -> DataFrame | None:
    if attributes is None:
        return None
    rows = [
        (c, {k: v for k, v in known.items() if k != "acquisition_channel"}, known.get("acquisition_channel"))
        for c, known in attributes.items()
    ]
    return spark.createDataFrame(rows, "customer_id string, attributes map<string,string>, acquisition_channel string")


def pandas_of(frame: DataFrame) -> pd.DataFrame:
    return frame.toPandas()


def conformed(table: Table, built: DataFrame) -> pd.DataFrame:
    """The rows as the store would take them: the contract's columns, its checks true of every row, each key once."""
    rules = {f"is true: {name}": F.expr(rule) for name, rule in table.checks.items()}
    rows = pandas_of(table.conform(built).withColumns(rules))
    for name in rules:
        assert rows.pop(name).eq(True).all(), name  # of a rule that is NULL, too, Delta takes no row
    required = [field.name for field in table.schema.fields if not field.nullable]
    assert rows[required].notna().all(axis=None)
    assert not rows.duplicated(list(table.key)).any()
    return rows


def segment_of(tables: Tables) -> dict[str, int]:
    return {row["customer_id"]: row["segment_id"] for row in tables.members.collect()}


def net_days(tables: Tables) -> pd.DataFrame:
    """customer_id, day, amount, orders, is_purchase, by brute force from the lines known before as_of."""
    lines = tables.lines[tables.lines["day"] < tables.as_of]
    per_order = lines.groupby("order_id").agg(
        customer_id=("customer_id", "first"), day=("day", "min"), amount=("amount", "sum")
    )
    days = per_order.groupby(["customer_id", "day"], as_index=False).agg(
        amount=("amount", "sum"), orders=("amount", "size")
    )
    return days.assign(is_purchase=days["amount"] > 0)


def with_everyone(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with segment_id, and all of them again as segment 0."""
    return pd.concat([rows.assign(segment_id=0), rows], ignore_index=True)
