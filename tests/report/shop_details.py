"""What sets the grocery shop's loyal customers apart, and what it sells when: rows as the tables give them, made by hand."""

from __future__ import annotations

import pandas as pd

LOYAL, REGULAR = 600, 1_869
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def contrasts() -> pd.DataFrame:
    """Figures, three first products of which one is rare, and the purchase days with which customers become loyal."""
    figures = (("gap_median_days", -1.4), ("average_order_value", 0.6), ("breadth", 1.8), ("purchase_days_90d", 2.5))
    ranked = sorted(figures, key=lambda figure: -abs(figure[1]))
    rows = [_number(feature, difference, rank) for rank, (feature, difference) in enumerate(ranked, start=1)]
    rows += [_first("MILK <2%>", 300, 500, 5), _first("BEER", 30, 120, 6), _first("SADDLES", 28, 1, 7)]
    rows += [_order_number(number) for number in (9, 10, 11, 27)]
    return _with_interval(rows)


def segment_contrasts() -> pd.DataFrame:
    """Of segment 1: one measure over two windows, another, what restates the rule, and one too many."""
    figures = (("amount_60d", 2.0), ("amount_90d", 1.9), ("purchase_days_30d", 1.8), ("trend", 1.7), ("breadth", 1.6))
    rows = [_number(feature, size, rank) for rank, (feature, size) in enumerate((*figures, ("gap_mean_days", 1.5)), 1)]
    return _with_interval(rows).assign(segment_id=1)


def _number(feature: str, difference: float, rank: int) -> dict[str, object]:
    """Nine deciles a day apart: regular customers' median is 14, that of loyal ones 3 days a standard deviation off."""
    loyal, regular = [10.0 + difference * 3 + i for i in range(9)], [10.0 + i for i in range(9)]
    return {
        "kind": "number",
        "feature": feature,
        "rank": rank,
        "loyal_customers": LOYAL,
        "regular_customers": REGULAR,
        "loyal_median": loyal[4],
        "regular_median": regular[4],
        "loyal_deciles": loyal,
        "regular_deciles": regular,
        "standardised_difference": difference,
        "restates_rule": feature.startswith("purchase_days"),
        "sentence": f"{feature}: loyal {loyal[4]:.0f}, regular {regular[4]:.0f}.",
    }


def _first(item: str, loyal: int, regular: int, rank: int) -> dict[str, object]:
    return {
        "kind": "value",
        "feature": "first_item",
        "value": item,
        "rank": rank,
        "loyal_customers": loyal,
        "regular_customers": regular,
        "loyal_share": loyal / (loyal + regular),
        "loyal_mean": loyal / LOYAL,
        "regular_mean": regular / REGULAR,
        "standardised_difference": 0.3,
        "restates_rule": False,
        "sentence": f"They start with {item}.",
    }


def _order_number(number: int) -> dict[str, object]:
    return {
        "kind": "order_number",
        "feature": "order_number",
        "value": str(number),
        "loyal_customers": 40 - number,
        "regular_customers": 100,
        "loyal_share": (40 - number) / 140,
        "restates_rule": False,
        "sentence": f"With {number}.",
    }


def _with_interval(rows: list[dict[str, object]]) -> pd.DataFrame:
    names = "kind feature value rank loyal_customers regular_customers loyal_share loyal_mean regular_mean loyal_median"
    names += " regular_median loyal_deciles regular_deciles standardised_difference restates_rule sentence"
    plain = [tuple(row.get(name) for name in names.split()) for row in rows]
    frame = pd.DataFrame(plain, columns=names.split(), dtype=object)
    difference = frame["standardised_difference"].astype(float)
    return frame.assign(difference_low=difference - 0.1, difference_high=difference + 0.1)


def patterns() -> pd.DataFrame:
    """Twelve months with December half as busy again as the average day, weekdays, hours, categories, bands."""
    rows = [("month", f"{month:02}", month, 1 / 12, 1.5 if month == 12 else 0.95) for month in range(1, 13)]
    rows += [("weekday", day, i, 0.1 + 0.014 * i, None) for i, day in enumerate(WEEKDAYS, start=1)]
    rows += [("hour", f"{hour:02}", hour, 1 / 24, None) for hour in range(24)]
    names = ("DAIRY & EGGS", "<BEER>", "(other)")
    rows += [("category", name, i, 0.3 / i, None) for i, name in enumerate(names, start=1)]
    bands = ("under 10", "10 to 20", "over 20")
    rows += [("basket_value", name, i, 0.5 / i, None) for i, name in enumerate(bands, start=1)]
    return pd.DataFrame(rows, columns=["dimension", "value", "position", "share", "season_index"], dtype=object)


def levels() -> pd.DataFrame:
    """Quantiles of the baskets, discounts and new products."""
    values, sizes = (2.88, 7.11, 17.5, 36.77, 71.14), (1.0, 3.0, 8.5, 23.0, 73.0)
    rows = [("basket_value_quantile", q, None, v) for q, v in zip((10, 25, 50, 75, 90), values, strict=True)]
    rows += [("basket_size_quantile", q, None, v) for q, v in zip((10, 25, 50, 75, 90), sizes, strict=True)]
    rows += [("discount", 0, 0.161, 0.0), ("discount", 1, 0.839, 0.158), ("new_items", 0, None, 0.583)]
    return pd.DataFrame(rows, columns=["dimension", "position", "share", "level"], dtype=object)


def segment_patterns() -> pd.DataFrame:
    """Segment 1 chooses the hour, Saturday and beer more; caviar is rare there, its own brand like others'. So is segment 2."""
    chosen = (
        ("category", "DAIRY & EGGS", 0.33, 1.1),
        ("category", "<BEER>", 0.2, 1.33),
        ("category", "CAVIAR", 0.001, 9.0),
        ("category", "(other)", 0.3, None),
        ("weekday", "Saturday", 0.3, 1.6),
        ("hour", "08", 0.12, 2.4),
        ("brand", "OWN", 0.4, 1.02),
        ("month", "05", 0.4, 4.0),
    )
    rows = [(1, dimension, value, i, share, lift, None) for i, (dimension, value, share, lift) in enumerate(chosen)]
    rows.append((2, "brand", "OWN", 0, 0.4, 1.02, None))
    for _, row in levels().iterrows():
        rows.append((1, row["dimension"], "a level", row["position"], row["share"], None, row["level"]))
    names = ["segment_id", "dimension", "value", "position", "share", "lift", "level"]
    return pd.DataFrame(rows, columns=names, dtype=object)
