"""The products that a campaign is for."""

from habitue.sources.spec import Source, SourceField

SOURCE = Source(
    name="campaign_products",
    fields=(
        SourceField("campaign_id", "id", required=True),
        SourceField("product_id", "id", required=True),
    ),
    key=("campaign_id", "product_id"),
)
