"""How the report writes numbers, days and lists. A missing figure is a dash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd

NO_FIGURE = "–"
NBSP = "\u00a0"  # a number and its unit stay on one line
_SMALL_AMOUNT = 1000  # amounts below it show their cents


def is_missing(value: Any) -> bool:
    """Whether a cell is NULL (None, NaN, NaT)."""
    return value is None or (not isinstance(value, str | list | tuple | dict) and bool(pd.isna(value)))


def count(value: Any) -> str:
    """A whole number with thousands separators."""
    return NO_FIGURE if is_missing(value) else f"{int(value):,}"


def counted(value: Any, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 group", "2,469 customers"."""
    return f"{count(value)}{NBSP}{one if value == 1 else many or one + 's'}"


def amount(value: Any, currency: str | None) -> str:
    """An amount of money in `currency` (its code; None: none is named); cents only below 1,000."""
    if is_missing(value):
        return NO_FIGURE
    number = Decimal(str(value))
    text = f"{number:,.2f}" if abs(number) < _SMALL_AMOUNT else f"{number:,.0f}"
    return f"{currency}{NBSP}{text}" if currency else text


def share(value: Any) -> str:
    """A share of 0-1 in percent, at most three significant digits; a part that is neither nothing nor all says so."""
    if is_missing(value):
        return NO_FIGURE
    percent = 100 * float(value)
    if 0 < abs(percent) < 0.05:
        return f"under 0.1{NBSP}%"
    if 99.95 <= percent < 100 - 1e-9:
        return f"over 99.9{NBSP}%"
    text = f"{percent:.0f}" if abs(percent) >= 99.95 or percent == 0 else f"{percent:.1f}"
    return f"{_with_minus(text)}{NBSP}%"


def signed_share(value: Any) -> str:
    """A relative difference in percent, with its sign."""
    if is_missing(value):
        return NO_FIGURE
    return f"{_with_minus(f'{100 * float(value):+.1f}')}{NBSP}%"


def decimal(value: Any, places: int = 2) -> str:
    """A plain number with so many decimal places."""
    return NO_FIGURE if is_missing(value) else _with_minus(f"{float(value):,.{places}f}")


def days(value: Any) -> str:
    """A duration in days: one decimal place below 10."""
    if is_missing(value):
        return NO_FIGURE
    number = float(value)
    text = f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:,.0f}"
    return f"{text}{NBSP}day{'' if text == '1' else 's'}"


def day(value: date | None) -> str:
    """A date as people write it: 31 December 2017."""
    return NO_FIGURE if is_missing(value) or value is None else f"{value.day}{NBSP}{value:%B %Y}"


def month(value: date) -> str:
    """A month, short: Dec 2017."""
    return f"{value:%b %Y}"


def yes_no(value: Any) -> str:
    return NO_FIGURE if is_missing(value) else ("yes" if value else "no")


def listed(items: Sequence[str]) -> str:
    """Several things in a sentence: a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def plain(name: str) -> str:
    """A name of ours as words: unparseable_amount -> unparseable amount."""
    return name.replace("_", " ")


def shortened(text: str, most: int) -> str:
    """`text` of at most so many characters, an ellipsis among them where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _with_minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
