"""Whether a group's purchase cycle represents its members, and whether it may time a message by date.

The two questions differ. Memoryless buyers who share one rate are well represented by their cycle, which then tells how
often they come; it does not tell when the next purchase is due. Only a regular group's cycle does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from habitue.models.purchase_cycle import PurchaseCycles

Verdict = Literal["insufficient", "representative", "mixed", "irregular"]


@dataclass(frozen=True)
class VerdictThresholds:
    """least_two_gap_members: members with >= 2 gaps, below which nothing is said. The others are lowest values:
    member_agreement (a share of members) and return_probability for `representative`, interval_icc (a share of
    variance) for `mixed`, concentration (R) for regular.
    """

    least_two_gap_members: int
    member_agreement: float
    return_probability: float
    interval_icc: float
    concentration: float


def verdict(
    *,
    two_gap_members: float,
    member_agreement: float,
    return_probability: float,
    interval_icc: float,
    has_gain: bool,
    thresholds: VerdictThresholds,
) -> Verdict:
    """One group's verdict. has_gain: as `supported` says. A NaN reaches no threshold."""
    if two_gap_members < thresholds.least_two_gap_members:
        return "insufficient"
    members_agree = member_agreement >= thresholds.member_agreement
    members_return = return_probability >= thresholds.return_probability
    if has_gain and members_agree and members_return:
        return "representative"
    return "mixed" if interval_icc >= thresholds.interval_icc else "irregular"


def supported(gain_low: float, segment_gain_high: Sequence[float]) -> list[bool]:
    """Of each segment of a segmentation, whether the held-out gaps speak for its cycle.

    gain_low: lower bound of the segmentation's gain, which must be above 0. segment_gain_high: upper bound of each segment's
    own, which must be at least 0. Neither is asked of a single segment, which has nothing to gain on itself.
    """
    if len(segment_gain_high) == 1:
        return [True]
    return [bool(gain_low > 0 and high >= 0) for high in segment_gain_high]


def verdicts(cycles: PurchaseCycles, has_gain: Sequence[bool], thresholds: VerdictThresholds) -> list[Verdict]:
    """The verdict of each group in `has_gain`; cycles: figures of shape (groups,) in the same order, or of more groups."""
    return [
        verdict(
            two_gap_members=float(cycles.two_gap_members[segment]),
            member_agreement=float(cycles.member_agreement[segment]),
            return_probability=float(cycles.return_probability[segment]),
            interval_icc=float(cycles.interval_icc[segment]),
            has_gain=gains,
            thresholds=thresholds,
        )
        for segment, gains in enumerate(has_gain)
    ]


def is_regular(concentration: float, concentration_low: float, thresholds: VerdictThresholds) -> bool:
    """Whether messages may be timed by date: R reaches its threshold with a lower bound above 0. A NaN does not."""
    return bool(concentration >= thresholds.concentration and concentration_low > 0)
