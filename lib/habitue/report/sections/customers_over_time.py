"""Orders, revenue, and new and returning customers, month by month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd
import plotly.graph_objects as go
from pyspark.sql import Window
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.charts import BLUE, ORANGE, chart
from habitue.report.parts import Block, Chart, Frames, Grid, Paragraph, Row, Section, Shop
from habitue.report.reading import Tables, small


def read(tables: Tables) -> Frames:
    """months: month (first day), orders, customers, new_customers (first order in the month), amount; in order."""
    orders = tables.frame("orders")
    per_customer = orders.groupBy("customer_id", F.trunc("order_day", "month").alias("month")).agg(
        F.count(F.lit(1)).alias("orders"), F.sum("amount").alias("amount")
    )
    first_month = F.min("month").over(Window.partitionBy("customer_id"))
    months = (
        per_customer.withColumn("is_new", (F.col("month") == first_month).cast("int"))
        .groupBy("month")
        .agg(
            F.sum("orders").alias("orders"),
            F.count(F.lit(1)).alias("customers"),
            F.sum("is_new").alias("new_customers"),
            F.sum("amount").alias("amount"),
        )
    )
    return {"months": small(months.orderBy("month"))}


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    months = frames["months"]
    if months.empty:
        return [Paragraph("No order was known yet.")]
    charts = [_orders_chart(months, shop)]
    if months["amount"].notna().any():
        charts.append(_revenue_chart(months, shop))
    return [Paragraph(_in_words(months, shop)), Row(charts), _customers_chart(months, shop)]


def _is_complete(month: date, shop: Shop) -> bool:
    """Whether the whole month was known."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1) <= shop.as_of


def _in_words(months: pd.DataFrame, shop: Shop) -> str:
    whole = months[[_is_complete(m, shop) for m in months["month"]]]
    if whole.empty:
        return "Not one whole month was known yet."
    best = whole.loc[whole["orders"].astype(int).idxmax()]
    last = whole.iloc[-1]
    back = 1 - last["new_customers"] / last["customers"]
    return (
        f"Most orders came in {best['month']:%B %Y}, {wording.count(best['orders'])} of them. In {last['month']:%B %Y}, the "
        f"last whole month, {wording.share(back)} of the {wording.counted(last['customers'], 'customer')} had bought before."
    )


def _note(months: pd.DataFrame, shop: Shop) -> str:
    cut = [m for m in months["month"] if not _is_complete(m, shop)]
    return f"Striped: {cut[0]:%B %Y} was not over." if cut else ""


def _stripes(months: pd.DataFrame, shop: Shop, shape: str = "") -> dict[str, object]:
    shapes = [shape if _is_complete(m, shop) else "/" for m in months["month"]]
    return {"shape": shapes, "fillmode": "overlay", "fgcolor": "white", "size": 6, "solidity": 0.3}


def _bars(months: pd.DataFrame, shop: Shop, values: list[float], hover: list[str], color: str) -> go.Bar:
    return go.Bar(
        x=list(months["month"]),
        y=values,
        marker={"color": color, "pattern": _stripes(months, shop)},
        customdata=hover,
        hovertemplate="%{x|%B %Y}<br>%{customdata}<extra></extra>",
    )


def _time_axis(months: pd.DataFrame) -> dict[str, object]:
    few = (
        {"tickvals": list(months["month"]), "tickformat": "%b<br>%Y"} if len(months) <= 3 else {"tickformat": "%b\n%Y"}
    )
    return {"type": "date", **few}


def _orders_chart(months: pd.DataFrame, shop: Shop) -> Chart:
    hover = [wording.counted(n, "order") for n in months["orders"]]
    bars = _bars(months, shop, [int(n) for n in months["orders"]], hover, BLUE)
    figure = chart([bars], height=260, xaxis=_time_axis(months), showlegend=False)
    rows = [(wording.month(m), wording.count(n)) for m, n in zip(months["month"], months["orders"], strict=True)]
    data = Grid(("Month", "Orders"), rows, numeric=(1,))
    return Chart("orders-by-month", "Orders a month", figure, _note(months, shop), data)


def _revenue_chart(months: pd.DataFrame, shop: Shop) -> Chart:
    values = [None if wording.is_missing(a) else float(a) for a in months["amount"]]
    hover = [wording.amount(a, shop.currency) for a in months["amount"]]
    bars = _bars(months, shop, values, hover, BLUE)  # type: ignore[arg-type]
    figure = chart([bars], height=260, xaxis=_time_axis(months), showlegend=False)
    data = Grid(("Month", "Revenue"), list(zip(map(wording.month, months["month"]), hover, strict=True)), numeric=(1,))
    title = f"Revenue a month{f', {shop.currency}' if shop.currency else ''}"
    return Chart("revenue-by-month", title, figure, _note(months, shop), data)


def _customers_chart(months: pd.DataFrame, shop: Shop) -> Chart:
    new = [int(n) for n in months["new_customers"]]
    returning = [int(n) - m for n, m in zip(months["customers"], new, strict=True)]
    traces = [
        go.Bar(
            name=name,
            x=list(months["month"]),
            y=values,
            marker={"color": color, "pattern": _stripes(months, shop, shape)},
            customdata=[wording.counted(n, f"{name} customer") for n in values],
            hovertemplate="%{x|%B %Y}<br>%{customdata}<extra></extra>",
        )
        for name, values, color, shape in (("returning", returning, BLUE, ""), ("new", new, ORANGE, "."))
    ]
    figure = chart(traces, height=300, barmode="stack", xaxis=_time_axis(months), legend={"traceorder": "normal"})
    rows = [
        (wording.month(m), wording.count(n), wording.count(r), wording.share(n / (n + r)))
        for m, n, r in zip(months["month"], new, returning, strict=True)
    ]
    data = Grid(("Month", "New", "Returning", "New, share"), rows, numeric=(1, 2, 3))
    caption = "New: the first order known at all was in that month, so a history's first month has new customers only."
    caption = f"{caption} {_note(months, shop)}".strip()
    return Chart("customers-by-month", "Customers who ordered, new and returning", figure, caption, data)


SECTION = Section(id="over-time", title="Orders and customers over time", needs=("orders",), read=read, write=write)
