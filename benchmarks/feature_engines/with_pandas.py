"""The features in pandas: the columns that are needed, and whole numbers for amounts (pandas has no decimals)."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

UNITS = 10_000


def compute(lines: Path, result: Path, as_of: date) -> None:
    known = _read(lines, as_of)
    customers = _customers(_days(known), as_of).join(_items(known, as_of))
    customers.reset_index().to_parquet(result, index=False)


def _read(lines: Path, as_of: date) -> pd.DataFrame:
    columns = ["customer_id", "order_id", "product_id", "order_day", "amount"]
    table = pq.read_table(lines, columns=columns, filters=[("order_day", "<", as_of)])
    # decimal(18,4) to whole ten-thousandths, and dates to numpy's, without a Python object a row.
    units = pc.multiply(table["amount"], pa.scalar(Decimal(UNITS))).cast(pa.int64())
    days = table["order_day"].cast(pa.timestamp("s"))
    known: pd.DataFrame = table.set_column(4, "amount", units).set_column(3, "order_day", days).to_pandas()
    return known


def _days(lines: pd.DataFrame) -> pd.DataFrame:
    orders = lines.groupby("order_id", sort=False).agg(
        customer_id=("customer_id", "first"), day=("order_day", "min"), amount=("amount", "sum")
    )
    days = orders.groupby(["customer_id", "day"]).agg(orders=("amount", "size"), amount=("amount", "sum"))
    ordered: pd.DataFrame = days.reset_index()  # by customer and day
    return ordered


def _customers(days: pd.DataFrame, as_of: date) -> pd.DataFrame:
    days["gap"] = days.groupby("customer_id")["day"].diff().dt.days
    summed: dict[str, tuple[str, str]] = {}
    for window in (7, 30, 90, 365):
        inside = days["day"] >= pd.Timestamp(as_of - timedelta(days=window))
        days[f"purchase_days_{window}d"] = inside.astype("int32")
        days[f"amount_{window}d"] = days["amount"].where(inside, 0)
        summed |= {name: (name, "sum") for name in (f"purchase_days_{window}d", f"amount_{window}d")}
    customers: pd.DataFrame = days.groupby("customer_id").agg(
        order_count=("orders", "sum"),
        first_day=("day", "min"),
        last_day=("day", "max"),
        amount=("amount", "sum"),
        **summed,
        gap_count=("gap", "count"),
        gap_mean_days=("gap", "mean"),
        gap_median_days=("gap", "median"),
    )
    amounts = ["amount", *(name for name in summed if name.startswith("amount"))]
    customers[amounts] = customers[amounts] / UNITS
    return customers


def _items(lines: pd.DataFrame, as_of: date) -> pd.DataFrame:
    products = lines.groupby(["customer_id", "product_id"], sort=False, as_index=False).agg(
        worth=("amount", "sum"), last_day=("order_day", "max")
    )
    products["is_recent"] = products["last_day"] >= pd.Timestamp(as_of - timedelta(days=365))
    best = products.sort_values(["worth", "product_id"], ascending=[False, True]).drop_duplicates("customer_id")
    items: pd.DataFrame = products.groupby("customer_id").agg(
        product_count=("product_id", "size"), breadth=("is_recent", "sum")
    )
    items["favourite_item"] = best.set_index("customer_id")["product_id"]
    return items
