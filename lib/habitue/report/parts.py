"""What the page is made of: plain data that the template lays out.

A section reads the tables in one function and writes its blocks in another. The second takes small pandas frames only,
so the page can be made, and tested, without Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from habitue.report.reading import Tables

ENOUGH_CUSTOMERS = 30  # to name a group's share: of fewer, one customer alone moves it by more than 3 points

Frames = Mapping[str, pd.DataFrame]
Text = str | Markup  # a str is escaped on the page, Markup is not


@dataclass(frozen=True)
class Shop:
    """What every section may say of the shop and the snapshot. `currency` is a code, or None where none is named."""

    name: str
    currency: str | None
    as_of: date
    run_id: str
    code_version: str
    started_at: datetime


@dataclass(frozen=True)
class Paragraph:
    text: Text
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Heading:
    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Figure:
    """One key figure: what it is called, the figure, and a word on it."""

    label: str
    value: Text
    note: Text = ""


@dataclass(frozen=True)
class KeyFigures:
    figures: Sequence[Figure]
    kind: ClassVar[str] = "key_figures"


@dataclass(frozen=True)
class Grid:
    """A table of texts. `numeric` are the positions of columns that are set to the right; with a `summary` it is folded
    away below these words."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Text]]
    numeric: Sequence[int] = ()
    summary: str = ""
    kind: ClassVar[str] = "grid"


@dataclass(frozen=True)
class Chart:
    """A Plotly figure with its title, what to see in it, and its figures as tables for whoever cannot see it.

    `least_width` (pixels) makes a chart scroll sideways in its own frame where the page is narrower.
    """

    id: str
    title: str
    figure: go.Figure
    caption: Text = ""
    data: Grid | Sequence[Grid] | None = None
    least_width: int = 0
    kind: ClassVar[str] = "chart"

    @property
    def grids(self) -> Sequence[Grid]:
        if isinstance(self.data, Grid):
            return [self.data]
        return self.data or []


@dataclass(frozen=True)
class Row:
    """Charts side by side where there is room, below each other where there is not."""

    charts: Sequence[Chart]
    kind: ClassVar[str] = "row"


@dataclass(frozen=True)
class Panel:
    """A part of the page that the picker shows or hides."""

    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Picker:
    """Panels of which one is looked at at a time; all of them in print, and where scripts are off."""

    label: str
    panels: Sequence[Panel]
    kind: ClassVar[str] = "picker"


@dataclass(frozen=True)
class Definitions:
    terms: Mapping[str, Text]
    kind: ClassVar[str] = "definitions"


Block = Paragraph | Heading | KeyFigures | Grid | Chart | Row | Picker | Definitions


@dataclass(frozen=True)
class Section:
    """One section of the page.

    id: its anchor. needs: the tables without which there is nothing to say. read: their small, aggregated frames, by
    a name of the section's own. write: the blocks, from those frames.
    """

    id: str
    title: str
    needs: tuple[str, ...]
    read: Callable[[Tables], Frames]
    write: Callable[[Frames, Shop], Sequence[Block]]


@dataclass(frozen=True)
class Content:
    """What the tables said: the shop, the frames of every section that can be written, why the others cannot."""

    shop: Shop
    frames: Mapping[str, Frames]
    absent: Mapping[str, str] = field(default_factory=dict)
