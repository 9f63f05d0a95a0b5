import json

import numpy as np
import pytest
from pyspark.sql import SparkSession

from habitue.models.bisecting_kmeans import fit_local
from habitue.models.bisecting_tree import BisectingTree


def four_leaves() -> BisectingTree:
    """One feature, equal leaves of 10 rows at 0, 1, 10 and 14: nodes 0 (1: 2 at 0, 3 at 1) (4: 5 at 10, 6 at 14)."""
    return BisectingTree.from_children(
        centres={-1: [6.25], -2: [0.5], 0: [0.0], 1: [1.0], -3: [12.0], 2: [10.0], 3: [14.0]},
        sizes={-1: 40, -2: 20, 0: 10, 1: 10, -3: 20, 2: 10, 3: 10},
        costs={-1: 1402.5, -2: 5.0, 0: 0.0, 1: 0.0, -3: 80.0, 2: 0.0, 3: 0.0},
        children={-1: [-2, -3], -2: [0, 1], -3: [2, 3], 0: [], 1: [], 2: [], 3: []},
    )


def test_nodes_are_numbered_from_the_root_with_left_subtrees_first() -> None:
    tree = four_leaves()
    assert tree.centres[:, 0].tolist() == [6.25, 0.5, 0.0, 1.0, 12.0, 10.0, 14.0]
    assert tree.parent.tolist() == [-1, 0, 1, 1, 0, 4, 4]
    assert tree.leaves.tolist() == [2, 3, 5, 6]


def test_the_cheapest_split_is_undone_first() -> None:
    tree = four_leaves()
    # 10 * 10 / 20 * 1^2 = 5 against 5 * 4^2 = 80, then 20 * 20 / 40 * 11.5^2 = 1322.5.
    assert [tree.undoing_cost(node) for node in (1, 4, 0)] == [5.0, 80.0, 1322.5]
    assert {count: cut.tolist() for count, cut in tree.prunings().items()} == {
        4: [0, 1, 2, 3],
        3: [0, 0, 1, 2],
        2: [0, 0, 1, 1],
        1: [0, 0, 0, 0],
    }
    assert tree.cut_nodes(3) == (1, 5, 6)


def test_only_siblings_are_merged_though_other_leaves_are_nearer() -> None:
    # Leaves at 0, 9 | 10, 30: 9 and 10 are nearest, but no siblings, so 0 and 9 are merged first.
    tree = BisectingTree.from_children(
        centres={0: [12.25], 1: [4.5], 2: [20.0], 3: [0.0], 4: [9.0], 5: [10.0], 6: [30.0]},
        sizes={0: 4, 1: 2, 2: 2, 3: 1, 4: 1, 5: 1, 6: 1},
        costs=dict.fromkeys(range(7), 0.0),
        children={0: [1, 2], 1: [3, 4], 2: [5, 6], 3: [], 4: [], 5: [], 6: []},
    )
    assert tree.cut(3).tolist() == [0, 0, 1, 2]


def test_every_cut_is_nested_in_the_finer_one() -> None:
    tree = random_tree()
    for count in range(2, tree.leaf_count + 1):
        pairs = set(zip(tree.cut(count).tolist(), tree.cut(count - 1).tolist(), strict=True))
        assert len(pairs) == count  # each finer segment lies in one coarser segment


def test_a_segment_is_refined_into_its_two_children() -> None:
    tree = four_leaves()
    assert tree.children_of(4) == (5, 6)
    assert tree.children_of(5) is None
    refined = tree.refine(tree.cut_nodes(2), 4)
    assert refined == (1, 5, 6)
    assert tree.leaf_segments(refined).tolist() == [0, 0, 1, 2]


def test_what_is_no_cut_is_refused() -> None:
    tree = four_leaves()
    with pytest.raises(ValueError, match="4 leaves"):
        tree.cut(5)
    with pytest.raises(ValueError, match="cannot be split"):
        tree.refine((1, 4), 0)
    for nodes in [(1,), (1, 4, 5), (1, 2, 4)]:
        with pytest.raises(ValueError, match="exactly once"):
            tree.leaf_segments(nodes)


def test_a_node_with_one_child_is_that_child() -> None:
    tree = BisectingTree.from_children(
        centres={-1: [1.0], -2: [0.0], 0: [0.0], 1: [3.0]},
        sizes={-1: 3, -2: 2, 0: 2, 1: 1},
        costs={-1: 6.0, -2: 0.0, 0: 0.0, 1: 0.0},
        children={-1: [-2, 1], -2: [0], 0: [], 1: []},
    )
    assert (tree.leaf_count, tree.cut(1).tolist(), tree.cut(2).tolist()) == (2, [0, 0], [0, 1])


def test_rows_walk_the_tree_and_ties_go_left() -> None:
    # The first boundary is at (0.5 + 12) / 2 = 6.25, so 6.25 goes left and from there to the centre 1;
    # 11.9 goes right, where 10 is nearer than 14.
    rows = np.array([[-3.0], [0.4], [0.5], [6.25], [6.3], [11.9], [12.1]])
    assert four_leaves().assign_numpy(rows).tolist() == [0, 0, 0, 1, 2, 2, 3]


def test_a_tree_survives_json() -> None:
    tree = random_tree()
    read = BisectingTree.from_rows(json.loads(json.dumps(tree.to_rows()[::-1])))
    for name in ("centres", "sizes", "costs", "left", "right"):
        assert np.array_equal(getattr(read, name), getattr(tree, name))


def test_spark_places_rows_as_numpy_does(spark: SparkSession) -> None:
    tree = random_tree()
    rows = np.random.default_rng(5).normal(3.0, 2.0, (500, 4))
    columns = ["a", "b", "c", "d"]
    frame = spark.createDataFrame([(i, *row) for i, row in enumerate(rows.tolist())], ["row", *columns])
    found = frame.select("row", tree.leaf_expression(columns).alias("leaf")).orderBy("row").collect()
    assert [row["leaf"] for row in found] == tree.assign_numpy(rows).tolist()


def random_tree() -> BisectingTree:
    rows = np.random.default_rng(4).normal(3.0, 2.0, (2000, 4))
    return fit_local(rows, max_leaves=12, max_iter=5, seed=1)
