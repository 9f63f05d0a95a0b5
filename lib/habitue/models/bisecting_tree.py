"""The tree of a bisecting clustering: its cuts at every number of segments, and who belongs where.

One fit gives every number of segments. The leaves are the finest cut; undoing one split at a time, always of two
siblings that are both segments of the current cut, gives the coarser ones, each nested in the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F

NO_CHILD = -1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BisectingTree:
    """A binary tree of clusters, numbered from the root 0, every left subtree before its right one.

    centres: (nodes, features). sizes: rows a node. costs: sum of squared distances of a node's rows to its centre.
    left, right: a node's children, or -1 for a leaf.
    Sizes and costs are those of the fit's last round, as MLlib keeps them; walking the tree with the final centres
    may place a few rows otherwise.
    """

    centres: Floats
    sizes: Ints
    costs: Floats
    left: Ints
    right: Ints

    @classmethod
    def from_children(
        cls,
        centres: Mapping[int, Sequence[float] | Floats],
        sizes: Mapping[int, int],
        costs: Mapping[int, float],
        children: Mapping[int, Sequence[int]],
    ) -> BisectingTree:
        """The tree of nodes under any numbering; a node with a single child is replaced by that child.

        `children` holds every node, a leaf with none. The root is the node that is nobody's child.
        """
        (root,) = set(children) - {child for several in children.values() for child in several}
        order: list[int] = []
        left: list[int] = []
        right: list[int] = []

        def place(node: int) -> int:
            while len(children[node]) == 1:  # a split that left one side empty divided nothing
                node = children[node][0]
            position = len(order)
            order.append(node)
            left.append(NO_CHILD)
            right.append(NO_CHILD)
            if children[node]:
                left[position], right[position] = (place(child) for child in children[node])
            return position

        place(root)
        return cls(
            centres=np.array([centres[node] for node in order], dtype=np.float64),
            sizes=np.array([sizes[node] for node in order], dtype=np.int64),
            costs=np.array([costs[node] for node in order], dtype=np.float64),
            left=np.array(left, dtype=np.int64),
            right=np.array(right, dtype=np.int64),
        )

    @cached_property
    def parent(self) -> Ints:
        """Each node's parent; -1 for the root."""
        parent = np.full(len(self.left), NO_CHILD)
        inner = np.flatnonzero(self.left != NO_CHILD)
        parent[self.left[inner]] = inner
        parent[self.right[inner]] = inner
        return parent

    @cached_property
    def leaves(self) -> Ints:
        """The node of each leaf, from left to right: leaf l is node `leaves[l]`."""
        return np.flatnonzero(self.left == NO_CHILD)

    @property
    def leaf_count(self) -> int:
        return len(self.leaves)

    @cached_property
    def _cuts(self) -> dict[int, tuple[int, ...]]:
        nodes = tuple(int(node) for node in self.leaves)
        cuts = {len(nodes): nodes}
        while len(nodes) > 1:
            parents = {int(self.parent[node]) for node in nodes if node != 0}
            mergeable = [p for p in parents if int(self.left[p]) in nodes and int(self.right[p]) in nodes]
            cheapest = min(mergeable, key=lambda p: (self.undoing_cost(p), p))
            merged = {int(self.left[cheapest]), int(self.right[cheapest])}
            nodes = tuple(sorted(set(nodes) - merged | {cheapest}))
            cuts[len(nodes)] = nodes
        return cuts

    def undoing_cost(self, node: int) -> float:
        """By how much the total cost rises where `node`'s split is undone: Ward's nA nB / (nA + nB) |cA - cB|^2."""
        a, b = self.left[node], self.right[node]
        gap = self.centres[a] - self.centres[b]
        return float(self.sizes[a] * self.sizes[b] / (self.sizes[a] + self.sizes[b]) * (gap @ gap))

    def cut_nodes(self, segment_count: int) -> tuple[int, ...]:
        """The nodes that are the segments of the pruning with `segment_count` segments, from left to right."""
        if segment_count not in self._cuts:
            raise ValueError(f"The tree has {self.leaf_count} leaves, so no cut into {segment_count} segments.")
        return self._cuts[segment_count]

    def cut(self, segment_count: int) -> Ints:
        """(leaves,): the segment, 0 to segment_count - 1, of each leaf in the pruning with `segment_count` segments."""
        return self.leaf_segments(self.cut_nodes(segment_count))

    def prunings(self) -> dict[int, Ints]:
        """`cut` for every number of segments, from one a leaf down to a single one."""
        return {count: self.cut(count) for count in self._cuts}

    def children_of(self, node: int) -> tuple[int, int] | None:
        """The two nodes that `node` is split into; None for a leaf."""
        if self.left[node] == NO_CHILD:
            return None
        return int(self.left[node]), int(self.right[node])

    def refine(self, nodes: Sequence[int], node: int) -> tuple[int, ...]:
        """The cut `nodes` with `node` replaced by its two children."""
        children = self.children_of(node)
        if node not in nodes or children is None:
            raise ValueError(f"Node {node} is a leaf or not in the cut {tuple(nodes)}, so it cannot be split.")
        return tuple(sorted((set(nodes) - {node}) | set(children)))

    def leaf_segments(self, nodes: Sequence[int]) -> Ints:
        """(leaves,): the position in `nodes` of the node that each leaf lies under; they must cover each leaf once."""
        position = {node: segment for segment, node in enumerate(nodes)}
        above = [[position[node] for node in self.path(int(leaf)) if node in position] for leaf in self.leaves]
        used = {segment for found in above for segment in found}
        if any(len(found) != 1 for found in above) or len(used) != len(nodes):
            raise ValueError(f"The nodes {tuple(nodes)} do not cover every leaf of the tree exactly once.")
        return np.array([found[0] for found in above], dtype=np.int64)

    def path(self, node: int) -> list[int]:
        path = [node]
        while path[-1] != 0:
            path.append(int(self.parent[path[-1]]))
        return path

    def _boundary(self, node: int) -> tuple[Floats, float]:
        """(w, t): rows with w . x >= t are at least as near to the left child's centre as to the right one's."""
        a, b = self.centres[self.left[node]], self.centres[self.right[node]]
        return a - b, float((a - b) @ (a + b) / 2)

    def assign_numpy(self, rows: Floats) -> Ints:
        """(rows,): the leaf, 0 to leaf_count - 1, that each of (rows, features) reaches; ties go left, as in MLlib."""
        node = np.zeros(len(rows), dtype=np.int64)
        for inner in np.flatnonzero(self.left != NO_CHILD).tolist():
            here = np.flatnonzero(node == inner)
            weights, threshold = self._boundary(inner)
            node[here] = np.where(rows[here] @ weights >= threshold, self.left[inner], self.right[inner])
        return np.searchsorted(self.leaves, node)

    def leaf_expression(self, feature_columns: Sequence[str]) -> Column:
        """The leaf of a row (int), in Spark's own expressions; the columns are doubles without NULL or NaN."""
        leaf_of = {int(node): leaf for leaf, node in enumerate(self.leaves)}

        def below(node: int) -> Column:
            if node in leaf_of:
                return F.lit(leaf_of[node])
            weights, threshold = self._boundary(node)
            terms = [F.col(name) * F.lit(float(w)) for name, w in zip(feature_columns, weights, strict=True)]
            side = terms[0]
            for term in terms[1:]:
                side = side + term
            return F.when(side >= F.lit(threshold), below(int(self.left[node]))).otherwise(below(int(self.right[node])))

        return below(0)

    def to_rows(self) -> list[dict[str, Any]]:
        """One plain dict a node: node, left, right, size, cost, centre (list); for JSON or a DataFrame."""
        return [
            {
                "node": node,
                "left": int(self.left[node]),
                "right": int(self.right[node]),
                "size": int(self.sizes[node]),
                "cost": float(self.costs[node]),
                "centre": [float(value) for value in self.centres[node]],
            }
            for node in range(len(self.left))
        ]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> BisectingTree:
        """The tree that `to_rows` wrote, its rows in any order."""
        ordered = sorted(rows, key=lambda row: row["node"])
        return cls(
            centres=np.array([row["centre"] for row in ordered], dtype=np.float64),
            sizes=np.array([row["size"] for row in ordered], dtype=np.int64),
            costs=np.array([row["cost"] for row in ordered], dtype=np.float64),
            left=np.array([row["left"] for row in ordered], dtype=np.int64),
            right=np.array([row["right"] for row in ordered], dtype=np.int64),
        )
