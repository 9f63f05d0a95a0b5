"""What customers buy first, second, third and fourth, and which of these steps popularity alone does not explain."""

from __future__ import annotations

from datetime import date

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import InsightSettings
from habitue.errors import NotApplicable
from habitue.models.cohorts import EVERYONE
from habitue.models.item_journeys import judge_pairs
from habitue.models.shares import OTHER
from habitue.table import Table, as_of_column, column
from habitue.tables.insights._work_customer_items import STEPS


def build(
    _work_customer_items: DataFrame,
    segment_members: DataFrame,
    customer_features: DataFrame,
    as_of: date,
    insights: InsightSettings,
) -> DataFrame:
    level = _level(_work_customer_items, insights)
    named = _named_items(_work_customer_items, level, insights)
    members = segment_members.select("customer_id", "segment_id")
    loyalty = customer_features.select("customer_id", "is_loyal")
    customers = _work_customer_items.join(members, "customer_id", "inner").join(loyalty, "customer_id", "inner")
    # At most (items + 1)^2 pairs x 3 steps x segments come to the driver, whatever the number of customers.
    pairs = _pairs(customers, level, named).toArrow().to_pandas()
    if pairs.empty:
        raise NotApplicable("no customer has two purchase days in a row with a known item")
    judged = _with_loyalty(judge_pairs(pairs)).assign(as_of=as_of, item_level=level)
    plain = judged.astype(object).where(judged.notna(), None)
    return _work_customer_items.sparkSession.createDataFrame(
        list(plain[TABLE.columns].itertuples(index=False, name=None)), TABLE.schema
    )


def _level(items: DataFrame, insights: InsightSettings) -> str:
    """product or category, as configured; `auto` is categories where a product of the first steps has one."""
    if insights.item_level == "product":
        return "product"
    has_categories = not items.where(F.exists("steps", lambda s: s["category"].isNotNull())).limit(1).isEmpty()
    if insights.item_level == "category" and not has_categories:
        raise NotApplicable("insights.item_level is category, and no product that was bought has one")
    return "category" if has_categories else "product"


def _item(step: Column, level: str) -> Column:
    return step["product_id" if level == "product" else "category"]


def _named_items(items: DataFrame, level: str, insights: InsightSettings) -> list[str]:
    """The items of most customers among the first purchases; only they are kept apart. Chosen for everyone alike."""
    each = items.select(F.explode(F.array_distinct(F.transform("steps", lambda s: _item(s, level)))).alias("item"))
    sizes = each.where(F.col("item").isNotNull()).groupBy("item").agg(F.count(F.lit(1)).alias("customers"))
    large = sizes.where(F.col("customers") >= insights.min_journey_support)
    named = [row["item"] for row in large.orderBy(F.desc("customers"), "item").limit(insights.journey_items).collect()]
    if not named:
        raise NotApplicable(
            f"no {level} is among the first purchases of {insights.min_journey_support} customers "
            "(insights.min_journey_support)"
        )
    return named


def _pairs(customers: DataFrame, level: str, named: list[str]) -> DataFrame:
    """One row per segment, step and pair of items: a customer counts once, since it takes each step once."""
    length = F.greatest(F.size("steps") - 1, F.lit(0))
    taken = F.zip_with(
        F.slice("steps", F.lit(1), length),
        F.slice("steps", F.lit(2), length),
        lambda a, b: F.when(
            b["step"] == a["step"] + 1,
            F.struct(
                a["step"].alias("step"),
                _pooled(_item(a, level), named).alias("from_item"),
                _pooled(_item(b, level), named).alias("to_item"),
                F.datediff(b["day"], a["day"]).alias("days"),
            ),
        ),
    )
    segments = F.explode(F.array(F.lit(EVERYONE), F.col("segment_id"))).alias("segment_id")
    steps = customers.select(F.col("is_loyal"), segments, taken.alias("taken"))
    flat = steps.select("segment_id", "is_loyal", F.explode("taken").alias("taken")).select(
        "segment_id", "is_loyal", "taken.*"
    )
    known = flat.where(F.col("from_item").isNotNull() & F.col("to_item").isNotNull())
    return known.groupBy("segment_id", "step", "from_item", "to_item").agg(
        F.count(F.lit(1)).alias("customers"),
        F.count_if("is_loyal").alias("loyal"),
        F.percentile("days", F.lit(0.5)).alias("median_days"),
    )


def _pooled(item: Column, named: list[str]) -> Column:
    return F.when(item.isin(*named), item).when(item.isNotNull(), F.lit(OTHER))


def _with_loyalty(pairs: pd.DataFrame) -> pd.DataFrame:
    """How many of those who took the step are loyal, against those who went from the same item to another."""
    loyal_from = pairs.groupby(["segment_id", "step", "from_item"])["loyal"].transform("sum")
    others = pairs["from_customers"] - pairs["customers"]
    compared: pd.DataFrame = pairs.assign(
        is_same_item=(pairs["from_item"] == pairs["to_item"]) & (pairs["from_item"] != OTHER),
        loyal_share=pairs["loyal"] / pairs["customers"],
        other_loyal_share=((loyal_from - pairs["loyal"]) / others).where(others > 0),
    )
    return compared


TABLE = Table(
    name="item_journeys",
    grain="One row per as-of, segment, step, item of the step, and item of the next, where somebody took it.",
    key=("as_of", "segment_id", "step", "from_item", "to_item"),
    schema=StructType(
        [
            as_of_column(),
            column("segment_id", "int", "The segment; 0 is everyone."),
            column("item_level", "string", "What the items are: product or category."),
            column("step", "int", f"1 is from the first purchase day to the second; the last is {STEPS - 1}."),
            column(
                "from_item",
                "string",
                "The item of the largest net amount on the step's purchase day; (other) are those of few customers.",
            ),
            column("to_item", "string", "The same of the next purchase day."),
            column("is_same_item", "boolean", "The customers stayed with the item. (other) is no one item."),
            column("customers", "bigint", "Customers who took this step."),
            column("from_customers", "bigint", "Customers with from_item at this step who have a next item."),
            column("share", "double", "customers / from_customers."),
            column(
                "expected_share",
                "double",
                "The null: share of to_item among all customers of the segment who took this step.",
            ),
            column("lift", "double", "share / expected_share."),
            column(
                "p_value", "double", "Chance of so many or more if the next item were drawn by popularity: binomial."
            ),
            column(
                "p_value_adjusted",
                "double",
                "The same adjusted for all pairs of all steps and segments (Benjamini-Hochberg).",
            ),
            column("median_days", "double", "Median days between the two purchase days."),
            column("loyal_share", "double", "Share of the customers who took this step that are loyal as of as_of."),
            column(
                "other_loyal_share",
                "double",
                "The same of those who went from from_item to another; NULL where there are none.",
                nullable=True,
            ),
        ]
    ),
    checks={
        "shares": "share BETWEEN 0 AND 1 AND expected_share BETWEEN 0 AND 1",
        "adjusted_upwards": "p_value_adjusted >= p_value AND p_value_adjusted <= 1",
        "known_step": f"step BETWEEN 1 AND {STEPS - 1}",
    },
    build=build,
)
