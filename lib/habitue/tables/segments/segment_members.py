"""Who is in which segment: one pass, with the centres and cycles of the model fixed."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.models.segmentation import Segmentation, place
from habitue.table import Table, as_of_column, column
from habitue.tables.segments.segment_candidates import customers_of


def build(
    customer_features: DataFrame, customer_history: DataFrame, segmentation: Segmentation, as_of: date
) -> DataFrame:
    customers = customers_of(customer_features, customer_history)
    own_cycle = customers.select("customer_id", F.col("gap_median_days").alias("own_cycle_days"))
    placed = place(segmentation, customers)
    return placed.join(own_cycle, "customer_id", "inner").withColumn("as_of", F.lit(as_of))


TABLE = Table(
    name="segment_members",
    grain="One row per as-of and customer with a purchase day before it.",
    key=("as_of", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("customer_id", "string", "The customer."),
            column("segment_id", "int", "The segment."),
            column(
                "membership", "string", "core, fringe (nearer to another, or in another rhythm), outside (in none's)."
            ),
            column("own_cycle_days", "double", "The customer's own median gap, days.", nullable=True),
            column(
                "silhouette",
                "double",
                "How much nearer to the segment that the tree gives than to the next, -1 to 1; below 0 of those who moved there.",
                nullable=True,
            ),
        ]
    ),
    checks={"known_membership": "membership IN ('core', 'fringe', 'outside')"},
    build=build,
)
