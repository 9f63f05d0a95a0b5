"""How far two groups are apart in one figure, comparable between figures of any unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


class Moments(NamedTuple):
    """Customers, mean and sample variance of one group, arrays of one shape."""

    customers: ArrayLike
    mean: ArrayLike
    variance: ArrayLike


class Difference(NamedTuple):
    """In standard deviations, with its 95 % interval; NaN where a group has fewer than two, or neither varies."""

    value: Floats
    low: Floats
    high: Floats


def standardised_difference(group: Moments, other: Moments) -> Difference:
    """d = (m1 - m0) / sqrt((v1 + v0) / 2) (Austin, Statistics in Medicine 28, 2009, 3083-3107).

    Its variance is (n1 + n0) / (n1 n0) + d^2 / (2 (n1 + n0)) (Hedges & Olkin 1985; Yang & Dalton, SAS Global Forum 2012).
    A share is the mean of a figure that is 0 or 1.
    """
    n1, m1, v1 = (np.asarray(x, dtype=float) for x in group)
    n0, m0, v0 = (np.asarray(x, dtype=float) for x in other)
    spread = np.sqrt((v1 + v0) / 2)
    known = (n1 >= 2) & (n0 >= 2) & (spread > 0)
    d = np.divide(m1 - m0, spread, out=np.full(np.shape(spread), np.nan), where=known)
    customers, product = n1 + n0, np.where(known, n1 * n0, 1.0)
    error = np.sqrt(customers / product + d**2 / (2 * np.maximum(customers, 1)))
    return Difference(d, d - NORMAL_95 * error, d + NORMAL_95 * error)
