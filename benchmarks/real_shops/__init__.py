"""Complete Journey and CDNOW as frames of the clean tables, straight from the files in .data."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

DATA = Path(__file__).parents[2] / ".data"
AMOUNT = "decimal(18,4)"


class Shop(NamedTuple):
    """Frames with the columns of the clean tables that features are made from; None where the shop has no such source."""

    order_lines: DataFrame
    customers: DataFrame | None = None
    products: DataFrame | None = None
    campaigns: DataFrame | None = None
    campaign_products: DataFrame | None = None
    sends: DataFrame | None = None
    responses: DataFrame | None = None


def complete_journey(spark: SparkSession) -> Shop:
    def table(name: str) -> DataFrame:
        return spark.read.parquet(str(DATA / "completejourney" / f"{name}.parquet"))

    household, campaign = _text("household_id", "customer_id"), _text("campaign_id")
    planned = table("campaign_descriptions").select(
        campaign,
        F.col("start_date").cast("date").alias("starts_on"),
        F.col("end_date").cast("date").alias("ends_on"),
        F.col("campaign_type").alias("kind"),
    )
    sent = table("campaigns").select(campaign, household).join(F.broadcast(planned), "campaign_id", "inner")
    responded = F.col("redemption_date").cast("date")
    return Shop(
        order_lines=_groceries(table("transactions")),
        customers=_households(table("demographics")),
        products=table("products").select(
            _text("product_id"), F.lit(None).cast("string").alias("name"), F.col("product_category").alias("category")
        ),
        campaigns=planned,
        campaign_products=table("coupons").select(campaign, _text("product_id")).distinct(),
        sends=sent.select("campaign_id", "customer_id", F.col("starts_on").alias("known_day")),
        responses=table("coupon_redemptions").select(
            campaign, household, responded.cast("timestamp").alias("responded_at"), responded.alias("known_day")
        ),
    )


def cdnow(spark: SparkSession) -> Shop:
    fields = F.split(F.trim("value"), " +")
    text = spark.read.text(str(DATA / "cdnow" / "CDNOW_master.txt")).select(fields.alias("f"))
    rows = text.where((F.size("f") == 4) & F.col("f")[1].rlike("^[0-9]{8}$"))
    day = F.to_date(F.col("f")[1], "yyyyMMdd")
    bought = rows.select(
        F.col("f")[0].alias("customer_id"),
        day.alias("order_day"),
        F.col("f")[2].cast(AMOUNT).alias("quantity"),
        F.col("f")[3].cast(AMOUNT).alias("amount"),
    ).withColumn("line_id", F.monotonically_increasing_id().cast("string"))
    return Shop(
        bought.select(
            "line_id",
            F.col("line_id").alias("order_id"),
            "customer_id",
            F.col("order_day").cast("timestamp").alias("ordered_at"),
            "order_day",
            F.col("order_day").alias("known_day"),
            "quantity",
            "amount",
            *_absent("product_id", "channel", "currency"),
            *_absent("discount", "coupon_discount", kind=AMOUNT),
            *_kept(),
        )
    )


def _groceries(transactions: DataFrame) -> DataFrame:
    day = F.to_date("transaction_timestamp")
    return transactions.select(
        F.monotonically_increasing_id().cast("string").alias("line_id"),
        _text("basket_id", "order_id"),
        _text("household_id", "customer_id"),
        F.col("transaction_timestamp").cast("timestamp").alias("ordered_at"),
        day.alias("order_day"),
        day.alias("known_day"),
        _text("product_id"),
        F.col("quantity").cast(AMOUNT).alias("quantity"),
        F.col("sales_value").cast(AMOUNT).alias("amount"),
        F.col("retail_disc").cast(AMOUNT).alias("discount"),
        F.col("coupon_disc").cast(AMOUNT).alias("coupon_discount"),
        *_absent("channel", "currency"),
        *_kept(),
    )


def _households(demographics: DataFrame) -> DataFrame:
    names = [c for c in demographics.columns if c != "household_id"]
    pairs = [x for n in names for x in (F.lit(n), F.col(n).cast("string"))]
    known = F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())
    return demographics.select(
        _text("household_id", "customer_id"),
        F.lit(None).cast("string").alias("acquisition_channel"),
        known.alias("attributes"),
    )


def _text(theirs: str, ours: str | None = None) -> Column:
    return F.col(theirs).cast("string").alias(ours or theirs)


def _absent(*names: str, kind: str = "string") -> list[Column]:
    return [F.lit(None).cast(kind).alias(name) for name in names]


def _kept() -> list[Column]:
    return [F.lit(False).alias("is_reconciled"), F.lit(False).alias("is_return")]
