"""Who moved between segments since the snapshot before: a flow picture for the shop, and one for each segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from habitue.report import wording
from habitue.report.charts import BLUE, FAINT_ORANGE, GREY, PALE, chart, label
from habitue.report.parts import Block, Chart, Grid, Paragraph

NEWCOMERS, GONE = "not a customer yet", "no longer known"
BEHAVIOUR, REFIT = "behaviour", "re-fit"
_ROW_HEIGHT = 44  # pixels for a node: room for a label of two lines


def flows(migrations: pd.DataFrame, segments: pd.DataFrame) -> Sequence[Block]:
    """All flows between the two snapshots: what customers did, and apart from it what a new fit changed."""
    by_behaviour = _moves(migrations, BEHAVIOUR, segments)
    since = wording.day(migrations["earlier_as_of"].iloc[0])
    text = f"Since {since}, {_stayed(by_behaviour)} of the customers known at both times stayed in their segment."
    blocks: list[Block] = [Paragraph(text), _chart("migrations", f"From {since} to now", by_behaviour)]
    by_refit = _moves(migrations, REFIT, segments)
    if not by_refit.empty:
        text = f"The segments were fitted anew: on the same data, {_stayed(by_refit)} of the customers stayed where they were."
        blocks += [Paragraph(text), _chart("migrations-refit", "What the new fit moved", by_refit)]
    return blocks


def flows_of(segment: pd.Series[Any], migrations: pd.DataFrame, segments: pd.DataFrame) -> Sequence[Block]:
    """The flows of customers, by what they did, into and out of one segment."""
    moves = _moves(migrations, BEHAVIOUR, segments)
    own = segment["segment_id"]
    touching = moves[(moves["from_id"] == own) | (moves["to_id"] == own)]
    if touching.empty:
        return []
    return [_chart(f"migrations-{own}", "Where they came from, and where others went", touching)]


def _stayed(moves: pd.DataFrame) -> str:
    known = moves[moves["from_id"].notna() & moves["to_id"].notna()]
    stayed = known[known["from_id"] == known["to_id"]]["customers"].sum()
    return wording.share(stayed / known["customers"].sum() if len(known) else None)


def _moves(migrations: pd.DataFrame, cause: str, segments: pd.DataFrame) -> pd.DataFrame:
    """from_id, to_id, from_name, to_name, customers: the rows of one cause, in the order of the segments."""
    names = dict(zip(segments["segment_id"], segments["name"], strict=True))
    moves = migrations[migrations["cause"] == cause].rename(
        columns={"from_segment_id": "from_id", "to_segment_id": "to_id"}
    )
    moves = moves.sort_values(["from_id", "to_id"], na_position="last")
    named: pd.DataFrame = moves.assign(
        from_name=[_name(i, names, NEWCOMERS) for i in moves["from_id"]],
        to_name=[_name(i, names, GONE) for i in moves["to_id"]],
    )
    return named


def _name(segment_id: Any, names: Mapping[int, str], absent: str) -> str:
    if wording.is_missing(segment_id):
        return absent
    return names.get(int(segment_id), f"segment {int(segment_id)}, given up")


def _chart(id_: str, title: str, moves: pd.DataFrame) -> Chart:
    left, right = list(dict.fromkeys(moves["from_name"])), list(dict.fromkeys(moves["to_name"]))
    pairs = list(zip(moves["from_name"], moves["to_name"], moves["customers"], strict=True))
    sankey = go.Sankey(
        arrangement="snap",
        node={
            "label": [label(n) for n in (*left, *right)],
            "color": [GREY if n in (NEWCOMERS, GONE) else BLUE for n in (*left, *right)],
            "pad": 16,
            "thickness": 12,
            "hovertemplate": "%{label}<br>%{value:,} customers<extra></extra>",
        },
        link={
            "source": [left.index(a) for a, _, _ in pairs],
            "target": [len(left) + right.index(b) for _, b, _ in pairs],
            "value": [int(n) for _, _, n in pairs],
            "color": [PALE if a == b else FAINT_ORANGE for a, b, _ in pairs],
            "hovertemplate": "%{source.label} → %{target.label}<br>%{value:,} customers<extra></extra>",
        },
    )
    height = max(220, _ROW_HEIGHT * max(len(left), len(right)) + 40)
    data = Grid(("Before", "Now", "Customers"), [(a, b, wording.count(n)) for a, b, n in pairs], numeric=(2,))
    caption = "Before on the left, now on the right. Grey bands stayed, orange ones moved."
    return Chart(id_, title, chart([sankey], height=height, margin={"t": 20, "b": 20}), caption, data)
