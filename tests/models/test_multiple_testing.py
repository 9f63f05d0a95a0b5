import numpy as np
import pytest

from habitue.models.multiple_testing import benjamini_hochberg, popularity_p_values


def test_benjamini_and_hochbergs_own_example():
    # The 15 p-values of their paper's section 3.2: at 5 % the procedure rejects the first four, Bonferroni three.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1,
    ]
    adjusted = benjamini_hochberg(p)
    assert list(adjusted < 0.05) == [True] * 4 + [False] * 11
    assert adjusted[3] == pytest.approx(0.0095 * 15 / 4)
    # The fifth is .0201 * 15 / 5 = .0603, the sixth .0695, the seventh .0639, the eighth .0645: each takes the least of
    # its own and those above it.
    assert adjusted[4:8] == pytest.approx([0.0603, 0.0298 * 15 / 7, 0.0298 * 15 / 7, 0.0645])
    assert list(benjamini_hochberg(p[::-1])) == list(adjusted[::-1])


def test_tests_that_nobody_took_count_and_cannot_be_fewer_than_given():
    assert benjamini_hochberg([0.01, 0.04], tests=10) == pytest.approx([0.1, 0.2])
    assert benjamini_hochberg([0.01, 0.04, 1.0])[:2] == pytest.approx([0.03, 0.06])
    with pytest.raises(ValueError, match="only 1 tests"):
        benjamini_hochberg([0.01, 0.04], tests=1)


def test_the_tail_of_a_binomial_by_hand():
    # Two or three of three at 1/4: 3 * 1/16 * 3/4 + 1/64 = 10/64. None or more is certain.
    assert popularity_p_values([2, 0], [3, 3], [0.25, 0.25]) == pytest.approx([10 / 64, 1])
    assert np.ndim(popularity_p_values(2, 3, 0.25)) == 0


def test_rounding_brings_no_adjusted_p_value_below_its_own():
    assert 0.0071 * 3 / 3 < 0.0071
    assert list(benjamini_hochberg([0.0071] * 3)) == [0.0071] * 3
