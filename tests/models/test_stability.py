import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from habitue.models.bisecting_kmeans import fit_local
from habitue.models.bisecting_tree import Floats
from habitue.models.stability import Stability, adjusted_rand, best_jaccards, contingency_table, stability


def three_clouds(rows: int) -> Floats:
    rng = np.random.default_rng(3)
    return np.array([[1.0, 1.0], [9.0, 1.0], [1.0, 21.0]])[rng.integers(3, size=rows)] + rng.normal(0, 0.5, (rows, 2))


def judge(rows: Floats, counts: list[int], seed: int) -> dict[int, Stability]:
    tree = fit_local(rows, max_leaves=8, max_iter=5, seed=1)
    return stability(rows, tree, counts, refits=5, share=0.8, max_leaves=8, max_iter=5, seed=seed)


@pytest.mark.parametrize(("labels", "others"), [(4, 3), (2, 9), (1, 5), (6, 6)])
def test_adjusted_rand_as_in_scikit_learn(labels: int, others: int) -> None:
    rng = np.random.default_rng(labels)
    first = rng.integers(labels, size=500)
    second = (first + rng.integers(2, size=500)) % others
    table = contingency_table(first, second, labels, others)
    assert adjusted_rand(table) == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)


def test_adjusted_rand_of_trivial_partitions_is_one() -> None:
    assert adjusted_rand(np.array([[7.0]])) == 1.0
    assert adjusted_rand(np.array([[1.0]])) == 1.0
    assert adjusted_rand(np.eye(5)) == 1.0


def test_best_jaccards_by_hand() -> None:
    # Six rows {0,1,2}, {3,4,5} against {0,1}, {2,3,4,5}: 2 / 3 for the first, 3 / 4 for the second.
    table = contingency_table(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1]), 3, 2)
    assert table.tolist() == [[2, 1], [0, 3], [0, 0]]
    assert best_jaccards(table) == pytest.approx([2 / 3, 3 / 4, np.nan], nan_ok=True)


def test_planted_groups_come_back_and_finer_cuts_do_not() -> None:
    judged = judge(three_clouds(1500), [1, 2, 3, 8], seed=4)
    assert judged[1] == Stability(1.0, 1.0)
    assert judged[3] == Stability(1.0, 1.0)
    # Beyond three the clouds are cut at random.
    assert judged[8].stability < 0.9
    assert judged[8].lowest_jaccard < 0.8


def test_the_seed_decides() -> None:
    rows = np.random.default_rng(1).normal(5.0, 1.0, (400, 3))
    assert judge(rows, [4], seed=4) == judge(rows, [4], seed=4)
    assert judge(rows, [4], seed=4) != judge(rows, [4], seed=5)


def test_a_refit_with_fewer_leaves_is_compared_as_it_is() -> None:
    # One row of 8 differs from all others: samples without it have a single leaf.
    rows = np.array([[1.0, 1.0]] * 7 + [[4.0, 4.0]])
    judged = judge(rows, [2], seed=2)
    # Such a refit has Rand 0, and Jaccard 1 / 8 for the lone row.
    assert 0.0 <= judged[2].stability <= 1.0
    assert 1 / 8 <= judged[2].lowest_jaccard <= 1.0
