"""`habitue init` on real text that nobody prepared: CDNOW's files, from the guess to the rows that are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from habitue.cli import main
from habitue.config import resolve
from habitue.sources.reading import read_raw

FOLDER = Path(__file__).parents[2] / ".data" / "cdnow"
SAMPLE_HEADER = " customer_id sample_id  date number_of_cds  dollar_value\r\n"
MASTER_COLUMNS = {
    "customer_id": "customer_id",
    "ordered_at": "date",
    "quantity": "number_of_cds",
    "amount": "dollar_value",
}


@pytest.mark.parametrize(
    ("name", "has_header", "columns"),
    [
        # The sample comes without a header, and numbers its customers twice.
        ("CDNOW_sample.txt", False, {"customer_id": "c1", "ordered_at": "c3", "quantity": "c4", "amount": "c5"}),
        ("CDNOW_sample.txt", True, MASTER_COLUMNS),
        ("CDNOW_master.txt", True, MASTER_COLUMNS),
        ("CDNOW_master.txt", False, {"customer_id": "c1", "ordered_at": "c2", "quantity": "c3", "amount": "c4"}),
    ],
)
def test_cdnow_with_and_without_a_header(
    spark: SparkSession, tmp_path: Path, name: str, has_header: bool, columns: dict[str, str]
) -> None:
    if not (FOLDER / name).exists():
        pytest.skip(f"{name} is not there: `make data` fetches it")
    text = (FOLDER / name).read_bytes()
    if name == "CDNOW_sample.txt" and has_header:
        text = SAMPLE_HEADER.encode() + text
    if name == "CDNOW_master.txt" and not has_header:
        text = text.split(b"\n", 1)[1]
    (tmp_path / name).write_bytes(text)
    main(["init", str(tmp_path / name), "--output", str(tmp_path / "shop.yml")])
    written = yaml.safe_load((tmp_path / "shop.yml").read_text(encoding="utf-8"))
    assert written["shop"]["time_zone"] == "UTC"
    orders = written["sources"]["orders"]
    read = {key: orders[key] for key in ("path", "format", "delimiter", "header", "date_format", "decimal", "columns")}
    assert read == {
        "path": name,
        "format": "csv",
        "delimiter": "spaces",
        "header": has_header,
        "date_format": "yyyyMMdd",
        "decimal": ".",
        "columns": columns,
    }
    frame = read_raw(spark, "orders", resolve(str(tmp_path / "shop.yml")).config.sources["orders"])
    assert frame.count() == len(text.split(b"\n")) - 1 - has_header
