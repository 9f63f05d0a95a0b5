"""How much customers buy at a time, at which discount, and how much of it for the first time: key figures."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from habitue.report import wording
from habitue.report.parts import Figure, Shop

BASKET_DIMENSIONS = ("basket_value_quantile", "basket_size_quantile", "discount", "new_items")
_DISCOUNTED = 1  # the position of orders with a discount


def basket_figures(patterns: pd.DataFrame, shop: Shop) -> list[Figure]:
    """patterns: dimension, position, share, level of one segment or of everyone; what has no row there is left out."""
    value = _quantiles(
        patterns, "basket_value_quantile", "Value of a basket", lambda level: wording.amount(level, shop.currency)
    )
    size = _quantiles(patterns, "basket_size_quantile", "Units in a basket", _units)
    return [figure for figure in (value, size, _discounts(patterns), _new_products(patterns)) if figure is not None]


def _quantiles(patterns: pd.DataFrame, dimension: str, name: str, shown: Callable[[float], str]) -> Figure | None:
    """The median, and between what the middle half lies."""
    own = patterns[(patterns["dimension"] == dimension) & patterns["level"].notna()]
    levels = dict(zip(own["position"].astype(int), own["level"].astype(float), strict=True))
    if not {25, 50, 75} <= set(levels):
        return None
    note = f"median; half of them between {shown(levels[25])} and {shown(levels[75])}"
    return Figure(name, shown(levels[50]), note)


def _units(level: float) -> str:
    return wording.decimal(level, 0 if level.is_integer() else 1)


def _discounts(patterns: pd.DataFrame) -> Figure | None:
    rows = patterns[(patterns["dimension"] == "discount") & (patterns["position"] == _DISCOUNTED)]
    if rows.empty:
        return None
    row = rows.iloc[0]
    depth = "" if wording.is_missing(row["level"]) else f"{wording.share(row['level'])} of their price taken off"
    return Figure("Orders with a discount", wording.share(row["share"]), depth)


def _new_products(patterns: pd.DataFrame) -> Figure | None:
    rows = patterns[(patterns["dimension"] == "new_items") & patterns["level"].notna()]
    if rows.empty:
        return None
    note = "of what is bought after the first purchase day, for the first time by that customer"
    return Figure("New products", wording.share(rows.iloc[0]["level"]), note)
