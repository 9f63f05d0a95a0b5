"""A readable rule for each segment: a shallow tree that reproduces the membership, and how well it does on other customers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import permutations
from operator import and_, or_

from pyspark.ml.classification import DecisionTreeClassifier
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

DEPTH = 4  # a rule of more than four conditions is not readable
BRANCHES = 2  # the largest ways into a segment that a rule tells; where it has more, its fidelity shows it
LEAST_WAY = 0.1  # of the members, for a further way to be worth telling
BINS = 64  # thresholds that are tried for a feature: with MLlib's 32 a rule at a quantile is missed by up to 3 %

Conditions = dict[str, tuple[float | None, float | None]]  # feature -> (more than, at most)

WORDS = {
    "purchase_days_per_month": "purchase days a month",
    "average_order_value": "average order value",
    "days_since_last_order": "days since the last order",
    "typical_gap_days": "typical gap in days",
    "breadth": "different products",
    "discount_share": "discount share",
}
WHOLE_NUMBERS = frozenset({"days_since_last_order", "breadth"})  # "over 33.5 days" is "over 33 days"


@dataclass(frozen=True)
class Rule:
    """text: conditions in words. fidelity: of customers that it was not learned from, 2 x both / (in the rule + in the
    segment), the rule being what the text tells; None where there are none of them."""

    text: str
    fidelity: float | None


def segment_rules(
    members: DataFrame, features: Sequence[str], segment_ids: Sequence[int], seed: int
) -> dict[int, Rule]:
    """A rule per segment id. members: segment_id, customer_id and the features (doubles without NULL), one row a customer."""
    if len(segment_ids) == 1:
        return {segment_ids[0]: Rule("everybody", 1.0)}
    label = F.array_position(F.array(*map(F.lit, segment_ids)), F.col("segment_id")) - 1
    rows = members.select("customer_id", label.cast("double").alias("label"), *features)
    is_learning = F.pmod(F.xxhash64("customer_id", F.lit("rules")), F.lit(2)) == 0
    learning, others = rows.where(is_learning), rows.where(~is_learning)
    vectors = VectorAssembler(inputCols=list(features), outputCol="features").transform(learning)
    tree = DecisionTreeClassifier(maxDepth=DEPTH, maxBins=BINS, seed=seed).fit(vectors)
    branches = _branches(tree.toDebugString, features)
    ways = [branches.get(i, []) for i in range(len(segment_ids))]
    told = _largest(learning, ways)
    fidelities = _fidelities(others, told)
    return {s: Rule(_in_words(told[i], len(ways[i])), fidelities[i]) for i, s in enumerate(segment_ids)}


def _largest(learning: DataFrame, ways: Sequence[Sequence[Conditions]]) -> list[list[Conditions]]:
    """Of each segment's ways, those that most of its members take, the largest first: `BRANCHES` at most."""
    places = [(segment, way) for segment, several in enumerate(ways) for way in several]
    taken = [F.count_if((F.col("label") == segment) & _holds(way)) for segment, way in places]
    counts = learning.agg(*taken).collect()[0]
    found: list[list[Conditions]] = []
    for segment in range(len(ways)):
        own = [(count, way) for count, (s, way) in zip(counts, places, strict=True) if s == segment]
        largest = sorted(own, key=lambda pair: -pair[0])[:BRANCHES]
        least = LEAST_WAY * sum(count for count, _ in own)
        found.append([way for count, way in largest if count >= least])
    return found


def _fidelities(others: DataFrame, told: Sequence[Sequence[Conditions]]) -> list[float | None]:
    """F1 of each segment's rule on customers that it was not learned from; None where there are none of either."""
    sums = []
    for segment, ways in enumerate(told):
        is_member = F.col("label") == segment
        in_rule = reduce(or_, map(_holds, ways), F.lit(False))
        sums += [F.count_if(is_member & in_rule), F.count_if(is_member), F.count_if(in_rule)]
    counts = others.agg(*sums).collect()[0]
    found: list[float | None] = []
    for at in range(0, len(counts), 3):
        both, members, ruled = counts[at : at + 3]
        found.append(2 * both / (members + ruled) if members + ruled else None)
    return found


def _holds(way: Conditions) -> Column:
    conditions = [F.col(name) > low for name, (low, _) in way.items() if low is not None]
    conditions += [F.col(name) <= high for name, (_, high) in way.items() if high is not None]
    return reduce(and_, conditions, F.lit(True))


def _branches(text: str, features: Sequence[str]) -> dict[int, list[Conditions]]:
    """The ways into each class, from the tree as MLlib prints it: If/Else lines by depth, then Predict."""
    path: list[tuple[str, bool, float]] = []
    found: dict[int, list[Conditions]] = {}
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        split = re.match(r"\s*(?:If|Else) \(feature (\d+) (<=|>) (\S+)\)", line)
        if split:
            del path[depth - _INDENT :]
            name = features[int(split[1])]
            path.append((name, split[2] == "<=", _readable(name, float(split[3]))))
        leaf = re.match(r"\s*Predict: (\S+)", line)
        if leaf:
            del path[depth - _INDENT :]
            found.setdefault(int(float(leaf[1])), []).append(_joined(path))
    return {segment: _merged(ways) for segment, ways in found.items()}


_INDENT = 2  # spaces before the root's If, and one more for each level below it


def _readable(name: str, threshold: float) -> float:
    """The threshold as it will be told, so that the fidelity is that of the words: three digits, or whole numbers."""
    if name in WHOLE_NUMBERS:
        return float(math.floor(threshold))
    return float(f"{threshold:.3g}") if abs(threshold) < 100 else float(round(threshold))


def _joined(path: Sequence[tuple[str, bool, float]]) -> Conditions:
    limits: Conditions = {}
    for name, is_most, value in path:
        low, high = limits.get(name, (None, None))
        if is_most:
            limits[name] = (low, value if high is None else min(high, value))
        else:
            limits[name] = (value if low is None else max(low, value), high)
    return limits


def _merged(ways: list[Conditions]) -> list[Conditions]:
    """Ways of which one goes on where the other ends, in one feature and alike in all others, are one way."""
    for one, other in permutations(ways, 2):
        differing = [n for n in {*one, *other} if one.get(n) != other.get(n)]
        if len(differing) == 1 and differing[0] in one and differing[0] in other:
            (a, b), (c, d) = one[differing[0]], other[differing[0]]
            if b is not None and b == c:
                rest = {n: v for n, v in one.items() if n != differing[0]}
                united = rest if a is None and d is None else {**rest, differing[0]: (a, d)}
                return _merged([united, *(w for w in ways if w is not one and w is not other)])
    return ways


def _in_words(told: Sequence[Conditions], way_count: int) -> str:
    if not told:
        return "no simple rule: the shallow tree has no branch for it"
    texts = [" and ".join(_condition(n, limits) for n, limits in way.items()) or "everybody else" for way in told]
    largest = "largest" if len(told) == 1 else f"{len(told)} largest"
    more = f" (the {largest} of {way_count} ways)" if way_count > len(told) else ""
    return "; or ".join(texts) + more


def _condition(name: str, limits: tuple[float | None, float | None]) -> str:
    low, high = limits
    words = WORDS.get(name, name.replace("_", " "))
    if low is not None and high is not None:
        first = low + 1 if name in WHOLE_NUMBERS else low
        return f"{words} {_number(first)} to {_number(high)}" if first != high else f"{words} {_number(high)}"
    return f"{words} over {_number(low)}" if low is not None else f"{words} up to {_number(high)}"


def _number(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and abs(value) >= 100 else f"{value:g}"
