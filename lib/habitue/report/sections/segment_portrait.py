"""Who the members of a segment are beyond their cycle: what they choose more than others, and what its loyal ones do."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.parts import Block, Frames, Grid, Paragraph
from habitue.report.reading import Tables, named_items, small
from habitue.report.sections.baskets import BASKET_DIMENSIONS
from habitue.report.sections.contrast_rows import sentences, telling, with_names

# Dimension -> its name, and of what its shares are.
_CHOICES = {
    "category": ("Category", "of what they buy"),
    "item": ("Product", "of what they buy"),
    "brand": ("Brand", "of what they buy"),
    "weekday": ("Weekday", "of their orders"),
    "hour": ("Hour", "of their orders"),
}
LEAST_SHARE = 0.02  # of a choice in the segment: what is less is a curiosity, however many times others' share it is
LEAST_LIFT = 1.05  # what is less reads as 1.0 times
MOST_CHOICES = 3
_EVERYONE = 0
_PATTERNS = ("segment_id", "dimension", "value", "position", "share", "lift", "level")
_CONTRASTS = ("segment_id", "feature", "value", "rank", "restates_rule", "sentence")


def read_portraits(tables: Tables) -> Frames:
    """patterns: rows of the segments in the dimensions shown. contrasts: what is ranked. Each where there is the table."""
    frames = {}
    if tables.has("purchase_patterns"):
        shown = F.col("dimension").isin(*_CHOICES, *BASKET_DIMENSIONS) & (F.col("segment_id") != _EVERYONE)
        rows = tables.frame("purchase_patterns").where(shown).select(*_PATTERNS)
        named = named_items(tables, rows, "value", only=F.col("dimension") == "item")
        frames["patterns"] = small(named.orderBy("segment_id", "dimension", "position", "value"))
    if tables.has("loyalty_contrast"):
        ranked = tables.frame("loyalty_contrast").where((F.col("segment_id") != _EVERYONE) & F.col("rank").isNotNull())
        named = with_names(tables, ranked.where("NOT restates_rule")).select(*_CONTRASTS)
        frames["contrasts"] = small(named.orderBy("segment_id", "rank"))
    return frames


def portrait_of(segment_id: Any, frames: Frames) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The segment's rows of patterns and of contrasts; no rows where there is no table."""
    patterns = frames.get("patterns", pd.DataFrame(columns=list(_PATTERNS)))
    contrasts = frames.get("contrasts", pd.DataFrame(columns=list(_CONTRASTS)))
    return patterns[patterns["segment_id"] == segment_id], contrasts[contrasts["segment_id"] == segment_id]


def preferences(patterns: pd.DataFrame) -> list[Block]:
    """What they choose most times as often as everyone does, of what is no small part of their purchases."""
    choices = patterns[patterns["dimension"].isin(_CHOICES)].astype({"share": float, "lift": float})
    chosen = choices[(choices["share"] >= LEAST_SHARE) & (choices["lift"] >= LEAST_LIFT)]
    if chosen.empty:
        return []
    top = chosen.sort_values(["lift", "share"], ascending=False, kind="stable").head(MOST_CHOICES)
    rows = [
        (
            f"{_CHOICES[row['dimension']][0]}: {row['value']}",
            f"{wording.share(row['share'])} {_CHOICES[row['dimension']][1]}",
            f"{wording.decimal(row['lift'], 1)} times everyone's share",
        )
        for _, row in top.iterrows()
    ]
    return [Grid(("What they choose more than others", "How much", "Against everyone"), rows)]


def loyal_members(contrasts: pd.DataFrame) -> list[Block]:
    """What sets the loyal members apart from the regular ones of the same segment."""
    told = telling(contrasts)
    if told.empty:
        return []
    text = " ".join(sentences(told))
    return [Paragraph(Markup("<strong>Among its members:</strong> {}").format(text))]
