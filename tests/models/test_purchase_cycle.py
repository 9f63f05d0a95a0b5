from dataclasses import fields, replace

import numpy as np
import pytest
from purchase_simulation import additive_sums, gamma_gaps, simulate, truncated_quantile
from scipy import stats

from habitue.models.purchase_cycle import (
    GapCurve,
    GapWeights,
    MemberSums,
    concentration_with_bound,
    cycle_limit,
    log_gap_variances,
    member_agreement,
    memoryless_share,
    purchase_cycles,
    ratio_or_nan,
    return_probability,
    wang_chang_curve,
    wheat_morrison_k,
)

SPAN = 365
LIMIT = cycle_limit(SPAN)


def weights(longest: int, **cells: dict[int, float]) -> GapWeights:
    arrays = {field.name: np.zeros(longest + 1) for field in fields(GapWeights)}
    for name, masses in cells.items():
        arrays[name][list(masses)] = list(masses.values())
    return GapWeights(**arrays)


def members(**sums: float) -> MemberSums:
    return MemberSums(**{field.name: np.array(float(sums.get(field.name, 0))) for field in fields(MemberSums)})


def figures(rhythms, seed: int = 1, span: int = SPAN):
    """The cycle of all leaves as one group."""
    gap_weights, member_sums = additive_sums(simulate(seed, rhythms, span), span)
    together = [range(len(rhythms))]
    return purchase_cycles(gap_weights.by_segment(together), member_sums.by_segment(together), cycle_limit(span))


# --- by hand


def test_the_curve_weighs_customers_not_gaps_and_keeps_open_gaps_open():
    # One customer with gaps 2 and 4, 1/2 each; another who has not come back for 3 days.
    # Day 2: at risk 1 + 1, so S = 1 - .5/2 = .75. Day 4: the open gap has left, so S = 0.
    curve = wang_chang_curve(weights(6, complete={2: 0.5, 4: 0.5}, censored={3: 1}), limit=6)
    assert [float(curve.share_by(u)) for u in (1.5, 2, 2.5, 3.5, 4, 4.5, 6)] == pytest.approx(
        [0, 0.125, 0.25, 0.25, 0.625, 1, 1]
    )
    assert float(curve.quantile(0.5)) == pytest.approx(3.5 + 0.25 / 0.75)
    assert float(curve.quantile(0.1)) == pytest.approx(1.5 + 0.1 / 0.25)


def test_the_curve_is_cut_and_rescaled_at_the_limit():
    # As above up to 4 days, where 1 - S = .25 + .75/2 = .625: half of it, .3125, lies .0625/.75 after 3.5.
    curve = wang_chang_curve(weights(6, complete={2: 0.5, 4: 0.5}, censored={3: 1}), limit=4)
    assert float(curve.reached) == pytest.approx(0.625)
    assert float(curve.quantile(0.5)) == pytest.approx(3.5 + 0.0625 / 0.75)
    assert float(curve.share_by(5)) == 1


def test_a_gap_open_for_two_days_was_not_at_risk_of_ending_on_the_unknown_second_day():
    # At risk on day 2: only the completed weight 1, of which half ends.
    curve = wang_chang_curve(weights(6, complete={2: 0.5, 4: 0.5}, censored={2: 1}), limit=6)
    assert float(curve.share_by(2.5)) == pytest.approx(0.5)


def test_a_quantile_on_a_flat_stretch_does_not_depend_on_rounding():
    for noise in (-1e-13, 0, 1e-13):
        curve = wang_chang_curve(weights(30, complete={10: 0.5 + noise, 20: 0.5 - noise}), limit=30)
        assert float(curve.quantile(0.5)) == pytest.approx(10.5, abs=1e-9)


@pytest.mark.parametrize("day", [1, 3650])
def test_the_shortest_and_the_longest_gap(day):
    curve = wang_chang_curve(weights(3650, complete={day: 7}), limit=3651)
    assert [float(curve.quantile(share)) for share in (0.1, 0.5, 0.9)] == pytest.approx([day - 0.4, day, day + 0.4])


def test_return_probability_counts_every_gap_and_every_customer_once():
    # A: gaps 2 and 4, open for 5 days, 1/3 each. B: open for 3 days, 1. Day 2: 1/3 of 2 end, S = 5/6.
    # Day 4: at risk 1/3 + 1/3, half of it ends, S = 5/12.
    sums = weights(9, km_complete={2: 1 / 3, 4: 1 / 3}, km_open={5: 1 / 3, 3: 1})
    assert float(return_probability(sums, limit=8)) == pytest.approx(7 / 12)
    assert float(return_probability(sums, limit=3)) == pytest.approx(1 / 6)


def test_a_group_without_a_complete_gap_has_no_cycle_and_never_returns():
    nobody_returned = weights(40, censored={7: 2, 30: 1}, km_open={7: 2, 30: 1})
    one_hash_group = GapWeights(*(getattr(nobody_returned, field.name)[None] for field in fields(GapWeights)))
    cycles = purchase_cycles(one_hash_group, members(), limit=36)
    for name in ("cycle_days", "p10_days", "p90_days", "concentration", "concentration_low"):
        assert np.isnan(getattr(cycles, name)), name
    assert float(cycles.return_probability) == 0
    assert np.isnan(return_probability(weights(40), limit=36))


def test_gaps_beyond_the_limit_only_give_no_cycle():
    assert np.isnan(wang_chang_curve(weights(40, complete={39: 5}), limit=36).quantile(0.5))


def test_the_memoryless_curve_is_a_truncated_exponential():
    rate, limit = 0.01, 300.0
    cut = 1 - np.exp(-rate * limit)
    median = -np.log(1 - cut / 2) / rate
    for days in (1.0, 50.0, median, 200.0, 300.0):
        assert float(memoryless_share(days, median, limit)) == pytest.approx((1 - np.exp(-rate * days)) / cut)


def test_chance_concentration_from_untruncated_to_uniform():
    def chance(median, limit):
        return float(memoryless_share(1.25 * median, median, limit) - memoryless_share(0.75 * median, median, limit))

    assert chance(1, 1e4) == pytest.approx(2**-0.75 - 2**-1.25)  # .174
    assert chance(100, 200.0001) == pytest.approx(0.25, abs=1e-5)  # nearly uniform on [0, 200]: 50 / 200
    assert np.isnan(memoryless_share(50, 100, 200))
    assert np.isnan(memoryless_share(50, np.nan, 200))


def test_concentration_is_null_where_the_median_is_half_the_limit():
    by_hash_group = GapWeights(*(np.tile(array, (3, 1)) for array in vars(weights(99, complete={50: 1})).values()))
    assert np.isnan(concentration_with_bound(by_hash_group, limit=100)[0])
    assert not np.isnan(concentration_with_bound(by_hash_group, limit=101)[0])


def test_agreement_by_hand():
    # Two members with mean log gaps 0 and 2: variance 2. w2 = 1 / 2, mean(1/n) = 1/2, so tau2 = 2 - 1/4 = 1.75.
    between, within = log_gap_variances(
        members(
            members=2,
            mean_sum=2,
            mean_square_sum=4,
            inverse_count_sum=1,
            within_square_sum=1,
            degrees_of_freedom=2,
            two_gap_members=2,
        )
    )
    assert (float(between), float(within)) == pytest.approx((1.75, 0.5))
    assert float(member_agreement(between)) == pytest.approx(0.2408, abs=1e-4)  # 2 Phi(.4055 / 1.3229) - 1


def test_where_a_formula_divides_by_zero():
    none = members(members=3, mean_sum=6, mean_square_sum=13, inverse_count_sum=3)  # one gap each
    assert np.isnan(log_gap_variances(none)).all()
    assert np.isnan(wheat_morrison_k(none))

    # Everybody buys every 7 days, in sums as rounded as those of a million customers.
    log7 = np.log(7)
    clockwork = members(
        members=3,
        mean_sum=3 * log7 * (1 + 1e-15),
        mean_square_sum=3 * log7**2 * (1 + 3e-13),
        inverse_count_sum=1,
        within_square_sum=1e-29,
        degrees_of_freedom=6,
        two_gap_members=3,
    )
    between, within = log_gap_variances(clockwork)
    assert (float(between), float(within)) == (0, 0)
    assert float(member_agreement(between)) == 1
    assert np.isnan(ratio_or_nan(between, between + within))
    assert np.isnan(wheat_morrison_k(clockwork))


def test_wheat_morrison_is_one_for_memoryless_buyers():
    # g1 / (g1 + g2) is then uniform on [0, 1], with variance 1/12.
    assert float(wheat_morrison_k(members(two_gap_members=24, wheat_morrison_sum=2))) == pytest.approx(1)


# --- laws


def test_a_union_of_leaves_is_judged_from_the_leaves_sums():
    bought = simulate(3, [(150, gamma_gaps(k, m)) for k, m in ((1, 9), (4, 20), (2, 50), (8, 90))])
    by_leaf = additive_sums(bought, SPAN)
    united = additive_sums(replace(bought, leaf=np.where(np.isin(bought.leaf, (1, 3)), 1, 0)), SPAN)
    for parts, whole in zip(by_leaf, united, strict=True):
        joined = parts.by_segment([(0, 2), (3, 1)])
        for field in fields(whole):
            np.testing.assert_allclose(getattr(joined, field.name), getattr(whole, field.name), rtol=1e-12)
    joined_cycles = purchase_cycles(*(parts.by_segment([(0, 2), (3, 1)]) for parts in by_leaf), LIMIT)
    united_cycles = purchase_cycles(*united, LIMIT)
    for field in fields(united_cycles):
        values = getattr(united_cycles, field.name)
        assert values.shape == (2,)
        assert not np.isnan(values).any()
        np.testing.assert_allclose(getattr(joined_cycles, field.name), values, rtol=1e-9)


def test_halves_are_parts_that_add_up():
    gap_weights, _ = additive_sums(simulate(4, [(60, gamma_gaps(2, 20))]), SPAN)
    halves = [gap_weights.part(slice(half, None, 2), axis=1).total(axis=1) for half in (0, 1)]
    np.testing.assert_allclose(halves[0].complete + halves[1].complete, gap_weights.total(axis=1).complete)
    assert gap_weights.part(0, axis=0).complete.shape == gap_weights.complete.shape[1:]


def test_the_jackknife_leaves_out_one_hash_group_of_customers_at_a_time():
    bought = simulate(5, [(90, gamma_gaps(4, 30))])
    bought = replace(bought, leaf=np.zeros(90, dtype=int))
    kept = bought.customer % 20 != 13  # a hash group without customers leaves nothing out
    gap_weights, _ = additive_sums(replace(bought, customer=bought.customer[kept], day=bought.day[kept]), SPAN)

    def estimate(without: int | None) -> float:
        keep = kept & (bought.customer % 20 != without)
        sums, _ = additive_sums(replace(bought, customer=bought.customer[keep], day=bought.day[keep]), SPAN)
        return float(concentration_with_bound(sums, LIMIT)[0][0])

    squares = sum((estimate(group) - estimate(None)) ** 2 for group in range(20) if group != 13)
    expected = estimate(None) - stats.t.ppf(0.975, 18) * np.sqrt(18 / 19 * squares)
    assert float(concentration_with_bound(gap_weights, LIMIT)[1][0]) == pytest.approx(expected, abs=1e-9)


def test_the_jackknife_error_is_the_spread_between_shops():
    found = [
        concentration_with_bound(additive_sums(simulate(seed, [(300, gamma_gaps(2, 30))]), SPAN)[0], LIMIT)
        for seed in range(60)
    ]
    estimates = np.array([float(estimate[0]) for estimate, _ in found])
    errors = np.array([float(estimate[0] - low[0]) for estimate, low in found]) / stats.t.ppf(0.975, 19)
    assert np.mean(errors) == pytest.approx(np.std(estimates, ddof=1), rel=0.3)


def test_a_bound_needs_two_hash_groups_that_each_have_a_cycle():
    lone = GapWeights(*(np.stack([array, 0 * array]) for array in vars(weights(99, complete={20: 1})).values()))
    assert np.isnan(concentration_with_bound(lone, limit=90)[1])
    never = weights(99, censored={40: 1})
    pair = GapWeights(
        *(
            np.stack([a, b])
            for a, b in zip(vars(weights(99, complete={20: 1})).values(), vars(never).values(), strict=True)
        )
    )
    estimate, low = concentration_with_bound(pair, limit=90)
    assert not np.isnan(estimate)
    assert np.isnan(low)


# --- simulated shops with known truth


@pytest.mark.parametrize(
    ("gaps_of", "truth"),
    [(lambda median: stats.lognorm(0.75, scale=median), 28.7), (lambda median: gamma_gaps(8, median), 26.6)],
)
def test_the_median_of_a_mixed_group_where_pooled_gaps_mislead(gaps_of, truth):
    rhythms = [(1000, gaps_of(14)), (1000, gaps_of(60))]
    assert truncated_quantile(rhythms, LIMIT) == pytest.approx(truth, rel=0.01)
    cycles = figures(rhythms)
    for share, found in ((0.1, cycles.p10_days), (0.5, cycles.cycle_days), (0.9, cycles.p90_days)):
        assert float(found[0]) == pytest.approx(truncated_quantile(rhythms, LIMIT, share), rel=0.05)

    bought = simulate(1, rhythms)
    pooled = np.median(np.diff(bought.day)[np.diff(bought.customer) == 0])
    assert pooled < 0.65 * truth


@pytest.mark.parametrize("median", [30, 120])
@pytest.mark.parametrize("shape", [1, 2, 4, 8])
def test_the_median_is_the_truth_cut_at_the_limit(median, shape):
    rhythms = [(3000, gamma_gaps(shape, median))]
    assert float(figures(rhythms).cycle_days[0]) == pytest.approx(truncated_quantile(rhythms, LIMIT), rel=0.05)


@pytest.mark.parametrize(("shape", "expected"), [(1, 0), (2, 0.11), (4, 0.24), (8, 0.42), (20, 0.68)])
def test_concentration_of_gamma_gaps(shape, expected):
    cycles = figures([(2000, gamma_gaps(shape, 30))])
    assert float(cycles.concentration[0]) == pytest.approx(expected, abs=0.03)
    assert float(cycles.wheat_morrison_k[0]) == pytest.approx(shape, rel=0.15)


@pytest.mark.parametrize("median", [3, 4, 5, 6, 7])
@pytest.mark.parametrize(("shape", "expected"), [(2, 0.11), (4, 0.24)])
def test_concentration_of_short_cycles_in_whole_days(shape, expected, median):
    assert float(figures([(1000, gamma_gaps(shape, median))]).concentration[0]) == pytest.approx(expected, abs=0.03)


def test_members_of_one_rhythm_agree_and_members_of_two_do_not():
    alike = figures([(500, gamma_gaps(8, 14))])
    apart = figures([(500, gamma_gaps(8, 14)), (500, gamma_gaps(8, 60))])
    assert alike.member_agreement[0] > 0.95
    assert alike.interval_icc[0] < 0.1
    # Half the members lie ln(60/14) / 2 on either side of the middle, so tau is .728 and A = 2 Phi(.557) - 1 = .42.
    assert float(apart.member_agreement[0]) == pytest.approx(0.42, abs=0.02)
    # w2 of log gamma(8) gaps is trigamma(8) = .133: ICC = .529 / .662.
    assert float(apart.interval_icc[0]) == pytest.approx(0.80, abs=0.02)


def test_return_probability_under_churn():
    # 400 customers buy every ~20 days throughout; 600 bought once, in the first half of the year, and left.
    loyal = simulate(6, [(400, gamma_gaps(4, 20))])
    rng = np.random.default_rng(6)
    customer = np.concatenate([loyal.customer, np.arange(400, 1000)])
    day = np.concatenate([loyal.day, rng.integers(0, 30, 600)])
    gap_weights, _ = additive_sums(replace(loyal, customer=customer, day=day, leaf=np.zeros(1000, dtype=int)), SPAN)
    assert float(return_probability(gap_weights.total(axis=1), LIMIT)[0]) == pytest.approx(0.4, abs=0.03)


def test_curves_of_many_groups_are_those_of_each():
    gap_weights, _ = additive_sums(simulate(7, [(80, gamma_gaps(2, 10)), (80, gamma_gaps(2, 70))]), SPAN)
    many = wang_chang_curve(gap_weights, LIMIT)
    assert many.knots.shape == (2, 20, SPAN + 2)
    one = GapCurve(many.knots[1, 4], LIMIT)
    assert float(many.quantile(0.9)[1, 4]) == float(one.quantile(0.9))
    assert float(many.share_by(50)[1, 4]) == float(one.share_by(50))
