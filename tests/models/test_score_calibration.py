"""Probabilities from scores: known ones are recovered, the order stays, and Spark says what numpy says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from habitue.models.score_calibration import (
    Calibrator,
    ScoreGroups,
    expected_calibration_error,
    fit_calibrator,
    group_by_score,
    pooled,
    reliability,
)

ISOTONIC_FROM = 500


def _drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Synthetic scores, their true probabilities, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=rows)
    chance = expit(1.7 * scores - 2.5)
    return scores, chance, (rng.random(rows) < chance).astype(int)


@pytest.mark.parametrize(("rows", "kind", "tolerance"), [(2000, "sigmoid", 0.015), (40_000, "isotonic", 0.01)])
def test_known_probabilities_are_recovered(rows: int, kind: str, tolerance: float) -> None:
    scores, _, labels = _drawn(rows, seed=1)
    found = fit_calibrator(group_by_score(scores, labels), ISOTONIC_FROM)
    assert found.kind == kind
    others, their_chance, their_labels = _drawn(rows, seed=2)
    said = found.probability_numpy(others)
    assert np.abs(said - their_chance).mean() < tolerance
    error = expected_calibration_error(said, their_labels)
    assert error is not None and error < 0.02


def test_steps_are_scikit_learns_isotonic_regression_but_for_one_row_of_the_base_rate() -> None:
    scores, _, labels = _drawn(20_000, seed=3)
    said = fit_calibrator(group_by_score(scores, labels), ISOTONIC_FROM).probability_numpy(scores)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, labels).predict(scores)
    _, step, rows = np.unique(theirs, return_inverse=True, return_counts=True)
    expected = (theirs * rows[step] + labels.mean()) / (rows[step] + 1)
    is_large = rows[step] >= 100
    assert is_large.mean() > 0.9
    np.testing.assert_allclose(said[is_large], expected[is_large], atol=2e-3)
    assert said.mean() == pytest.approx(labels.mean(), abs=1e-3)


def test_nothing_is_certain() -> None:
    # 600 rows without a positive below, 600 positives above, and half a positive in one row more in each.
    groups = ScoreGroups(np.array([0.0, 1.0]), np.array([600.0, 600.0]), np.array([0.0, 600.0]))
    low, high = fit_calibrator(groups, ISOTONIC_FROM).probability_numpy([-9.0, 9.0])
    assert (low, high) == pytest.approx((0.5 / 601, 600.5 / 601))
    top = fit_calibrator(ScoreGroups(groups.scores, np.array([1000.0, 1.0]), np.array([600.0, 1.0])), ISOTONIC_FROM)
    assert top.probability_numpy([1.0])[0] == pytest.approx((1 + 601 / 1001) / 2)  # a single row on top
    # A single row at the bottom does not lift those above it: together they have 100.x positives of 100,001.
    rows, positives = np.array([1.0, 100_000.0, 1000.0]), np.array([0.0, 100.0, 900.0])
    bottom = fit_calibrator(ScoreGroups(np.array([0.0, 1.0, 2.0]), rows, positives), ISOTONIC_FROM)
    assert bottom.probability_numpy([0.0, 1.0]) == pytest.approx([0.001, 0.001], abs=1e-5)
    few = fit_calibrator(ScoreGroups(groups.scores, np.array([6.0, 6.0]), np.array([0.0, 6.0])), ISOTONIC_FROM)
    low, high = few.probability_numpy([0.0, 1.0])
    assert (low, high) == pytest.approx((1 / 8, 7 / 8), abs=1e-3)  # Platt's targets: 1 / (6 + 2) and 7 / 8


def test_a_score_that_says_nothing_or_the_opposite_gives_the_base_rate() -> None:
    scores, _, labels = _drawn(1000, seed=4)
    for useless in (np.zeros(1000), -scores):
        said = fit_calibrator(group_by_score(useless, labels), ISOTONIC_FROM).probability_numpy(useless)
        # (P (P + 1) / (P + 2) + N / (N + 2)) / (P + N), which is near the base rate
        assert said == pytest.approx(np.full(1000, labels.mean()), abs=0.002)


@pytest.mark.parametrize("rows", [300, 20_000])
def test_spark_says_what_numpy_says(spark: SparkSession, rows: int) -> None:
    scores, _, labels = _drawn(rows, seed=5)
    found = fit_calibrator(group_by_score(scores, labels), ISOTONIC_FROM)
    again = Calibrator.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    asked = [*np.linspace(-6, 6, 101), *(score for score, _ in found.knots[:20])]
    frame = spark.createDataFrame([(float(score),) for score in asked], "score double")
    said = [row[0] for row in frame.select(again.probability(F.col("score"))).collect()]
    np.testing.assert_allclose(said, found.probability_numpy(asked), rtol=1e-9)
    nothing = spark.createDataFrame([(None,)], "score double").select(again.probability(F.col("score")))
    assert nothing.collect()[0][0] is None


def test_one_level_for_every_score(spark: SparkSession) -> None:
    one = fit_calibrator(ScoreGroups(np.array([0.5]), np.array([2000.0]), np.array([600.0])), ISOTONIC_FROM)
    frame = spark.createDataFrame([(-1.0,), (0.5,), (2.0,)], "score double")
    assert [row[0] for row in frame.select(one.probability(F.col("score"))).collect()] == [0.3, 0.3, 0.3]


def test_groups_of_several_folds_are_added_up_by_score() -> None:
    one, other = group_by_score([1.0, 1.0, 2.0], [1, 0, 1]), group_by_score([1.0, 3.0], [0, 1])
    both = pooled([one, other])
    assert (both.scores.tolist(), both.rows.tolist(), both.positives.tolist()) == ([1, 2, 3], [3, 1, 1], [1, 1, 1])


def test_error_by_hand() -> None:
    # Two bins of two rows: .1 said and 0 seen, .8 said and .5 seen: (.1 + .3) / 2.
    assert expected_calibration_error([0.1, 0.1, 0.8, 0.8], [0, 0, 1, 0], bins=2) == pytest.approx(0.2)
    assert expected_calibration_error([], []) is None


def test_equal_probabilities_share_their_positives() -> None:
    # All say .5, so both bins see half of them positive, though the positives come first.
    found = reliability([0.5] * 4, [1, 1, 0, 0], bins=2)
    assert [one["observed_rate"] for one in found] == [0.5, 0.5]
