"""Taking in whole sources: every row is accounted for, and what is too broken is refused before anything is published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from small_shop import NOW, configured, rows_of, run, write_csv

from habitue.errors import DataRefused, HabitueError, UsageError
from habitue.sources.cleaning import judged, merged_by_key, rules_of
from habitue.sources.intake import SOURCES, Account, Intake, refuse_broken, take_in
from habitue.store import Store
from habitue.table import Table
from habitue.tables import by_name
from habitue.tables.clean import campaigns, customers, products, quarantine, sends

SENDS = "campaign_id string, customer_id string, sent_at string"
ORDERS = ("order_id", "customer_id", "ordered_at", "amount", "status")


@pytest.fixture(scope="module")
def intake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Intake:
    """Six sources with every kind of trouble. Each rows' fate stands beside it."""
    folder = tmp_path_factory.mktemp("intake")
    sources = {
        "orders": {
            "path": write_csv(
                folder / "orders.csv",
                ORDERS,
                [
                    ("o1", "a", "2024-01-01", 5, "ok"),
                    ("o1", "a", "2024-01-01", 5, "ok"),  # merged
                    ("o2", "b", "2024-01-02", 5, "Cancelled"),  # excluded
                    ("o3", "b", "2024-01-03", 5, ""),
                    ("o4", "", "2024-01-04", 5, ""),  # quarantined
                    ("o4", "", "2024-01-04", 5, ""),  # and the copy of it merged
                ],
            ),
            "drop_statuses": ["cancelled"],
        },
        "customers": {
            "path": write_csv(
                folder / "customers.csv",
                ("Nr", "consent_mail", "consent_sms", "age", "signup_at"),
                [
                    ("a", "Yes", "opt-out", 33, "2023-05-01"),
                    ("b", "perhaps", "", "", ""),
                    ("", "yes", "yes", 1, ""),  # quarantined
                    ("c", "1", "0", 40, "soon"),  # quarantined
                ],
            ),
            "columns": {"customer_id": "Nr"},
        },
        "products": write_csv(
            folder / "products.csv",
            ("product_id", "name", "price", "unknown column"),
            [
                ("p", "Pen", "1.50", 1),
                ("p", "Pen", "1.50", 2),  # merged: what we read of it is the same
                ("q", "Queue", "2", 1),
                ("q", "Cue", "2", 1),  # one of the two is quarantined
            ],
        ),
        "campaigns": write_csv(
            folder / "campaigns.csv",
            ("campaign_id", "starts_on", "ends_on"),
            [("good", "2030-01-01", "2030-01-31"), ("backwards", "2024-02-01", "2024-01-01")],
        ),
        "sends": write_csv(
            folder / "sends.csv",
            ("campaign_id", "customer_id", "sent_at"),
            [("good", "a", "2024-01-05"), ("good", "b", ""), ("other", "b", "")],
        ),
    }
    config = configured(folder / "warehouse", sources, cleaning={"max_quarantined_share": 0.6})
    return take_in(Store(spark, config), config, NOW, lambda *_: None)


def built(table: Table, **frames: object) -> list[tuple[object, ...]]:
    return sorted((tuple(row) for row in table.conform(table.build(**frames)).collect()), key=repr)


def test_rows_in_are_kept_merged_or_quarantined(intake: Intake) -> None:
    counts = {n: (a.rows_in, a.kept, a.merged, a.quarantined, a.excluded) for n, a in intake.accounts.items()}
    assert counts == {
        "orders": (6, 2, 2, 2, 1),
        "customers": (4, 2, 0, 2, 0),
        "products": (4, 2, 1, 1, 0),
        "campaigns": (2, 1, 0, 1, 0),
        "sends": (3, 3, 0, 0, 0),
    }
    assert intake.accounts["orders"].reasons == {"missing_customer_id": 1, "status_excluded": 1}
    assert (intake.accounts["orders"].oldest_day, intake.accounts["orders"].newest_day) == (
        date(2024, 1, 1),
        date(2024, 1, 3),
    )
    assert intake.day_after_newest_order == date(2024, 1, 4)
    assert intake.accounts["customers"].reasons == {"missing_customer_id": 1, "unparseable_signup_at": 1}
    assert intake.accounts["products"].reasons == {"conflicting_duplicate": 1}
    assert intake.accounts["campaigns"].reasons == {"ends_before_it_starts": 1}


def test_present_columns_are_those_with_a_value(intake: Intake) -> None:
    assert set(intake.accounts["orders"].present) == {
        "customer_id",
        "ordered_at",
        "order_id",
        "amount",
        "status",
        "known_at",
    }


def test_consents_are_yes_no_or_none(intake: Intake) -> None:
    rows = {row[0]: row[3:] for row in built(customers.TABLE, judged_customers=intake.judged["customers"])}
    assert rows["a"] == ({"consent_mail": True, "consent_sms": False}, {"age": "33"})
    assert rows["b"] == ({"consent_mail": None}, {})  # "perhaps" is no yes


def test_of_contradicting_rows_one_is_kept_whatever_their_order(intake: Intake) -> None:
    kept = built(products.TABLE, judged_products=intake.judged["products"])
    assert [row[0] for row in kept] == ["p", "q"]
    set_aside = intake.judged["products"].where("size(errors) > 0").collect()
    assert {json.loads(row["raw_row"])["name"] for row in set_aside} | {kept[1][1]} == {"Cue", "Queue"}


def test_a_sending_without_a_date_is_known_when_its_campaign_starts(intake: Intake) -> None:
    plans = campaigns.TABLE.build(intake.judged["campaigns"])
    rows = built(sends.TABLE, judged_sends=intake.judged["sends"], campaigns=plans)
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("good", "a", date(2024, 1, 5)),
        ("good", "b", date(2030, 1, 1)),
        ("other", "b", None),
    ]


def test_quarantine_holds_each_distinct_bad_row_once(intake: Intake) -> None:
    rows = built(quarantine.TABLE, judged_sources=intake.judged)
    assert sorted((source, *errors, copies) for source, _, errors, copies in rows) == [
        ("campaigns", "ends_before_it_starts", 1),
        ("customers", "missing_customer_id", 1),
        ("customers", "unparseable_signup_at", 1),
        ("orders", "missing_customer_id", 2),
        ("orders", "status_excluded", 1),
        ("products", "conflicting_duplicate", 1),
    ]


def account(rows_in: int, quarantined: int, excluded: int, reasons: Mapping[str, int], name: str = "orders") -> Account:
    """Of a source without copies."""
    bad, judged_rows = quarantined - excluded, rows_in - excluded
    return Account(name, rows_in, rows_in - quarantined, 0, quarantined, excluded, bad, judged_rows, reasons)


def test_the_gate_leaves_excluded_rows_out_of_the_share() -> None:
    config = configured("unused", {"orders": "unused"})
    # 50 of 100 excluded; 2 of the other 50 are bad: 4 %, under the limit of 5 %.
    refuse_broken({"orders": account(100, 52, 50, {"status_excluded": 50, "missing_customer_id": 2})}, config)
    with pytest.raises(DataRefused, match=r"3 of 50 rows \(6.0 %\) cannot be used \(missing_customer_id 3\)"):
        refuse_broken({"orders": account(100, 53, 50, {"status_excluded": 50, "missing_customer_id": 3})}, config)


def test_the_gate_counts_every_copy(spark: SparkSession, tmp_path: Path) -> None:
    """Ten good rows, and ninety of one campaign without a customer, which are all the same."""
    days = [("k", f"c{i}", "2024-01-05") for i in range(10)] + [("k", "", "2024-01-05")] * 90
    sources = {
        "orders": write_csv(tmp_path / "orders.csv", ("customer_id", "ordered_at"), [("a", "2024-01-01")]),
        "sends": write_csv(tmp_path / "sends.csv", ("campaign_id", "customer_id", "sent_at"), days),
    }
    config = configured(tmp_path / "warehouse", sources)
    with pytest.raises(DataRefused, match=r"sources\.sends: 90 of 100 rows \(90\.0 %\) cannot be used"):
        take_in(Store(spark, config), config, NOW, lambda *_: None)


def test_what_is_sent_later_does_not_change_what_was_sent(spark: SparkSession) -> None:
    config = configured("unused", {"orders": "unused", "sends": "unused"})
    reminders = [("k", "a", f"2024-01-{day:02d}") for day in range(2, 12)]
    for sent in (reminders[:1], reminders):
        raw = spark.createDataFrame([*reversed(sent), ("k", "b", None), ("k", "b", "2024-01-09")], SENDS)
        rows = merged_by_key(judged(raw, SOURCES["sends"], rules_of(config, "sends", NOW)), SOURCES["sends"])
        kept = rows.where("size(errors) = 0").collect()
        assert sorted((row["customer_id"], row["sent_at_day"].day) for row in kept) == [("a", 2), ("b", 9)]


def test_a_past_snapshot_is_not_refused_for_what_came_later(spark: SparkSession, tmp_path: Path) -> None:
    """Ten good orders before February; then four in another currency, and four without a customer."""
    header = ("customer_id", "ordered_at", "amount", "currency")
    good = [(f"c{i}", f"2024-01-{i + 1:02}", 5, "EUR") for i in range(10)]
    later = [(f"c{i}", f"2024-02-{i + 1:02}", 5, "USD") for i in range(4)]
    later += [("", f"2024-02-{i + 1:02}", 5, "EUR") for i in range(4)]
    rows = [*good, *later]
    path = write_csv(tmp_path / "orders.csv", header, rows)
    config = configured(tmp_path / "warehouse", {"orders": path})
    store = Store(spark, config)
    taken = take_in(store, config, NOW, lambda *_: None, as_of=date(2024, 2, 1))
    account = taken.accounts["orders"]
    assert (account.judged_rows, account.unusable, account.quarantined, taken.currency) == (10, 0, 4, "EUR")
    for as_of in (None, date(2024, 3, 1)):
        with pytest.raises(DataRefused, match="4 of 18 rows"):
            take_in(store, config, NOW, lambda *_: None, as_of)
    write_csv(tmp_path / "orders.csv", header, [*rows, *[("c1", "?", i, "EUR") for i in range(4)]])
    with pytest.raises(DataRefused, match="4 of 14 rows"):  # nobody knows when, so they count
        take_in(store, config, NOW, lambda *_: None, as_of=date(2024, 2, 1))


def test_a_warehouse_that_cannot_be_written_is_not_the_files_fault(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "warehouse").write_text("no folder")
    config = configured(
        tmp_path / "warehouse",
        {"orders": write_csv(tmp_path / "orders.csv", ("customer_id", "ordered_at"), [("a", "2024-01-01")])},
    )
    with pytest.raises(HabitueError, match=r"could not be written to the warehouse .*warehouse") as failure:
        take_in(Store(spark, config), config, NOW, lambda *_: None)
    assert failure.value.exit_code == 1


def test_every_broken_source_is_named_at_once() -> None:
    config = configured("unused", {"orders": "unused"})
    broken = {
        "orders": account(10, 5, 0, {"missing_customer_id": 5}),
        "products": account(10, 9, 0, {"missing_product_id": 9}, "products"),
    }
    with pytest.raises(DataRefused) as refusal:
        refuse_broken(broken, config)
    assert "sources.orders" in str(refusal.value) and "sources.products" in str(refusal.value)
    with pytest.raises(DataRefused, match="no row is left"):
        refuse_broken({"orders": account(0, 0, 0, {})}, config)


def test_a_source_is_a_file_of_its_name() -> None:
    assert [source.name for source in SOURCES.values()] == list(SOURCES)
    assert all(s.known_by in ("", *(f.name for f in s.fields if f.kind == "time")) for s in SOURCES.values())


def test_orders_are_required(spark: SparkSession, tmp_path: Path) -> None:
    config = configured(tmp_path, {"products": "unused"})
    with pytest.raises(UsageError, match=r"sources\.orders is not configured"):
        take_in(Store(spark, config), config, NOW, lambda *_: None)


def test_refused_data_change_no_published_table_but_runs(spark: SparkSession, tmp_path: Path) -> None:
    good = [(f"o{i}", "a", "2024-01-01", i, "") for i in range(1, 5)]
    config = configured(tmp_path / "warehouse", {"orders": write_csv(tmp_path / "orders.csv", ORDERS, good)})
    run(spark, config, only=("order_lines",), run_id="good")
    store = Store(spark, config)
    before = (store.version("order_lines"), rows_of(store, "order_lines"))
    write_csv(tmp_path / "orders.csv", ORDERS, [*good[:2], ("o3", "", "2024-01-01", 3, "")])
    with pytest.raises(DataRefused) as refusal:
        run(spark, config, only=("order_lines",), run_id="bad")
    assert refusal.value.exit_code == 3
    assert (store.version("order_lines"), rows_of(store, "order_lines")) == before
    statuses = {
        row["table_name"]: row["status"] for row in store.read(by_name()["runs"]).where("run_id = 'bad'").collect()
    }
    assert statuses == {"raw_orders": "taken_in", "sources": "refused"}
