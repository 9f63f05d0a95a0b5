"""The orders: one row an order, or one row an order line, as a shop exports them."""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructType

from habitue.config import Config
from habitue.errors import DataRefused
from habitue.exact import LARGEST
from habitue.sources import parsing
from habitue.sources.cleaning import (
    ERRORS,
    RAW,
    ROW_HASH,
    Rules,
    finished,
    is_kept,
    judged,
    mapped_columns,
    rows_numbered,
    with_error,
)
from habitue.sources.parsing import AMOUNT_TYPE
from habitue.sources.spec import Source, SourceField

SOURCE = Source(
    name="orders",
    fields=(
        SourceField("customer_id", "id", required=True),
        SourceField("ordered_at", "time", required=True),
        SourceField("order_id", "id"),
        SourceField("product_id", "id"),
        SourceField("quantity", "quantity"),
        SourceField("unit_price", "amount"),
        SourceField("amount", "amount"),
        SourceField("discount", "amount"),
        SourceField("coupon_discount", "amount"),
        SourceField("currency", "id"),
        SourceField("channel", "text"),
        SourceField("status", "text"),
        SourceField("known_at", "time"),
    ),
    known_by="known_at",
)
DISCOUNTS = ("discount", "coupon_discount")
AMOUNTS = ("amount", *DISCOUNTS)
# What stands for a currency beside amounts, in capitals -> the currencies that it may be. The first is meant where the shop's
# own is none of them; KR says too little for that, and stays as it is.
MARKS = {
    "€": ("EUR",), "$": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP"),
    "£": ("GBP", "EGP"), "¥": ("JPY", "CNY"), "₹": ("INR",), "₩": ("KRW",), "₽": ("RUB",), "₺": ("TRY",),
    "₫": ("VND",), "₴": ("UAH",), "₪": ("ILS",), "฿": ("THB",), "₱": ("PHP",), "US$": ("USD",), "CA$": ("CAD",),
    "C$": ("CAD",), "A$": ("AUD",), "AU$": ("AUD",), "NZ$": ("NZD",), "HK$": ("HKD",), "S$": ("SGD",), "MX$": ("MXN",),
    "R$": ("BRL",), "EURO": ("EUR",), "ZŁ": ("PLN",), "KČ": ("CZK",), "FT": ("HUF",), "LEI": ("RON",), "FR": ("CHF",),
    "RS": ("INR", "PKR", "LKR", "NPR"), "KR": ("KR", "SEK", "NOK", "DKK", "ISK"),
}  # fmt: skip


def cleaned(raw: DataFrame, rules: Rules, config: Config) -> DataFrame:
    """One row per distinct raw row: typed, judged, with its line number in its order and how often it occurred.

    Columns: those of `SOURCE` but unit_price, NULL where not mapped (a row without `known_at` is known when ordered);
    ordered_at_day, known_at_day (shop-local dates), line_number, copies, errors, raw_row.
    """
    mapping = mapped_columns(SOURCE, rules.settings, raw.columns)
    # The shop's limit is in its own currency, so until amounts are converted only what sums can hold is asked for.
    as_written = replace(rules, limits=rules.limits.model_copy(update={"max_amount": float(LARGEST)}))
    own = config.shop.currency.upper() if config.shop.currency else None
    priced = _with_amount(_with_currency(judged(raw, SOURCE, as_written), mapping, own), mapping)
    # Most shops leave "no discount" blank.
    nothing = {n: F.coalesce(n, F.lit(0).cast(AMOUNT_TYPE)) for n in DISCOUNTS if n in mapping}
    priced = priced.withColumns(nothing) if nothing else priced
    missing = [
        F.lit(None).cast(_type(n)).alias(n) for n in SOURCE.names if n not in priced.columns and n != "unit_price"
    ]
    known = priced.select("*", *missing).withColumn("known_at", F.greatest("known_at", "ordered_at"))
    with_day = known.withColumn("known_at_day", rules.clock.day(F.col("known_at")))
    return finished(_numbered(_limited(_converted(with_day, config), rules.limits.max_amount)))


def refuse_mixed_currencies(rows: DataFrame, config: Config) -> str | None:
    """The currency of the kept rows (in the shop's, after conversion), or None where none is named.

    Raises DataRefused where there are several and no rates to convert them by.
    """
    found = (
        rows.where(is_kept() & F.col("currency").isNotNull())
        .select("currency")
        .distinct()
        .orderBy("currency")
        .limit(20)
    )
    currencies = [row["currency"] for row in found.collect()]
    wanted = config.shop.currency.upper() if config.shop.currency else None
    if len(currencies) > 1 or (wanted and currencies and currencies != [wanted]):
        raise DataRefused(
            f"sources.orders: amounts are in {', '.join(currencies)}"
            + (f" and the shop's currency is {wanted}" if wanted else "")
            + ". Adding them up would be wrong. Set shop.currency, and a rate for each other currency in currency_rates "
            "(such as currency_rates.USD: 0.92), or split the shop."
        )
    return currencies[0] if currencies else wanted


def _type(name: str) -> str:
    kind = next(f.kind for f in SOURCE.fields if f.name == name)
    return {"time": "timestamp", "amount": AMOUNT_TYPE, "quantity": AMOUNT_TYPE}.get(kind, "string")


def _with_currency(rows: DataFrame, mapping: dict[str, str], own: str | None) -> DataFrame:
    """The currency as its code: the column's, else what the amount's own text names. own: the shop's."""
    if "currency" in mapping:
        return rows.withColumn("currency", _code(F.col("currency"), own))
    written = mapping.get("amount", mapping.get("unit_price"))
    if written is None or not isinstance(_raw_type(rows, written), StringType):
        return rows
    return rows.withColumn("currency", _code(parsing.currency_in(F.col(RAW).getField(written)), own))


def _raw_type(rows: DataFrame, theirs: str) -> DataType:
    raw = rows.schema[RAW].dataType
    assert isinstance(raw, StructType)
    return raw[theirs].dataType


def _code(written: Column, own: str | None) -> Column:
    codes = {mark: own if own in meant else meant[0] for mark, meant in MARKS.items()}
    marks = F.create_map(*(F.lit(x) for pair in codes.items() for x in pair))
    return F.coalesce(F.try_element_at(marks, F.upper(written)), F.upper(written))


def _with_amount(rows: DataFrame, mapping: dict[str, str]) -> DataFrame:
    """The amount of a line: as given, else quantity x unit price, rounded half up to four decimals."""
    if "amount" in mapping:
        return _signed(rows.drop("unit_price"), mapping, "amount")
    if "unit_price" not in mapping:
        return rows
    product = (F.coalesce(F.col("quantity"), F.lit(1)) if "quantity" in mapping else F.lit(1)) * F.col("unit_price")
    return _signed(_with_fitting(rows, "amount", product).drop("unit_price"), mapping, "unit_price")


def _signed(rows: DataFrame, mapping: dict[str, str], written: str) -> DataFrame:
    """A negative quantity is a return, whose amount is negative however it is written; an amount must not be blank."""
    if "quantity" in mapping:
        negated = F.when(F.col("quantity") < 0, -F.abs("amount")).otherwise(F.col("amount"))
        rows = rows.withColumn("amount", negated.cast(AMOUNT_TYPE))
    known_why = F.arrays_overlap(ERRORS, F.array(F.lit(f"unparseable_{written}"), F.lit("too_large_amount")))
    return with_error(rows, F.col("amount").isNull() & ~known_why, f"missing_{written}")


def _with_fitting(rows: DataFrame, name: str, value: Column) -> DataFrame:
    """`rows` with the amount `name` as `value` rounded to four decimals; one that does not fit is NULL and an error."""
    rounded = F.round(value, 4)
    fitting = rounded.try_cast(AMOUNT_TYPE)
    flagged = with_error(rows, rounded.isNotNull() & fitting.isNull(), f"too_large_{name}")
    return flagged.withColumn(name, fitting)


def _limited(rows: DataFrame, most: float) -> DataFrame:
    """Lines beyond the shop's limit, once their amounts are in its currency, marked as too large."""
    for name in AMOUNTS:
        error = f"too_large_{name}"
        rows = with_error(rows, (F.abs(name) > F.lit(most)) & ~F.array_contains(ERRORS, error), error)
    return rows


def _converted(rows: DataFrame, config: Config) -> DataFrame:
    """Amounts in the shop's currency, where rates are configured."""
    if not config.currency_rates or config.shop.currency is None:
        return rows
    wanted = config.shop.currency.upper()
    rates = {**{k.upper(): str(v) for k, v in config.currency_rates.items()}, wanted: "1"}
    pairs = F.create_map(*(F.lit(x) for pair in rates.items() for x in pair))
    rate = F.try_element_at(pairs, F.coalesce("currency", F.lit(wanted))).cast("decimal(18,8)")
    currency = F.when(rate.isNull(), F.col("currency")).otherwise(F.lit(wanted))
    rows = with_error(rows, rate.isNull(), "currency_without_rate").withColumn("__rate", rate)
    for name in AMOUNTS:
        rows = _with_fitting(rows, name, F.col(name) * F.col("__rate"))
    return rows.withColumn("currency", currency).drop("__rate")


def _numbered(rows: DataFrame) -> DataFrame:
    """Identical rows made one, lines numbered within their order, and an order's lines of another customer marked.

    All by one sort of each order's lines in the order they became known, so that what comes later changes nothing
    about what was there: who ordered first keeps the order id.
    """
    day = F.date_format("ordered_at_day", "yyyyMMdd")
    own_id = F.concat_ws("-", "customer_id", day, F.lower(F.hex(ROW_HASH)))
    named = rows.withColumn("order_id", F.when(is_kept(), F.coalesce("order_id", own_id)).otherwise(F.col("order_id")))
    # Rows in error are set apart by their hash, or they would all meet in one task.
    group = [F.when(is_kept(), F.col("order_id")), F.when(~is_kept(), F.col(ROW_HASH))]
    by_time = Window.partitionBy(*group).orderBy("known_at", "ordered_at", "customer_id", ROW_HASH)
    first_customer = F.first("customer_id").over(by_time)
    numbered = rows_numbered(named.withColumn("__first_customer", first_customer), by_time)
    stolen = is_kept() & (F.col("__first_customer") != F.col("customer_id"))
    return with_error(numbered, stolen, "order_of_another_customer").drop("__first_customer")
