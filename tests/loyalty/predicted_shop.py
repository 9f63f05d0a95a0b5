"""A shop of half a year with campaigns, small, but with enough positives to predict from: as rows, frames and files."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from loyalty_shops import AS_OF, CATEGORIES, FIRST_DAY, Line
from pyspark.sql import DataFrame, SparkSession
from small_shop import write_csv

CUSTOMERS = 120
CAMPAIGNS = [(f"K{m}", date(2024, m, 2), date(2024, m, 15), "mail" if m % 2 else "app") for m in range(1, 8)]
PROMOTED = [(campaign, item) for campaign, _, _, _ in CAMPAIGNS for item in ("tea", "mug")]
QUICK = {  # settings of `prediction`
    "trees": [{"depth": 2, "iterations": 2, "step_size": 0.3}],
    "linear": [{"bins": 3, "penalty": 0.1}],
    "folds": 2,
    "min_positives": 10,
    "bootstrap_draws": 100,
    "left_out_sources": False,
}
CONTACT = "campaign_id string, customer_id string, known_day date"


class Contact(NamedTuple):
    campaign_id: str
    customer_id: str
    known_day: date


def order_lines(seed: int = 4) -> list[Line]:
    """Customers buy at rates of their own, which change now and then; nobody returns anything."""
    draw, lines = random.Random(seed), []
    for i in range(CUSTOMERS):
        rate = draw.uniform(0.02, 0.14)
        for ago in range((AS_OF - FIRST_DAY).days):
            rate = draw.uniform(0.02, 0.14) if draw.random() < 1 / 60 else rate
            if draw.random() < rate:
                day, item = FIRST_DAY + timedelta(days=ago), draw.choice([*CATEGORIES])
                lines.append(Line(f"O{i}-{ago}", f"c{i:03}", day, day, item, 1, f"{draw.randint(100, 999) / 100:.2f}"))
    return lines


def sends() -> list[Contact]:
    """To half the customers, on the campaign's first day; of July's, which is to come, nothing is known."""
    return [
        Contact(campaign, f"c{i:03}", starts)
        for number, (campaign, starts, _, _) in enumerate(CAMPAIGNS[:-1])
        for i in range(number % 2, CUSTOMERS, 2)
    ]


def responses(seed: int = 9) -> list[Contact]:
    """Every fifth customer mostly responds, the others seldom do."""
    draw = random.Random(seed)
    ends = {campaign: last for campaign, _, last, _ in CAMPAIGNS}
    return [
        sent._replace(known_day=ends[sent.campaign_id] - timedelta(days=draw.randrange(10)))
        for sent in sends()
        if draw.random() < (0.8 if int(sent.customer_id[1:]) % 5 == 0 else 0.1)
    ]


def contacts_frame(spark: SparkSession, contacts: Iterable[Contact]) -> DataFrame:
    return spark.createDataFrame(list(contacts), CONTACT)


def plans_frames(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    """campaigns and campaign_products."""
    plans = spark.createDataFrame(CAMPAIGNS, "campaign_id string, starts_on date, ends_on date, kind string")
    return plans, spark.createDataFrame(PROMOTED, "campaign_id string, product_id string")


def write(folder: Path) -> dict[str, str]:
    """The sources as csv files: source -> path. Sends have no day of their own, not even those of July's campaign."""
    bought = [(line.order_id, line.customer_id, line.order_day, line.product_id, line.amount) for line in order_lines()]
    coming = [Contact(CAMPAIGNS[-1][0], f"c{i:03}", AS_OF) for i in range(10)]
    tables = {
        "orders": (("order_id", "customer_id", "ordered_at", "product_id", "amount"), bought),
        "campaigns": (("campaign_id", "starts_on", "ends_on", "kind"), CAMPAIGNS),
        "campaign_products": (("campaign_id", "product_id"), PROMOTED),
        "sends": (("campaign_id", "customer_id"), [sent[:2] for sent in [*sends(), *coming]]),
        "responses": (("campaign_id", "customer_id", "responded_at"), responses()),
    }
    return {name: write_csv(folder / f"{name}.csv", header, rows) for name, (header, rows) in tables.items()}  # type: ignore[arg-type]
