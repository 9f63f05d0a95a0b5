"""Small shops for the training snapshots, as plain rows."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession

AS_OF = date(2024, 6, 29)
FIRST_DAY = date(2024, 1, 1)  # 180 days: six windows of 30
SETS = ("loyal.window_days=30", "features.look_back_days=100")
SNAPSHOTS = [AS_OF - timedelta(days=age) for age in (0, 30, 60, 90, 120, 150)]
CATEGORIES = {"tea": "drink", "rum": "drink", "mug": "ware", "pot": "ware"}  # and ink is in none


class Line(NamedTuple):
    order_id: str
    customer_id: str
    order_day: date
    known_day: date
    product_id: str | None = None
    quantity: int | None = None
    amount: str | None = None
    coupon_discount: str | None = None
    is_return: bool = False


def lines_frame(spark: SparkSession, lines: Iterable[Line]) -> DataFrame:
    types = (
        "order_id string, customer_id string, order_day date, known_day date, product_id string, quantity int, "
        "amount string, coupon_discount string, is_return boolean"
    )
    return spark.createDataFrame(list(lines), types).selectExpr(
        "order_id", "customer_id", "order_day", "known_day", "product_id", "is_return",
        "CAST(quantity AS decimal(18,4)) AS quantity", "CAST(amount AS decimal(18,4)) AS amount",
        "CAST(NULL AS decimal(18,4)) AS discount", "CAST(coupon_discount AS decimal(18,4)) AS coupon_discount",
        "IF(order_day > DATE'2024-03-01', 'web', 'shop') AS channel",
    )  # fmt: skip


def products_frame(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([*CATEGORIES.items(), ("ink", None)], "product_id string, category string")


def random_lines(seed: int = 7, customer_count: int = 15) -> list[Line]:
    """Orders of one to three lines, some known days late, some taken back weeks later in part or in whole."""
    draw = random.Random(seed)
    lines = [Line("first", "c0", FIRST_DAY, FIRST_DAY, "tea", 1, "5.00")]
    for number in range(customer_count * 8):
        customer = f"c{min(draw.randrange(customer_count), draw.randrange(customer_count))}"
        day = FIRST_DAY + timedelta(days=draw.randrange(180))
        known = day + timedelta(days=draw.choice([0, 0, 0, 9]))
        bought = draw.sample([*CATEGORIES, "ink"], draw.randint(1, 3))
        coupon = draw.choice([None, "0.50"])
        order = [
            Line(f"o{number}", customer, day, known, item, 1, f"{draw.randint(100, 999) / 100:.2f}", coupon)
            for item in bought
        ]
        lines += order
        if draw.random() < 0.3:
            back = known + timedelta(days=draw.randrange(1, 45))
            lines += [
                line._replace(
                    order_day=back, known_day=back, quantity=-1, amount=f"-{line.amount}", is_return=True
                )
                for line in order[: draw.randint(1, 3)]
            ]  # fmt: skip
    return [line for line in lines if line.known_day < AS_OF]


def changed_from(lines: list[Line], day: date, seed: int = 3) -> list[Line]:
    """The same lines up to what was known before the day; of the later ones half are gone, the others quite different."""
    draw = random.Random(seed)
    later = [line for line in lines if line.known_day >= day]
    customers, days = [line.customer_id for line in later], [line.known_day for line in later]
    draw.shuffle(customers)
    draw.shuffle(days)
    changed = [
        line._replace(customer_id=c, order_day=d, known_day=d, product_id="pot", amount="99.00", is_return=False)
        for line, c, d in zip(later, customers, days, strict=True)
        if draw.random() < 0.5
    ]
    return [line for line in lines if line.known_day < day] + changed
