"""What customers buy first, second, third and fourth, and what of it popularity alone does not explain."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.charts import BLUE, GREY, INK, PALE, STRONG_ORANGE, VERMILLION, chart, label
from habitue.report.parts import Block, Chart, Frames, Grid, Heading, Paragraph, Row, Section, Shop
from habitue.report.reading import Tables, named_items, small

SIGNIFICANT = 0.05  # adjusted p-value below which a step is more than popularity
OTHER = "(other)"
MOST_ITEMS = 7  # of a purchase day in the flow picture; the rest are (other)
NODE_LETTERS = 16  # of an item beside its node; the hover has all
MOST_STEPS = 10  # in a list of steps


def read(tables: Tables) -> Frames:
    """steps: the journeys of everyone, items by name."""
    everyone = tables.frame("item_journeys").where(F.col("segment_id") == 0)
    if everyone.where("item_level = 'product'").isEmpty():
        named = everyone
    else:
        named = named_items(tables, named_items(tables, everyone, "from_item"), "to_item")
    return {"steps": small(named.orderBy("step", F.desc("customers"), "from_item", "to_item"))}


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    steps = frames["steps"]
    if steps.empty:
        return [Paragraph("No customer has bought on two days yet.")]
    found = steps[(steps["p_value_adjusted"] < SIGNIFICANT) & (steps["lift"] > 1)]
    found = found.assign(excess=found["customers"] - found["expected_share"] * found["from_customers"])
    found = found.sort_values("excess", ascending=False, kind="stable")
    blocks: list[Block] = [Paragraph(_in_words(steps, found)), _flow(steps)]
    is_same = found["is_same_item"].astype(bool)
    charts = [
        _dots("journeys-stay", "Staying with the same", found[is_same].head(MOST_STEPS)),
        _dots("journeys-move", "Going on to another", found[~is_same].head(MOST_STEPS)),
    ]
    charts_found = [c for c in charts if c is not None]
    if charts_found:
        blocks += [Heading("Beyond popularity"), Row(charts_found), _grid(found)]
    return blocks


def _in_words(steps: pd.DataFrame, found: pd.DataFrame) -> str:
    starts = _commonest_start(steps)
    if found.empty:
        return f"{starts}No step from one purchase day to the next is more frequent than popularity alone explains."
    return (
        f"{starts}{wording.counted(len(found), 'step')} from one purchase day to the next "
        f"{'is' if len(found) == 1 else 'are'} more frequent than the next item's popularity explains."
    )


def _commonest_start(steps: pd.DataFrame) -> str:
    """The first item of most customers. A first step has those alone who came back; of items, those alone that are named."""
    returned = steps[steps["step"] == 1].groupby("from_item")["customers"].sum()
    named = returned.drop(OTHER, errors="ignore")
    if named.empty:
        return ""
    most, item = named.max(), named.astype(float).idxmax()
    level = "category" if steps["item_level"].iloc[0] == "category" else "product"
    return (
        f"Of the {wording.counted(returned.sum(), 'customer')} who came back, and whose first two purchase days have a known "
        f"{level}, {wording.count(most)} ({wording.share(most / returned.sum())}) started with {item}; no other {level} shown by "
        "name was the start of more. "
    )


def _flow(steps: pd.DataFrame) -> Chart:
    """A Sankey with a column a purchase day. Each band is split: what popularity gives, and what goes beyond it."""
    pooled = _pooled(steps)
    nodes = _nodes(pooled)
    place = {node: i for i, node in enumerate(nodes)}
    sources, targets, values, is_beyond, hovers = [], [], [], [], []
    for _, row in pooled.iterrows():
        ends = place[row["step"], row["from_item"]], place[row["step"] + 1, row["to_item"]]
        told = (
            f"{label(row['from_item'], 30)} → {label(row['to_item'], 30)}<br>{wording.counted(row['customers'], 'customer')}; "
            f"by popularity {wording.decimal(row['expected'], 0)}"
        )
        beyond = max(row["beyond"], 0.0)
        for value, is_more in ((row["customers"] - beyond, False), (beyond, True)):
            if value > 0:
                sources.append(ends[0])
                targets.append(ends[1])
                values.append(float(value))
                is_beyond.append(is_more)
                hovers.append(told)
    sankey = go.Sankey(
        arrangement="snap",
        node={
            # On one line each: two would run into the next node's, since (other) takes most of the height.
            "label": [label(wording.shortened(item, NODE_LETTERS), NODE_LETTERS) for _, item in nodes],
            "customdata": [label(item, 30) for _, item in nodes],
            "color": [GREY if item == OTHER else BLUE for _, item in nodes],
            "pad": 18,
            "thickness": 12,
            "hovertemplate": "%{customdata}<br>%{value:,.0f} customers<extra></extra>",
        },
        link={
            "source": sources,
            "target": targets,
            "value": values,
            "color": [STRONG_ORANGE if more else PALE for more in is_beyond],
            # style.css outlines this colour: a shade alone is not enough. Plotly has one outline for all links of a trace.
            "customdata": hovers,
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    )
    rows = [
        (
            f"{row['step']} to {row['step'] + 1}",
            row["from_item"],
            row["to_item"],
            wording.count(row["customers"]),
            wording.decimal(row["expected"], 0),
        )
        for _, row in pooled.iterrows()
    ]
    data = Grid(("Purchase days", "From", "To", "Customers", "By popularity"), rows, numeric=(3, 4))
    caption = (
        "From the first purchase day on the left to the fourth on the right. Pale, without an outline: as many as the next "
        "item's popularity explains. Dark, with a dark outline: significantly more than that, and by how much."
    )
    figure = chart([sankey], height=max(360, 40 + 44 * (MOST_ITEMS + 1)), margin={"t": 20, "b": 20})
    return Chart("journeys-flow", "What follows what", figure, caption, data, least_width=620)


def _pooled(steps: pd.DataFrame) -> pd.DataFrame:
    """step, from_item, to_item, customers, expected, beyond: the largest items by name, the rest as (other).

    expected: customers if the next item were drawn by popularity. beyond: what significant steps have over that.
    """
    sizes = pd.concat([steps.groupby("from_item")["customers"].sum(), steps.groupby("to_item")["customers"].sum()])
    largest = sizes.groupby(level=0).sum().drop(OTHER, errors="ignore").astype(float).nlargest(MOST_ITEMS).index
    expected = (steps["expected_share"] * steps["from_customers"]).astype(float)
    is_found = (steps["p_value_adjusted"] < SIGNIFICANT) & (steps["lift"] > 1)
    rows = steps.assign(
        from_item=steps["from_item"].where(steps["from_item"].isin(largest), OTHER),
        to_item=steps["to_item"].where(steps["to_item"].isin(largest), OTHER),
        customers=steps["customers"].astype(float),
        expected=expected,
        beyond=(steps["customers"].astype(float) - expected).where(is_found, 0.0),
    )
    summed = rows.groupby(["step", "from_item", "to_item"], as_index=False)[["customers", "expected", "beyond"]].sum()
    # Within what is pooled as (other) only the excess over the whole pool is shown.
    summed["beyond"] = summed["beyond"].clip(upper=summed["customers"] - summed["expected"])
    whole: pd.DataFrame = summed.astype({"step": int, "customers": int})
    return whole


def _nodes(pooled: pd.DataFrame) -> list[tuple[int, str]]:
    here = list(zip(pooled["step"], pooled["from_item"], strict=True))
    there = list(zip(pooled["step"] + 1, pooled["to_item"], strict=True))
    return sorted(set(here) | set(there), key=lambda node: (node[0], node[1] == OTHER, node[1]))


def _dots(id_: str, title: str, found: pd.DataFrame) -> Chart | None:
    """The share that took each step, filled, beside the share that popularity gives, hollow."""
    if found.empty:
        return None
    rows = found.iloc[::-1]
    names = [_step_name(row) for _, row in rows.iterrows()]
    lines = go.Scatter(
        x=[x for _, r in rows.iterrows() for x in (100 * r["expected_share"], 100 * r["share"], None)],
        y=[name for name in names for _ in range(3)],
        mode="lines",
        line={"color": GREY, "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )
    measures = [("share", "took it", VERMILLION, "circle"), ("expected_share", "by popularity", INK, "circle-open")]
    dots = [
        go.Scatter(
            name=name,
            x=[100 * float(v) for v in rows[column]],
            y=names,
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 10, "line": {"width": 2}},
            customdata=[
                [wording.share(v), wording.counted(n, "customer")]
                for v, n in zip(rows[column], rows["from_customers"], strict=True)
            ],
            hovertemplate="%{y}<br>%{customdata[0]} of %{customdata[1]}<extra>" + name + "</extra>",
        )
        for column, name, color, symbol in measures
    ]
    figure = chart(
        [lines, *dots],
        height=100 + 58 * len(rows),
        xaxis={"ticksuffix": " %", "rangemode": "tozero", "nticks": 4},
        yaxis={"type": "category", "range": [-0.7, len(rows) - 0.3]},
    )
    return Chart(id_, title, figure, "Of those with the first item, the share who took the second next.")


def _step_name(row: pd.Series) -> str:
    days = f"day {row['step']} to {int(row['step']) + 1}"
    start, end = (label(wording.shortened(row[item], 34)) for item in ("from_item", "to_item"))
    return f"{start}<br>{days}" if row["is_same_item"] else f"{start} →<br>{end}<br>{days}"


def _grid(found: pd.DataFrame) -> Grid:
    rows = [
        (
            f"{row['from_item']} → {row['to_item']}",
            f"{row['step']} to {int(row['step']) + 1}",
            wording.count(row["customers"]),
            wording.share(row["share"]),
            wording.share(row["expected_share"]),
            wording.decimal(row["lift"], 1),
            wording.days(row["median_days"]),
            wording.share(row["loyal_share"]),
            wording.share(row["other_loyal_share"]),
        )
        for _, row in found.iterrows()
    ]
    headings = (
        "Step",
        "Purchase days",
        "Customers",
        "Share",
        "By popularity",
        "Lift",
        "Median wait",
        "Loyal",
        "Loyal of the others",
    )
    return Grid(
        headings, rows, numeric=range(2, 9), summary=f"All {wording.counted(len(found), 'step')} beyond popularity"
    )


SECTION = Section(id="journeys", title="What customers buy next", needs=("item_journeys",), read=read, write=write)
