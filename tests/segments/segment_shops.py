"""Simulated shops whose truth is known, and their tables of segments as a run makes them, from order lines on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy import stats

from habitue.config import Config, resolve
from habitue.models.segmentation import Segmentation
from habitue.models.stability import adjusted_rand, contingency_table
from habitue.tables.clean import order_lines
from habitue.tables.features import _work_known_orders, customer_features, customer_history
from habitue.tables.segments import _work_fit_features, segment_candidates, segment_members, segments

AS_OF = date(2024, 1, 1)
RHYTHMS = (7, 30, 90)  # days: weekly, monthly, quarterly
NOTHING_EARLIER: dict[str, Any] = {"earlier_segmentation": None, "promoted_segmentation": None}


@dataclass(frozen=True)
class Group:
    """Customers who buy in one rhythm. gap_days: the median gap. regularity: the Gamma shape of the gaps, 1 is Poisson.

    order_value: the median of what they spend a time.
    """

    customers: int
    gap_days: float
    regularity: float
    order_value: float = 30.0


@dataclass(frozen=True)
class Shop:
    """What the tables say of a shop as of AS_OF; `features`, `history` and `fit_features` are theirs too."""

    config: Config
    features: DataFrame
    history: DataFrame
    fit_features: DataFrame
    model: Segmentation
    candidates: pd.DataFrame
    members: pd.DataFrame
    segments: pd.DataFrame

    @property
    def chosen(self) -> pd.Series:
        (row,) = [row for _, row in self.candidates.iterrows() if row["is_chosen"]]
        return row


def purchases(groups: Sequence[Group], days: int, seed: int) -> pd.DataFrame:
    """One row a purchase day of the `days` before AS_OF: customer_id (g<group>-<number>), day, amount.

    Everybody has been buying for five mean gaps or more when the record begins, so the first gap is like any other.
    """
    chance = np.random.default_rng(seed)
    found = []
    for number, group in enumerate(groups):
        gaps = stats.gamma(group.regularity, scale=group.gap_days / stats.gamma.ppf(0.5, group.regularity))
        before = 5 * gaps.mean()
        steps = int(2 * (days + 2 * before) / gaps.mean()) + 40
        start = chance.uniform(-2 * before, -before, (group.customers, 1))
        at = start + gaps.rvs((group.customers, steps), random_state=chance).cumsum(axis=1)
        assert at[:, -1].min() > days  # nobody runs out of simulated purchases
        who, when = np.nonzero((at >= 0) & (at < days))
        bought = np.unique(np.stack([who, np.floor(at[who, when]).astype(int)], axis=1), axis=0)
        own = group.order_value * np.exp(0.3 * chance.standard_normal(group.customers))
        spent = own[bought[:, 0]] * np.exp(0.3 * chance.standard_normal(len(bought)))
        first_day = AS_OF - timedelta(days=days)
        found.append(
            pd.DataFrame(
                {
                    "customer_id": [f"g{number}-{i:04}" for i in bought[:, 0]],
                    "day": [first_day + timedelta(days=int(d)) for d in bought[:, 1]],
                    "amount": np.round(spent, 2),
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def three_rhythms() -> pd.DataFrame:
    """Two years of 450 customers who buy weekly, monthly or quarterly, a third each, with gaps of Gamma(8)."""
    return purchases([Group(150, gap, regularity=8) for gap in RHYTHMS], 730, seed=2)


def lines_of(spark: SparkSession, bought: pd.DataFrame | DataFrame) -> DataFrame:
    """Order lines of purchases (customer_id, day and, unless it is a shop of dates only, amount), one line an order."""
    frame = bought if isinstance(bought, DataFrame) else spark.createDataFrame(bought)
    amount = F.col("amount") if "amount" in frame.columns else F.lit(None)
    order_id = F.concat_ws("/", "customer_id", "day")
    columns = {
        "line_id": order_id,
        "order_id": order_id,
        "customer_id": F.col("customer_id"),
        "ordered_at": F.col("day").cast("timestamp"),
        "order_day": F.col("day"),
        "known_day": F.col("day"),
        "amount": amount,
        "is_reconciled": F.lit(False),
        "is_return": F.lit(False),
    }
    types = {field.name: field.dataType for field in order_lines.TABLE.schema.fields}
    return frame.select(*(columns.get(n, F.lit(None)).cast(t).alias(n) for n, t in types.items()))


def build_shop(
    spark: SparkSession, folder: Path, bought: pd.DataFrame | DataFrame, config: Config | None = None
) -> Shop:
    """Every table up to the segments, as of AS_OF, from purchases; each is written and read back, as in a run."""
    config = config or resolve().config

    def kept(name: str, frame: DataFrame) -> DataFrame:
        frame.write.mode("overwrite").parquet(str(folder / name))
        return spark.read.parquet(str(folder / name))

    lines = kept("lines", lines_of(spark, bought)).where(F.col("known_day") < F.lit(AS_OF))
    history = kept("history", customer_history.build(_work_known_orders.build(lines, AS_OF), lines, AS_OF))
    features = kept("features", customer_features.build(history, AS_OF, config.features, config.loyal))
    fit_features = kept(
        "fit",
        _work_fit_features.build(
            lines, history, AS_OF, config.features, config.loyal, config.segments, **NOTHING_EARLIER
        ),
    )
    selection = select(folder, fit_features, features, history, config)
    model = Segmentation.from_json(selection.segmentation.to_json())  # as the next step finds it
    members = kept("members", segment_members.build(features, history, model, AS_OF))
    described = segments.build(members, features, history, model, AS_OF, config.segments)
    return Shop(
        config,
        features,
        history,
        fit_features,
        model,
        conformed(segment_candidates.TABLE, selection.segment_candidates),
        conformed(segment_members.TABLE, members),
        conformed(segments.TABLE, described),
    )


def select(
    folder: Path, fit_features: DataFrame, features: DataFrame, history: DataFrame, config: Config
) -> segment_candidates.Selection:
    """The choice of segments where there is no earlier snapshot."""
    return segment_candidates.build(
        fit_features,
        features,
        history,
        AS_OF,
        config.segments,
        model_path=str(folder / "model"),
        earlier_segment_members=None,
        earlier_segments=None,
        **NOTHING_EARLIER,
    )


def conformed(table: Any, frame: DataFrame) -> pd.DataFrame:
    """The rows as the table's contract has them."""
    return table.conform(frame).toPandas()


def agreement(members: pd.DataFrame, segment: str = "segment_id") -> float:
    """Adjusted Rand index of the segments with the groups that the customers' ids begin with."""
    truth, _ = pd.factorize(members["customer_id"].str.split("-").str[0])
    found, _ = pd.factorize(members[segment])
    return adjusted_rand(contingency_table(truth, found, truth.max() + 1, found.max() + 1))


def assert_three_rhythms(shop: Shop) -> None:
    """What holds of the shop of `three_rhythms`, on whatever kind of session it was built."""
    by_silhouette = shop.candidates.loc[shop.candidates["silhouette"].idxmax()]
    assert by_silhouette["segment_count"] == 2  # the weekly buyers against all others, or the quarterly ones
    assert shop.chosen["segment_count"] == 3
    assert shop.chosen["published_gain_low"] > 0
    assert agreement(shop.members) >= 0.9
    assert shop.model.summary.startswith("3 segments: ")


def assert_planted_cycles(shop: Shop) -> None:
    """Each segment's cycle is its group's, within 5 %; Gamma(8) has R = .42, so messages may be timed by date."""
    found = shop.segments.sort_values("cycle_days")
    assert list(found["cycle_days"]) == pytest.approx(RHYTHMS, rel=0.05)
    assert list(found["verdict"]) == ["representative"] * 3
    assert list(found["is_regular"]) == [True] * 3
    assert list(found["concentration"]) == pytest.approx([0.42] * 3, abs=0.1)
    assert found["name"].is_unique
    assert (found["rule_fidelity"] > 0.9).all()
