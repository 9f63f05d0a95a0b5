"""The products: what an order line is of."""

from habitue.sources.spec import Source, SourceField

SOURCE = Source(
    name="products",
    fields=(
        SourceField("product_id", "id", required=True),
        SourceField("name", "text"),
        SourceField("category", "text"),
        SourceField("brand", "text"),
        SourceField("price", "amount"),
    ),
    key=("product_id",),
)
