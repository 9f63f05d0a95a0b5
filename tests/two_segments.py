"""A segmentation made by hand: two segments, told apart by the typical gap, with centres at 5 and at 45 days."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from habitue.models.bisecting_tree import BisectingTree
from habitue.models.scaling import FeatureScale, Scaling
from habitue.models.segmentation import Segmentation, SegmentCycle

SPREAD, WEIGHT = 0.5, 2.0


def two_segments(as_of: date, **changes: Any) -> Segmentation:
    """The model as fitted for `as_of`; ids 1 (5 days) and 2 (45 days)."""
    gap = FeatureScale("typical_gap_days", True, float(np.log1p(20)), 0.0, 10.0, SPREAD, WEIGHT)
    five, forty_five = (float(np.log1p(days)) * WEIGHT / SPREAD for days in (5, 45))
    tree = BisectingTree(
        centres=np.array([[(five + forty_five) / 2], [five], [forty_five]]),
        sizes=np.array([200, 120, 80]),
        costs=np.array([90.0, 10.0, 10.0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
    )
    values: dict[str, Any] = {
        "as_of": as_of,
        "trained_as_of": as_of,
        "fit_day": date(as_of.year - 1, 11, 1),
        "scaling": Scaling((gap,)),
        "tree": tree,
        "nodes": (1, 2),
        "ids": (1, 2),
        "cycles": (SegmentCycle(2, 3, 8, 12, (0.0, 0.5, 0.5)), SegmentCycle(30, 35, 60, 80, (0.0, 0.1, 0.9))),
        "last_id": 2,
        "silhouette": 0.5,
        "gain": 0.2,
        "gain_low": 0.1,
        "fitted_silhouette": 0.5,
        "fitted_gain": 0.2,
        "newest_fit_as_of": as_of,
        "chosen_count": 2,
        "segment_gains": ((0.2, 0.1, 0.3), (0.2, 0.1, 0.3)),
        "published_gain_low": 0.08,
        "summary": "2 segments: made by hand",
    }
    return Segmentation(**{**values, **changes})
