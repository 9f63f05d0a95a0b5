"""Bringing features to one scale: logarithms, outliers pulled in, a robust spread, and a weight; never centred.

MLlib's bisecting k-means starts a split by noise in proportion to the centre's norm, so centred data would be divided badly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.stats import norm

# Shares and indices are on a scale already; everything else is a rate, an amount or a time, spread over decades.
WITHOUT_LOGARITHM = frozenset({"regularity", "discount_share", "weekend_share", "trend"})
NORMAL_QUARTILES = 1.349  # interquartile range of a standard normal
Floats = NDArray[np.float64]
DIGITS = 4  # of a value, before its percentile is taken: exact percentiles count distinct values, which are then few


@dataclass(frozen=True)
class FeatureScale:
    """How one feature is scaled: missing -> typical; then logged if it is, kept in [low, high], divided, weighted.

    typical, low, high: on the logged scale where the feature is logged. spread: robust standard deviation there.
    """

    name: str
    is_logged: bool
    typical: float
    low: float
    high: float
    spread: float
    weight: float

    def apply(self) -> Column:
        value = F.coalesce(_logged(self.name, self.is_logged), F.lit(self.typical))
        kept = F.least(F.greatest(value, F.lit(self.low)), F.lit(self.high))
        return kept * F.lit(self.weight / self.spread)


@dataclass(frozen=True)
class Scaling:
    """The scales of all features that tell customers apart."""

    features: tuple[FeatureScale, ...]

    @property
    def columns(self) -> list[str]:
        """Names of the scaled columns, in order."""
        return [f"scaled_{f.name}" for f in self.features]

    def apply(self, frame: DataFrame) -> DataFrame:
        """`frame` with the scaled columns: doubles without NULL."""
        scaled = zip(self.columns, self.features, strict=True)
        return frame.select("*", *(f.apply().alias(name) for name, f in scaled))

    def apply_numpy(self, values: Floats) -> Floats:
        """`apply` for an array (rows, features) in the order of `features`; NaN is missing."""
        scaled = np.empty(values.shape)
        for i, f in enumerate(self.features):
            logged = np.log1p(np.maximum(values[:, i], 0.0)) if f.is_logged else values[:, i]
            kept = np.clip(np.where(np.isnan(logged), f.typical, logged), f.low, f.high)
            scaled[:, i] = kept * (f.weight / f.spread)
        return scaled

    def undo(self, centre: Floats) -> list[float]:
        """A scaled point in the features' own units."""
        unscaled = [float(x) * f.spread / f.weight for x, f in zip(centre, self.features, strict=True)]
        return [float(np.expm1(x)) if f.is_logged else x for x, f in zip(unscaled, self.features, strict=True)]

    def to_rows(self) -> list[dict[str, Any]]:
        return [dict(vars(f)) for f in self.features]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> Scaling:
        return cls(tuple(FeatureScale(**row) for row in rows))


def learn_scaling(frame: DataFrame, weights: Mapping[str, float], winsor_share: float) -> Scaling:
    """The scales of the features named in `weights`, from one aggregation over `frame`.

    A feature that is NULL throughout, or the same for everybody, tells nobody apart and is left out.
    """
    shares = [winsor_share, 0.25, 0.5, 0.75, 1 - winsor_share]
    names = [name for name in weights if name in frame.columns]
    quantiles = frame.agg(
        *(
            # Exact, for an approximate percentile depends on the order in which the rows come.
            F.percentile(F.round(_logged(name, name not in WITHOUT_LOGARITHM), DIGITS), shares).alias(name)
            for name in names
        )
    ).collect()[0]
    found = []
    for name in names:
        if quantiles[name] is None:
            continue
        low, first, middle, third, high = quantiles[name]
        # Where most customers have one value the quartiles meet; the winsorised range then gives the spread.
        spread = max((third - first) / NORMAL_QUARTILES, (high - low) / _normal_range(winsor_share))
        if spread > 0:
            logged = name not in WITHOUT_LOGARITHM
            found.append(FeatureScale(name, logged, middle, low, high, spread, float(weights[name])))
    return Scaling(tuple(found))


def _normal_range(winsor_share: float) -> float:
    """Standard deviations of a normal between the winsorising quantiles; six where nothing is pulled in."""
    return float(2 * norm.ppf(1 - winsor_share)) if winsor_share > 0 else 6.0


def _logged(name: str, is_logged: bool) -> Column:
    value = F.col(name).cast("double")
    # Not F.greatest, which takes a missing value for the other one.
    return F.log1p(F.when(value < 0, 0.0).otherwise(value)) if is_logged else value
