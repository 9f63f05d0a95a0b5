"""What a source is: its columns by kind, and its key. One file per source declares one `SOURCE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# text: as written, trimmed. id: text that names something. time: an instant. day: a shop-local date.
# amount, quantity: decimals. flag: yes or no. number: a double.
Kind = Literal["text", "id", "time", "day", "amount", "quantity", "flag", "number"]


@dataclass(frozen=True)
class SourceField:
    """One of our columns of a source. A row without a value for a `required` field is quarantined."""

    name: str
    kind: Kind
    required: bool = False


@dataclass(frozen=True)
class Source:
    """A source as we want it.

    fields: the columns that we know; required ones must be mapped.
    key: what identifies a row; two rows with one key and other values are a conflict, of which the first is kept. Empty
        for sources of events, where only whole identical rows are the same.
    known_by: the time from which a row is known; empty: a row has none, and counts whatever the as-of.
    earliest_by: the time by which a row is the first of its key, so that later ones change nothing about it; empty: any
        order that depends on the rows alone.
    one_of: groups of fields of which at least one must be mapped.
    rules: (name of the error, SQL condition that a row in error meets), on the typed columns; required ones only.
    keeps_extra: whether columns that we do not know are kept as attributes.
    """

    name: str
    fields: tuple[SourceField, ...]
    key: tuple[str, ...] = ()
    known_by: str = ""
    earliest_by: str = ""
    one_of: tuple[tuple[str, ...], ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    keeps_extra: bool = False

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.fields]

    @property
    def required(self) -> list[str]:
        return [f.name for f in self.fields if f.required]
