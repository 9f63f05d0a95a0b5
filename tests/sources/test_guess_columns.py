"""What values and names mean."""

from __future__ import annotations

import pytest

from habitue.sources import parsing
from habitue.sources.guess_columns import (
    BLANK_WORDS,
    ISO,
    OUR_COLUMNS,
    Column,
    clock_and_offset,
    date_patterns,
    fits,
    is_number,
    padded,
    role_of,
    separators,
    to_number,
    unlikely_patterns,
)
from habitue.sources.orders import SOURCE


def test_our_words_are_the_readers_words() -> None:
    assert set(OUR_COLUMNS) == set(SOURCE.names)
    assert BLANK_WORDS == parsing.BLANK_WORDS


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("CustomerID", "customer_id"),
        ("household_id", "customer_id"),
        ("Kundennummer", "customer_id"),
        ("ID Cliente", "customer_id"),
        ("N° client", "customer_id"),
        ("Email", "customer_id"),
        ("InvoiceNo", "order_id"),
        ("basket_id", "order_id"),
        ("Bestell-Nr.", "order_id"),
        ("Numéro de commande", "order_id"),
        ("numero_commande", "order_id"),
        ("order_date", "ordered_at"),
        ("transaction_timestamp", "ordered_at"),
        ("InvoiceDate", "ordered_at"),
        ("Fecha de pedido", "ordered_at"),
        ("Date de commande", "ordered_at"),
        ("Order Date (UTC)", "ordered_at"),
        ("dollar_value", "amount"),
        ("sales_value", "amount"),
        ("Gesamtbetrag", "amount"),
        ("Montant TTC", "amount"),
        ("importe", "amount"),
        ("UnitPrice", "unit_price"),
        ("Lineitem price", "unit_price"),
        ("Stückpreis", "unit_price"),
        ("StockCode", "product_id"),
        ("Artikelnr.", "product_id"),
        ("number_of_cds", "quantity"),
        ("Qté", "quantity"),
        ("Menge", "quantity"),
        ("number_of_orders", None),
        ("Währung", "currency"),
        ("Financial Status", "status"),
        ("coupon_match_disc", None),
        ("state", None),
        ("Description", None),
    ],
)
def test_role_of_names(name: str, ours: str | None) -> None:
    role = role_of(name)
    assert (role[0] if role else None) == ours


@pytest.mark.parametrize(
    ("values", "patterns"),
    [
        (("2017-01-05", "2017-01-06"), (ISO,)),
        (("2017-01-05T10:00:00Z",), (ISO,)),
        (("2017-01-05 10:00:00 -0400",), (ISO,)),
        (("2017-01-05 10:00+02:00",), ("yyyy-M-d H:mmXXX",)),  # Spark's cast wants seconds before an offset
        (("19970101", "19970112"), ("yyyyMMdd",)),
        (("13.02.2017", "01.02.2017"), ("d.M.yyyy",)),
        (("12/25/2010 8:26", "12/1/2010 8:26"), ("M/d/yyyy H:mm",)),
        (("12/1/2010 8:26",), ("d/M/yyyy H:mm", "M/d/yyyy H:mm")),
        (("25/12/17 3:04 PM",), ("yy/M/d h:mm a", "d/M/yy h:mm a")),
        (("31/12/17", "17/30/12"), ("yy/M/d", "d/M/yy")),  # 2031 is a year too; the second is no date at all
        (("24-05-31",), ("yy-M-d", "d-M-yy")),
        (("12/25/17",), ("M/d/yy",)),
        (("5-JAN-17",), ("d-MMM-yy",)),
        (("January 5, 2017",), ("MMMM d, yyyy",)),
        (("30/02/2017",), ()),  # no such day
        (("12345678", "20170101"), ()),  # numbers, one of which happens to be a date
        (("31198570044",), ()),
        (("1.234,56",), ()),
        (("WHITE LANTERN 12", "10.5.3"), ()),
    ],
)
def test_date_patterns(values: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    assert date_patterns(values) == patterns


def test_padding_is_asked_for_only_where_every_value_has_it() -> None:
    assert padded("d.M.yyyy", ("01.02.2017", "13.11.2017")) == "dd.MM.yyyy"
    assert padded("d.M.yyyy", ("1.02.2017", "13.11.2017")) == "d.MM.yyyy"
    assert padded("M/d/yyyy H:mm", ("12/10/2010 11:26",)) == "M/d/yyyy H:mm"  # no zero seen: one letter reads both
    assert padded("d MMM yyyy H:mm", ("05 Jan 2017 09:00",)) == "dd MMM yyyy HH:mm"


def test_a_shop_sells_on_more_days_of_the_month_than_in_years() -> None:
    # Every day of 2017, year first: the other way round they would be days 17 of 31 years.
    days = tuple(f"17-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29))
    assert unlikely_patterns(("yy-M-d", "d-M-yy"), days) == ["d-M-yy"]
    assert unlikely_patterns(("yy-M-d", "d-M-yy"), days[:9]) == []  # nine days are too few to tell


AMOUNTS = ["12", "12,50 zł", "CA$5.50", "US$ 5", "kr 5", "kr. 5", "Rs. 5", "5 Kč", "-kr 5"]
NO_AMOUNTS = ["abc", "5 pieces of x", "5 pieces", "Rs.500", "", "17-01-05", "10:30"]


def test_amounts_with_whatever_stands_for_a_currency() -> None:
    assert [v for v in (*AMOUNTS, *NO_AMOUNTS) if v and Column("x", (v,)).is_amounts] == AMOUNTS
    assert [to_number(v, ",") for v in AMOUNTS[1:2]] == [12.5]


def test_clock_and_offset() -> None:
    assert clock_and_offset(ISO, ("2017-01-01 00:00:00",)) == (False, False)  # midnight only: a date
    assert clock_and_offset(ISO, ("2017-01-01 00:00:00", "2017-01-01 09:00:00")) == (True, False)
    assert clock_and_offset(ISO, ("2017-01-01T09:00:00Z", "2017-01-01T09:00:00+02:00")) == (True, True)
    assert clock_and_offset(ISO, ("2017-01-01T09:00:00Z", "2017-01-01T09:00:00")) == (True, False)
    assert clock_and_offset("d/M/yyyy h:mm a", ("1/2/2017 12:00 AM",)) == (True, False)
    assert clock_and_offset("yyyyMMdd", ("19970101",)) == (False, False)


@pytest.mark.parametrize(
    "value",
    [
        "12",
        "-1.5",
        "1.234,56",
        "1,234.56",
        "EUR 12",
        "12,50 €",
        "$3.00",
        "(5.00)",
        "5.00-",
        "1 234,50",
        "1e-05",
        ".5",
        "US$ 5",
    ],
)
def test_numbers(value: str) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", ["", "-", "EUR", "01.02.2017", "2017-01-01", "1,23,4", "A12", "10:30", "12 pieces"])
def test_no_numbers(value: str) -> None:
    assert not is_number(value)


@pytest.mark.parametrize(
    ("value", "marks"),
    [
        ("1.234,56", (",", ".")),
        ("1,234.56", (".", ",")),
        ("12,5", (",", "")),
        ("1.234", ("?", "?")),
        ("0.250", (".", "")),
        ("1234.567", (".", "")),
        ("1.234.567", ("", ".")),
        ("1'234.50", (".", "'")),
        ("12", ("", "")),
        ("€ 9,99", (",", "")),
    ],
)
def test_separators(value: str, marks: tuple[str, str]) -> None:
    assert separators(value) == marks


def test_to_number() -> None:
    assert [to_number(v, ",") for v in ("1.234,56", "EUR 12,5", "(3,00)", "x")] == [1234.56, 12.5, -3.0, None]
    assert to_number("1,234.56", ".") == 1234.56


def test_kinds() -> None:
    kinds = {
        "integer": ("1", "2"),
        "decimal": ("1", "2.5"),
        "text": ("a", "1"),
        "date": ("2017-01-01",),
        "time": ("10:30", "9:15:00"),
        "empty": ("", ""),
    }
    assert {Column("x", values).kind for values in kinds.values()} == set(kinds)
    assert all(Column("x", values).kind == kind for kind, values in kinds.items())


def test_counts_and_ids() -> None:
    assert Column("n", ("1", "1", "2", "5", "1")).is_small_count
    assert not Column("id", ("00001", "00001", "00002")).is_small_count  # leading zeros: a code
    assert Column("id", ("00001", "00002", "00003")).is_like_id
    assert not Column("shop", ("A", "A", "A")).is_like_id
    assert not Column("name", ("John Doe", "Jane Doe", "Max Doe")).is_like_id


def test_dates_are_real_and_of_this_age() -> None:
    assert fits("yyyyMMdd", "20170228")
    assert not fits("yyyyMMdd", "20170229")
    assert not fits("yyyyMMdd", "10170228")
