"""What could be said of every customer on each of several past days, and who was loyal a horizon later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import FeatureSettings, LoyalSettings, PredictionSettings
from habitue.errors import NotApplicable
from habitue.table import Table, as_of_column, column
from habitue.tables.features.customer_features import with_attributes
from habitue.tables.loyalty import known_days as known
from habitue.tables.loyalty import snapshot_features as snapshots
from habitue.tables.loyalty.snapshot_days import SnapshotDays, snapshot_days


def build(
    order_lines: DataFrame,
    as_of: date,
    features: FeatureSettings,
    loyal: LoyalSettings,
    prediction: PredictionSettings,
    customers: DataFrame | None = None,
    products: DataFrame | None = None,
    sends: DataFrame | None = None,
    responses: DataFrame | None = None,
) -> DataFrame:
    days = days_of(order_lines, as_of, loyal, prediction)
    return on_days(days, order_lines, features, loyal, customers, products, sends, responses)


def on_days(
    days: SnapshotDays,
    order_lines: DataFrame,
    features: FeatureSettings,
    loyal: LoyalSettings,
    customers: DataFrame | None = None,
    products: DataFrame | None = None,
    sends: DataFrame | None = None,
    responses: DataFrame | None = None,
) -> DataFrame:
    """The table's rows for any snapshot days."""
    look_back = max(features.look_back_days, days.horizon_days)
    lines = known.known_lines(order_lines, days.observed)
    on_days = snapshots.on_each_day(known.customer_days(lines, products), days.observed)
    counts = snapshots.loyal_counts(snapshots.on_each_day(known.order_days(lines), days.observed), days.window_days)
    shop = snapshots.shop_figures(counts, loyal.percentile, loyal.min_purchase_days)
    rows = snapshots.order_features(on_days, shop, days.first_day, days.window_days, look_back)
    regular = _with_labels(rows, days).where(F.col("days_since_last_order") <= look_back)
    wanted = regular.where(F.col("snapshot_on").isin(list(days.days)))
    described = with_contacts(with_texts(wanted, lines, products, days.days), sends, responses, days.days)
    settings = {
        "as_of": F.lit(days.as_of),
        "horizon_days": F.lit(days.horizon_days),
        "loyal_window_days": F.lit(days.window_days),
        "is_loyal": F.col("purchase_days_in_window") >= F.col("loyal_threshold"),
        "plain_score": F.col("purchase_days_90d"),
    }
    return with_attributes(described.withColumns(settings), customers).select(*TABLE.columns)


def days_of(order_lines: DataFrame, as_of: date, loyal: LoyalSettings, prediction: PredictionSettings) -> SnapshotDays:
    """The snapshot days of the orders known before as_of. Raises NotApplicable where they are too few."""
    first: date | None = order_lines.where(F.col("known_day") < F.lit(as_of)).agg(F.min("order_day")).collect()[0][0]
    if first is None:
        raise NotApplicable("there are no orders before the as-of")
    return snapshot_days(as_of, first, loyal, prediction)


def _with_labels(rows: DataFrame, days: SnapshotDays) -> DataFrame:
    """What was counted in the window that ends a horizon later, as it was known when that window ended.

    The window is as long as the horizon, so a label is the customer's own count on a later snapshot day; who has no
    row there bought nothing.
    """
    by_day = Window.partitionBy("customer_id").orderBy(F.unix_date("snapshot_on"))
    later = by_day.rangeBetween(days.horizon_days, days.horizon_days)
    is_complete = F.date_add("snapshot_on", days.horizon_days) <= F.lit(days.as_of)

    def label(name: str) -> Column:
        return F.when(is_complete, F.coalesce(F.sum(name).over(later), F.lit(0)))

    return rows.withColumns(
        {
            "purchase_days_in_horizon": label("purchase_days_in_window"),
            "orders_in_horizon": label("orders_in_window"),
        }
    )


def with_texts(rows: DataFrame, lines: DataFrame, products: DataFrame | None, days: Sequence[date]) -> DataFrame:
    """The text features that need the lines: favourite channel and category, and the first category."""
    calendar = one_row_a_day(rows, days)
    with_channel = rows.join(known.favourite_channel(lines, calendar), list(snapshots.KEY), "left")
    if products is None:
        nothing = {name: F.lit(None).cast("string") for name in ("favourite_category", "first_category")}
        return with_channel.withColumns(nothing)
    with_favourite = with_channel.join(known.favourite_category(lines, products, calendar), list(snapshots.KEY), "left")
    with_first = with_favourite.join(known.first_category(lines, products), "customer_id", "left")
    is_known = F.col("category_from") <= F.col("snapshot_on")
    return with_first.withColumn("first_category", F.when(is_known, F.col("first_category"))).drop("category_from")


def with_contacts(
    rows: DataFrame, sends: DataFrame | None, responses: DataFrame | None, days: Sequence[date]
) -> DataFrame:
    contacts = snapshots.contacts(sends, responses)
    if contacts is None:
        return snapshots.without_campaigns(rows)
    dated = contacts.crossJoin(F.broadcast(one_row_a_day(rows, days)))
    return rows.join(snapshots.campaign_features(dated), list(snapshots.KEY), "left").fillna(
        0.0, subset=[n for n in snapshots.CAMPAIGN_COUNTS if _has(n, sends, responses)]
    )


def _has(count: str, sends: DataFrame | None, responses: DataFrame | None) -> bool:
    return (sends if count == "sends_before" else responses) is not None


def one_row_a_day(frame: DataFrame, days: Sequence[date]) -> DataFrame:
    """snapshot_on: the days, as a small frame."""
    return frame.sparkSession.createDataFrame([(day,) for day in sorted(days)], "snapshot_on date")


TABLE = Table(
    name="_work_loyalty_snapshots",
    grain="One row per as-of, snapshot day and customer with a purchase day in the look-back before it.",
    key=("as_of", "snapshot_on", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("snapshot_on", "date", "First day that was not known to the features of this row."),
            column("customer_id", "string", "The customer."),
            column("horizon_days", "int", "H: the label is what follows in so many days."),
            column("loyal_window_days", "int", "W of the loyal rule, days."),
            column("loyal_threshold", "int", "L of the loyal rule, learned before snapshot_on."),
            column("purchase_days_in_window", "int", "Purchase days in the W days before snapshot_on."),
            column("is_loyal", "boolean", "At least L of them."),
            column(
                "purchase_days_in_horizon",
                "int",
                "Purchase days in the H days from snapshot_on on, as known when they were over; NULL where they are not.",
                nullable=True,
            ),
            column("orders_in_window", "int", "Orders on the purchase days of the window."),
            column("orders_in_horizon", "int", "Orders on those of the horizon.", nullable=True),
            column("plain_score", "double", "Purchase days in the last 90 days: the plain sort."),
            *(column(name, "double", said, nullable=True) for name, said in snapshots.NUMERIC_FEATURES.items()),
            *(column(name, "string", said, nullable=True) for name, said in snapshots.TEXT_FEATURES.items()),
            column("numeric_attributes", "map<string,double>", "As in customer_features."),
            column("text_attributes", "map<string,string>", "Its other attributes."),
        ]
    ),
    checks={"bought_before": "days_since_last_order >= 1"},
    build=build,
)
