"""Why a score is high: what it would lose if one feature were the typical customer's, in words.

A contribution is the score minus the score of the same row with that one feature set to the population's median (a
text's most frequent value), so it is true to the model, whatever the model is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from habitue.models.propensity import FeatureSet, Propensity

MOST_REASONS = 3
SMALLEST = 1e-9  # of a contribution, on the score's own scale: below it nothing changed but the rounding
MEDIAN_ACCURACY = 10_000

NUMBER, DAYS, SHARE, AMOUNT, TEXT = "number", "days", "share", "amount", "text"
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Phrase:
    """Words for one feature, with {value} and {typical} in them, each written by the unit.

    missing: the words where the customer has no value. unit: number, days, share (0-1), amount or text.
    """

    words: str
    missing: str
    unit: str = NUMBER
    currency: str | None = None


def typical_values(rows: DataFrame, features: FeatureSet) -> dict[str, float | str | None]:
    """Of each feature the median, or the most frequent text (ties: the smaller one); None where nobody has a value."""
    numbers = [F.percentile_approx(_quoted(n).cast("double"), 0.5, MEDIAN_ACCURACY) for n in features.numeric]
    texts = [F.mode(_quoted(name), deterministic=True) for name in features.text]
    named = [value.alias(f"v{i}") for i, value in enumerate([*numbers, *texts])]
    if not named:
        return {}
    found = rows.select(*named).collect()[0]
    return {name: found[i] for i, name in enumerate(features.names)}


def reasons(
    propensity: Propensity,
    rows: DataFrame,
    typical: Mapping[str, Any],
    phrase: Callable[[str], Phrase],
    keys: Sequence[str] = ("customer_id",),
) -> DataFrame:
    """`rows` with `reasons`: up to three sentences for the largest positive contributions, the largest first.

    rows: as for `Propensity.score`, each with its own `keys`; meant for the prospects, as each row is scored once a feature.
    typical: as of `typical_values`. Equal contributions come in the features' order.
    """
    found = contributions(propensity, rows, typical, keys)
    names = propensity.features.names
    phrases = [phrase(name) for name in propensity.features.numeric]
    phrases += [replace(phrase(name), unit=TEXT) for name in propensity.features.text]
    sentences = F.array(*(_sentence(name, typical[name], words) for name, words in zip(names, phrases, strict=True)))
    largest = F.slice(F.filter("contributions", lambda c: c["contribution"] > SMALLEST), 1, MOST_REASONS)
    worded = F.transform(largest, lambda c: F.element_at(sentences, c["feature"]))
    joined = rows.drop("reasons").join(found, on=list(keys), how="left")
    return joined.withColumn("reasons", worded).select(
        *(_quoted(name) for name in rows.columns if name != "reasons"), "reasons"
    )


def contributions(
    propensity: Propensity, rows: DataFrame, typical: Mapping[str, Any], keys: Sequence[str] = ("customer_id",)
) -> DataFrame:
    """One row a key: `contributions`, the largest first, of structs (feature: its place from 1 on, contribution)."""
    scored = propensity.score(_changed_rows(rows, propensity.features, typical, keys))
    pairs = F.collect_list(F.struct(F.col(_CHANGED).alias("feature"), "score"))
    gathered = scored.groupBy(*keys).agg(
        F.max(F.when(F.col(_CHANGED) == 0, F.col("score"))).alias("own"), pairs.alias("all")
    )
    lost = F.transform(
        F.filter("all", lambda one: one["feature"] > 0),
        lambda one: F.struct((one["score"] - F.col("own")).alias("lost"), one["feature"].alias("feature")),
    )
    ordered = F.transform(
        F.array_sort(lost), lambda one: F.struct(one["feature"].alias("feature"), (-one["lost"]).alias("contribution"))
    )
    return gathered.select(*keys, ordered.alias("contributions"))


_CHANGED = "changed feature"  # its place from 1 on; 0 where nothing was changed


def _changed_rows(rows: DataFrame, features: FeatureSet, typical: Mapping[str, Any], keys: Sequence[str]) -> DataFrame:
    """Each row as it is and once a feature with that one changed: keys, customer_id, fold, the number, the features."""
    kept = [name for name in dict.fromkeys([*keys, "customer_id", "fold"]) if name not in features.names]
    numbers = F.explode(F.sequence(F.lit(0), F.lit(len(features.names)))).alias(_CHANGED)
    several = rows.select(*(_quoted(name) for name in [*kept, *features.names]), numbers)
    types = dict.fromkeys(features.numeric, "double") | dict.fromkeys(features.text, "string")
    changed = [
        F.when(_quoted(_CHANGED) == place, F.lit(typical[name]).cast(types[name])).otherwise(_quoted(name)).alias(name)
        for place, name in enumerate(features.names, start=1)
    ]
    return several.select(*(_quoted(name) for name in kept), _quoted(_CHANGED), *changed)


def _sentence(name: str, typical: Any, phrase: Phrase) -> Column:
    """A row's sentence for one feature."""
    known = _quoted(name).isNotNull()
    if phrase.unit != TEXT:
        known = known & ~F.isnan(_quoted(name).cast("double"))
    words = F.when(known, F.lit(phrase.words)).otherwise(F.lit(phrase.missing))
    usual = F.lit("not known") if typical is None else _written(F.lit(typical), name, phrase)
    own = F.coalesce(_written(_quoted(name), name, phrase), F.lit(""))
    return F.replace(F.replace(words, F.lit("{typical}"), usual), F.lit("{value}"), own)


def _written(value: Column, name: str, phrase: Phrase) -> Column:
    """A value as people write it, by its unit."""
    if phrase.unit == TEXT:
        return _weekday(value) if name == "favourite_weekday" else value.cast("string")
    number = value.cast("double")
    if phrase.unit == SHARE:
        points = 100 * number
        few = (points > 0) & (points < 10)
        return F.concat(F.when(few, F.format_number(points, 1)).otherwise(F.format_number(points, 0)), F.lit(" %"))
    if phrase.unit == AMOUNT:
        return F.concat(F.format_number(number, 2), F.lit(f" {phrase.currency}" if phrase.currency else ""))
    size = F.abs(number)
    plain = (
        F.when((number == F.round(number)) | (size >= 100), F.format_number(number, 0))
        .when(size >= 10, F.format_number(number, 1))
        .otherwise(F.format_number(number, 2))
    )
    return F.concat(plain, F.when(plain == "1", " day").otherwise(" days")) if phrase.unit == DAYS else plain


def _weekday(value: Column) -> Column:
    number = F.try_to_number(value, F.lit("9"))
    return F.coalesce(F.try_element_at(F.array(*map(F.lit, _WEEKDAYS)), number.cast("int")), value)


_PHRASES = {  # feature -> words, unit
    "days_since_last_order": ("last bought {value} ago, others {typical}", DAYS),
    "longevity_days": ("first bought {value} ago, others {typical}", DAYS),
    "purchase_day_count": ("bought on {value} so far, others on {typical}", DAYS),
    "purchase_days_per_month": ("buys on {value} a month, others on {typical}", DAYS),
    "purchase_days_in_window": ("bought on {value} in the loyal rule's window, others on {typical}", DAYS),
    "trend": ("purchase days of the last 90 days against the 90 before (-1 to 1): {value}, others {typical}", NUMBER),
    "active_weeks_13": ("bought in {value} of the last 13 weeks, others in {typical}", NUMBER),
    "active_months_12": ("bought in {value} of the last 12 months, others in {typical}", NUMBER),
    "gap_mean_days": ("on average comes back after {value}, others after {typical}", DAYS),
    "gap_log_deviation": ("gaps between purchases vary by {value} (log scale), others' by {typical}", NUMBER),
    "last_gap_days": ("last came back after {value}, others after {typical}", DAYS),
    "last_three_gaps_days": ("the last three times came back after {value} on average, others after {typical}", DAYS),
    "longest_gap_days": ("never stayed away longer than {value} between purchases, others than {typical}", DAYS),
    "typical_gap_days": ("typically comes back after {value}, others after {typical}", DAYS),
    "open_gap_ratio": ("the time since the last purchase is {value} of the usual gap, others' {typical}", SHARE),
    "average_order_value": ("spends {value} on a purchase day, others {typical}", AMOUNT),
    "largest_amount": ("spent up to {value} on one day, others up to {typical}", AMOUNT),
    "items_per_order": ("buys {value} units a time, others {typical}", NUMBER),
    "lines_per_order": ("buys {value} lines a time, others {typical}", NUMBER),
    "orders_per_day": ("places {value} orders on a purchase day, others {typical}", NUMBER),
    "discount_share": ("gets {value} of the price as discount, others {typical}", SHARE),
    "coupon_order_share": ("uses a coupon in {value} of the orders, others in {typical}", SHARE),
    "weekend_share": ("buys at the weekend {value} of the time, others {typical}", SHARE),
    "product_count": ("has bought {value} different products, others {typical}", NUMBER),
    "category_count": ("has bought from {value} categories, others from {typical}", NUMBER),
    "products_per_day": ("buys {value} different products on a purchase day, others {typical}", NUMBER),
    "repeat_share": ("{value} of the products are bought again, of others' {typical}", SHARE),
    "threshold_progress": (
        "has made {value} of the purchase days that a loyal customer needs, others {typical}",
        SHARE,
    ),
    "threshold_progress_before": (
        "in the window before made {value} of the purchase days that a loyal customer needs, others {typical}",
        SHARE,
    ),
    "sends_before": ("got {value} campaigns so far, others {typical}", NUMBER),
    "campaigns_responded_before": ("responded to {value} campaigns so far, others to {typical}", NUMBER),
    "responses_before": ("responded {value} times so far, others {typical}", NUMBER),
    "response_share_before": ("responded to {value} of the campaigns so far, others to {typical}", SHARE),
    "days_since_last_response": ("last responded {value} ago, others {typical}", DAYS),
    "days_since_last_send": ("last got a campaign {value} ago, others {typical}", DAYS),
    "favourite_weekday": ("buys most on a {value}, most others on a {typical}", TEXT),
    "favourite_channel": ("buys most by {value}, most others by {typical}", TEXT),
    "favourite_category": ("spends most on {value}, most others on {typical}", TEXT),
    "first_category": ("started with {value}, most others with {typical}", TEXT),
    "campaign_length_days": ("the campaign lasts {value}, most others {typical}", DAYS),
    "campaign_product_count": ("the campaign is for {value} products, most others for {typical}", NUMBER),
    "same_kind_sends_before": ("got {value} campaigns of this kind so far, others {typical}", NUMBER),
    "same_kind_responded_before": ("responded to {value} campaigns of this kind so far, others to {typical}", NUMBER),
    "campaign_products_bought": ("has bought {value} of the campaign's products, others {typical}", NUMBER),
    "campaign_product_days": ("bought the campaign's products on {value}, others on {typical}", DAYS),
    "campaign_product_amount": ("spent {value} on the campaign's products, others {typical}", AMOUNT),
    "campaign_product_share": ("spends {value} of the money on the campaign's products, others {typical}", SHARE),
    "days_since_campaign_product": ("last bought one of the campaign's products {value} ago, others {typical}", DAYS),
    "campaign_kind": ("the campaign is of kind {value}, most others of {typical}", TEXT),
}
_WINDOWED = (  # pattern with the window in days -> words, unit
    (
        r"purchase_days_fading_(\d+)d",
        "bought on {value}, each counting half after {window} days; others on {typical}",
        DAYS,
    ),
    (
        r"purchase_days_(\d+)d_before",
        "bought on {value} in the {window} days before the last, others on {typical}",
        DAYS,
    ),
    (r"purchase_days_(\d+)d", "bought on {value} in the last {window} days, others on {typical}", DAYS),
    (r"orders_(\d+)d", "ordered {value} times in the last {window} days, others {typical}", NUMBER),
    (r"coupon_orders_(\d+)d", "used a coupon in {value} orders of the last {window} days, others in {typical}", NUMBER),
    (r"amount_(\d+)d", "spent {value} in the last {window} days, others {typical}", AMOUNT),
    (
        r"new_products_(\d+)d",
        "bought {value} products for the first time in the last {window} days, others {typical}",
        NUMBER,
    ),
)


def phrase_of(feature: str, *, is_text: bool = False, currency: str | None = None) -> Phrase:
    """Words for any feature: its own, or such as "colour: red, most others blue" from its name."""
    plain = _plain(feature)
    missing = f"{plain}: none, others {{typical}}"
    if feature in _PHRASES:
        words, unit = _PHRASES[feature]
        return Phrase(words, missing, unit, currency)
    for pattern, template, unit in _WINDOWED:
        found = re.fullmatch(pattern, feature)
        if found:
            return Phrase(template.replace("{window}", found[1]), missing, unit, currency)
    if is_text:
        return Phrase(f"{plain}: {{value}}, most others {{typical}}", f"{plain}: none, most others {{typical}}", TEXT)
    unit = SHARE if feature.endswith("_share") else DAYS if feature.endswith("_days") else NUMBER
    return Phrase(f"{plain}: {{value}}, others {{typical}}", missing, unit, currency)


def _plain(feature: str) -> str:
    """attribute.shoe_size -> shoe size; braces are no placeholders of ours."""
    return re.sub(r"[{}]", "", feature.removeprefix("attribute.").replace("_", " ")).strip() or "a figure"


def _quoted(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")
