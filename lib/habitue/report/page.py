"""Assembling the page from plain content: no Spark, no files but the package's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from habitue.report import wording
from habitue.report.charts import as_json
from habitue.report.parts import Block, Content
from habitue.report.sections import SECTIONS


@dataclass(frozen=True)
class _Written:
    """A section as the template takes it: its blocks, or the sentence that says why there are none."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    absent: str | None = None


def page(content: Content) -> str:
    """The whole report as one HTML document, with its script and style inside."""
    sections = [
        _Written(s.id, s.title, tuple(s.write(content.frames[s.id], content.shop)))
        if s.id in content.frames
        else _Written(s.id, s.title, absent=content.absent[s.id])
        for s in SECTIONS
    ]
    # Trusted text of the package's own goes in unescaped; every string of the data is escaped.
    template = _environment().from_string(_package_file("page.html"))
    text = template.render(
        shop=content.shop,
        sections=sections,
        style=Markup(_package_file("style.css")),
        script=Markup(_package_file("page.js")),
        plotly=Markup(get_plotlyjs()),
    )
    return text.lstrip()  # the macros leave empty lines before the doctype


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Any] = {"as_json": lambda figure: Markup(as_json(figure)), "day": wording.day}
    environment.filters.update(filters)
    return environment


def _package_file(name: str) -> str:
    # Not by path: the package may be read from a zip.
    return resources.files("habitue.report").joinpath(name).read_text(encoding="utf-8")
