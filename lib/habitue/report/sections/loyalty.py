"""What sets loyal customers apart from regular ones, and with which purchase they become loyal."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.charts import BLUE, GREY, INK, ORANGE, chart, label
from habitue.report.parts import (
    ENOUGH_CUSTOMERS,
    Block,
    Chart,
    Frames,
    Grid,
    Heading,
    Paragraph,
    Row,
    Section,
    Shop,
)
from habitue.report.reading import Tables, small
from habitue.report.sections.contrast_rows import FIRST_PURCHASES, first_purchases, sentences, telling, with_names
from habitue.report.sections.share_dots import share_dots, share_grid

MOST_CONTRASTS = 12  # in the picture; the table below has all
MOST_DISTRIBUTIONS = 4
MOST_FIRST = 15  # first purchases in the picture; the table below has all of enough customers
_BOTH = (("regular", GREY, "circle-open"), ("loyal", ORANGE, "diamond"))


def read(tables: Tables) -> Frames:
    """contrasts: the rows of everyone, products by name; the largest difference first. everyone: one row with the
    customers and, of them, the loyal."""
    contrasts = with_names(tables, tables.frame("loyalty_contrast").where("segment_id = 0")).drop("as_of")
    frames = {"contrasts": small(contrasts.orderBy(F.asc_nulls_last("rank"), "feature", "value"))}
    if tables.has("customer_features"):
        counts = (F.count(F.lit(1)).alias("customers"), F.count_if("is_loyal").alias("loyal"))
        frames["everyone"] = small(tables.frame("customer_features").agg(*counts))
    return frames


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    contrasts = frames["contrasts"]
    numbers = contrasts[contrasts["kind"] == "order_number"]
    ranked = telling(contrasts)
    if ranked.empty:
        return [Paragraph("Nothing sets loyal customers apart: there are none, or none but them.")]
    blocks: list[Block] = [Paragraph(s) for s in sentences(ranked)]
    blocks.append(_differences(ranked))
    ranges = [_distribution(row) for _, row in ranked[ranked["kind"] == "number"].head(MOST_DISTRIBUTIONS).iterrows()]
    blocks += [Row(ranges), _grid(ranked)]
    first = _first_purchases(contrasts, frames.get("everyone"))
    if first is not None:
        blocks += [Heading("Which first purchases lead to loyalty"), first]
    if not numbers.empty:
        blocks += [Heading("When customers become loyal"), _order_numbers(numbers)]
    return blocks


def _name(row: pd.Series) -> str:
    feature = wording.plain(row["feature"])
    return feature if wording.is_missing(row["value"]) else f"{feature}: {wording.shortened(row['value'], 30)}"


def _differences(ranked: pd.DataFrame) -> Chart:
    """Standardised differences with their intervals, the largest on top."""
    rows = ranked.head(MOST_CONTRASTS).iloc[::-1]
    values = rows[["standardised_difference", "difference_low", "difference_high"]].astype(float)
    middle = values["standardised_difference"]
    dots = go.Scatter(
        x=list(middle),
        y=[label(_name(row)) for _, row in rows.iterrows()],
        mode="markers",
        marker={
            "size": 10,
            "color": [ORANGE if d > 0 else BLUE for d in middle],
            "symbol": ["triangle-right" if d > 0 else "triangle-left" for d in middle],
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": list(values["difference_high"] - middle),
            "arrayminus": list(middle - values["difference_low"]),
            "color": GREY,
            "thickness": 1.5,
        },
        customdata=[label(sentence, 48) for sentence in rows["sentence"]],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure = chart(
        [dots],
        height=80 + 42 * len(rows),
        xaxis={"zeroline": True, "zerolinecolor": INK, "showgrid": True, "gridcolor": "#E4E4E4", "nticks": 6},
        yaxis={"type": "category"},
        showlegend=False,
    )
    caption = (
        "In standard deviations, with the 95 % interval: to the right, loyal customers have more of it; 0.2 is small, 0.8 is "
        "large. Figures that restate the loyal rule are left out."
    )
    return Chart("loyalty-differences", "Loyal customers against regular ones", figure, caption)


def _distribution(row: pd.Series) -> Chart:
    """Eight of ten customers as a line, six of ten as a thick one, the median marked: loyal above regular."""
    traces = []
    for group, color, symbol in _BOTH:
        deciles = [float(d) for d in row[f"{group}_deciles"]]
        for low, high, width in ((0, 8, 3), (1, 7, 9)):
            line = {"color": color, "width": width}
            traces.append(
                go.Scatter(x=[deciles[low], deciles[high]], y=[group] * 2, mode="lines", line=line, hoverinfo="skip")
            )
        told = f"{group} customers: median {deciles[4]:,.4g}, eight of ten {deciles[0]:,.4g} to {deciles[8]:,.4g}"
        traces.append(
            go.Scatter(
                x=[deciles[4]],
                y=[group],
                mode="markers+text",
                text=[f"{deciles[4]:,.3g}"],
                textposition="top center",
                marker={
                    "color": "white",
                    "size": 12,
                    "symbol": symbol.removesuffix("-open"),
                    "line": {"color": INK, "width": 2},
                },
                cliponaxis=False,
                customdata=[label(told, 40)],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    figure = chart(
        traces,
        height=170,
        xaxis={"nticks": 4, "range": _padded([float(d) for g, _, _ in _BOTH for d in row[f"{g}_deciles"]])},
        yaxis={"type": "category", "range": [-0.6, 1.7], "showgrid": False},
        margin={"t": 8},
        showlegend=False,
    )
    name = wording.plain(row["feature"])
    caption = "Thick: six of ten customers; thin: eight of ten; mark: median."
    return Chart(f"loyalty-{row['feature'].replace('_', '-')}", name[:1].upper() + name[1:], figure, caption)


def _padded(values: Sequence[float]) -> list[float]:
    """A range with room at both ends, so that a line that ends there is seen to end."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 1.0
    return [low - room, high + room]


def _first_purchases(contrasts: pd.DataFrame, everyone: pd.DataFrame | None) -> Chart | None:
    """The share who are loyal today, by what customers bought first; of values that enough of them started with."""
    feature, rows = first_purchases(contrasts)
    customers = rows["loyal_customers"] + rows["regular_customers"]
    large = rows.assign(customers=customers, share=rows["loyal_share"])[customers >= ENOUGH_CUSTOMERS]
    if large.empty:
        return None
    ordered = large.sort_values(["customers", "value"], ascending=[False, True])
    drawn = ordered.head(MOST_FIRST).sort_values(["share", "value"], ascending=[False, True])
    noun = FIRST_PURCHASES[feature]
    title = f"Loyal today, by the {noun} bought first"
    caption = (
        f"Of the customers who started with it, the share who are loyal today; what at least {ENOUGH_CUSTOMERS} started with. "
        "Started: the largest amount on the first purchase day. Going together, one need not cause the other."
    )
    overall = None if everyone is None else float(everyone["loyal"].iloc[0] / everyone["customers"].iloc[0])
    if overall is not None:
        caption += " The dashed line: all customers."
    data = share_grid((f"First {noun}", "Customers", "Loyal today"), ordered.sort_values("share", ascending=False))
    return share_dots("loyalty-first-purchase", title, caption, drawn, overall, data)


def _order_numbers(numbers: pd.DataFrame) -> Chart:
    ordered = numbers.assign(number=numbers["value"].astype(int)).sort_values("number")
    bars = go.Bar(
        x=list(ordered["number"]),
        y=[100 * float(s) for s in ordered["loyal_share"]],
        marker={"color": BLUE},
        customdata=[label(s, 48) for s in ordered["sentence"]],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure = chart(
        [bars],
        height=280,
        xaxis={"title": {"text": "number of the purchase day"}, "tickformat": "d"},
        yaxis={"ticksuffix": " %"},
        showlegend=False,
    )
    rows = [
        (str(n), wording.count(became), wording.share(share))
        for n, became, share in zip(ordered["number"], ordered["loyal_customers"], ordered["loyal_share"], strict=True)
    ]
    data = Grid(
        ("Purchase day", "Become loyal with it", "Of those not yet loyal who get there"), rows, numeric=(0, 1, 2)
    )
    caption = (
        "Of the customers who get to a purchase day not yet loyal, the share who become loyal with it, by today's rule."
    )
    return Chart("loyalty-order-number", "Becoming loyal, by purchase day", figure, caption, data)


def _grid(ranked: pd.DataFrame) -> Grid:
    rows = [
        (
            _name(row),
            wording.decimal(row["standardised_difference"]),
            f"{wording.decimal(row['difference_low'])} to {wording.decimal(row['difference_high'])}",
            str(row["sentence"]),
        )
        for _, row in ranked.iterrows()
    ]
    headings = ("What", "Difference", "95 % interval", "In words")
    return Grid(headings, rows, numeric=(1, 2), summary=f"All {wording.counted(len(ranked), 'difference')}")


SECTION = Section(
    id="loyalty", title="What sets loyal customers apart", needs=("loyalty_contrast",), read=read, write=write
)
