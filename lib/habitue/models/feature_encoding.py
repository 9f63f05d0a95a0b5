"""Features as numbers, learned once and applied the same way to train and to score: numpy alone, so executors need nothing else.

Trees get each number with the median where it is missing, a flag where it sometimes is, and the place of each text among
the usual ones. The regression gets a bin of each, missing being a bin of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.object_]

MOST_VALUES = 20  # of a text feature, the most frequent ones; the others share a place
FEWEST_OF_VALUE = 20  # rows: a rarer value says nothing of a rate


@dataclass(frozen=True, eq=False)
class Encoding:
    """medians: (numbers,), 0 where nobody has the number. flagged: positions of the numbers that are sometimes missing.

    edges: of each number, rising; bin i holds what is above i of them. values: of each text, the usual ones.
    """

    medians: Floats
    flagged: Ints
    edges: tuple[Floats, ...]
    values: tuple[tuple[str, ...], ...]

    @property
    def bin_counts(self) -> tuple[int, ...]:
        """Bins of each number, then of each text, with the one for missing or unusual."""
        return (*(len(edges) + 2 for edges in self.edges), *(len(values) + 1 for values in self.values))

    def dense(self, numbers: Floats, texts: Texts) -> Floats:
        """(rows, numbers + flags + texts), for trees."""
        missing = np.isnan(numbers)
        filled = np.where(missing, self.medians, numbers)
        places = self._places(texts).astype(np.float64)
        return np.hstack([filled, missing[:, self.flagged].astype(np.float64), places])

    def bins(self, numbers: Floats, texts: Texts) -> Ints:
        """(rows, numbers + texts): the bin of each; of a missing number or an unusual text the last one."""
        found = np.empty((len(numbers), len(self.edges)), dtype=np.int64)
        for i, edges in enumerate(self.edges):
            column = numbers[:, i]
            found[:, i] = np.where(np.isnan(column), len(edges) + 1, np.searchsorted(edges, column, side="left"))
        return np.hstack([found, self._places(texts)])

    def _places(self, texts: Texts) -> Ints:
        columns = []
        for i, values in enumerate(self.values):
            place = {value: j for j, value in enumerate(values)}
            columns.append([place.get(text, len(values)) for text in texts[:, i]])
        places: Ints = np.array(columns, dtype=np.int64).reshape(len(self.values), len(texts)).T
        return places

    def to_dict(self) -> dict[str, Any]:
        return {
            "medians": self.medians.tolist(),
            "flagged": self.flagged.tolist(),
            "edges": [edges.tolist() for edges in self.edges],
            "values": [list(values) for values in self.values],
        }

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Encoding:
        return cls(
            np.array(given["medians"], dtype=np.float64),
            np.array(given["flagged"], dtype=np.int64),
            tuple(np.array(edges, dtype=np.float64) for edges in given["edges"]),
            tuple(tuple(values) for values in given["values"]),
        )


def learn(numbers: Floats, texts: Texts, bins: int) -> Encoding:
    """From the rows to train on: numbers (rows, numbers) with NaN where missing, texts (rows, texts) with None."""
    missing = np.isnan(numbers)
    share = missing.mean(axis=0) if len(numbers) else np.ones(numbers.shape[1])
    medians, edges = [], []
    steps = np.linspace(0, 1, bins + 1)[1:-1]
    for i in range(numbers.shape[1]):
        known = numbers[~missing[:, i], i]
        medians.append(float(np.median(known)) if len(known) else 0.0)
        edges.append(np.unique(np.quantile(known, steps)) if len(known) else np.empty(0))
    usual = tuple(_usual(texts[:, i]) for i in range(texts.shape[1]))
    return Encoding(np.array(medians), np.flatnonzero((share > 0) & (share < 1)), tuple(edges), usual)


def _usual(column: Sequence[Any] | Texts) -> tuple[str, ...]:
    """The most frequent texts, ties in their own order."""
    known = np.array([text for text in column if text is not None], dtype=object)
    values, counts = np.unique(known.astype(str), return_counts=True) if len(known) else (np.array([]), np.array([]))
    ranked = sorted((-count, value) for value, count in zip(values, counts, strict=True) if count >= FEWEST_OF_VALUE)
    return tuple(str(value) for _, value in ranked[:MOST_VALUES])


def matrix(rows: Any, dtype: Any) -> NDArray[Any]:
    """(rows, values): a series of arrays, as Spark hands them over, as one array."""
    found = np.empty((len(rows), len(rows.iloc[0])), dtype=dtype)
    for i, values in enumerate(rows):
        found[i] = values
    return found
