"""Ids that survive re-fits: matched by shared customers, one to one, and never given twice."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from small_models import two_segments

from habitue.models.segment_identity import assign_ids, match
from habitue.models.segmentation import Segmentation


def test_segments_keep_the_id_of_those_they_share_most_customers_with() -> None:
    """New segment 0 has 90 of old 7 and 5 of old 3; new 1 has 60 of old 3."""
    assert match(2, {(0, 7): 90, (0, 3): 5, (1, 3): 60}, last_id=9) == ((7, 3), 9)


def test_the_matching_is_the_best_for_all_not_the_greedy_one() -> None:
    """Greedy gives old 1 to new 0 (its 50 are the largest overlap), leaving new 1 with old 2, of which it has none:
    50 customers keep their id. The other way 45 + 40 = 85 do."""
    assert match(2, {(0, 1): 50, (0, 2): 45, (1, 1): 40}, last_id=2) == ((2, 1), 2)


def test_new_segments_get_ids_that_were_never_given() -> None:
    """Ids 1 to 6 were given at some time, though only 2 and 5 are in use."""
    ids, last = match(4, {(1, 5): 10, (2, 2): 20}, last_id=6)
    assert ids == (7, 5, 2, 8)
    assert last == 8


def test_an_old_id_has_one_successor_and_the_other_part_is_new() -> None:
    """Old 1 falls in two: the larger part keeps its id."""
    assert match(2, {(0, 1): 30, (1, 1): 70}, last_id=1) == ((2, 1), 2)


@pytest.mark.parametrize(("shared", "ids"), [(5, (1, 3)), (7, (1, 2))])
def test_what_is_left_over_is_a_new_segment(shared: int, ids: tuple[int, int]) -> None:
    """New 0 is old 1 with most of old 2. New 1 has 20 customers of old 1 and a few of old 2, which it would be left with:
    5 are a fifth of the 25 whom it has from anywhere, 7 are over a quarter of 27."""
    overlap = {(0, 1): 100, (0, 2): 60, (1, 1): 20, (1, 2): shared}
    assert match(2, overlap, last_id=2) == (ids, max(ids))


def test_segments_that_share_nobody_are_not_matched() -> None:
    assert match(2, {(0, 4): 10, (1, 4): 0}, last_id=4) == ((4, 5), 5)
    assert match(2, {}, last_id=4) == ((5, 6), 6)


def test_ids_from_a_frame_of_customers(spark: SparkSession) -> None:
    """Leaves 0 and 1 are one segment, leaf 2 the other. c and d were in segment 4, a in segment 1; e is new, x is gone."""
    customers = spark.createDataFrame(
        [("a", 0), ("b", 1), ("c", 2), ("d", 2), ("e", 2)], "customer_id string, leaf int"
    )
    cut = np.array([0, 0, 1])
    assert assign_ids(customers, cut, None, None) == ((1, 2), 2)
    earlier: Segmentation = two_segments(last_id=6)
    members = [("a", 1), ("c", 4), ("d", 4), ("x", 5)]
    before = spark.createDataFrame(members, "customer_id string, segment_id int")
    assert assign_ids(customers, cut, before, earlier) == ((1, 4), 6)
