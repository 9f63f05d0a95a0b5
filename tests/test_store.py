"""The only Delta I/O: contracts are kept, bad writes change nothing, and other readers see what Spark sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from killed_runs import Killed
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from small_shop import SmallRun, assert_second_reader, configured

from habitue.errors import HabitueError
from habitue.store import USER_METADATA, DuplicateKeys, Store
from habitue.table import ContractError, Table, as_of_column, column

FIRST, SECOND = date(2024, 1, 1), date(2024, 2, 1)


def build(orders: DataFrame) -> DataFrame:
    return orders


THINGS = Table(
    name="things",
    grain="One row per day's thing.",
    key=("as_of", "thing"),
    schema=StructType(
        [
            as_of_column(),
            column("thing", "string", "The thing's name; it's quoted."),
            column("size", "int", "How large.", nullable=True),
            column("price", "decimal(18,4)", "What it costs.", nullable=True),
        ]
    ),
    checks={"not_negative": "coalesce(size, 0) >= 0"},
    build=build,
)


@pytest.fixture(scope="module")
def store(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A warehouse with two snapshots of THINGS, written as run `first`."""
    store = Store(spark, configured(tmp_path_factory.mktemp("store"), {}), "first")
    assert store.write(THINGS, things(spark, FIRST, [("a", 1), ("b", None)]), FIRST) == 2
    assert store.write(THINGS, things(spark, SECOND, [("a", 3)]), SECOND) == 1
    return store


def things(spark: SparkSession, as_of: date, rows: list[tuple[Any, ...]]) -> DataFrame:
    frame = spark.createDataFrame(rows, "thing string, size long").withColumn("as_of", F.lit(as_of))
    return frame.withColumn("price", F.lit("1.50").cast("decimal(5,2)"))


def content(store: Store) -> list[tuple[Any, ...]]:
    rows = store.read(THINGS).select("as_of", "thing", "size", "price").collect()
    return sorted((tuple(row) for row in rows), key=repr)


BOTH = [(FIRST, "a", 1, Decimal("1.5")), (FIRST, "b", None, Decimal("1.5")), (SECOND, "a", 3, Decimal("1.5"))]


@pytest.fixture
def unchanged(store: Store) -> Iterator[None]:
    """After the test the table holds what it held."""
    yield
    assert content(store) == BOTH


def test_contract_makes_comments_constraints_and_properties(store: Store, spark: SparkSession) -> None:
    reference = store.reference("things")
    comments = {row["col_name"]: row["comment"] for row in spark.sql(f"DESCRIBE {reference}").collect()}
    assert comments["thing"] == "The thing's name; it's quoted."
    properties = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES {reference}").collect()}
    assert properties["delta.constraints.not_negative"].replace(" ", "") == "coalesce(size,0)>=0"
    assert properties["delta.minReaderVersion"] == "1"
    nullable = {f.name: f.nullable for f in DeltaTable(store.path("things")).schema().fields}
    assert nullable == {"as_of": False, "thing": False, "size": True, "price": True}
    assert spark.sql(f"DESCRIBE DETAIL {reference}").collect()[0]["description"] == THINGS.grain
    assert DeltaTable(store.path("things")).metadata().partition_columns == ["as_of"]


@pytest.mark.usefixtures("unchanged")
def test_null_and_check_violations_are_named_and_change_nothing(store: Store, spark: SparkSession) -> None:
    with pytest.raises(HabitueError, match=r"Table things could not be written: .*NOT_NULL.*thing"):
        store.write(THINGS, things(spark, FIRST, [(None, 1)]), FIRST)
    with pytest.raises(HabitueError, match=r"Table things could not be written: .*not_negative"):
        store.write(THINGS, things(spark, FIRST, [("a", -1)]), FIRST)


@pytest.mark.usefixtures("unchanged")
def test_duplicate_keys_are_refused_with_five_examples(store: Store, spark: SparkSession) -> None:
    rows = [(f"k{i}", 1) for i in range(7)] * 2 + [("single", 1)]
    with pytest.raises(DuplicateKeys) as refusal:
        store.write(THINGS, things(spark, FIRST, rows), FIRST)
    text = str(refusal.value)
    assert "7 keys occur more than once" in text and "one row per day's thing" in text
    assert [line for line in text.splitlines() if line.startswith("  - ")] == [
        f"  - thing=k{i}: 2 rows" for i in range(5)
    ]


@pytest.mark.usefixtures("unchanged")
def test_every_difference_from_the_contract_is_reported(store: Store, spark: SparkSession) -> None:
    wrong = things(spark, FIRST, [("a", 1)]).drop("size").withColumns({"price": F.lit("x"), "extra": F.lit(1)})
    with pytest.raises(ContractError) as refusal:
        store.write(THINGS, wrong, FIRST)
    text = str(refusal.value)
    assert "column size is missing" in text
    assert "column extra is not in the contract" in text
    assert "column price is string, not decimal(18,4)" in text


@pytest.mark.usefixtures("unchanged")
def test_rows_of_another_snapshot_are_refused(store: Store, spark: SparkSession) -> None:
    with pytest.raises(HabitueError, match="things could not be written"):
        store.write(THINGS, things(spark, SECOND, [("z", 1)]), FIRST)
    with pytest.raises(HabitueError, match="written for one as-of"):
        store.write(THINGS, things(spark, FIRST, [("z", 1)]))


def test_a_snapshot_is_replaced_and_removed_alone(store: Store, spark: SparkSession) -> None:
    store.write(THINGS, things(spark, FIRST, [("c", 9)]), FIRST)
    assert content(store) == [(FIRST, "c", 9, Decimal("1.5")), BOTH[2]]
    store.remove_snapshot(THINGS, FIRST)
    assert json.loads(DeltaTable(store.path("things")).history(1)[0]["userMetadata"]) == {"run_id": "first"}
    assert content(store) == [BOTH[2]]
    assert not store.has_snapshot(THINGS, FIRST) and store.has_snapshot(THINGS, SECOND)
    store.remove_snapshot(THINGS, FIRST)  # there is none: nothing happens
    assert store.write(THINGS, things(spark, FIRST, []), FIRST) == 0
    store.write(THINGS, things(spark, FIRST, [("a", 1), ("b", None)]), FIRST)
    assert content(store) == BOTH


def test_every_commit_names_its_run(spark: SparkSession, tmp_path: Path) -> None:
    """Statements too, for which the session's setting serves: it is afterwards what it was."""
    store = Store(spark, configured(tmp_path, {}), "r7")
    spark.conf.set(USER_METADATA, "somebody else's")
    try:
        store.write(THINGS, things(spark, FIRST, [("a", 1)]), FIRST)
        assert spark.conf.get(USER_METADATA) == "somebody else's"
    finally:
        spark.conf.unset(USER_METADATA)
    with pytest.raises(DuplicateKeys):
        store.write(THINGS, things(spark, FIRST, [("a", 1), ("a", 2)]), FIRST)
    assert spark.conf.get(USER_METADATA, None) is None
    store.remove_snapshot(THINGS, FIRST)
    store.write_work("orders", things(spark, FIRST, [("a", 1)]))
    assert [h["operation"] for h in history(store, "things")] == ["CREATE TABLE", "WRITE", "WRITE", "RESTORE", "WRITE"]
    assert {h["userMetadata"] for h in [*history(store, "things"), *history(store, "_work_orders")]} == {
        '{"run_id": "r7"}'
    }
    described = Store(spark, configured(tmp_path, {})).describe(THINGS)
    assert described is not None and (described.version, described.run_id, described.rows) == (4, "r7", 0)


def history(store: Store, name: str) -> list[dict[str, Any]]:
    """Every commit, the oldest first, read without Spark."""
    return sorted(DeltaTable(store.path(name)).history(), key=lambda commit: commit["version"])


def test_every_commit_of_a_run_names_it(small_run: SmallRun, spark: SparkSession) -> None:
    store = Store(spark, small_run.config)
    names = {folder.parent.name for folder in Path(store.warehouse).glob("*/_delta_log")}
    assert {*small_run.result.written, "runs", *(f"_work_{source}" for source in small_run.config.sources)} == names
    for name in names:
        commits = [(h["operation"], h.get("userMetadata")) for h in history(store, name)]
        assert commits and {said for _, said in commits} == {'{"run_id": "small"}'}, (name, commits)


def test_commits_of_others_name_no_run(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(spark, configured(tmp_path, {}), "r")
    store.write(THINGS, things(spark, FIRST, [("a", 1)]), FIRST)
    spark.conf.set(USER_METADATA, "tidied up")
    try:
        spark.sql(f"ALTER TABLE {store.reference('things')} SET TBLPROPERTIES ('delta.appendOnly' = 'false')")
    finally:
        spark.conf.unset(USER_METADATA)
    described = store.describe(THINGS)
    assert described is not None and (described.version, described.run_id) == (2, None)


def test_a_kill_before_repeated_keys_are_taken_back(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_: Any) -> None:
        raise Killed

    store = Store(spark, configured(tmp_path, {}), "killed")
    store.write(THINGS, things(spark, SECOND, [("a", 3)]), SECOND)
    monkeypatch.setattr(store, "_take_back", dead)
    with pytest.raises(Killed):
        store.write(THINGS, things(spark, FIRST, [("a", 1), ("a", 2), ("b", 1)]), FIRST)
    assert len(content(store)) == 4
    following = Store(spark, configured(tmp_path, {}), "following")
    assert following.take_back_duplicates(THINGS)
    assert content(store) == [BOTH[2]]
    assert not following.take_back_duplicates(THINGS)
    assert history(store, "things")[-1]["userMetadata"] == '{"run_id": "following"}'


def test_a_kill_while_a_table_is_created(spark: SparkSession, tmp_path: Path) -> None:
    """Delta makes the folder of its log first, then the first commit under another name."""
    log = tmp_path / "things" / "_delta_log"
    log.mkdir(parents=True)
    (log / ".00000000000000000000.json.0a1b.tmp").write_text("{")
    store = Store(spark, configured(tmp_path, {}), "r")
    assert store.write(THINGS, things(spark, FIRST, [("a", 1)]), FIRST) == 1
    # What is not ours is never removed.
    other = tmp_path / "mine" / "_delta_log"
    other.mkdir(parents=True)
    (tmp_path / "mine" / "thesis.txt").write_text("ten years of work")
    mine = Table("mine", THINGS.grain, THINGS.key, THINGS.schema, build)
    with pytest.raises(Exception, match="mine"):
        store.create(mine)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_platform_is_asked_where_the_folder_of_a_table_is(
    store: Store, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path there may mean a storage that Python does not see."""
    config = configured(Path(store.warehouse), {})
    asked: list[str] = []
    sql = spark.sql

    def listening(statement: str) -> DataFrame:
        asked.append(statement)
        return sql(statement)

    monkeypatch.setattr(spark, "sql", listening)
    assert not Store(spark, config).exists("nothing") and not asked
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    monkeypatch.setattr(Path, "is_dir", lambda self: False)
    elsewhere = Store(spark, config)
    assert elsewhere.exists("things") and not elsewhere.exists("nothing")
    assert len(asked) == 2 and all(statement.startswith("DESCRIBE DETAIL") for statement in asked)


def test_views_give_the_newest_snapshot(store: Store, spark: SparkSession) -> None:
    assert store.register_views([THINGS]) == ["things", "things_latest"]
    assert [tuple(r) for r in spark.sql("SELECT as_of, thing FROM things_latest").collect()] == [(SECOND, "a")]
    assert spark.sql("SELECT count(*) FROM things").collect()[0][0] == 3


def test_a_table_of_another_version_is_not_written_into(store: Store, spark: SparkSession) -> None:
    fields = [*THINGS.schema.fields, column("colour", "string", "New.", nullable=True)]
    newer = Table(THINGS.name, THINGS.grain, THINGS.key, StructType(fields), build)
    with pytest.raises(HabitueError, match=r"other columns .*\(colour\)"):
        store.write(newer, things(spark, FIRST, [("a", 1)]).withColumn("colour", F.lit("red")), FIRST)


def test_delta_rs_reads_what_spark_reads(small_run: SmallRun, spark: SparkSession) -> None:
    found = assert_second_reader(Store(spark, small_run.config))
    assert {"orders", "customer_features", "quarantine", "runs"} <= found


def test_catalog_mode_keeps_the_contract_and_publishes_views(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA IF NOT EXISTS habitue_test")
    config = configured("unused", {}, catalog="spark_catalog", schema="habitue_test")
    store = Store(spark, config, "r")
    store.write(THINGS, things(spark, FIRST, [("a", 1)]), FIRST)
    store.write(THINGS, things(spark, SECOND, [("b", 2)]), SECOND)
    store.publish_latest_view(THINGS)
    rows = spark.sql("SELECT thing FROM spark_catalog.habitue_test.things_latest").collect()
    assert [row["thing"] for row in rows] == ["b"]
    assert store.read(THINGS).count() == 2
    spark.sql("DROP SCHEMA habitue_test CASCADE")
