"""The command line in this very process: exit codes, and one readable paragraph for each failure."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession
from rich.console import Console
from small_shop import ORDER_HEADER, SmallRun, assert_second_reader, small_shop, write_csv

from habitue.cli import main
from habitue.config import resolve
from habitue.progress import ConsoleProgress
from habitue.store import Store
from habitue.tables import by_name

FOUNDATION = "order_lines,orders,features"


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, what was printed, and the paragraph on stderr."""
    code: int | str | None = 0
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert isinstance(code, int)
    assert "Traceback" not in printed.err
    if code:
        assert printed.err.startswith("habitue: ")
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--no-such-option"], "No such option"),
        (["no-such-command"], "No such command"),
        (["run", "--config", "none.yml"], "There is no configuration file none.yml"),
        (["run", "--config", "a.yml", "--orders", "o.csv"], "not both"),
        (["run", "--as-of", "31.12.2023"], "--as-of 31.12.2023: write a day as YYYY-MM-DD"),
        (["run", "--now", "today"], "--now today"),
        (["run", "--set", "loyal.percentle=1"], "did you mean 'percentile'?"),
        (["run", "--set", "loyal"], "write --set key.path=value"),
        (["sql"], "Give a query"),
        (["sql", "SELECT 1", "--format", "xml"], "--format xml"),
        (["sql", "--file", "none.sql"], "none.sql cannot be read"),
        (["init", "none.csv"], "none.csv"),
        (["init", "none.csv", "--column", "customer_id"], "ours=theirs"),
        (["maintain"], "comes with a later version"),
        (["maintain", "--dry-run"], "comes with a later version"),
        (
            ["run", "--from", "2017-03-01", "--to", "2017-12-01", "--every", "month"],
            "--from comes with a later version",
        ),
        (["run", "--every", "month"], "--every comes with a later version"),
    ],
)
def test_bad_usage_is_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, paragraph = outcome(capsys, *arguments)
    assert code == 2, paragraph
    assert expected in paragraph


def test_version_and_configuration_need_no_spark(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_text("shop: {name: Mine}\nsources: {orders: {path: o.csv}}\n")
    assert outcome(capsys, "version")[:2] == (0, "0.1.0\n")
    code, shown, _ = outcome(capsys, "config", "show", "--config", str(path), "--set", "loyal.percentile=0.9")
    lines = dict(line.split(" = ", 1) for line in shown.splitlines())
    assert code == 0
    assert lines["shop.name"] == f"'Mine'  # {path}"
    assert lines["loyal.percentile"] == "0.9  # --set loyal.percentile=0.9"
    assert lines["loyal.min_purchase_days"] == "2  # conf/base.yml"
    assert lines["sources.orders.path"] == f"'{tmp_path / 'o.csv'}'  # {path}"
    assert lines["sources.orders.decimal"] == "'.'  # source_defaults, conf/base.yml"
    assert outcome(capsys, "config", "validate", "--config", str(path))[:2] == (
        0,
        "The configuration is valid. Sources: orders.\n",
    )
    code, schema, _ = outcome(capsys, "config", "schema")
    assert (code, json.loads(schema)["type"]) == (0, "object")


def test_secrets_are_not_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(
        "tracking: {uri: 'postgresql://me:hidden1@host/db'}\n"
        "spark: {settings: {spark.hadoop.fs.s3a.secret.key: hidden2, spark.ui.port: '4050'}}\n"
    )
    code, shown, _ = outcome(capsys, "config", "show", "--config", str(path))
    assert code == 0 and "hidden" not in shown
    assert f"tracking.uri = 'postgresql://me:***@host/db'  # {path}" in shown
    assert f"spark.settings.spark.hadoop.fs.s3a.secret.key = '***'  # {path}" in shown
    assert "spark.settings.spark.ui.port = '4050'" in shown


def test_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "orders [x].csv"
    path.write_text("customer_id,date\n1,2017-01-13\n1,2017-01-14\n")
    code, said, _ = outcome(capsys, "init", str(path), "--output", str(tmp_path / "shop [bold].yml"))
    assert code == 0 and f"Wrote {tmp_path}/shop [bold].yml." in said
    text = io.StringIO()
    progress = ConsoleProgress(Console(file=text, width=200))
    progress.skipped("orders", "no [x] and :x: in it")
    progress.stage("[features]")
    assert "no [x] and :x: in it" in text.getvalue() and "[features]" in text.getvalue()


def test_times_are_shown_in_utc() -> None:
    """A classic session shows what it collects on the clock of the process."""
    script = "from datetime import datetime; from habitue.cli import main; main(['version']); print(datetime.fromtimestamp(0))"
    berlin = {**os.environ, "TZ": "Europe/Berlin"}
    done = subprocess.run([sys.executable, "-c", script], env=berlin, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1970-01-01 00:00:00"


def test_orders_without_a_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> None:
    """What cannot be guessed is asked with the command that takes the answer; what was edited is not overwritten."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"o{i}", f"c{i % 7}", f"2024-01-{i % 27 + 1:02d} 10:0{i % 6}:00", f"{i}.50") for i in range(60)]
    header = ("order_id", "customer_id", "ordered_at", "amount")
    timed = write_csv(tmp_path / "timed.csv", header, rows)
    code, _, paragraph = outcome(capsys, "run", "--orders", timed, "--warehouse", "w")
    assert code == 2
    assert "--time-zone" in paragraph and f"options of `habitue init {timed}`" in paragraph
    days = write_csv(tmp_path / "days.csv", header, [(*row[:2], row[2][:10], row[3]) for row in rows])
    code, said, paragraph = outcome(capsys, "run", "--orders", days, "--warehouse", "w", "--only", "order_lines")
    assert code == 0, paragraph
    assert "60 rows in = 60 kept" in said
    Path("w/shop.yml").write_text(Path("w/shop.yml").read_text() + "# edited\n")
    code, _, paragraph = outcome(capsys, "run", "--orders", days, "--warehouse", "w", "--only", "order_lines")
    assert code == 2 and "habitue run --config w/shop.yml" in paragraph


def test_init_and_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> None:
    """A file that nobody prepared to a configuration, to tables, to an answer; then the same data broken: refused."""
    monkeypatch.chdir(tmp_path)
    rows = [line for line in small_shop().lines if line[4] > 0]
    header = ("Order No", "Customer No", "Order Date", "SKU", "Qty", "Amount", "Discount")
    path = write_csv(tmp_path / "orders.csv", header, rows)
    assert len(header) == len(ORDER_HEADER)
    code, said, paragraph = outcome(capsys, "init", path, "--time-zone", "UTC")
    assert code == 0, paragraph
    assert "Wrote shop.yml" in said and "customer_id: Customer No" in said
    columns = yaml.safe_load(Path("shop.yml").read_text())["sources"]["orders"]["columns"]
    assert columns == {  # all discounts are below 1, so they may as well be rates: not taken
        "order_id": "Order No", "customer_id": "Customer No", "ordered_at": "Order Date", "product_id": "SKU",
        "quantity": "Qty", "amount": "Amount",
    }  # fmt: skip
    assert "--force" in outcome(capsys, "init", path, "--time-zone", "UTC")[2]

    arguments = ("run", "--config", "shop.yml", "--warehouse", "w", "--as-of", "2023-11-01", "--only", FOUNDATION)
    code, said, paragraph = outcome(capsys, *arguments)
    assert code == 0, paragraph
    assert f"{len(rows):,} rows in = {len(rows):,} kept + 0 merged + 0 quarantined" in said
    assert "As of 2023-11-01" in said and "Written: order_lines" in said
    query = "SELECT as_of, count(*) AS customers FROM customer_features_latest GROUP BY as_of"
    code, said, _ = outcome(capsys, "sql", query, "--warehouse", "w", "--format", "csv")
    customers = len({line[1] for line in rows if line[2] < "2023-11-01"})
    assert (code, said) == (0, f"as_of,customers\n2023-11-01,{customers}\n")

    write_csv(
        tmp_path / "orders.csv",
        header,
        [(line[0], "", *line[2:]) if i % 5 == 0 else line for i, line in enumerate(rows)],
    )
    code, _, paragraph = outcome(capsys, *arguments)
    assert code == 3, paragraph
    assert "missing_customer_id" in paragraph and "max_quarantined_share" in paragraph
    again = outcome(capsys, "sql", query, "--warehouse", "w", "--format", "csv")
    assert again[:2] == (0, said)


PAID = ("order_id", "customer_id", "ordered_at", "product_id", "amount", "currency")
TWENTY = [(f"o{i}", f"c{i % 4}", f"2024-01-{i:02}", f"p{i % 3}", "10.00", "EUR") for i in range(1, 21)]


def twenty_orders(folder: Path, *changed: tuple[str, ...]) -> str:
    """A configuration, without settings of its own but these, for twenty orders of which the last ones are `changed`."""
    path = write_csv(folder / "orders.csv", PAID, [*TWENTY[: 20 - len(changed)], *changed])
    settings = {"sources": {"orders": {"path": path}}, "warehouse": str(folder / "w"), "tracking": {"uri": None}}
    (folder / "shop.yml").write_text(yaml.safe_dump(settings))
    return str(folder / "shop.yml")


def test_two_currencies_are_refused_until_there_is_a_rate(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spark: SparkSession
) -> None:
    config = twenty_orders(tmp_path)
    some = ("run", "--config", config, "--only", "order_lines", "--only", "orders")
    store = Store(spark, resolve(config).config)
    assert outcome(capsys, *some)[0] == 0
    assert worth(store) == Decimal(200)
    twenty_orders(tmp_path, ("o20", "c0", "2024-01-20", "p2", "10.00", "USD"))
    code, _, paragraph = outcome(capsys, "run", "--config", config)
    assert code == 3 and "amounts are in EUR, USD" in paragraph and "currency_rates" in paragraph
    assert worth(store) == Decimal(200)  # nothing was changed, and `runs` says why
    (refused,) = store.read(by_name()["runs"]).where("status = 'refused'").collect()
    assert "amounts are in EUR, USD" in refused["detail"]
    rates = ("--set", "shop.currency=EUR", "--set", "currency_rates.USD=0.5")
    assert outcome(capsys, *some, *rates)[0] == 0
    assert worth(store) == Decimal(195)  # 19 x 10 + 10 x 0.5


def worth(store: Store) -> Decimal:
    return sum((row["amount"] for row in store.read(by_name()["orders"]).collect()), Decimal(0))


def test_orders_of_2099_are_set_aside_or_refused_by_their_share(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spark: SparkSession
) -> None:
    """At the gate as it comes, 5 %: of twenty orders two are too many, one is not."""
    late = [(f"o{i}", "c0", "2099-01-01", "p2", "10.00", "EUR") for i in (19, 20)]
    config = twenty_orders(tmp_path, *late)
    arguments = ("run", "--config", config, "--now", "2024-06-01T00:00:00")
    code, _, paragraph = outcome(capsys, *arguments)
    assert code == 3, paragraph
    assert "2 of 20 rows (10.0 %) cannot be used (future_ordered_at 2)" in paragraph
    assert "max_quarantined_share is 5.0 %" in paragraph
    assert {path.name for path in (tmp_path / "w").iterdir()} == {"_work_orders", "runs"}

    twenty_orders(tmp_path, late[1])
    code, said, paragraph = outcome(capsys, *arguments)  # the whole run
    assert code == 0, paragraph
    assert "As of 2024-01-20" in said and "20 rows in = 19 kept + 0 merged + 1 quarantined" in said
    query = "SELECT errors, get_json_object(raw_row, '$.ordered_at') AS written FROM quarantine"
    code, aside, _ = outcome(capsys, "sql", query, "--config", config, "--format", "json")
    assert (code, json.loads(aside)) == (0, {"errors": ["future_ordered_at"], "written": "2099-01-01"})
    store = Store(spark, resolve(config).config)
    checked = assert_second_reader(store)
    assert {"segments", "segment_members", "segment_candidates", "purchase_patterns", "cohort_retention"} <= checked
    assert {"cohort_retention_by", "cohort_retention_weekly", "segment_retention", "loyalty_contrast"} <= checked
    told = {
        row["table_name"]: row["detail"] for row in store.read(by_name()["runs"]).where("status = 'skipped'").collect()
    }
    assert all(told[name] for name in ("sends", "item_journeys", "loyalty_scores", "response_scores"))


def test_tables_and_answers(capsys: pytest.CaptureFixture[str], small_run: SmallRun, tmp_path: Path) -> None:
    warehouse = small_run.config.warehouse
    code, listed, _ = outcome(capsys, "tables", "--warehouse", warehouse)
    assert code == 0
    rows = {line.split()[0]: line.split() for line in listed.splitlines() if line.strip()}
    assert rows["customer_features"][1:3] == ["features", str(small_run.result.written["customer_features"])]
    assert "_work_known_orders" not in rows
    code, _, paragraph = outcome(capsys, "sql", "SELECT nothing FROM orders", "--warehouse", warehouse)
    assert (code, "The query does not work" in paragraph) == (2, True)
    code, _, paragraph = outcome(capsys, "tables", "--warehouse", str(tmp_path / "none"))
    assert (code, "There are no tables at" in paragraph) == (1, True)


def test_without_orders_nothing_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path, spark: SparkSession) -> None:
    code, _, paragraph = outcome(capsys, "run", "--warehouse", str(tmp_path), "--only", "clean")
    assert (code, "sources.orders is not configured" in paragraph) == (2, True)
    code, _, paragraph = outcome(capsys, "run", "--warehouse", str(tmp_path), "--only", "featurs")
    assert (code, "did you mean 'features'?" in paragraph) == (2, True)
