"""Cohorts by the month of the first purchase: who comes back, when, and after which first purchase."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.charts import LIGHT_TO_DARK, chart
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
from habitue.report.reading import Tables, named_items, small
from habitue.report.sections.share_dots import share_dots, share_grid

MOST_COHORTS = 36  # three years are read at a glance, more are not: the newest are shown
MOST_VALUES = 10  # of an attribute: those of most customers
_CELLS_WITH_TEXT = 14  # columns, up to which a figure fits into a cell
_MONTHS_A_TABLE = 12  # columns that fit on paper
_ITEMS = "first_item"
_FIRST = "What the first purchase tells"


def read(tables: Tables) -> Frames:
    """cells: cohort_month, month_number, customers, retained, retention, is_complete; everyone's newest cohorts.
    attributes: attribute, attribute_value, customers, retained, of whole first months after the first purchase's; or
    absent: why there are none."""
    oldest = F.add_months(F.trunc(F.lit(tables.as_of), "month"), -MOST_COHORTS)
    everyone = tables.frame("cohort_retention").where((F.col("segment_id") == 0) & (F.col("cohort_month") >= oldest))
    cells = everyone.select("cohort_month", "month_number", "customers", "retained", "retention", "is_complete")
    frames = {"cells": small(cells.orderBy("cohort_month", "month_number"))}
    if tables.has("cohort_retention_by"):
        by_value = (
            tables.frame("cohort_retention_by")
            .where("segment_id = 0 AND month_number = 1 AND is_complete")
            .groupBy("attribute", "attribute_value")
            .agg(F.sum("customers").alias("customers"), F.sum("retained").alias("retained"))
        )
        named = named_items(tables, by_value, "attribute_value", only=F.col("attribute") == _ITEMS)
        frames["attributes"] = small(named.orderBy("attribute", F.desc("customers"), "attribute_value"))
    else:
        frames["absent"] = pd.DataFrame({"reason": [tables.why_absent("cohort_retention_by")]})
    return frames


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    cells, attributes = frames["cells"], frames.get("attributes")
    shown = cells[(cells["month_number"] > 0) & cells["is_complete"].astype(bool)]
    if shown.empty:
        return [Paragraph("No cohort has been followed for a whole month yet.")]
    blocks: list[Block] = [Paragraph(_in_words(cells)), _heat_map(shown)]
    if attributes is not None and not attributes.empty:
        charts = [_by_value(str(name), own) for name, own in attributes.groupby("attribute") if len(own) > 1]
        blocks += [Heading(_FIRST), Row(charts)] if charts else []
    if "absent" in frames:
        blocks += [Heading(_FIRST), Paragraph(f"Left out: {frames['absent']['reason'].iloc[0]}.")]
    return blocks


def _in_words(cells: pd.DataFrame) -> str:
    first = cells[(cells["month_number"] == 1) & cells["is_complete"].astype(bool)]
    back = wording.share(first["retained"].sum() / first["customers"].sum())
    return f"Of the customers in these cohorts, {back} bought again in the month after their first.{_best(first)}"


def _best(first: pd.DataFrame) -> str:
    """The cohort with the best first month among those that are large enough to be called good or bad."""
    large = first[first["customers"] >= ENOUGH_CUSTOMERS]
    if large.empty:
        return ""
    best = large.sort_values("retention", ascending=False, kind="stable").iloc[0]
    return (
        f" Of the cohorts of at least {ENOUGH_CUSTOMERS} customers that of {best['cohort_month']:%B %Y} did best: "
        f"{wording.share(best['retention'])} of {wording.count(best['customers'])}."
    )


def _heat_map(whole: pd.DataFrame) -> Chart:
    """Months that are not over stay empty: half a month would look like a drop."""
    months = range(1, int(whole["month_number"].max()) + 1)
    table = whole.pivot(index="cohort_month", columns="month_number", values="retention")
    table = table.reindex(index=sorted(table.index), columns=list(months))
    z = [[None if wording.is_missing(v) else round(100 * float(v), 1) for v in row] for row in table.to_numpy()]
    sizes = whole.drop_duplicates("cohort_month").set_index("cohort_month")["customers"]
    names = {m: wording.month(m) for m in table.index}
    hover = [[f"first in {names[m]}: {wording.counted(sizes[m], 'customer')}"] * len(months) for m in table.index]
    heat = go.Heatmap(
        x=[str(m) for m in months],
        y=list(names.values()),
        z=z,
        zmin=0,
        customdata=hover,
        colorscale=LIGHT_TO_DARK,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        texttemplate="%{z:.0f}" if len(months) <= _CELLS_WITH_TEXT else "",
        hovertemplate="%{customdata}<br>month %{x}: %{z} % bought again<extra></extra>",
        colorbar={"ticksuffix": " %", "thickness": 10, "outlinewidth": 0},
    )
    figure = chart(
        [heat],
        height=max(200, 80 + 27 * len(names)),
        xaxis={"title": {"text": "months since the month of the first purchase"}, "type": "category", "side": "top"},
        yaxis={"autorange": "reversed", "type": "category", "showgrid": False},
    )
    caption = (
        "Of those who first bought in a month, the percentage who bought in each later one. Empty: not over yet. Whoever "
        "bought before the records begin counts as new when they first show them."
    )
    data = [
        _years_grid(table, sizes, list(months[i : i + _MONTHS_A_TABLE])) for i in range(0, len(months), _MONTHS_A_TABLE)
    ]
    least_width = min(560, 150 + 40 * len(months))
    title = "Retention by month of the first purchase"
    return Chart("cohort-retention", title, figure, caption, data, least_width=least_width)


def _years_grid(table: pd.DataFrame, sizes: pd.Series, months: list[int]) -> Grid:
    """The retention of some months, for the cohorts that have got so far."""
    rows = [
        (wording.month(cohort), wording.count(sizes[cohort]), *map(wording.share, shares))
        for cohort, shares in table[months].dropna(how="all").iterrows()
    ]
    headings = ("First purchase", "Customers", *(f"Month {month}" for month in months))
    return Grid(headings, rows, numeric=range(1, len(headings)))


def _by_value(attribute: str, values: pd.DataFrame) -> Chart:
    """Who bought again in the next month, by a value of the first purchase or of the customer; most customers first."""
    shares = values.assign(value=values["attribute_value"], share=values["retained"] / values["customers"])
    name = wording.plain(attribute)
    return share_dots(
        f"cohorts-by-{attribute.replace('_', '-')}",
        f"Bought again in the next month, by {name}",
        "Those of most customers.",
        shares.head(MOST_VALUES),
        float(values["retained"].sum() / values["customers"].sum()),
        share_grid((name.capitalize(), "Customers", "Bought again"), shares),
    )


SECTION = Section(
    id="cohorts", title="Do new customers come back?", needs=("cohort_retention",), read=read, write=write
)
