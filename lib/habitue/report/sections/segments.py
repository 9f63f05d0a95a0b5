"""The segments: side by side, how their number was chosen, and a page for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from habitue.report import wording
from habitue.report.charts import BLUE, INK, ORANGE, PALE, chart, label
from habitue.report.parts import Block, Chart, Frames, Grid, Heading, Paragraph, Picker, Row, Section, Shop, Text
from habitue.report.reading import Tables, small
from habitue.report.sections.segment_choice import choice
from habitue.report.sections.segment_flows import flows
from habitue.report.sections.segment_panel import panel
from habitue.report.sections.segment_portrait import read_portraits

OPTIONAL = ("segment_candidates", "segment_migrations")
_BIGGEST_BUBBLE = 56  # pixels across


def read(tables: Tables) -> Frames:
    """segments: as the table has them. segment_candidates, segment_migrations: where they exist. patterns, contrasts: those
    of `read_portraits`."""
    frames = {"segments": small(tables.frame("segments").orderBy("segment_id"))}
    frames |= {name: small(tables.frame(name)) for name in OPTIONAL if tables.has(name)}
    return {**frames, **read_portraits(tables)}


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    segments = frames["segments"].sort_values(["customers", "segment_id"], ascending=[False, True], ignore_index=True)
    candidates, migrations = frames.get("segment_candidates"), frames.get("segment_migrations")
    blocks: list[Block] = [Paragraph(_in_words(segments)), _segment_grid(segments, shop)]
    if len(segments) > 1:
        blocks.append(Row([c for c in (_shares_chart(segments), _map_chart(segments, shop)) if c is not None]))
    if candidates is not None and not candidates.empty:
        blocks += [Heading("How many segments, and why"), *choice(candidates)]
    if migrations is not None and not migrations.empty:
        blocks += [Heading("Who moved"), *flows(migrations, segments)]
    pages = [panel(row, frames, shop) for _, row in segments.iterrows()]
    return [*blocks, Picker("Look at one segment:", pages)]


def _in_words(segments: pd.DataFrame) -> Text:
    if len(segments) == 1:
        return "All customers form one segment: no division of them into several stood up to the checks below."
    if "revenue_share" not in segments or segments["revenue_share"].isna().all():
        return f"{len(segments)} segments, by how often, how recently and how regularly their members buy."
    earns = segments.loc[int(segments["revenue_share"].astype(float).argmax())]
    return Markup(
        'Most revenue comes from <a href="#segment-{}">{}</a>: {} of it, from {} of the customers. '
        "A segment says what its members did; it promises nothing about what they will do."
    ).format(earns["segment_id"], earns["name"], wording.share(earns["revenue_share"]), wording.share(earns["share"]))


def _segment_grid(segments: pd.DataFrame, shop: Shop) -> Grid:
    """A row a segment; of the columns, those that the table has."""
    columns: list[tuple[str, str, Callable[[Any], Text]]] = [
        ("Customers", "customers", wording.count),
        ("share", "share", wording.share),
        ("Revenue, 365 days", "revenue", lambda value: wording.amount(value, shop.currency)),
        ("share", "revenue_share", wording.share),
        ("Typical gap", "cycle_days", wording.days),
        ("Last order, median", "median_days_since_last_order", _ago),
        ("Loyal", "loyal_share", wording.share),
        ("Its cycle", "verdict", lambda value: wording.NO_FIGURE if wording.is_missing(value) else str(value)),
    ]
    there = [c for c in columns if c[1] in segments and segments[c[1]].notna().any()]
    link = Markup('<a href="#segment-{}">{}</a>')
    rows = [
        (link.format(row["segment_id"], row["name"]), *(shown(row[name]) for _, name, shown in there))
        for _, row in segments.iterrows()
    ]
    numeric = [i for i, (_, name, _) in enumerate(there, start=1) if name != "verdict"]
    return Grid(("Segment", *(heading for heading, _, _ in there)), rows, numeric)


def _ago(value: Any) -> str:
    return wording.NO_FIGURE if wording.is_missing(value) else f"{wording.days(value)} ago"


def _shares_chart(segments: pd.DataFrame) -> Chart:
    """Customers beside revenue, in bars: where the second is longer, the segment is worth more than its size."""
    backwards = segments.iloc[::-1]  # Plotly draws the first category at the bottom
    names = [label(name) for name in backwards["name"]]
    measures = [("of customers", "share", BLUE, ""), ("of revenue", "revenue_share", ORANGE, "/")]
    traces = [
        go.Bar(
            name=name,
            orientation="h",
            y=[
                f"{n}<span style='display:none'>{i}</span>" for i, n in zip(backwards["segment_id"], names, strict=True)
            ],
            x=[100 * float(v) if not wording.is_missing(v) else None for v in backwards[column]],
            text=[wording.share(v) for v in backwards[column]],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": color,
                "pattern": {"shape": shape, "fillmode": "overlay", "fgcolor": "white", "size": 7, "solidity": 0.25},
            },
            hovertemplate="%{y}: %{text} " + name + "<extra></extra>",
        )
        for name, column, color, shape in reversed(measures)
        if column in segments and segments[column].notna().any()
    ]
    most = max(x for trace in traces for x in trace.x if x is not None)
    figure = chart(
        traces,
        height=80 + 52 * len(segments),
        xaxis={"ticksuffix": " %", "range": [0, most * 1.25], "nticks": 4, "showgrid": True, "gridcolor": "#E4E4E4"},
        yaxis={"showgrid": False, "type": "category"},
        legend={"traceorder": "reversed"},
    )
    both = "and of the revenue" if len(traces) == 2 else ""
    return Chart("segment-shares", f"Share of the customers {both}".strip(), figure)


def _map_chart(segments: pd.DataFrame, shop: Shop) -> Chart | None:
    """How often against how much (or how long ago, without amounts), a bubble a segment."""
    choices = [
        ("average_order_value", f"a purchase day, {shop.currency}" if shop.currency else "amount a purchase day"),
        ("median_days_since_last_order", "days since last order, median"),
    ]
    across = "purchase_days_per_month"
    found = next(((c, t) for c, t in choices if c in segments and segments[c].notna().any()), None)
    if found is None or across not in segments:
        return None
    up, title = found
    drawn = segments.dropna(subset=[across, up])
    customers = drawn["customers"].astype(float)
    is_loyal = drawn["is_loyal"].astype(bool) if "is_loyal" in drawn else pd.Series(False, index=drawn.index)
    hover = [
        f"{label(row['name'], 40)}<br>{wording.counted(row['customers'], 'customer')}<br>"
        f"{wording.decimal(row[across])} purchase days a month<br>{wording.decimal(row[up])} {label(title, 60)}"
        for _, row in drawn.iterrows()
    ]
    bubbles = go.Scatter(
        x=[float(v) for v in drawn[across]],
        y=[float(v) for v in drawn[up]],
        mode="markers+text",
        cliponaxis=False,
        text=[str(i) for i in drawn["segment_id"]],
        customdata=hover,
        hovertemplate="%{customdata}<extra></extra>",
        marker={
            "size": list(customers),
            "sizemode": "area",
            "sizeref": 2 * customers.max() / _BIGGEST_BUBBLE**2,
            "sizemin": 9,
            "symbol": ["diamond" if loyal else "circle" for loyal in is_loyal],
            "color": [ORANGE if loyal else PALE for loyal in is_loyal],
            "line": {"color": INK, "width": 1},
            "opacity": 0.85,
        },
    )
    figure = chart(
        [bubbles],
        height=max(340, 80 + 52 * min(len(segments), 7)),
        xaxis={
            "title": {"text": "purchase days a month, average"},
            "showgrid": True,
            "gridcolor": "#E4E4E4",
        },
        yaxis={"title": {"text": title}},
        showlegend=False,
    )
    caption = "The number is the segment's; the area, its customers; a diamond is a loyal segment."
    rows = [
        (f"{row['segment_id']} {row['name']}", wording.decimal(row[across]), wording.decimal(row[up]))
        for _, row in drawn.iterrows()
    ]
    data = Grid(("Segment", "Purchase days a month", title.capitalize()), rows, numeric=(1, 2))
    how = "how much" if up == "average_order_value" else "how long ago"
    return Chart("segment-map", f"How often, and {how}", figure, caption, data)


SECTION = Section(id="segments", title="The segments", needs=("segments",), read=read, write=write)
