"""The responses to campaigns: a customer may respond several times."""

from habitue.sources.spec import Source, SourceField

SOURCE = Source(
    name="responses",
    fields=(
        SourceField("campaign_id", "id", required=True),
        SourceField("customer_id", "id", required=True),
        SourceField("responded_at", "time", required=True),
    ),
    key=("campaign_id", "customer_id", "responded_at"),
    known_by="responded_at",
)
