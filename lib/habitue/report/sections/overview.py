"""The report in five sentences, with the key figures below them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.parts import Block, Figure, Frames, KeyFigures, Paragraph, Section, Shop
from habitue.report.reading import Tables, named_items, small
from habitue.report.sections.contrast_rows import FIRST_PURCHASES
from habitue.report.sections.overview_sentences import GAP, Loyal, five_sentences, loyal_totals, represented_share
from habitue.report.sections.prediction import prospect_counts

SEGMENT_COLUMNS = (
    "segment_id",
    "name",
    "customers",
    "share",
    "is_loyal",
    "verdict",
    "revenue_share",
    "loyal_share",
    "cycle_days",
)


def read(tables: Tables) -> Frames:
    """orders: one row of totals. loyal: customers and amount (last 365 days) by is_loyal, with the rule. segments: one row
    each. contrasts: how often loyal and regular customers buy, and what first. prospects: one row, as `prospect_counts`."""
    frames = {"orders": _order_totals(tables)}
    if tables.has("customer_features"):
        frames["loyal"] = _by_loyalty(tables)
    if tables.has("segments"):
        segments = tables.frame("segments")
        frames["segments"] = small(segments.select(*(c for c in SEGMENT_COLUMNS if c in segments.columns)))
    if tables.has("loyalty_contrast"):
        frames["contrasts"] = _contrasts(tables)
    if tables.has("loyalty_scores"):
        frames["prospects"] = prospect_counts(tables)
    return frames


def _order_totals(tables: Tables) -> pd.DataFrame:
    totals = tables.frame("orders").agg(
        F.count(F.lit(1)).alias("orders"),
        F.count_distinct("customer_id").alias("customers"),
        F.sum("amount").alias("amount"),
        F.min("order_day").alias("first_day"),
        F.max("order_day").alias("last_day"),
    )
    return small(totals)


def _by_loyalty(tables: Tables) -> pd.DataFrame:
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
    return small(by_loyalty)


def _contrasts(tables: Tables) -> pd.DataFrame:
    everyone = tables.frame("loyalty_contrast").where(F.col("segment_id") == 0)
    asked = everyone.where(F.col("feature").isin(GAP, *FIRST_PURCHASES)).drop("as_of")
    named = named_items(tables, asked, "value", only=F.col("feature") == "first_item")
    return small(named.orderBy("feature", "value"))


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    totals = frames["orders"].iloc[0]
    if totals["orders"] == 0:
        return [Paragraph("No order was known yet.")]
    loyal = loyal_totals(frames["loyal"]) if "loyal" in frames else None
    figures = _size_figures(totals, shop)
    if loyal is not None:
        figures.append(_loyal_figure(loyal))
    segments = frames.get("segments")
    if segments is not None and not segments.empty:
        figures += _segment_figures(segments)
    return [Paragraph(Markup(" ").join(five_sentences(frames, loyal, shop))), KeyFigures(figures)]


def _size_figures(totals: pd.Series, shop: Shop) -> list[Figure]:
    figures = [
        Figure("Customers", wording.count(totals["customers"])),
        Figure("Orders", wording.count(totals["orders"])),
    ]
    if not wording.is_missing(totals["amount"]):
        figures.append(Figure("Revenue", wording.amount(totals["amount"], shop.currency), "returns taken off"))
    return figures


def _loyal_figure(loyal: Loyal) -> Figure:
    note = f"{wording.share(loyal.customer_share)} of customers"
    if not wording.is_missing(loyal.revenue_share):
        note += f", {wording.share(loyal.revenue_share)} of revenue"
    return Figure("Loyal customers", wording.count(loyal.customers), note)


def _segment_figures(segments: pd.DataFrame) -> list[Figure]:
    figures = [Figure("Segments", wording.count(len(segments)))]
    represented = represented_share(segments)
    if represented is not None:
        note = "of customers are in a segment whose purchase cycle speaks for its members"
        figures.append(Figure("Represented by a cycle", wording.share(represented), note))
    return figures


SECTION = Section(id="overview", title="At a glance", needs=("orders",), read=read, write=write)
