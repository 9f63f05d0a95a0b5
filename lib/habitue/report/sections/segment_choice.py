"""How many segments, and why: silhouette and gain of every candidate, side by side over the counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from habitue.report import wording
from habitue.report.charts import BLUE, GREY, INK, VERMILLION, chart
from habitue.report.parts import Block, Chart, Grid, Paragraph, Row

_CRITERIA = (
    ("silhouette", "Silhouette", "How well the segments stand apart: 1 is best, 0 is none."),
    (
        "cycle_gain",
        "Gain from knowing the segment",
        "How much closer a customer's next gap is to the segment's cycle than to the shop's one. Bars: 95 % interval.",
    ),
)
_MARKS = Markup(
    "A ring marks what was chosen; a cross, a number of segments that failed a check of size, stability or structure. "
    "The table <code>segment_candidates</code> has all figures."
)
_ALL_CANDIDATES = "Every number of segments, and why or why not"


def choice(candidates: pd.DataFrame) -> Sequence[Block]:
    """The reason in words, the two criteria in pictures where there is a choice, every candidate in a table."""
    ordered = candidates.sort_values("segment_count", ignore_index=True)
    charts = [
        _criterion(ordered, column, title, caption)
        for column, title, caption in _CRITERIA
        if column in ordered and ordered[column].notna().any()
    ]
    pictures: list[Block] = [Row(charts), Paragraph(_MARKS)] if charts and len(ordered) > 1 else []
    return [Paragraph(_reason(ordered)), *pictures, *_refinement(ordered), _candidate_grid(ordered)]


def _criterion(candidates: pd.DataFrame, column: str, title: str, caption: str) -> Chart:
    """One criterion over the counts, with its interval where the table has one."""
    is_share = column == "cycle_gain"
    scale = 100 if is_share else 1
    drawn = candidates[candidates[column].notna()]
    values = [scale * float(v) for v in drawn[column]]
    eligible = [bool(e) for e in drawn["is_eligible"]]
    shown = [wording.signed_share(v) if is_share else wording.decimal(v) for v in drawn[column]]
    line = go.Scatter(
        x=[int(n) for n in drawn["segment_count"]],
        y=values,
        mode="lines+markers",
        cliponaxis=False,
        line={"color": BLUE, "width": 1.5},
        marker={
            "size": 9,
            "color": [BLUE if e else GREY for e in eligible],
            "symbol": ["circle" if e else "x" for e in eligible],
        },
        error_y=_interval(drawn, column, scale),
        customdata=[[s, "" if e else "<br>failed a check"] for s, e in zip(shown, eligible, strict=True)],
        hovertemplate="%{x} segments: %{customdata[0]}%{customdata[1]}<extra></extra>",
    )
    chosen = drawn[drawn["is_chosen"].astype(bool)]
    ring = go.Scatter(
        x=[int(n) for n in chosen["segment_count"]],
        y=[scale * float(v) for v in chosen[column]],
        mode="markers+text",
        text=["chosen"] * len(chosen),
        textposition="top center",
        textfont={"color": INK},
        cliponaxis=False,
        marker={"size": 18, "symbol": "circle-open", "color": VERMILLION, "line": {"width": 2.5}},
        hoverinfo="skip",
    )
    counts = [int(n) for n in candidates["segment_count"]]
    figure = chart(
        [line, ring],
        height=270,
        margin={"t": 26},
        xaxis={
            "title": {"text": "number of segments"},
            "range": [min(counts) - 0.6, max(counts) + 0.6],
            "dtick": 1 if len(counts) <= 12 else 3,
        },
        yaxis={"ticksuffix": " %" if is_share else "", "zeroline": is_share, "zerolinecolor": INK},
        showlegend=False,
    )
    return Chart(f"choice-{column.replace('_', '-')}", title, figure, caption)


def _interval(drawn: pd.DataFrame, column: str, scale: int) -> dict[str, Any] | None:
    low, high = f"{column}_low", f"{column}_high"
    if low not in drawn or high not in drawn:
        return None
    ends = drawn[[column, low, high]].astype(float)
    return {
        "type": "data",
        "symmetric": False,
        "array": list(scale * (ends[high] - ends[column])),
        "arrayminus": list(scale * (ends[column] - ends[low])),
        "color": GREY,
        "thickness": 1,
        "width": 3,
    }


def _candidate_grid(candidates: pd.DataFrame) -> Grid:
    columns = [
        ("Silhouette", "silhouette", wording.decimal),
        ("Smallest", "smallest_share", wording.share),
        ("Stability", "stability", wording.decimal),
        ("Lowest Jaccard", "lowest_jaccard", wording.decimal),
        ("Gain", "cycle_gain", wording.signed_share),
        ("Gain, published half", "published_gain", wording.signed_share),
    ]
    there = [c for c in columns if c[1] in candidates and candidates[c[1]].notna().any()]
    rows = [
        (
            Markup("<strong>{}</strong>").format(row["segment_count"])
            if row["is_chosen"]
            else str(row["segment_count"]),
            *(shown(row[name]) for _, name, shown in there),
            str(row["reason"]),
        )
        for _, row in candidates.iterrows()
    ]
    headings = ("Segments", *(heading for heading, _, _ in there), "Why, or why not")
    return Grid(headings, rows, numeric=range(len(there) + 1), summary=_ALL_CANDIDATES)


def _reason(candidates: pd.DataFrame) -> str:
    chosen = candidates[candidates["is_chosen"].astype(bool)]
    if chosen.empty:
        return "The segments in use are none of the divisions below."
    count, reason = chosen.iloc[0]["segment_count"], str(chosen.iloc[0]["reason"]).rstrip(".")
    verb = " was " if count == 1 else " were "
    return f"{wording.counted(count, 'segment')}{verb if reason.startswith('chosen') else ': '}{reason}."


def _refinement(candidates: pd.DataFrame) -> list[Block]:
    """Every split that was tried on the chosen division, in a folded table."""
    if "refinement" not in candidates:
        return []
    decisions = [d for tried in candidates["refinement"] for d in tried]
    if not decisions:
        return []
    tried = f"Afterwards tried: {wording.counted(len(decisions), 'further division')} of a single segment"
    return [Grid(("Decision",), [(d,) for d in decisions], summary=tried)]
