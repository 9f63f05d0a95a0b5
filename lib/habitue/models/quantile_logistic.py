"""Logistic regression with an L2 penalty on quantile bins of each feature, and on the rank of each number.

Bins alone forget that they have an order: the rank gives the trend, the bins what departs from it.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from habitue.models.feature_encoding import Encoding, Floats, Ints

MAX_ITERATIONS = 200  # of L-BFGS, which mostly needs 30 to 80
RANK_SPREAD = 3.0  # ranks run from -1.5 to 1.5: the trend is penalised less than a bin


def fit(bins: Ints, encoding: Encoding, labels: Floats, penalty: float) -> list[Floats]:
    """What each bin of each feature adds to the log odds, an array a feature, and last the intercept.

    Minimises mean log loss + penalty / 2 x squared weights (the intercept is free).
    """
    counts, ranks = encoding.bin_counts, rank_table(encoding)
    starts = np.concatenate([[0], np.cumsum(counts)])
    columns = [np.ascontiguousarray(bins[:, i], dtype=np.int32) for i in range(len(counts))]
    rate = float(np.clip(labels.mean(), 1e-6, 1 - 1e-6))
    start = np.zeros(starts[-1] + len(ranks) + 1)
    start[-1] = np.log(rate / (1 - rate))

    def points(values: Floats) -> list[Floats]:
        own = [values[starts[i] : starts[i + 1]] for i in range(len(counts))]
        return [own[i] + values[starts[-1] + i] * table for i, table in enumerate(ranks)] + own[len(ranks) :]

    def loss(values: Floats) -> tuple[float, Floats]:
        margin = np.full(len(labels), values[-1])
        for column, table in zip(columns, points(values), strict=True):
            margin += table[column]
        off = (expit(margin) - labels) / len(labels)
        # No matrix of ones and noughts is made: what it would be multiplied by is added up bin by bin.
        of_bins = [np.bincount(column, off, count) for column, count in zip(columns, counts, strict=True)]
        of_ranks = [of_bins[i] @ table for i, table in enumerate(ranks)]
        weights = values[:-1]
        value = float((np.logaddexp(0, margin) - labels * margin).mean() + penalty / 2 * weights @ weights)
        return value, np.append(np.concatenate([*of_bins, of_ranks]) + penalty * weights, off.sum())

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS, "ftol": 1e-10})
    return [*points(found.x), np.array([found.x[-1]])]


def rank_table(encoding: Encoding) -> list[Floats]:
    """Of each number, the rank of each bin; 0 for missing."""
    tables = []
    for edges in encoding.edges:
        ranks = (np.arange(len(edges) + 1) / max(len(edges), 1) - 0.5) * RANK_SPREAD
        tables.append(np.append(ranks, 0.0))
    return tables
