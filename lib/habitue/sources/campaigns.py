"""The campaigns: plans, so they may lie in the future."""

from habitue.sources.spec import Source, SourceField

SOURCE = Source(
    name="campaigns",
    fields=(
        SourceField("campaign_id", "id", required=True),
        SourceField("starts_on", "day", required=True),
        SourceField("ends_on", "day", required=True),
        SourceField("kind", "text"),
    ),
    key=("campaign_id",),
    rules=(("ends_before_it_starts", "ends_on < starts_on"),),
)
