"""The sources of a shop: one file each, named as the source is, that declares its `SOURCE`."""

# A new source is its file and its name here. Kept apart from the files, which need Spark: the configuration does not.
SOURCE_NAMES = ("orders", "customers", "products", "campaigns", "campaign_products", "sends", "responses")
