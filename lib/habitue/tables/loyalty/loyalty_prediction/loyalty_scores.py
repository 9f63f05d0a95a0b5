"""Who of the regular customers may turn loyal within the horizon, and why."""

from pyspark.sql.types import StructType

from habitue.models.prediction_record import PredictionRecord
from habitue.table import Table, as_of_column, column
from habitue.tables.loyalty.loyalty_prediction import build

TABLE = Table(
    name="loyalty_scores",
    grain="One row per as-of and customer with a purchase day in the look-back.",
    key=("as_of", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("customer_id", "string", "The customer."),
            column("is_loyal", "boolean", "Loyal already: nothing to predict."),
            column(
                "probability", "double", "Of meeting the loyal rule a horizon later, calibrated, 0-1.", nullable=True
            ),
            column("percentile", "double", "Share of the regular customers who score lower, 0-100.", nullable=True),
            column("is_prospect", "boolean", "A regular customer in the top share by score."),
            column(
                "reasons", "array<string>", "Of a prospect: what raises the score most, at most three.", nullable=True
            ),
        ]
    ),
    checks={
        "probabilities": "coalesce(probability BETWEEN 0 AND 1, true)",
        "loyal_are_not_scored": "NOT is_loyal OR probability IS NULL",
    },
    model=("loyalty", PredictionRecord),
    build=build,
)
