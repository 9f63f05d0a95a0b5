"""Customer features of synthetic order lines: Habitué beside DuckDB, Polars and pandas.

Every engine reads the same parquet files, in a process of its own, after a warm-up on a small shop; what starts it and
imports it is not counted. The features: purchase days and spend of the last 7, 30, 90 and 365 days, orders, spend in
all, gaps (count, mean, median), distinct products (in all, and of the last 365 days) and the favourite product.
The results are compared.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `benchmarks` is found when this file is run
from benchmarks.measuring import in_own_process, own_peak_bytes, peak_bytes

ENGINES = ("habitue", "duckdb", "polars", "pandas")
LINES_PER_ORDER, LINES_PER_CUSTOMER, PRODUCTS = 6, 50, 50_000
FIRST_DAY, DAYS = date(2022, 1, 1), 730
AS_OF = FIRST_DAY + timedelta(days=DAYS)
FILE_LINES = 1_000_000  # about: as many lines as are made, and written to one file, at a time
WARM_UP_LINES = 50_000
SEED = 20170101
# Agree exactly; the others, amounts and mean gaps, to 1e-9 of their size.
EXACT = (
    *(f"purchase_days_{window}d" for window in (7, 30, 90, 365)),
    *("order_count", "first_day", "last_day", "gap_count", "gap_median_days"),
    *("product_count", "breadth", "favourite_item"),
)
CLOSE = ("amount", "gap_mean_days", *(f"amount_{window}d" for window in (7, 30, 90, 365)))


@dataclass(frozen=True)
class Measured:
    """One engine's run: seconds of the job, peak memory of all its processes and of Python alone, seconds until it was ready."""

    engine: str
    lines: int
    seconds: float
    peak_gb: float
    python_gb: float
    start_up_seconds: float


def main() -> None:
    arguments = _arguments()
    everything = []
    for lines in arguments.sizes or [arguments.lines]:
        with tempfile.TemporaryDirectory(prefix="habitue-features-", dir=arguments.folder) as folder:
            everything += _measure_all(Path(folder), lines, arguments.engines)
    figures = _figures(everything)
    _print_table(everything)
    for name, value in figures.items():
        print(f"{name:22s} {value:.2f}")
    if arguments.json:
        runs = [vars(m) for m in everything]
        Path(arguments.json).write_text(json.dumps({**figures, "runs": runs}, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000_000, help="order lines to make (default: %(default)s)")
    parser.add_argument("--sizes", type=_numbers, help="several numbers of lines instead, such as 1000000,3000000")
    parser.add_argument("--engines", type=_engines, default=ENGINES, help=f"some of {','.join(ENGINES)}")
    parser.add_argument("--folder", help="where the files are made, and removed again (default: the temporary folder)")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _engines(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(ENGINES):
        raise argparse.ArgumentTypeError(f"no such engine: {', '.join(sorted(unknown))}")
    return chosen


def _measure_all(folder: Path, lines: int, engines: tuple[str, ...]) -> list[Measured]:
    """Every engine in turn over the same `lines` lines; stops where two results differ."""
    for name, count in (("lines", lines), ("warm_up", WARM_UP_LINES)):
        print(f"making {count:,} lines ({name}) ...", file=sys.stderr, flush=True)
        write_lines(folder / name, count)
    measured = []
    for engine in engines:
        print(f"{engine} ...", file=sys.stderr, flush=True)
        measured.append(in_own_process(measure, engine, folder, lines))
    for engine in engines[1:]:
        check_same(folder / f"{engines[0]}.parquet", folder / f"{engine}.parquet")
    return measured


def write_lines(folder: Path, lines: int) -> None:
    """Order lines as parquet files: customer_id, order_id, product_id, ordered_at, order_day, quantity, amount."""
    folder.mkdir()
    customers = max(1, lines // LINES_PER_CUSTOMER)
    files = max(1, round(lines / FILE_LINES))
    rng = np.random.default_rng(SEED)
    # Few customers buy much and many a little; likewise products, by a power of their rank.
    buys = np.cumsum(rng.gamma(0.8, size=customers))
    sells = np.cumsum((np.arange(PRODUCTS) + 10.0) ** -0.9)
    prices = np.maximum(np.round(np.exp(rng.normal(1.5, 0.8, PRODUCTS)) * 100), 1).astype(np.int64)
    order_number = 0
    for number, (start, end) in enumerate(_slices(lines // LINES_PER_ORDER, files)):
        orders = end - start
        per_order = 1 + rng.poisson(LINES_PER_ORDER - 1, orders)
        order = np.repeat(np.arange(orders), per_order)
        customer = np.searchsorted(buys, rng.uniform(0, buys[-1], orders))[order]
        product = np.searchsorted(sells, rng.uniform(0, sells[-1], len(order)))
        # Each file holds its share of the two years, ordered by time, with the lines of an order together.
        seconds = np.sort(rng.integers(number * DAYS * 86_400 // files, (number + 1) * DAYS * 86_400 // files, orders))
        quantity = 1 + rng.poisson(0.4, len(order))
        ordered_at = np.datetime64(FIRST_DAY, "s") + seconds[order]
        table = {
            "customer_id": _ids("C", customer),
            "order_id": _ids("O", order_number + order),
            "product_id": _ids("P", product),
            "ordered_at": pa.array(ordered_at.astype("datetime64[us]"), pa.timestamp("us", "UTC")),
            "order_day": pa.array(ordered_at.astype("datetime64[D]")),
            "quantity": pa.array(quantity, pa.int32()),
            "amount": _decimals(prices[product] * quantity),
        }
        pq.write_table(pa.table(table), folder / f"part-{number:05}.parquet", row_group_size=250_000)
        order_number += orders


def _slices(total: int, parts: int) -> Iterator[tuple[int, int]]:
    yield from ((total * i // parts, total * (i + 1) // parts) for i in range(parts))


def _ids(letter: str, numbers: Any) -> pa.Array:
    padded = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), 9, "0")
    return pc.binary_join_element_wise(letter, padded, "")


def _decimals(cents: Any) -> pa.Array:
    """Whole cents, none negative, as decimal(18,4): 128-bit numbers of ten-thousandths, the upper 64 bits 0."""
    words = np.zeros((len(cents), 2), dtype=np.int64)
    words[:, 0] = cents * 100
    return pa.Array.from_buffers(pa.decimal128(18, 4), len(cents), [None, pa.py_buffer(words)])


def measure(engine: str, folder: Path, lines: int) -> Measured:
    """Run one engine, in this process: first on the warm-up's lines, then, timed, on all."""
    began = time.perf_counter()
    module = importlib.import_module(f"benchmarks.feature_engines.with_{engine}")
    module.compute(folder / "warm_up", folder / f"{engine}-warm_up.parquet", AS_OF)
    started = time.perf_counter()
    module.compute(folder / "lines", folder / f"{engine}.parquet", AS_OF)
    seconds = time.perf_counter() - started
    everything, own = (round(b / 1e9, 3) for b in (peak_bytes(), own_peak_bytes()))
    return Measured(engine, lines, round(seconds, 2), everything, own, round(started - began, 2))


def check_same(one: Path, other: Path) -> None:
    """Raise SystemExit where two results differ: exactly in EXACT, by more than 1e-9 of the size in CLOSE."""
    import duckdb

    close = [f"abs(a.{c}::DOUBLE - b.{c}::DOUBLE) <= 1e-9 * greatest(abs(a.{c}::DOUBLE), 1)" for c in CLOSE]
    # Both NULL is the same.
    close = [
        f"(coalesce({same}, FALSE) OR (a.{c} IS NULL AND b.{c} IS NULL))" for c, same in zip(CLOSE, close, strict=True)
    ]
    same = " AND ".join([*(f"a.{c} IS NOT DISTINCT FROM b.{c}" for c in EXACT), *close])
    different = duckdb.sql(
        f"SELECT a.*, b.* FROM '{_files(one)}' a FULL JOIN '{_files(other)}' b ON a.customer_id = b.customer_id "
        f"WHERE NOT coalesce(({same}), FALSE) OR a.customer_id IS NULL OR b.customer_id IS NULL"
    )
    count = duckdb.sql("SELECT count(*) FROM different").fetchall()[0][0]
    if count:
        print(different.limit(5))
        raise SystemExit(f"{one.stem} and {other.stem} differ in {count:,} customers.")


def _files(path: Path) -> str:
    return str(path / "*.parquet") if path.is_dir() else str(path)


def _figures(measured: list[Measured]) -> dict[str, float]:
    """Ratios, ours / theirs, at the largest size."""
    largest = max(m.lines for m in measured)
    of = {m.engine: m for m in measured if m.lines == largest}
    if "habitue" not in of:
        return {}
    ours, peers = of["habitue"], {engine: m for engine, m in of.items() if engine != "habitue"}
    figures = {f"ratio_{engine}": ours.seconds / m.seconds for engine, m in peers.items()}
    figures |= {f"memory_ratio_{engine}": ours.peak_gb / m.peak_gb for engine, m in peers.items()}
    return {name: round(value, 3) for name, value in figures.items()}


def _print_table(measured: list[Measured]) -> None:
    print(f"{'lines':>12s}  {'engine':10s} {'seconds':>8s} {'peak GB':>8s} {'Python GB':>9s} {'start-up':>8s}")
    for m in measured:
        print(
            f"{m.lines:12,d}  {m.engine:10s} {m.seconds:8.2f} {m.peak_gb:8.2f} {m.python_gb:9.2f} {m.start_up_seconds:8.2f}"
        )


if __name__ == "__main__":
    main()
