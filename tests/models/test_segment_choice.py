"""How many segments: the gates, the fewest within chance of the best gain, the fallbacks, and the splits of mixed segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from habitue.models.held_out_gain import CandidateGain
from habitue.models.segment_choice import NO_COMMON_CYCLE, UNDIVIDED, Candidate, Gates, choose, refine, tolerance

GATES = Gates(smallest_share=0.05, min_stability=0.75, min_jaccard=0.6, min_gain=0.01)
HALF = np.array([-1.0, 1.0] * 50)  # 100 resamples, half of them below and half above


def a_gain(value: float, spread: float = 0.002, low: float | None = None) -> CandidateGain:
    """A gain of `value` whose resamples lie `spread` below and above it; its interval starts at `low`, else there."""
    none, nothing = np.zeros(0), float("nan")
    return CandidateGain(
        segments=(),
        customers=100,
        cycle_days=none,
        error=nothing,
        shop_error=nothing,
        gain=value,
        gain_low=value - spread if low is None else low,
        gain_high=value + spread,
        gain_draws=value + spread * HALF,
        slope=nothing,
        share_within=nothing,
        segment_customers=none,
        segment_gain=none,
        segment_gain_low=none,
        segment_gain_high=none,
        segment_share_within=none,
    )


def candidate(count: int, gain: CandidateGain, silhouette: float = 0.4, **figures: float) -> Candidate:
    """One that passes every gate, but for `figures`."""
    passing = {"silhouette_null": 0.3, "smallest_share": 0.2, "stability": 0.9, "lowest_jaccard": 0.8}
    return Candidate(segment_count=count, silhouette=silhouette, gain=gain, **{**passing, **figures})


def one_segment() -> Candidate:
    nan = float("nan")
    return candidate(1, a_gain(0.0, 0.0), nan, silhouette_null=nan, smallest_share=1.0, stability=1.0, lowest_jaccard=1)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"smallest_share": 0.049}, "smallest segment has 4.9 % of the customers, under 5.0 %"),
        ({"stability": 0.74}, "refits agree only 0.740, under 0.75"),
        ({"lowest_jaccard": 0.59}, "found again only 0.590, under 0.6"),
        ({"stability": float("nan")}, "refits agree only nan"),
    ],
)
def test_each_gate_refuses_in_words(figures: dict[str, float], said: str) -> None:
    good = candidate(3, a_gain(0.1))
    assert good.refusals(GATES) == []
    (refusal,) = replace(good, **figures).refusals(GATES)
    assert said in refusal
    choice = choose([one_segment(), replace(good, **figures)], GATES)
    assert choice.segment_count == 1
    assert choice.reasons[1].startswith("not eligible: ") and said in choice.reasons[1]


def test_structure_is_shown_by_the_silhouette_or_by_the_gain() -> None:
    """Twins reach .3: a silhouette of .31 passes without a gain, and one of .29 only with a gain above 0 for certain."""
    no_gain, gain = a_gain(0.02, low=-0.01), a_gain(0.02, low=0.001)
    assert candidate(3, no_gain, 0.31).refusals(GATES) == []
    assert candidate(3, gain, 0.29).refusals(GATES) == []
    (refusal,) = candidate(3, no_gain, 0.29).refusals(GATES)
    assert "0.29 is within reach of structureless customers (0.30)" in refusal


def test_every_refusal_is_told() -> None:
    bad = candidate(3, a_gain(0.1, low=-0.1), 0.1, smallest_share=0.01, stability=0.1, lowest_jaccard=0.1)
    assert len(bad.refusals(GATES)) == 4


def test_the_fewest_within_chance_of_the_best_gain() -> None:
    """The best is .12 with 6. Resamples of all swing by +-.002 together, so differences have no error of their own and
    min_gain, 1 point, is the tolerance: .111 with 4 is near enough, .105 with 3 is not."""
    counts = {2: 0.05, 3: 0.105, 4: 0.111, 5: 0.115, 6: 0.12, 7: 0.119}
    candidates = [one_segment(), *(candidate(count, a_gain(gain)) for count, gain in counts.items())]
    choice = choose(candidates, GATES)
    assert choice.segment_count == 4
    assert choice.best_gain.segment_count == 6
    reasons = dict(zip([1, *counts], choice.reasons, strict=True))
    assert reasons[4] == (
        "chosen: the fewest whose cycles gain as much as the best, but for chance: 11.1 % on customers held out, "
        "against 12.0 % of 6 segments"
    )
    assert reasons[3] == "gains 10.5 %: 1.5 points less than the best, where 1.0 points would not count"
    assert reasons[7] == "gains 11.9 %: no reason for more segments than 4"
    assert choice.summary.startswith("4 segments: the fewest")


def test_the_tolerance_is_the_error_of_the_paired_difference() -> None:
    """Gains that swing together differ by a constant, whatever their own errors; those that swing apart do not.

    The best swings by +-.03. One that does likewise has no error of the difference. One whose resamples do not move
    has differences of +-.03, and their standard deviation over 100 resamples is .03 * sqrt(100 / 99) = .030151.
    """
    best, alike, still = a_gain(0.12, 0.03), a_gain(0.10, 0.03), a_gain(0.10, 0.0)
    assert tolerance(candidate(2, alike), candidate(5, best), GATES) == pytest.approx(0.01)
    assert tolerance(candidate(2, still), candidate(5, best), GATES) == pytest.approx(0.0301511, abs=1e-6)
    chosen = [choose([one_segment(), candidate(2, g), candidate(5, best)], GATES).segment_count for g in (alike, still)]
    assert chosen == [5, 2]


def test_an_ineligible_candidate_is_neither_chosen_nor_the_best() -> None:
    candidates = [one_segment(), candidate(2, a_gain(0.05)), candidate(6, a_gain(0.3), stability=0.5)]
    choice = choose(candidates, GATES)
    assert choice.segment_count == 2
    assert choice.best_gain.segment_count == 2
    assert choice.reasons[1] == "chosen: their cycles gain the most, 5.0 % on customers held out"


@pytest.mark.parametrize(
    "gain", [a_gain(0.05, low=-0.001), a_gain(0.009, low=0.001), a_gain(-0.07), a_gain(float("nan"))]
)
def test_without_a_gain_the_silhouette_decides_and_it_is_said(gain: CandidateGain) -> None:
    """No lower bound above 0, or a gain under 1 %, or none at all."""
    candidates = [one_segment(), candidate(2, gain, 0.5), candidate(3, gain, 0.6), candidate(4, gain, 0.55)]
    choice = choose(candidates, GATES)
    assert choice.segment_count == 3
    assert choice.summary == f"3 segments: {NO_COMMON_CYCLE}; silhouette 0.60 is the best"
    assert "no common cycle" in choice.reasons[2]
    assert choice.reasons[1] == "its silhouette 0.50 is no better"


def test_where_nothing_passes_there_is_one_segment_and_it_is_said() -> None:
    structureless = [candidate(n, a_gain(0.001, low=-0.02), 0.2) for n in (2, 3)]
    choice = choose([one_segment(), *structureless], GATES)
    assert choice.segment_count == 1
    assert choice.summary == "one segment: no division of the customers passes the gates"
    assert choice.reasons[0] == "chosen: no division of the customers passes the gates"


def test_where_the_tree_divides_nobody_that_is_the_reason() -> None:
    choice = choose([one_segment()], GATES)
    assert choice.segment_count == 1
    assert choice.summary == f"one segment: {UNDIVIDED}"


# A tree for the refinement: 0 -> 1, 2; 2 -> 3, 4; 4 -> 5, 6. The gains of its cuts, and who holds how many customers.
CHILDREN = {0: (1, 2), 2: (3, 4), 4: (5, 6)}
SHARES = {0: 1.0, 1: 0.5, 2: 0.5, 3: 0.2, 4: 0.3, 5: 0.26, 6: 0.04, 7: 0.25, 8: 0.25}


def refined(
    start: Sequence[int],
    gains: dict[tuple[int, ...], CandidateGain],
    mixed: set[int],
    refusals: dict[tuple[int, ...], list[str]] | None = None,
    children: dict[int, tuple[int, int]] = CHILDREN,
) -> tuple[tuple[int, ...], list[tuple[int, bool, str]]]:
    nodes, log = refine(
        start,
        lambda cut: gains[tuple(cut)],
        lambda cut: [node for node in cut if node in mixed],
        children.get,
        SHARES.__getitem__,
        lambda cut: (refusals or {}).get(tuple(cut), []),
        GATES,
    )
    return nodes, [(split.node, split.is_accepted, split.reason) for split in log]


def test_a_mixed_segment_is_split_where_the_gain_rises_by_more_than_its_error() -> None:
    """+.004 is less than a candidate needs to be preferred (min_gain), but more than the error of the difference, 0."""
    gains = {(1, 2): a_gain(0.1), (1, 3, 4): a_gain(0.104)}
    nodes, log = refined((1, 2), gains, {2})
    assert nodes == (1, 3, 4)
    assert log == [(2, True, "mixed; in two the gain rises by 0.4 points, with a standard error of 0.0")]


def test_a_rise_within_the_error_is_refused() -> None:
    """The finer cut swings by +-.03 where the coarser does not: an error of .03 against a rise of .02."""
    gains = {(1, 2): a_gain(0.1, 0.0), (1, 3, 4): a_gain(0.12, 0.03)}
    nodes, log = refined((1, 2), gains, {2})
    assert nodes == (1, 2)
    assert log == [(2, False, "mixed, but in two the gain changes by 2.0 points only, with a standard error of 3.0")]


def test_splits_go_on_into_the_children_until_a_part_is_too_small() -> None:
    gains = {(1, 2): a_gain(0.1), (1, 3, 4): a_gain(0.2), (1, 3, 5, 6): a_gain(0.3)}
    nodes, log = refined((1, 2), gains, {2, 4})
    assert nodes == (1, 3, 4)  # 6 has 4 % of the customers, under 5 %
    assert [(node, accepted) for node, accepted, _ in log] == [(2, True), (4, False)]
    assert log[1][2] == "mixed, but a part would be too small"


def test_a_leaf_and_an_unmixed_segment_stay() -> None:
    nodes, log = refined((1, 2), {}, {1})
    assert nodes == (1, 2)
    assert log == [(1, False, "mixed, but the tree divides it no further")]
    assert refined((1, 2), {}, set()) == ((1, 2), [])


def test_a_finer_cut_that_the_gates_refused_is_not_taken_after_all() -> None:
    gains = {(1, 2): a_gain(0.1), (1, 3, 4): a_gain(0.3)}
    nodes, log = refined((1, 2), gains, {2}, {(1, 3, 4): ["refits agree only 0.500, under 0.75"]})
    assert nodes == (1, 2)
    assert log == [(2, False, "mixed, but 3 segments are not eligible: refits agree only 0.500, under 0.75")]


def test_a_finer_cut_that_is_no_candidate_is_held_to_size_and_gain_alone() -> None:
    """The candidate of three is (1, 3, 4), and refused. Where 1 is split instead there are three as well, never judged."""
    gains = {(1, 2): a_gain(0.1), (2, 7, 8): a_gain(0.3)}
    nodes, log = refined((1, 2), gains, {1}, {(1, 3, 4): ["refits agree only 0.500"]}, {**CHILDREN, 1: (7, 8)})
    assert nodes == (2, 7, 8)
    assert [(node, accepted) for node, accepted, _ in log] == [(1, True)]


def test_one_segment_stays_one_where_no_candidate_is_eligible() -> None:
    nodes, log = refined((0,), {(0,): a_gain(0.0), (1, 2): a_gain(0.3)}, {0}, {(1, 2): ["refits agree only 0.500"]})
    assert nodes == (0,)
    assert log == [(0, False, "mixed, but 2 segments are not eligible: refits agree only 0.500")]


def test_a_gain_that_is_certain_but_not_worth_a_segment_makes_up_for_no_structure() -> None:
    slight = candidate(2, a_gain(0.009, 0.001), silhouette=0.2)  # under min_gain, .01
    worth = candidate(2, a_gain(0.011, 0.001), silhouette=0.2)
    assert "within reach of structureless customers" in slight.refusals(GATES)[0]
    assert worth.refusals(GATES) == []
