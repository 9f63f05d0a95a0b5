"""The responses to campaigns."""

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from habitue.sources.cleaning import kept
from habitue.table import Table, column


def build(judged_responses: DataFrame) -> DataFrame:
    return kept(judged_responses.withColumnRenamed("responded_at_day", "known_day"), TABLE.schema)


TABLE = Table(
    name="responses",
    grain="One row per campaign, customer and time of a response.",
    key=("campaign_id", "customer_id", "responded_at"),
    known_by="known_day",
    schema=StructType(
        [
            column("campaign_id", "string", "The campaign."),
            column("customer_id", "string", "Who responded."),
            column("responded_at", "timestamp", "When, UTC."),
            column("known_day", "date", "The same as a shop-local date."),
        ]
    ),
    build=build,
)
