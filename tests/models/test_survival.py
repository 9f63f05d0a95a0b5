import numpy as np
import pytest

from habitue.models.survival import kaplan_meier, wang_chang


def counts(longest: int, cells: dict[int, float]) -> np.ndarray:
    array = np.zeros(longest + 1)
    array[list(cells)] = list(cells.values())
    return array


def test_kaplan_meier_of_the_leukaemia_trial():
    # Freireich et al., Blood 21 (1963), remission in weeks under 6-MP: 21 patients, as in every textbook. There, one who
    # was followed for c weeks was still at risk in week c, which here is a following of c + 1.
    events = counts(36, {6: 3, 7: 1, 10: 1, 13: 1, 16: 1, 22: 1, 23: 1})
    censored = counts(
        36, {c + 1: n for c, n in {6: 1, 9: 1, 10: 1, 11: 1, 17: 1, 19: 1, 20: 1, 25: 1, 32: 2, 34: 1, 35: 1}.items()}
    )
    curve = kaplan_meier(events, censored)
    weeks = [6, 7, 10, 13, 16, 22, 23]
    assert [round(1 - curve.share[w], 3) for w in weeks] == [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert [curve.at_risk[w] for w in weeks] == [21, 17, 15, 12, 11, 7, 6]
    # The log-log limits of S(10), as published with it: .503 to .889 (Greenwood's error .0963).
    assert (1 - curve.high[10], 1 - curve.low[10]) == pytest.approx((0.503, 0.889), abs=5e-4)
    assert (curve.low[5], curve.share[5], curve.high[5]) == (0, 0, 0)


def test_there_is_no_interval_once_everybody_had_the_event():
    curve = kaplan_meier(counts(3, {1: 1, 3: 1}), counts(3, {}))
    assert curve.share[3] == 1 and np.isnan(curve.low[3]) and np.isnan(curve.high[3])
    # At day 1, S = 1/2 and Greenwood's sum is 1 / (2 * 1): .5 ** exp(-+ 1.96 sqrt(.5) / ln .5), worked out by hand.
    width = 1.959964 * 0.5**0.5 / np.log(2)
    assert curve.low[1] == pytest.approx(1 - 0.5 ** np.exp(-width), abs=1e-6)
    assert curve.high[1] == pytest.approx(1 - 0.5 ** np.exp(width), abs=1e-6)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    # 200 shops of 80 customers, a geometric gap each (1 in 10 a day), followed long enough: S(5) = .9 ** 5.
    chance, truth, covered = np.random.default_rng(4), 1 - 0.9**5, 0
    for shop in range(200):
        complete = np.zeros((100, 400))
        np.add.at(complete, (chance.integers(0, 100, 80), np.minimum(chance.geometric(0.1, 80), 399)), 1.0)
        curve = wang_chang(complete, np.zeros_like(complete), draws=100, seed=(1, shop))
        covered += curve.low[5] <= truth <= curve.high[5]
    assert 0.88 <= covered / 200 <= 0.99  # 95 % within three standard errors, and a little for 100 draws and groups


def test_one_customer_has_a_curve_and_no_interval():
    complete = np.zeros((100, 11))
    complete[3, [4, 10]] = 0.5
    curve = wang_chang(complete, np.zeros_like(complete), draws=50, seed=(1, 0))
    assert curve.share[[3, 4, 10]] == pytest.approx([0, 0.5, 1])
    assert np.isnan(curve.low).all() and np.isnan(curve.high).all()
