"""From raw values to typed ones. Each test reads all its values in one job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StringType

from habitue.sources import parsing
from habitue.sources.parsing import Clock

BERLIN = Clock("Europe/Berlin", "00:00")
NIGHT_BAR = Clock("Europe/Berlin", "04:00")
TEXT = StringType()

# As written; what it is where "." is the decimal separator, and where "," is. None: no number.
AMOUNTS = [
    ("12", 12, 12),
    (" 12.5 ", "12.5", None),
    ("1,234.56", "1234.56", None),
    ("1.234,56", None, "1234.56"),
    ("1,234,567.8", "1234567.8", None),
    ("1.234", "1.234", 1234),
    ("1,234", 1234, "1.234"),
    ("1,23", None, "1.23"),
    ("12,34,567", None, None),
    ("1 234", 1234, 1234),
    ("1\u202f234,5", None, "1234.5"),
    ("1'234.50", "1234.5", None),
    (".5", ".5", None),
    ("5.", 5, None),
    ("EUR 12", 12, 12),
    ("12 €", 12, 12),
    ("$-5", -5, -5),
    ("-$5", -5, -5),
    ("(5.00)", -5, None),
    ("(EUR 5)", -5, -5),
    ("12-", -12, -12),
    ("+7", 7, 7),
    ("--7", None, None),
    ("(-7)", None, None),
    ("1.5e3", 1500, None),
    ("1E-2", ".01", ".01"),
    ("0.00004", 0, None),
    ("0.00005", ".0001", None),
    ("99999999999999.9999", "99999999999999.9999", None),
    ("100000000000000", None, None),
    ("1e400", None, None),
    ("inf", None, None),
    ("NaN", None, None),
    ("", None, None),
    ("n/a", None, None),
    ("twelve", None, None),
    ("five", None, None),
    ("abc", None, None),
    ("5 pieces of x", None, None),
    ("CA$5.50", "5.5", None),
    ("US$ 5", 5, 5),
    ("$.50", ".5", None),
    ("12,50 zł", None, "12.5"),
    ("1\u00a0234,50\u00a0Kč", None, "1234.5"),
    ("kr 5", 5, 5),
    ("-kr. 5", -5, -5),
    ("Rs. 500", 500, 500),
    ("Rs.500", None, None),  # five hundred, or a half
    ("12 5", None, None),
    (None, None, None),
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


# As written by a shop in Berlin; the instant in UTC, or None.
TIMES = [
    ("2024-01-10", utc("2024-01-09T23:00")),
    ("2024-7-1", utc("2024-06-30T22:00")),
    ("2024-07-10 12:30", utc("2024-07-10T10:30")),
    ("2024-07-10T12:30:15.123456", utc("2024-07-10T10:30:15.123456")),
    ("2024-07-10T12:30:00Z", utc("2024-07-10T12:30")),
    ("2024-07-10T12:30Z", utc("2024-07-10T12:30")),
    ("2024-07-10 9:30 +0200", utc("2024-07-10T07:30")),
    ("2024-07-10 12:30:00 UTC", utc("2024-07-10T12:30")),
    ("2024-07-10 12:30:00-05:00", utc("2024-07-10T17:30")),
    ("2024-07-10 12:30:00-0530", utc("2024-07-10T18:00")),
    ("2024-07-10 12:30:00.5+00", utc("2024-07-10T12:30:00.5")),  # as PostgreSQL writes it
    ("2024-03-31 02:30", utc("2024-03-31T01:30")),  # does not exist: moved to 03:30 summer time
    ("2024-10-27 02:30", utc("2024-10-27T00:30")),  # exists twice: the first, in summer time
    ("2024-03-10 02:30", utc("2024-03-10T01:30")),  # exists in Berlin, not in New York
    ("2024-07-10 12:30 Europe/London", None),  # a zone we do not read must not be dropped in silence
    ("2024-07-10 12:30 PM", None),
    ("2023-02-29", None),
    ("20240110", None),
    ("12:30", None),  # Spark's cast would make it an hour of today
    ("12:30:00Z", None),
    ("10.07.2024", None),
    ("2024", None),
    ("", None),
    (None, None),
]
PATTERNED = [
    ("dd.MM.yyyy HH:mm", "10.07.2024 12:30", utc("2024-07-10T10:30")),
    ("dd.MM.yyyy HH:mm", "31.03.2024 02:30", utc("2024-03-31T01:30")),
    ("dd.MM.yyyy HH:mm", "10.03.2024 02:30", utc("2024-03-10T01:30")),
    ("dd.MM.yyyy HH:mm", "7/10/2024", None),
    ("yyyyMMdd", "20240110", utc("2024-01-09T23:00")),
    ("yyyyMMdd", "20240230", None),
    ("MM/dd/yyyy", "07/10/2024", utc("2024-07-09T22:00")),
    ("MM/dd/yyyy", "13/10/2024", None),
    ("d.M.yy", "1.7.24", utc("2024-06-30T22:00")),
    ("MMM d, yyyy 'at' h:mm a", "Jul 10, 2024 at 1:05 PM", utc("2024-07-10T11:05")),
    ("yyyy-MM-dd'T'HH:mm:ssXXX", "2024-07-10T12:30:00+05:30", utc("2024-07-10T07:00")),
    ("dd.MM.yyyy", "", None),
]


@pytest.fixture(params=["UTC", "America/New_York"])
def session_zone(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[str]:
    """Nothing may depend on the time zone of the session, which is the platform's choice."""
    spark.conf.set("spark.sql.session.timeZone", request.param)
    yield request.param
    spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_amounts(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(written,) for written, _, _ in AMOUNTS], "a string")
    both = rows.select(
        "a", *(parsing.number(F.col("a"), TEXT, point).alias(n) for n, point in (("dot", "."), ("comma", ",")))
    )
    found = {row["a"]: (row["dot"], row["comma"]) for row in both.collect()}
    expected = {
        written: tuple(None if v is None else Decimal(str(v)) for v in (dot, comma)) for written, dot, comma in AMOUNTS
    }
    assert found == expected


def test_amounts_that_are_numbers_already(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(0.1,), (float("nan"),), (float("inf"),), (1e20,), (-2.5,), (None,)], "a double")
    found = [row[0] for row in rows.select(parsing.number(F.col("a"), DoubleType(), ".")).collect()]
    assert found == [Decimal("0.1"), None, None, None, Decimal("-2.5"), None]


def test_times_mean_the_same_in_every_session(spark: SparkSession, session_zone: str) -> None:
    rows = spark.createDataFrame([(i, written) for i, (written, _) in enumerate(TIMES)], "i int, a string")
    iso = rows.select("i", micros(parsing.time(F.col("a"), TEXT, BERLIN, None))).collect()
    assert {TIMES[row[0]][0]: row[1] for row in iso} == {written: as_micros(at) for written, at in TIMES}

    rows = spark.createDataFrame([(i, written) for i, (_, written, _) in enumerate(PATTERNED)], "i int, a string")
    branches = [
        F.when(F.col("i") == i, parsing.time(F.col("a"), TEXT, BERLIN, pattern))
        for i, (pattern, _, _) in enumerate(PATTERNED)
    ]
    patterned = rows.select("i", micros(F.coalesce(*branches))).collect()
    assert {PATTERNED[row[0]][:2]: row[1] for row in patterned} == {p[:2]: as_micros(p[2]) for p in PATTERNED}


def test_shop_days_and_hours_in_every_session(spark: SparkSession, session_zone: str) -> None:
    # 01:59 UTC in July is 03:59 in Berlin: still yesterday's night in a bar whose day starts at four.
    instants = [utc("2024-07-10T01:59:59"), utc("2024-07-10T02:00"), utc("2024-07-09T22:00"), utc("1969-12-31T23:30")]
    rows = spark.createDataFrame([(as_micros(at),) for at in instants], "micros long")
    at = F.timestamp_micros("micros")
    found = rows.select(NIGHT_BAR.day(at), BERLIN.day(at), BERLIN.hour(at)).collect()
    assert [tuple(row) for row in found] == [
        (date(2024, 7, 9), date(2024, 7, 10), 3),
        (date(2024, 7, 10), date(2024, 7, 10), 4),
        (date(2024, 7, 9), date(2024, 7, 10), 0),
        (date(1969, 12, 31), date(1970, 1, 1), 0),
    ]
    start = NIGHT_BAR.start_of(F.lit("2024-07-10").cast("date"))
    (row,) = spark.range(1).select(micros(start), NIGHT_BAR.day(start)).collect()
    assert (row[0], row[1]) == (as_micros(utc("2024-07-10T02:00")), date(2024, 7, 10))


def test_typed_dates_and_wall_clocks(spark: SparkSession) -> None:
    wall, instant = "TIMESTAMP_NTZ'2024-07-10 12:30:00'", "TIMESTAMP'2024-07-10 12:30:00Z'"
    rows = spark.sql(f"SELECT DATE'2024-01-10' AS d, {wall} AS n, {instant} AS t")
    types = {f.name: f.dataType for f in rows.schema.fields}
    (row,) = rows.select(*(micros(parsing.time(F.col(c), types[c], BERLIN, "ignored")) for c in "dnt")).collect()
    assert tuple(row) == tuple(as_micros(utc(t)) for t in ("2024-01-09T23:00", "2024-07-10T10:30", "2024-07-10T12:30"))


def test_ids_and_text(spark: SparkSession) -> None:
    doubles = spark.createDataFrame([(12345678.0,), (1e16,), (1.5,), (float("nan"),), (None,)], "a double")
    found = [row[0] for row in doubles.select(parsing.text(F.col("a"), DoubleType())).collect()]
    assert found == ["12345678", "10000000000000000", "1.5", None, None]
    written = ["  x ", "\ufeff007", "NULL", "None", "nan", "N/A", "\\N", " ", "", "nananana", "a b\u00a0"]
    texts = spark.createDataFrame([(w,) for w in written], "a string")
    found = [row[0] for row in texts.select(parsing.text(F.col("a"), TEXT)).collect()]
    assert found[:2] == ["x", "007"]
    assert found[2:9] == [None] * 7
    assert found[9] == "nananana"
    (row,) = spark.range(1).select(parsing.text(F.lit(7), IntegerType())).collect()
    assert row[0] == "7"


def test_flags_and_currencies(spark: SparkSession) -> None:
    words = {"Yes": True, " TRUE ": True, "1": True, "Ja": True, "no": False, "0": False, "opt-out": False}
    words |= {"perhaps": None, "": None}
    rows = spark.createDataFrame([(w,) for w in words], "a string")
    assert {r[0]: r[1] for r in rows.select("a", parsing.flag(F.col("a"), TEXT)).collect()} == words
    amounts = {"EUR 12": "EUR", "12 €": "€", "$5": "$", "12": None, "CA$5.50": "CA$", "12,50 zł": "zł", "-kr. 5": "kr"}
    amounts |= {"1.5e3": None}
    rows = spark.createDataFrame([(w,) for w in amounts], "a string")
    assert {r[0]: r[1] for r in rows.select("a", parsing.currency_in(F.col("a"))).collect()} == amounts


def micros(instant: Column) -> Column:
    return F.unix_micros(instant)


def as_micros(instant: datetime | None) -> int | None:
    return None if instant is None else round(instant.timestamp() * 1_000_000)
