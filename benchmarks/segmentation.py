"""Choosing the number of segments of synthetic customers: Habitué beside loops over MLlib's and scikit-learn's clustering.

Habitué: one tree of 16 leaves, the silhouette and the held-out gain of every pruning, the gates (stability and
structureless twins), the choice, the refinement and the cycles of what was chosen. The loops: for each number of segments
from 2 to 12 a fit and a silhouette, by MLlib's BisectingKMeans and ClusteringEvaluator as they come, and by scikit-learn's
BisectingKMeans with a silhouette of 10,000 rows.
All read the same parquet files, each in a process of its own after a warm-up on a few customers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `benchmarks` is found when this file is run
from benchmarks.measuring import in_own_process, own_peak_bytes, peak_bytes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from habitue.models.bisecting_tree import BisectingTree

FEATURES = [f"scaled_{i}" for i in range(10)]
COUNTS = range(2, 13)
# The planted groups: share of the customers, and days between two purchases.
GROUPS = ((0.35, 7.0), (0.25, 14.0), (0.2, 30.0), (0.12, 45.0), (0.08, 90.0))
SPREAD = 0.6  # of a group's features about its centre; the centres are about 1 to 3 apart in each
FIT_DAYS, HORIZON_DAYS = 360, 120  # followed before the fit day, and after a held-out gap began
FILE_CUSTOMERS = 250_000
WARM_UP_CUSTOMERS = 5_000
SKLEARN_SAMPLE = 10_000
SEED = 20170101


@dataclass
class Measured:
    """One way's run.

    seconds: of each part. peak_gb: all its processes'; driver_gb: the Python driver's alone. silhouettes: by number of
    segments. level_silhouettes: of our tree cut as a separate fit stops, level by level, where the way has a tree.
    """

    way: str
    customers: int
    seconds: dict[str, float] = field(default_factory=dict)
    peak_gb: float = 0.0
    driver_gb: float = 0.0
    silhouettes: dict[int, float] = field(default_factory=dict)
    level_silhouettes: dict[int, float] = field(default_factory=dict)
    chosen: int | None = None
    rounds: int | None = None  # of a split, where others than the configured ones are asked for

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)


def main() -> None:
    arguments = _arguments()
    everything = []
    for customers in arguments.sizes or [arguments.customers]:
        with tempfile.TemporaryDirectory(prefix="habitue-segmentation-", dir=arguments.folder) as folder:
            everything += _measure_all(Path(folder), customers, arguments.ways, arguments.rounds)
    figures = _figures(everything)
    _print_table(everything)
    for name, value in figures.items():
        print(f"{name:26s} {value:.3f}")
    if arguments.json:
        runs = [{**vars(m), "total": round(m.total, 2)} for m in everything]
        Path(arguments.json).write_text(json.dumps({**figures, "runs": runs}, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000, help="customers to make (default: %(default)s)")
    parser.add_argument("--sizes", type=_numbers, help="several numbers of customers instead: 50000,200000,...")
    parser.add_argument("--ways", type=_ways, default=tuple(WAYS), help=f"some of {','.join(WAYS)}")
    parser.add_argument("--rounds", type=int, help="k-means rounds a split of Habitué's tree (default: as configured)")
    parser.add_argument("--folder", help="where the files are made, and removed again (default: the temporary folder)")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _ways(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(WAYS):
        raise argparse.ArgumentTypeError(f"no such way: {', '.join(sorted(unknown))}")
    return chosen


def _measure_all(folder: Path, customers: int, ways: tuple[str, ...], rounds: int | None) -> list[Measured]:
    for name, count in (("customers", customers), ("warm_up", WARM_UP_CUSTOMERS)):
        print(f"making {count:,} customers ({name}) ...", file=sys.stderr, flush=True)
        write_customers(folder / name, count)
    measured = []
    for way in ways:
        print(f"{way} ...", file=sys.stderr, flush=True)
        measured.append(in_own_process(measure, way, folder, customers, rounds))
        print(f"{way}: {measured[-1].total:.1f} s", file=sys.stderr, flush=True)
    return measured


def write_customers(folder: Path, customers: int) -> None:
    """Customers as parquet files: customer_id, ten scaled features, the gaps before the fit day, and the held-out gap."""
    folder.mkdir()
    centres = 4 + np.random.default_rng(SEED).uniform(-1.5, 1.5, (len(GROUPS), len(FEATURES)))
    for number, start in enumerate(range(0, customers, FILE_CUSTOMERS)):
        count = min(FILE_CUSTOMERS, customers - start)
        rng = np.random.default_rng([SEED, number])
        group = rng.choice(len(GROUPS), size=count, p=[share for share, _ in GROUPS])
        features = centres[group] + SPREAD * rng.standard_normal((count, len(FEATURES)))
        columns = {"customer_id": pa.array([f"C{i:08}" for i in range(start, start + count)])}
        columns |= {name: pa.array(features[:, i]) for i, name in enumerate(FEATURES)}
        columns |= _gaps(np.array([days for _, days in GROUPS])[group], rng)
        pq.write_table(pa.table(columns), folder / f"part-{number:05}.parquet")


def _gaps(cycle_days: NDArray[np.float64], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Gamma(4) gaps about each customer's cycle: complete ones before the fit day, the open one, and the held-out one."""
    most = 60
    mean = cycle_days * np.exp(0.2 * rng.standard_normal(len(cycle_days)))
    gaps = np.maximum(np.rint(rng.gamma(4, mean[:, None] / 4, (len(mean), most))), 1).astype(np.int32)
    first = rng.uniform(0, np.minimum(mean, FIT_DAYS)).astype(np.int32)
    ends = first[:, None] + np.cumsum(gaps, axis=1)
    complete = ends < FIT_DAYS
    last = np.where(complete, ends, first[:, None]).max(axis=1)
    held_out = gaps[:, -1]
    offsets = np.concatenate([[0], np.cumsum(complete.sum(axis=1))]).astype(np.int32)
    return {
        "gaps_days": pa.ListArray.from_arrays(pa.array(offsets), pa.array(gaps[complete])),
        "open_gap_days": pa.array((FIT_DAYS - last).astype(np.int32)),
        "has_held_out": pa.array(rng.random(len(mean)) < 0.9),
        "held_out_gap_days": pa.array(held_out, mask=held_out > HORIZON_DAYS),
    }


def measure(way: str, folder: Path, customers: int, rounds: int | None) -> Measured:
    """One way, in this process: first on the warm-up's customers, then, timed, on all."""
    WAYS[way](folder / "warm_up", Measured(way, WARM_UP_CUSTOMERS, rounds=rounds))
    measured = Measured(way, customers, rounds=rounds)
    WAYS[way](folder / "customers", measured)
    measured.peak_gb, measured.driver_gb = round(peak_bytes() / 1e9, 3), round(own_peak_bytes() / 1e9, 3)
    return measured


def _habitue(customers: Path, measured: Measured) -> None:
    """The whole selection, with the gates."""
    _select(customers, measured, gated=True)


def _habitue_ungated(customers: Path, measured: Measured) -> None:
    """The same without the gates: what the loops give too, and the gains."""
    _select(customers, measured, gated=False)


def _select(path: Path, measured: Measured, *, gated: bool) -> None:
    from pyspark.sql import functions as F

    from habitue.config import resolve
    from habitue.models.bisecting_kmeans import fit_distributed
    from habitue.models.gap_sums import hash_group
    from habitue.models.purchase_cycle import cycle_limit
    from habitue.models.segment_choice import choose
    from habitue.models.segment_fit import gates_of, gather, judge
    from habitue.models.silhouette import leaf_sums_distributed, mean_silhouettes_distributed
    from habitue.session import get_session
    from habitue.tables.segments.segment_candidates import Judged

    config = resolve().config
    settings, spark = config.segments, get_session(config.spark)
    customers = spark.read.parquet(str(path))
    with measured.part("fit"):
        ordered = customers.repartition(F.xxhash64("customer_id")).sortWithinPartitions("customer_id")
        tree = fit_distributed(
            ordered,
            FEATURES,
            max_leaves=settings.max_leaves,
            max_iter=measured.rounds or settings.max_iterations,
            seed=settings.seed,
            model_path=str(path.with_name(f"{path.name}-{measured.way}-model")),
        )
    placed = customers.withColumns({"leaf": tree.leaf_expression(FEATURES), "hash_group": hash_group()})
    with measured.part("gap sums"):
        evidence = gather(placed, tree.leaf_count, HORIZON_DAYS, settings)
    counts = sorted(tree.prunings())
    if gated:
        with measured.part("sample"):
            share = min(1.0, settings.sample_customers / measured.customers)
            chosen = customers.where(F.pmod(F.xxhash64("customer_id"), F.lit(1_000_000)) < int(share * 1_000_000))
            sample = chosen.select("customer_id", *FEATURES).toPandas().sort_values("customer_id")[FEATURES].to_numpy()
        with measured.part("judge and choose"):
            leaf_customers = np.array([float(tree.sizes[leaf]) for leaf in tree.leaves])
            candidates = judge(placed, FEATURES, tree, leaf_customers, sample, evidence, settings)
            gates = gates_of(settings, measured.customers)
            measured.chosen = choose(candidates, gates).segment_count
        with measured.part("cycles and refinement"):
            judged = Judged(placed, tree, evidence, cycle_limit(FIT_DAYS), settings)
            refused = {tree.cut_nodes(c.segment_count): c.refusals(gates) for c in candidates}
            nodes, _ = judged.refined(
                tree.cut_nodes(measured.chosen), leaf_customers / measured.customers, refused, gates
            )
            judged.cycles(nodes)
        measured.silhouettes = {c.segment_count: c.silhouette for c in candidates}
        measured.level_silhouettes = _level_silhouettes(placed, tree)  # for the comparison alone, so not timed
        return
    with measured.part("gains"):
        evidence.gains(tree, [tree.cut_nodes(count) for count in counts])
    with measured.part("silhouettes"):
        sums = leaf_sums_distributed(placed, FEATURES, "leaf", tree.leaf_count, tree.centres[0])
        cuts = [tree.cut(count) for count in counts]
        found = mean_silhouettes_distributed(placed, FEATURES, "leaf", sums, cuts)
    measured.silhouettes = {count: float(found[i]) for i, count in enumerate(counts)}


def _level_silhouettes(placed: DataFrame, tree: BisectingTree) -> dict[int, float]:
    """The silhouettes of our one tree where it is cut as MLlib stops growing one for each number of segments."""
    from habitue.models.silhouette import leaf_sums_distributed, mean_silhouettes_distributed

    counts = [count for count in COUNTS if count <= tree.leaf_count]
    cuts = [tree.leaf_segments(level_cut(tree, count)) for count in counts]
    sums = leaf_sums_distributed(placed, FEATURES, "leaf", tree.leaf_count, tree.centres[0])
    return dict(zip(counts, mean_silhouettes_distributed(placed, FEATURES, "leaf", sums, cuts).tolist(), strict=True))


def level_cut(tree: BisectingTree, count: int) -> tuple[int, ...]:
    """The nodes MLlib would have: it splits level by level, and of a level's nodes the largest where not all are needed."""
    nodes, level = {0}, [0]
    while level and len(nodes) < count:
        divisible = sorted((n for n in level if tree.children_of(n)), key=lambda n: -int(tree.sizes[n]))
        split = divisible[: count - len(nodes)]
        level = [child for node in split for child in tree.children_of(node) or ()]
        nodes = (nodes - set(split)) | set(level)
    return tuple(sorted(nodes))


def _mllib_loop(path: Path, measured: Measured) -> None:
    """A fit and a silhouette for each number, at MLlib's defaults, over a cached table as its guide advises."""
    from pyspark.ml.clustering import BisectingKMeans
    from pyspark.ml.evaluation import ClusteringEvaluator
    from pyspark.ml.feature import VectorAssembler

    from habitue.config import resolve
    from habitue.session import get_session

    spark = get_session(resolve().config.spark)
    assembler = VectorAssembler(inputCols=FEATURES, outputCol="features")
    with measured.part("read"):
        customers = assembler.transform(spark.read.parquet(str(path))).select("features").cache()
        customers.count()
    for count in COUNTS:
        with measured.part(f"{count} segments"):
            model = BisectingKMeans(k=count, seed=SEED).fit(customers)
            measured.silhouettes[count] = ClusteringEvaluator().evaluate(model.transform(customers))
    customers.unpersist()


def _sklearn_loop(path: Path, measured: Measured) -> None:
    """A fit for each number, and a (Euclidean) silhouette of 10,000 rows, at scikit-learn's defaults."""
    from sklearn.cluster import BisectingKMeans
    from sklearn.metrics import silhouette_score

    with measured.part("read"):
        customers = pq.read_table(path, columns=FEATURES).to_pandas().to_numpy()
    for count in COUNTS:
        with measured.part(f"{count} segments"):
            labels = BisectingKMeans(n_clusters=count, random_state=SEED).fit_predict(customers)
            size = min(SKLEARN_SAMPLE, len(customers))
            measured.silhouettes[count] = silhouette_score(customers, labels, sample_size=size, random_state=SEED)


WAYS: dict[str, Callable[[Path, Measured], None]] = {
    "habitue": _habitue,
    "habitue_ungated": _habitue_ungated,
    "mllib_loop": _mllib_loop,
    "sklearn_loop": _sklearn_loop,
}


def _figures(measured: list[Measured]) -> dict[str, float]:
    """Ratios, ours / theirs, at the largest size, and how far our silhouettes are from those of separate fits."""
    largest = max(m.customers for m in measured)
    of = {m.way: m for m in measured if m.customers == largest}
    pairs = {
        "ratio_mllib_loop": ("habitue", "mllib_loop"),
        "ratio_mllib_loop_ungated": ("habitue_ungated", "mllib_loop"),
        "ratio_sklearn_loop": ("habitue_ungated", "sklearn_loop"),
    }
    figures = {n: round(of[a].total / of[b].total, 3) for n, (a, b) in pairs.items() if a in of and b in of}
    if "mllib_loop" in of and (ours := of.get("habitue", of.get("habitue_ungated"))):
        theirs = of["mllib_loop"].silhouettes
        gaps = [ours.silhouettes[count] - theirs[count] for count in COUNTS if count in ours.silhouettes]
        figures["silhouette_gap"] = round(max(map(abs, gaps)), 4)
        figures["silhouette_gap_low"], figures["silhouette_gap_high"] = round(min(gaps), 4), round(max(gaps), 4)
        by_level = [abs(ours.level_silhouettes[c] - theirs[c]) for c in ours.level_silhouettes]
        figures["silhouette_gap_by_level"] = round(max(by_level, default=float("nan")), 4)
    return figures


def _print_table(measured: list[Measured]) -> None:
    for m in measured:
        parts: Any = m.seconds if "fit" in m.seconds else {}
        shown = ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.items())
        chosen = f" chosen {m.chosen}" if m.chosen else ""
        print(
            f"{m.customers:10,d}  {m.way:16s} {m.total:8.1f} s {m.peak_gb:6.2f} GB ({m.driver_gb:.2f} Python)  {shown}{chosen}"
        )
    for way in {m.way: m for m in measured}.values():
        _print_silhouettes(way.way, way.silhouettes)
        _print_silhouettes(f"{way.way}, cut by level", way.level_silhouettes)


def _print_silhouettes(name: str, silhouettes: dict[int, float]) -> None:
    if silhouettes:
        print(f"silhouettes of {name}: " + " ".join(f"{count}:{s:.3f}" for count, s in sorted(silhouettes.items())))


if __name__ == "__main__":
    main()
