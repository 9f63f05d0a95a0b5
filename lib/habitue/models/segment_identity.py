"""Keeping a segment's id from snapshot to snapshot: new segments are matched to earlier ones by the members they share."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.optimize import linear_sum_assignment

from habitue.models.bisecting_tree import Ints
from habitue.models.segmentation import Segmentation

LEAST_SHARED = 0.25  # of the smaller of two segments: with fewer customers in common one does not go on as the other


def assign_ids(
    customers: DataFrame, cut: Ints, earlier_members: DataFrame | None, earlier: Segmentation | None
) -> tuple[tuple[int, ...], int]:
    """An id for each segment of the cut, and the largest id ever given.

    customers: customer_id, leaf. earlier_members: customer_id, segment_id of the newest earlier snapshot. Segments are matched
    one to one so that as many customers as possible keep their id (Hungarian method); the others get new ids.
    """
    count = int(cut.max()) + 1
    if earlier_members is None or earlier is None:
        return tuple(range(1, count + 1)), count
    segment_of_leaf = F.array(*(F.lit(int(s)) for s in cut))
    placed = customers.select("customer_id", F.element_at(segment_of_leaf, F.col("leaf") + 1).alias("segment"))
    shared = (
        placed.join(earlier_members.select("customer_id", "segment_id"), "customer_id", "inner")
        .groupBy("segment", "segment_id")
        .count()
        .collect()
    )
    overlap = {(row["segment"], row["segment_id"]): row["count"] for row in shared}
    return match(count, overlap, earlier.last_id)


def match(count: int, overlap: dict[tuple[int, int], int], last_id: int) -> tuple[tuple[int, ...], int]:
    """Ids for `count` segments from the customers shared by (segment, earlier id); new ids go on from `last_id`.

    What is left over after the others were matched shares a few customers with almost any segment, and must not get its name.
    """
    earlier_ids = sorted({earlier for _, earlier in overlap})
    table = np.array([[overlap.get((s, e), 0) for e in earlier_ids] for s in range(count)]).reshape(count, -1)
    smaller = np.minimum(table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True))
    table = np.where(table >= LEAST_SHARED * smaller, table, 0)
    rows, columns = linear_sum_assignment(table, maximize=True)
    matched = {int(r): earlier_ids[c] for r, c in zip(rows, columns, strict=True) if table[r, c] > 0}
    ids = []
    for segment in range(count):
        if segment not in matched:
            last_id += 1
        ids.append(matched.get(segment, last_id))
    return tuple(ids), last_id
