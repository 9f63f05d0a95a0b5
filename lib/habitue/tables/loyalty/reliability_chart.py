"""The picture of how far probabilities can be trusted."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go


def reliability_chart(deciles: list[dict[str, Any]], title: str) -> str:
    """A page: what each decile of probability promised, and what came. It loads plotly from the network, as MLflow's own do."""
    promised = [d["mean_probability"] for d in deciles]
    came = [d["observed_rate"] for d in deciles]
    most = max([0.01, *promised, *came])
    figure = go.Figure(
        [
            go.Scatter(x=[0, most], y=[0, most], mode="lines", name="as promised", line={"dash": "dot"}),
            go.Scatter(x=promised, y=came, mode="lines+markers", name="deciles"),
        ]
    )
    figure.update_layout(title=title, xaxis_title="mean probability", yaxis_title="share that did")
    return str(figure.to_html(include_plotlyjs="cdn"))
