"""From a raw value to a typed one: expressions that give NULL where a value cannot be read, and never raise."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

AMOUNT_TYPE = "decimal(18,4)"  # exact sums, and room for currencies with three decimals
MICROS_A_DAY = 86_400_000_000
LONGEST_TEXT = 10_000  # characters; longer ids and names are broken exports, kept whole in quarantine
# ISO 8601, with or without the leading zeros.
_DAY = r"\d{4}-\d{1,2}-\d{1,2}"
_TIME = r"\d{1,2}:\d{1,2}(:\d{1,2}(\.\d+)?)?"
_GAP = r"[\s\u00a0\u202f]"
_SIGN = r"[\p{L}\p{Sc}]"
# What may stand before or after an amount: up to four letters and signs, such as EUR, CA$, zł and Rs. A dot ends an
# abbreviation only where a gap follows: what Rs.500 is, is not certain.
_MARK_BEFORE = rf"{_SIGN}{{0,3}}(?:\p{{Sc}}|\p{{L}}(?:\.(?={_GAP})|(?!\.)))"
_MARK_AFTER = rf"{_SIGN}{{1,4}}\.?"
_OFFSET = r"(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)"
# Words that exports write where they have nothing.
BLANK_WORDS = ("", "null", "none", "nan", "n/a", "na", "nat", "\\n")


@dataclass(frozen=True)
class Clock:
    """The shop's calendar: `time_zone` (IANA) of its days, and the minute of the day at which one starts.

    written_in: the time zone of times without an offset; None: that of the days.
    """

    time_zone: str
    day_starts_at: str
    written_in: str | None = None

    @property
    def start_micros(self) -> int:
        hours, minutes = self.day_starts_at.split(":")
        return (int(hours) * 60 + int(minutes)) * 60_000_000

    def day(self, instant: Column) -> Column:
        """The shop-local date of a UTC instant. Computed on microseconds, so that no session's time zone matters."""
        local_micros = F.unix_micros(F.from_utc_timestamp(instant, self.time_zone)) - F.lit(self.start_micros)
        return F.date_from_unix_date(F.floor(local_micros / F.lit(MICROS_A_DAY)).cast("int"))

    def hour(self, instant: Column) -> Column:
        """The shop-local hour of the day, 0-23, of a UTC instant."""
        local_micros = F.unix_micros(F.from_utc_timestamp(instant, self.time_zone))
        return F.pmod(F.floor(local_micros / F.lit(3_600_000_000)), F.lit(24)).cast("int")

    def instant(self, local: Column) -> Column:
        """The UTC instant of a wall-clock time (TIMESTAMP_NTZ) as the source writes it.

        Where clocks go forward, a time that does not exist is moved forward by the gap; where they go back, a time
        that exists twice is the first of the two.
        """
        return _instant(local, self.written_in or self.time_zone)

    def start_of(self, day: Column) -> Column:
        """The UTC instant at which a shop-local date starts."""
        start = F.make_dt_interval(mins=F.lit(self.start_micros // 60_000_000))
        return _instant(day.cast("timestamp_ntz") + start, self.time_zone)


def _instant(local: Column, time_zone: str) -> Column:
    return F.try_make_timestamp(
        F.year(local),
        F.month(local),
        F.dayofmonth(local),
        F.hour(local),
        F.minute(local),
        F.extract(F.lit("SECOND"), local),
        F.lit(time_zone),
    )


def text(raw: Column, type_: DataType) -> Column:
    """Trimmed text; NULL where blank. Whole numbers that a file holds as floating point lose their `.0`."""
    if isinstance(type_, DoubleType | FloatType):
        whole = raw == F.floor(raw)
        return (
            F.when(F.isnan(raw), None).when(whole, raw.try_cast("bigint").cast("string")).otherwise(raw.cast("string"))
        )
    if not isinstance(type_, StringType):
        return raw.cast("string")
    trimmed = F.regexp_replace(raw, r"^[\s\ufeff]+|\s+$", "")
    return F.when(F.lower(trimmed).isin(*BLANK_WORDS), None).otherwise(trimmed)


def time(raw: Column, type_: DataType, clock: Clock, pattern: str | None) -> Column:
    """A UTC instant. Dates alone are the start of the shop's day; times without an offset are the shop's."""
    if isinstance(type_, TimestampType):
        return raw
    if isinstance(type_, TimestampNTZType):
        return clock.instant(raw)
    if isinstance(type_, DateType):
        return clock.start_of(raw)
    value = text(raw, type_)
    if pattern is not None:
        return _patterned_time(value, clock, pattern)
    # Casting takes "12:30Z" for an hour of today, and drops a zone that it was not asked about: so only what is wholly
    # understood is cast.
    has_time = value.rlike(rf"^{_DAY}[T ]+{_TIME}$")
    has_offset = value.rlike(rf"^{_DAY}[T ]+{_TIME}\s*{_OFFSET}$")
    # A cast wants seconds before an offset, and a colon in it.
    with_seconds = F.regexp_replace(value, rf"([T ]\d{{1,2}}:\d{{1,2}})\s*({_OFFSET})$", "$1:00$2")
    return (
        F.when(has_offset, F.regexp_replace(with_seconds, r"([+-]\d\d)(\d\d)$", "$1:$2").try_cast("timestamp"))
        .when(has_time, clock.instant(value.try_cast("timestamp_ntz")))
        .when(value.rlike(rf"^{_DAY}$"), clock.start_of(value.try_cast("date")))
    )


def _patterned_time(value: Column, clock: Clock, pattern: str) -> Column:
    if any(letter in _letters(pattern) for letter in "XxZzVO"):
        return F.try_to_timestamp(value, F.lit(pattern))
    # Read as if it were UTC, so that the clock changes of the session's zone move no hour.
    local = wall_clock_utc(F.try_to_timestamp(F.concat(value, F.lit(" Z")), F.lit(f"{pattern} X")))
    if any(letter in _letters(pattern) for letter in "HhKk"):
        return clock.instant(local)
    return clock.start_of(local.cast("date"))


def wall_clock_utc(instant: Column) -> Column:
    """What a clock in UTC shows at an instant (TIMESTAMP_NTZ), whatever the session's time zone."""
    seconds = (F.unix_micros(instant) / F.lit(1_000_000).cast("decimal(7,0)")).cast("decimal(18,6)")
    return F.lit("1970-01-01").cast("timestamp_ntz") + F.make_dt_interval(secs=seconds)


def _letters(pattern: str) -> str:
    """The pattern without its quoted text."""
    return "".join(part for i, part in enumerate(pattern.split("'")) if i % 2 == 0)


def number(raw: Column, type_: DataType, decimal: str) -> Column:
    """A decimal(18,4); NULL where it is no number or does not fit.

    Text may carry a currency's sign, code or abbreviation before or after it, and grouping by spaces, apostrophes or the
    separator that is not the decimal one, in groups of three: any other use of that separator is no number.
    """
    if isinstance(type_, IntegralType | DecimalType):
        return raw.try_cast(AMOUNT_TYPE)
    if isinstance(type_, DoubleType | FloatType):
        return raw.cast("double").try_cast(AMOUNT_TYPE)  # of its shortest decimal form: 0.1 is 0.1; NaN gives NULL
    value = text(raw, type_)
    group, point = (",", r"\.") if decimal == "." else (r"\.", ",")
    bare = F.regexp_replace(value, rf"^(\(?[+-]?){_GAP}*(?:{_MARK_BEFORE})?{_GAP}*", "$1")
    bare = F.regexp_replace(bare, rf"{_GAP}*{_MARK_AFTER}(\)?)$", "$1")
    bare = F.regexp_replace(bare, r"(\d)[\s\u00a0\u202f'’](?=\d{3})", "$1")
    bare = F.regexp_replace(bare, r"^\((.*)\)$|^(.*\d)-$", "-$1$2")  # (12.00) and 12.00- are ways to write -12.00
    grouped = bare.rlike(rf"^[+-]?\d{{1,3}}({group}\d{{3}})+({point}\d*)?$")
    plain = bare.rlike(rf"^[+-]?(\d+({point}\d*)?|{point}\d+)([eE][+-]?\d+)?$")
    without_groups = F.when(grouped, F.regexp_replace(bare, group, "")).when(plain, bare)
    pointed = F.regexp_replace(without_groups, ",", ".") if decimal == "," else without_groups
    return pointed.try_cast("decimal(38,10)").try_cast(AMOUNT_TYPE)


def currency_in(raw: Column) -> Column:
    """What an amount's text has before the number, else after it, for the currency, as written; NULL where it has nothing."""
    other = r"[^\p{L}\p{Sc}\d]*"
    before = F.regexp_extract(raw.cast("string"), rf"^{other}({_SIGN}{{1,4}}){other}\d", 1)
    after = F.regexp_extract(raw.cast("string"), rf"\d{other}({_SIGN}{{1,4}}){other}$", 1)
    return F.coalesce(F.nullif(before, F.lit("")), F.nullif(after, F.lit("")))


def flag(raw: Column, type_: DataType) -> Column:
    """TRUE or FALSE from the words people use for them; NULL for any other."""
    return raw if isinstance(type_, BooleanType) else flag_word(text(raw, type_))


def flag_word(written: Column) -> Column:
    """As `flag`, of trimmed text."""
    word = F.lower(written)
    yes = word.isin("true", "t", "yes", "y", "1", "on", "granted", "opt-in", "optin", "ja", "oui", "si", "sí")
    no = word.isin("false", "f", "no", "n", "0", "off", "denied", "opt-out", "optout", "nein", "non")
    return F.when(yes, True).when(no, False)
