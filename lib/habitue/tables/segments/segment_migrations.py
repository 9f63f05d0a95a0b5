"""Who moved between segments since the snapshot before, and whether by behaviour or by a new fit."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.errors import NotApplicable
from habitue.models.segmentation import Segmentation, place
from habitue.table import Table, as_of_column, column
from habitue.tables.segments.segment_candidates import customers_of


def build(
    segment_members: DataFrame,
    customer_features: DataFrame,
    customer_history: DataFrame,
    segmentation: Segmentation,
    as_of: date,
    earlier_segmentation: Segmentation | None,
    earlier_segment_members: DataFrame | None,
) -> DataFrame:
    """The moves since any one earlier snapshot, whose model and members are given; a run gives the newest."""
    if earlier_segmentation is None or earlier_segment_members is None:
        raise NotApplicable("there is no earlier snapshot to compare with")
    now = segment_members.select("customer_id", F.col("segment_id").alias("now"))
    then = earlier_segment_members.select("customer_id", F.col("segment_id").alias("then"))
    is_refit = segmentation.trained_as_of != earlier_segmentation.trained_as_of
    if is_refit:
        customers = customers_of(customer_features, customer_history)
        by_old_model = place(earlier_segmentation, customers).select(
            "customer_id", F.col("segment_id").alias("between")
        )
    else:
        by_old_model = now.withColumnRenamed("now", "between")
    revenue = customer_features.select("customer_id", F.col("amount_365d").alias("revenue"))
    known = by_old_model.join(revenue, "customer_id", "inner")
    by_behaviour = _moves(then.join(known, "customer_id", "full"), "then", "between", "behaviour")
    moves = by_behaviour
    if is_refit:
        moves = by_behaviour.unionByName(_moves(known.join(now, "customer_id", "inner"), "between", "now", "re-fit"))
    days = F.lit(as_of).alias("as_of"), F.lit(earlier_segmentation.as_of).alias("earlier_as_of")
    return moves.select(*days, "cause", "from_segment_id", "to_segment_id", "customers", "revenue")


def _moves(pairs: DataFrame, before: str, after: str, cause: str) -> DataFrame:
    return pairs.groupBy(F.col(before).alias("from_segment_id"), F.col(after).alias("to_segment_id")).agg(
        F.lit(cause).alias("cause"),
        F.count(F.lit(1)).alias("customers"),
        F.sum("revenue").cast("decimal(28,4)").alias("revenue"),
    )


TABLE = Table(
    name="segment_migrations",
    grain="One row per as-of, cause, and pair of segments before and after; NULL is: not a customer then.",
    key=("as_of", "cause", "from_segment_id", "to_segment_id"),
    schema=StructType(
        [
            as_of_column(),
            column("earlier_as_of", "date", "The snapshot before."),
            column("cause", "string", "behaviour: old model, new data; re-fit: new model, same data."),
            column("from_segment_id", "int", "Before; NULL for new customers.", nullable=True),
            column("to_segment_id", "int", "After; NULL for customers no longer known.", nullable=True),
            column("customers", "bigint", "Customers who went this way, or stayed where both are the same."),
            column("revenue", "decimal(28,4)", "Their net amount of the last 365 days.", nullable=True),
        ]
    ),
    checks={"known_cause": "cause IN ('behaviour', 're-fit')"},
    build=build,
)
