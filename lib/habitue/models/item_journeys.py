"""Which items follow which more often than their popularity explains: the decision, from counted pairs.

The null: at each step, the next item is drawn by its popularity there, whatever came before. It holds within a segment
and step, so the expected share of an item is its share among all customers of the segment who took that step.
"""

from __future__ import annotations

import pandas as pd

from habitue.models.multiple_testing import benjamini_hochberg, popularity_p_values

STEP = ["segment_id", "step"]


def judge_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """`pairs` with from_customers, share, expected_share, lift, p_value, p_value_adjusted.

    pairs: one row per segment_id, step, from_item, to_item that somebody took, with customers. All pairs of an item at
    a step and an item at the next count as tests, those that nobody took too: which pairs are tested must not depend
    on how often they were taken, or the adjustment would promise too much.
    """
    sizes = pairs.groupby(STEP)["customers"].transform("sum")
    came_from = pairs.groupby([*STEP, "from_item"])["customers"].transform("sum")
    went_to = pairs.groupby([*STEP, "to_item"])["customers"].transform("sum")
    expected = went_to / sizes
    share = pairs["customers"] / came_from
    p_values = popularity_p_values(pairs["customers"], came_from, expected)
    judged: pd.DataFrame = pairs.assign(
        from_customers=came_from,
        share=share,
        expected_share=expected,
        lift=share / expected,
        p_value=p_values,
        p_value_adjusted=benjamini_hochberg(p_values, tests_of(pairs)),
    )
    return judged


def tests_of(pairs: pd.DataFrame) -> int:
    """Items at each step times items at the next, over all segments and steps."""
    items = pairs.groupby(STEP)[["from_item", "to_item"]].nunique()
    return int((items["from_item"] * items["to_item"]).sum())
