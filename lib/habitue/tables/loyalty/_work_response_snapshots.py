"""What could be said of every customer that a campaign was sent to before it started, and who responded.

Of a coming campaign it is often not known yet whom it goes to: then everybody who bought in the look-back has a row.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import FeatureSettings
from habitue.errors import NotApplicable
from habitue.exact import UNITS
from habitue.table import Table, as_of_column, column
from habitue.tables.features.customer_features import with_attributes
from habitue.tables.loyalty import known_days as known
from habitue.tables.loyalty import snapshot_features as snapshots

KEY = ("campaign_id", "customer_id")
# The loyal rule says nothing of who responds, and its threshold is learned among all customers: not computed here.
WITHOUT = ("threshold_progress", "threshold_progress_before")
UNUSED_WINDOW_DAYS, UNUSED_PERCENTILE, UNUSED_MINIMUM = 90, 0.75, 2

_CAMPAIGN_NUMBERS = {
    "campaign_length_days": "Days from the campaign's first to its last, both counted.",
    "campaign_product_count": "Products that it is for.",
    "same_kind_sends_before": "Campaigns of the same kind sent to the customer before.",
    "same_kind_responded_before": "Of these, those responded to.",
    "campaign_products_bought": "Of the campaign's products, those bought in the look-back.",
    "campaign_product_days": "Days of the look-back with one of them.",
    "campaign_product_amount": "What was paid for them in the look-back.",
    "campaign_product_share": "The same / net amount of the look-back, 0-1.",
    "days_since_campaign_product": "Days since one of them was last bought.",
}
NUMERIC_FEATURES: dict[str, str] = {
    **{name: said for name, said in snapshots.NUMERIC_FEATURES.items() if name not in WITHOUT},
    **_CAMPAIGN_NUMBERS,
}
TEXT_FEATURES: dict[str, str] = {
    "campaign_kind": "Kind of the campaign.",
    "favourite_weekday": snapshots.TEXT_FEATURES["favourite_weekday"],
}
FEATURE_SOURCES: dict[str, str] = {
    name: snapshots.FEATURE_SOURCES.get(name, snapshots.CAMPAIGNS) for name in (*NUMERIC_FEATURES, *TEXT_FEATURES)
}


def build(
    sends: DataFrame,
    campaigns: DataFrame,
    responses: DataFrame,
    order_lines: DataFrame,
    as_of: date,
    features: FeatureSettings,
    campaign_products: DataFrame | None = None,
    customers: DataFrame | None = None,
    products: DataFrame | None = None,
) -> DataFrame:
    sent = _sent(sends, campaigns, as_of).unionByName(_unlisted(sends, campaigns, order_lines, as_of))
    days = [row[0] for row in sent.select("snapshot_on").distinct().collect()]
    if not days:
        raise NotApplicable("no campaign whose days are known was sent to anybody or is to come")
    pairs = sent.select("customer_id", "snapshot_on").distinct()
    targeted = order_lines.join(pairs.select("customer_id").distinct(), "customer_id", "left_semi")
    lines = known.known_lines(targeted, days)
    bought = _order_features(lines, pairs, products, features.look_back_days)
    described = _with_product_count(sent, campaign_products).join(bought, list(snapshots.KEY), "left")
    has_bought = F.col("days_since_last_order") <= features.look_back_days
    wanted = described.where(F.col("is_listed") | has_bought)
    affine = _with_affinity(wanted, lines, campaign_products, features.look_back_days)
    contacted = _with_contacts(affine, sends, responses, campaigns)
    labelled = _with_label(contacted, responses, as_of)
    settings = {"as_of": F.lit(as_of), "plain_score": F.col("responses_before")}
    return with_attributes(labelled.withColumns(settings), customers).select(*TABLE.columns)


def _sent(sends: DataFrame, campaigns: DataFrame, as_of: date) -> DataFrame:
    """One row a send, with its campaign's days and kind; snapshot_on is the first day that the features do not know."""
    sent = sends.select(*KEY).distinct().join(F.broadcast(_planned(campaigns, as_of)), "campaign_id", "inner")
    return sent.withColumn("is_listed", F.lit(True))


def _unlisted(sends: DataFrame, campaigns: DataFrame, order_lines: DataFrame, as_of: date) -> DataFrame:
    """The same rows for each coming campaign that nothing is known to have been sent of, and every customer."""
    coming = _planned(campaigns, as_of).where(F.col("starts_on") >= F.lit(as_of))
    unsent = coming.join(sends.select("campaign_id").distinct(), "campaign_id", "left_anti")
    everybody = order_lines.where(F.col("known_day") < F.lit(as_of)).select("customer_id").distinct()
    return everybody.crossJoin(F.broadcast(unsent)).withColumn("is_listed", F.lit(False))


def _planned(campaigns: DataFrame, as_of: date) -> DataFrame:
    """The campaigns whose days are known."""
    length = F.datediff("ends_on", "starts_on") + 1
    return campaigns.where(F.col("starts_on").isNotNull() & F.col("ends_on").isNotNull()).select(
        "campaign_id",
        "starts_on",
        "ends_on",
        F.col("kind").alias("campaign_kind"),
        F.least("starts_on", F.lit(as_of)).alias("snapshot_on"),
        length.cast("double").alias("campaign_length_days"),
    )


def _order_features(lines: DataFrame, pairs: DataFrame, products: DataFrame | None, look_back_days: int) -> DataFrame:
    """The features from orders, their typical gaps shrunken to those of the customers that the campaigns were sent to."""
    window = UNUSED_WINDOW_DAYS
    on_days = snapshots.on_days_of(known.customer_days(lines, products), pairs)
    light = snapshots.on_days_of(known.order_days(lines), pairs)
    counts = snapshots.loyal_counts(light, window)
    shop = snapshots.shop_figures(counts, UNUSED_PERCENTILE, UNUSED_MINIMUM)
    # Rates are over the time since the first order of anybody here.
    first_day = lines.agg(F.min("order_day")).collect()[0][0] or date.min
    return snapshots.order_features(on_days, shop, first_day, window, look_back_days)


def _with_product_count(sent: DataFrame, campaign_products: DataFrame | None) -> DataFrame:
    """The campaign's size. To how many it goes is no feature: of a coming campaign that is not known."""
    if campaign_products is None:
        return sent.withColumn("campaign_product_count", F.lit(None).cast("double"))
    counts = campaign_products.groupBy("campaign_id").agg(
        F.count(F.lit(1)).cast("double").alias("campaign_product_count")
    )
    return sent.join(F.broadcast(counts), "campaign_id", "left")


def _with_affinity(
    rows: DataFrame, lines: DataFrame, campaign_products: DataFrame | None, look_back_days: int
) -> DataFrame:
    """What the customer bought of the campaign's products in the look-back: 0 for who bought none."""
    counts = ("campaign_products_bought", "campaign_product_days", "campaign_product_amount")
    if campaign_products is None:
        missing = (*counts, "campaign_product_share", "days_since_campaign_product")
        return rows.withColumns({name: F.lit(None).cast("double") for name in missing})
    per_day = known.bought(lines).groupBy("customer_id", "product_id", "day", "known_from")
    worths = per_day.agg(F.sum("worth").alias("worth"))
    promoted = worths.join(campaign_products.select("campaign_id", "product_id"), "product_id", "inner")
    pairs = rows.select(*KEY, "snapshot_on")
    ago = F.datediff("snapshot_on", "day")
    before = promoted.join(pairs, list(KEY), "inner").where(
        (F.col("known_from") <= F.col("snapshot_on")) & (ago <= look_back_days)
    )
    affinity = before.groupBy(*KEY).agg(
        F.count_distinct("product_id").cast("double").alias("campaign_products_bought"),
        F.count_distinct("day").cast("double").alias("campaign_product_days"),
        (F.sum("worth") / UNITS).alias("campaign_product_amount"),
        F.min(ago).cast("double").alias("days_since_campaign_product"),
    )
    beside = rows.join(affinity, list(KEY), "left")
    has_history = F.col("purchase_day_count").isNotNull()
    none = {name: F.when(has_history, F.coalesce(name, F.lit(0.0))) for name in counts}
    share = F.try_divide(F.col("campaign_product_amount") * UNITS, F.col("__amount").cast("double"))
    return beside.withColumns(none).withColumn("campaign_product_share", share)


def _with_contacts(rows: DataFrame, sends: DataFrame, responses: DataFrame, campaigns: DataFrame) -> DataFrame:
    """What was sent to the customer, and answered, before the campaign started: of other campaigns, also of its kind."""
    contacts = snapshots.contacts(sends, responses)
    assert contacts is not None
    kinds = campaigns.select("campaign_id", F.col("kind").alias("kind"))
    others = contacts.join(F.broadcast(kinds), "campaign_id", "left").withColumnRenamed("campaign_id", "other_id")
    own = rows.select(*KEY, "snapshot_on", "campaign_kind")
    beside = own.join(others, "customer_id", "inner").where(F.col("other_id") != F.col("campaign_id"))
    same_kind = beside.where(F.col("kind").eqNullSafe(F.col("campaign_kind")))
    of_kind = snapshots.campaign_features(same_kind, KEY).select(
        *KEY,
        F.col("sends_before").alias("same_kind_sends_before"),
        F.col("campaigns_responded_before").alias("same_kind_responded_before"),
    )
    joined = rows.join(snapshots.campaign_features(beside, KEY), list(KEY), "left").join(of_kind, list(KEY), "left")
    return joined.fillna(0.0, [*snapshots.CAMPAIGN_COUNTS, "same_kind_sends_before", "same_kind_responded_before"])


def _with_label(rows: DataFrame, responses: DataFrame, as_of: date) -> DataFrame:
    """`has_responded`: a response from the campaign's first day to its last; NULL while that is not over."""
    answered = responses.select(*KEY, "known_day").join(rows.select(*KEY, "starts_on", "ends_on"), list(KEY), "inner")
    in_time = answered.where(F.col("known_day").between(F.col("starts_on"), F.col("ends_on")))
    who = in_time.select(*KEY).distinct().withColumn("__answered", F.lit(True))
    is_over = F.col("ends_on") < F.lit(as_of)
    label = F.when(is_over, F.coalesce("__answered", F.lit(False)))
    return rows.join(who, list(KEY), "left").withColumn("has_responded", label)


TABLE = Table(
    name="_work_response_snapshots",
    grain="One row per as-of, campaign whose days are known and customer that it was sent to; where it is to come and "
    "nothing is known to have been sent, customer with a purchase day in the look-back.",
    key=("as_of", "campaign_id", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("campaign_id", "string", "The campaign."),
            column("customer_id", "string", "Who it was, or may be, sent to."),
            column("is_listed", "boolean", "It is known that it was sent to this customer."),
            column("snapshot_on", "date", "First day that the features do not know: the campaign's first, or as_of."),
            column("starts_on", "date", "The campaign's first day."),
            column("ends_on", "date", "Its last day."),
            column(
                "has_responded", "boolean", "A response from starts_on to ends_on; NULL if not over.", nullable=True
            ),
            column("plain_score", "double", "Responses before: the plain sort."),
            *(column(name, "double", said, nullable=True) for name, said in NUMERIC_FEATURES.items()),
            *(column(name, "string", said, nullable=True) for name, said in TEXT_FEATURES.items()),
            column("numeric_attributes", "map<string,double>", "As in customer_features."),
            column("text_attributes", "map<string,string>", "Its other attributes."),
        ]
    ),
    checks={"starts_before_it_ends": "starts_on <= ends_on AND snapshot_on <= starts_on"},
    build=build,
)
