"""segment_retention: the curves in the table."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from insight_shops import Tables, conformed, net_days, segment_of, settings, tiny, with_everyone

from habitue.errors import NotApplicable
from habitue.tables.insights import segment_retention


def curves(tables, as_of: date, insights) -> pd.DataFrame:
    built = segment_retention.build(tables.history, tables.members, as_of, insights)
    return conformed(segment_retention.TABLE, built)


def test_curves_by_hand(spark):
    start, as_of = date(2021, 1, 1), date(2021, 4, 11)  # 100 days
    days = {"a": [0, 10, 20, 60], "b": [0, 90], "c": [95]}
    orders = [(c, start + timedelta(days=d), "1.00") for c, own in days.items() for d in own]
    found = curves(tiny(spark, orders, as_of, dict.fromkeys("abc", 7)), as_of, settings(bootstrap_draws=100).insights)
    everyone = found[found["segment_id"] == 0].set_index(["curve", "day"])
    # Gaps: a 10, 10, 40 with 1/3 each; b 90 with 1; c has been gone for 5 days, censored with 1.
    # Day 10: at risk 2 (c left after day 4), S = 1 - (2/3)/2 = 2/3. Day 40: at risk 4/3, S = 2/3 (1 - 1/4) = 1/2.
    share = everyone["share"]["next_purchase"]
    assert [share[d] for d in (1, 9, 10, 39, 40, 89, 90)] == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 2, 1 / 2, 1])
    at_risk = everyone["at_risk"]["next_purchase"]
    assert [at_risk[d] for d in (1, 4, 5, 10, 11, 90)] == pytest.approx([3, 3, 2, 2, 4 / 3, 1])
    # U is 90 days, 1 - S there (half of the last gap's mass): 1/2 + 1/4. The 90th percentile of F: 1 - S = .675, which is
    # .175 / .5 into the day from 89.5 on: 89.85. So a gap over 89.85 days is a lapse, which is seen at the end of day 89.
    threshold = everyone["threshold_days"]["lapse"].iloc[0]
    assert threshold == pytest.approx(89.85)
    # b lapses on day 89. a is followed for 100 days with an open gap of 40; c for 5.
    lapse = everyone["share"]["lapse"]
    assert [lapse[d] for d in (1, 88, 89, 90)] == pytest.approx([0, 0, 0.5, 0.5])
    assert [everyone["at_risk"]["lapse"][d] for d in (4, 5, 89, 90)] == [3, 2, 2, 1]
    # Segment 7 is everyone; only its bootstrap has a seed of its own.
    same = ["curve", "day", "share", "at_risk"]
    one, other = (found.loc[found["segment_id"] == s, same].reset_index(drop=True) for s in (0, 7))
    assert one.equals(other)


def test_a_shop_of_one_day_has_no_curve_and_says_so(spark):
    day = date(2021, 1, 1)
    one_day = tiny(spark, [("a", day, "1.00"), ("b", day, "2.00")], date(2021, 1, 2), {"a": 1, "b": 1})
    with pytest.raises(NotApplicable, match="cover one day"):
        curves(one_day, date(2021, 1, 2), settings(bootstrap_draws=100).insights)


# --- by brute force


def purchases(tables: Tables) -> pd.DataFrame:
    days = net_days(tables)
    own = days[days["is_purchase"]].groupby("customer_id")["day"].apply(sorted).reset_index(name="days")
    own["segment_id"] = own["customer_id"].map(segment_of(tables))
    return with_everyone(own)


def wang_chang(customers: list[list[date]], as_of: date, longest: int) -> tuple[list[float], list[float]]:
    """1 - S and at risk by day, from the definition, a gap at a time."""
    weighted: list[tuple[int, bool, float]] = []
    for days in customers:
        gaps = [(b - a).days for a, b in pairwise(days)]
        open_gap = (as_of - days[-1]).days
        weighted += [(g, True, 1 / len(gaps)) for g in gaps] if gaps else [(open_gap, False, 1.0)]
    survival, shares, at_risk = 1.0, [], []
    for day in range(1, longest + 1):
        risk = sum(w for g, is_complete, w in weighted if g > day or (g == day and is_complete))
        ended = sum(w for g, is_complete, w in weighted if g == day and is_complete)
        survival *= 1 - ended / risk if risk else 1
        shares.append(1 - survival)
        at_risk.append(risk)
    return shares, at_risk


def lapse(customers: list[list[date]], as_of: date, threshold: float, longest: int) -> tuple[list[float], list[float]]:
    """1 - S and at risk by day since the first purchase, each customer walked through day by day."""
    events, followed = [], []
    for days in customers:
        bought, gone, lapsed = set(days), 0, None
        for number in range((as_of - days[0]).days):
            gone = 0 if days[0] + timedelta(days=number) in bought else gone + 1
            if gone + 1 > threshold:  # tomorrow is the earliest that the gap can end
                lapsed = number
                break
        (events if lapsed is not None else followed).append(lapsed if lapsed is not None else (as_of - days[0]).days)
    survival, shares, at_risk = 1.0, [], []
    for day in range(longest + 1):
        risk = sum(e >= day for e in events) + sum(f > day for f in followed)
        survival *= 1 - events.count(day) / risk if risk else 1
        shares.append(1 - survival)
        at_risk.append(risk)
    return shares[1:], at_risk[1:]


@pytest.mark.parametrize("name", ["records", "groceries"])
def test_curves_against_brute_force(name, request):
    tables = request.getfixturevalue(name)
    found = curves(tables, tables.as_of, tables.config.insights)
    for segment, part in purchases(tables).groupby("segment_id"):
        customers = list(part["days"])
        own = found[found["segment_id"] == segment]
        again = own[own["curve"] == "next_purchase"].sort_values("day")
        shares, at_risk = wang_chang(customers, tables.as_of, len(again))
        assert list(again["share"]) == pytest.approx(shares, rel=1e-9, abs=1e-12)
        assert list(again["at_risk"]) == pytest.approx(at_risk, rel=1e-9)
        gone = own[own["curve"] == "lapse"].sort_values("day")
        threshold = gone["threshold_days"].iloc[0]
        shares, at_risk = lapse(customers, tables.as_of, threshold, len(gone))
        assert list(gone["share"]) == pytest.approx(shares, rel=1e-9, abs=1e-12)
        assert list(gone["at_risk"]) == at_risk
    inside = found.dropna(subset=["share_low", "share_high"])
    assert len(inside) > 0.8 * len(found)
    lapses = inside[inside["curve"] == "lapse"]
    assert ((lapses["share_low"] <= lapses["share"]) & (lapses["share"] <= lapses["share_high"])).all()


def test_the_lapse_threshold_is_the_cycles_90th_percentile(groceries):
    """F is 1 - S over 1 - S(U), U = 0.9 of the span; the mass of day d is spread evenly over d - 1/2 to d + 1/2."""
    found = curves(groceries, groceries.as_of, groceries.config.insights)
    people = purchases(groceries)
    customers = list(people.loc[people["segment_id"] == 2, "days"])
    first = min(d for days in people["days"] for d in days)
    limit = 0.9 * (groceries.as_of - first).days
    shares, _ = wang_chang(customers, groceries.as_of, int(limit) + 1)
    knots = np.arange(len(shares) + 1) + 0.5
    curve = np.array([0.0, *shares])
    expected = np.interp(0.9 * np.interp(limit, knots, curve), curve, knots)
    own = found[(found["segment_id"] == 2) & (found["curve"] == "lapse")]
    assert own["threshold_days"].iloc[0] == pytest.approx(expected, rel=1e-9)
