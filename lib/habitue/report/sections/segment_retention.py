"""How soon each segment buys again, and how soon its customers lapse."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.charts import DASHES, FAINT_BLUE, INK, SERIES, chart, label
from habitue.report.parts import Block, Chart, Frames, Grid, Paragraph, Section, Shop
from habitue.report.reading import Tables, small

EVERYONE = 0
MARKS_DAYS = (7, 14, 30, 60, 90, 180, 365)  # days that the tables give figures for
_MOST_POINTS = 120  # of one curve: the eye sees no more
# What the curve is: 1 - S of Wang and Chang, not rescaled to the gaps that ended, as the typical gap of a segment is.
_NEXT = (
    "Of all gaps, the share that is over by each day. Each customer weighs the same; who has bought on one day only counts "
    "with a gap that is still open, so a curve may end below 100 %."
)
_LAPSE = (
    "The share who have had a gap longer than nine tenths of their segment's gaps, by day since the first purchase."
)


def read(tables: Tables) -> Frames:
    """curves: segment_id, curve, day, share, share_low, share_high, at_risk, threshold_days; every so many days, and those
    of MARKS_DAYS. names: segment_id, name."""
    curves = tables.frame("segment_retention")
    longest = curves.agg(F.max("day").alias("longest"))
    every = F.greatest(F.ceil(F.col("longest") / _MOST_POINTS), F.lit(1))
    thinned = curves.crossJoin(F.broadcast(longest)).where((F.col("day") % every == 0) | F.col("day").isin(*MARKS_DAYS))
    columns = ("segment_id", "curve", "day", "share", "share_low", "share_high", "at_risk", "threshold_days")
    return {
        "curves": small(thinned.select(*columns).orderBy("curve", "segment_id", "day")),
        "names": small(tables.frame("segments").select("segment_id", "name").orderBy("segment_id")),
    }


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    curves = frames["curves"]
    names = {EVERYONE: "everyone", **dict(zip(frames["names"]["segment_id"], frames["names"]["name"], strict=True))}
    again, lapse = curves[curves["curve"] == "next_purchase"], curves[curves["curve"] == "lapse"]
    blocks: list[Block] = [Paragraph(_in_words(again))]
    if not again.empty:
        blocks.append(_curves("retention-next", "Days until the next purchase", again, names, _NEXT))
    if not lapse.empty:
        blocks.append(_curves("retention-lapse", "Days until a customer has lapsed", lapse, names, _LAPSE))
    return blocks


def _in_words(again: pd.DataFrame) -> str:
    month = again[(again["segment_id"] == EVERYONE) & (again["day"] == 30)]
    if month.empty:
        return "Nobody could be followed for a month yet."
    return (
        f"30 days after a purchase, {wording.share(month.iloc[0]['share'])} of all gaps are over, those of one-time buyers "
        "counted as still open. Point at a curve for its figures; touch a name to hide or show one."
    )


def _curves(id_: str, title: str, curves: pd.DataFrame, names: dict[int, str], caption: str) -> Chart:
    """A line a segment, and everyone in black with the 95 % interval as a band."""
    ids = sorted(curves["segment_id"].unique())
    traces = [*_band(curves[curves["segment_id"] == EVERYONE])]
    for position, segment in enumerate(ids):
        own = curves[curves["segment_id"] == segment]
        is_everyone = segment == EVERYONE
        traces.append(
            go.Scatter(
                name=label(names.get(segment, f"segment {segment}"), 34),
                x=[int(d) for d in own["day"]],
                y=[100 * float(s) for s in own["share"]],
                mode="lines",
                line={
                    "color": INK if is_everyone else SERIES[(position - 1) % len(SERIES)],
                    "dash": DASHES[0 if is_everyone else ((position - 1) // len(SERIES) + position) % len(DASHES)],
                    "width": 3 if is_everyone else 2,
                },
                customdata=[_hover(row) for _, row in own.iterrows()],
                hovertemplate="%{customdata}",
            )
        )
    figure = chart(
        traces,
        height=330 + 22 * len(ids),
        xaxis={"title": {"text": "days"}, "rangemode": "tozero"},
        yaxis={"ticksuffix": " %", "range": [0, 102], "dtick": 25},
        hovermode="closest",
    )
    return Chart(id_, title, figure, f"{caption} The band: 95 % interval of everyone.", _grid(curves, names))


def _band(everyone: pd.DataFrame) -> list[go.Scatter]:
    known = everyone.dropna(subset=["share_low", "share_high"])
    if known.empty:
        return []
    days = [int(d) for d in known["day"]]
    ends = [100 * float(s) for s in known["share_high"]] + [100 * float(s) for s in known["share_low"]][::-1]
    band = go.Scatter(
        x=days + days[::-1],
        y=ends,
        fill="toself",
        fillcolor=FAINT_BLUE,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )
    return [band]


def _hover(row: pd.Series) -> str:
    interval = f"<br>95 % interval {wording.share(row['share_low'])} to {wording.share(row['share_high'])}"
    known = "" if wording.is_missing(row["share_low"]) else interval
    risk = f"<br>{wording.decimal(row['at_risk'], 0)} customers at risk"
    return f"{wording.share(row['share'])} by day {row['day']}{known}{risk}"


def _grid(curves: pd.DataFrame, names: dict[int, str]) -> Grid:
    """Shares with intervals at a few days, and who was still at risk on the last of them."""
    marks = [d for d in MARKS_DAYS if (curves["day"] == d).any()]
    rows = []
    for segment, own in curves.groupby("segment_id"):
        at = own.set_index("day")
        cells = [_cell(at.loc[d]) if d in at.index else wording.NO_FIGURE for d in marks]
        rows.append((names.get(int(str(segment)), f"segment {segment}"), *cells))
    return Grid(("Segment", *(f"Day {d}" for d in marks)), rows, numeric=range(1, len(marks) + 1))


def _cell(row: pd.Series) -> str:
    risk = f"{wording.decimal(row['at_risk'], 0)} at risk"
    if wording.is_missing(row["share_low"]):
        return f"{wording.share(row['share'])} ({risk})"
    return f"{wording.share(row['share'])} ({wording.share(row['share_low'])} to {wording.share(row['share_high'])}; {risk})"


SECTION = Section(
    id="retention",
    title="How soon each segment buys again",
    needs=("segment_retention", "segments"),
    read=read,
    write=write,
)
