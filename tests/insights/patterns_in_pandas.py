"""purchase_patterns by brute force: every row of every dimension, in pandas from the order lines."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
from insight_shops import Tables, net_days, pandas_of, segment_of, with_everyone

KEYS = ["segment_id", "dimension", "value", "position"]
AMOUNTS = [step * 10**power for power in range(9) for step in (1, 2, 5)]
SIZES = [1, 2, 3, 4, 5, 6, 11, 21, 51, 101]
SIZE_NAMES = ["under 1", "1", "2", "3", "4", "5", "6-10", "11-20", "21-50", "51-100", "101 or more"]
PARTS = ["night 0-5", "morning 6-11", "afternoon 12-17", "evening 18-23"]


def patterns_in_pandas(tables: Tables) -> pd.DataFrame:
    """KEYS and the figures of the table; those that a dimension has not are NaN."""
    lines = tables.lines[tables.lines["day"] < tables.as_of]
    days = observed_days(lines, tables)
    orders = orders_of(lines, tables)
    rows = [of_month(orders, days), *of_time(orders), *of_baskets(orders), *quantiles(orders)]
    if "product_id" in lines:
        named = lines.merge(pandas_of(tables.products), on="product_id", how="left")
        named = with_everyone(named.assign(segment_id=named["customer_id"].map(segment_of(tables))))
        top = tables.config.insights.top_values
        rows += [of_lines(named, d, c, top) for d, c in (("item", "product_id"), ("category", "category"))]
        rows += [of_lines(named, "brand", "brand", top), of_category_months(named, days, top), new_items(lines, tables)]
    return pd.concat(rows, ignore_index=True)


def observed_days(lines: pd.DataFrame, tables: Tables) -> Counter[int]:
    """How many days of each month of the year lie between the first order and the as-of."""
    first = lines["day"].min()
    return Counter((first + timedelta(days=i)).month for i in range((tables.as_of - first).days))


def orders_of(lines: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """One row an order of a customer with a purchase day; and all of them again as segment 0."""
    sums = {"day": ("day", "min"), "amount": ("amount", "sum"), "size": ("quantity", "sum")}
    optional = {"at": "min", "discount": "sum", "channel": "first"}
    known = {name: (name, how) for name, how in optional.items() if name in lines}
    grouped = lines.groupby("order_id")
    orders = grouped.agg(customer_id=("customer_id", "first"), lines=("customer_id", "size"), **sums, **known)
    orders["segment_id"] = orders["customer_id"].map(segment_of(tables))
    return with_everyone(orders[orders["segment_id"].notna()])


def of_orders(orders: pd.DataFrame, dimension: str, value: pd.Series, position: pd.Series | int = 0) -> pd.DataFrame:
    rows = orders.assign(dimension=dimension, value=value, position=position)
    found = rows.groupby(KEYS, as_index=False).agg(
        orders=("lines", "size"), lines=("lines", "sum"), revenue=("amount", "sum")
    )
    return with_shares(found, "orders")


def with_shares(found: pd.DataFrame, weight: str) -> pd.DataFrame:
    """share of the segment's weight, and lift: that share against everyone's of the same value."""
    weights = found[weight].astype(float)
    share = weights / weights.groupby(found["segment_id"]).transform("sum")
    everyone = found["segment_id"] == 0
    of_everyone = dict(zip(found.loc[everyone, "value"], share[everyone], strict=True))
    return found.assign(share=share, lift=share / found["value"].map(of_everyone))


def of_month(orders: pd.DataFrame, days: Counter[int]) -> pd.DataFrame:
    month = orders["day"].map(lambda d: d.month)
    found = of_orders(orders, "month", month.map("{:02}".format), month)
    a_day = found["orders"] / found["position"].map(days)
    whole = found.groupby("segment_id")["orders"].transform("sum") / days.total()
    return found.assign(season_index=a_day / whole)


def of_time(orders: pd.DataFrame) -> list[pd.DataFrame]:
    weekday = orders["day"].map(lambda d: d.isoweekday())
    found = [of_orders(orders, "weekday", orders["day"].map("{:%A}".format), weekday)]
    if "at" in orders:
        hour = orders["at"].dt.hour
        found.append(of_orders(orders, "hour", hour.map("{:02}".format), hour))
        found.append(of_orders(orders, "part_of_day", (hour // 6).map(lambda part: PARTS[part]), hour // 6))
    return found


def of_baskets(orders: pd.DataFrame) -> list[pd.DataFrame]:
    """Their value, their size and, where the shop knows them, channel and discount."""
    value = orders["amount"].map(lambda a: 0 if a <= 0 else 1 + bisect_right(AMOUNTS, a))
    size = orders["size"].map(lambda s: bisect_right(SIZES, s))
    found = [
        of_orders(orders, "basket_value", value.map(amount_name), value),
        of_orders(orders, "basket_size", size.map(lambda place: SIZE_NAMES[place]), size),
    ]
    if "channel" in orders:
        found.append(of_orders(orders, "channel", orders["channel"]))
    if "discount" in orders:
        given = (orders["discount"] > 0).astype(int)
        rows = of_orders(orders, "discount", given.map({1: "with discount", 0: "without discount"}), given)
        taken_off = orders.groupby(["segment_id", given])["discount"].sum().astype(float)
        off = [taken_off[key] for key in zip(rows["segment_id"], rows["position"], strict=True)]
        found.append(rows.assign(level=off / (rows["revenue"].astype(float) + off)))
    return found


def amount_name(place: int) -> str:
    return ["0 or less", "under 1", *(f"{low} to {high}" for low, high in pairwise(AMOUNTS))][place]


def quantiles(orders: pd.DataFrame) -> list[pd.DataFrame]:
    return [
        pd.DataFrame(
            {"segment_id": segment, "dimension": f"{name}_quantile", "value": f"p{q}", "position": q, "level": level}
            for q in (10, 25, 50, 75, 90)
            for level in [np.quantile(part[column].astype(float), q / 100)]
        )
        for segment, part in orders.groupby("segment_id")
        for name, column in (("basket_value", "amount"), ("basket_size", "size"))
    ]


def of_lines(lines: pd.DataFrame, dimension: str, column: str, top: int) -> pd.DataFrame:
    """The `top` values of the largest net amount of each segment; the rest as one, which has no lift."""
    rows = lines.assign(value=lines[column].fillna("(unknown)"))
    sums = rows.groupby(["segment_id", "value"], as_index=False).agg(
        lines=("amount", "size"), revenue=("amount", "sum")
    )
    found = []
    for _, part in with_shares(sums, "revenue").groupby("segment_id"):
        ranked = part.sort_values(["revenue", "value"], ascending=[False, True])
        ranked = ranked.assign(position=range(1, len(ranked) + 1))
        named, rest = ranked.head(top), ranked.iloc[top:]
        other = rest.assign(value="(other)", position=top + 1, lift=np.nan)
        pooled = other.groupby(["segment_id", "value", "position"], as_index=False).agg(
            {"lines": "sum", "revenue": "sum", "share": "sum", "lift": "first"}
        )
        found.append(pd.concat([named, pooled] if len(rest) else [named]))
    return pd.concat(found).assign(dimension=dimension)


def of_category_months(lines: pd.DataFrame, days: Counter[int], top: int) -> pd.DataFrame:
    """When in the year the largest categories of each segment are bought."""
    rows = lines[lines["category"].notna()]
    rows = rows.assign(value=rows["category"], position=rows["day"].map(lambda d: d.month))
    sums = rows.groupby(["segment_id", "value", "position"], as_index=False).agg(
        lines=("amount", "size"), revenue=("amount", "sum")
    )
    whole = sums.groupby(["segment_id", "value"])["revenue"].transform("sum").astype(float)
    sums["share"] = sums["revenue"].astype(float) / whole
    sums["season_index"] = (sums["revenue"].astype(float) / sums["position"].map(days)) / (whole / days.total())
    size = sums.assign(whole=whole).drop_duplicates(["segment_id", "value"])
    largest = size.sort_values(["segment_id", "whole", "value"], ascending=[True, False, True])
    kept = largest.groupby("segment_id").head(top)[["segment_id", "value"]]
    return sums.merge(kept, on=["segment_id", "value"]).assign(dimension="category_month")


def new_items(lines: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """A walk through each customer's days: of what it buys after the first purchase day, what it had never bought."""
    days = net_days(tables)
    first = days[days["is_purchase"]].groupby("customer_id")["day"].min()
    segments = segment_of(tables)
    new: Counter[int] = Counter()
    bought: Counter[int] = Counter()
    for customer, own in lines[lines["customer_id"].isin(first.index)].groupby("customer_id"):
        known: set[str] = set()
        for day, part in own.groupby("day"):
            products = set(part["product_id"])
            if day > first[customer]:
                for segment in (0, segments[customer]):
                    new[segment] += len(products - known)
                    bought[segment] += len(products)
            known |= products
    return pd.DataFrame(
        {
            "segment_id": list(bought),
            "dimension": "new_items",
            "value": "after the first purchase day",
            "position": 0,
            "level": [new[segment] / bought[segment] for segment in bought],
        }
    )
