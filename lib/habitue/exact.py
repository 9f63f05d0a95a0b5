"""Sums of amounts that are exact and fast.

Amounts are decimal(18,4). Spark adds such decimals up as BigDecimals, five times as slow as whole numbers; so inside a job
they are counted in ten-thousandths. The way there through a double is exact below 2^38 (2.7 * 10^11), and cleaning lets no
larger amount in.
"""

from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

AMOUNT = "decimal(18,4)"
UNITS = 10_000
LARGEST = 250_000_000_000  # amount or quantity of a line: below 2^38 the way through a double is exact


def units(amount: Column | str) -> Column:
    """A decimal(18,4) amount as a whole number of ten-thousandths (bigint)."""
    # `rint` is one instruction, where `round` makes a BigDecimal of every double.
    value = F.col(amount) if isinstance(amount, str) else amount
    return F.rint(value.cast("double") * UNITS).cast("bigint")


def from_units(whole: Column | str) -> Column:
    """Whole ten-thousandths as a decimal(18,4)."""
    value = F.col(whole) if isinstance(whole, str) else whole
    return (value.cast("decimal(20,0)") * F.lit(1 / Decimal(UNITS))).cast(AMOUNT)  # a division is many times as slow
