import numpy as np
import pytest

from habitue.models.standardised_difference import Moments, standardised_difference


def test_by_hand():
    # Means 12 and 10, variances 16 and 9: d = 2 / sqrt(12.5). Error: sqrt(200 / 10000 + d^2 / 400).
    d = standardised_difference(Moments(100, 12, 16), Moments(100, 10, 9))
    assert float(d.value) == pytest.approx(2 / 12.5**0.5)
    error = (0.02 + float(d.value) ** 2 / 400) ** 0.5
    assert (float(d.low), float(d.high)) == pytest.approx(
        (d.value - 1.959964 * error, d.value + 1.959964 * error), abs=1e-6
    )
    swapped = standardised_difference(Moments(100, 10, 9), Moments(100, 12, 16))
    assert (float(swapped.low), float(swapped.high)) == pytest.approx((-float(d.high), -float(d.low)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Moments(1, 5, np.nan), Moments(50, 4, 1)),  # one customer has no variance
        (Moments(50, 5, 0), Moments(50, 4, 0)),  # nothing varies
        (Moments(0, np.nan, np.nan), Moments(50, 4, 1)),
    ],
)
def test_there_is_none_where_nothing_can_be_said(one, other):
    assert all(np.isnan(x) for x in standardised_difference(one, other))


def test_the_interval_covers_the_truth():
    chance, covered = np.random.default_rng(2), 0
    for _ in range(500):
        a, b = chance.normal(0.5, 1, 60), chance.normal(0, 1, 90)
        moments = [Moments(len(x), x.mean(), x.var(ddof=1)) for x in (a, b)]
        d = standardised_difference(*moments)
        covered += d.low <= 0.5 <= d.high
    assert 0.92 <= covered / 500 <= 0.98
