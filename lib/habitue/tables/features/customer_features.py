"""What can be said of a customer on a date, from what was known before it."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from habitue.config import FeatureSettings, LoyalSettings
from habitue.exact import from_units, units
from habitue.table import Table, as_of_column, column

WINDOWS_DAYS = (7, 14, 30, 60, 90, 180, 365)
DAYS_PER_MONTH = 365.25 / 12
LOYAL_WINDOWS_DAYS = (90, 60, 30)  # tried in turn where the window is `auto`
# Spark would take "5d" for a number too. What starts with a needless 0 is a code, such as a post code.
NUMBER = r"^[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
FLAGS = {"true": 1.0, "yes": 1.0, "ja": 1.0, "oui": 1.0, "false": 0.0, "no": 0.0, "nein": 0.0, "non": 0.0}
DATE = r"^\d{4}-\d{2}-\d{2}([T ].*)?$"
WINDOWS_IN_A_HISTORY = 4  # history, training label, validation label, test label


def build(
    customer_history: DataFrame,
    as_of: date,
    features: FeatureSettings,
    loyal: LoyalSettings,
    customers: DataFrame | None = None,
) -> DataFrame:
    buyers = customer_history.where("purchase_day_count > 0")
    described = _with_shop(buyers, as_of, features, loyal)
    with_days = described.join(_day_figures(described, as_of), "customer_id")
    windowed = with_days.select("*", *_since(as_of), *_look_back(as_of))
    typical = _with_typical_gap(windowed)
    return with_attributes(_with_loyalty(typical, as_of, loyal), customers).select(*TABLE.columns)


def _with_shop(buyers: DataFrame, as_of: date, features: FeatureSettings, loyal: LoyalSettings) -> DataFrame:
    """The shop's own figures beside every customer: observed span, loyal window, spread of the gaps (one row, broadcast)."""
    span = F.datediff(F.lit(as_of), F.min("first_order_day"))
    repeats = F.col("gap_count") > 0
    shop = buyers.agg(
        span.alias("__span"),
        F.avg("gap_log_mean").alias("__gap_mean"),
        F.var_samp("gap_log_mean").alias("__means_variance"),
        F.avg(F.when(repeats, 1 / F.col("gap_count"))).alias("__inverse_count"),
        F.try_divide(F.sum("gap_log_squares"), F.sum(F.when(repeats, F.col("gap_count") - 1))).alias("__w2"),
        F.avg("regularity").alias("__regularity"),
    )
    with_window = shop.select(
        "*",
        F.least("__span", F.lit(features.look_back_days)).alias("__look_back"),
        _loyal_window(loyal).alias("loyal_window_days"),
        F.greatest(F.col("__means_variance") - F.col("__w2") * F.col("__inverse_count"), F.lit(0.0)).alias("__tau2"),
    )
    return buyers.crossJoin(F.broadcast(with_window))


def _loyal_window(loyal: LoyalSettings) -> Column:
    if loyal.window_days != "auto":
        return F.lit(loyal.window_days)
    fits = [F.when(F.col("__span") >= WINDOWS_IN_A_HISTORY * days, F.lit(days)) for days in LOYAL_WINDOWS_DAYS]
    return F.coalesce(*fits, F.lit(LOYAL_WINDOWS_DAYS[-1]))


def _day_figures(buyers: DataFrame, as_of: date) -> DataFrame:
    """customer_id, and what its purchase days add up to: one row a customer, all windows by one grouping."""
    days = buyers.withColumn("bought", F.explode("purchase_days")).select(
        "customer_id",
        F.datediff(F.lit(as_of), "bought.day").alias("days_ago"),
        F.weekday("bought.day").alias("weekday"),
        units("bought.amount").alias("amount"),
        units("bought.discount").alias("discount"),
        "__look_back",
        "loyal_window_days",
    )
    ago = F.col("days_ago")
    windows = [figure for window in WINDOWS_DAYS for figure in _window(window, ago <= window)]
    in_look_back = ago <= F.col("__look_back")
    return days.groupBy("customer_id").agg(
        *windows,
        F.count_if(in_look_back).cast("int").alias("__days"),
        _total("amount", in_look_back).cast("double").alias("__amount"),
        _total("discount", in_look_back).cast("double").alias("__discount"),
        F.count_if(F.col("weekday") >= 5).alias("__weekend_days"),
        *(F.count_if(F.col("weekday") == day).alias(f"__weekday_{day + 1}") for day in range(7)),
        F.count_if(ago <= F.col("loyal_window_days")).cast("int").alias("purchase_days_in_loyal_window"),
    )


def _window(days: int, is_inside: Column) -> tuple[Column, Column]:
    count = F.count_if(is_inside).cast("int").alias(f"purchase_days_{days}d")
    return count, _total("amount", is_inside).alias(f"amount_{days}d")


def _total(name: str, condition: Column) -> Column:
    """Sum over the purchase days that meet `condition`, a blank being 0; NULL where no purchase day has one."""
    total = F.coalesce(F.sum(F.when(condition, F.col(name))), F.lit(0))
    return F.when(F.count(name) > 0, from_units(total))


def _since(as_of: date) -> list[Column]:
    return [
        F.datediff(F.lit(as_of), "first_purchase_day").alias("longevity_days"),
        F.datediff(F.lit(as_of), "last_purchase_day").alias("days_since_last_order"),
        F.datediff("last_purchase_day", "first_purchase_day").alias("days_first_to_last_order"),
    ]


def _look_back(as_of: date) -> list[Column]:
    """Rates and shares over the look-back; averages fall back on the whole history where it has no purchase."""
    start = F.date_sub(F.lit(as_of), F.col("__look_back"))
    recent_products = F.filter("products_last_bought", lambda d: d >= start)
    last_90, last_180 = F.col("purchase_days_90d"), F.col("purchase_days_180d")
    average = F.try_divide("__amount", "__days")
    return [
        (F.col("__days") * DAYS_PER_MONTH / F.col("__look_back")).alias("purchase_days_per_month"),
        F.coalesce(average, F.col("amount").cast("double") / F.col("purchase_day_count")).alias("average_order_value"),
        F.try_divide("__discount", F.col("__amount") + F.col("__discount")).alias("discount_share"),
        F.size(recent_products).alias("breadth"),
        # Purchase days of the last 90 days against those of the 90 before: (a - b) / (a + b).
        F.try_divide(2 * last_90 - last_180, last_180).alias("trend"),
        (F.col("__weekend_days") / F.col("purchase_day_count")).alias("weekend_share"),
        _favourite_weekday().alias("favourite_weekday"),
    ]


def _favourite_weekday() -> Column:
    """ISO weekday (1 is Monday) of most purchase days, ties to the earlier in the week."""
    counts = [F.struct((-F.col(f"__weekday_{d}")).alias("minus_days"), F.lit(d).alias("weekday")) for d in range(1, 8)]
    return F.least(*counts)["weekday"]


def _with_typical_gap(rows: DataFrame) -> DataFrame:
    """The member's mean log gap, shrunken to the mean of the members' means by what a single gap can tell."""
    signal = F.col("gap_count") * F.col("__tau2")
    own_weight = F.coalesce(F.try_divide(signal, signal + F.col("__w2")), F.lit(0.0))
    own_weight = F.when(F.col("gap_count") > 0, own_weight).otherwise(F.lit(0.0))
    own = F.coalesce("gap_log_mean", "__gap_mean")
    shrunken = own_weight * own + (1 - own_weight) * F.col("__gap_mean")
    return rows.withColumns(
        {"typical_gap_days": F.exp(shrunken), "regularity": F.coalesce("regularity", "__regularity")}
    )


def _with_loyalty(rows: DataFrame, as_of: date, loyal: LoyalSettings) -> DataFrame:
    """The loyal rule: at least L purchase days in the last W, L learned among the customers active in them."""
    active = rows.where("purchase_days_in_loyal_window > 0")
    percentile = F.ceil(F.percentile("purchase_days_in_loyal_window", F.lit(loyal.percentile))).cast("int")
    # Where nobody is active there is no percentile, and the least that the settings allow is the threshold.
    threshold = active.agg(
        F.greatest(F.coalesce(percentile, F.lit(0)), F.lit(loyal.min_purchase_days)).alias("loyal_threshold")
    )
    is_loyal = F.col("purchase_days_in_loyal_window") >= F.col("loyal_threshold")
    return rows.crossJoin(F.broadcast(threshold)).withColumn("is_loyal", is_loyal)


def with_attributes(rows: DataFrame, customers: DataFrame | None) -> DataFrame:
    """The customer's further attributes on the row's day (`snapshot_on`, else `as_of`), each by its type.

    One whose every value is a number is a number; of yes and no, 1 and 0; of dates, `days_since_<name>`, absent where the
    date is not before the day. Everything else is text.
    """
    if customers is None:
        return rows.withColumns({"numeric_attributes": _empty_map("double"), "text_attributes": _empty_map("string")})
    known = customers.select("customer_id", _known_attributes(customers).alias("__known"))
    values = known.select(F.explode("__known").alias("name", "value")).groupBy("name").agg(_kind().alias("kind"))
    kinds = values.agg(F.map_from_entries(F.collect_list(F.struct("name", "kind"))).alias("__kinds"))
    typed = known.crossJoin(F.broadcast(kinds)).select("customer_id", *_typed_attributes())
    described = rows.join(typed, "customer_id", "left")
    day = F.col("snapshot_on" if "snapshot_on" in rows.columns else "as_of")
    days = F.map_filter(
        F.transform_values("__dates", lambda _, date_: F.datediff(day, date_).cast("double")), lambda _, n: n > 0
    )
    numbers = F.map_concat("numeric_attributes", days)
    return described.withColumns(
        {
            "numeric_attributes": F.coalesce(numbers, _empty_map("double")),
            "text_attributes": F.coalesce("text_attributes", _empty_map("string")),
        }
    ).drop("__dates")


def _known_attributes(customers: DataFrame) -> Column:
    """Every attribute as text, by name: those of the source, and the columns of the table that are attributes too."""
    columns = {"acquisition_channel": F.col("acquisition_channel")}
    if "signup_at" in customers.columns:
        # In UTC, whatever the session's zone.
        columns["signup_at"] = F.date_from_unix_date(F.floor(F.unix_seconds("signup_at") / 86_400).cast("int"))
    entries = F.array(*(F.struct(F.lit(n).alias("key"), c.cast("string").alias("value")) for n, c in columns.items()))
    own = F.map_from_entries(F.filter(entries, lambda e: e["value"].isNotNull()))
    if "consents" not in customers.columns:
        return F.map_concat("attributes", own)
    answered = F.map_filter("consents", lambda _, is_given: is_given.isNotNull())
    return F.map_concat("attributes", own, F.transform_values(answered, lambda _, is_given: is_given.cast("string")))


def _kind() -> Column:
    """The type of an attribute, from all its values: number, flag, date or text."""
    value = F.col("value")
    is_number, is_flag = F.bool_and(value.rlike(NUMBER)), F.bool_and(F.lower(value).isin(*FLAGS))
    is_date = F.bool_and(value.rlike(DATE) & F.substring(value, 1, 10).try_cast("date").isNotNull())
    return F.when(is_number, "number").when(is_flag, "flag").when(is_date, "date").otherwise("text")


def _typed_attributes() -> list[Column]:
    """numeric_attributes (numbers, and flags as 1 and 0), text_attributes, and __dates by the name of the days since them."""

    def of_kind(kind: str) -> Column:
        return F.map_filter("__known", lambda name, _: F.try_element_at("__kinds", name) == kind)

    flags = F.create_map(*(F.lit(x) for pair in FLAGS.items() for x in pair))
    numbers = F.transform_values(of_kind("number"), lambda _, v: v.cast("double"))
    answers = F.transform_values(of_kind("flag"), lambda _, v: F.try_element_at(flags, F.lower(v)))
    dates = F.transform_values(of_kind("date"), lambda _, v: F.substring(v, 1, 10).try_cast("date"))
    since = F.transform_keys(dates, lambda name, _: F.concat(F.lit("days_since_"), name))
    return [
        F.map_concat(numbers, answers).alias("numeric_attributes"),
        of_kind("text").alias("text_attributes"),
        # A name that the shop has given already stays the shop's.
        F.map_filter(since, lambda name, _: ~F.map_contains_key("__known", name)).alias("__dates"),
    ]


def _empty_map(value_type: str) -> Column:
    keys, values = F.array().cast("array<string>"), F.array().cast(f"array<{value_type}>")
    return F.map_from_arrays(keys, values)


def _window_columns() -> list[StructField]:
    columns = []
    for days in WINDOWS_DAYS:
        columns.append(column(f"purchase_days_{days}d", "int", f"Purchase days in the last {days} days."))
        spent = f"Net amount of the purchase days in the last {days} days."
        columns.append(column(f"amount_{days}d", "decimal(18,4)", spent, nullable=True))
    return columns


TABLE = Table(
    name="customer_features",
    grain="One row per as-of and customer with a purchase day before it.",
    key=("as_of", "customer_id"),
    schema=StructType(
        [
            as_of_column(),
            column("customer_id", "string", "The customer."),
            column("longevity_days", "int", "Days since the first purchase day."),
            column("days_since_last_order", "int", "Days since the last purchase day: the open gap."),
            column("days_first_to_last_order", "int", "Days from the first to the last purchase day."),
            column("purchase_day_count", "int", "Purchase days so far."),
            *_window_columns(),
            column("purchase_days_per_month", "double", "Purchase days a month (30.4 days) over the look-back."),
            column("average_order_value", "double", "Net amount a purchase day over the look-back.", nullable=True),
            column(
                "discount_share", "double", "Discount / (amount + discount) over the look-back, 0-1.", nullable=True
            ),
            column("breadth", "int", "Distinct products bought in the look-back.", nullable=True),
            column(
                "trend",
                "double",
                "(a - b) / (a + b): a purchase days of the last 90 days, b of the 90 before.",
                nullable=True,
            ),
            column("weekend_share", "double", "Share of purchase days on Saturdays and Sundays, 0-1."),
            column("favourite_weekday", "int", "ISO weekday of most purchase days, 1 is Monday."),
            column("gap_count", "int", "Complete gaps between purchase days."),
            column("gap_mean_days", "double", "Mean gap, days.", nullable=True),
            column("gap_median_days", "double", "Median gap, days.", nullable=True),
            column("typical_gap_days", "double", "Geometric mean gap, shrunken to the shop's, days.", nullable=True),
            column(
                "regularity", "double", "Evenness of the last two gaps, 0-1; the shop's mean below two.", nullable=True
            ),
            column("product_count", "int", "Distinct products so far.", nullable=True),
            column("category_count", "int", "Distinct categories so far.", nullable=True),
            column(
                "first_item",
                "string",
                "Product of the largest amount, before returns, on the first day on which one was bought.",
                nullable=True,
            ),
            column("favourite_item", "string", "Product of the largest amount.", nullable=True),
            column(
                "favourite_item_share", "double", "Its share of what the customer's products cost, 0-1.", nullable=True
            ),
            column("favourite_category", "string", "Category of the largest amount.", nullable=True),
            column("favourite_channel", "string", "Channel of most orders.", nullable=True),
            column(
                "numeric_attributes",
                "map<string,double>",
                "Attributes of the customers source that are numbers, yes or no (1 or 0, consents too), or dates (days since).",
            ),
            column("text_attributes", "map<string,string>", "Its other attributes."),
            column("loyal_window_days", "int", "W of the loyal rule, days: the same for every customer."),
            column("loyal_threshold", "int", "L of the loyal rule, purchase days in W: the same for every customer."),
            column("purchase_days_in_loyal_window", "int", "Purchase days in the last W days."),
            column("is_loyal", "boolean", "At least L purchase days in the last W days."),
        ]
    ),
    checks={"time_passes": "days_since_last_order >= 1 AND longevity_days >= days_since_last_order"},
    build=build,
)
