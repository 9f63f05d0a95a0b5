"""What was sent to whom."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.sources.cleaning import kept
from habitue.table import Table, column


def build(judged_sends: DataFrame, campaigns: DataFrame) -> DataFrame:
    starts = campaigns.select("campaign_id", "starts_on")
    sent_on = F.col("sent_at_day") if "sent_at_day" in judged_sends.columns else F.lit(None).cast("date")
    dated = judged_sends.join(starts, "campaign_id", "left").withColumn("known_day", F.coalesce(sent_on, "starts_on"))
    return kept(dated, TABLE.schema)


TABLE = Table(
    name="sends",
    grain="One row per campaign and customer.",
    key=("campaign_id", "customer_id"),
    known_by="known_day",
    schema=StructType(
        [
            column("campaign_id", "string", "The campaign."),
            column("customer_id", "string", "Who it was sent to."),
            column("sent_at", "timestamp", "When, UTC; NULL where only the campaign is known.", nullable=True),
            column(
                "known_day",
                "date",
                "Shop-local date of the sending, else the campaign's first; NULL where neither is known.",
                nullable=True,
            ),
            column("arm", "string", "Arm of an experiment.", nullable=True),
        ]
    ),
    build=build,
)
