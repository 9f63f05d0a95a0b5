"""The console script and spark-submit, each in a process of its own, leave the same tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deltalake import DeltaTable
from small_shop import small_shop

from habitue.tables import TABLES

PROJECT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SECONDS = 500  # at most, for each of the two
# What a platform's own spark-submit would be started with; the versions are those of the environment.
SUBMIT = (
    "--conf=spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension",
    "--conf=spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "--conf=spark.ui.enabled=false",
    "--conf=spark.sql.shuffle.partitions=4",
    "--conf=spark.databricks.delta.snapshotPartitions=1",
    "--master=local[2]",
    "--driver-memory=1g",
)


def delta_package() -> str:
    """Maven's name of Delta for the installed Spark, as delta-spark's own helper makes it."""
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    options = configure_spark_with_delta_pip(SparkSession.Builder())._options
    return str(options["spark.jars.packages"])


def started(command: list[str]) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK_", "SPARK_"))}
    environment["PYSPARK_PYTHON"] = sys.executable
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
    return done.stdout


def rows(folder: Path) -> list[str]:
    return sorted(repr(row) for row in DeltaTable(str(folder)).to_pyarrow_table().to_pylist())


@pytest.mark.timeout(2 * SECONDS)
def test_console_script_and_spark_submit_leave_the_same_tables(tmp_path: Path) -> None:
    sources = {name: {"path": path} for name, path in small_shop().write(tmp_path / "shop").items()}
    file = tmp_path / "shop.yml"
    settings = {"tracking": {"uri": None}, "spark": {"driver_memory": "1g", "shuffle_partitions": 4}}
    file.write_text(yaml.safe_dump({"sources": sources, **settings}))
    console, submitted = tmp_path / "console", tmp_path / "submitted"
    options = [
        "--config",
        str(file),
        "--as-of",
        "2023-11-01",
        "--now",
        "2024-06-01T00:00:00",
        "--only",
        "clean,features",
    ]
    said = started([str(BIN / "habitue"), "run", *options, "--set", f"warehouse={console}"])
    assert "customer_features" in said
    submit = [str(BIN / "spark-submit"), f"--packages={delta_package()}", *SUBMIT]
    said = started([*submit, str(PROJECT / "jobs" / "run_all.py"), *options, "--set", f"warehouse={submitted}"])
    assert "customer_features" in said
    names = [t.name for t in TABLES if t.name != "runs" and (console / t.name).exists()]
    assert {*sources, "order_lines", "quarantine", "customer_history", "customer_features"} <= set(names)
    assert names == [t.name for t in TABLES if t.name != "runs" and (submitted / t.name).exists()]
    for name in names:
        assert rows(console / name) == rows(submitted / name), name
