"""Amounts and counts put into bands, which add up where quantiles would not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pyspark.sql import Column
from pyspark.sql import functions as F

from habitue.exact import UNITS

# 1, 2, 5, 10, 20, 50 ...: about evenly wide on a logarithmic scale, whatever the currency.
AMOUNT_BOUNDS = tuple(step * 10**power for power in range(9) for step in (1, 2, 5))
SIZE_BOUNDS = (1, 2, 3, 4, 5, 6, 11, 21, 51, 101)


def amount_band(worth: Column) -> Column:
    """struct<position, value>: the band of an amount in ten-thousandths; NULL of NULL.

    Position 0 holds what is not above 0, position 1 what is below 1, position 2 from 1 to below 2, and so on.
    """
    labels = ["0 or less", "under 1", *_from_to(AMOUNT_BOUNDS)]
    return _band(worth, [1, *(bound * UNITS for bound in AMOUNT_BOUNDS)], labels)


def size_band(units: Column) -> Column:
    """struct<position, value>: the band of a number of units in ten-thousandths; NULL of NULL."""
    whole = [f"{low}" if high == low + 1 else f"{low}-{high - 1}" for low, high in _pairs(SIZE_BOUNDS)]
    labels = ["under 1", *whole, f"{SIZE_BOUNDS[-1]} or more"]
    return _band(units, [bound * UNITS for bound in SIZE_BOUNDS], labels)


def _band(value: Column, bounds: Sequence[int], labels: Sequence[str]) -> Column:
    """Position i holds values from bounds[i - 1] to below bounds[i]."""
    highest = len(bounds)
    band = F.when(value >= bounds[-1], _place(highest, labels[highest]))
    for i in range(highest - 1, 0, -1):
        band = band.when(value >= bounds[i - 1], _place(i, labels[i]))
    return band.when(value.isNotNull(), _place(0, labels[0]))


def _place(position: int, label: str) -> Column:
    return F.struct(F.lit(position).alias("position"), F.lit(label).alias("value"))


def _from_to(bounds: Sequence[int]) -> list[str]:
    return [f"{low} to {high}" for low, high in _pairs(bounds)] + [f"{bounds[-1]} or more"]


def _pairs(bounds: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(bounds))
