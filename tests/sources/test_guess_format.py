"""The outside of files: each case is a small file written byte by byte, with what a person sees in it."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from habitue.errors import UsageError
from habitue.sources import guess_format
from habitue.sources.guess_format import look


def write(folder: Path, content: str | bytes, name: str = "orders.csv") -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def certainty(sample: guess_format.Sample, what: str) -> str:
    return next(f.certainty for f in sample.findings if f.what == what)


@pytest.mark.parametrize(
    ("text", "delimiter", "width"),
    [
        ("id,day\n1,2017-01-01\n", ",", 2),
        ("id;day;amount\n1;2017-01-01;12,50\n2;2017-01-02;1,00\n", ";", 3),
        ("1;2,50;3,10\n2;3,50;4,10\n", ";", 3),  # without a header, commas split into three as well
        ("id\tday\ttext\n1\t2017-01-01\ta, b\n", "\t", 3),
        ("id|day\n1|2017-01-01\n", "|", 2),
        (" id  day amount\r\n 1 19970101   11.77\r\n 2 19970102  5.00\r\n", "spaces", 3),
        (" 1 19970101 1 11,77\n 2 19970102 3 5,00\n", "spaces", 4),  # the comma is a decimal one
        ("2017-01-01 10:00:00,5\n2017-01-02 11:00:00,6\n", ",", 2),  # the space is inside a timestamp
        ("2017-01-01 10:00:00 +0200,5\n2017-01-02 11:00:00 +0200,6\n", ",", 2),
        ("id,tags\n1,a;b\n2,c;d\n3,e;f\n", ",", 2),  # a sub-list in every row
    ],
)
def test_delimiter(tmp_path: Path, text: str, delimiter: str, width: int) -> None:
    sample = look(write(tmp_path, text))
    assert (sample.delimiter, len(sample.rows[0])) == (delimiter, width)


def test_a_quoted_field_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    sample = look(write(tmp_path, 'id,text,n\n1,"a, ""b""\nc",5\n2,"d",6\n'))
    assert sample.rows == [["1", 'a, "b"\nc', "5"], ["2", "d", "6"]]
    assert sample.quote == '"'
    assert certainty(sample, "quote") == "certain"


def test_single_quotes(tmp_path: Path) -> None:
    sample = look(write(tmp_path, "id,text\n1,'a, b'\n2,'c'\n"))
    assert sample.quote == "'"
    assert sample.rows[0] == ["1", "a, b"]


@pytest.mark.parametrize(
    ("codec", "encoding", "sure"),
    [
        ("utf-8", "utf-8", "certain"),
        ("utf-8-sig", "utf-8", "certain"),
        ("utf-16", "utf-16", "certain"),
        ("cp1252", "windows-1252", "guess"),
    ],
)
def test_encoding(tmp_path: Path, codec: str, encoding: str, sure: str) -> None:
    sample = look(write(tmp_path, "Währung,Name\nEUR,Müller\n".encode(codec)))
    assert sample.encoding == encoding
    assert certainty(sample, "encoding") == sure
    assert sample.first_rows[0][1] == ["Währung", "Name"]
    assert sample.rows == [["EUR", "Müller"]]


def test_plain_ascii_is_only_likely_utf_8(tmp_path: Path) -> None:
    assert certainty(look(write(tmp_path, "a,b\n1,2\n")), "encoding") == "likely"


def test_a_given_encoding_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--encoding"):
        look(write(tmp_path, "a,b\nMüller,2\n".encode("cp1252")), encoding="utf-8")


@pytest.mark.parametrize("packed", [False, True])
def test_the_sample_is_bounded_and_looks_further_on(tmp_path: Path, packed: bool) -> None:
    # 600,000 lines of 23 bytes are 13.8 MB: beyond the head's 4 MB, at least one line comes from each later spot.
    text = "".join(f"{i:08d},2017-01-01,12\n" for i in range(600_000))
    path = write(tmp_path, gzip.compress(text.encode(), 1) if packed else text, "o.csv" + (".gz" if packed else ""))
    sample = look(path)
    ids = [int(row[0]) for row in sample.rows]
    assert len(ids) < 30_000
    assert ids[:3] == [1, 2, 3]
    assert sum(i > 300_000 for i in ids) > 100
    assert all(len(row) == 3 and len(row[0]) == 8 for row in sample.rows)
    if not packed:
        assert ids[-1] == 599_999


def test_utf_16_further_on(tmp_path: Path) -> None:
    text = "".join(f"{i:08d},ü\n" for i in range(300_000))  # 11 letters, 22 bytes a line: 6.6 MB
    sample = look(write(tmp_path, text.encode("utf-16")))
    assert sample.rows[-1] == ["00299999", "ü"]
    assert {row[1] for row in sample.rows} == {"ü"}


def test_a_field_of_a_million_characters(tmp_path: Path) -> None:
    sample = look(write(tmp_path, f"a,b\n1,{'x' * 1_000_000}\n2,y\n"))
    assert [len(row[1]) for row in sample.rows] == [1_000_000, 1]


def test_a_folder_is_sampled_over_its_files_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    for month in ("01", "02"):
        write(tmp_path, f"id,day\n1,2017-{month}-05\n", f"{month}.csv")
    write(tmp_path, "", "_SUCCESS")
    write(tmp_path, "", "03.csv")
    sample = look(str(tmp_path))
    assert [row[1] for row in sample.rows] == ["2017-01-05", "2017-02-05"]
    assert [row for _, row in sample.first_rows] == [["id", "day"]] * 2


def test_lines_of_another_width_are_counted(tmp_path: Path) -> None:
    sample = look(write(tmp_path, "a,b\n" + "1,2\n" * 30 + "1,2,3\n"))
    assert len(sample.rows) == 30
    assert "1 of 31" in next(f.reason for f in sample.findings if f.what == "fields a line")


def test_json_lines(tmp_path: Path) -> None:
    rows = [{"customer": 1, "at": "2017-01-01"}, {"customer": 2, "total": 1.5, "items": [1]}]
    sample = look(write(tmp_path, "\n".join(json.dumps(r) for r in rows), "o.jsonl"))
    assert sample.format == "json"
    assert sample.names == ["customer", "at", "total", "items"]
    assert sample.rows == [["1", "2017-01-01", "", ""], ["2", "", "1.5", "[1]"]]


def test_parquet_keeps_types_and_partition_folders(tmp_path: Path) -> None:
    table = pa.table({"at": pa.array([datetime(2017, 1, 1, 9)], pa.timestamp("ns")), "x": [float("nan")]})
    (tmp_path / "year=2017").mkdir()
    pq.write_table(table, tmp_path / "year=2017" / "a.parquet")
    sample = look(str(tmp_path))
    assert (sample.format, sample.names, sample.types) == (
        "parquet",
        ["at", "x", "year"],
        {"at": "timestamp", "x": "decimal"},
    )
    assert sample.rows == [["2017-01-01T09:00:00", "", "2017"]]


def test_delta_reads_only_files_that_are_still_in_the_table(tmp_path: Path) -> None:
    for name, value in (("old", 1), ("new", 2)):
        pq.write_table(pa.table({"customer_id": [value]}), tmp_path / f"{name}.parquet")
    log = tmp_path / "_delta_log"
    log.mkdir()
    (log / f"{0:020d}.json").write_text(json.dumps({"add": {"path": "old.parquet"}}))
    actions = [{"remove": {"path": "old.parquet"}}, {"add": {"path": "new.parquet"}}]
    (log / f"{1:020d}.json").write_text("\n".join(json.dumps(a) for a in actions))
    sample = look(str(tmp_path))
    assert (sample.format, sample.rows) == ("delta", [["2"]])


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "o.csv", "holds nothing"),
        (b"\n \n", "o.csv", "blank lines"),
        (b"PK\x03\x04rest", "o.xlsx", "Excel"),
        (b'[{"a": 1},\n{"a": 2}]', "o.json", "JSON lines"),
        (b"{not json\n{at all\n", "o.json", "not objects"),
        ('{"a": 1}\n{"a": 2}\n'.encode("utf-16"), "o.json", "JSON in utf-16"),
        (gzip.compress(b"a,b\n1,2\n"), "o.csv", "gzip"),
        (gzip.compress(b"a,b\n1,2\n" * 1000)[:-20], "o.csv.gz", "whole"),
        (b"PAR1 and no more", "o.parquet", "whole"),
    ],
    ids=[
        "empty",
        "blank",
        "excel",
        "json array",
        "no objects",
        "utf-16 json",
        "packed, not named so",
        "cut off",
        "no parquet",
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        look(write(tmp_path, content, name))


def test_no_such_path_and_mixed_formats(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        look(str(tmp_path / "none.csv"))
    write(tmp_path, "a,b\n1,2\n", "a.csv")
    write(tmp_path, '{"a": 1}\n', "b.json")
    with pytest.raises(UsageError, match="mixes formats"):
        look(str(tmp_path))
