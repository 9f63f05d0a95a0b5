"""Many tests at once: p-values against popularity, and their adjustment for how many there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]


def popularity_p_values(took: ArrayLike, came_from: ArrayLike, popularity: ArrayLike) -> Floats:
    """Chance that at least `took` of `came_from` customers go to an item that each takes with chance `popularity`.

    Exact binomial upper tail; arrays of one shape (or broadcast), `popularity` 0-1.
    """
    return np.asarray(stats.binom.sf(np.asarray(took) - 1, np.asarray(came_from), np.asarray(popularity)), dtype=float)


def benjamini_hochberg(p_values: ArrayLike, tests: int | None = None) -> Floats:
    """Adjusted p-values, shape (n,): rejecting those up to q keeps the expected share of false ones at q.

    Benjamini & Hochberg, J. R. Stat. Soc. B 57 (1995). `tests` is the number of tests made, where those not given are
    known to have p = 1 (pairs that nobody took); at least n, and n by default.
    """
    p = np.asarray(p_values, dtype=float)
    count = len(p) if tests is None else tests
    if count < len(p):
        raise ValueError(f"{len(p)} p-values are given, but only {count} tests were made.")
    order = np.argsort(p, kind="stable")
    scaled = p[order] * count / np.arange(1, len(p) + 1)
    adjusted = np.empty_like(p)
    # p m / m may be rounded to a digit less than p.
    adjusted[order] = np.maximum(np.minimum.accumulate(scaled[::-1])[::-1].clip(0, 1), p[order])
    return adjusted
