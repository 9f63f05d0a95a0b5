"""Reading files as they come. The expected rows are what was written, as text, under the header's own names."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from small_shop import NOW, configured

from habitue.errors import DataRefused, UsageError
from habitue.sources import orders, reading
from habitue.sources.cleaning import rules_of
from habitue.sources.intake import take_in
from habitue.sources.reading import MALFORMED, read_raw
from habitue.store import Store

Rows = list[dict[str, Any]]
TWO: Rows = [{"id": "1", "name": "Zoë"}, {"id": "2", "name": "a,b"}]


def read(spark: SparkSession, path: Path | str, **settings: Any) -> Rows:
    """All rows as dicts without the NULLs, in an order of their own."""
    config = configured("unused", {"orders": {"path": str(path), **settings}})
    frame = read_raw(spark, "orders", config.sources["orders"])
    return in_order({k: v for k, v in row.asDict().items() if v is not None} for row in frame.collect())


def in_order(rows: Any) -> Rows:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


CSV = 'id,name\n1,Zoë\n2,"a,b"\n'
JSON = '{"id": 1, "name": "Zoë"}\n{"name": "a,b", "id": "2"}\n'
SPACED = "  id  name\r\n 1   Zoë\r\n  2   a,b  \r\n\r\n"


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        ("plain.csv", CSV, {}),
        ("bom and spaces.csv", "\ufeff id , name\n" + CSV.split("\n", 1)[1], {}),
        ("semicolon.csv", CSV.replace(",name", ";name").replace("1,", "1;").replace("2,", "2;"), {"delimiter": ";"}),
        ("tab.csv", "id\tname\r\n1\tZoë\r\n2\ta,b\r\n", {"delimiter": "\\t"}),
        ("pipe.csv", "id|name\n1|Zoë\n2|'a,b'\n", {"delimiter": "|", "quote": "'"}),
        ("latin.csv", CSV.encode("latin-1"), {"encoding": "ISO-8859-1"}),
        ("utf16.csv", CSV.encode("utf-16"), {"encoding": "UTF-16"}),
        ("packed.csv.gz", gzip.compress(CSV.encode()), {}),
        ("spaces.txt", SPACED, {"delimiter": "spaces"}),
        ("spaces.txt", SPACED.encode("cp1250"), {"delimiter": "spaces", "encoding": "cp1250"}),
        ("spaces.txt", SPACED.encode("utf-16"), {"delimiter": "spaces", "encoding": "UTF-16"}),
        ("lines.json", JSON, {"format": "json"}),
        ("lines.json", JSON.encode("latin-1"), {"format": "json", "encoding": "ISO-8859-1"}),
        ("lines.json", JSON.replace("\n", "\r\n").encode("cp1250"), {"format": "json", "encoding": "cp1250"}),
    ],
    ids=[
        *("plain", "bom", "semicolon", "tab", "pipe", "latin", "utf16", "packed"),
        *("spaces", "spaces cp1250", "spaces utf16", "json", "json latin", "json cp1250"),
    ],
)
def test_one_file(
    spark: SparkSession, tmp_path: Path, name: str, content: str | bytes, settings: Mapping[str, Any]
) -> None:
    assert read(spark, file(tmp_path, name, content), **settings) == in_order(TWO)


def test_windows_1252(spark: SparkSession, tmp_path: Path) -> None:
    """Excel's encoding in western Europe: the euro sign and the dash are no letters of ISO 8859-1."""
    path = file(tmp_path, "windows.csv", "Preis €,Name\n12 €,Zoë\n5,a–b\n".encode("cp1252"))
    expected = [{"Preis €": "12 €", "Name": "Zoë"}, {"Preis €": "5", "Name": "a–b"}]
    assert read(spark, path, encoding="Windows-1252") == in_order(expected)


def test_any_single_byte_encoding(spark: SparkSession, tmp_path: Path) -> None:
    text = "Zákazník,Jméno\nŽofie,Dvořák\n"
    for encoding in ("cp1250", "ISO-8859-2"):
        path = file(tmp_path, f"{encoding}.csv", text.encode(encoding))
        assert read(spark, path, encoding=encoding) == [{"Zákazník": "Žofie", "Jméno": "Dvořák"}]


def test_headers_that_differ_by_spaces_and_quotes_are_one(spark: SparkSession, tmp_path: Path) -> None:
    file(tmp_path, "1.csv", "id, name\n1,one\n")
    file(tmp_path, "2.csv", "\ufeffid,'name'\n2,two\n")
    assert read(spark, tmp_path) == [{"id": "1", "name": "one"}, {"id": "2", "name": "two"}]


def test_no_header(spark: SparkSession, tmp_path: Path) -> None:
    expected = [{"c1": "1", "c2": "Zoë"}, {"c1": "2", "c2": "a,b"}]
    headless = file(tmp_path, "a.csv", CSV.split("\n", 1)[1])
    assert read(spark, headless, header=False) == in_order(expected)
    spaced = file(tmp_path, "b.txt", SPACED.split("\r\n", 1)[1])
    assert read(spark, spaced, header=False, delimiter="spaces") == in_order(expected)


def test_a_folder_of_files_that_differ(spark: SparkSession, tmp_path: Path) -> None:
    """Other column orders, a column more, a file without rows, one without anything, one in a folder below, one packed."""
    file(tmp_path, "1.csv", "id,name\n1,one\n")
    file(tmp_path, "2.csv", "name,id,more\ntwo,2,x\n")
    file(tmp_path, "3.csv", "id,name\n")
    file(tmp_path, "4.csv", "")
    file(tmp_path, "below/5.csv.gz", gzip.compress(b"id,name\n5,five\n"))
    file(tmp_path, "_hidden.csv", "id,name\n6,six\n")
    expected = [{"id": "1", "name": "one"}, {"id": "2", "name": "two", "more": "x"}, {"id": "5", "name": "five"}]
    assert read(spark, tmp_path) == in_order(expected)


def test_many_files_that_contradict_the_first_are_refused(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the files that are compared one by one: never read by position under another file's header."""
    monkeypatch.setattr(reading, "MOST_FILES_COMPARED", 2)
    for i in range(3):
        file(tmp_path / "alike", f"{i}.csv", f"id,name\n{i},one\n")
        file(tmp_path / "swapped", f"{i}.csv", "name,id\none,2\n" if i == 2 else f"id,name\n{i},one\n")
        columns = {"id": [str(i)], **({"more": ["x"]} if i == 2 else {})}
        (tmp_path / "parquet").mkdir(exist_ok=True)
        pd.DataFrame(columns).to_parquet(tmp_path / "parquet" / f"{i}.parquet")
    assert len(read(spark, tmp_path / "alike")) == 3
    with pytest.raises(Exception, match="header"):
        read(spark, tmp_path / "swapped")
    assert {"id": "2", "more": "x"} in read(spark, tmp_path / "parquet", format="parquet")


def test_folders_that_hold_values(spark: SparkSession, tmp_path: Path) -> None:
    file(tmp_path, "day=2024-01-01/shop=a b/1.csv", "id\n1\n")
    file(tmp_path, "day=2024-01-02/shop=__HIVE_DEFAULT_PARTITION__/2.csv", "id,day\n2,own\n")
    expected = [{"id": "1", "day": "2024-01-01", "shop": "a b"}, {"id": "2", "day": "own"}]
    assert read(spark, tmp_path) == in_order(expected)


def test_folders_of_json_that_hold_values(spark: SparkSession, tmp_path: Path) -> None:
    file(tmp_path, "day=2024-01-01/1.json", '{"id": 1}\n')
    file(tmp_path, "day=2024-01-02/2.json", '{"id": 2}\n')
    expected = [{"id": "1", "day": "2024-01-01"}, {"id": "2", "day": "2024-01-02"}]
    assert read(spark, tmp_path, format="json") == in_order(expected)


def test_parquet_whose_types_change_between_files(spark: SparkSession, tmp_path: Path) -> None:
    """One customer and one instant, in each file as another type: the same text in all, and the same instant."""
    at = "2024-07-10 10:30:00"
    frames = {
        "1": pd.DataFrame({"customer_id": [1001.0, None], "ordered_at": pd.to_datetime([at, at], utc=True)}),
        "2": pd.DataFrame({"customer_id": ["1001"], "ordered_at": ["2024-07-10 12:30"]}),
        "3": pd.DataFrame({"customer_id": [1001], "ordered_at": [pd.Timestamp(at).date()], "amount": [1.5]}),
    }
    for name, frame in frames.items():
        frame.to_parquet(tmp_path / f"{name}.parquet", coerce_timestamps="us")
    config = configured(
        "unused", {"orders": {"path": str(tmp_path), "format": "parquet"}}, shop={"time_zone": "Europe/Berlin"}
    )
    raw = read_raw(spark, "orders", config.sources["orders"])
    cleaned = orders.cleaned(raw.drop("amount"), rules_of(config, "orders", NOW), config).collect()
    found = sorted((str(row["customer_id"]), row["ordered_at"]) for row in cleaned)
    assert found == [
        ("1001", datetime(2024, 7, 9, 22)),
        ("1001", datetime(2024, 7, 10, 10, 30)),
        ("1001", datetime(2024, 7, 10, 10, 30)),
        ("None", datetime(2024, 7, 10, 10, 30)),
    ]


def test_delta_folder_and_table(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(1, "Zoë"), (2, "a,b")], "id int, name string")
    frame.write.format("delta").save(str(tmp_path / "delta"))
    expected = [{"id": 1, "name": "Zoë"}, {"id": 2, "name": "a,b"}]
    assert read(spark, tmp_path / "delta", format="delta") == expected
    frame.createOrReplaceTempView("a_table")
    config = configured("unused", {"orders": {"table": "a_table"}, "products": {"table": "no_such_table"}})
    assert read_raw(spark, "orders", config.sources["orders"]).count() == 2
    with pytest.raises(UsageError, match=r"sources\.products\.table: there is no table no_such_table"):
        read_raw(spark, "products", config.sources["products"])


def test_long_fields_quotes_and_lines_that_do_not_fit(spark: SparkSession, tmp_path: Path) -> None:
    million = "x" * 1_000_000
    lines = ["id,name", f'1,"{million}"', '2,"two\nlines"', '3,"say ""hi"""', "4,too,many", "5"]
    rows = {row["id"]: row for row in read(spark, file(tmp_path, "odd.csv", "\n".join(lines) + "\n"))}
    assert (rows["1"]["name"], rows["2"]["name"], rows["3"]["name"]) == (million, "two\nlines", 'say "hi"')
    assert {key for key, row in rows.items() if MALFORMED in row} == {"4", "5"}
    assert rows["4"][MALFORMED] == "4,too,many"


def test_lines_that_do_not_fit_are_quarantined(spark: SparkSession, tmp_path: Path) -> None:
    content = "customer_id,ordered_at\na,2024-01-01\nb,2024-01-02,what\nc,2024-01-03\n"
    config = configured(
        tmp_path / "warehouse",
        {"orders": str(file(tmp_path, "o.csv", content))},
        cleaning={"max_quarantined_share": 0.5},
    )
    account = take_in(Store(spark, config), config, NOW, lambda *_: None).accounts["orders"]
    assert (account.rows_in, account.kept, dict(account.reasons)) == (3, 2, {"malformed_row": 1})


def test_only_a_line_that_does_not_fit_shows_the_column_for_it(spark: SparkSession, tmp_path: Path) -> None:
    content = "customer_id,ordered_at\n,2024-01-01\nb,2024-01-02,what\n"
    config = configured("unused", {"orders": str(file(tmp_path, "o.csv", content))})
    raw = read_raw(spark, "orders", config.sources["orders"])
    rows = orders.cleaned(raw, rules_of(config, "orders", NOW), config).collect()
    found = {tuple(row["errors"]): json.loads(row["raw_row"]) for row in rows}
    assert found[("missing_customer_id",)] == {"customer_id": None, "ordered_at": "2024-01-01"}
    assert found[("malformed_row",)][MALFORMED] == "b,2024-01-02,what"


def test_nothing_there_and_nothing_in_it(spark: SparkSession, tmp_path: Path) -> None:
    missing = tmp_path / "missing.csv"
    for settings in ({}, {"format": "parquet"}, {"format": "delta"}, {"delimiter": "spaces"}):
        with pytest.raises(UsageError, match=r"sources\.orders: there is nothing at .*missing\.csv"):
            read(spark, missing, **settings)
    empty = file(tmp_path, "empty.csv", "")
    for settings in ({}, {"delimiter": "spaces"}, {"format": "json"}):
        with pytest.raises(DataRefused, match=r"empty\.csv has no columns and no rows"):
            read(spark, empty, **settings)


def test_a_broken_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    pd.DataFrame({"customer_id": ["a"], "ordered_at": ["2024-01-01"]}).to_parquet(tmp_path / "good.parquet")
    file(tmp_path, "broken.parquet", b"PAR1 this is no parquet")
    with pytest.raises(DataRefused, match=r"broken\.parquet"):
        read(spark, tmp_path, format="parquet")


def test_a_file_that_breaks_off_is_named(spark: SparkSession, tmp_path: Path) -> None:
    rows = "".join(f"customer {i},2024-01-01\n" for i in range(50_000))
    packed = gzip.compress(b"customer_id,ordered_at\n" + rows.encode())
    file(tmp_path, "in/good.csv", "customer_id,ordered_at\na,2024-01-01\n")
    file(tmp_path, "in/cut.csv.gz", packed[: len(packed) // 2])
    config = configured(tmp_path / "warehouse", {"orders": str(tmp_path / "in")})
    with pytest.raises(DataRefused, match=r"cut\.csv\.gz"):
        take_in(Store(spark, config), config, NOW, lambda *_: None)
