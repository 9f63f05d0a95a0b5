"""What can be said of a customer on each of several days, from what was known before it: what models learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from habitue.exact import UNITS
from habitue.tables.features.customer_features import DAYS_PER_MONTH, WINDOWS_DAYS
from habitue.tables.loyalty.known_days import MEASURES, purchase_days

KEY = ("snapshot_on", "customer_id")
HALF_LIVES_DAYS = (30, 90)
GAP_PRIOR = 2.0  # gaps: an own typical gap counts as much as the shop's from so many own gaps on
ORDERS, PRODUCTS, CUSTOMERS, CAMPAIGNS = "orders", "products", "customers", "campaigns"
ATTRIBUTE_PREFIX = "attribute."
ATTRIBUTE_MAPS = ("numeric_attributes", "text_attributes")

_ORDER_FEATURES = {
    "days_since_last_order": "Days since the last purchase day: the open gap.",
    "longevity_days": "Days since the first purchase day.",
    "purchase_day_count": "Purchase days so far.",
    **{f"purchase_days_{w}d": f"Purchase days in the last {w} days." for w in WINDOWS_DAYS},
    **{f"orders_{w}d": f"Orders on the purchase days of the last {w} days." for w in (30, 90, 365)},
    **{f"amount_{w}d": f"Net amount of the purchase days in the last {w} days." for w in WINDOWS_DAYS},
    **{
        f"purchase_days_fading_{d}d": f"Purchase days, each counting half as much for every {d} days that it is past."
        for d in HALF_LIVES_DAYS
    },
    "purchase_days_90d_before": "Purchase days in the 90 days before the last 90.",
    "trend": "(a - b) / (a + b): a purchase days of the last 90 days, b of the 90 before.",
    "active_weeks_13": "Of the last 13 weeks, those with a purchase day.",
    "active_months_12": "Of the last 12 times 30 days, those with a purchase day.",
    "purchase_days_per_month": "Purchase days a month (30.4 days) over the look-back, or what is known of it.",
    "gap_mean_days": "Mean gap, days.",
    "gap_log_deviation": "Standard deviation of the natural logarithms of the gaps.",
    "last_gap_days": "The last complete gap, days.",
    "last_three_gaps_days": "Mean of the last three gaps, days.",
    "longest_gap_days": "The longest complete gap, days.",
    "typical_gap_days": "Geometric mean gap, shrunken to the shop's, days.",
    "open_gap_ratio": "Days since the last purchase day / typical gap.",
    "average_order_value": "Net amount a purchase day over the look-back.",
    "largest_amount": "Largest net amount of a purchase day in the look-back.",
    "items_per_order": "Units a purchase day over the look-back.",
    "lines_per_order": "Lines a purchase day over the look-back.",
    "orders_per_day": "Orders a purchase day over the look-back.",
    "discount_share": "Discount / (amount + discount) over the look-back, 0-1.",
    "coupon_order_share": "Share of the orders of the look-back with a discount by coupon, 0-1.",
    "coupon_orders_90d": "Orders with a discount by coupon in the last 90 days.",
    "weekend_share": "Share of the purchase days of the look-back on Saturdays and Sundays, 0-1.",
    "product_count": "Distinct products so far.",
    "new_products_90d": "Products bought for the first time in the last 90 days.",
    "new_products_365d": "Products bought for the first time in the last 365 days.",
    "products_per_day": "Distinct products a purchase day over the look-back.",
    "repeat_share": "Share of the products of each day of the look-back that were bought before, 0-1.",
    "threshold_progress": "Purchase days in the last W days / L of the loyal rule.",
    "threshold_progress_before": "The same in the W days before those.",
}
_CAMPAIGN_FEATURES = {
    "sends_before": "Campaigns sent to the customer so far.",
    "campaigns_responded_before": "Campaigns responded to so far.",
    "responses_before": "Responses so far.",
    "response_share_before": "Campaigns responded to / campaigns sent.",
    "days_since_last_response": "Days since the last response.",
    "days_since_last_send": "Days since something was last sent.",
}
CAMPAIGN_COUNTS = {  # what is counted -> the column of contacts; 0, not NULL, where there was no contact
    "sends_before": "sent",
    "campaigns_responded_before": "campaign_responded",
    "responses_before": "response_count",
}
_TEXTS = {
    "favourite_weekday": ("ISO weekday of most purchase days of the look-back, 1 is Monday.", ORDERS),
    "favourite_channel": ("Channel of most lines.", ORDERS),
    "favourite_category": ("Category of the largest amount.", PRODUCTS),
    "first_category": ("Category of the largest amount on the first day.", PRODUCTS),
}

NUMERIC_FEATURES: dict[str, str] = {  # name -> what it is
    **_ORDER_FEATURES,
    "category_count": "Distinct categories so far.",
    **_CAMPAIGN_FEATURES,
}
TEXT_FEATURES: dict[str, str] = {name: meaning for name, (meaning, _) in _TEXTS.items()}
FEATURE_SOURCES: dict[str, str] = {  # name -> the source without which it would not be there; see also source_of
    **dict.fromkeys(_ORDER_FEATURES, ORDERS),
    "category_count": PRODUCTS,
    **dict.fromkeys(_CAMPAIGN_FEATURES, CAMPAIGNS),
    **{name: source for name, (_, source) in _TEXTS.items()},
}


def source_of(feature: str) -> str:
    """The source that a feature is from: that of the customers, for attributes."""
    return CUSTOMERS if feature.startswith(ATTRIBUTE_PREFIX) else FEATURE_SOURCES[feature]


def on_each_day(versions: DataFrame, days: Sequence[date]) -> DataFrame:
    """The purchase days known on each of the snapshot days: `versions` with snapshot_on and days_ago.

    versions: of customer_days.
    """
    all_days = F.array(*(F.lit(day) for day in sorted(days)))
    until = F.col("known_until")
    known = F.filter(all_days, lambda day: (day >= F.col("known_from")) & (until.isNull() | (day < until)))
    valid = purchase_days(versions).withColumn("snapshot_on", F.explode(known))
    return _dated(valid)


def on_days_of(versions: DataFrame, wanted: DataFrame) -> DataFrame:
    """The same for the pairs of customer_id and snapshot_on in `wanted` only."""
    pairs = purchase_days(versions).join(wanted.select("customer_id", "snapshot_on"), "customer_id", "inner")
    is_known = F.col("known_from") <= F.col("snapshot_on")
    is_newest = F.col("known_until").isNull() | (F.col("snapshot_on") < F.col("known_until"))
    return _dated(pairs.where(is_known & is_newest))


def _dated(valid: DataFrame) -> DataFrame:
    return valid.select(
        "customer_id",
        "snapshot_on",
        "day",
        F.datediff("snapshot_on", "day").alias("days_ago"),
        *(name for name in MEASURES if name in valid.columns),
    )


def loyal_counts(known: DataFrame, window_days: int) -> DataFrame:
    """Per snapshot and customer: the counts that the loyal rule and the labels need, and the log gaps.

    known: of on_each_day. The cheap part of the features, over which the shop's own figures are computed.
    """
    with_gaps = _with_gaps(known)
    in_window = F.col("days_ago") <= window_days
    return with_gaps.groupBy(*KEY).agg(
        F.count_if(in_window).alias("purchase_days_in_window"), F.avg(F.log("gap")).alias("gap_log_mean")
    )


def shop_figures(counts: DataFrame, percentile: float, min_purchase_days: int) -> DataFrame:
    """Per snapshot: loyal_threshold, learned among the customers active in the window, and the shop's mean log gap."""
    active = F.when(F.col("purchase_days_in_window") > 0, F.col("purchase_days_in_window"))
    learned = F.ceil(F.percentile(active, F.lit(percentile))).cast("int")
    return counts.groupBy("snapshot_on").agg(
        F.greatest(F.coalesce(learned, F.lit(0)), F.lit(min_purchase_days)).alias("loyal_threshold"),
        F.round(F.avg("gap_log_mean"), 9).alias("shop_gap_log"),
    )


def order_features(
    known: DataFrame, shop: DataFrame, first_day: date, window_days: int, look_back_days: int
) -> DataFrame:
    """Per snapshot and customer: every feature from orders, and purchase_days_in_window, orders_in_window.

    known: of on_each_day or on_days_of; shop: of shop_figures.
    """
    summed = _with_gaps(known).groupBy(*KEY).agg(*_sums(window_days, look_back_days))
    beside = summed.join(F.broadcast(shop), "snapshot_on", "left")
    span = F.least(F.datediff("snapshot_on", F.lit(first_day)), F.lit(look_back_days))
    derived = beside.withColumns(
        {
            "trend": F.try_divide(2 * F.col("purchase_days_90d") - F.col("purchase_days_180d"), "purchase_days_180d"),
            "purchase_days_90d_before": F.col("purchase_days_180d") - F.col("purchase_days_90d"),
            "purchase_days_per_month": F.try_divide(F.col("__days") * DAYS_PER_MONTH, span),
            "typical_gap_days": _typical_gap(),
            "average_order_value": _per_day("__amount"),
            "items_per_order": _per_day("__quantity"),
            "lines_per_order": F.try_divide("__lines", "__days"),
            "orders_per_day": F.try_divide("__orders", "__days"),
            "discount_share": F.try_divide(F.col("__discount"), F.col("__amount") + F.col("__discount")),
            "coupon_order_share": F.try_divide("__coupon_orders", "__orders"),
            "weekend_share": F.try_divide("__weekends", "__days"),
            "products_per_day": F.try_divide("__products", "__days"),
            "repeat_share": 1 - F.try_divide("__new_products", "__products"),
            "threshold_progress": F.col("purchase_days_in_window") / F.col("loyal_threshold"),
            "threshold_progress_before": F.col("__before_window") / F.col("loyal_threshold"),
            "favourite_weekday": _favourite_weekday(),
        }
    ).withColumn("open_gap_ratio", F.col("days_since_last_order") / F.col("typical_gap_days"))
    doubles = {name: F.col(name).cast("double") for name in (*_ORDER_FEATURES, "category_count")}
    return derived.withColumns(doubles)


def _with_gaps(known: DataFrame) -> DataFrame:
    """`gap`, the days since the purchase day before, and `three_gaps`, since the third before; `is_last`."""
    in_order = Window.partitionBy("customer_id", "snapshot_on").orderBy("day")
    return known.withColumns(
        {
            "gap": F.datediff("day", F.lag("day").over(in_order)),
            "three_gaps": F.datediff("day", F.lag("day", 3).over(in_order)),
            "is_last": F.lead("day").over(in_order).isNull(),
        }
    )


def _sums(window_days: int, look_back_days: int) -> list[Column]:
    ago = F.col("days_ago")
    recent = ago <= look_back_days

    def total(name: str, where: Column) -> Column:
        """NULL where none of the customer's days has such a figure; 0 where some has, and none in the window."""
        inside = F.sum(F.when(where, F.col(name)))
        return F.when(F.sum(name).isNotNull(), F.coalesce(inside, F.lit(0)))

    return [
        ago_.alias(name)
        for name, ago_ in {
            "days_since_last_order": F.min(ago),
            "longevity_days": F.max(ago),
            "purchase_day_count": F.count(F.lit(1)),
            **{f"purchase_days_{w}d": F.count_if(ago <= w) for w in WINDOWS_DAYS},
            **{f"orders_{w}d": total("order_count", ago <= w) for w in (30, 90, 365)},
            **{f"amount_{w}d": total("amount", ago <= w) / UNITS for w in WINDOWS_DAYS},
            **{f"purchase_days_fading_{d}d": F.sum(F.pow(F.lit(0.5), ago / d)) for d in HALF_LIVES_DAYS},
            "active_weeks_13": _active(ago, 7, 13),
            "active_months_12": _active(ago, 30, 12),
            "gap_mean_days": F.avg("gap"),
            "gap_log_deviation": F.round(F.stddev_samp(F.log("gap")), 9),
            "last_gap_days": F.max(F.when(F.col("is_last"), F.col("gap"))),
            "last_three_gaps_days": F.max(F.when(F.col("is_last"), F.col("three_gaps"))) / 3,
            "longest_gap_days": F.max("gap"),
            "__gaps": F.count("gap"),
            "__gap_logs": F.sum(F.log("gap")),
            "largest_amount": F.max(F.when(recent, F.col("amount"))) / UNITS,
            "coupon_orders_90d": total("coupon_order_count", ago <= 90),
            "product_count": F.sum("new_product_count"),
            "new_products_90d": total("new_product_count", ago <= 90),
            "new_products_365d": total("new_product_count", ago <= 365),
            "category_count": F.sum("new_category_count"),
            "purchase_days_in_window": F.count_if(ago <= window_days),
            "orders_in_window": total("order_count", ago <= window_days),
            "__before_window": F.count_if((ago > window_days) & (ago <= 2 * window_days)),
            "__days": F.count_if(recent),
            "__orders": total("order_count", recent),
            "__coupon_orders": total("coupon_order_count", recent),
            "__lines": total("line_count", recent),
            "__quantity": total("quantity", recent),
            "__amount": total("amount", recent),
            "__discount": total("discount", recent),
            "__products": total("product_count", recent),
            "__new_products": total("new_product_count", recent),
            "__weekends": F.count_if(recent & (F.weekday("day") >= 5)),
            **{f"__weekday_{n}": F.count_if(recent & (F.weekday("day") == n)) for n in range(7)},
        }.items()
    ]


def _active(ago: Column, length: int, count: int) -> Column:
    """How many of the last `count` stretches of `length` days hold a purchase day: a bit for each."""
    place = ((ago - 1) / length).cast("int")
    bits = F.when(ago <= length * count, F.pow(F.lit(2), place).cast("int"))
    return F.bit_count(F.coalesce(F.bit_or(bits), F.lit(0)))


def _typical_gap() -> Column:
    """The mean log gap, shrunken to the shop's as if GAP_PRIOR of its gaps had been seen."""
    mean = (F.coalesce("__gap_logs", F.lit(0.0)) + GAP_PRIOR * F.col("shop_gap_log")) / (F.col("__gaps") + GAP_PRIOR)
    return F.exp(mean)


def _per_day(total: str) -> Column:
    return F.try_divide(F.col(total) / UNITS, F.col("__days"))


def _favourite_weekday() -> Column:
    """Ties go to the earlier in the week."""
    counts = (
        F.struct((-F.col(f"__weekday_{n}")).alias("minus_count"), F.lit(str(n + 1)).alias("day")) for n in range(7)
    )
    return F.array_min(F.array(*counts))["day"]


def campaign_features(contacts: DataFrame, key: Sequence[str] = KEY) -> DataFrame:
    """Per key, such as snapshot and customer, with a contact before the snapshot: the campaign features.

    contacts: of `contacts`, beside the key and its snapshot_on; later ones are left out here.
    """
    known = contacts.where(F.col("known_day") < F.col("snapshot_on"))
    ago = F.datediff("snapshot_on", "known_day")
    sums = known.groupBy(*key).agg(
        *(F.sum(contact).cast("double").alias(count) for count, contact in CAMPAIGN_COUNTS.items()),
        F.min(F.when(F.col("response_count") > 0, ago)).cast("double").alias("days_since_last_response"),
        F.min(F.when(F.col("sent") > 0, ago)).cast("double").alias("days_since_last_send"),
    )
    return sums.withColumn("response_share_before", F.try_divide("campaigns_responded_before", "sends_before"))


def contacts(sends: DataFrame | None, responses: DataFrame | None) -> DataFrame | None:
    """customer_id, campaign_id, known_day, and how many were sent, answered, and answered for the first time that day.

    NULL, not 0, in what comes from a source that is not there; None where neither is.
    """
    parts = []
    if sends is not None:
        per_day = sends.where(F.col("known_day").isNotNull()).groupBy("customer_id", "campaign_id", "known_day")
        sent = per_day.agg(F.count(F.lit(1)).alias("sent"))
        nothing = F.lit(None if responses is None else 0).cast("bigint")
        parts.append(sent.withColumns({"response_count": nothing, "campaign_responded": nothing}))
    if responses is not None:
        answered = responses.groupBy("customer_id", "campaign_id", "known_day").agg(
            F.count(F.lit(1)).alias("response_count")
        )
        in_order = Window.partitionBy("customer_id", "campaign_id").orderBy("known_day")
        is_first = (F.row_number().over(in_order) == 1).cast("bigint")
        nothing = F.lit(None if sends is None else 0).cast("bigint")
        parts.append(answered.withColumns({"sent": nothing, "campaign_responded": is_first}))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])


def without_campaigns(rows: DataFrame) -> DataFrame:
    return rows.withColumns({name: F.lit(None).cast("double") for name in _CAMPAIGN_FEATURES})


def attribute_names(frame: DataFrame) -> tuple[list[str], list[str]]:
    """The names of the numeric and of the text attributes that any row has, in order: a small aggregate."""
    names = frame.agg(
        *(F.array_sort(F.array_distinct(F.flatten(F.collect_set(F.map_keys(c))))) for c in ATTRIBUTE_MAPS)
    )
    numeric, text = names.collect()[0]
    return list(numeric), list(text)


def expanded(frame: DataFrame, numeric: Iterable[str], text: Iterable[str]) -> DataFrame:
    """`frame` with a flat column `attribute.<name>` for each of the attributes, in place of the maps."""
    numbers = {f"{ATTRIBUTE_PREFIX}{n}": F.try_element_at("numeric_attributes", F.lit(n)) for n in numeric}
    texts = {f"{ATTRIBUTE_PREFIX}{n}": F.try_element_at("text_attributes", F.lit(n)) for n in text}
    return frame.withColumns(numbers | texts).drop(*ATTRIBUTE_MAPS)
