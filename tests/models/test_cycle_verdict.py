import math

import pytest
from purchase_simulation import additive_sums, gamma_gaps, held_out_gaps, simulate

from habitue.models.cycle_verdict import VerdictThresholds, is_regular, supported, verdict, verdicts
from habitue.models.held_out_gain import held_out_gains
from habitue.models.purchase_cycle import cycle_limit, purchase_cycles

SPAN, START = 365, 219
THRESHOLDS = VerdictThresholds(
    least_two_gap_members=100, member_agreement=0.6, return_probability=0.5, interval_icc=0.4, concentration=0.18
)
GOOD = {
    "two_gap_members": 100,
    "member_agreement": 0.6,
    "return_probability": 0.5,
    "interval_icc": 0.1,
    "has_gain": True,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "representative"),
        ({"two_gap_members": 99}, "insufficient"),
        ({"member_agreement": 0.59}, "irregular"),
        ({"member_agreement": 0.59, "interval_icc": 0.4}, "mixed"),
        ({"return_probability": 0.49}, "irregular"),
        ({"has_gain": False}, "irregular"),
        ({"has_gain": False, "interval_icc": 0.4}, "mixed"),
        ({"interval_icc": 0.9}, "representative"),
        ({"member_agreement": math.nan, "interval_icc": math.nan}, "irregular"),
    ],
)
def test_each_condition_decides(change, expected):
    assert verdict(**{**GOOD, **change}, thresholds=THRESHOLDS) == expected


@pytest.mark.parametrize(
    ("concentration", "low", "expected"),
    [(0.18, 0.001, True), (0.179, 0.1, False), (0.3, 0.0, False), (math.nan, math.nan, False), (0.3, math.nan, False)],
)
def test_regular_needs_the_value_and_its_bound(concentration, low, expected):
    assert is_regular(concentration, low, THRESHOLDS) is expected


@pytest.mark.parametrize(
    ("gain_low", "highs", "expected"),
    [
        (0.01, [0.2, 0.0, -0.01], [True, True, False]),
        (0.0, [0.2, 0.3], [False, False]),
        (math.nan, [0.2, 0.3], [False, False]),
        (0.01, [math.nan, 0.3], [False, True]),  # nobody of the first segment was judged
        (-0.5, [-0.1], [True]),  # one segment has nothing to gain on itself
    ],
)
def test_held_out_gaps_speak_for_a_cycle_by_the_bounds_of_two_gains(gain_low, highs, expected):
    assert supported(gain_low, highs) == expected


def shop(rhythms, segments, seed=1):
    """Cycles as of the end, the gain since START, and the verdicts of `segments`."""
    bought = simulate(seed, rhythms, SPAN)
    gap_weights, member_sums = additive_sums(bought, SPAN)
    cycles = purchase_cycles(gap_weights.by_segment(segments), member_sums.by_segment(segments), cycle_limit(SPAN))
    learned, _ = additive_sums(bought, START, SPAN)
    held_out = held_out_gaps(bought, START, SPAN)
    (gain,) = held_out_gains(learned.total(axis=1), held_out, [segments], draws=400, seed=1)
    return cycles, gain, verdicts(cycles, supported(gain.gain_low, gain.segment_gain_high), THRESHOLDS)


def regular(cycles) -> list[bool]:
    pairs = zip(cycles.concentration, cycles.concentration_low, strict=True)
    return [is_regular(concentration, low, THRESHOLDS) for concentration, low in pairs]


@pytest.mark.parametrize("median", [2, 7, 30, 90])
def test_poisson_buyers_are_not_regular(median):
    cycles, _, found = shop([(1000, gamma_gaps(1, median))], [(0,)])
    assert found == ["representative"]
    assert regular(cycles) == [False]


def test_regular_buyers_are_regular():
    cycles, _, found = shop([(1000, gamma_gaps(8, 30))], [(0,)])
    assert (found, regular(cycles)) == (["representative"], [True])


def test_two_poisson_rates_are_told_apart_as_representative_but_not_regular():
    rhythms = [(1000, gamma_gaps(1, 7)), (1000, gamma_gaps(1, 40))]
    _, _, together = shop(rhythms, [(0, 1)])
    assert together != ["representative"]
    cycles, gain, apart = shop(rhythms, [(0,), (1,)])
    assert gain.gain_low > 0
    assert (cycles.member_agreement >= 0.6).all()
    assert apart == ["representative", "representative"]
    assert regular(cycles) == [False, False]


def test_two_rhythms_in_one_group_are_mixed_until_they_are_split():
    rhythms = [(800, gamma_gaps(8, 14)), (800, gamma_gaps(8, 60))]
    cycles, _, together = shop(rhythms, [(0, 1)])
    assert (together, regular(cycles)) == (["mixed"], [False])
    cycles, _, apart = shop(rhythms, [(0,), (1,)])
    assert (apart, regular(cycles)) == (["representative", "representative"], [True, True])


def test_a_small_group_is_insufficient_and_a_split_that_gains_nothing_represents_nobody():
    _, _, small = shop([(1000, gamma_gaps(8, 14)), (60, gamma_gaps(8, 60))], [(0,), (1,)])
    assert small == ["representative", "insufficient"]
    cycles, gain, found = shop([(800, gamma_gaps(4, 20)), (800, gamma_gaps(4, 60))], [(0,), (1,)])
    assert found == ["representative", "representative"]
    assert verdicts(cycles, supported(0.0, gain.segment_gain_high), THRESHOLDS) == ["irregular", "irregular"]
    worse = supported(gain.gain_low, [-0.01, 0.2])
    assert verdicts(cycles, worse, THRESHOLDS) == ["irregular", "representative"]
