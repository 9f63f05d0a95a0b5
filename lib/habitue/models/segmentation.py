"""The fitted segmentation: a scaling, a tree, which of its nodes are segments, and each segment's cycle.

With these fixed, `place` says who belongs where: the same function on the day of the fit and in every later snapshot.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import reduce
from operator import and_
from typing import Any, ClassVar

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from habitue.errors import HabitueError
from habitue.models.bisecting_tree import BisectingTree, Floats, Ints
from habitue.models.purchase_cycle import GapWeights, wang_chang_curve
from habitue.models.scaling import Scaling
from habitue.models.silhouette import leaf_sums_of, silhouette_column

MIN_GAPS = 3  # of a member, before its median is held against p10 and p90: a fifth of all gaps lie beyond them
LEAST_DENSITY = 1e-4  # of a gap that a group's curve has no mass at: unlikely, not impossible


@dataclass(frozen=True)
class SegmentCycle:
    """A segment's gap curve as membership needs it. densities[d]: the share of gaps of d days. NaN: no complete gap."""

    p1_days: float
    p10_days: float
    p90_days: float
    p99_days: float
    densities: Sequence[float]


@dataclass(frozen=True)
class Segmentation:
    """as_of: the snapshot that this is for. trained_as_of: the one whose data the tree was fitted on (the same or earlier).

    fit_day: t0 of this snapshot, where the held-out gaps start. nodes: the tree's nodes that are segments. ids: of each of
    them. cycles: likewise. last_id: the largest id ever given. silhouette: of these segments, the mean over this
    snapshot's customers; gain: the choosing half's; fitted_silhouette, fitted_gain: the same two in the snapshot that the
    model was trained for. newest_fit_as_of: of the newest fit known, whether or not it is this one. chosen_count: segments
    before the refinement. summary: the choice in words. notes: what the run's summary says of it. names: (id, name) of
    every segment of earlier snapshots, of those that are gone too.
    """

    as_of: date
    trained_as_of: date
    fit_day: date
    scaling: Scaling
    tree: BisectingTree
    nodes: tuple[int, ...]
    ids: tuple[int, ...]
    cycles: tuple[SegmentCycle, ...]
    last_id: int
    silhouette: float
    gain: float
    gain_low: float
    fitted_silhouette: float
    fitted_gain: float
    newest_fit_as_of: date
    chosen_count: int
    segment_gains: tuple[tuple[float, float, float], ...]
    published_gain_low: float
    summary: str
    decisions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    names: tuple[tuple[int, str], ...] = ()

    scorer: ClassVar[str] = "habitue.models.segment_scorer"  # the module that scores with the document alone

    @property
    def inputs(self) -> list[str]:
        """The features that the segments are told apart by."""
        return [f.name for f in self.scaling.features]

    @property
    def trained_on(self) -> str:
        """In words, the data that the tree has seen."""
        return f"what was known before {self.fit_day}"

    @property
    def cut(self) -> Ints:
        """(leaves,): the position in `nodes` of each leaf's segment."""
        return self.tree.leaf_segments(self.nodes)

    def with_leaves(self, customers: DataFrame) -> DataFrame:
        """`customers` (with the features, unscaled) with the scaled columns and `leaf`."""
        scaled = self.scaling.apply(customers)
        leaf = self.tree.leaf_expression(self.scaling.columns) if self.scaling.columns else F.lit(0)
        return scaled.withColumn("leaf", leaf)

    def figures(self) -> dict[str, float]:
        """The figures of the chosen segments, for people who compare models."""
        return {
            "segments": float(len(self.nodes)),
            "chosen_silhouette": self.silhouette,
            "chosen_gain": self.gain,
            "chosen_gain_low": self.gain_low,
            "chosen_published_gain_low": self.published_gain_low,
            "fitted_silhouette": self.fitted_silhouette,
            "fitted_gain": self.fitted_gain,
        }

    def files(self) -> dict[str, str]:
        """File name -> text: the segments' centres, in the features' own units, and what the refinement decided."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["segment_id", "node", "size", *self.inputs])
        for segment_id, node in zip(self.ids, self.nodes, strict=True):
            rows.writerow([segment_id, node, int(self.tree.sizes[node]), *self.scaling.undo(self.tree.centres[node])])
        decisions = "\n".join(self.decisions or ("no segment was mixed, so none was tried to be split",))
        return {"centres.csv": text.getvalue(), "refinement.txt": f"{self.summary}\n{decisions}\n"}

    def to_json(self) -> str:
        values = asdict(replace(self, scaling=Scaling(()), tree=_NO_TREE))
        values["scaling"], values["tree"] = self.scaling.to_rows(), self.tree.to_rows()
        return json.dumps(values, default=str)

    @classmethod
    def from_json(cls, text: str) -> Segmentation:
        values: dict[str, Any] = json.loads(text)
        for day in {"as_of", "trained_as_of", "fit_day", "newest_fit_as_of"} & values.keys():
            values[day] = date.fromisoformat(values[day])
        values["scaling"] = Scaling.from_rows(values["scaling"])
        values["tree"] = BisectingTree.from_rows(values["tree"])
        values["cycles"] = tuple(SegmentCycle(**c) for c in values["cycles"])
        for name in {"nodes", "ids", "decisions", "notes"} & values.keys():
            values[name] = tuple(values[name])
        for name in {"segment_gains", "names"} & values.keys():
            values[name] = tuple(tuple(of_segment) for of_segment in values[name])
        try:
            return cls(**values)
        except TypeError as error:
            raise HabitueError(
                f"A stored segmentation was written by another version of Habitué ({error}). Move the warehouse's _models "
                "folder away and run again; the segments then get new ids."
            ) from None


_NO_TREE = BisectingTree(
    centres=np.zeros((1, 0)), sizes=np.zeros(1, int), costs=np.zeros(1), left=np.full(1, -1), right=np.full(1, -1)
)


def single_leaf_tree(size: int, centre: Floats) -> BisectingTree:
    """A tree that divides nobody: for shops too small or too alike to be divided."""
    none = np.full(1, -1)
    return BisectingTree(
        centres=centre.reshape(1, -1), sizes=np.array([size]), costs=np.zeros(1), left=none, right=none.copy()
    )


def segment_cycles(weights: GapWeights, limit: float) -> tuple[SegmentCycle, ...]:
    """The cycles of segments from their gap weights (segment, longest gap + 1), up to `limit` days."""
    curve = wang_chang_curve(weights, limit)
    longest = int(np.ceil(limit))
    upto = np.stack([curve.share_by(day + 0.5) for day in range(longest + 1)], axis=-1)
    densities = np.diff(np.concatenate([np.zeros((len(upto), 1)), np.nan_to_num(upto)], axis=1), axis=1)
    rounded = [tuple(round(float(x), 7) for x in row) for row in densities]
    p1, p10, p90, p99 = ([float(days) for days in curve.quantile(share)] for share in (0.01, 0.1, 0.9, 0.99))
    return tuple(SegmentCycle(p1[s], p10[s], p90[s], p99[s], rounded[s]) for s in range(len(rounded)))


def place(model: Segmentation, customers: DataFrame) -> DataFrame:
    """Who belongs where: (customer_id, segment_id, membership, silhouette), one row a customer.

    customers: customer_id, the features, gaps_days, gap_count, gap_median_days. membership: `core`; `fringe` (nearer to another
    segment, or of several gaps the median outside p10-p90), moved to the neighbour where distance and cycle both favour it;
    `outside` (a median gap below p1 or above p99 of every segment), which keeps its nearest segment.
    """
    with_leaves = model.with_leaves(customers)
    if len(model.nodes) == 1:
        placed = with_leaves.withColumns(
            {"silhouette": F.lit(None).cast("double"), "own": F.lit(0), "neighbour": F.lit(0), "moves": F.lit(False)}
        )
    else:
        placed = _with_neighbours(model, with_leaves)
    final = F.when(F.col("moves"), F.col("neighbour")).otherwise(F.col("own"))
    return placed.withColumn("segment", final).select(
        "customer_id",
        F.element_at(F.array(*map(F.lit, model.ids)), F.col("segment") + 1).alias("segment_id"),
        _membership(model).alias("membership"),
        "silhouette",
    )


def _with_neighbours(model: Segmentation, customers: DataFrame) -> DataFrame:
    """own and neighbouring segment (positions), silhouette, and whether distance and cycle both favour the neighbour."""
    columns = model.scaling.columns
    sums = leaf_sums_of(model.tree)
    scored = customers.withColumn("scores", silhouette_column(columns, "leaf", sums, model.cut))
    segment_of_leaf = F.array(*(F.lit(int(s)) for s in model.cut))
    named = scored.withColumns(
        {
            "own": F.element_at(segment_of_leaf, F.col("leaf") + 1),
            "silhouette": F.col("scores.silhouette"),
            "neighbour": F.col("scores.neighbour"),
        }
    )
    both_favour_it = (F.col("silhouette") < 0) & (_log_odds(model) > 0)
    return named.withColumn("moves", F.coalesce(both_favour_it, F.lit(False)))


def _log_odds(model: Segmentation) -> Column:
    """Log-likelihood of the member's gaps in the neighbour's curve less that in its own; 0 without a gap."""
    longest = len(model.cycles[0].densities) - 1
    logs = F.array(*(F.lit([float(np.log(max(d, LEAST_DENSITY))) for d in cycle.densities]) for cycle in model.cycles))

    def likelihood(segment: str) -> Column:
        of_segment = F.element_at(logs, F.col(segment) + 1)
        each = F.transform("gaps_days", lambda g: F.element_at(of_segment, F.least(g, F.lit(longest)) + 1))
        return F.aggregate(each, F.lit(0.0), lambda total, x: total + x)

    return likelihood("neighbour") - likelihood("own")


def _membership(model: Segmentation) -> Column:
    median, speaks = F.col("gap_median_days"), F.col("gap_count") >= MIN_GAPS
    # One gap is enough here: p1 and p99 of every segment leave out so few that whoever has one there is no clear member.
    misfits = [~median.between(c.p1_days, c.p99_days) for c in model.cycles if not np.isnan(c.p99_days)]
    outside = F.coalesce(reduce(and_, misfits), F.lit(False)) if misfits else F.lit(False)
    lows = F.array(*(F.lit(_known(c.p10_days)) for c in model.cycles)).cast("array<double>")
    highs = F.array(*(F.lit(_known(c.p90_days)) for c in model.cycles)).cast("array<double>")
    low, high = F.element_at(lows, F.col("segment") + 1), F.element_at(highs, F.col("segment") + 1)
    other_rhythm = speaks & F.coalesce((median < low) | (median > high), F.lit(False))
    nearer_to_other = F.coalesce(F.col("silhouette") < 0, F.lit(False))
    return F.when(outside, "outside").when(nearer_to_other | other_rhythm, "fringe").otherwise("core")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
