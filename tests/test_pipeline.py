"""Ordering and running the tables: what depends on what, what is left out, and the laws of a run."""

from __future__ import annotations

import io
import json
import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from killed_runs import Killed, kill_at_each
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType
from rich.console import Console
from small_shop import (
    AS_OF,
    NOW,
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
from habitue.pipeline import NOT_CONFIGURED, Run, Step, select_steps, steps
from habitue.progress import ConsoleProgress
from habitue.query import answer
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
    hidden = {f"_work_{source}": store.version(f"_work_{source}") for source in small_run.config.sources}
    assert rows["quarantine"]["input_versions"] == hidden
    assert features["output_version"] == store.version("customer_features")
    assert features["config_hash"] == small_run.config.fingerprint
    shop = small_run.shop
    orders = rows["raw_orders"]
    assert (orders["rows_in"], orders["rows_out"]) == (len(shop.lines) + 1 + 5, len(shop.lines))
    # Of the sources 60 customers, 12 products, 2 campaigns with 2 products; a table's inputs are added up.
    contacts = len(shop.sends) + len(shop.responses)
    assert {name: rows[name]["rows_in"] for name in READ} == {
        "order_lines": len(shop.lines) + 1 + 5,
        "orders": len(shop.lines),
        "customers": 60,
        "sends": len(shop.sends) + 2,
        "quarantine": len(shop.lines) + 1 + 5 + 60 + 12 + 2 + 2 + contacts,
        "_work_known_orders": len(shop.lines),  # the order lines whole, though those of November are left out
        "customer_features": small_run.result.written["customer_history"] + 60,
    }


READ = ("order_lines", "orders", "customers", "sends", "quarantine", "_work_known_orders", "customer_features")


class Pair(NamedTuple):
    first: DataFrame
    second: DataFrame


def build_pair(as_of: date) -> Pair:
    spark = SparkSession.getActiveSession()
    assert spark is not None
    return Pair(spark.createDataFrame([("a",)], "id string"), spark.createDataFrame([(1,)], "wrong int"))


def test_a_step_that_fails_at_its_second_table_has_a_row_for_each(spark: SparkSession, tmp_path: Path) -> None:
    config = configured(tmp_path / "warehouse", {})
    step = Step(build_pair, (table("first", build_pair), table("second", build_pair)))
    going = Run(Store(spark, config), config, NOW, ConsoleProgress(Console(file=io.StringIO())), "pair")
    going.result.as_of = AS_OF
    with pytest.raises(HabitueError, match="column id is missing"):
        going._run_step(step)
    going._record.write(AS_OF)
    told = [(r["table_name"], r["status"], r["rows_in"], r["rows_out"]) for r in runs_of(Store(spark, config), "pair")]
    assert sorted(told) == [("first", "written", 0, 1), ("second", "failed", None, None)]


def runs_of(store: Store, run_id: str) -> list[Any]:
    return store.read(by_name()["runs"]).where(f"run_id = '{run_id}'").collect()


def test_what_went_wrong_first_is_what_is_said(spark: SparkSession, tmp_path: Path) -> None:
    """Where no table can be written, `runs` cannot either: the paragraph is about the first."""
    (tmp_path / "warehouse").write_text("no folder")
    path = write_csv(tmp_path / "orders.csv", ("customer_id", "ordered_at"), [("a", "2024-01-01")])
    with pytest.raises(HabitueError, match=r"rows of sources\.orders could not be written to the warehouse"):
        run(spark, configured(tmp_path / "warehouse", {"orders": path}), only=("order_lines",))


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


SMALL_ORDERS = [
    ("o1", "a", "2024-01-01", "5"), ("o2", "a", "2024-01-03", "7"), ("o3", "b", "2024-01-09", "1"),
    *((f"o{i}", "c", f"2024-01-{i:02}", "2") for i in range(4, 30)), ("o30", "", "2024-01-30", "2"),
]  # fmt: skip
ORDERS = ("order_id", "customer_id", "ordered_at", "amount")


def test_a_run_killed_at_any_table_is_made_good_by_the_next(spark: SparkSession, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "orders.csv", ORDERS, SMALL_ORDERS)
    only = ("order_lines", "orders", "quarantine", "_work_known_orders", "customer_history", "customer_features")
    undisturbed, killed = (configured(tmp_path / name, {"orders": path}) for name in ("undisturbed", "killed"))
    result = run(spark, undisturbed, only=only)
    assert list(result.written) == list(only)
    kill_at_each(spark, killed, None, only, only)
    again = run(spark, killed, only=only)
    assert again.written == result.written and again.notes == []
    expected, found = Store(spark, undisturbed), Store(spark, killed)
    for name in only:
        assert_same(rows_of(found, name), rows_of(expected, name), name)
    # Worked out from the rows; the order without a customer is set aside.
    lines = rows_of(found, "order_lines")
    assert len(lines) == 29 and sum(line[8] for line in lines) == 5 + 7 + 1 + 26 * 2
    assert {row["run_id"] for row in found.read(by_name()["runs"]).collect()} == {"run1"}


class Repeating(Store):
    """A store whose build of the known orders gives every row twice, and whose process ends before that is taken back."""

    def write(self, table: Table, frame: DataFrame, as_of: date | None = None) -> int:
        return super().write(table, frame.union(frame) if table.name == "_work_known_orders" else frame, as_of)

    def _take_back(self, table: Table) -> None:
        raise Killed

    def append(self, table: Table, rows: list[dict[str, Any]]) -> None:
        raise Killed


def test_repeated_keys_of_a_killed_run_are_taken_back_by_the_next(spark: SparkSession, tmp_path: Path) -> None:
    """Killed between writing a snapshot of February and looking at its keys; then January's is built again."""
    path = write_csv(tmp_path / "orders.csv", ORDERS, SMALL_ORDERS)
    config = configured(tmp_path / "warehouse", {"orders": path})
    only, name = ("order_lines", "_work_known_orders"), "_work_known_orders"
    january, february = date(2024, 1, 20), date(2024, 2, 1)
    run(spark, config, january, only)
    store = Store(spark, config)
    before = rows_of(store, name)
    with pytest.raises(Killed):
        run(spark, config, february, only, store=Repeating(spark, config, "killed"))
    assert len(rows_of(store, name, february)) == 2 * 29
    again = run(spark, config, january, only, run_id="again")
    assert again.notes == [f"{name}: a run was stopped while it wrote; its rows were taken back"]
    assert rows_of(store, name) == before
    assert not store.has_snapshot(by_name()[name], february)


def test_a_source_that_is_no_longer_configured_is_not_read(spark: SparkSession, tmp_path: Path) -> None:
    """What an earlier configuration left stays, but the features are those of a run that never knew it."""
    orders = write_csv(tmp_path / "orders.csv", ORDERS, SMALL_ORDERS)
    customers = write_csv(tmp_path / "customers.csv", ("customer_id", "age"), [("a", 30), ("b", 40)])
    both = configured(tmp_path / "warehouse", {"orders": orders, "customers": customers})
    run(spark, both, only=("order_lines", "customers", "features"))
    store = Store(spark, both)
    as_of = date(2024, 1, 30)
    known = [row["numeric_attributes"] for row in store.read(by_name()["customer_features"], as_of).collect()]
    assert sorted(attributes["age"] for attributes in known if attributes) == [30.0, 40.0]
    alone = configured(tmp_path / "warehouse", {"orders": orders})
    run(spark, alone, as_of, only=("customer_features",), run_id="alone")
    assert not any(r["numeric_attributes"] for r in store.read(by_name()["customer_features"], as_of).collect())
    (told,) = runs_of(store, "alone")
    assert told["input_versions"] == {"customer_history": store.version("customer_history")}
    assert told["rows_in"] == 3  # the customers' histories, as the run before told


def test_a_run_in_a_catalog(spark: SparkSession, tmp_path: Path) -> None:
    """Tables, and views of their newest snapshots, answer by name; what a second run replaces keeps its contract."""
    schema = "habitue_run"
    orders = write_csv(tmp_path / "orders.csv", ORDERS, SMALL_ORDERS)
    customers = write_csv(tmp_path / "customers.csv", ("customer_id", "age"), [("a", 30), ("b", 40)])
    config = configured("unused", {"orders": orders, "customers": customers}, catalog="spark_catalog", schema=schema)
    only, days = ("clean", "features"), (date(2024, 1, 8), date(2024, 1, 30))
    spark.sql(f"CREATE SCHEMA {schema}")
    try:
        results = [run(spark, config, as_of, only, run_id=f"as of {as_of}") for as_of in days]
        store = Store(spark, config)
        count, amount = spark.sql(f"SELECT count(*), sum(amount) FROM spark_catalog.{schema}.orders").collect()[0]
        assert (count, amount) == (29, 5 + 7 + 1 + 26 * 2)
        features = f"SELECT as_of, customer_id FROM spark_catalog.{schema}.customer_features"
        early, late = [(days[0], c) for c in "ac"], [(days[1], c) for c in "abc"]  # b comes on the 9th
        assert sorted(tuple(row) for row in spark.sql(features).collect()) == early + late
        assert sorted(tuple(row) for row in spark.sql(f"{features}_latest").collect()) == late
        query = "SELECT count(*) AS customers FROM customer_features_latest"
        assert answer(store, query, "csv") == "customers\n3"
        views = {row["viewName"] for row in spark.sql(f"SHOW VIEWS IN {schema}").collect() if not row["isTemporary"]}
        tables = [by_name()[name] for name in results[0].written]
        assert views == {f"{t.name}_latest" for t in tables if t.is_snapshot and not t.is_hidden}
        assert {"customers", "quarantine", "customer_history"} <= results[0].written.keys()
        _assert_contract_and_history(spark, store, [f"as of {as_of}" for as_of in days])
    finally:
        spark.sql(f"DROP SCHEMA {schema} CASCADE")


def _assert_contract_and_history(spark: SparkSession, store: Store, run_ids: list[str]) -> None:
    """Of a table that was replaced whole: its CHECKs and NOT NULLs are still there, and every commit names its run."""
    reference = store.reference("orders")
    properties = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES {reference}").collect()}
    assert properties["delta.constraints.has_lines"].replace(" ", "") == "line_count>=1"
    assert properties["delta.minReaderVersion"] == "1"
    assert {f.name for f in spark.table(reference).schema.fields if not f.nullable} >= {"order_id", "known_day"}
    history = spark.sql(f"DESCRIBE HISTORY {reference}").collect()
    first, second = run_ids
    assert [json.loads(row["userMetadata"])["run_id"] for row in history] == [second, first, first]


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
