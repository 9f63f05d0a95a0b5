"""The segments: who they are, the cycle they buy in, and whether it represents them."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import SegmentSettings
from habitue.models.cycle_verdict import Verdict, is_regular, supported, verdicts
from habitue.models.gap_sums import gap_weights, hash_group, member_sums
from habitue.models.purchase_cycle import GapWeights, PurchaseCycles, cycle_limit, purchase_cycles, wang_chang_curve
from habitue.models.segment_names import Profile, segment_names
from habitue.models.segment_rules import Rule, segment_rules
from habitue.models.segmentation import Segmentation
from habitue.percent import percent
from habitue.table import Table, as_of_column, column
from habitue.tables.segments.segment_candidates import customers_of, thresholds_of

RULE_FEATURES = {  # in the rules -> where a customer has none
    "purchase_days_per_month": 0.0,
    "average_order_value": 0.0,
    "days_since_last_order": 0.0,
    "typical_gap_days": 0.0,
    "breadth": 0.0,
    "discount_share": 0.0,
}
CURVE_POINTS = 100
MEMBERSHIPS = ("core", "fringe", "outside")


def build(
    segment_members: DataFrame,
    customer_features: DataFrame,
    customer_history: DataFrame,
    segmentation: Segmentation,
    as_of: date,
    segments: SegmentSettings,
) -> DataFrame:
    members = segment_members.select("customer_id", "segment_id", "membership").join(
        customers_of(customer_features, customer_history), "customer_id", "inner"
    )
    figures = {row["segment_id"]: row for row in _figures(members.groupBy("segment_id")).collect()}
    shop = _figures(members.groupBy(F.lit(0).alias("segment_id"))).collect()[0]
    ids = sorted(figures)
    span = customer_history.agg(F.datediff(F.lit(as_of), F.min("first_order_day"))).collect()[0][0]
    weights, cycles = _cycles(members, ids, cycle_limit(span))
    names = segment_names(
        {s: _profile(figures[s], float(cycles.cycle_days[i])) for i, s in enumerate(ids)},
        _profile(shop, float(cycles.cycle_days[-1])),
        dict(segmentation.names),
    )
    says = _verdicts(cycles, ids, segmentation, segments)
    rules = _rules(members, shop, ids, segments.seed)
    curves = _curves(weights, cycle_limit(span))
    rows = [
        _row(as_of, s, i, figures[s], shop, cycles, segmentation, segments, says[i], names[s], rules[s], curves[i])
        for i, s in enumerate(ids)
    ]
    ordered = [tuple(row[name] for name in TABLE.columns) for row in rows]
    return segment_members.sparkSession.createDataFrame(ordered, TABLE.schema)


def _figures(grouped: Any) -> DataFrame:
    revenue = F.sum("amount_365d")
    frame: DataFrame = grouped.agg(
        F.count(F.lit(1)).alias("customers"),
        *(F.count(F.when(F.col("membership") == m, 1)).alias(f"{m}_customers") for m in MEMBERSHIPS),
        revenue.alias("revenue"),
        F.avg("average_order_value").alias("average_order_value"),
        F.avg("purchase_days_per_month").alias("purchase_days_per_month"),
        F.percentile("purchase_day_count", F.lit(0.5)).alias("median_purchase_days"),
        F.percentile("days_since_last_order", F.lit(0.5)).alias("median_days_since_last_order"),
        F.avg(F.col("is_loyal").cast("double")).alias("loyal_share"),
        *(F.count(name).alias(f"has_{name}") for name in RULE_FEATURES),
    )
    return frame


def _cycles(members: DataFrame, ids: list[int], limit: float) -> tuple[GapWeights, PurchaseCycles]:
    """Gap weights (segment, gap) and figures of each segment, and last of the whole shop."""
    position = F.array_position(F.array(*map(F.lit, ids)), F.col("segment_id")) - 1
    customers = members.withColumns({"leaf": position.cast("int"), "hash_group": hash_group()})
    groups = [[i] for i in range(len(ids))] + [list(range(len(ids)))]
    weights = gap_weights(customers, len(ids)).by_segment(groups)
    sums = member_sums(customers, len(ids)).by_segment(groups)
    return weights.total(axis=1), purchase_cycles(weights, sums, limit)


def _profile(row: Row, cycle_days: float) -> Profile:
    return Profile(
        purchase_days_per_month=row["purchase_days_per_month"],
        order_value=row["average_order_value"],
        days_since=row["median_days_since_last_order"],
        purchase_days=row["median_purchase_days"],
        cycle_days=None if np.isnan(cycle_days) else cycle_days,
    )


def _verdicts(cycles: PurchaseCycles, ids: list[int], model: Segmentation, settings: SegmentSettings) -> list[Verdict]:
    """The verdict of each of `ids`, by the gains of the half that did not choose."""
    highs = [high for _, _, high in model.segment_gains]
    has_gain = dict(zip(model.ids, supported(model.published_gain_low, highs), strict=True))
    return verdicts(cycles, [has_gain[s] for s in ids], thresholds_of(settings))


def _rules(members: DataFrame, shop: Row, ids: list[int], seed: int) -> dict[int, Rule]:
    features = [name for name in RULE_FEATURES if shop[f"has_{name}"]]
    filled = members.select(
        "customer_id",
        "segment_id",
        *(F.coalesce(F.col(name).cast("double"), F.lit(RULE_FEATURES[name])).alias(name) for name in features),
    )
    return segment_rules(filled, features, ids, seed)


def _curves(weights: GapWeights, limit: float) -> list[list[tuple[int, float]]]:
    """Of each segment, F at about `CURVE_POINTS` days up to the limit: the share of gaps of up to so many days."""
    curve = wang_chang_curve(weights, limit)
    days = sorted(
        {int(d) for d in np.linspace(1, max(int(limit), 1), CURVE_POINTS)} | set(range(1, min(31, int(limit))))
    )
    shares = np.stack([curve.share_by(day + 0.5) for day in days], axis=-1)
    return [
        [(day, float(x)) for day, x in zip(days, of_segment, strict=True) if not np.isnan(x)] for of_segment in shares
    ]


def _row(
    as_of: date,
    segment: int,
    i: int,
    figures: Row,
    shop: Row,
    cycles: PurchaseCycles,
    model: Segmentation,
    settings: SegmentSettings,
    says: Verdict,
    name: str,
    rule: Rule,
    curve: list[tuple[int, float]],
) -> dict[str, Any]:
    gain = dict(zip(model.ids, model.segment_gains, strict=True))[segment]
    thresholds = thresholds_of(settings)
    comes_back = bool(cycles.return_probability[i] > cycles.return_probability[-1])
    revenue_share = float(figures["revenue"] / shop["revenue"]) if figures["revenue"] and shop["revenue"] else None
    values: dict[str, Any] = {
        "as_of": as_of,
        "segment_id": segment,
        "name": name,
        "customers": figures["customers"],
        **{f"{m}_customers": figures[f"{m}_customers"] for m in MEMBERSHIPS},
        "share": figures["customers"] / shop["customers"],
        "revenue": figures["revenue"],
        "revenue_share": revenue_share,
        "average_order_value": figures["average_order_value"],
        "purchase_days_per_month": figures["purchase_days_per_month"],
        "median_days_since_last_order": figures["median_days_since_last_order"],
        "loyal_share": figures["loyal_share"],
        "is_loyal": figures["loyal_share"] >= 0.5 and comes_back,
        "rule": rule.text,
        "rule_fidelity": rule.fidelity,
        "cycle_days": cycles.cycle_days[i],
        "cycle_p10_days": cycles.p10_days[i],
        "cycle_p90_days": cycles.p90_days[i],
        "return_probability": cycles.return_probability[i],
        "concentration": cycles.concentration[i],
        "is_regular": is_regular(float(cycles.concentration[i]), float(cycles.concentration_low[i]), thresholds),
        "member_agreement": cycles.member_agreement[i],
        "interval_icc": cycles.interval_icc[i],
        "wheat_morrison_k": cycles.wheat_morrison_k[i],
        "cycle_gain": gain[0],
        "cycle_gain_low": gain[1],
        "cycle_gain_high": gain[2],
        "verdict": says,
        "gap_distribution": curve,
    }
    plain = {n: float(v) if isinstance(v, np.floating) else v for n, v in values.items()}
    plain = {n: None if isinstance(v, float) and not np.isfinite(v) else v for n, v in plain.items()}
    return {**plain, "description": _description(plain)}


def _description(row: dict[str, Any]) -> str:
    """Who they are, in one sentence."""
    revenue = f" with {_percent(row['revenue_share'])} of the revenue" if row["revenue_share"] is not None else ""
    value = f", for {row['average_order_value']:,.2f} a time" if row["average_order_value"] else ""
    returns = _percent(row["return_probability"]) if row["return_probability"] is not None else "none"
    return (
        f"{_percent(row['share'])} of the customers{revenue}: they {_rhythm(row)}{value}; the last order is typically "
        f"{_days(row['median_days_since_last_order'])} ago; after a purchase, {returns} come back."
    )


def _rhythm(row: dict[str, Any]) -> str:
    """The cycle with the range of most gaps, for the cycle alone promises a rhythm that few groups have."""
    if not row["cycle_days"]:
        return "have not come back yet"
    first, last = (max(round(row[name]), 1) for name in ("cycle_p10_days", "cycle_p90_days"))
    spread = f" (mostly {first} to {_days(last)})" if first < last else ""
    return f"typically come back after {_days(row['cycle_days'])}{spread}"


def _days(days: float) -> str:
    whole = max(round(days), 1)
    return "1 day" if whole == 1 else f"{whole} days"


def _percent(share: float) -> str:
    if 0 < share < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 < share < 1 else percent(share, 0)


def _optional(name: str, comment: str) -> Any:
    return column(name, "double", comment, nullable=True)


TABLE = Table(
    name="segments",
    grain="One row per as-of and segment.",
    key=("as_of", "segment_id"),
    schema=StructType(
        [
            as_of_column(),
            column("segment_id", "int", "The segment; the id survives re-fits."),
            column(
                "name",
                "string",
                "A name by rules over its figures against the shop's when it was new; no other id gets it.",
            ),
            column("description", "string", "Who they are, in one sentence."),
            column("customers", "bigint", "Members."),
            column("core_customers", "bigint", "Members that clearly belong there."),
            column("fringe_customers", "bigint", "Members whose distance or rhythm points elsewhere, too."),
            column("outside_customers", "bigint", "Members whose gaps fit no segment; this one is the nearest."),
            column("share", "double", "Share of all customers, 0-1."),
            column("revenue", "decimal(28,4)", "Net amount of the last 365 days.", nullable=True),
            _optional("revenue_share", "Share of the shop's revenue of the last 365 days, 0-1."),
            _optional("average_order_value", "Mean net amount a purchase day."),
            column("purchase_days_per_month", "double", "Mean purchase days a month over the look-back."),
            column("median_days_since_last_order", "double", "Median days since the last purchase day."),
            column("loyal_share", "double", "Share of members that meet the loyal rule, 0-1."),
            column(
                "is_loyal",
                "boolean",
                "At least half are loyal, and they return more than the shop's customers do; so never of a single segment.",
            ),
            column("rule", "string", "In words, a shallow tree that reproduces the membership."),
            _optional("rule_fidelity", "F1 of the rule on customers that it was not learned from."),
            _optional("cycle_days", "Purchase cycle: median gap, every member with the same weight."),
            _optional("cycle_p10_days", "10th percentile of the gap."),
            _optional("cycle_p90_days", "90th percentile of the gap."),
            _optional(
                "return_probability", "Probability that a purchase is followed by another within 0.9 of the span."
            ),
            _optional("concentration", "R: 0 is memoryless, 1 is clockwork, below 0 is bursty."),
            column("is_regular", "boolean", "R is high enough for messages to be timed by date."),
            _optional("member_agreement", "Share of members whose typical gap is within a factor 1.5 of the group's."),
            _optional("interval_icc", "Share of the variance of log gaps that lies between members."),
            _optional("wheat_morrison_k", "Regularity by the last two gaps (Wheat and Morrison): 1 is memoryless."),
            _optional("cycle_gain", "Held-out gain of its cycle over the shop's one cycle."),
            _optional("cycle_gain_low", "Lower end of its 95 % interval."),
            _optional("cycle_gain_high", "Upper end."),
            column(
                "verdict",
                "string",
                "Whether the cycle represents the members: representative, mixed, irregular, insufficient.",
            ),
            column("gap_distribution", "array<struct<day:int,share:double>>", "Share of gaps of up to so many days."),
        ]
    ),
    checks={
        "known_verdict": "verdict IN ('representative', 'mixed', 'irregular', 'insufficient')",
        "every_member_counts": "customers = core_customers + fringe_customers + outside_customers",
    },
    build=build,
)
