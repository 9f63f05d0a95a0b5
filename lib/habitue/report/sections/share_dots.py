"""A share by value as dots, with the share of all customers as a line: what several sections draw alike."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from habitue.report import wording
from habitue.report.charts import BLUE, GREY, INK, chart, label
from habitue.report.parts import Chart, Grid


def share_dots(
    id_: str,
    title: str,
    caption: str,
    drawn: pd.DataFrame,
    overall: float | None,
    data: Grid,
) -> Chart:
    """drawn: value, customers, share, the first on top. overall: the share of all (None: no line). data: every figure."""
    shown = drawn.iloc[::-1]  # Plotly draws the first category at the bottom
    shares = [float(s) for s in shown["share"]]
    most = max(*shares, overall or 0.0, 0.01)
    dots = go.Scatter(
        x=[100 * s for s in shares],
        y=[label(v, 20) for v in shown["value"]],
        mode="markers+text",
        text=[f" {wording.share(s)} " for s in shares],
        # Away from the line, where there is room.
        textposition=["middle left" if 0.4 * most < s < (overall or 0.0) else "middle right" for s in shares],
        cliponaxis=False,
        marker={"color": BLUE, "size": 10},
        customdata=[wording.counted(c, "customer") for c in shown["customers"]],
        hovertemplate="%{y}<br>%{text} of %{customdata}<extra></extra>",
    )
    figure = chart(
        [dots],
        height=90 + 34 * len(shown),
        xaxis={"ticksuffix": " %", "range": [0, 150 * most], "nticks": 4},
        yaxis={"type": "category"},
        margin={"t": 26},
        showlegend=False,
    )
    if overall is not None:
        _draw_line(figure, overall)
    return Chart(id_, title, figure, caption, data)


def _draw_line(figure: go.Figure, overall: float) -> None:
    dashed = {"dash": "dash", "color": GREY}
    figure.add_shape(type="line", x0=100 * overall, x1=100 * overall, yref="paper", y0=0, y1=1, line=dashed)
    figure.add_annotation(
        x=100 * overall,
        yref="paper",
        y=1,
        yanchor="bottom",
        text=f"all: {wording.share(overall)}",
        showarrow=False,
        font={"color": INK},
    )


def share_grid(headings: Sequence[str], values: pd.DataFrame) -> Grid:
    """Every row of `values` (value, customers, share) under three headings."""
    rows = [
        (str(v), wording.count(c), wording.share(s))
        for v, c, s in zip(values["value"], values["customers"], values["share"], strict=True)
    ]
    return Grid(headings, rows, numeric=(1, 2))
