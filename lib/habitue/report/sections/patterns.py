"""When customers buy, what, and how much at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd
import plotly.graph_objects as go
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.charts import BLUE, GREY, chart, label
from habitue.report.parts import Block, Chart, Frames, Grid, Heading, KeyFigures, Paragraph, Row, Section, Shop
from habitue.report.reading import Tables, named_items, small
from habitue.report.sections.baskets import BASKET_DIMENSIONS, basket_figures

MOST_VALUES = 10  # of a dimension without an order of its own
MONTHS = 12
# Dimension -> title; in their own order, or by size.
WHEN = {"month": "Month", "weekday": "Weekday", "part_of_day": "Part of the day", "hour": "Hour"}
WHAT = {"category": "Category", "brand": "Brand", "item": "Product"}
HOW = {
    "basket_value": "Value of a basket",
    "basket_size": "Units in a basket",
    "discount": "Discount",
    "channel": "Channel",
}
_OF_REVENUE = tuple(WHAT)
# What the table has no rows of where the shop does not tell it.
_WITHOUT = {
    "hour": "orders have no time of day",
    "item": "orders name no products",
    "category": "no product that was bought has a category",
    "brand": "no product that was bought has a brand",
    "basket_value": "orders have no amounts",
    "discount": "orders have no discounts",
    "channel": "orders name no channel",
}


def read(tables: Tables) -> Frames:
    """patterns: dimension, value, position, share, season_index of everyone, products by name; in the order of the values.
    levels: dimension, position, share, level of what `basket_figures` shows."""
    everyone = tables.frame("purchase_patterns").where(F.col("segment_id") == 0)
    shown = everyone.where(F.col("dimension").isin(*WHEN, *WHAT, *HOW) & F.col("share").isNotNull()).select(
        "dimension", "value", "position", "share", "season_index"
    )
    named = named_items(tables, shown, "value", only=F.col("dimension") == "item")
    levels = everyone.where(F.col("dimension").isin(*BASKET_DIMENSIONS))
    return {
        "patterns": small(named.orderBy("dimension", "position", "value")),
        "levels": small(levels.select("dimension", "position", "share", "level").orderBy("dimension", "position")),
    }


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    patterns = frames["patterns"]
    blocks: list[Block] = [Paragraph(_in_words(patterns))]
    figures = basket_figures(frames["levels"], shop)
    blocks += [KeyFigures(figures)] if figures else []
    for heading, titles in (("When", WHEN), ("What", WHAT), ("How", HOW)):
        own = {d: patterns[patterns["dimension"] == d] for d in titles}
        charts = [_bars(d, titles[d], rows) for d, rows in own.items() if len(rows) > 1]
        season = _season(own["month"]) if "month" in own else None
        charts += [] if season is None else [season]
        blocks += [Heading(heading), Row(charts)] if charts else []
    return [*blocks, *_left_out(patterns)]


def _left_out(patterns: pd.DataFrame) -> list[Paragraph]:
    """Why there is nothing on products, times, discounts and so on."""
    there = set(patterns["dimension"])
    told = {"category", "brand"} if "item" not in there else set()  # without products there are none of these either
    reasons = [reason for dimension, reason in _WITHOUT.items() if dimension not in there | told]
    return [Paragraph(f"Left out: {'; '.join(reasons)}.")] if reasons else []


def _in_words(patterns: pd.DataFrame) -> str:
    days = patterns[patterns["dimension"] == "weekday"]
    categories = patterns[(patterns["dimension"] == "category") & (patterns["value"] != "(other)")]
    found = []
    if not days.empty:
        best = days.loc[days["share"].astype(float).idxmax()]
        found.append(f"Most orders come on a {best['value']}: {wording.share(best['share'])} of them.")
    if not categories.empty:
        best = categories.loc[categories["share"].astype(float).idxmax()]
        found.append(f"The largest category is {best['value']}, with {wording.share(best['share'])} of what is sold.")
    return " ".join(found) or "Shares of all orders, or of what they are worth."


def _bars(dimension: str, title: str, rows: pd.DataFrame) -> Chart:
    """Shares, as columns in time and as bars for names."""
    is_named = dimension not in ("month", "hour", "weekday")
    shown = rows.head(MOST_VALUES).iloc[::-1] if is_named else rows
    shares = [100 * float(s) for s in shown["share"]]
    names = [label(v) for v in shown["value"]] if is_named else [label(str(v)[:3], 18) for v in shown["value"]]
    bars = go.Bar(
        x=shares if is_named else names,
        y=names if is_named else shares,
        orientation="h" if is_named else "v",
        marker={"color": BLUE},
        customdata=[
            f"{label(v, 40)}<br>{wording.share(s)}" for v, s in zip(shown["value"], shown["share"], strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    values = {"ticksuffix": " %", "nticks": 4}
    categories = {"type": "category", "tickangle": 0, "dtick": 3 if dimension == "hour" else 1}
    figure = chart(
        [bars],
        height=80 + 32 * len(shown) if is_named else 240,
        xaxis={**values, "showgrid": True, "gridcolor": "#E4E4E4"} if is_named else categories,
        yaxis={**categories, "showgrid": False} if is_named else values,
        showlegend=False,
    )
    grid_rows = [(str(v), wording.share(s)) for v, s in zip(rows["value"], rows["share"], strict=True)]
    of = "of what is sold" if dimension in _OF_REVENUE else "of orders"
    data = Grid((title, f"Share {of}"), grid_rows, numeric=(1,))
    return Chart(f"patterns-{dimension.replace('_', '-')}", f"{title}, share {of}", figure, data=data)


def _season(months: pd.DataFrame) -> Chart | None:
    """Orders a day by month of the year, against the average day: of a whole year only, for half a one has no season."""
    known = months.dropna(subset=["season_index"])
    if set(known["position"].astype(int)) != set(range(1, MONTHS + 1)):
        return None
    names = [f"{date(2000, int(month), 1):%b}" for month in known["position"]]
    index = [float(i) for i in known["season_index"]]
    line = go.Scatter(
        x=names,
        y=index,
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 8},
        cliponaxis=False,
        hovertemplate="%{x}: %{y:.2f} times the average day<extra></extra>",
    )
    room = max(0.1, *(1.15 * abs(i - 1) for i in index))
    figure = chart(
        [line],
        height=240,
        xaxis={"type": "category", "tickangle": 0, "range": [-0.4, MONTHS - 0.6]},
        yaxis={"range": [max(1 - room, 0), 1 + room], "nticks": 5},
        showlegend=False,
    )
    figure.add_hline(y=1, line={"dash": "dash", "color": GREY})
    caption = (
        "Orders a day, against the average day (dashed: 1). A shop that grows has higher months late in its records."
    )
    data = Grid(
        ("Month", "Times the average day"), [(n, wording.decimal(i)) for n, i in zip(names, index, strict=True)], (1,)
    )
    return Chart("patterns-season", "Season: busy and quiet months", figure, caption, data)


SECTION = Section(id="patterns", title="When, what and how much", needs=("purchase_patterns",), read=read, write=write)
