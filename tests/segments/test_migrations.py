"""Moves between two snapshots, worked out by hand: what customers did themselves, apart from what a new fit did to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from two_segments import two_segments

from habitue.errors import NotApplicable
from habitue.models.segmentation import Segmentation
from habitue.tables.segments import segment_migrations

MARCH, APRIL = date(2024, 3, 1), date(2024, 4, 1)

# customer -> (segment in March, typical gap in April, segment in April, revenue of the last 365 days). March's model puts
# 5 days into segment 1 and 45 days into segment 2.
CUSTOMERS: dict[str, tuple[int | None, int | None, int | None, int | None]] = {
    "stays": (1, 5, 1, 10),
    "slows down": (1, 45, 2, 20),
    "is drawn elsewhere": (2, 45, 1, 40),
    "both": (2, 5, 3, 80),
    "new": (None, 5, 1, 160),
    "new and slow": (None, 45, 3, 320),
    "stays slow": (2, 45, 2, 640),
    "gone": (1, None, None, None),  # the only purchase was returned since
}

Moves = dict[tuple[str, int | None, int | None], tuple[int, Decimal | None]]


@dataclass(frozen=True)
class Snapshots:
    """The frames that the table reads: April's members, features and history, and March's members."""

    members: DataFrame
    features: DataFrame
    history: DataFrame
    earlier_members: DataFrame

    def rows(self, now: Segmentation, earlier: Segmentation) -> list[Any]:
        moves = segment_migrations.build(
            self.members, self.features, self.history, now, APRIL, earlier, self.earlier_members
        )
        return segment_migrations.TABLE.conform(moves).collect()


@pytest.fixture(scope="module")
def snapshots(spark: SparkSession) -> Snapshots:
    known = {c: case for c, case in CUSTOMERS.items() if case[1] is not None}
    features = [
        (c, float(gap or 0), 1, 1, float(gap or 0), Decimal(1), Decimal(revenue or 0))
        for c, (_, gap, _, revenue) in known.items()
    ]
    return Snapshots(
        spark.createDataFrame([(c, now) for c, (_, _, now, _) in known.items()], "customer_id string, segment_id int"),
        spark.createDataFrame(
            features,
            "customer_id string, typical_gap_days double, days_since_last_order int, gap_count int, "
            "gap_median_days double, amount_90d decimal(18,4), amount_365d decimal(18,4)",
        ),
        spark.createDataFrame(
            [(c, [gap]) for c, (_, gap, _, _) in known.items()], "customer_id string, gaps_days array<int>"
        ),
        spark.createDataFrame(
            [(c, then, MARCH) for c, (then, _, _, _) in CUSTOMERS.items() if then is not None],
            "customer_id string, segment_id int, as_of date",
        ),
    )


@pytest.fixture(scope="module")
def refitted(snapshots: Snapshots) -> list[Any]:
    return snapshots.rows(two_segments(APRIL), two_segments(MARCH))


def moves_of(rows: Iterable[Any]) -> Moves:
    return {
        (row["cause"], row["from_segment_id"], row["to_segment_id"]): (row["customers"], row["revenue"]) for row in rows
    }


def customers_by(rows: Iterable[Any], cause: str, side: str) -> Counter[int]:
    found: Counter[int] = Counter()
    for row in rows:
        if row["cause"] == cause and row[side] is not None:
            found[row[side]] += row["customers"]
    return found


def test_behaviour_is_told_apart_from_the_new_fit(refitted: list[Any]) -> None:
    assert moves_of(refitted) == {
        # From where they were in March to where March's model puts them in April.
        ("behaviour", 1, 1): (1, Decimal(10)),  # stays
        ("behaviour", 1, 2): (1, Decimal(20)),  # slows down
        ("behaviour", 2, 1): (1, Decimal(80)),  # both
        ("behaviour", 2, 2): (2, Decimal(680)),  # is drawn elsewhere, stays slow
        ("behaviour", None, 1): (1, Decimal(160)),  # new
        ("behaviour", None, 2): (1, Decimal(320)),  # new and slow
        ("behaviour", 1, None): (1, None),  # gone
        # From there to where April's own model puts them.
        ("re-fit", 1, 1): (2, Decimal(170)),  # stays, new
        ("re-fit", 1, 3): (1, Decimal(80)),  # both
        ("re-fit", 2, 2): (2, Decimal(660)),  # slows down, stays slow
        ("re-fit", 2, 1): (1, Decimal(40)),  # is drawn elsewhere
        ("re-fit", 2, 3): (1, Decimal(320)),  # new and slow
    }
    assert {(row["as_of"], row["earlier_as_of"]) for row in refitted} == {(APRIL, MARCH)}


def test_moves_add_up_to_the_customers_of_both_snapshots(refitted: list[Any]) -> None:
    then = Counter(then for then, _, _, _ in CUSTOMERS.values() if then is not None)
    now = Counter(now for _, _, now, _ in CUSTOMERS.values() if now is not None)
    assert customers_by(refitted, "behaviour", "from_segment_id") == then
    assert customers_by(refitted, "re-fit", "to_segment_id") == now
    between = customers_by(refitted, "behaviour", "to_segment_id")
    assert customers_by(refitted, "re-fit", "from_segment_id") == between
    for cause in ("behaviour", "re-fit"):
        assert sum(row["revenue"] or 0 for row in refitted if row["cause"] == cause) == 1270


def test_under_a_model_that_was_carried_forward_every_move_is_behaviour(snapshots: Snapshots) -> None:
    rows = snapshots.rows(two_segments(APRIL, trained_as_of=MARCH), two_segments(MARCH))
    assert moves_of(rows) == {
        ("behaviour", 1, 1): (1, Decimal(10)),
        ("behaviour", 1, 2): (1, Decimal(20)),
        ("behaviour", 2, 1): (1, Decimal(40)),
        ("behaviour", 2, 2): (1, Decimal(640)),
        ("behaviour", 2, 3): (1, Decimal(80)),
        ("behaviour", None, 1): (1, Decimal(160)),
        ("behaviour", None, 3): (1, Decimal(320)),
        ("behaviour", 1, None): (1, None),
    }


def test_without_an_earlier_snapshot_there_is_a_sentence(snapshots: Snapshots) -> None:
    frames = (snapshots.members, snapshots.features, snapshots.history)
    for earlier, members in ((None, snapshots.earlier_members), (two_segments(MARCH), None)):
        with pytest.raises(NotApplicable, match="no earlier snapshot to compare with"):
            segment_migrations.build(*frames, two_segments(APRIL), APRIL, earlier, members)
