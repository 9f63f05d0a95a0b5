"""All tables of the area insights over synthetic order lines, beside the features pass over the same lines.

Both run warm, in one process: first over a small shop, then, timed, over all lines. Every table is written to parquet.
The products have categories and brands, and customers are in four segments by how much they buy, so that every table
has its rows and none is left out.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `benchmarks` is found when this file is run
from benchmarks.feature_engines.with_habitue import order_lines
from benchmarks.features import AS_OF, PRODUCTS, WARM_UP_LINES, write_lines
from benchmarks.measuring import in_own_process, own_peak_bytes, peak_bytes

from habitue.config import Config, resolve
from habitue.session import get_session
from habitue.table import Table
from habitue.tables import TABLES
from habitue.tables.clean import orders
from habitue.tables.features import customer_features, customer_history

CATEGORIES, BRANDS = 200, 1_000
INSIGHTS = tuple(table for table in TABLES if table.area == "insights")


@dataclass(frozen=True)
class Measured:
    """Seconds of the features pass and of every table of insights; peak memory of all processes, and of Python alone."""

    lines: int
    features_seconds: float
    table_seconds: dict[str, float]
    peak_gb: float
    driver_gb: float

    @property
    def insights_seconds(self) -> float:
        return sum(self.table_seconds.values())


def main() -> None:
    arguments = _arguments()
    measured = [_measured_apart(lines, arguments.folder) for lines in arguments.sizes or [arguments.lines]]
    largest = max(measured, key=lambda m: m.lines)
    figures = {"ratio_features": round(largest.insights_seconds / largest.features_seconds, 3)}
    print(f"{'lines':>12s} {'features s':>11s} {'insights s':>11s} {'ratio':>6s} {'peak GB':>8s} {'driver GB':>9s}")
    for m in measured:
        ratio = m.insights_seconds / m.features_seconds
        print(
            f"{m.lines:12,d} {m.features_seconds:11.1f} {m.insights_seconds:11.1f} {ratio:6.2f} {m.peak_gb:8.2f}"
            f" {m.driver_gb:9.2f}"
        )
    for name, seconds in largest.table_seconds.items():
        print(f"{name:26s} {seconds:6.1f} s")
    if arguments.json:
        runs = [vars(m) for m in measured]
        Path(arguments.json).write_text(json.dumps({**figures, "runs": runs}, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000_000, help="order lines to make (default: %(default)s)")
    parser.add_argument(
        "--sizes", type=lambda text: [int(part) for part in text.split(",")], help="several, such as 1000000,3000000"
    )
    parser.add_argument("--folder", help="where the files are made, and removed again (default: the temporary folder)")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def _measured_apart(lines: int, folder: str | None) -> Measured:
    """A process of its own for each size, so that its peak memory is its own."""
    with tempfile.TemporaryDirectory(prefix="habitue-insights-", dir=folder) as place:
        print(f"making {lines:,} lines ...", file=sys.stderr, flush=True)
        write_lines(Path(place) / "lines", lines)
        write_lines(Path(place) / "warm_up", WARM_UP_LINES)
        measured: Measured = in_own_process(measure, Path(place), lines)
    return measured


def measure(place: Path, lines: int) -> Measured:
    config = resolve().config
    spark = get_session(config.spark)
    Pass(spark, config, place / "warm_up", place / "warm_up_tables").run()
    features_seconds, table_seconds = Pass(spark, config, place / "lines", place / "tables").run()
    return Measured(
        lines, round(features_seconds, 2), table_seconds, *(round(b / 1e9, 3) for b in (peak_bytes(), own_peak_bytes()))
    )


class Pass:
    """The features, then every table of insights, over the lines of one folder."""

    def __init__(self, spark: SparkSession, config: Config, lines: Path, tables: Path):
        self.spark, self.config, self.tables = spark, config, tables
        self.frames: dict[str, DataFrame] = {"order_lines": order_lines(spark.read.parquet(str(lines)), AS_OF)}

    def run(self) -> tuple[float, dict[str, float]]:
        """Seconds of the features pass, and of each table."""
        lines = self.frames["order_lines"]
        features = self._timed("_work_known_orders", lambda: orders.build(lines))
        features += self._timed("customer_history", lambda: self._history(lines))
        features += self._timed("customer_features", self._features)
        self._timed("products", self._products)
        self._timed("segment_members", self._members)
        return features, {t.name: round(self._timed(t.name, partial(self._insight, t)), 2) for t in INSIGHTS}

    def _timed(self, name: str, built: Callable[[], DataFrame]) -> float:
        started = time.perf_counter()
        built().write.parquet(str(self.tables / name))
        self.frames[name] = self.spark.read.parquet(str(self.tables / name))
        return time.perf_counter() - started

    def _history(self, lines: DataFrame) -> DataFrame:
        built = customer_history.build(self.frames["_work_known_orders"], lines, AS_OF, None)
        return built.select(*customer_history.TABLE.columns)

    def _features(self) -> DataFrame:
        history = self.frames["customer_history"]
        return customer_features.build(history, AS_OF, self.config.features, self.config.loyal)

    def _products(self) -> DataFrame:
        number = F.col("id")
        return self.spark.range(PRODUCTS).select(
            F.concat(F.lit("P"), F.lpad(number.cast("string"), 9, "0")).alias("product_id"),
            F.concat(F.lit("Product "), number).alias("name"),
            F.concat(F.lit("Category "), number % CATEGORIES).alias("category"),
            F.concat(F.lit("Brand "), number % BRANDS).alias("brand"),
            F.lit(None).cast("decimal(18,4)").alias("price"),
        )

    def _members(self) -> DataFrame:
        frequency = F.col("purchase_days_per_month")
        segment = F.when(frequency < 0.2, 1).when(frequency < 0.5, 2).when(frequency < 1, 3).otherwise(4)
        return self.frames["customer_features"].select(
            F.lit(AS_OF).alias("as_of"), "customer_id", segment.alias("segment_id"), F.lit("core").alias("membership")
        )

    def _insight(self, table: Table) -> DataFrame:
        by_type = {
            type(getattr(self.config, name)): getattr(self.config, name) for name in ("insights", "features", "shop")
        }
        arguments: dict[str, Any] = {}
        for name, parameter in inspect.signature(table.build, eval_str=True).parameters.items():
            arguments[name] = self._argument(name, parameter.annotation, by_type)
        built = table.build(**arguments)
        frame: DataFrame = built if isinstance(built, DataFrame) else getattr(built, table.name)
        return frame.select(*(c for c in table.columns if c in frame.columns))

    def _argument(self, name: str, annotation: Any, by_type: dict[type, Any]) -> Any:
        as_of: date = AS_OF
        return as_of if name == "as_of" else self.frames[name] if name in self.frames else by_type[annotation]


if __name__ == "__main__":
    main()
