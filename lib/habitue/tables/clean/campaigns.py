"""The campaigns: plans, so they may lie after the as-of."""

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from habitue.sources.cleaning import kept
from habitue.table import Table, column


def build(judged_campaigns: DataFrame) -> DataFrame:
    return kept(judged_campaigns, TABLE.schema)


TABLE = Table(
    name="campaigns",
    grain="One row per campaign.",
    key=("campaign_id",),
    schema=StructType(
        [
            column("campaign_id", "string", "The campaign."),
            column("starts_on", "date", "First shop-local day."),
            column("ends_on", "date", "Last shop-local day."),
            column("kind", "string", "Kind of campaign.", nullable=True),
        ]
    ),
    checks={"ends_after_it_starts": "ends_on >= starts_on"},
    build=build,
)
