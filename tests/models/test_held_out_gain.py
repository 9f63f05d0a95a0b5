import numpy as np
import pytest
from purchase_simulation import additive_sums, gamma_gaps, held_out_gaps, simulate, truncated_quantile

from habitue.models import held_out_gain
from habitue.models.held_out_gain import HeldOutGaps, gain_difference_se, held_out_gains, medians_within
from habitue.models.purchase_cycle import GapWeights

TOGETHER, APART = [(0, 1)], [(0,), (1,)]


def learned(complete) -> GapWeights:
    complete = np.asarray(complete, dtype=float)
    return GapWeights(complete, 0 * complete, complete / 2, 0 * complete)


def cells(longest: int, *leaves: dict[int, float]) -> np.ndarray:
    table = np.zeros((len(leaves), longest + 1))
    for leaf, masses in enumerate(leaves):
        table[leaf, list(masses)] = list(masses.values())
    return table


def judged(rhythms, candidates, seed=1, span=365):
    start = int(0.6 * span)
    bought = simulate(seed, rhythms, span)
    gap_weights, _ = additive_sums(bought, start, span)
    held_out = held_out_gaps(bought, start, span)
    return held_out_gains(gap_weights.total(axis=1), held_out, candidates, draws=400, seed=7)


# Leaf 0 learned gaps of 2 days with weight 3, leaf 1 gaps of 8 with weight 1, so m is 2, 8, and for the shop
# 1.5 + .5 / .75 = 13/6. Held out: leaf 0 gaps 2, 2, 4; leaf 1 a gap of 8 and one of more than 8 days.
LEARNED = learned(cells(20, {2: 3}, {8: 1}))
HELD_OUT = HeldOutGaps(within=cells(8, {2: 2, 4: 1}, {8: 1}), longer=np.array([0.0, 1.0]))


def test_gain_slope_and_shares_by_hand():
    one, two = held_out_gains(LEARNED, HELD_OUT, [TOGETHER, APART], draws=200, seed=1)
    assert two.cycle_days == pytest.approx([2, 8])
    assert one.cycle_days == pytest.approx([13 / 6])
    # ln 2 from the gap of 4 days; for the shop 2 ln(13/12) + ln(24/13) + ln(48/13) = 3 ln 2.
    assert (two.error, two.shop_error) == pytest.approx((np.log(2) / 4, 3 * np.log(2) / 4))
    assert two.gain == pytest.approx(2 / 3)
    assert two.segment_gain == pytest.approx([1 - np.log(2) / (2 * np.log(13 / 12) + np.log(24 / 13)), 1])
    # In units of ln 2, ln m is 1, 1, 1, 3 and ln g is 1, 1, 2, 3: 2.5 / 3.
    assert two.slope == pytest.approx(2.5 / 3)
    assert two.share_within == pytest.approx(4 / 5)
    assert two.segment_share_within == pytest.approx([1, 1 / 2])
    assert two.customers == 4
    assert list(two.segment_customers) == [3, 1]


def test_one_segment_gains_exactly_nothing():
    (one,) = held_out_gains(LEARNED, HELD_OUT, [TOGETHER], draws=200, seed=1)
    assert (one.gain, one.gain_low, one.gain_high) == (0, 0, 0)
    assert np.isnan(one.slope)


def test_a_segment_that_learned_nothing_uses_the_shops_cycle():
    weights = learned(cells(20, {2: 3}, {}))
    (two,) = held_out_gains(weights, HELD_OUT, [APART], draws=200, seed=1)
    assert two.cycle_days[0] == two.cycle_days[1] == pytest.approx(2)
    assert (two.gain, two.gain_low, two.gain_high) == (0, 0, 0)


def test_nobody_to_judge_nothing_learned_and_no_error():
    nobody = HeldOutGaps(within=np.zeros((2, 9)), longer=np.array([1.0, 0.0]))
    (empty,) = held_out_gains(LEARNED, nobody, [APART], draws=50, seed=1)
    assert np.isnan([empty.gain, empty.gain_low, empty.error, empty.slope]).all()
    assert empty.share_within == 0
    (blind,) = held_out_gains(learned(np.zeros((2, 21))), HELD_OUT, [APART], draws=50, seed=1)
    assert np.isnan([blind.gain, blind.gain_high, blind.cycle_days[0]]).all()
    exact = HeldOutGaps(within=cells(8, {2: 5}, {2: 5}), longer=np.zeros(2))
    (perfect,) = held_out_gains(learned(cells(20, {2: 1}, {2: 1})), exact, [APART], draws=50, seed=1)
    assert (perfect.shop_error, perfect.gain) == (0, 0)


def test_cycles_are_cut_where_the_held_out_gaps_are():
    # Of gaps 2, 4 and 30 only 2 and 4 are within 4 days: m(4) is the middle of these, at the end of day 2's mass.
    assert float(medians_within(learned(cells(40, {2: 1, 4: 1, 30: 1})), 4)[0]) == pytest.approx(2.5)
    assert float(medians_within(learned(cells(40, {2: 1, 4: 1, 30: 1})), 30)[0]) == pytest.approx(4)
    assert np.isnan(medians_within(learned(cells(40, {30: 1})), 29)[0])


def test_candidates_must_share_out_the_leaves():
    for wrong in ([(0,)], [(0, 1), (1,)]):
        with pytest.raises(ValueError, match="each of the 2 leaves"):
            held_out_gains(LEARNED, HELD_OUT, [wrong], draws=10, seed=1)
    with pytest.raises(ValueError, match="at least one day"):
        held_out_gains(LEARNED, HeldOutGaps(cells(8, {0: 1}, {}), np.zeros(2)), [APART], draws=10, seed=1)


def customers_by_hand(draws: int):
    """Gains of three candidates when customers, one by one, are drawn with replacement."""
    rng = np.random.default_rng(11)
    held_out = HeldOutGaps(within=rng.poisson(3, (3, 41)).astype(float), longer=np.zeros(3))
    held_out.within[:, 0] = 0
    weights = learned(np.stack([np.bincount([m], minlength=60) for m in (5, 15, 30)]))
    candidates = [[(0, 1), (2,)], [(0,), (1, 2)], [(0,), (1,), (2,)]]
    leaf, gap = np.nonzero(held_out.within)
    times = held_out.within[leaf, gap].astype(int)
    leaf, gap = np.repeat(leaf, times), np.repeat(gap, times)
    gains = held_out_gains(weights, held_out, candidates, draws=draws, seed=3)

    shop_loss = np.abs(np.log(gap / medians_within(weights.total(axis=0), 40)))
    picks = rng.integers(0, len(gap), (draws, len(gap)))
    by_hand = []
    for found in gains:
        cycle = np.array(
            [next(m for s, m in zip(found.segments, found.cycle_days, strict=True) if x in s) for x in leaf]
        )
        own_loss = np.abs(np.log(gap / cycle))
        by_hand.append(1 - own_loss[picks].sum(axis=1) / shop_loss[picks].sum(axis=1))
        assert found.gain == pytest.approx(1 - own_loss.sum() / shop_loss.sum())
    return gains, by_hand


def test_the_interval_and_the_paired_error_are_those_of_a_bootstrap_over_customers():
    gains, by_hand = customers_by_hand(draws=2000)
    for found, draws in zip(gains, by_hand, strict=True):
        low, high = np.percentile(draws, (2.5, 97.5))
        assert (found.gain_low, found.gain_high) == pytest.approx((low, high), abs=0.15 * (high - low))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        expected = np.std(by_hand[one] - by_hand[other], ddof=1)
        assert gain_difference_se(gains[one], gains[other]) == pytest.approx(expected, rel=0.1)
    assert gain_difference_se(gains[0], gains[0]) == 0


def test_resamples_are_the_same_in_every_call_and_every_block_size(monkeypatch):
    both = held_out_gains(LEARNED, HELD_OUT, [TOGETHER, APART], draws=100, seed=5)[1]
    monkeypatch.setattr(held_out_gain, "_CELLS_PER_BLOCK", 7)
    alone = held_out_gains(LEARNED, HELD_OUT, [APART], draws=100, seed=5)[0]
    np.testing.assert_allclose(alone.gain_draws, both.gain_draws, rtol=1e-12)
    other_seed = held_out_gains(LEARNED, HELD_OUT, [APART], draws=100, seed=6)[0]
    assert not np.allclose(other_seed.gain_draws, both.gain_draws)


def test_a_tree_cut_is_the_sum_of_its_leaves():
    # Three leaves of which two are judged as one must give what the two leaves' sums give as one leaf.
    three = learned(cells(20, {2: 3}, {6: 1}, {10: 2}))
    counts = HeldOutGaps(cells(8, {2: 2, 4: 1}, {8: 1, 5: 3}, {7: 2}), np.array([0.0, 1.0, 4.0]))
    (cut,) = held_out_gains(three, counts, [[(0,), (2, 1)]], draws=100, seed=2)
    merged = [(0,), (1, 2)]
    (direct,) = held_out_gains(three.by_segment(merged), counts.by_segment(merged), [APART], draws=100, seed=2)
    for name in ("error", "shop_error", "gain", "slope", "share_within"):
        assert getattr(cut, name) == pytest.approx(getattr(direct, name)), name
    np.testing.assert_allclose(cut.segment_gain, direct.segment_gain)


def test_two_rhythms_gain_and_one_rhythm_does_not():
    one, two = judged([(800, gamma_gaps(8, 14)), (800, gamma_gaps(8, 60))], [TOGETHER, APART])
    assert two.gain_low > 0.4
    assert (two.segment_gain_low > 0.2).all()
    assert two.slope == pytest.approx(1, abs=0.1)
    assert gain_difference_se(one, two) < two.gain / 10
    _, halved = judged([(800, gamma_gaps(2, 25)), (800, gamma_gaps(2, 25))], [TOGETHER, APART])
    assert abs(halved.gain) < 0.01


def test_a_long_cycle_is_judged_by_the_gaps_it_can_show():
    # h = 73 days of a year: a cycle of 60 days is foreseen as the median of its gaps up to 73 days.
    slow = (1500, gamma_gaps(4, 60))
    (two,) = judged([(1500, gamma_gaps(4, 10)), slow], [APART])
    assert two.cycle_days[1] == pytest.approx(truncated_quantile([slow], 73), rel=0.05)
    assert two.segment_share_within[1] == pytest.approx(float(slow[1].cdf(73)), abs=0.04)
