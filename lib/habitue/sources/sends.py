"""What was sent to whom: one row a campaign and customer."""

from habitue.sources.spec import Source, SourceField

SOURCE = Source(
    name="sends",
    fields=(
        SourceField("campaign_id", "id", required=True),
        SourceField("customer_id", "id", required=True),
        SourceField("sent_at", "time"),
        SourceField("arm", "text"),
    ),
    key=("campaign_id", "customer_id"),
    known_by="sent_at",
    earliest_by="sent_at",
)
