"""The page of one segment: who they are, what they are worth, their cycle and what it is good for, their rule."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from habitue.models.purchase_cycle import memoryless_share
from habitue.report import wording
from habitue.report.charts import BLUE, INK, ORANGE, chart
from habitue.report.parts import Block, Chart, Figure, Frames, Grid, KeyFigures, Panel, Paragraph, Shop, Text
from habitue.report.sections.baskets import basket_figures
from habitue.report.sections.segment_flows import flows_of
from habitue.report.sections.segment_portrait import loyal_members, portrait_of, preferences

Segment = pd.Series  # a row of the table
_SHOWN_BEYOND_P90 = 2.0  # the curve is drawn up to so many times p90: what lies beyond is flat
_CURVE_CAPTION = (
    "Of the gaps that end in the time that can be seen, the share that is over by each day. The steeper it is around the "
    "middle than the dashed line, the more regular they are. The marks: a tenth, half and nine tenths."
)


def panel(segment: Segment, frames: Frames, shop: Shop) -> Panel:
    """Everything that the tables say of one segment; what they do not have is left out. frames: those of the section."""
    patterns, contrasts = portrait_of(segment["segment_id"], frames)
    blocks: list[Block] = []
    if _has(segment, "description"):
        blocks.append(Paragraph(str(segment["description"])))
    blocks.append(KeyFigures(_size(segment, shop) + _habits(segment, shop) + basket_figures(patterns, shop)))
    blocks += [*preferences(patterns), *loyal_members(contrasts)]
    if _has(segment, "verdict"):
        blocks.append(Paragraph(_verdict(segment)))
    if _has(segment, "is_regular"):
        blocks.append(Paragraph(_timing(segment)))
    if _has(segment, "rule"):
        blocks.append(Paragraph(_rule(segment)))
    if _has(segment, "core_customers"):
        blocks.append(Paragraph(_membership(segment)))
    curve = _curve(segment)
    if curve is not None:
        blocks.append(curve)
    if "segment_migrations" in frames:
        blocks += flows_of(segment, frames["segment_migrations"], frames["segments"])
    return Panel(f"segment-{segment['segment_id']}", f"{segment['segment_id']} · {segment['name']}", blocks)


def _has(segment: Segment, name: str) -> bool:
    return name in segment and not wording.is_missing(segment[name])


def _size(segment: Segment, shop: Shop) -> list[Figure]:
    found = [Figure("Customers", wording.count(segment["customers"]), f"{wording.share(segment['share'])} of all")]
    if _has(segment, "revenue"):
        part = f"{wording.share(segment['revenue_share'])} of all, " if _has(segment, "revenue_share") else ""
        revenue = wording.amount(segment["revenue"], shop.currency)
        found.append(Figure("Revenue", revenue, f"{part}last 365 days"))
    if _has(segment, "loyal_share"):
        note = "of them: a loyal segment" if _has(segment, "is_loyal") and segment["is_loyal"] else "of them"
        found.append(Figure("Loyal", wording.share(segment["loyal_share"]), note))
    return found


def _habits(segment: Segment, shop: Shop) -> list[Figure]:
    found = []
    if _has(segment, "cycle_days"):
        found.append(Figure("Typical gap", wording.days(segment["cycle_days"]), _spread(segment)))
    if _has(segment, "return_probability"):
        found.append(Figure("Come back", wording.share(segment["return_probability"]), "chance after a purchase"))
    if _has(segment, "purchase_days_per_month"):
        rate = wording.decimal(segment["purchase_days_per_month"])
        found.append(Figure("Purchase days a month", rate, "average"))
    if _has(segment, "average_order_value"):
        value = wording.amount(segment["average_order_value"], shop.currency)
        found.append(Figure("A purchase day", value, "average"))
    if _has(segment, "median_days_since_last_order"):
        ago = f"{wording.days(segment['median_days_since_last_order'])} ago"
        found.append(Figure("Last order", ago, "median"))
    return found


def _spread(segment: Segment) -> str:
    if not (_has(segment, "cycle_p10_days") and _has(segment, "cycle_p90_days")):
        return "median"
    low, high = wording.days(segment["cycle_p10_days"]), wording.days(segment["cycle_p90_days"])
    return f"median; eight of ten between {low.split(wording.NBSP)[0]} and {high}"


_VERDICTS = {
    "representative": "The cycle speaks for the members",
    "mixed": "The cycle does not speak for the members, who are each regular in a rhythm of their own",
    "irregular": "The cycle does not speak for the members",
    "insufficient": "Too few members have bought three times to say whether the cycle speaks for them",
}


def _verdict(segment: Segment) -> Text:
    """The verdict, and the figures that it rests on."""
    reasons = []
    if _has(segment, "member_agreement"):
        share = wording.share(segment["member_agreement"])
        reasons.append(f"{share} of them have a typical gap within a factor 1.5 of the segment's")
    if _has(segment, "return_probability"):
        reasons.append(f"the chance to come back is {wording.share(segment['return_probability'])}")
    if _has(segment, "interval_icc"):
        reasons.append(f"{wording.share(segment['interval_icc'])} of the variance of gaps lies between members")
    if _has(segment, "cycle_gain"):
        reasons.append(_gain(segment))
    says = str(segment["verdict"])
    because = f": {'; '.join(reasons)}" if reasons else ""
    return Markup("<strong>Verdict: {}.</strong> {}{}.").format(says, _VERDICTS.get(says, says), because)


def _gain(segment: Segment) -> str:
    gain = float(segment["cycle_gain"])
    how = "closer" if gain >= 0 else "further off"
    low, high = (wording.signed_share(segment.get(f"cycle_gain_{end}")) for end in ("low", "high"))
    interval = f"95{wording.NBSP}% interval of the gain: {low} to {high}"
    return f"gaps that were held out are {wording.share(abs(gain))} {how} to its cycle than to the shop's ({interval})"


def _timing(segment: Segment) -> Text:
    told = f" (concentration {wording.decimal(segment['concentration'])})" if _has(segment, "concentration") else ""
    if segment["is_regular"]:
        return f"Messages may be timed by date: purchases come in a steady beat{told}."
    return f"Do not time messages by date: purchases come in no steady beat{told}."


def _rule(segment: Segment) -> Text:
    right = ""
    if _has(segment, "rule_fidelity"):
        f1 = wording.decimal(segment["rule_fidelity"])
        right = f" (F1 {f1} on customers that it was not learned from; 1 is perfect)"
    return Markup("<strong>As a rule:</strong> {}{}.").format(segment["rule"], right)


def _membership(segment: Segment) -> Text:
    core, fringe, outside = (int(segment[f"{m}_customers"]) for m in ("core", "fringe", "outside"))
    return (
        f"{wording.counted(core, 'customer')} clearly belong here; of {wording.count(fringe)} the distance or the rhythm points "
        f"elsewhere, too; {wording.count(outside)} have a rhythm of their own that fits no segment."
    )


def _curve(segment: Segment) -> Chart | None:
    """The distribution of the gaps, beside that of customers with the same median who come back at random."""
    if not (_has(segment, "gap_distribution") and _has(segment, "cycle_days")) or not segment["gap_distribution"]:
        return None
    points = pd.DataFrame(list(segment["gap_distribution"])).astype(float).sort_values("day")
    median, limit = float(segment["cycle_days"]), float(points["day"].max())
    points = points[points["day"] <= _last_day(segment, limit)]
    # A gap of d whole days lies anywhere between d - 1/2 and d + 1/2, so its day is over half a day later.
    days, shares = [0.5, *(points["day"] + 0.5)], [0.0, *points["share"]]
    traces = [_line("this segment", days, shares, BLUE, "solid")]
    memoryless = memoryless_share(np.asarray(days), median, limit)
    if not np.isnan(memoryless).any():
        traces.append(_line("if they came at random", days, memoryless, ORANGE, "dash"))
    marks = [(0.1, "cycle_p10_days"), (0.5, "cycle_days"), (0.9, "cycle_p90_days")]
    marked = [(float(segment[name]), share) for share, name in marks if _has(segment, name)]
    figure = chart(
        [*traces, _marks(marked)],
        height=300,
        xaxis={"title": {"text": "days since the purchase before"}, "range": [0, 1.12 * days[-1]]},
        yaxis={"ticksuffix": " %", "range": [0, 104], "dtick": 25},
    )
    data = Grid(("Within", "Share of the gaps"), [(wording.days(d), wording.share(s)) for d, s in marked], (0, 1))
    return Chart(f"cycle-{segment['segment_id']}", "How soon they come back", figure, _CURVE_CAPTION, data)


def _last_day(segment: Segment, limit: float) -> float:
    """Where the picture ends: well beyond p90, but not in the long flat rest."""
    if not _has(segment, "cycle_p90_days"):
        return limit
    return min(limit, max(_SHOWN_BEYOND_P90 * float(segment["cycle_p90_days"]), 1.0))


def _line(name: str, days: Iterable[float], shares: Iterable[float], color: str, dash: str) -> go.Scatter:
    ends = list(days)
    return go.Scatter(
        name=name,
        x=ends,
        y=[100 * float(s) for s in shares],
        mode="lines",
        line={"color": color, "dash": dash, "width": 2.5 if dash == "solid" else 2},
        customdata=[wording.days(end - 0.5) for end in ends],
        hovertemplate="%{y:.1f} % within %{customdata}<extra>" + name + "</extra>",
    )


def _marks(marked: list[tuple[float, float]]) -> go.Scatter:
    return go.Scatter(
        x=[day for day, _ in marked],
        y=[100 * share for _, share in marked],
        mode="markers+text",
        text=[f"  {wording.days(day)}" for day, _ in marked],
        textposition="bottom right",
        cliponaxis=False,
        marker={"size": 9, "symbol": "diamond", "color": INK},
        hoverinfo="skip",
        showlegend=False,
    )
