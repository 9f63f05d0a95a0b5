"""The products that a campaign is for."""

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from habitue.sources.cleaning import kept
from habitue.table import Table, column


def build(judged_campaign_products: DataFrame) -> DataFrame:
    return kept(judged_campaign_products, TABLE.schema)


TABLE = Table(
    name="campaign_products",
    grain="One row per campaign and product.",
    key=("campaign_id", "product_id"),
    schema=StructType(
        [
            column("campaign_id", "string", "The campaign."),
            column("product_id", "string", "A product that it is for."),
        ]
    ),
    build=build,
)
