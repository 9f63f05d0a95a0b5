"""Retention curves of each segment and of everyone: days until the next purchase, and days until a customer has lapsed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import InsightSettings
from habitue.errors import NotApplicable
from habitue.models.cohorts import EVERYONE
from habitue.models.purchase_cycle import GapWeights, cycle_limit, wang_chang_curve
from habitue.models.survival import EventCurve, Floats, kaplan_meier, wang_chang
from habitue.table import Table, as_of_column, column

# Customers are resampled by hash groups, so that the driver holds sums and no customers; enough groups for 95 % limits.
HASH_GROUPS = 100
LAPSE_QUANTILE = 0.9  # of the segment's gaps: a gap over it is a lapse

GapArrays = tuple[Floats, Floats]  # complete, censored: weights by (hash group, gap in days)


def build(customer_history: DataFrame, segment_members: DataFrame, as_of: date, insights: InsightSettings) -> DataFrame:
    customers = _customers(customer_history, segment_members, as_of)
    span = customer_history.agg(F.datediff(F.lit(as_of), F.min("first_order_day"))).collect()[0][0]
    gaps = _gaps(customers)
    limit = cycle_limit(span)
    lapse_after = {segment: _quantile(arrays, limit) for segment, arrays in gaps.items()}
    curves = [
        _rows(segment, "next_purchase", wang_chang(*arrays, insights.bootstrap_draws, (insights.seed, segment)), limit)
        for segment, arrays in gaps.items()
    ]
    known = {segment: days for segment, days in lapse_after.items() if not np.isnan(days)}
    curves += [
        _rows(segment, "lapse", kaplan_meier(*counts), limit, known[segment])
        for segment, counts in _lapses(customers, known).items()
    ]
    rows = pd.concat([curve.astype(object) for curve in curves], ignore_index=True)
    if rows.empty:
        raise NotApplicable("the orders cover one day, and a curve needs two")
    rows.insert(0, "as_of", as_of)
    # NaN stands for NULL in the models; a row of None keeps the two apart in Spark.
    plain = rows.astype(object).where(rows.notna(), None)
    return customer_history.sparkSession.createDataFrame(
        list(plain[TABLE.columns].itertuples(index=False, name=None)), TABLE.schema
    )


def _customers(customer_history: DataFrame, segment_members: DataFrame, as_of: date) -> DataFrame:
    histories = customer_history.select(
        "customer_id",
        F.pmod(F.xxhash64("customer_id", F.lit("retention")), F.lit(HASH_GROUPS)).cast("int").alias("hash_group"),
        "gaps_days",
        F.datediff(F.lit(as_of), "last_purchase_day").alias("open_gap"),
        F.datediff(F.lit(as_of), "first_purchase_day").alias("followed"),
    )
    return segment_members.select("customer_id", "segment_id").join(histories, "customer_id", "inner")


def _gaps(customers: DataFrame) -> dict[int, GapArrays]:
    """Weights of the gaps of each segment and of everyone: at most segments x hash groups x days rows are read."""
    n = F.size("gaps_days")
    entries = F.when(n > 0, F.col("gaps_days")).otherwise(F.array("open_gap"))
    gaps = customers.select("segment_id", "hash_group", n.alias("n"), F.explode(entries).alias("gap"))
    per_gap = gaps.groupBy("segment_id", "hash_group", "gap").agg(
        F.sum(F.when(F.col("n") > 0, 1 / F.col("n")).otherwise(0.0)).alias("complete"),
        F.sum(F.when(F.col("n") == 0, 1.0).otherwise(0.0)).alias("censored"),
    )
    summed = per_gap.toArrow().to_pandas()
    longest = int(summed["gap"].max())
    arrays: dict[int, GapArrays] = {}
    for segment in sorted(summed["segment_id"].unique()):
        part = summed[summed["segment_id"] == segment]
        pair = np.zeros((2, HASH_GROUPS, longest + 1))
        where = (part["hash_group"].to_numpy(), part["gap"].to_numpy())
        pair[0][where], pair[1][where] = part["complete"].to_numpy(), part["censored"].to_numpy()
        arrays[int(segment)] = (pair[0], pair[1])
    everyone = (sum(a for a, _ in arrays.values()), sum(b for _, b in arrays.values()))
    return {EVERYONE: everyone, **arrays}  # type: ignore[dict-item]


def _quantile(gaps: GapArrays, limit: float) -> float:
    """The segment's own p90 of the cycle, days; NaN where it has no complete gap."""
    complete, censored = (array.sum(axis=0) for array in gaps)
    nothing = np.zeros_like(complete)
    curve = wang_chang_curve(GapWeights(complete, censored, nothing, nothing), limit)
    return float(curve.quantile(LAPSE_QUANTILE))


def _lapses(customers: DataFrame, lapse_after: Mapping[int, float]) -> dict[int, GapArrays]:
    """Customers by day since the first purchase: those who lapsed on it, and those followed only up to it.

    A customer lapses once: on the day, after the first gap longer than the threshold began, that ends with so many
    whole days gone by. The open gap may be that gap. Everyone's threshold is the shop's, not the segment's.
    """
    if not lapse_after:
        return {}
    threshold = F.create_map(*(F.lit(x) for pair in lapse_after.items() for x in pair))
    judged = customers.withColumn("segment_id", F.explode(F.array(F.lit(EVERYONE), F.col("segment_id"))))
    judged = judged.withColumn("after", F.try_element_at(threshold, "segment_id")).where(F.col("after").isNotNull())
    all_gaps = F.concat("gaps_days", F.array("open_gap"))
    first_long = F.array_position(F.transform(all_gaps, lambda gap: gap > F.col("after")), F.lit(True)).cast("int")
    before = F.aggregate(
        F.slice("gaps_days", F.lit(1), F.col("first_long") - 1), F.lit(0), lambda total, gap: total + gap
    )
    lapsed_on = F.when(F.col("first_long") > 0, before + F.floor("after").cast("int"))
    timed = judged.withColumn("first_long", first_long).select(
        "segment_id",
        (F.col("first_long") > 0).alias("has_lapsed"),
        F.coalesce(lapsed_on, "followed").alias("day"),
    )
    counted = timed.groupBy("segment_id", "has_lapsed", "day").agg(F.count(F.lit(1)).alias("customers"))
    counts = counted.toArrow().to_pandas()
    found: dict[int, GapArrays] = {}
    for segment in sorted(counts["segment_id"].unique()):
        part = counts[counts["segment_id"] == segment]
        pair = np.zeros((2, int(part["day"].max()) + 1))
        pair[(1 - part["has_lapsed"].astype(int).to_numpy(), part["day"].to_numpy())] = part["customers"].to_numpy()
        found[int(segment)] = (pair[0], pair[1])
    return found


def _rows(segment: int, name: str, curve: EventCurve, limit: float, threshold: float | None = None) -> pd.DataFrame:
    """Days 1 to the limit, as long as somebody is at risk."""
    days = np.arange(len(curve.share))
    shown = (days >= 1) & (days <= limit) & (curve.at_risk > 0)
    rows: pd.DataFrame = pd.DataFrame(
        {
            "segment_id": segment,
            "curve": name,
            "day": days[shown],
            "share": curve.share[shown],
            "share_low": curve.low[shown],
            "share_high": curve.high[shown],
            "at_risk": curve.at_risk[shown],
            "threshold_days": threshold,
        }
    )
    return rows


TABLE = Table(
    name="segment_retention",
    grain="One row per as-of, segment, curve and day, as long as somebody is at risk.",
    key=("as_of", "segment_id", "curve", "day"),
    schema=StructType(
        [
            as_of_column(),
            column("segment_id", "int", "The segment; 0 is everyone."),
            column(
                "curve",
                "string",
                "next_purchase: a gap ends with a purchase (Wang-Chang, each customer weighs the same). "
                "lapse: a customer's first gap over the 90th percentile of the segment's cycle (Kaplan-Meier).",
            ),
            column("day", "int", "Days: of the gap for next_purchase, since the first purchase day for lapse."),
            column("share", "double", "Share to whom it has happened by the end of this day, 0-1."),
            column(
                "share_low",
                "double",
                "Lower 95 % limit: bootstrap of customers by hash groups; log-log for lapse.",
                nullable=True,
            ),
            column("share_high", "double", "Upper 95 % limit.", nullable=True),
            column(
                "at_risk",
                "double",
                "Customers at risk on this day; for next_purchase each counts as the share of its gaps so long.",
            ),
            column(
                "threshold_days",
                "double",
                "Gap, days, over which a customer has lapsed; NULL for next_purchase.",
                nullable=True,
            ),
        ]
    ),
    checks={
        "known_curve": "curve IN ('next_purchase', 'lapse')",
        "share_of_customers": "share BETWEEN 0 AND 1",
        "somebody_is_at_risk": "at_risk > 0",
    },
    build=build,
)
