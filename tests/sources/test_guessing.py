"""`habitue init` on files as shops export them; expected columns are what a person reads off the file."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from habitue.errors import UsageError
from habitue.sources.guessing import Answers, Guess, guess
from habitue.sources.shop_yaml import scalar, shop_yaml

CDNOW_HEADER = " customer_id  date number_of_cds  dollar_value\r\n"
# The first thirty rows of the CDNOW master file, in its layout.
CDNOW = "".join(
    f" {line}\r\n"
    for line in """\
00001 19970101  1   11.77
00002 19970112  1   12.00
00002 19970112  5   77.00
00003 19970102  2   20.76
00003 19970330  2   20.76
00003 19970402  2   19.54
00003 19971115  5   57.45
00003 19971125  4   20.96
00003 19980528  1   16.99
00004 19970101  2   29.33
00004 19970118  2   29.73
00004 19970802  1   14.96
00004 19971212  2   26.48
00005 19970101  2   29.33
00005 19970114  1   13.97
00005 19970204  3   38.90
00005 19970411  3   45.55
00005 19970531  3   38.71
00005 19970616  2   26.14
00005 19970722  2   28.14
00005 19970915  3   40.47
00005 19971208  4   46.46
00005 19971212  3   40.47
00005 19980103  3   37.47
00006 19970101  1   20.99
00007 19970101  2   28.74
00007 19971011  7   97.43
00007 19980322  9  138.50
00008 19970101  1    9.77
00008 19970213  1   13.97""".splitlines()
)
ONLINE_RETAIL = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom
536365,71053,"LANTERN, WHITE METAL",6,12/1/2010 8:26,3.39,17850,United Kingdom
536366,22633,HAND WARMER UNION JACK,6,12/1/2010 8:28,1.85,17850,United Kingdom
536367,84879,ASSORTED COLOUR BIRD ORNAMENT,32,12/1/2010 8:34,1.69,13047,United Kingdom
"""
SHOPIFY = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,\
Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Notes
#1001,a@x.com,paid,2019-04-01 12:35:10 -0400,fulfilled,USD,45.00,5.00,0.00,50.00,SAVE5,\
5.00,2019-04-01 12:34:56 -0400,1,Mug,20.00,MUG-1,"please
ring, twice"
#1001,a@x.com,,,,,,,,,,,2019-04-01 12:34:56 -0400,2,Tea,15.00,TEA-1,
#1002,b@x.com,paid,2019-04-02 09:00:10 -0400,fulfilled,USD,20.00,5.00,0.00,25.00,,\
0.00,2019-04-02 09:00:01 -0400,1,Mug,20.00,MUG-1,
#1003,a@x.com,paid,2019-05-02 09:00:10 -0400,fulfilled,USD,35.00,5.00,0.00,40.00,,\
0.00,2019-05-02 09:00:01 -0400,1,Mug,20.00,MUG-1,
#1003,a@x.com,,,,,,,,,,,2019-05-02 09:00:01 -0400,1,Tea,15.00,TEA-1,
"""
GERMAN = """\
Kundennummer;Bestellnummer;Bestelldatum;Menge;Gesamtbetrag;Währung
K-17;B1;13.02.2017;2;1.234,56;EUR
K-18;B2;01.02.2017;1;12,50;EUR
K-17;B3;05.03.2017;1;7,00;EUR
"""


def guessed(folder: Path, text: str | bytes, name: str = "orders.csv", **options: Any) -> Guess:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return guess(str(file), Answers.from_options(**options))


def asked(found: Guess) -> list[str]:
    return [q.about for q in found.questions]


def sure(found: Guess, what: str) -> str:
    return next(f.certainty for f in found.findings if f.what == what)


def test_cdnow_as_it_is(tmp_path: Path) -> None:
    found = guessed(tmp_path, CDNOW_HEADER + CDNOW)
    assert (found.delimiter, found.header, found.date_format, found.decimal) == ("spaces", True, "yyyyMMdd", ".")
    assert found.columns == {
        "customer_id": "customer_id",
        "ordered_at": "date",
        "quantity": "number_of_cds",
        "amount": "dollar_value",
    }
    # Two rows of customer 00002 on one day are two orders: nothing says that they are lines.
    assert not found.questions
    assert not found.unmapped
    assert found.time_zone == "UTC"


def test_cdnow_without_its_header(tmp_path: Path) -> None:
    found = guessed(tmp_path, CDNOW)
    assert (found.delimiter, found.header, found.date_format) == ("spaces", False, "yyyyMMdd")
    assert found.columns == {"customer_id": "c1", "ordered_at": "c2", "quantity": "c3", "amount": "c4"}
    assert not found.questions
    assert sure(found, "customer_id") == "guess"


def test_two_ids_that_say_the_same_are_one(tmp_path: Path) -> None:
    # The CDNOW sample carries its own running number beside the customer's.
    lines = [line.split() for line in CDNOW.splitlines()]
    found = guessed(tmp_path, "".join(f" {c} {int(c):04d} {d} {n} {v}\n" for c, d, n, v in lines))
    assert found.columns["customer_id"] == "c1"
    assert list(found.unmapped) == ["c2"]
    assert not found.questions


def test_two_ids_that_differ_are_asked_about(tmp_path: Path) -> None:
    # c1 is the customer, c2 a product; both come back at different days, and nothing tells them apart.
    rows = [(f"C{i % 7:03d}", f"P{i % 5:03d}", f"2017-01-{i + 1:02d}", f"{i}.50") for i in range(28)]
    found = guessed(tmp_path, "".join(",".join(row) + "\n" for row in rows))
    assert asked(found) == ["customer_id"]
    assert "c1, c2" in found.questions[0].text


def test_semicolons_decimal_comma_and_day_first(tmp_path: Path) -> None:
    found = guessed(tmp_path, GERMAN.encode("cp1252"))
    assert (found.delimiter, found.encoding, found.date_format) == (";", "windows-1252", "dd.MM.yyyy")
    assert (found.decimal, found.thousands) == (",", ".")
    assert found.columns == {
        "customer_id": "Kundennummer",
        "ordered_at": "Bestelldatum",
        "order_id": "Bestellnummer",
        "quantity": "Menge",
        "amount": "Gesamtbetrag",
        "currency": "Währung",
    }
    assert not found.questions


def test_a_header_with_spaces_and_a_byte_order_mark(tmp_path: Path) -> None:
    found = guessed(tmp_path, "\ufeff Customer ID \t Order Date\t Total \n1\t2017-01-13\t5.00\n1\t2017-01-14\t6.00\n")
    assert found.columns == {"customer_id": "Customer ID", "ordered_at": "Order Date", "amount": "Total"}
    assert found.delimiter == "\t"
    assert found.date_format is None
    assert not found.questions


def test_online_retail_asks_for_month_and_zone_only(tmp_path: Path) -> None:
    found = guessed(tmp_path, ONLINE_RETAIL)
    assert asked(found) == ["day_first", "time_zone"]
    assert found.columns == {
        "customer_id": "CustomerID",
        "ordered_at": "InvoiceDate",
        "order_id": "InvoiceNo",
        "product_id": "StockCode",
        "quantity": "Quantity",
        "unit_price": "UnitPrice",
    }
    assert found.unmapped["Description"] == "the product's name?"
    with pytest.raises(UsageError, match="--month-first") as error:
        shop_yaml(found)
    assert error.value.exit_code == 2
    assert "--time-zone" in str(error.value)


def test_online_retail_answered(tmp_path: Path) -> None:
    found = guessed(tmp_path, ONLINE_RETAIL, day_first=False, time_zone="Europe/London")
    assert (found.date_format, found.time_zone, found.questions) == ("M/d/yyyy H:mm", "Europe/London", [])


def test_years_of_two_digits_that_come_first(tmp_path: Path) -> None:
    days = [f"{year}-{month:02}-{day:02}" for year in (17, 18) for month in range(1, 13) for day in range(1, 29)]
    found = guessed(tmp_path, "customer_id,date,amount\n" + "".join(f"{i % 9},{d},5.00\n" for i, d in enumerate(days)))
    assert (found.date_format, found.questions) == ("yy-MM-dd", [])
    assert sure(found, "date_format") == "likely"


@pytest.mark.parametrize("written", ["CA$5.50", "5,50 zł", "kr 5", "US$ 5", "5.50"])
def test_an_amount_is_taken_whatever_stands_for_its_currency(tmp_path: Path, written: str) -> None:
    rows = [f"{i % 3};2017-01-{i + 1:02d};{written}\n" for i in range(9)]
    found = guessed(tmp_path, "customer_id;date;total\n" + "".join(rows))
    assert found.columns["amount"] == "total"
    assert not found.questions


def test_a_given_encoding_is_one_that_can_be_read(tmp_path: Path) -> None:
    found = guessed(tmp_path, "Zákazník_id,customer_id,date\nŽofie,1,2017-01-13\n".encode("cp1250"), encoding="cp1250")
    assert found.encoding == "cp1250" and "Zákazník_id" in found.unmapped
    with pytest.raises(UsageError, match="--encoding shift_jis: cannot be read"):
        Answers(encoding="shift_jis")


def test_one_clear_date_settles_day_and_month_even_far_into_the_file(tmp_path: Path) -> None:
    # 400,000 lines, of which only those after the first 4 MB tell: all of the head's dates are 12/1.
    rows = [f"C{i % 97},{'12/1/2010' if i < 300_000 else '12/25/2010'},5.00\n" for i in range(400_000)]
    found = guessed(tmp_path, "customer_id,order_date,amount\n" + "".join(rows))
    assert found.date_format == "M/d/yyyy"
    assert not found.questions


def test_an_answer_against_the_data_is_refused(tmp_path: Path) -> None:
    text = "customer_id,order_date\n1,12/25/2010\n1,12/26/2010\n"
    with pytest.raises(UsageError, match="--day-first does not fit"):
        guessed(tmp_path, text, day_first=True)
    with pytest.raises(UsageError, match="fits no value"):
        guessed(tmp_path, text, date_format="dd.MM.yyyy")


def test_shopify_totals_belong_to_the_order(tmp_path: Path) -> None:
    # Subtotal, Total and Discount Amount stand on an order's first line only; the line has a price and a quantity.
    found = guessed(tmp_path, SHOPIFY)
    assert found.columns == {
        "customer_id": "Email",
        "ordered_at": "Created at",
        "order_id": "Name",
        "product_id": "Lineitem sku",
        "quantity": "Lineitem quantity",
        "unit_price": "Lineitem price",
        "currency": "Currency",
        "status": "Financial Status",
    }
    assert found.date_format is None
    assert found.time_zone == "UTC"
    assert not found.questions
    assert "order's total" in found.unmapped["Total"]
    assert "order's discount" in found.unmapped["Discount Amount"]


@pytest.mark.parametrize(
    ("text", "about", "option"),
    [
        (
            "customer_id,date,total,subtotal\n1,2017-01-13,5.00,4.00\n1,2017-01-14,6.00,5.00\n",
            "amount",
            "--column amount=total",
        ),
        (
            "branch,date,amount\nA,2017-01-13,5.00\nB,2017-01-14,6.00\nC,2017-01-14,6.00\nA,2017-01-15,6.00\n",
            "customer_id",
            "--column customer_id=",
        ),
        ("customer_id,week,amount\n1,1,5.00\n1,2,6.00\n", "ordered_at", "--column ordered_at="),
        ("customer_id,created_at,amount\n1,1483261200,5.00\n1,1483361200,6.00\n", "ordered_at", "--column ordered_at="),
        (
            "customer_id,date,amount\n1,2017-01-13 10:00:00,5.00\n1,2017-01-14 11:00:00,6.00\n",
            "time_zone",
            "--time-zone",
        ),
        ("customer_id,date,amount\n1,17-01-13,5.00\n1,17-01-14,6.00\n", "date_format", "--date-format 'yy-M-d'"),
        ("customer_id,date,amount\n1,2017-01-13,5.00 each\n1,2017-01-14,6.00 a piece\n", "amount", "--column amount="),
        ("customer_id;date;amount\n1;2017-01-13;1.234\n1;2017-01-14;2.345\n", "decimal", "--decimal"),
        ("customer_id;date;amount\n1;2017-01-13;12.34\n1;2017-01-14;2,34\n", "decimal", "--decimal"),
        ("customer_id,date,sku,amount\n1,2017-01-13,A,5.00\n1,2017-01-13,B,6.00\n", "order_id", "--column order_id="),
        ("customer_id,user_id,household_id,date\n1,7,1,2017-01-13\n2,7,1,2017-01-14\n", "customer_id", "household_id"),
        (
            "customer_id,date,quantity,price\n1,2017-01-13,2,5.00\n1,2017-01-14,3,6.00\n",
            "amount",
            "--column unit_price=price",
        ),
        (
            "customer_id,date,quantity,unit_price,total\n" + "1,2017-01-13,2,5.00,7.77\n" * 6,
            "amount",
            "unit_price=unit_price",
        ),
        (
            "customer_id,order_date,transaction_date\n1,2017-01-13,2017-01-14\n1,2017-01-14,2017-01-14\n",
            "ordered_at",
            "order_date",
        ),
    ],
)
def test_what_cannot_be_guessed_honestly_is_asked(tmp_path: Path, text: str, about: str, option: str) -> None:
    found = guessed(tmp_path, text)
    assert asked(found) == [about]
    assert option in found.questions[0].option
    with pytest.raises(UsageError, match="cannot be told"):
        found.require_answers()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (
            "customer_id,date,total,subtotal\n1,2017-01-13,5.00,4.00\n1,2017-01-14,6.00,5.00\n",
            {"column": ["amount=subtotal"]},
        ),
        ("customer_id,date,total,subtotal\n1,2017-01-13,5.00,4.00\n1,2017-01-14,6.00,5.00\n", {"column": ["amount="]}),
        ("store,date,amount\nA,2017-01-13,5.00\nB,2017-01-14,6.00\n", {"column": ["customer_id=store"]}),
        ("customer_id;date;amount\n1;2017-01-13;1.234\n1;2017-01-14;2.345\n", {"decimal": ","}),
        ("customer_id,date,amount\n1,17-01-13,5.00\n1,17-01-14,6.00\n", {"date_format": "yy-MM-dd"}),
        ("customer_id,date,amount\n1,13.01.17,5.00\n1,14.01.17,6.00\n", {"day_first": True}),
        ("customer_id,date,sku,amount\n1,2017-01-13,A,5.00\n1,2017-01-13,B,6.00\n", {"column": ["order_id="]}),
        ("customer_id,date,quantity,price\n1,2017-01-13,2,5.00\n1,2017-01-14,3,6.00\n", {"column": ["amount=price"]}),
    ],
)
def test_an_answer_settles_it(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    found = guessed(tmp_path, text, **options)
    assert not found.questions
    for pair in options.get("column", []):
        ours, theirs = pair.split("=")
        assert found.columns.get(ours, "") == theirs


def lines(prices_are_per_piece: bool) -> str:
    """Rows of 1 to 4 pieces at 10 or 12 each: the price column is that of a piece, or of the row."""
    draw = random.Random(1)
    rows = []
    for i in range(60):
        quantity, price = draw.randint(1, 4), draw.choice([10, 12])
        rows.append(
            f"{i % 9},2017-01-{i % 28 + 1:02d},{quantity},{price if prices_are_per_piece else price * quantity}.00\n"
        )
    return "customer_id,date,quantity,price\n" + "".join(rows)


def test_a_price_that_grows_with_the_quantity_is_the_rows_amount(tmp_path: Path) -> None:
    assert guessed(tmp_path, lines(prices_are_per_piece=True)).columns["unit_price"] == "price"
    assert guessed(tmp_path, lines(prices_are_per_piece=False)).columns["amount"] == "price"


def test_an_amount_that_is_quantity_times_price_is_taken(tmp_path: Path) -> None:
    rows = [f"{i % 5},2017-01-{i + 1:02d},{i % 3 + 1},2.50,{(i % 3 + 1) * 2.5:.2f}\n" for i in range(20)]
    found = guessed(tmp_path, "customer_id,date,quantity,unit_price,total\n" + "".join(rows))
    assert found.columns["amount"] == "total"
    assert "unit_price" not in found.columns
    assert not found.questions
    assert sure(found, "amount") == "certain"


def test_an_order_total_repeated_on_each_line_is_not_added_up(tmp_path: Path) -> None:
    first = "1,2017-01-13,1,A,9.00\n1,2017-01-13,1,B,9.00\n"
    text = f"customer_id,date,order_id,sku,total\n{first}2,2017-01-14,2,A,4.00\n2,2017-01-14,2,C,4.00\n"
    found = guessed(tmp_path, text)
    assert asked(found) == ["amount"]
    assert "several times" in found.questions[0].text


def test_a_discount_rate_is_not_an_amount(tmp_path: Path) -> None:
    found = guessed(tmp_path, "customer_id,date,amount,discount\n1,2017-01-13,5.00,0.1\n1,2017-01-14,6.00,0.25\n")
    assert "discount" not in found.columns
    assert "rate" in found.unmapped["discount"]


def test_dates_of_other_things_are_not_the_orders(tmp_path: Path) -> None:
    found = guessed(
        tmp_path,
        "customer_id,birth_date,shipped,when\n1,1991-01-13,2017-01-15,2017-01-14\n1,1991-01-13,2017-01-16,2017-01-15\n",
    )
    assert found.columns["ordered_at"] == "when"
    assert found.unmapped["shipped"].startswith("another date")


def test_no_amounts_at_all(tmp_path: Path) -> None:
    found = guessed(tmp_path, "customer_id,date\n1,2017-01-13\n1,2017-01-14\n")
    assert found.columns == {"customer_id": "customer_id", "ordered_at": "date"}
    assert not found.questions


def test_a_line_above_the_header_is_pointed_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="above the header"):
        guessed(tmp_path, "Export of 2017\n" + "customer_id,date,amount\n" + "1,2017-01-13,5.00\n" * 20)


def test_a_header_alone_and_two_columns_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rows"):
        guessed(tmp_path, "customer_id,date,amount\n")
    with pytest.raises(UsageError, match="two columns named amount"):
        guessed(tmp_path, "customer_id,date,amount,amount\n1,2017-01-13,5.00,6.00\n")


def test_json_lines_with_offsets(tmp_path: Path) -> None:
    rows = [
        {"customerId": i % 3, "createdAt": f"2017-01-{i + 1:02d}T10:00:00Z", "total": i + 0.5, "state": "NY"}
        for i in range(9)
    ]
    found = guessed(tmp_path, "\n".join(json.dumps(r) for r in rows), "orders.jsonl")
    assert found.columns == {"customer_id": "customerId", "ordered_at": "createdAt", "amount": "total"}
    assert (found.format, found.header, found.delimiter, found.time_zone) == ("json", None, None, "UTC")


def test_complete_journeys_columns(tmp_path: Path) -> None:
    # The first lines of its transactions: line level, baskets, naive timestamps.
    start = datetime(2017, 1, 1, 11, 53, 26)
    table = pa.table(
        {
            "household_id": [900, 900, 1228, 906, 906, 906],
            "store_id": [330, 330, 406, 319, 319, 319],
            "basket_id": [31198570044, 31198570047, 31198655051, 31198705046, 31198705046, 31198705046],
            "product_id": [1095275, 9878513, 1041453, 1020156, 1053875, 1060312],
            "quantity": [1, 1, 1, 1, 2, 1],
            "sales_value": [0.5, 0.99, 1.43, 1.5, 2.78, 5.49],
            "retail_disc": [0.0, 0.1, 0.15, 0.29, 0.8, 0.5],
            "coupon_disc": [0.0] * 6,
            "coupon_match_disc": [0.0] * 6,
            "week": [1] * 6,
            "transaction_timestamp": [start + timedelta(minutes=i // 4) for i in range(6)],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    found = guess(str(tmp_path / "t.parquet"), Answers(time_zone="America/New_York"))
    assert found.columns | {"discount": "", "coupon_discount": ""} == {
        "customer_id": "household_id",
        "ordered_at": "transaction_timestamp",
        "order_id": "basket_id",
        "product_id": "product_id",
        "quantity": "quantity",
        "amount": "sales_value",
        "discount": "",
        "coupon_discount": "",
    }
    assert asked(guess(str(tmp_path / "t.parquet"))) == ["time_zone"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"column": ["customer=x"]}, "customer_id"),
        ({"column": ["customer_id=custmer"]}, "Did you mean customer"),
        ({"column": ["customer_id"]}, "ours=theirs"),
        ({"column": ["amount=a", "unit_price=b"]}, "not both"),
        ({"decimal": ";"}, "--decimal"),
        ({"delimiter": "::"}, "--delimiter"),
        ({"time_zone": "Europe/Berlln"}, "Europe/Berlin"),
        ({"encoding": "utf-9"}, "--encoding"),
    ],
)
def test_answers_that_cannot_be_meant(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        guessed(tmp_path, "customer,date\n1,2017-01-13\n1,2017-01-14\n", **options)


def test_yaml_reads_back_as_guessed(tmp_path: Path) -> None:
    found = guessed(tmp_path, GERMAN)
    text = shop_yaml(found, name="Käse: & mehr #1")
    assert yaml.safe_load(text) == {
        "shop": {"name": "Käse: & mehr #1", "time_zone": "UTC"},
        "sources": {
            "orders": {
                "path": found.path,
                "format": "csv",
                "delimiter": ";",
                "encoding": "utf-8",
                "header": True,
                "date_format": "dd.MM.yyyy",
                "decimal": ",",
                "columns": found.columns,
            }
        },
    }
    assert "# certain: by its name (K-17, K-18)" in text


def test_yaml_of_a_file_without_header_and_with_iso_dates(tmp_path: Path) -> None:
    rows = [f"K{i % 9:03d},2017-01-{i + 1:02d},{i}.50\n" for i in range(28)]
    text = shop_yaml(guessed(tmp_path, "".join(rows)))
    orders = yaml.safe_load(text)["sources"]["orders"]
    assert (orders["header"], orders["date_format"], orders["decimal"]) == (False, None, ".")
    assert orders["columns"] == {"customer_id": "c1", "ordered_at": "c2", "amount": "c3"}


def test_yaml_lists_unmapped_columns_in_comments_only(tmp_path: Path) -> None:
    # A hostile column name stays inside its comment.
    found = guessed(tmp_path, 'customer_id,date,"x\nkey: {}"\n1,2017-01-13,a\n1,2017-01-14,b\n')
    text = shop_yaml(found)
    assert "#   x key: {}: text (a, b)" in text
    assert set(yaml.safe_load(text)["sources"]["orders"]["columns"]) == {
        "customer_id",
        "ordered_at",
    }


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "null",
        "1e3",
        "a: b",
        "a #b",
        "- x",
        "#1",
        "",
        " x",
        "2017-01-01",
        "Größe",
        'a"b\\',
        "x\ny",
        "~",
        "=",
        "Lineitem price",
    ],
)
def test_scalars_read_back(text: str) -> None:
    assert yaml.safe_load(f"k: {scalar(text)}") == {"k": text}
