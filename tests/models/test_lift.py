"""Lift, areas under curves and their bootstrap: against scikit-learn, and worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from habitue.models import lift
from habitue.models.lift import Evaluation, auc, auc_difference, average_precision, evaluate, lift_ceiling, lift_ratio


def _evaluated(scores: object, labels: object, **more: object) -> Evaluation:
    asked = {"customers": np.arange(len(labels)), "probabilities": None, "sort_scores": None}  # type: ignore[arg-type]
    asked |= {"share": 0.2, "draws": 200, "seed": 1, **more}
    return evaluate(scores, labels, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("digits", [8, 1, 0])
def test_areas_are_scikit_learns_with_ties_too(digits: int) -> None:
    rng = np.random.default_rng(digits)
    labels = rng.integers(0, 2, 400)
    scores = np.round(rng.normal(size=400) + labels, digits)
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_ratio_by_hand() -> None:
    # Ten rows; the top two hold 2 positives, the other eight 1: (2 / 2) / (1 / 8) = 8.
    found = _evaluated(list(range(10, 0, -1)), [1, 1, 0, 0, 1, 0, 0, 0, 0, 0])
    assert (found.customers, found.positives, found.base_rate) == (10, 3, 0.3)
    assert (found.top_rate, found.rest_rate, found.lift_ratio) == (1.0, 0.125, 8.0)
    assert found.lift_ceiling == pytest.approx(0.8 / 0.1)  # (1 - .2) / (.3 - .2)


def test_ties_at_the_cut_count_by_their_share() -> None:
    # Two of ten are wanted: the first row, and one of the four that tie, which hold 2 positives: half a positive.
    scores, labels = [9, 5, 5, 5, 5, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 0, 0, 0, 1, 0]
    expected = (1.5 / 2) / (2.5 / 8)
    assert lift_ratio(scores, labels, 0.2) == pytest.approx(expected)
    swapped = [1, 1, 0, 0, 1, 0, 0, 0, 1, 0]  # the same positives in another order of the tied rows
    assert lift_ratio(scores, swapped, 0.2) == pytest.approx(expected)


def test_all_scores_equal_is_no_lift() -> None:
    assert lift_ratio(np.zeros(10), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0], 0.1) == pytest.approx(1.0)
    assert auc(np.zeros(10), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]) == 0.5


def test_a_share_that_is_no_whole_row_counts_a_part() -> None:
    # 1.5 of 15 rows: the first, and half of the second; 1.5 positives of 1.5 rows, .5 + 1 of the other 13.5.
    labels = [1, 1, 1] + [0] * 12
    assert lift_ratio(list(range(15, 0, -1)), labels, 0.1) == pytest.approx(1.0 / (1.5 / 13.5))


def test_no_positive_in_the_rest_is_no_ratio_but_a_reason() -> None:
    found = _evaluated(list(range(10, 0, -1)), [1, 1] + [0] * 8)
    assert found.lift_ratio is None and found.lift_low is None and found.lift_high is None
    assert found.reason is not None and "the rest has none" in found.reason
    assert found.lift_ceiling is None  # the base rate is the share: no bound
    # .1 of 30 is 3 rows and not a hair more, which would be a ratio of billions.
    assert lift_ratio(list(range(30, 0, -1)), [1, 1, 1] + [0] * 27, 0.1) is None


def test_no_positive_and_no_row_have_their_own_reasons() -> None:
    none = _evaluated([3, 2, 1, 0], [0, 0, 0, 0], probabilities=[0.1] * 4)
    assert none.lift_ratio is None and none.auc is None and none.average_precision is None
    assert none.reason == "None of the 4 rows is positive, so there is no ratio."
    assert none.brier == pytest.approx(0.01)
    nobody = _evaluated([], [], probabilities=[])
    assert nobody.customers == 0 and nobody.base_rate is None and nobody.lift_ratio is None
    assert nobody.reliability == [] and nobody.reason == "There is no row to judge by."


@pytest.mark.parametrize(("rate", "share", "expected"), [(0.3, 0.1, 4.5), (0.1, 0.1, None), (0.05, 0.1, None)])
def test_ceiling(rate: float, share: float, expected: float | None) -> None:
    assert lift_ceiling(rate, share) == (None if expected is None else pytest.approx(expected))
    if expected is not None:  # a perfect ranking reaches it: 30 of 100 positive
        assert lift_ratio(np.arange(100), np.arange(100) >= 70, share) == pytest.approx(expected)


def test_plain_sort_brier_and_error_of_probabilities() -> None:
    labels = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 1])
    found = _evaluated(np.arange(10), labels, probabilities=np.full(10, 0.2), sort_scores=-np.arange(10))
    assert found.sort_lift_ratio == pytest.approx((1 / 2) / (2 / 8))  # the first two rows are on top
    assert found.brier == pytest.approx((3 * 0.64 + 7 * 0.04) / 10)
    assert found.calibration_error == pytest.approx(0.1)  # .2 said, .3 observed, whoever comes first
    assert sum(one["customers"] for one in found.reliability) == 10


def test_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    """Synthetic: 20 % of rows with a chance of .5, the others .1, and a score that knows: the ratio is 5."""
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        good = np.arange(500) < 100
        labels = rng.random(500) < np.where(good, 0.5, 0.1)
        found = _evaluated(good, labels, seed=seed)
        assert found.lift_low is not None and found.lift_high is not None
        covered += found.lift_low <= 5 <= found.lift_high
    assert covered >= 52  # 57 expected; fewer than 52 has a chance of 2 %


def test_rows_of_a_customer_stay_together() -> None:
    """The same 100 rows, each four times: as 400 customers they would be twice as sure as as 100."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 100)
    scores = rng.normal(size=100) + labels
    once = _evaluated(scores, labels, draws=1000)
    many = [np.repeat(values, 4) for values in (scores, labels)]
    together = _evaluated(*many, customers=np.repeat([f"c{i}" for i in range(100)], 4), draws=1000)
    apart = _evaluated(*many, draws=1000)
    assert once.auc_error is not None and together.auc_error is not None and apart.auc_error is not None
    assert together.auc_error == pytest.approx(once.auc_error, rel=0.1)
    assert apart.auc_error == pytest.approx(once.auc_error / 2, rel=0.15)


def test_error_of_the_area_is_delongs() -> None:
    """DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), 837-845: from each row's share of the other class beaten."""
    rng = np.random.default_rng(8)
    labels = np.arange(2000) < 400
    scores = rng.normal(size=2000) + labels
    found = _evaluated(scores, labels, draws=1000)
    beaten = scores[labels][:, None] > scores[~labels][None, :]
    variance = beaten.mean(axis=1).var(ddof=1) / 400 + beaten.mean(axis=0).var(ddof=1) / 1600
    assert found.auc_error == pytest.approx(np.sqrt(variance), rel=0.1)


def test_paired_difference_is_surer_than_each_area() -> None:
    rng = np.random.default_rng(4)
    labels, ids = rng.integers(0, 2, 600), np.arange(600)
    a = rng.normal(size=600) + labels
    b = a + 0.1 * rng.normal(size=600)
    found = auc_difference(a, b, labels, ids, draws=500, seed=2)
    assert found.difference == pytest.approx(roc_auc_score(labels, a) - roc_auc_score(labels, b))
    error = _evaluated(a, labels).auc_error
    assert found.standard_error is not None and error is not None and 0 < found.standard_error < error / 2
    same = auc_difference(a, a, labels, ids, draws=100, seed=2)
    assert (same.difference, same.standard_error) == (0.0, 0.0)
    assert auc_difference(a, b, np.ones(600), ids, draws=100, seed=2).difference is None


def test_order_of_rows_and_size_of_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    labels, ids = rng.integers(0, 2, 300), rng.integers(0, 200, 300).astype(str)
    scores = np.round(rng.normal(size=300) + labels, 1)
    first = _evaluated(scores, labels, customers=ids, probabilities=np.clip(scores, 0, 1))
    order = rng.permutation(300)
    second = _evaluated(scores[order], labels[order], customers=ids[order], probabilities=np.clip(scores, 0, 1)[order])
    for name, value in first.to_dict().items():
        if isinstance(value, float):
            assert second.to_dict()[name] == pytest.approx(value, rel=1e-12), name
    assert [one["observed_rate"] for one in second.reliability] == pytest.approx(
        [one["observed_rate"] for one in first.reliability]
    )
    monkeypatch.setattr(lift, "MOST_GROUPS", 20)  # of 60 scores: draws are a little coarser, figures are not
    coarse = _evaluated(scores, labels, customers=ids)
    assert (coarse.auc, coarse.lift_ratio) == (first.auc, first.lift_ratio)
    assert coarse.auc_error == pytest.approx(first.auc_error, rel=0.05)
