"""Five sentences for somebody who has never seen the suite: what there is, who the loyal customers are, how often they buy,
what they buy first, and what to look at next."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from habitue.report import wording
from habitue.report.parts import Frames, Shop, Text
from habitue.report.sections.contrast_rows import FIRST_PURCHASES, first_purchases

GAP = "gap_median_days"  # of loyalty_contrast: each customer's own median gap
REPRESENTATIVE = "representative"
_LINK = Markup('<a href="#segment-{}">{}</a>')
_MIDDLE = 3  # sentences between the first and the last


@dataclass(frozen=True)
class Loyal:
    """The loyal customers, all customers, the loyal ones' share of all revenue (None without amounts), and the rule."""

    customers: int
    of_customers: int
    revenue_share: float | None
    window_days: int
    threshold: int

    @property
    def customer_share(self) -> float:
        return self.customers / self.of_customers


def loyal_totals(by_loyalty: pd.DataFrame) -> Loyal:
    yes = by_loyalty[by_loyalty["is_loyal"].astype(bool)]
    earned = by_loyalty["amount"].dropna().sum()
    return Loyal(
        customers=int(yes["customers"].sum()),
        of_customers=int(by_loyalty["customers"].sum()),
        revenue_share=float(yes["amount"].dropna().sum() / earned) if earned else None,
        window_days=int(by_loyalty["loyal_window_days"].max()),
        threshold=int(by_loyalty["loyal_threshold"].max()),
    )


def five_sentences(frames: Frames, loyal: Loyal | None, shop: Shop) -> list[Text]:
    """Five where the tables say enough: what is not known gives its place to what is known of the segments."""
    segments = frames.get("segments")
    segments = None if segments is None or segments.empty else segments
    contrasts = frames.get("contrasts")
    answers = ["" if loyal is None else _who_is_loyal(loyal), _how_often(contrasts, segments), _what_first(contrasts)]
    answers += [] if segments is None else [_segments(segments), _represented(segments)]
    middle = [answer for answer in answers if answer][:_MIDDLE]
    return [_what_there_is(frames["orders"].iloc[0], shop), *middle, _look_next(frames, loyal, segments)]


def _what_there_is(totals: pd.Series, shop: Shop) -> Text:
    worth = "" if wording.is_missing(totals["amount"]) else f" worth {wording.amount(totals['amount'], shop.currency)}"
    return (
        f"{wording.counted(totals['customers'], 'customer')} placed {wording.counted(totals['orders'], 'order')}{worth} "
        f"between {wording.day(totals['first_day'])} and {wording.day(totals['last_day'])}."
    )


def _who_is_loyal(loyal: Loyal) -> Text:
    rule = f"at least {wording.counted(loyal.threshold, 'purchase day')} in the last {wording.days(loyal.window_days)}"
    if loyal.customers == 0:
        return f"Nobody is loyal: that takes {rule}."
    are = "is" if loyal.customers == 1 else "are"
    paid = (
        ""
        if wording.is_missing(loyal.revenue_share)
        else f"; they paid {wording.share(loyal.revenue_share)} of the revenue of the last 365 days"
    )
    who = wording.counted(loyal.customers, "customer")
    return f"{who} ({wording.share(loyal.customer_share)}) {are} loyal, with {rule}{paid}."


def _how_often(contrasts: pd.DataFrame | None, segments: pd.DataFrame | None) -> Text:
    """The gaps of loyal and regular customers; where they are not compared, the typical gaps of the segments."""
    gaps = None if contrasts is None else contrasts[contrasts["feature"] == GAP].dropna(subset=["loyal_median"])
    if gaps is not None and not gaps.empty:
        loyal, regular = (wording.days(gaps.iloc[0][f"{group}_median"]) for group in ("loyal", "regular"))
        return f"The typical loyal customer comes back after {loyal}, the typical regular one after {regular}."
    if segments is None or "cycle_days" not in segments or segments["cycle_days"].isna().all():
        return ""
    ordered = segments.dropna(subset=["cycle_days"]).sort_values(["cycle_days", "segment_id"])
    shortest, longest = ordered.iloc[0], ordered.iloc[-1]
    if len(ordered) == 1:
        return f"The typical gap between two purchases is {wording.days(shortest['cycle_days'])}."
    return Markup("The typical gap between two purchases is from {} in {} to {} in {}.").format(
        wording.days(shortest["cycle_days"]),
        _LINK.format(shortest["segment_id"], shortest["name"]),
        wording.days(longest["cycle_days"]),
        _LINK.format(longest["segment_id"], longest["name"]),
    )


def _what_first(contrasts: pd.DataFrame | None) -> Text:
    """What more loyal customers started with than with anything else, and how many regular ones did."""
    if contrasts is None:
        return ""
    feature, rows = first_purchases(contrasts)
    rows = rows[rows["loyal_customers"] > 0]
    if rows.empty:
        return ""
    first = rows.sort_values(["loyal_customers", "value"], ascending=[False, True]).iloc[0]
    return (
        f"The commonest first {FIRST_PURCHASES[feature]} of loyal customers is {first['value']}: "
        f"{wording.share(first['loyal_mean'])} of them started with it, of regular customers "
        f"{wording.share(first['regular_mean'])}."
    )


def _segments(segments: pd.DataFrame) -> Text:
    if len(segments) == 1:
        return "All customers form one segment: no division of them into several stood up to the checks."
    largest = segments.sort_values(["customers", "segment_id"], ascending=[False, True]).iloc[0]
    link = _LINK.format(largest["segment_id"], largest["name"])
    return Markup("All customers form {} segments, the largest of them {} with {} of the customers.").format(
        len(segments), link, wording.share(largest["share"])
    )


def represented_share(segments: pd.DataFrame) -> float | None:
    """The shop's number: the share of its customers in segments whose cycle represents them."""
    if "verdict" not in segments:
        return None
    return float(segments.loc[segments["verdict"] == REPRESENTATIVE, "share"].astype(float).sum())


def _represented(segments: pd.DataFrame) -> Text:
    represented = represented_share(segments)
    if represented is None:
        return ""
    if represented == 0:
        return "In no segment does one purchase cycle speak for the members."
    return (
        f"{wording.share(represented)} of the customers are in a segment whose purchase cycle speaks for its members."
    )


def _look_next(frames: Frames, loyal: Loyal | None, segments: pd.DataFrame | None) -> Text:
    """Where more is to be won than among the loyal. One place at least: every shop has months."""
    places = [_next_segment(segments), _prospects(frames.get("prospects"))]
    found = [place for place in places if place] or [_regular(loyal, "contrasts" in frames)]
    return Markup("Look next at {}.").format(Markup(" and at ").join(found))


def _next_segment(segments: pd.DataFrame | None) -> Text:
    """The segment that earns most without being loyal."""
    if segments is None or len(segments) < 2 or not {"is_loyal", "revenue_share"} <= set(segments.columns):
        return ""
    others = segments[~segments["is_loyal"].astype(bool)].dropna(subset=["revenue_share"])
    if others.empty:
        return ""
    best = others.sort_values(["revenue_share", "segment_id"], ascending=[False, True]).iloc[0]
    link = _LINK.format(best["segment_id"], best["name"])
    return Markup("{}, of the segments that are not loyal the one that brings in most ({} of the revenue)").format(
        link, wording.share(best["revenue_share"])
    )


def _prospects(counts: pd.DataFrame | None) -> Text:
    """The regular customers likeliest to turn loyal, with the rate that is expected of them and of all regular ones."""
    if counts is None or not counts["prospects"].iloc[0]:
        return ""
    row = counts.iloc[0]
    return Markup(
        'the <a href="#prospects">{}</a>, whose chance to turn loyal is {} on average ({} for all regular customers)'
    ).format(
        wording.counted(row["prospects"], "prospect"),
        wording.share(row["prospect_probability"]),
        wording.share(row["probability"]),
    )


def _regular(loyal: Loyal | None, is_compared: bool) -> Text:
    """For a shop of one segment without predictions: what its regular customers bring, and what sets the loyal apart."""
    apart = Markup('<a href="#loyalty">what sets loyal customers apart</a>')
    if loyal is not None and not wording.is_missing(loyal.revenue_share) and 0 < loyal.customers < loyal.of_customers:
        regular = wording.counted(loyal.of_customers - loyal.customers, "regular customer")
        paid = wording.share(1 - float(loyal.revenue_share or 0))
        worth = Markup("the {}, who paid {} of the revenue of the last 365 days").format(regular, paid)
        return Markup("{}, and at {}").format(worth, apart) if is_compared else worth
    if is_compared:
        return apart
    return Markup('<a href="#over-time">how many new and returning customers each month brings</a>')
