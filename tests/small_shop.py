"""A tiny seeded shop as files, runs over it, and what must be true of its tables: the same for every kind of session.

The expected figures are worked out here in plain Python from the rows that were written, never from Habitué.
"""

from __future__ import annotations

import csv
import io
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType
from rich.console import Console

from habitue.config import Config, resolve
from habitue.pipeline import Run, RunResult
from habitue.progress import ConsoleProgress
from habitue.store import Store
from habitue.table import Table
from habitue.tables import TABLES, by_name

NOW = datetime(2024, 6, 1, tzinfo=timezone.utc)
FIRST_DAY = date(2023, 1, 1)
DAYS = 365
AS_OF = date(2023, 11, 1)
ORDER_HEADER = ("order_id", "customer_id", "ordered_at", "product_id", "quantity", "amount", "discount")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def configured(warehouse: Path | str, sources: Mapping[str, Any], **settings: Any) -> Config:
    """The defaults with these sources: name -> path, or name -> settings of the source."""
    whole = {name: {"path": s} if isinstance(s, str) else dict(s) for name, s in sources.items()}
    return resolve(overrides={"warehouse": str(warehouse), "sources": whole, **settings}).config


def run(
    spark: SparkSession,
    config: Config,
    as_of: date | None = None,
    only: Sequence[str] = (),
    now: datetime = NOW,
    run_id: str = "run1",
    store: Store | None = None,
) -> RunResult:
    quiet = ConsoleProgress(Console(file=io.StringIO()))
    return Run(store or Store(spark, config, run_id), config, now, quiet, run_id).execute(as_of, only)


def rows_of(store: Store, name: str, as_of: date | None = None) -> list[Any]:
    """The table's rows (of one snapshot) as plain tuples in an order of their own."""
    table = by_name()[name]
    frame = store.read(table, as_of if table.is_snapshot else None)
    return sorted((_plain(row) for row in frame.collect()), key=repr)


def snapshots(store: Store, as_of: date) -> dict[str, list[Any]]:
    """Every table that carries `as_of`, hidden ones too."""
    return {
        t.name: rows_of(store, t.name, as_of)
        for t in TABLES
        if t.is_snapshot and t.name != "runs" and store.exists(t.name)
    }


def published(store: Store) -> list[Table]:
    return [t for t in TABLES if not t.is_hidden and store.exists(t.name)]


def assert_second_reader(store: Store) -> set[str]:
    """Every published table: reader version 1, and Spark's counts and sums in a reader that shares no code with it; returns
    the tables' names."""
    tables = published(store)
    for table in tables:
        other = DeltaTable(store.path(table.name))
        assert other.protocol().min_reader_version == 1, table.name
        numbers = [f.name for f in table.schema.fields if isinstance(f.dataType, NumericType)]
        sums = [F.sum(F.col(c).cast("double")).alias(c) for c in numbers]
        ours = store.read(table).agg(F.count(F.lit(1)).alias("__rows"), *sums).collect()[0].asDict()
        theirs = other.to_pyarrow_table().to_pandas()
        assert len(theirs) == ours["__rows"], table.name
        for name in numbers:
            total = sum(float(v) for v in theirs[name] if v == v and v is not None)
            assert total == pytest.approx(ours[name] or 0.0, rel=1e-9), f"{table.name}.{name}"
    return {table.name for table in tables}


def assert_same(actual: Any, expected: Any, where: str = "") -> None:
    """Equal, where doubles may differ by 1e-9 of their size (sums are added up in another order)."""
    if isinstance(expected, float) and isinstance(actual, float):
        assert math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-12), f"{where}: {actual} is not {expected}"
    elif isinstance(expected, tuple | list) and isinstance(actual, tuple | list):
        assert len(actual) == len(expected), f"{where}: {len(actual)} instead of {len(expected)}"
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            assert_same(a, b, f"{where}[{i}]")
    elif isinstance(expected, dict) and isinstance(actual, dict):
        assert sorted(actual) == sorted(expected), f"{where}: {sorted(actual)} instead of {sorted(expected)}"
        for key, value in expected.items():
            assert_same(actual[key], value, f"{where}.{key}")
    else:
        assert actual == expected, f"{where}: {actual!r} is not {expected!r}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((k, _plain(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):  # rows are tuples
        return tuple(_plain(v) for v in value)
    return value


@dataclass(frozen=True)
class SmallShop:
    """The rows of the shop as written. `lines`: those that cleaning must keep, once each; `bad`: name of the error -> row."""

    lines: list[tuple[Any, ...]]
    bad: dict[str, tuple[Any, ...]]
    customers: list[tuple[Any, ...]]
    products: list[tuple[Any, ...]]
    sends: list[tuple[Any, ...]]
    responses: list[tuple[Any, ...]]

    def write(self, folder: Path, lines: Sequence[tuple[Any, ...]] | None = None, **files: Any) -> dict[str, str]:
        """Every source as a csv file: source -> path. The first line comes twice, and is merged."""
        kept = self.lines if lines is None else list(lines)
        orders = [*kept, kept[0], *self.bad.values()]
        campaigns = [("K1", "2023-03-01", "2023-03-31", "mail"), ("K2", "2023-12-01", "2023-12-24", "mail")]
        of_campaigns = [("K1", "P01"), ("K2", "P02")]
        send_header, response_header = ("campaign_id", "customer_id"), ("campaign_id", "customer_id", "responded_at")
        return {
            "orders": write_csv(folder / "orders.csv", ORDER_HEADER, orders),
            "customers": write_csv(
                folder / "customers.csv", ("customer_id", "consent_mail", "age", "city"), self.customers
            ),
            "products": write_csv(folder / "products.csv", ("product_id", "name", "category"), self.products),
            "campaigns": write_csv(
                folder / "campaigns.csv", ("campaign_id", "starts_on", "ends_on", "kind"), campaigns
            ),
            "campaign_products": write_csv(
                folder / "campaign_products.csv", ("campaign_id", "product_id"), of_campaigns
            ),
            "sends": write_csv(folder / "sends.csv", send_header, self.sends),
            "responses": write_csv(folder / "responses.csv", response_header, files.get("responses", self.responses)),
        }


@dataclass(frozen=True)
class SmallRun:
    """A run of the small shop that is done, and the configuration that finds its tables."""

    shop: SmallShop
    config: Config
    result: RunResult


def small_shop(customer_count: int = 60, seed: int = 11) -> SmallShop:
    """A year of orders by customers with rhythms of their own, with one return of each kind that matters."""
    chance = random.Random(seed)
    lines: list[tuple[Any, ...]] = []
    number = 0
    for i in range(customer_count):
        gap = chance.choice((7, 14, 30, 60, 200))
        day = chance.randrange(gap)
        while day < DAYS:
            number += 1
            lines += _order(chance, f"O{number:04}", f"C{i:03}", FIRST_DAY + timedelta(days=day))
            day += max(1, round(chance.gauss(gap, gap / 5)))
    # A return under an order id of its own, of the whole first line, two days after it.
    first = lines[0]
    returned = (*first[:3], first[3], -first[4], -first[5], Decimal(0))
    lines.append(("R0001", first[1], _later(first[2], days=2), *returned[3:]))
    customers = [(f"C{i:03}", chance.choice(("yes", "no", "")), 20 + i, chance.choice("AB")) for i in range(60)]
    products = [(f"P{i:02}", f"Product {i}", f"category {i % 4}") for i in range(12)]
    sends = [("K1", f"C{i:03}") for i in range(0, 60, 2)] + [("K2", f"C{i:03}") for i in range(0, 60, 3)]
    responses = [("K1", f"C{i:03}", f"2023-03-{10 + i // 10:02}") for i in range(0, 60, 10)]
    responses.append(("K2", "C000", "2023-12-05"))
    bad = {
        "missing_customer_id": ("O9001", "", "2023-05-05T10:00:00", "P01", 1, "5.00", 0),
        "unparseable_ordered_at": ("O9002", "C001", "05/05/23", "P01", 1, "5.00", 0),
        "future_ordered_at": ("O9003", "C001", "2099-01-01T00:00:00", "P01", 1, "5.00", 0),
        "unparseable_amount": ("O9004", "C001", "2023-05-05T10:00:00", "P01", 1, "five", 0),
        "order_of_another_customer": ("O0001", "C059", "2023-12-30T10:00:00", "P01", 1, "5.00", 0),
    }
    return SmallShop(lines, bad, customers, products, sends, responses)


def _order(chance: random.Random, order_id: str, customer_id: str, day: date) -> list[tuple[Any, ...]]:
    at = f"{day.isoformat()}T{chance.randrange(24):02}:{chance.randrange(60):02}:00"
    products = chance.sample(range(12), chance.choice((1, 1, 2, 3)))
    lines = []
    for product in products:
        quantity = chance.choice((1, 1, 2, 3))
        amount = Decimal(quantity) * (Decimal(199) + 150 * product) / 100
        lines.append((order_id, customer_id, at, f"P{product:02}", quantity, amount, chance.choice((0, 0, "0.50"))))
    return lines


def _later(at: str, days: int) -> str:
    return (datetime.fromisoformat(at) + timedelta(days=days)).isoformat()


def assert_facts(store: Store, shop: SmallShop, result: RunResult) -> None:
    """Every fact of a run of `shop` as of AS_OF that plain Python can work out."""
    account = result.accounts["orders"]
    line_count = len(shop.lines)
    assert (account.rows_in, account.kept, account.merged, account.quarantined) == (
        line_count + 1 + len(shop.bad),
        line_count,
        1,
        len(shop.bad),
    )
    assert account.reasons == dict.fromkeys(shop.bad, 1)
    _assert_clean(store, shop)
    _assert_features(store, shop)
    assert result.written["runs" if "runs" in result.written else "orders"] > 0
    assert not {"orders", "customer_features"} & result.skipped.keys()


def _assert_clean(store: Store, shop: SmallShop) -> None:
    orders = {row["order_id"]: row for row in store.read(by_name()["orders"]).collect()}
    # The return belongs to the order that it takes back, so it is no order of its own.
    assert sorted(orders) == sorted({line[0] for line in shop.lines} - {"R0001"})
    assert sum(row["amount"] for row in orders.values()) == sum(line[5] for line in shop.lines)
    first = [line for line in shop.lines if line[0] == "O0001"]
    assert orders["O0001"]["amount"] == sum(line[5] for line in first) - first[0][5]
    assert orders["O0001"]["line_count"] == len(first) + 1
    reasons = sorted(error for row in store.read(by_name()["quarantine"]).collect() for error in row["errors"])
    assert reasons == sorted(shop.bad)
    counts = {name: store.read(by_name()[name]).count() for name in ("customers", "products", "campaigns", "sends")}
    assert counts == {"customers": 60, "products": 12, "campaigns": 2, "sends": len(shop.sends)}
    sent = {row["known_day"] for row in store.read(by_name()["sends"]).collect()}
    assert sent == {date(2023, 3, 1), date(2023, 12, 1)}  # no sending has a date of its own: the campaigns' first days
    assert store.read(by_name()["responses"]).count() == len(shop.responses)


def _assert_features(store: Store, shop: SmallShop) -> None:
    """Purchase days, spend, gaps and the loyal rule as of AS_OF, against plain Python."""
    spent: dict[str, dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for order_id, customer, at, _, _, amount, _ in shop.lines:
        day = datetime.fromisoformat(at if order_id != "R0001" else shop.lines[0][2]).date()
        if day < AS_OF:  # the return is of the first order, which came long before AS_OF
            spent[customer][day] += amount
    purchases = {c: sorted(d for d, a in days.items() if a > 0) for c, days in spent.items()}
    found = {row["customer_id"]: row for row in store.read(by_name()["customer_features"], AS_OF).collect()}
    assert sorted(found) == sorted(c for c, days in purchases.items() if days)
    recent = {c: sum((AS_OF - d).days <= 60 for d in days) for c, days in purchases.items() if days}
    active = sorted(n for n in recent.values() if n)
    # The history is 304 days: 4 x 90 do not fit, 4 x 60 do. The percentile is interpolated, then rounded up.
    rank = 0.75 * (len(active) - 1)
    low, high = active[math.floor(rank)], active[math.ceil(rank)]
    threshold = max(2, math.ceil(low + (rank - math.floor(rank)) * (high - low)))
    for customer, row in found.items():
        days = purchases[customer]
        gaps = sorted((b - a).days for a, b in pairwise(days))
        median = (gaps[(len(gaps) - 1) // 2] + gaps[len(gaps) // 2]) / 2 if gaps else None
        last_90 = [d for d in days if (AS_OF - d).days <= 90]
        assert row["purchase_day_count"] == len(days)
        assert row["days_since_last_order"] == (AS_OF - days[-1]).days
        assert row["purchase_days_90d"] == len(last_90)
        assert row["amount_90d"] == sum(spent[customer][d] for d in last_90)
        assert row["gap_median_days"] == median
        assert (row["loyal_window_days"], row["loyal_threshold"]) == (60, threshold)
        assert row["is_loyal"] == (recent[customer] >= threshold)
    known = {c[0]: c for c in shop.customers}
    for customer, row in found.items():
        answer, age = known[customer][1:3]
        consent = {"consent_mail": float(answer == "yes")} if answer else {}
        assert row["numeric_attributes"] == {"age": float(age), **consent}
        assert row["text_attributes"] == {"city": known[customer][3]}
