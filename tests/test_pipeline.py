"""Ordering and running the tables: what depends on what, what is left out, and the laws of a run."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType
from small_shop import (
    AS_OF,
    ORDER_HEADER,
    SmallRun,
    SmallShop,
    assert_facts,
    assert_same,
    configured,
    rows_of,
    run,
    snapshots,
    write_csv,
)

from habitue.errors import HabitueError, UsageError
from habitue.pipeline import NOT_CONFIGURED, select_steps, steps
from habitue.store import Store
from habitue.table import Table, column
from habitue.tables import TABLES, by_name

# What carries `as_of` in the foundation, with what it is built from.
DERIVED = (
    "order_lines",
    "orders",
    "customers",
    "products",
    "_work_known_orders",
    "customer_history",
    "customer_features",
)


def build_first(judged_orders: DataFrame) -> DataFrame:
    return judged_orders


def build_second(first: DataFrame, third: DataFrame | None = None) -> DataFrame:
    return first


def build_third(first: DataFrame) -> DataFrame:
    return first


def build_lost(frist: DataFrame) -> DataFrame:
    return frist


def table(name: str, build: Any) -> Table:
    return Table(name, "One row.", ("id",), StructType([column("id", "string", "Id.")]), build)


def test_order_follows_from_the_signatures() -> None:
    listed = [table("second", build_second), table("third", build_third), table("first", build_first)]
    assert [s.name for s in steps(listed)] == ["first", "third", "second"]


def test_a_parameter_that_is_no_table_is_named() -> None:
    with pytest.raises(HabitueError, match="No table is called frist"):
        steps([table("first", build_first), table("lost", build_lost)])


def test_every_table_comes_after_what_it_reads() -> None:
    seen: set[str] = set()
    made = {t.name for t in TABLES}
    for step in steps():
        assert {name for name in step.inputs if name in made} <= seen, step.name
        seen |= {t.name for t in step.tables}
    assert seen == made - {"runs"}


def test_only_takes_areas_and_tables_and_names_the_nearest() -> None:
    assert [s.name for s in select_steps(["customer_features", "orders"])] == ["orders", "customer_features"]
    features = {s.tables[0].area for s in select_steps(["features"])}
    assert features == {"features"}
    with pytest.raises(UsageError, match=r"--only featurs: no such area or table \(did you mean 'features'\?\)"):
        select_steps(["featurs"])


def test_facts_of_the_small_shop(small_run: SmallRun, spark: SparkSession) -> None:
    assert_facts(Store(spark, small_run.config), small_run.shop, small_run.result)


def test_runs_tells_of_every_source_and_table(small_run: SmallRun, spark: SparkSession) -> None:
    store = Store(spark, small_run.config)
    rows = {row["table_name"]: row for row in store.read(by_name()["runs"]).collect()}
    assert {n for n, row in rows.items() if row["status"] == "taken_in"} == {
        f"raw_{s}" for s in small_run.config.sources
    }
    assert {n for n, row in rows.items() if row["status"] == "written"} == set(small_run.result.written)
    features = rows["customer_features"]
    assert features["as_of"] == AS_OF
    assert features["rows_out"] == small_run.result.written["customer_features"]
    assert features["input_versions"] == {n: store.version(n) for n in ("customer_history", "customers")}
    assert rows["order_lines"]["input_versions"]["_work_orders"] == store.version("_work_orders")
    assert features["output_version"] == store.version("customer_features")
    assert features["config_hash"] == small_run.config.fingerprint
    orders = rows["raw_orders"]
    assert (orders["rows_in"], orders["rows_out"]) == (len(small_run.shop.lines) + 1 + 5, len(small_run.shop.lines))


def test_the_future_changes_no_snapshot(small_run: SmallRun, spark: SparkSession, tmp_path: Path) -> None:
    """As-of honesty, and that a re-run replaces: a warehouse built on a changed future, then on the real one."""
    expected = snapshots(Store(spark, small_run.config), AS_OF)
    shop, folder = small_run.shop, tmp_path / "files"
    paths = shop.write(folder)
    sources = {name: paths[name] for name in ("orders", "customers", "products")}
    config = configured(tmp_path / "warehouse", sources)
    store = Store(spark, config)

    write_csv(folder / "orders.csv", ORDER_HEADER, changed_future(shop))
    run(spark, config, AS_OF, only=DERIVED)
    changed = snapshots(store, AS_OF)
    assert_same(changed, {name: expected[name] for name in changed}, "changed future")

    shop.write(folder)
    run(spark, config, AS_OF, only=DERIVED)
    again = snapshots(store, AS_OF)
    assert_same(again, {name: expected[name] for name in again}, "re-run")
    assert {"_work_known_orders", "customer_history", "customer_features"} <= again.keys()


def changed_future(shop: SmallShop) -> list[tuple[Any, ...]]:
    """The rows before AS_OF in another order, and a future of many more, dearer, conflicting and returned orders."""
    chance = random.Random(5)
    past = [line for line in shop.lines if date.fromisoformat(line[2][:10]) < AS_OF]
    future = [line for line in shop.lines if date.fromisoformat(line[2][:10]) >= AS_OF]
    assert len(past) > 1000 and len(future) > 100
    kept = [(*line[:5], line[5] * 3, line[6]) for line in future if chance.random() < 0.5]
    later = (AS_OF + timedelta(days=3)).isoformat()
    taken_back = [
        (f"F{i:03}", line[1], later, line[3], -line[4], -line[5], 0)  # returns of past purchases, known only later
        for i, line in enumerate(past[:200:4])
    ]
    used_again = [
        (past[0][0], "C058", later, "P01", 1, "5.00", 0),  # a past order's id under another customer
        ("R0001", past[0][1], later, "P07", 1, "5.00", 0),  # the id of a past return, used for a purchase
        (past[5][0], past[5][1], later, "P07", 1, "500.00", 0),  # a line more for a past order
    ]
    newcomers = [(f"N{i}", f"new {i}", AS_OF.isoformat(), "P01", 1, Decimal(10**6), 0) for i in range(20)]
    rows = [*past, *kept, *taken_back, *used_again, *newcomers, *shop.bad.values()]
    chance.shuffle(rows)
    return rows


class Killed(BaseException):
    """What ends a process in the middle of a run: nothing may catch it as an ordinary failure."""


class Faltering(Store):
    """A store whose process ends at the n-th write, before or after the rows are there."""

    def __init__(self, store: Store, config: Any, n: int, after: bool):
        super().__init__(store.spark, config, "killed")
        self.left, self.after = n, after

    def write(self, table: Table, frame: DataFrame, as_of: date | None = None) -> int:
        self.left -= 1
        if self.left:
            return super().write(table, frame, as_of)
        if self.after:
            super().write(table, frame, as_of)
        else:
            self.create(table)  # the table is there, and nothing in it
        raise Killed


@pytest.mark.parametrize(("n", "after"), [(1, False), (2, True), (3, False)])
def test_a_killed_run_is_made_good_by_the_next(spark: SparkSession, tmp_path: Path, n: int, after: bool) -> None:
    only = ("order_lines", "orders", "_work_known_orders")
    rows = [("o1", "a", "2024-01-01", 5), ("o2", "a", "2024-01-03", 7), ("o3", "b", "2024-01-09", 1)]
    path = write_csv(tmp_path / "orders.csv", ("order_id", "customer_id", "ordered_at", "amount"), rows)
    config = configured(tmp_path / "warehouse", {"orders": path})
    broken = Faltering(Store(spark, config), config, n, after)
    with pytest.raises(Killed):
        run(spark, config, only=only, store=broken, run_id="killed")
    run(spark, config, only=only)
    store = Store(spark, config)
    # Worked out from the rows; the amounts are of o1, o2, o3.
    lines = rows_of(store, "order_lines")
    assert [(line[0], line[1], line[8]) for line in lines] == [("o1-1", "o1", 5), ("o2-1", "o2", 7), ("o3-1", "o3", 1)]
    known = rows_of(store, "_work_known_orders", date(2024, 1, 10))
    assert [(row[0], row[1], row[6]) for row in known] == [
        (date(2024, 1, 10), f"o{i}", a) for i, a in ((1, 5), (2, 7), (3, 1))
    ]
    assert [row[1:] for row in known] == rows_of(store, "orders")


def test_one_customer_with_dates_alone_and_one_of_them_2099(spark: SparkSession, tmp_path: Path) -> None:
    days = ["2024-01-01", "2024-01-11", "2024-01-31", "2099-01-01"]
    path = write_csv(tmp_path / "orders.csv", ("customer_id", "ordered_at"), [("a", day) for day in days])
    config = configured(tmp_path / "warehouse", {"orders": path}, cleaning={"max_quarantined_share": 0.5})
    result = run(spark, config, only=("clean", "features"))
    assert result.as_of == date(2024, 2, 1)  # the day after the newest kept order
    assert result.accounts["orders"].reasons == {"future_ordered_at": 1}
    assert result.skipped["products"] == NOT_CONFIGURED.format("products")
    assert result.skipped["sends"] == NOT_CONFIGURED.format("sends")
    assert {"order_lines", "orders", "customer_history", "customer_features", "quarantine"} <= result.written.keys()
    store = Store(spark, config)
    (row,) = store.read(by_name()["customer_features"], result.as_of).collect()
    assert (row["purchase_day_count"], row["gap_mean_days"], row["days_since_last_order"]) == (3, 15.0, 1)
    assert (row["amount_30d"], row["average_order_value"], row["product_count"]) == (None, None, None)
    # 31 days of history: the smallest window, 30 days, which starts on 2 January; 2 purchase days are the least L.
    assert (row["loyal_window_days"], row["purchase_days_in_loyal_window"], row["is_loyal"]) == (30, 2, True)
    skipped = {
        r["table_name"]: r["detail"] for r in store.read(by_name()["runs"]).where("status = 'skipped'").collect()
    }
    assert skipped["products"] == NOT_CONFIGURED.format("products")


def test_what_needs_a_left_out_table_is_left_out_too(spark: SparkSession, tmp_path: Path) -> None:
    """Only one-time buyers; sends without campaigns."""
    orders = [(f"c{i}", f"2024-01-0{i}", "10.00") for i in range(1, 6)]
    sources = {
        "orders": write_csv(tmp_path / "orders.csv", ("customer_id", "ordered_at", "amount"), orders),
        "sends": write_csv(tmp_path / "sends.csv", ("campaign_id", "customer_id"), [("k", "c1")]),
    }
    config = configured(tmp_path / "warehouse", sources)
    result = run(spark, config, only=("order_lines", "orders", "campaigns", "sends", "features"))
    assert result.skipped["campaigns"] == NOT_CONFIGURED.format("campaigns")
    assert result.skipped["sends"] == NOT_CONFIGURED.format("campaigns")
    rows = Store(spark, config).read(by_name()["customer_features"], result.as_of).collect()
    assert sorted((r["customer_id"], r["gap_count"], r["typical_gap_days"], r["is_loyal"]) for r in rows) == [
        (f"c{i}", 0, None, False) for i in range(1, 6)
    ]
