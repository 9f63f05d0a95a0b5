"""Who can become loyal, and who will respond: the shop's own ratio, what it rests on, and what raises the scores."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.charts import BLUE, GREY, ORANGE, chart
from habitue.report.parts import Block, Chart, Figure, Frames, Grid, Heading, KeyFigures, Paragraph, Row, Section, Shop
from habitue.report.reading import Tables, small

MOST_REASONS = 10
HEADINGS = ("model", "tested on", "rows", "base rate", "AUC", "average precision", "ratio", "95 %", "ceiling", "Brier")


def read_loyalty(tables: Tables) -> Frames:
    """evaluation: every row. counts: one row. reasons: the commonest, without their figures."""
    return {
        "evaluation": _evaluation(tables, "loyalty"),
        "counts": prospect_counts(tables),
        "reasons": _reasons(tables, "loyalty"),
    }


def prospect_counts(tables: Tables) -> pd.DataFrame:
    """One row: prospects, their mean probability as prospect_probability, and probability, that of regular customers."""
    counts = tables.frame("loyalty_scores").agg(
        F.count_if(F.col("is_prospect")).alias("prospects"),
        F.avg(F.when(F.col("is_prospect"), F.col("probability"))).alias("prospect_probability"),
        F.avg("probability").alias("probability"),
    )
    return small(counts)


def read_responses(tables: Tables) -> Frames:
    scores = tables.frame("response_scores")
    coming = scores.groupBy("campaign_id").agg(
        F.count(F.lit(1)).alias("customers"), F.avg("probability").alias("probability")
    )
    return {
        "evaluation": _evaluation(tables, "response"),
        "coming": small(coming.orderBy("campaign_id")),
        "reasons": _reasons(tables, "response"),
    }


def _evaluation(tables: Tables, name: str) -> pd.DataFrame:
    order = (F.desc("is_whole_population"), F.asc_nulls_first("left_out_source"), F.desc("is_chosen"), "model")
    return small(tables.frame(f"{name}_evaluation").orderBy(*order))


def _reasons(tables: Tables, name: str) -> pd.DataFrame:
    """reason (figures as ...) and customers, the commonest first."""
    said = tables.frame(f"{name}_scores").select(F.explode("reasons").alias("reason"))
    plain = said.select(F.regexp_replace("reason", r"-?\d[\d,.]*( %)?", "…").alias("reason"))
    counted = plain.groupBy("reason").agg(F.count(F.lit(1)).alias("customers"))
    return small(counted.orderBy(F.desc("customers"), "reason").limit(MOST_REASONS))


def write_loyalty(frames: Frames, shop: Shop) -> Sequence[Block]:
    counts = frames["counts"].iloc[0]
    prospects = Figure("prospects", f"{counts['prospects']:,}", "regular customers in the top share by score")
    blocks = _tested(frames["evaluation"], [prospects], "loyalty")
    if counts["prospects"]:
        said = (
            f"A prospect's chance to turn loyal is {wording.share(counts['prospect_probability'])} on average, that of "
            f"a regular customer {wording.share(counts['probability'])}. The table loyalty_scores names them, with reasons."
        )
        blocks.append(Paragraph(said))
    return [*blocks, *_why(frames["reasons"])]


def write_responses(frames: Frames, shop: Shop) -> Sequence[Block]:
    blocks = _tested(frames["evaluation"], [], "response")
    coming = frames["coming"]
    if coming.empty:
        blocks.append(Paragraph("No campaign that starts on the as-of day or later has been sent: nobody is scored."))
    else:
        rows = [
            (str(r["campaign_id"]), f"{r['customers']:,}", wording.share(r["probability"]))
            for _, r in coming.iterrows()
        ]
        blocks += [
            Heading("Campaigns to come"),
            Grid(("campaign", "customers", "expected to respond"), rows, numeric=(1, 2)),
        ]
    return [*blocks, *_why(frames["reasons"])]


def _tested(evaluation: pd.DataFrame, figures: list[Figure], name: str) -> list[Block]:
    """The verdict on the claim, the key figures, the picture of the ratios and of the reliability, and all figures."""
    whole = evaluation[evaluation["is_whole_population"].astype(bool) & evaluation["left_out_source"].isna()]
    chosen = whole[whole["is_chosen"].astype(bool)].iloc[0]
    key = [*figures, *_key_figures(chosen)]
    blocks: list[Block] = [Paragraph(str(chosen["says"])), KeyFigures(key)]
    others = evaluation[~evaluation["is_whole_population"].astype(bool) & evaluation["is_chosen"].astype(bool)]
    blocks += [Paragraph(str(row["says"])) for _, row in others.iterrows()]
    blocks.append(Row([_ratios(whole, name), _reliability(chosen, name)]))
    blocks += _sources(evaluation, chosen)
    blocks.append(_grid(evaluation))
    return blocks


def _key_figures(chosen: pd.Series) -> list[Figure]:
    interval = f"95 %: {_number(chosen['lift_low'])} to {_number(chosen['lift_high'])}"
    ceiling = "no bound" if wording.is_missing(chosen["lift_ceiling"]) else _number(chosen["lift_ceiling"])
    return [
        Figure("ratio of the top share to the rest", _number(chosen["lift_ratio"]), interval),
        Figure("of a perfect ranking", ceiling, f"base rate {wording.share(chosen['base_rate'])}"),
        Figure(
            "of the plain sort", _number(chosen["sort_lift_ratio"]), "nothing learned: what buys most, or answered most"
        ),
    ]


def _ratios(whole: pd.DataFrame, name: str) -> Chart:
    rows = whole[whole["lift_ratio"].notna()].iloc[::-1]
    ratio = rows["lift_ratio"].astype(float)
    high = rows["lift_high"].astype(float).fillna(ratio)
    bars = go.Bar(
        x=list(ratio),
        y=[str(m) for m in rows["model"]],
        orientation="h",
        marker={"color": [ORANGE if c else GREY for c in rows["is_chosen"]]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": list(high - ratio),
            "arrayminus": list(ratio - rows["lift_low"].astype(float)),
        },
        hovertemplate="%{y}: %{x:.1f} times<extra></extra>",
    )
    figure = chart(
        [bars], height=120 + 44 * len(rows), xaxis={"title": "times the rate of the others"}, showlegend=False
    )
    caption = (
        "Rate of the top share by score / rate of the rest, with the 95 % interval, on rows that no model had seen."
    )
    return Chart(f"{name}-ratios", "How much likelier the top share is", figure, caption)


def _reliability(chosen: pd.Series, name: str) -> Chart:
    deciles = chosen["reliability"]
    promised = [float(d["mean_probability"]) for d in deciles]
    came = [float(d["observed_rate"]) for d in deciles]
    most = max([0.01, *promised, *came])
    line = go.Scatter(
        x=[0, most],
        y=[0, most],
        mode="lines",
        line={"dash": "dot", "color": GREY},
        name="as promised",
        hoverinfo="skip",
    )
    dots = go.Scatter(
        x=promised,
        y=came,
        mode="lines+markers",
        marker={"size": 9, "color": BLUE},
        name="tenths of the customers",
        hovertemplate="promised %{x:.1%}, came %{y:.1%}<extra></extra>",
    )
    axes = {"tickformat": ".0%", "rangemode": "tozero"}
    figure = chart(
        [line, dots],
        height=300,
        xaxis={**axes, "title": "probability given"},
        yaxis={**axes, "title": "share that did"},
        showlegend=False,
    )
    caption = "On the dotted line, probabilities come true. One dot is a tenth of the tested customers."
    return Chart(f"{name}-reliability", "Do the probabilities come true?", figure, caption)


def _sources(evaluation: pd.DataFrame, chosen: pd.Series) -> list[Block]:
    """One sentence for each source that was left out."""
    rows = evaluation[evaluation["left_out_source"].notna()]
    sentences = [
        f"Without {row['left_out_source']}: AUC {_number(row['auc'], 3)} instead of {_number(chosen['auc'], 3)}, "
        f"ratio {_number(row['lift_ratio'])} instead of {_number(chosen['lift_ratio'])}."
        for _, row in rows.iterrows()
    ]
    return [Heading("What each source is worth"), *map(Paragraph, sentences)] if sentences else []


def _grid(evaluation: pd.DataFrame) -> Grid:
    rows = [
        (
            _model(row),
            str(row["tested_on"]),
            f"{row['customers']:,}",
            wording.share(row["base_rate"]),
            _number(row["auc"], 3),
            _number(row["average_precision"], 3),
            _number(row["lift_ratio"]),
            f"{_number(row['lift_low'])} to {_number(row['lift_high'])}",
            _number(row["lift_ceiling"]),
            _number(row["brier"], 4),
        )
        for _, row in evaluation.iterrows()
    ]
    return Grid(HEADINGS, rows, numeric=tuple(range(2, len(HEADINGS))), summary="All figures of all models")


def _model(row: pd.Series) -> str:
    parts = [str(row["model"]), "" if row["is_whole_population"] else str(row["population"])]
    parts.append("" if wording.is_missing(row["left_out_source"]) else f"without {row['left_out_source']}")
    return ", ".join(p for p in parts if p) + (" (chosen)" if row["is_chosen"] else "")


def _why(reasons: pd.DataFrame) -> list[Block]:
    if reasons.empty:
        return []
    rows = [(str(r["reason"]), f"{r['customers']:,}") for _, r in reasons.iterrows()]
    return [Heading("What raises the scores"), Grid(("reason", "customers"), rows, numeric=(1,))]


def _number(value: object, digits: int = 1) -> str:
    return "–" if wording.is_missing(value) else f"{float(str(value)):,.{digits}f}"


LOYALTY = Section(
    id="prospects",
    title="Who can become loyal",
    needs=("loyalty_scores", "loyalty_evaluation"),
    read=read_loyalty,
    write=write_loyalty,
)
RESPONSES = Section(
    id="responses", title="Who will respond", needs=("response_evaluation",), read=read_responses, write=write_responses
)
