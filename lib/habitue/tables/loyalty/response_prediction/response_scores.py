"""Who may respond to a coming campaign, of those that it is sent to or may be, and why."""

from pyspark.sql.types import StructType

from habitue.models.prediction_record import PredictionRecord
from habitue.table import Table, as_of_column, column
from habitue.tables.loyalty.response_prediction import build

TABLE = Table(
    name="response_scores",
    grain="One row per as-of, campaign that starts on it or later, and customer that it is sent to; where that is not known "
    "yet, customer with a purchase day in the look-back.",
    key=("as_of", "campaign_id", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("campaign_id", "string", "The campaign."),
            column("customer_id", "string", "Who it is, or may be, sent to."),
            column("probability", "double", "Of a response while it runs, calibrated, 0-1."),
            column("percentile", "double", "Share of the campaign's customers who score lower, 0-100."),
            column(
                "reasons",
                "array<string>",
                "Of the campaign's top share: what raises the score most, at most three.",
                nullable=True,
            ),
        ]
    ),
    checks={"probabilities": "probability BETWEEN 0 AND 1"},
    model=("response", PredictionRecord),
    build=build,
)
