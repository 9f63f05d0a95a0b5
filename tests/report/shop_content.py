"""Content for a page as the tables of a grocery shop would give it, in small frames made by hand."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
from shop_details import contrasts, levels, patterns, segment_contrasts, segment_patterns

from habitue.models.purchase_cycle import memoryless_share
from habitue.report.parts import Content, Shop

AS_OF = date(2017, 12, 20)
SHOP = Shop("Corner & <Sons> Grocery", "USD", AS_OF, "a1b2c3d4e5f6", "0.1.0", datetime(2018, 1, 2, 9, 30))
HOSTILE = '{"note":"<script>alert(1)</script> <img src=x onerror=alert(2)>", "amount": "12,,5"}'
LIMIT_DAYS = 300
NAMES = (
    "Weekly regulars with large baskets",
    "Fortnightly, small baskets",
    "Monthly stock-up shoppers",
    "Occasional & <b>irregular</b>",
    "Lapsing",
    "One-time buyers",
)


def content() -> Content:
    """Every section that has a table, with a hostile name, a hostile row, and NULLs where tables have them."""
    frames = {
        "overview": {
            "orders": _totals(),
            "loyal": _loyal(),
            "segments": segments(),
            "contrasts": contrasts(),
            "prospects": _prospects(),
        },
        "segments": {
            "segments": segments(),
            "segment_candidates": candidates(),
            "segment_migrations": migrations(),
            "patterns": segment_patterns(),
            "contrasts": segment_contrasts(),
        },
        "over-time": {"months": months()},
        "cohorts": {"cells": cells(), "attributes": attributes()},
        "retention": {"curves": curves(), "names": segments()[["segment_id", "name"]]},
        "journeys": {"steps": journeys()},
        "loyalty": {"contrasts": contrasts(), "everyone": pd.DataFrame({"customers": [2469], "loyal": [600]})},
        "prospects": {"evaluation": evaluation(), "counts": _prospects(), "reasons": _said()},
        "responses": {"evaluation": evaluation(), "coming": _coming(), "reasons": _said().head(0)},
        "patterns": {"patterns": patterns(), "levels": levels()},
        "rows-in": {"accounts": _accounts(), "reasons": _reasons(), "left_out": _left_out()},
        "definitions": {},
    }
    return Content(SHOP, frames)


def small_shop() -> Content:
    """A shop of dates alone: three customers, one segment, no amounts, nothing to choose from, one month."""
    totals = _totals().assign(orders=4, customers=3, amount=None)
    loyal = _loyal().head(1).assign(customers=3, amount=None)
    no_amounts = {"revenue": None, "revenue_share": None, "average_order_value": None, "gap_distribution": [[]]}
    one = segments().tail(1).assign(customers=3, share=1.0, **no_amounts)
    alone = candidates().head(1).assign(is_chosen=True, cycle_gain=None, reason="chosen: too few to be divided")
    month = months().head(1).assign(orders=4, customers=3, new_customers=3, amount=None)
    frames = {
        "overview": {"orders": totals, "loyal": loyal, "segments": one},
        "segments": {"segments": one, "segment_candidates": alone},
        "over-time": {"months": month},
        "cohorts": {"cells": cells().head(1)},
        "rows-in": {"accounts": _accounts(), "reasons": _reasons().head(0), "left_out": _left_out()},
        "definitions": {},
    }
    absent = dict.fromkeys(
        ("retention", "journeys", "loyalty", "prospects", "responses", "patterns"), "orders name no products"
    )
    return Content(Shop("Dates", None, AS_OF, SHOP.run_id, SHOP.code_version, SHOP.started_at), frames, absent)


def _totals() -> pd.DataFrame:
    row = (155_848, 2_469, Decimal("4593210.5000"), date(2017, 1, 1), date(2017, 12, 19))
    return pd.DataFrame([row], columns=["orders", "customers", "amount", "first_day", "last_day"], dtype=object)


def _loyal() -> pd.DataFrame:
    # 600 of 2,469 customers: 24.3 %; 2.5 of 4.5932105 million: 54.4 %.
    rows = [(False, 1_869, Decimal("2093210.5000"), 90, 27), (True, 600, Decimal("2500000.0000"), 90, 27)]
    names = ["is_loyal", "customers", "amount", "loyal_window_days", "loyal_threshold"]
    return pd.DataFrame(rows, columns=names, dtype=object)


def segments() -> pd.DataFrame:
    count = len(NAMES)
    customers = [410, 690, 540, 379, 250, 200]
    cycles = [5.2, 13.4, 29.8, 41.0, 62.0, None]
    revenue = [Decimal(v) for v in ("2100300.10", "990000.00", "870910.40", "402000.00", "160000.00", "70000.00")]
    total = sum(revenue)
    nobody = [None] * count
    return pd.DataFrame(
        {
            "as_of": [AS_OF] * count,
            "segment_id": [1, 2, 3, 5, 8, 9],
            "name": NAMES,
            "description": [f"They buy every {c:.0f} days." if c else "They bought once." for c in cycles],
            "customers": customers,
            "core_customers": [c - 30 for c in customers],
            "fringe_customers": [20] * count,
            "outside_customers": [10] * count,
            "share": [c / 2469 for c in customers],
            "revenue": revenue,
            "revenue_share": [float(r / total) for r in revenue],
            "average_order_value": [38.1, 21.7, 55.2, 28.0, 19.9, 31.4],
            "purchase_days_per_month": [5.6, 2.3, 1.1, 0.7, 0.3, 0.08],
            "median_days_since_last_order": [3.0, 8.0, 17.0, 30.0, 96.0, 188.0],
            "loyal_share": [0.91, 0.31, 0.02, 0.001, 0.0, 0.0],
            "is_loyal": [True, False, False, False, False, False],
            "rule": ["purchase_days_90d >= 13 and average_order_value >= 24.50"] * 5 + [None],
            "rule_fidelity": [0.934] * 5 + [None],
            "cycle_days": cycles,
            "cycle_p10_days": [1.2, 3.0, 6.6, 9.1, 13.6, None],
            "cycle_p90_days": [13.6, 34.9, 77.0, 103.0, 145.0, None],
            "return_probability": [0.99, 0.96, 0.9, 0.61, 0.31, 0.02],
            "concentration": [0.02, 0.05, 0.24, -0.06, 0.0, None],
            "is_regular": [False, False, True, False, False, False],
            "member_agreement": [0.81, 0.74, 0.69, 0.41, 0.5, None],
            "interval_icc": [0.12, 0.2, 0.1, 0.52, 0.2, None],
            "cycle_gain": [0.21, 0.11, 0.06, -0.01, 0.0, None],
            "cycle_gain_low": [0.17, 0.06, 0.01, -0.05, -0.06, None],
            "cycle_gain_high": [0.25, 0.16, 0.11, 0.03, 0.06, None],
            "verdict": ["representative"] * 3 + ["mixed", "irregular", "insufficient"],
            "gap_distribution": [_gaps(c) for c in cycles[:5]] + nobody[:1],
        }
    )


def _gaps(median: float | None) -> list[dict[str, float]]:
    """Shares of gaps of up to so many days, somewhat more regular than memoryless: their clock runs as days^1.25."""
    assert median is not None
    days = np.arange(1, LIMIT_DAYS + 1)
    shares = memoryless_share(median * ((days + 0.5) / median) ** 1.25, median, LIMIT_DAYS)
    return [{"day": int(d), "share": float(s)} for d, s in zip(days, shares, strict=True)]


def candidates() -> pd.DataFrame:
    counts = list(range(1, 13))
    gains = [0, 0.07, 0.101, 0.109, 0.112, 0.125, 0.126, 0.134, 0.14, 0.149, 0.15, 0.15]
    return pd.DataFrame(
        {
            "segment_count": counts,
            "silhouette": [None, 0.49, 0.36, 0.39, 0.33, 0.31, 0.3, 0.28, 0.27, 0.26, 0.26, 0.25],
            "smallest_share": [1 / n / 2 for n in counts],
            "stability": [1.0, 0.97, 0.95, 0.95, 0.93, 0.94, 0.91, 0.9, 0.86, 0.81, 0.74, 0.7],
            "lowest_jaccard": [1.0, 0.96, 0.9, 0.9, 0.85, 0.82, 0.8, 0.75, 0.7, 0.62, 0.5, 0.4],
            "cycle_gain": gains,
            "cycle_gain_low": [g - 0.03 for g in gains],
            "cycle_gain_high": [g + 0.03 for g in gains],
            "published_gain": [g - 0.004 for g in gains],
            "is_eligible": [n <= 10 for n in counts],
            "is_chosen": [n == 6 for n in counts],
            "reason": [
                "the fewest segments whose gain is within one standard error of the best" if n == 6 else "less gain"
                for n in counts
            ],
        }
    )


def migrations() -> pd.DataFrame:
    behaviour = [(1, 1, 380), (1, 2, 25), (2, 2, 600), (2, 3, 60), (3, 3, 470), (3, 5, 40), (5, 5, 300), (5, 8, 30)]
    behaviour += [(8, 8, 210), (9, 9, 150), (4, 1, 5), (None, 9, 50), (None, 2, 30), (9, None, 3)]
    refit = [(1, 1, 385), (2, 2, 640), (2, 1, 20), (3, 3, 500), (5, 5, 330), (8, 8, 240), (9, 9, 200)]
    rows = [(date(2017, 11, 20), "behaviour", *row) for row in behaviour]
    rows += [(date(2017, 11, 20), "re-fit", *row) for row in refit]
    names = ["earlier_as_of", "cause", "from_segment_id", "to_segment_id", "customers"]
    return pd.DataFrame(rows, columns=names, dtype=object)


def months() -> pd.DataFrame:
    rows = [
        (date(2017, m, 1), 12_000 + 300 * m, 1_900 + 20 * m, max(900 - 250 * (m - 1), 40), Decimal(350_000 + 9_000 * m))
        for m in range(1, 13)
    ]
    return pd.DataFrame(rows, columns=["month", "orders", "customers", "new_customers", "amount"], dtype=object)


def cells() -> pd.DataFrame:
    rows = []
    for first in range(1, 13):
        size = max(900 - 250 * (first - 1), 40)
        for number in range(13 - first):
            share = 1.0 if number == 0 else round(0.7 - 0.02 * number - 0.01 * first, 3)
            rows.append((date(2017, first, 1), number, size, round(size * share), share, first + number < 12))
    names = ["cohort_month", "month_number", "customers", "retained", "retention", "is_complete"]
    return pd.DataFrame(rows, columns=names, dtype=object)


def attributes() -> pd.DataFrame:
    items = ["FLUID MILK PRODUCTS", "BEERS & ALES", "SOFT <DRINKS>", "(other)"]
    rows = [("first_item", item, 400 - 90 * i, 300 - 80 * i) for i, item in enumerate(items)]
    rows += [("acquisition_channel", "web", 700, 420), ("acquisition_channel", "shop", 500, 350)]
    return pd.DataFrame(rows, columns=["attribute", "attribute_value", "customers", "retained"], dtype=object)


def curves() -> pd.DataFrame:
    rows = []
    for segment, median in ((0, 20.0), (1, 5.2), (2, 13.4), (3, 29.8), (5, 41.0), (8, 62.0)):
        for curve, slower in (("next_purchase", 1.0), ("lapse", 6.0)):
            for day in [*range(4, LIMIT_DAYS, 4), 7, 14, 30, 90]:
                share = 1 - 0.5 ** (day / median / slower)
                low, high = (None, None) if segment == 8 else (max(share - 0.05, 0.0), min(share + 0.05, 1.0))
                over = None if curve == "next_purchase" else 3 * median
                rows.append((segment, curve, day, share, low, high, 2000 * (1 - share) + 1, over))
    names = ["segment_id", "curve", "day", "share", "share_low", "share_high", "at_risk", "threshold_days"]
    frame = pd.DataFrame(rows, columns=names, dtype=object).drop_duplicates(["segment_id", "curve", "day"])
    return frame.sort_values(["curve", "segment_id", "day"], ignore_index=True)


def journeys() -> pd.DataFrame:
    """Three items and (other); milk after milk is significant at every step, soft drinks after beer at the first."""
    items = ("FLUID MILK PRODUCTS", "BEERS & ALES", "SOFT <DRINKS>", "(other)")
    popularity = (0.3, 0.2, 0.15, 0.35)
    rows = []
    for step in (1, 2, 3):
        for i, before in enumerate(items):
            came = 500 - 60 * i - 50 * step
            for j, after in enumerate(items):
                is_found = (i == j == 0) or (step == 1 and (i, j) == (1, 2))
                share = popularity[j] + (0.15 if is_found else 0.0) - (0.15 if i == 0 and j == 3 else 0.0)
                customers = round(came * share)
                p = 0.001 if is_found else 0.8
                lift = share / popularity[j]
                same = i == j and before != "(other)"
                rows.append((step, before, after, same, customers, came, share, popularity[j], lift, p, 9.0, 0.4, 0.3))
    names = "step from_item to_item is_same_item customers from_customers share expected_share lift p_value_adjusted"
    names += " median_days loyal_share other_loyal_share"
    return pd.DataFrame(rows, columns=names.split(), dtype=object).assign(item_level="category")


def _accounts() -> pd.DataFrame:
    rows = [("orders", 1_469_307, 1_460_000, 9_007), ("customers", 801, 801, 0)]
    return pd.DataFrame(rows, columns=["source", "rows_in", "kept", "quarantined"], dtype=object)


def _reasons() -> pd.DataFrame:
    rows = [
        ("orders", "quantity_not_positive", 8_869, '{"household_id":"12","quantity":"0"}' + "x" * 400),
        ("orders", "unparseable_amount", 138, HOSTILE),
    ]
    return pd.DataFrame(rows, columns=["source", "error", "rows", "example"], dtype=object)


def _left_out() -> pd.DataFrame:
    rows = [("sends", "sources.sends is not configured"), ("responses", "sources.responses is not configured")]
    return pd.DataFrame(rows, columns=["table_name", "detail"])


def evaluation() -> pd.DataFrame:
    """A chosen model, another, the plain sort, one source left out, and the customers who are far from loyal."""
    deciles = [{"mean_probability": p, "observed_rate": p * 0.9, "customers": 185} for p in np.linspace(0.01, 0.4, 10)]
    everyone, far = "regular customers", "regular customers below 0.8 of the loyal threshold"
    rows = [
        ("logistic <b>12</b> bins", True, everyone, True, 9.5, 6.8, 12.9, None, deciles),
        ("gbt depth 3", False, everyone, True, 7.0, 4.9, None, None, deciles),
        ("plain sort", False, everyone, True, 6.1, 4.4, 8.1, None, []),
        ("logistic <b>12</b> bins", False, everyone, True, 9.4, 6.7, 12.8, "customers", deciles),
        ("logistic <b>12</b> bins", True, far, False, None, None, None, None, deciles),
    ]
    names = ["model", "is_chosen", "population", "is_whole_population", "lift_ratio", "lift_low", "lift_high"]
    found = pd.DataFrame(rows, columns=[*names, "left_out_source", "reliability"], dtype=object)
    figures = {"customers": 1_851, "base_rate": 0.066, "auc": 0.859, "average_precision": 0.329, "brier": 0.0526}
    others = {"lift_ceiling": None, "sort_lift_ratio": 6.1, "tested_on": date(2017, 10, 3)}
    return found.assign(**figures, **others, says="The claim of 6 times holds here <i>.")


def _prospects() -> pd.DataFrame:
    row = (188, 0.344, 0.074)
    return pd.DataFrame([row], columns=["prospects", "prospect_probability", "probability"], dtype=object)


def _said() -> pd.DataFrame:
    rows = [("bought on … days in the last … days, others on …", 120), ("attribute <i>: …", 8)]
    return pd.DataFrame(rows, columns=["reason", "customers"], dtype=object)


def _coming() -> pd.DataFrame:
    rows = [("K<27>", 500, 0.16), ("K28", 1_200, 0.09)]
    return pd.DataFrame(rows, columns=["campaign_id", "customers", "probability"], dtype=object)
