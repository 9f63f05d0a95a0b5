"""The segmentation: every number of segments judged, one chosen, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import SegmentSettings
from habitue.models.bisecting_kmeans import fit_distributed
from habitue.models.bisecting_tree import BisectingTree, Floats
from habitue.models.cycle_verdict import VerdictThresholds, supported, verdicts
from habitue.models.gap_sums import gap_weights, hash_group, member_sums
from habitue.models.held_out_gain import CandidateGain, gain_difference_se
from habitue.models.purchase_cycle import cycle_limit, purchase_cycles
from habitue.models.scaling import Scaling, learn_scaling
from habitue.models.segment_choice import Candidate, Choice, Gates, Split, choose, refine
from habitue.models.segment_fit import Evidence, gates_of, gather, judge, segments_of
from habitue.models.segment_identity import assign_ids
from habitue.models.segment_watch import carried_forward, ends_promotion, refit_proposal, why_carried_forward
from habitue.models.segmentation import Segmentation, SegmentCycle, segment_cycles, single_leaf_tree
from habitue.models.silhouette import leaf_sums_of, mean_silhouettes_distributed
from habitue.table import Table, as_of_column, column


class Selection(NamedTuple):
    """The model, the table that says how it came about, and whether the model replaces one that was promoted by hand."""

    segmentation: Segmentation
    segment_candidates: DataFrame
    ends_promotion: bool


def build(
    _work_fit_features: DataFrame,
    customer_features: DataFrame,
    customer_history: DataFrame,
    as_of: date,
    segments: SegmentSettings,
    model_path: str,
    earlier_segmentation: Segmentation | None,
    earlier_segment_members: DataFrame | None,
    earlier_segments: DataFrame | None,
    promoted_segmentation: Segmentation | None,
) -> Selection:
    published = customers_of(customer_features, customer_history)
    customers = published.count()
    fitted = _work_fit_features.agg(F.count(F.lit(1)), F.max("fit_day"), F.max("horizon_days")).collect()[0]
    reused = carried_forward(segments.refit, promoted_segmentation, earlier_segmentation, as_of)
    scaling, tree = (
        (reused.scaling, reused.tree) if reused else _fit(_work_fit_features, fitted[0], segments, model_path)
    )
    columns = scaling.columns
    at_fit = _with_leaves(_work_fit_features, scaling, tree)
    now = _with_leaves(published, scaling, tree)
    evidence = gather(at_fit, tree.leaf_count, fitted[2] or 1, segments)
    leaf_customers = _leaf_customers(now, tree.leaf_count)
    sample = _sample(at_fit, columns, segments.sample_customers, fitted[0])
    candidates = judge(at_fit, columns, tree, leaf_customers, sample, evidence, segments)
    gates = gates_of(segments, customers)
    choice = choose(candidates, gates)
    span = customer_history.agg(F.datediff(F.lit(as_of), F.min("first_order_day"))).collect()[0][0]
    judged = Judged(now, tree, evidence, cycle_limit(span), segments)
    if reused:
        why = why_carried_forward(reused, promoted_segmentation, segments.refit)
        model = _carried(
            reused, earlier_segmentation, why, _measured(now, columns, evidence, tree, reused.nodes), as_of
        )
        proposal = _refit_proposal(model, segments)
    else:
        refused = {tree.cut_nodes(c.segment_count): c.refusals(gates) for c in candidates}
        nodes, log = judged.refined(tree.cut_nodes(choice.segment_count), leaf_customers / customers, refused, gates)
        ids, last_id = assign_ids(now, tree.leaf_segments(nodes), earlier_segment_members, earlier_segmentation)
        measured, proposal = _measured(now, columns, evidence, tree, nodes), None
        model = Segmentation(
            as_of=as_of,
            trained_as_of=as_of,
            fit_day=as_of,
            scaling=scaling,
            tree=tree,
            nodes=tuple(nodes),
            ids=tuple(ids),
            cycles=judged.cycles(nodes),
            last_id=last_id,
            fitted_silhouette=measured["silhouette"],
            fitted_gain=measured["gain"],
            newest_fit_as_of=as_of,
            summary=choice.summary + ("" if len(nodes) == choice.segment_count else f"; {len(nodes)} after refinement"),
            chosen_count=choice.segment_count,
            decisions=tuple(f"{'split' if s.is_accepted else 'kept'} node {s.node}: {s.reason}" for s in log),
            **measured,
        )
    notes = tuple(f"segments: {text}" for text in (model.summary, proposal) if text)
    names = _names_so_far(earlier_segmentation, earlier_segments)
    model = replace(model, fit_day=fitted[1] or as_of, notes=notes, names=names)
    rows = _rows(as_of, candidates, choice, evidence, tree, gates, model, proposal)
    frame = _work_fit_features.sparkSession.createDataFrame(rows, TABLE.schema)
    return Selection(model, frame, reused is None and ends_promotion(segments.refit, promoted_segmentation, as_of))


def customers_of(customer_features: DataFrame, customer_history: DataFrame) -> DataFrame:
    """Features and gaps side by side, as `place` and the sums need them."""
    gaps = customer_history.select("customer_id", "gaps_days")
    return customer_features.join(gaps, "customer_id", "inner").withColumn(
        "open_gap_days", F.col("days_since_last_order")
    )


def _names_so_far(earlier: Segmentation | None, earlier_segments: DataFrame | None) -> tuple[tuple[int, str], ...]:
    """The name of every segment that an earlier snapshot had. Those that are gone are kept, for a model that is promoted
    again brings them back."""
    names = dict(earlier.names) if earlier else {}
    if earlier_segments is not None:
        rows = earlier_segments.select("segment_id", "name").collect()
        names |= {row["segment_id"]: row["name"] for row in rows}
    return tuple(sorted(names.items()))


def _refit_proposal(model: Segmentation, segments: SegmentSettings) -> str | None:
    return refit_proposal(
        model.trained_as_of,
        silhouette=model.silhouette,
        fitted_silhouette=model.fitted_silhouette,
        max_silhouette_fall=segments.watch.max_silhouette_fall,
        gain=model.gain,
        fitted_gain=model.fitted_gain,
        max_gain_fall=segments.watch.max_gain_fall,
        min_gain=segments.min_gain,
    )


def _carried(
    reused: Segmentation, earlier: Segmentation | None, why: str, measured: Mapping[str, Any], as_of: date
) -> Segmentation:
    """An earlier model for this snapshot: the same tree, segments and cycles, with the figures that they have now."""
    known = [m for m in (reused, earlier) if m]
    return replace(
        reused,
        as_of=as_of,
        last_id=max(m.last_id for m in known),
        newest_fit_as_of=max(m.newest_fit_as_of for m in known),
        summary=why,
        decisions=(),
        **measured,
    )


def _measured(
    now: DataFrame, columns: list[str], evidence: Evidence, tree: BisectingTree, nodes: tuple[int, ...]
) -> dict[str, Any]:
    """What is measured of a cut in every snapshot, by the model's field: its silhouette among `now`, and its gains."""
    silhouette = float("nan")
    if len(nodes) > 1:
        sums = leaf_sums_of(tree)  # as members are placed
        (silhouette,) = mean_silhouettes_distributed(now, columns, "leaf", sums, [tree.leaf_segments(nodes)])
    chosen, outside = evidence.gains(tree, [nodes])[0], evidence.gains(tree, [nodes], published=True)[0]
    intervals = (outside.segment_gain, outside.segment_gain_low, outside.segment_gain_high)
    return {
        "silhouette": float(silhouette),
        "gain": chosen.gain,
        "gain_low": chosen.gain_low,
        "published_gain_low": outside.gain_low,
        "segment_gains": tuple(zip(*(map(float, values) for values in intervals), strict=True)),
    }


def _fit(customers: DataFrame, count: int, segments: SegmentSettings, model_path: str) -> tuple[Scaling, BisectingTree]:
    """The scales and the tree; a tree of one leaf where two segments could not both be large enough."""
    if count < 2 * segments.min_segment_customers:
        return Scaling(()), single_leaf_tree(count, np.zeros(0))
    scaling = learn_scaling(customers, {str(n): w for n, w in segments.features.items()}, segments.winsor_share)
    if not scaling.features:
        return scaling, single_leaf_tree(count, np.zeros(0))
    # Ordered by a hash of the customer, so that the order of the rows in the files does not reach the fit.
    ordered = scaling.apply(customers).repartition(F.xxhash64("customer_id")).sortWithinPartitions("customer_id")
    tree = fit_distributed(
        ordered,
        scaling.columns,
        max_leaves=segments.max_leaves,
        max_iter=segments.max_iterations,
        seed=segments.seed,
        model_path=model_path,
    )
    return scaling, tree


def _with_leaves(customers: DataFrame, scaling: Scaling, tree: BisectingTree) -> DataFrame:
    scaled = scaling.apply(customers)
    leaf = tree.leaf_expression(scaling.columns) if tree.leaf_count > 1 else F.lit(0)
    return scaled.withColumns({"leaf": leaf, "hash_group": hash_group()})


def _leaf_customers(customers: DataFrame, leaf_count: int) -> Floats:
    counts = np.zeros(leaf_count)
    for row in customers.groupBy("leaf").count().collect():
        counts[row["leaf"]] = row["count"]
    return counts


def _sample(customers: DataFrame, columns: list[str], most: int, total: int) -> Floats:
    """At most `most` customers, those of the smallest hashes of their id, in a fixed order."""
    if not columns:
        return np.zeros((0, 0))
    buckets = 1_000_000
    kept = buckets if total <= most else int(buckets * most / total)
    bucket = F.pmod(F.xxhash64("customer_id", F.lit("sample")), F.lit(buckets)).alias("bucket")
    about_most = customers.select("customer_id", bucket, *columns).where(F.col("bucket") < kept).toPandas()
    chosen = about_most.sort_values(["bucket", "customer_id"]).head(most).sort_values("customer_id")
    values: Floats = chosen[columns].to_numpy(dtype=np.float64)
    return values


class Judged:
    """The figures of any cut on the published day: gap weights and member sums by leaf, from four grouped passes."""

    def __init__(
        self, customers: DataFrame, tree: BisectingTree, evidence: Evidence, limit: float, settings: SegmentSettings
    ):
        self.tree, self.evidence, self.limit = tree, evidence, limit
        self.weights = gap_weights(customers, tree.leaf_count)
        self.members = member_sums(customers, tree.leaf_count)
        self.thresholds = thresholds_of(settings)

    def mixed(self, nodes: Sequence[int]) -> list[int]:
        """The nodes of the cut whose verdict, by the choosing half's gain, is `mixed`."""
        segments = segments_of(self.tree, tuple(nodes))
        found = purchase_cycles(self.weights.by_segment(segments), self.members.by_segment(segments), self.limit)
        gain = self.gain(nodes)
        says = verdicts(found, supported(gain.gain_low, list(gain.segment_gain_high)), self.thresholds)
        return [node for node, verdict in zip(nodes, says, strict=True) if verdict == "mixed"]

    def gain(self, nodes: Sequence[int]) -> CandidateGain:
        return self.evidence.gains(self.tree, [tuple(nodes)])[0]

    def refined(
        self,
        nodes: tuple[int, ...],
        shares: Floats,
        refused: Mapping[tuple[int, ...], list[str]],
        gates: Gates,
    ) -> tuple[tuple[int, ...], list[Split]]:
        def share_of(node: int) -> float:
            under = [leaf for leaf, at in enumerate(self.tree.leaves) if node in self.tree.path(int(at))]
            return float(shares[under].sum())

        def refusals_of(cut: Sequence[int]) -> list[str]:
            return refused.get(tuple(cut), [])

        return refine(nodes, self.gain, self.mixed, self.tree.children_of, share_of, refusals_of, gates)

    def cycles(self, nodes: tuple[int, ...]) -> tuple[SegmentCycle, ...]:
        segments = segments_of(self.tree, nodes)
        return segment_cycles(self.weights.total(axis=1).by_segment(segments), self.limit)


def thresholds_of(settings: SegmentSettings) -> VerdictThresholds:
    v = settings.verdict
    return VerdictThresholds(v.min_members, v.min_agreement, v.min_return_probability, v.min_icc, v.min_concentration)


def _rows(
    as_of: date,
    candidates: list[Candidate],
    choice: Choice,
    evidence: Evidence,
    tree: BisectingTree,
    gates: Gates,
    model: Segmentation,
    proposal: str | None,
) -> list[tuple[Any, ...]]:
    published = evidence.gains(tree, [tree.cut_nodes(c.segment_count) for c in candidates], published=True)
    is_kept = model.trained_as_of != as_of
    kept_reason = "; ".join(filter(None, (model.summary, proposal)))
    rows = []
    for candidate, outside, reason in zip(candidates, published, choice.reasons, strict=True):
        is_chosen = candidate.segment_count == model.chosen_count
        values: Mapping[str, Any] = {
            "as_of": as_of,
            "segment_count": candidate.segment_count,
            "silhouette": candidate.silhouette,
            "silhouette_null": candidate.silhouette_null,
            "smallest_share": candidate.smallest_share,
            "stability": candidate.stability,
            "lowest_jaccard": candidate.lowest_jaccard,
            "cycle_gain": candidate.gain.gain,
            "cycle_gain_low": candidate.gain.gain_low,
            "cycle_gain_high": candidate.gain.gain_high,
            "gain_difference_se": gain_difference_se(choice.best_gain.gain, candidate.gain),
            "published_gain": outside.gain,
            "published_gain_low": outside.gain_low,
            "published_gain_high": outside.gain_high,
            "gain_slope": outside.slope,
            "share_within_horizon": outside.share_within,
            "is_eligible": not candidate.refusals(gates),
            "is_chosen": is_chosen,
            "reason": (kept_reason if is_chosen else f"not judged anew: {reason}") if is_kept else reason,
            "refinement": list(model.decisions) if is_chosen else [],
        }
        rows.append(tuple(_null_for_nan(values[name]) for name in TABLE.columns))
    return rows


def _null_for_nan(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


TABLE = Table(
    name="segment_candidates",
    grain="One row per as-of and number of segments that the tree can be cut into.",
    key=("as_of", "segment_count"),
    schema=StructType(
        [
            as_of_column(),
            column("segment_count", "int", "Segments of this pruning of the tree."),
            column(
                "silhouette",
                "double",
                "Mean silhouette (squared distances) on the fit day; NULL for one.",
                nullable=True,
            ),
            column("silhouette_null", "double", "What 95 % of structureless twins stay below.", nullable=True),
            column("smallest_share", "double", "Share of the customers in the smallest segment, 0-1."),
            column("stability", "double", "Adjusted Rand index, mean over refits on samples.", nullable=True),
            column("lowest_jaccard", "double", "Jaccard index of the least stable segment.", nullable=True),
            column(
                "cycle_gain",
                "double",
                "Held-out gain of the segments' cycles over one cycle; choosing half.",
                nullable=True,
            ),
            column("cycle_gain_low", "double", "Lower end of its 95 % interval.", nullable=True),
            column("cycle_gain_high", "double", "Upper end.", nullable=True),
            column("gain_difference_se", "double", "Standard error of the difference to the best gain.", nullable=True),
            column("published_gain", "double", "The gain of the other half, which did not choose.", nullable=True),
            column("published_gain_low", "double", "Lower end of its 95 % interval.", nullable=True),
            column("published_gain_high", "double", "Upper end.", nullable=True),
            column(
                "gain_slope", "double", "Slope of log gap on log cycle over the other half's customers.", nullable=True
            ),
            column(
                "share_within_horizon", "double", "Share of the held-out gaps within the horizon, 0-1.", nullable=True
            ),
            column("is_eligible", "boolean", "Passes the gates on size, stability and structure."),
            column("is_chosen", "boolean", "The chosen number, before refinement."),
            column("reason", "string", "Why it was chosen or not."),
            column(
                "refinement",
                "array<string>",
                "On the chosen row: every split that was tried, and why it was taken or not.",
            ),
        ]
    ),
    checks={"shares": "smallest_share BETWEEN 0 AND 1"},
    model=("segmentation", Segmentation),
    build=build,
)
