"""A segmentation small enough to work out by hand: one feature, two segments, two rhythms."""

from __future__ import annotations

from datetime import date

import numpy as np

from habitue.models.bisecting_tree import BisectingTree
from habitue.models.scaling import FeatureScale, Scaling
from habitue.models.segmentation import Segmentation, SegmentCycle

LONGEST = 60  # days that the cycles' densities tell of


def cycle(middle: int, p1: float, p10: float, p90: float, p99: float) -> SegmentCycle:
    """Every gap of `middle` days; the quantiles as given."""
    return SegmentCycle(p1, p10, p90, p99, tuple(1.0 if day == middle else 0.0 for day in range(LONGEST + 1)))


def two_segments(last_id: int = 9, **changes: object) -> Segmentation:
    """Segment 4 lies widely around 0 and has gaps of 7 days; segment 9 lies at 10 and has gaps of 30. The border is at 5.

    The feature is `trend`, as it is: scaling changes nothing between -1000 and 1000.
    """
    scale = FeatureScale("trend", is_logged=False, typical=0.0, low=-1000.0, high=1000.0, spread=1.0, weight=1.0)
    tree = BisectingTree(
        centres=np.array([[5.0], [0.0], [10.0]]),
        sizes=np.array([20, 10, 10]),
        costs=np.array([611.0, 110.0, 1.0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
    )
    values = {
        "as_of": date(2024, 2, 1),
        "trained_as_of": date(2024, 1, 1),
        "fit_day": date(2023, 10, 1),
        "scaling": Scaling((scale,)),
        "tree": tree,
        "nodes": (1, 2),
        "ids": (4, 9),
        "cycles": (cycle(7, 2, 5, 9, 12), cycle(30, 20, 25, 35, 40)),
        "last_id": last_id,
        "silhouette": 0.5,
        "gain": 0.1,
        "gain_low": 0.05,
        "fitted_silhouette": 0.6,
        "fitted_gain": 0.12,
        "newest_fit_as_of": date(2024, 1, 1),
        "chosen_count": 2,
        "segment_gains": ((0.1, 0.0, 0.2), (0.2, 0.1, 0.3)),
        "published_gain_low": 0.04,
        "summary": "2 segments: so it is",
        "decisions": ("kept node 1: mixed",),
    }
    return Segmentation(**{**values, **changes})  # type: ignore[arg-type]
