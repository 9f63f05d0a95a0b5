"""When, what, how much and through which channel each segment buys, beside everyone."""

from __future__ import annotations

from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from habitue.config import InsightSettings, ShopSettings
from habitue.exact import UNITS, from_units, units
from habitue.models.bands import amount_band, size_band
from habitue.models.cohorts import EVERYONE
from habitue.models.season import days_by_month, with_season_index
from habitue.models.shares import OTHER, top_values, with_everyone, with_shares
from habitue.sources.parsing import MICROS_A_DAY, Clock
from habitue.table import Table, as_of_column, column

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PARTS_OF_DAY = ("night 0-5", "morning 6-11", "afternoon 12-17", "evening 18-23")
QUANTILES = (10, 25, 50, 75, 90)  # of baskets, percent
UNKNOWN = "(unknown)"
ORDER_SUMS = ["orders", "lines", "worth"]
LINE_SUMS = ["lines", "worth"]


def build(
    _work_known_orders: DataFrame,
    order_lines: DataFrame,
    customer_history: DataFrame,
    segment_members: DataFrame,
    as_of: date,
    shop: ShopSettings,
    insights: InsightSettings,
    _work_customer_items: DataFrame | None = None,
    products: DataFrame | None = None,
) -> DataFrame:
    members = segment_members.select("customer_id", "segment_id")
    orders = _baskets(_work_known_orders.join(members, "customer_id", "inner"))
    days = days_by_month(customer_history.agg(F.min("first_order_day").alias("first")), as_of)
    parts = [_when(orders, days, Clock(shop.time_zone, shop.day_starts_at)), _how(orders), _quantiles(orders)]
    if _work_customer_items is not None:  # else orders name no products
        lines = order_lines.where(F.col("product_id").isNotNull()).join(members, "customer_id", "inner")
        monthly = _by_product_and_month(lines, products)
        parts += [_what(monthly, insights.top_values), _seasons(monthly, days, insights.top_values)]
        parts.append(_new_items(_work_customer_items, customer_history, members))
    return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), parts).select(
        F.lit(as_of).alias("as_of"),
        *(F.col(name) for name in TABLE.columns if name not in ("as_of", "revenue")),
        from_units("worth").alias("revenue"),
    )


def _baskets(orders: DataFrame) -> DataFrame:
    """One row per order, with the sums in ten-thousandths; a basket's size is its units, else its lines."""
    discount, coupon = units("discount"), units("coupon_discount")
    given = F.coalesce(discount, F.lit(0)) + F.coalesce(coupon, F.lit(0))
    return orders.select(
        "segment_id",
        "order_day",
        "ordered_at",
        "channel",
        F.col("line_count").cast("bigint").alias("lines"),
        units("amount").alias("worth"),
        F.coalesce(units("item_count"), F.col("line_count").cast("bigint") * UNITS).alias("size"),
        F.when(discount.isNotNull() | coupon.isNotNull(), given).alias("given"),
    )


def _sums(*more: Column) -> list[Column]:
    return [F.count(F.lit(1)).alias("orders"), F.sum("lines").alias("lines"), F.sum("worth").alias("worth"), *more]


def _value(dimension: str, position: Column, value: Column, is_known: Column | None = None) -> Column:
    return F.struct(
        F.lit(dimension).alias("dimension"),
        position.cast("int").alias("position"),
        value.alias("value"),
        (F.lit(True) if is_known is None else is_known).alias("is_known"),
    )


def _unrolled(counts: DataFrame, values: list[Column], sums: list[str]) -> DataFrame:
    """`counts` added up by value, for each segment and everyone; dimensions of which the shop knows nothing are left out."""
    rows = counts.select("segment_id", *sums, F.inline(F.array(*values)))
    totals = with_everyone(rows, sums, F.bool_or("is_known").alias("is_known"))
    knows = F.max("is_known").over(Window.partitionBy("dimension"))  # after adding up: a few rows a dimension
    return totals.withColumn("knows", knows).where("knows").drop("knows", "is_known")


def _when(orders: DataFrame, days: DataFrame, clock: Clock) -> DataFrame:
    local_micros = F.unix_micros(F.from_utc_timestamp("ordered_at", clock.time_zone))
    # A day's start is one time, though clocks that go forward at midnight make it another one on that day.
    is_start = F.col("ordered_at") == clock.start_of(F.col("order_day"))
    time_of_day = F.when(is_start, F.lit(clock.start_micros)).otherwise(F.pmod(local_micros, F.lit(MICROS_A_DAY)))
    counts = orders.groupBy(
        "segment_id",
        F.month("order_day").alias("month"),
        F.weekday("order_day").alias("weekday"),
        clock.hour(F.col("ordered_at")).alias("hour"),
    ).agg(*_sums(F.min(time_of_day).alias("earliest"), F.max(time_of_day).alias("latest")))
    # Where every order has one and the same time, the shop writes down days only.
    everywhere = Window.partitionBy(F.lit(0))
    timed = counts.withColumn("has_times", F.min("earliest").over(everywhere) < F.max("latest").over(everywhere))
    part = F.floor(F.col("hour") / 6).cast("int")
    values = [
        _value("month", F.col("month"), F.format_string("%02d", "month")),
        _value("weekday", F.col("weekday") + 1, _label(WEEKDAYS, F.col("weekday"))),
        _value("part_of_day", part, _label(PARTS_OF_DAY, part), F.col("has_times")),
        _value("hour", F.col("hour"), F.format_string("%02d", "hour"), F.col("has_times")),
    ]
    weight = F.col("orders")
    shared = with_shares(_unrolled(timed, values, ORDER_SUMS), weight)
    seasonal = with_season_index(shared, days, weight, ["segment_id", "dimension"])
    return seasonal.withColumn("season_index", F.when(F.col("dimension") == "month", F.col("season_index")))


def _label(labels: tuple[str, ...], index: Column) -> Column:
    return F.get(F.array(*map(F.lit, labels)), index)


def _how(orders: DataFrame) -> DataFrame:
    """How much, with what discount and through which channel."""
    value, size, discounted = amount_band(F.col("worth")), size_band(F.col("size")), F.col("given") > 0
    counts = orders.groupBy(
        "segment_id", "channel", value.alias("basket_value"), size.alias("size"), discounted.alias("discounted")
    ).agg(*_sums(F.sum("given").alias("given")))
    has_channel, has_value = F.col("channel").isNotNull(), F.col("basket_value").isNotNull()
    is_discounted = F.coalesce("discounted", F.lit(False))
    values = [
        _value("channel", F.lit(0), F.coalesce("channel", F.lit(UNKNOWN)), has_channel),
        _value("basket_value", F.coalesce("basket_value.position", F.lit(-1)), _or_unknown("basket_value"), has_value),
        _value("basket_size", F.col("size.position"), F.col("size.value")),
        _value(
            "discount",
            F.when(is_discounted, 1).otherwise(0),
            F.when(is_discounted, "with discount").otherwise("without discount"),
            F.col("discounted").isNotNull(),
        ),
    ]
    sums = [*ORDER_SUMS, "given"]
    shared = with_shares(_unrolled(counts, values, sums), F.col("orders"))
    depth = F.try_divide("given", F.col("worth") + F.col("given"))
    return shared.withColumn("level", F.when(F.col("dimension") == "discount", depth)).drop("given")


def _or_unknown(band: str) -> Column:
    return F.coalesce(f"{band}.value", F.lit(UNKNOWN))


def _quantiles(orders: DataFrame) -> DataFrame:
    """Quantiles of basket value and size. Equal baskets are counted first, since most prices come often."""
    measures = F.array(
        F.struct(F.lit("basket_value_quantile").alias("dimension"), F.col("worth").alias("amount")),
        F.struct(F.lit("basket_size_quantile").alias("dimension"), F.col("size").alias("amount")),
    )
    each = orders.select("segment_id", F.inline(measures)).where(F.col("amount").isNotNull())
    counted = each.groupBy("segment_id", "dimension", "amount").agg(F.count(F.lit(1)).alias("times"))
    every = counted.withColumn("segment_id", F.explode(F.array(F.lit(EVERYONE), F.col("segment_id"))))
    shares = F.array(*(F.lit(q / 100) for q in QUANTILES))
    found = every.groupBy("segment_id", "dimension").agg(F.percentile("amount", shares, F.col("times")).alias("levels"))
    return found.select("segment_id", "dimension", F.posexplode("levels").alias("i", "level")).select(
        "segment_id",
        "dimension",
        _label(tuple(f"p{q}" for q in QUANTILES), F.col("i")).alias("value"),
        F.get(F.array(*map(F.lit, QUANTILES)), F.col("i")).alias("position"),
        (F.col("level") / UNITS).alias("level"),
    )


def _by_product_and_month(lines: DataFrame, products: DataFrame | None) -> DataFrame:
    counts = lines.groupBy("segment_id", "product_id", F.month("order_day").alias("month")).agg(
        F.count(F.lit(1)).alias("lines"), F.sum(units("amount")).alias("worth")
    )
    if products is None:
        unknown = F.lit(None).cast("string")
        return counts.withColumns({"category": unknown, "brand": unknown})
    return counts.join(products.select("product_id", "category", "brand"), "product_id", "left")


def _worth_of_lines() -> Column:
    """What lines are compared by: their net amount; their number, where there are no amounts."""
    return F.coalesce("worth", "lines")


def _what(monthly: DataFrame, limit: int) -> DataFrame:
    values = [
        _value("item", F.lit(0), F.col("product_id")),
        _value("category", F.lit(0), F.coalesce("category", F.lit(UNKNOWN)), F.col("category").isNotNull()),
        _value("brand", F.lit(0), F.coalesce("brand", F.lit(UNKNOWN)), F.col("brand").isNotNull()),
    ]
    totals = _unrolled(monthly, values, LINE_SUMS)
    return top_values(with_shares(totals, _worth_of_lines()), _worth_of_lines(), limit, LINE_SUMS)


def _seasons(monthly: DataFrame, days: DataFrame, limit: int) -> DataFrame:
    """In which months the categories are bought; the largest categories of each segment."""
    value = _value("category_month", F.col("month"), F.col("category"))
    named = monthly.where(F.col("category").isNotNull())
    totals = _unrolled(named, [value], LINE_SUMS)
    weight = _worth_of_lines()
    of_category = F.sum(weight).over(Window.partitionBy("segment_id", "value"))
    by_size = Window.partitionBy("segment_id").orderBy(F.desc("of_category"), "value")
    largest = totals.withColumn("of_category", of_category).withColumn("rank", F.dense_rank().over(by_size))
    shared = largest.where(F.col("rank") <= limit).withColumn("share", F.try_divide(weight, F.col("of_category")))
    return with_season_index(shared.drop("of_category", "rank"), days, weight, ["segment_id", "value"])


def _new_items(items: DataFrame, customer_history: DataFrame, members: DataFrame) -> DataFrame:
    """After the first purchase day, the share of what is bought that the customer had never bought before."""
    known = customer_history.select("customer_id", "product_count")
    customers = items.join(known, "customer_id", "inner").join(members, "customer_id", "inner")
    every = customers.withColumn("segment_id", F.explode(F.array(F.lit(EVERYONE), F.col("segment_id"))))
    new = F.sum(F.col("product_count") - F.col("first_product_count"))
    later = F.sum(F.col("product_day_count") - F.col("first_product_count"))
    return (
        every.groupBy("segment_id")
        .agg(F.try_divide(new, later).alias("level"))
        .where(F.col("level").isNotNull())  # a segment of one-time buyers has no purchase day after the first
        .select(
            "segment_id",
            F.lit("new_items").alias("dimension"),
            F.lit(0).alias("position"),
            F.lit("after the first purchase day").alias("value"),
            "level",
        )
    )


_ORDER_DIMENSIONS = "month, weekday, part_of_day, hour, channel, basket_value, basket_size, discount"

TABLE = Table(
    name="purchase_patterns",
    grain="One row per as-of, segment, dimension and value.",
    key=("as_of", "segment_id", "dimension", "value", "position"),
    schema=StructType(
        [
            as_of_column(),
            column("segment_id", "int", "The segment; 0 is everyone."),
            column(
                "dimension",
                "string",
                f"Of orders: {_ORDER_DIMENSIONS}. Of order lines: item, category, brand, category_month. Levels "
                "alone: basket_value_quantile, basket_size_quantile, new_items. Those the shop does not know are left out.",
            ),
            column(
                "value",
                "string",
                f"The value: a month, a product_id, a category ...; the rest of many values is {OTHER}. Hours are the shop's.",
            ),
            column(
                "position",
                "int",
                "Order of the values: month 1-12, ISO weekday, hour, band, percent of the quantile, rank by net amount.",
            ),
            column("orders", "bigint", "Orders; NULL for dimensions of order lines, and levels.", nullable=True),
            column("lines", "bigint", "Order lines; NULL for levels.", nullable=True),
            column("revenue", "decimal(18,4)", "Net amount; NULL where the shop has none.", nullable=True),
            column(
                "share",
                "double",
                "Of the segment's orders in the dimension; of its net amount (else lines) for item, category, brand; of "
                "the category's for category_month.",
                nullable=True,
            ),
            column("lift", "double", f"share / everyone's share of the value; NULL for {OTHER}.", nullable=True),
            column(
                "season_index",
                "double",
                "Of month: orders an observed day / those over all observed days; of category_month: the same of net amount. "
                "A month in which nothing was sold has no row.",
                nullable=True,
            ),
            column(
                "level",
                "double",
                "Of quantiles: amount or units of a basket. Of discount: discount / (amount + discount). Of new_items: share "
                "of the products bought after the first purchase day that the customer bought for the first time.",
                nullable=True,
            ),
        ]
    ),
    checks={"has_a_figure": "share IS NOT NULL OR level IS NOT NULL OR lines IS NOT NULL"},
    build=build,
)
