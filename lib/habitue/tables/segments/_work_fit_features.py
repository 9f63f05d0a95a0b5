"""Every customer as known on the fit day, with the gap that was held out to judge the segments by."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import FeatureSettings, LoyalSettings, SegmentSettings
from habitue.errors import NotApplicable
from habitue.models.segment_watch import carried_forward
from habitue.models.segmentation import Segmentation
from habitue.table import Table, as_of_column, column
from habitue.tables.clean import orders
from habitue.tables.features import customer_features, customer_history

FEATURES = (
    "purchase_days_per_month",
    "average_order_value",
    "days_since_last_order",
    "typical_gap_days",
    "regularity",
    "breadth",
    "discount_share",
    "weekend_share",
    "trend",
)


def build(
    order_lines: DataFrame,
    customer_history: DataFrame,
    as_of: date,
    features: FeatureSettings,
    loyal: LoyalSettings,
    segments: SegmentSettings,
    earlier_segmentation: Segmentation | None,
    promoted_segmentation: Segmentation | None,
) -> DataFrame:
    reused = carried_forward(segments.refit, promoted_segmentation, earlier_segmentation, as_of)
    fit_day, horizon = fit_days(customer_history, as_of, segments, reused)
    described = _described(order_lines.where(F.col("known_day") < F.lit(fit_day)), fit_day, features, loyal)
    held_out = _held_out(customer_history, fit_day, as_of - timedelta(days=horizon))
    return described.join(held_out, "customer_id", "left").select(
        F.lit(as_of).alias("as_of"),
        "customer_id",
        F.lit(fit_day).alias("fit_day"),
        F.lit(horizon).alias("horizon_days"),
        *(F.col(name).cast("double").alias(name) for name in FEATURES),
        "gaps_days",
        F.col("days_since_last_order").alias("open_gap_days"),
        F.coalesce("has_held_out", F.lit(False)).alias("has_held_out"),
        "held_out_gap_days",
    )


def fit_days(
    customer_history: DataFrame, as_of: date, segments: SegmentSettings, reused: Segmentation | None
) -> tuple[date, int]:
    """The fit day t0, and the days h for which every held-out gap can be followed.

    A model that is carried forward is judged over as many days as at its fit, the newest ones: the gains can then be
    compared, and show a change in the shop as soon as its gaps do.
    Raises NotApplicable where nobody had bought anything before the as-of day.
    """
    oldest, purchase = customer_history.agg(F.min("first_order_day"), F.min("first_purchase_day")).collect()[0]
    if purchase is None:
        raise NotApplicable(f"nobody had bought anything before {as_of}")
    held_out = reused.as_of - reused.fit_day if reused else None
    fit_day = as_of - held_out if held_out else _share_of_span(oldest, as_of, segments.fit_share_of_span)
    return fit_day, max((as_of - fit_day).days // 2, 1)


def _share_of_span(first: date, last: date, share: float) -> date:
    return first + timedelta(days=int((last - first).days * share))


def _described(lines: DataFrame, fit_day: date, features: FeatureSettings, loyal: LoyalSettings) -> DataFrame:
    """Features and gaps as of the fit day, from what was known then."""
    history = _history(lines, fit_day)
    described = customer_features.build(history, fit_day, features, loyal)
    gaps = history.select("customer_id", "gaps_days")
    return described.select("customer_id", *FEATURES).join(gaps, "customer_id", "inner")


def _history(lines: DataFrame, fit_day: date) -> DataFrame:
    return customer_history.build(orders.build(lines), lines, fit_day)


def _held_out(history: DataFrame, fit_day: date, last_start: date) -> DataFrame:
    """A customer's first gap that starts on the fit day or later, and early enough to be followed for h days."""
    days = F.transform("purchase_days", lambda p: p["day"])
    starts = F.filter("days", lambda d: (d >= F.lit(fit_day)) & (d < F.lit(last_start)))
    start = F.get("starts", F.lit(0))
    after = F.get(F.filter("days", lambda d: d > F.col("start")), F.lit(0))
    return (
        history.select("customer_id", days.alias("days"))
        .withColumn("starts", starts)
        .withColumn("start", start)
        .select(
            "customer_id",
            F.col("start").isNotNull().alias("has_held_out"),
            F.datediff(after, "start").alias("held_out_gap_days"),
        )
    )


TABLE = Table(
    name="_work_fit_features",
    grain="One row per as-of and customer with a purchase day before the fit day.",
    key=("as_of", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("customer_id", "string", "The customer."),
            column("fit_day", "date", "t0: the features below are of what was known before it."),
            column("horizon_days", "int", "h: days for which held-out gaps are followed."),
            *(column(name, "double", "As in customer_features.", nullable=True) for name in FEATURES),
            column("gaps_days", "array<int>", "Complete gaps before the fit day."),
            column("open_gap_days", "int", "Days from the last purchase day to the fit day."),
            column("has_held_out", "boolean", "A gap starts on the fit day or later that can be followed for h days."),
            column("held_out_gap_days", "int", "That gap; NULL where it was still open.", nullable=True),
        ]
    ),
    build=build,
)
