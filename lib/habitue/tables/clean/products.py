"""The products, as the shop describes them."""

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from habitue.sources.cleaning import kept
from habitue.table import Table, column


def build(judged_products: DataFrame) -> DataFrame:
    return kept(judged_products, TABLE.schema)


TABLE = Table(
    name="products",
    grain="One row per product.",
    key=("product_id",),
    schema=StructType(
        [
            column("product_id", "string", "The product."),
            column("name", "string", "Name.", nullable=True),
            column("category", "string", "Category.", nullable=True),
            column("brand", "string", "Brand.", nullable=True),
            column("price", "decimal(18,4)", "List price.", nullable=True),
        ]
    ),
    build=build,
)
