"""Logistic regression with an L2 penalty on quantile bins of each feature, and on the rank of each number.

Bins alone forget that they have an order: the rank gives the trend, the bins what departs from it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array, hstack
from scipy.special import expit

from habitue.models.feature_encoding import Encoding, Floats, Ints

MAX_ITERATIONS = 200  # of L-BFGS, which mostly needs 30 to 80
RANK_SPREAD = 3.0  # ranks run from -1.5 to 1.5: the trend is penalised less than a bin


def fit(bins: Ints, encoding: Encoding, labels: Floats, penalty: float) -> list[Floats]:
    """What each bin of each feature adds to the log odds, an array a feature, and last the intercept.

    Minimises mean log loss + penalty / 2 x squared weights (the intercept is free).
    """
    counts = encoding.bin_counts
    starts = np.concatenate([[0], np.cumsum(counts)])
    ranks = rank_table(encoding)
    design = _design(bins, starts, ranks)
    rate = float(np.clip(labels.mean(), 1e-6, 1 - 1e-6))
    start = np.zeros(design.shape[1] + 1)
    start[-1] = np.log(rate / (1 - rate))

    def loss(values: Floats) -> tuple[float, Floats]:
        weights, margin = values[:-1], design @ values[:-1] + values[-1]
        off = (expit(margin) - labels) / len(labels)
        value = float((np.logaddexp(0, margin) - labels * margin).mean() + penalty / 2 * weights @ weights)
        return value, np.concatenate([design.T @ off + penalty * weights, [off.sum()]])

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS, "ftol": 1e-10})
    weights = found.x[:-1]
    onehot, trend = weights[: starts[-1]], weights[starts[-1] :]
    points = [onehot[starts[i] : starts[i + 1]] for i in range(len(counts))]
    for i, table in enumerate(ranks):
        points[i] = points[i] + trend[i] * table
    return [*points, np.array([found.x[-1]])]


def rank_table(encoding: Encoding) -> list[Floats]:
    """Of each number, the rank of each bin; 0 for missing."""
    tables = []
    for edges in encoding.edges:
        ranks = (np.arange(len(edges) + 1) / max(len(edges), 1) - 0.5) * RANK_SPREAD
        tables.append(np.append(ranks, 0.0))
    return tables


def _design(bins: Ints, starts: NDArray[Any], ranks: list[Floats]) -> csr_array:
    rows, features = bins.shape
    columns = (bins + starts[:-1]).ravel()
    onehot = csr_array(
        (np.ones(rows * features), columns, np.arange(rows + 1) * features), shape=(rows, int(starts[-1]))
    )
    if not ranks:
        return onehot
    trend = np.column_stack([table[bins[:, i]] for i, table in enumerate(ranks)])
    return csr_array(hstack([onehot, csr_array(trend)], format="csr"))
