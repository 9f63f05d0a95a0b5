"""The customers, with whatever else the shop knows of them."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.sources import parsing
from habitue.sources.cleaning import kept
from habitue.table import Table, column

CONSENT_PREFIX = "consent_"


def build(judged_customers: DataFrame) -> DataFrame:
    is_consent = F.lit(CONSENT_PREFIX)
    written = F.map_filter("attributes", lambda name, _: F.startswith(name, is_consent))
    # A consent that is neither yes nor no is none: the map then holds NULL, which nobody may take for a yes.
    consents = F.transform_values(written, lambda _, value: parsing.flag_word(value))
    others = F.map_filter("attributes", lambda name, _: ~F.startswith(name, is_consent))
    return kept(judged_customers.withColumns({"consents": consents, "attributes": others}), TABLE.schema)


TABLE = Table(
    name="customers",
    grain="One row per customer that the customers source knows; not all of them need have ordered.",
    key=("customer_id",),
    schema=StructType(
        [
            column("customer_id", "string", "The customer."),
            column("signup_at", "timestamp", "When the customer signed up, UTC.", nullable=True),
            column("acquisition_channel", "string", "Where the customer came from.", nullable=True),
            column(
                "consents", "map<string,boolean>", "Consents by name (consent_...); NULL: neither given nor refused."
            ),
            column("attributes", "map<string,string>", "Every further column of the source, by name, where not blank."),
        ]
    ),
    build=build,
)
