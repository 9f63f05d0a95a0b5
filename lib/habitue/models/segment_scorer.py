"""Who belongs where by the stored document alone, without Spark's session: what a model server loads.

A run never scores by this: `segmentation.place` also moves customers whose rhythm speaks for the neighbouring segment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from habitue.models.segmentation import Segmentation


class SegmentScorer:
    """Scores rows of features with the tree of a segmentation."""

    def __init__(self, model: Segmentation):
        self.model = model

    def predict(self, features: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.Series[int]:
        """segment_id of each row: the segment whose part of the tree it falls into.

        features: the columns of `customer_features` that divide the customers, in their own units; NULL where unknown.
        params: what model servers hand over; none is known.
        """
        model = self.model
        values = features[model.inputs].to_numpy(dtype=np.float64)
        leaves = model.tree.assign_numpy(model.scaling.apply_numpy(values))
        ids = np.array(model.ids, dtype=np.int32)[model.cut[leaves]]
        scored: pd.Series[int] = pd.Series(ids, index=features.index, name="segment_id")
        return scored


def _load_pyfunc(path: str) -> SegmentScorer:
    """What MLflow calls with the folder that holds the document."""
    return SegmentScorer(Segmentation.from_json((Path(path) / "document.json").read_text(encoding="utf-8")))
