"""What sets loyal customers apart, one sentence each."""

from __future__ import annotations

from math import isclose

from habitue.percent import percent

# Sentences for the figures that people ask for; {loyal} and {regular} are amounts with their unit, {look_back} is in days.
_SENTENCES = {
    "gap_median_days": "Loyal customers come back after {loyal}, regular ones after {regular}.",
    "gap_mean_days": "On average loyal customers come back after {loyal}, regular ones after {regular}.",
    "typical_gap_days": "The typical gap between purchases is {loyal} for loyal customers, {regular} for regular ones.",
    "days_since_last_order": "Loyal customers last bought {loyal} ago, regular ones {regular} ago.",
    "longevity_days": "Loyal customers first bought {loyal} ago, regular ones {regular} ago.",
    "purchase_day_count": "Loyal customers have bought on {loyal} days so far, regular ones on {regular}.",
    "purchase_days_per_month": "Loyal customers buy on {loyal} days a month, regular ones on {regular}.",
    "average_order_value": "A purchase day of loyal customers is worth {loyal}, one of regular customers {regular}.",
    "discount_share": "Loyal customers get {loyal} of the price as discount, regular ones {regular}.",
    "breadth": "Loyal customers buy {loyal} different products in {look_back} days, regular ones {regular}.",
    "product_count": "Loyal customers have bought {loyal} different products so far, regular ones {regular}.",
    "category_count": "Loyal customers have bought from {loyal} categories so far, regular ones from {regular}.",
    "weekend_share": "Loyal customers buy on weekends {loyal} of the time, regular ones {regular}.",
    "favourite_item_share": "{loyal} of what loyal customers spend goes to one product; of regular customers, {regular}.",
}
_VALUE_SENTENCES = {
    "first_item": "{loyal} of loyal customers started with product {value}; of regular customers, {regular}.",
    "first_category": "{loyal} of loyal customers started with {value}; of regular customers, {regular}.",
    "favourite_weekday": "{loyal} of loyal customers buy most on a {value}; of regular customers, {regular}.",
    "favourite_channel": "{loyal} of loyal customers buy most by {value}; of regular customers, {regular}.",
    "acquisition_channel": "{loyal} of loyal customers came by {value}; of regular customers, {regular}.",
}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def number_sentence(
    feature: str, medians: tuple[float, float], means: tuple[float, float], look_back_days: int, currency: str | None
) -> str:
    """Of loyal and regular customers: the medians; the means where the medians are the same and would say nothing."""
    use_means = isclose(*medians) and not isclose(*means)
    loyal, regular = (amount(feature, value, currency) for value in (means if use_means else medians))
    template = _SENTENCES.get(feature)
    if template is None:
        words = _words(feature)
        template = f"{words[:1].upper()}{words[1:]}: {{loyal}} for loyal customers, {{regular}} for regular ones."
    sentence = template.format(loyal=loyal, regular=regular, look_back=look_back_days)
    return sentence + (" (Means: the medians are equal.)" if use_means else "")


def value_sentence(feature: str, value: str, loyal_share: float, regular_share: float) -> str:
    """Of a value that customers have or not: its share among the loyal and among the regular ones."""
    template = _VALUE_SENTENCES.get(
        feature, f"{{loyal}} of loyal customers have {{value}} as {_words(feature)}; of regular customers, {{regular}}."
    )
    named = _WEEKDAYS[int(value) - 1] if feature == "favourite_weekday" else value
    return template.format(value=named, loyal=rough_percent(loyal_share), regular=rough_percent(regular_share))


def order_number_sentence(number: int, at_risk: int, became: int, share_by_then: float) -> str:
    """Of those who get to their `number`-th purchase day without being loyal, how many are with it."""
    return (
        f"With purchase day {number}, {rough_percent(became / at_risk)} of the customers who get there not yet loyal become so; "
        f"by then {rough_percent(share_by_then)} of all who ever become loyal have."
    )


def amount(feature: str, value: float, currency: str | None) -> str:
    """A figure with the unit that its feature has."""
    if feature.endswith("_share"):
        return rough_percent(value)
    if feature.startswith("amount") or feature == "average_order_value":
        return f"{value:,.2f} {currency}" if currency else f"{value:,.2f}"
    written = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.1f}"
    if feature.endswith("_days"):
        return f"{written} day{'' if written == '1' else 's'}"
    return written if abs(value) >= 1 or value == 0 else f"{value:.2f}"


def rough_percent(share: float) -> str:
    return percent(share, 1 if 0 < 100 * share < 10 else 0)


def _words(feature: str) -> str:
    head, _, window = feature.rpartition("_")
    if head and window.endswith("d") and window[:-1].isdigit():
        return f"{head.replace('_', ' ')} in the last {window[:-1]} days"
    return feature.replace("_", " ")
