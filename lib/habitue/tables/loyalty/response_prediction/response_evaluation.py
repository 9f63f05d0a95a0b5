"""How well it can be told who responds: every model, the plain sort, and the chosen one without each source."""

from habitue.table import Table
from habitue.tables.loyalty import evaluation_columns
from habitue.tables.loyalty.response_prediction import build

TABLE = Table(
    name="response_evaluation",
    grain="One row per as-of, model and left-out source.",
    key=("as_of", "model", "population", "left_out_source"),
    schema=evaluation_columns.SCHEMA,
    checks=evaluation_columns.CHECKS,
    build=build,
)
