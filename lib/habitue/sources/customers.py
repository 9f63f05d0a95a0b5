"""The customers: who they are, beside what they order."""

from habitue.sources.spec import Source, SourceField

SOURCE = Source(
    name="customers",
    fields=(
        SourceField("customer_id", "id", required=True),
        SourceField("signup_at", "time"),
        SourceField("acquisition_channel", "text"),
    ),
    key=("customer_id",),
    keeps_extra=True,
)
