"""The report in five sentences, with the key figures below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.parts import Block, Figure, Frames, KeyFigures, Paragraph, Section, Shop, Text
from habitue.report.reading import Tables, small

REPRESENTATIVE = "representative"
SEGMENT_COLUMNS = ("segment_id", "name", "customers", "share", "is_loyal", "verdict", "revenue_share", "loyal_share")


def read(tables: Tables) -> Frames:
    """orders: one row of totals. loyal: customers and amount (last 365 days) by is_loyal, with
    the rule. segments: one row each."""
    totals = tables.frame("orders").agg(
        F.count(F.lit(1)).alias("orders"),
        F.count_distinct("customer_id").alias("customers"),
        F.sum("amount").alias("amount"),
        F.min("order_day").alias("first_day"),
        F.max("order_day").alias("last_day"),
    )
    frames = {"orders": small(totals)}
    if tables.has("customer_features"):
        by_loyalty = (
            tables.frame("customer_features")
            .groupBy("is_loyal")
            .agg(
                F.count(F.lit(1)).alias("customers"),
                F.sum("amount_365d").alias("amount"),
                F.max("loyal_window_days").alias("loyal_window_days"),
                F.max("loyal_threshold").alias("loyal_threshold"),
            )
        )
        frames["loyal"] = small(by_loyalty)
    if tables.has("segments"):
        segments = tables.frame("segments")
        frames["segments"] = small(segments.select(*(c for c in SEGMENT_COLUMNS if c in segments.columns)))
    return frames


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    totals = frames["orders"].iloc[0]
    if totals["orders"] == 0:
        return [Paragraph("No order was known yet.")]
    loyal = _loyal(frames["loyal"]) if "loyal" in frames else None
    segments = frames.get("segments")
    sentences = [_what_there_is(totals, shop)]
    figures = _size_figures(totals, shop)
    if loyal is not None:
        sentences.append(_loyal_sentence(loyal))
        figures.append(_loyal_figure(loyal))
    if segments is not None and not segments.empty:
        sentences += [_segments_sentence(segments), _cycle_sentence(segments), _look_next(segments)]
        figures += _segment_figures(segments)
    text = Markup(" ").join(sentence for sentence in sentences if sentence)
    return [Paragraph(text), KeyFigures(figures)]


def _what_there_is(totals: pd.Series, shop: Shop) -> Text:
    worth = "" if wording.is_missing(totals["amount"]) else f" worth {wording.amount(totals['amount'], shop.currency)}"
    return (
        f"{wording.counted(totals['customers'], 'customer')} placed {wording.counted(totals['orders'], 'order')}{worth} "
        f"between {wording.day(totals['first_day'])} and {wording.day(totals['last_day'])}."
    )


def _size_figures(totals: pd.Series, shop: Shop) -> list[Figure]:
    figures = [
        Figure("Customers", wording.count(totals["customers"])),
        Figure("Orders", wording.count(totals["orders"])),
    ]
    if not wording.is_missing(totals["amount"]):
        figures.append(Figure("Revenue", wording.amount(totals["amount"], shop.currency), "returns taken off"))
    return figures


@dataclass(frozen=True)
class _Loyal:
    """The loyal customers, their shares of all customers and of all revenue (None without amounts), and the rule."""

    customers: int
    customer_share: float
    revenue_share: float | None
    window_days: int
    threshold: int


def _loyal(by_loyalty: pd.DataFrame) -> _Loyal:
    yes = by_loyalty[by_loyalty["is_loyal"].astype(bool)]
    earned = by_loyalty["amount"].dropna().sum()
    customers = int(yes["customers"].sum())
    return _Loyal(
        customers=customers,
        customer_share=customers / int(by_loyalty["customers"].sum()),
        revenue_share=float(yes["amount"].dropna().sum() / earned) if earned else None,
        window_days=int(by_loyalty["loyal_window_days"].max()),
        threshold=int(by_loyalty["loyal_threshold"].max()),
    )


def _loyal_sentence(loyal: _Loyal) -> Text:
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


def _loyal_figure(loyal: _Loyal) -> Figure:
    note = f"{wording.share(loyal.customer_share)} of customers"
    if not wording.is_missing(loyal.revenue_share):
        note += f", {wording.share(loyal.revenue_share)} of revenue"
    return Figure("Loyal customers", wording.count(loyal.customers), note)


def _segments_sentence(segments: pd.DataFrame) -> Text:
    if len(segments) == 1:
        return "They form one segment: no division of them into several stood up to the checks."
    largest = segments.sort_values(["customers", "segment_id"], ascending=[False, True]).iloc[0]
    link = Markup('<a href="#segment-{}">{}</a>').format(largest["segment_id"], largest["name"])
    return Markup("They form {} segments, the largest of them {} with {} of the customers.").format(
        len(segments), link, wording.share(largest["share"])
    )


def _represented_share(segments: pd.DataFrame) -> float | None:
    """The shop's number: the share of its customers in segments whose cycle represents them."""
    if "verdict" not in segments:
        return None
    return float(segments.loc[segments["verdict"] == REPRESENTATIVE, "share"].astype(float).sum())


def _cycle_sentence(segments: pd.DataFrame) -> Text:
    represented = _represented_share(segments)
    if represented is None:
        return ""
    if represented == 0:
        return "In no segment does one purchase cycle speak for the members."
    return (
        f"{wording.share(represented)} of the customers are in a segment whose purchase cycle speaks for its members."
    )


def _look_next(segments: pd.DataFrame) -> Text:
    """The segment that earns most without being loyal: more is to be won there than among the loyal."""
    if len(segments) < 2 or not {"is_loyal", "revenue_share"} <= set(segments.columns):
        return ""
    others = segments[~segments["is_loyal"].astype(bool)].dropna(subset=["revenue_share"])
    if others.empty:
        return ""
    best = others.sort_values(["revenue_share", "segment_id"], ascending=[False, True]).iloc[0]
    return Markup(
        'Look next at <a href="#segment-{}">{}</a>: of the segments that are not loyal it brings in most, {} of the revenue.'
    ).format(best["segment_id"], best["name"], wording.share(best["revenue_share"]))


def _segment_figures(segments: pd.DataFrame) -> list[Figure]:
    figures = [Figure("Segments", wording.count(len(segments)))]
    represented = _represented_share(segments)
    if represented is not None:
        note = "of customers are in a segment whose purchase cycle speaks for its members"
        figures.append(Figure("Represented by a cycle", wording.share(represented), note))
    return figures


SECTION = Section(id="overview", title="At a glance", needs=("orders",), read=read, write=write)
