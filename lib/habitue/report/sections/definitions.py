"""How each number is defined: the glossary."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from habitue.report.glossary import glossary
from habitue.report.parts import Block, Definitions, Frames, Section, Shop
from habitue.report.reading import Tables


def read(tables: Tables) -> Frames:
    return {}


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    return [Definitions({term: _marked(definition) for term, definition in glossary().items()})]


def _marked(definition: str) -> Markup:
    """`names of columns`, as Markdown has them, as code."""
    parts = definition.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


SECTION = Section(id="definitions", title="How each number is defined", needs=(), read=read, write=write)
