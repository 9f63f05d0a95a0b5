"""The orders as they were known before the as-of: a return that came later takes nothing off yet."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.table import Table, as_of_column
from habitue.tables.clean import orders


def build(order_lines: DataFrame, as_of: date) -> DataFrame:
    return orders.build(order_lines).withColumn("as_of", F.lit(as_of))


TABLE = Table(
    name="_work_known_orders",
    grain="One row per as-of and order known before it.",
    key=("as_of", "order_id"),
    schema=StructType([as_of_column(), *orders.SCHEMA.fields]),
    build=build,
)
