"""The house style of the charts: calm colours that colour-blind people can tell apart, and never colour alone.

The palette is Okabe and Ito's (Color Universal Design, 2008).
"""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILLION, GREY, INK = "#56B4E9", "#D55E00", "#8A8A8A", "#222222"
PALE = "#DDE2E6"
FAINT_BLUE = "rgba(0,114,178,.18)"
FAINT_ORANGE = "rgba(230,159,0,.45)"
STRONG_ORANGE = "#C44E00"  # links of a Sankey in it have a dark outline: style.css, by this colour
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, GREY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
# From paper to blue: a scale of lightness, so that it also reads in grey.
LIGHT_TO_DARK = [[0.0, "#F4F7F9"], [0.25, "#C3DBEA"], [0.5, "#7FB3D3"], [0.75, "#3585B5"], [1.0, "#0A4C78"]]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_LABEL_WIDTH = 18  # characters of a category's label on one line: two of them leave a phone room for bars


def chart(traces: Sequence[Any], *, height: int = 320, **layout: Any) -> go.Figure:
    """A figure in the house style; `layout` is Plotly's, merged over it."""
    figure = go.Figure(list(traces))
    axis = {"automargin": True, "fixedrange": True, "zeroline": False, "linecolor": "#999999", "ticks": ""}
    axis |= {"title": {"font": {"size": 13}}, "separatethousands": True}
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 12, "t": 12, "b": 8},
        dragmode=False,
        hoverlabel={"bgcolor": "white", "bordercolor": "#999999", "font": {"family": FONT, "color": INK}},
        # Placed in the chart, not in the plot, it takes its room from the top and never from the side.
        legend={
            "orientation": "h",
            "xref": "container",
            "yref": "container",
            "x": 0,
            "y": 1,
            "xanchor": "left",
            "yanchor": "top",
        },
        bargap=0.25,
        separators=".,",
        xaxis={**axis, "showgrid": False, "tickangle": 0},
        yaxis={**axis, "gridcolor": "#E4E4E4", "rangemode": "tozero"},
    )
    figure.update_layout(**layout)
    return figure


def label(text: Any, width: int = _LABEL_WIDTH) -> str:
    """Text for a chart, over several lines where it is long: Plotly reads tags in it, and data is no mark-up."""
    lines = textwrap.wrap(str(text), width, break_long_words=True) or [""]
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def as_json(figure: go.Figure) -> str:
    """The figure for a <script> element: no `<` can end the element early."""
    return json.dumps(json.loads(figure.to_json()), separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
