"""What the columns of an undescribed file hold: dates and their pattern, numbers and their separators, and which of
our columns a name means in the languages and shop systems we have met.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

from habitue.sources.guess_format import Sample

ISO = "ISO 8601"  # stands for `date_format: null`
ENOUGH_YEARS = 10  # different ones, before their number tells anything
# As in habitue.sources.parsing, which needs Spark; a test holds the two together.
BLANK_WORDS = ("", "null", "none", "nan", "n/a", "na", "nat", "\\n")

# Names of theirs by column of ours, without accents, spaces and signs; the first line of a column is the clearest.
NAMES: dict[str, tuple[str, ...]] = {
    "customer_id": (
        "customerid customerno customernumber customernr custid custno customerkey customeruniqueid customercode"
        " kundennummer kundennr kundenid kundeid idcliente clienteid codigocliente numerocliente numcliente"
        " idclient clientid codeclient numeroclient numerodeclient nclient numclient householdid householdkey",
        "customer cust client cliente kunde debitor debitornummer debitorennummer shopperid shopper buyerid buyer"
        " userid memberid membernumber memberno accountid accountnumber loyaltyid loyaltycardid cardid cardnumber"
        " kundenkarte customerref household cid uid user visitorid",
        "customeremail email emailaddress buyeremail billingemail kundenemail useremail",
    ),
    "ordered_at": (
        "orderedat orderedon orderdate orderdatetime ordertime ordertimestamp orderpurchasetimestamp purchasedate"
        " purchasedat purchasetime purchasetimestamp transactiontimestamp transactiondate transactiontime"
        " transactiondatetime bestelldatum bestellzeitpunkt auftragsdatum kaufdatum einkaufsdatum datecommande"
        " datedecommande dateachat datedachat fechapedido fechadepedido fechacompra fechadecompra saledate salesdate"
        " datevente fechaventa verkaufsdatum",
        "invoicedate invoicedatetime rechnungsdatum datefacture fechafactura createdat createdon created datecreated"
        " creationdate basketdate receiptdate belegdatum bondatum buchungsdatum processedat",
        "date datetime timestamp time day datum zeitstempel zeitpunkt tag fecha fechahora dateheure jour",
    ),
    "order_id": (
        "orderid orderno ordernumber ordernum ordernr orderkey orderref orderreference bestellnummer bestellnr"
        " bestellid auftragsnummer auftragsnr numcommande numerocommande numerodecommande"
        " ncommande nocommande idcommande commandeid refcommande"
        " referencecommande numeropedido numerodepedido numpedido idpedido pedidoid incrementid",
        "basketid basket transactionid transid transactionno receiptid receiptno receiptnumber ticketid bonnummer bonnr"
        " belegnummer belegnr orders order commande pedido purchaseid saleid salesid",
        "invoiceno invoiceid invoicenumber invoice rechnungsnummer rechnungsnr numerofacture numerodefacture"
        " nfacture numfacture"
        " factura numerofactura facture",
        "name",  # with values such as #1001: Shopify's exports
    ),
    "product_id": (
        "productid productno productcode productnumber sku stockcode itemid itemno itemcode itemnumber itemsku"
        " lineitemsku articleid articleno articlenumber artikelnummer artikelnr artikelid artnr produktid produktnummer"
        " idproducto codigoproducto referenciaproducto idproduit refproduit codeproduit codearticle refarticle"
        " upc ean gtin asin",
        "product item article artikel produkt produit producto articulo variantid variantsku productsku reference",
    ),
    "quantity": (
        "quantity qty quantityordered qtyordered orderquantity lineitemquantity itemquantity menge anzahl stuckzahl"
        " stueckzahl quantite qte cantidad unidades cant",
        "units unitcount itemcount itemscount numitems numberofitems items pieces pcs stuck stueck bestellmenge"
        " nbarticles",
    ),
    "unit_price": (
        "unitprice priceperunit pricepereach priceeach itemprice lineitemprice einzelpreis stuckpreis stueckpreis"
        " preisprostuck prixunitaire prixunit preciounitario preciounidad",
        "price preis prix precio",
    ),
    "amount": (
        "amount totalamount orderamount ordertotal ordervalue total grandtotal subtotal linetotal lineamount"
        " extendedprice totalprice salesvalue salesamount netamount grossamount netsales grosssales dollarvalue revenue"
        " linerevenue turnover amountpaid totalpaid totalspent betrag gesamtbetrag rechnungsbetrag bestellwert"
        " warenwert auftragswert gesamtsumme gesamtpreis summe umsatz nettobetrag bruttobetrag nettoumsatz bruttoumsatz"
        " montant montanttotal montantht montantttc totalht totalttc prixtotal importe importetotal monto montototal"
        " valortotal totalpedido totalventa",
        "value sales spend spent payment paymentvalue netto brutto wert chiffreaffaires valor venta gross net",
    ),
    "discount": (
        "discount discountamount discountvalue retaildisc linediscount lineitemdiscount totaldiscount rabatt"
        " rabattbetrag nachlass remise montantremise descuento",
    ),
    "coupon_discount": ("coupondisc coupondiscount coupondiscountamount voucherdiscount gutscheinrabatt couponamount",),
    "currency": ("currency currencycode ordercurrency waehrung wahrung waehrungscode devise moneda divisa",),
    "channel": ("channel saleschannel orderchannel verkaufskanal vertriebskanal kanal canal canalvente canalventa",),
    "status": ("orderstatus status bestellstatus auftragsstatus statutcommande statut estadopedido", "financialstatus"),
    "known_at": ("knownat",),
}
OUR_COLUMNS = tuple(NAMES)
# Dates and numbers that have a meaning of their own: never the order's time, nor its customer.
OTHER_DATE = re.compile(
    "birth|geburt|naiss|nacim|ship|deliver|liefer|versand|livr|envio|due|paid|fulfil|cancel|updat|modif"
    "|expir|signup|regist|approv|return|estimat|deadline|load|ingest|known")  # fmt: skip
_COUNT_OF_THINGS = re.compile(
    r"^(number_of|num_of|no_of|anzahl_der|anzahl|nombre_de)_(?!order|customer|day|visit)[a-z]+$"
)
_PRODUCT_NAME = re.compile("^(product|item|article|artikel|produkt|produit|lineitem|line_item)?_?"
    "(name|title|description|desc|"
                           "bezeichnung|beschreibung|designation|descripcion|libelle)$")  # fmt: skip

_DAYS = ("yyyyMMdd", "yyyy/M/d", "yyyy.M.d", "yy-M-d", "yy/M/d", "yy.M.d",
         "d/M/yyyy", "M/d/yyyy", "d.M.yyyy", "M.d.yyyy", "d-M-yyyy", "M-d-yyyy",
         "d/M/yy", "M/d/yy", "d.M.yy", "M.d.yy", "d-M-yy", "M-d-yy", "d MMM yyyy", "d-MMM-yyyy", "d-MMM-yy", "d MMM yy",
         "MMM d, yyyy", "MMM d yyyy", "d MMMM yyyy", "MMMM d, yyyy")  # fmt: skip
_CLOCKS = ("H:mm", "H:mm:ss", "H:mm:ss.SSS", "h:mm a", "h:mm:ss a")
_OFFSETS = ("", "XXX", " XXX", "XX", " XX")
PATTERNS = (
    ISO,
    "yyyyMMddHHmmss",
    *(f"yyyy-M-d{gap}{clock}{zone}" for gap in (" ", "'T'") for clock in _CLOCKS[:2] for zone in (*_OFFSETS[1:], "X")),
    *_DAYS,
    *(f"{d}{gap}{clock}{zone}" for d in _DAYS for gap in (" ", ", ", "'T'") for clock in _CLOCKS for zone in _OFFSETS),
)  # fmt: skip
# What Spark's cast reads; with an offset it wants the seconds too.
_ISO = re.compile(
    r"(?P<y>\d{4})-(?P<M>\d{1,2})-(?P<d>\d{1,2})"
    r"(?:[T ](?P<H>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:\.\d{1,6})?(?: ?(?P<X>Z|UTC|[+-]\d\d:?\d\d))?)?)?"
)
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_SHORT_MONTHS = "|".join(m[:3] for m in _MONTHS)
_PIECES = {
    "yyyy": r"(?P<y>\d{4})", "yy": r"(?P<y>\d{2})",
    "MM": r"(?P<M>\d{2})", "M": r"(?P<M>\d{1,2})", "dd": r"(?P<d>\d{2})",
    "d": r"(?P<d>\d{1,2})", "MMM": f"(?P<M>{_SHORT_MONTHS})", "MMMM": f"(?P<M>{'|'.join(_MONTHS)})",
    "HH": r"(?P<H>\d{2})", "H": r"(?P<H>\d{1,2})", "hh": r"(?P<h>\d{2})", "h": r"(?P<h>\d{1,2})", "mm": r"(?P<m>\d{2})",
    "ss": r"(?P<s>\d{2})", "s": r"(?P<s>\d{1,2})", "SSS": r"\d{3}", "SSSSSS": r"\d{6}", "a": "(?:am|pm)",
    "XXX": r"(?P<X>Z|[+-]\d\d:\d\d)", "XX": r"(?P<X>Z|[+-]\d{4})", "X": r"(?P<X>Z|[+-]\d\d)",
}  # fmt: skip
# Saves trying every pattern on every word.
_DATE_LIKE = re.compile(
    "(?:[0-9/.,: +-]|t|z|utc|am|pm|" + "|".join(f"{m}|{m[:3]}" for m in _MONTHS) + "){6,}", re.IGNORECASE
)
_TOKEN = re.compile(r"'([^']*)'|(([A-Za-z])\3*)|([^A-Za-z'])")

_SIGN = "[$¢£¤¥฿\u20a0-\u20cf]"
_LETTER = r"[^\W\d_]"
_FIGURES = r"((?:\d{1,3}(?:[.,'’\s]\d{3})+|\d+)?(?:[.,]\d*)?)(?:[eE][-+]?\d+)?"


def _number(before: str, after: str) -> re.Pattern[str]:
    return re.compile(rf"\(?[-+]?\s*(?:{before})?\s*[-+]?{_FIGURES}\s*(?:{after})?\)?-?")


# Beside a number in any column: a currency's code, or something with a currency sign. A12 is no number.
_CODE = rf"[A-Z]{{3}}|{_LETTER}{{0,3}}{_SIGN}{_LETTER}{{0,3}}"
_NUMBER = _number(_CODE, _CODE)
# Beside an amount: whatever habitue.sources.parsing takes.
_EITHER = rf"(?:{_LETTER}|{_SIGN})"
_AMOUNT = _number(rf"{_EITHER}{{0,3}}(?:{_SIGN}|{_LETTER}(?:\.(?=\s)|(?!\.)))", rf"{_EITHER}{{1,4}}\.?")


@dataclass(frozen=True)
class Column:
    """One of their columns: `values` as text, "" where blank, in the order of the sample's rows."""

    name: str
    values: tuple[str, ...]
    native: str | None = None

    @cached_property
    def filled(self) -> tuple[str, ...]:
        return tuple(v for v in self.values if v)

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.filled))

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """The date patterns that fit best, and about equally well; empty where it holds no dates."""
        return date_patterns(self.distinct)

    @cached_property
    def kind(self) -> str:
        """empty, date, time, integer, decimal, boolean or text."""
        if not self.filled:
            return "empty"
        if self.native in ("timestamp", "timestamp_utc", "date") or (self.native is None and self.patterns):
            return "date"
        if self.native == "integer":
            return "date" if self.patterns else "integer"
        return self.native or _kind_of_text(self.distinct)

    @cached_property
    def is_amounts(self) -> bool:
        """Numbers, if they are read as amounts: with whatever shops write for their currency, such as kr 5."""
        amounts = sum(bool(m and any(c.isdigit() for c in m[1])) for m in map(_AMOUNT.fullmatch, self.distinct))
        return self.kind in ("integer", "decimal") or (self.kind == "text" and amounts >= 0.9 * len(self.distinct))

    @cached_property
    def is_small_count(self) -> bool:
        """Whole numbers like item counts: small, without leading zeros, few values making up most rows."""
        if self.kind != "integer" or any(re.match(r"[-+]?0\d", v) for v in self.distinct):
            return False
        counts = Counter(self.filled)
        numbers = sorted(int(v) for v in self.filled)
        return numbers[len(numbers) // 2] <= 10 and counts.most_common(1)[0][1] >= 0.15 * len(numbers)

    @cached_property
    def is_like_id(self) -> bool:
        """Codes or numbers that name something: no dates, fractions, counts or words with spaces, and not one value."""
        plain = self.kind == "integer" or (self.kind == "text" and not any(" " in v for v in self.distinct))
        return plain and not self.is_small_count and len(self.distinct) > 2

    def epoch(self) -> bool:
        """Whether all values could be seconds or milliseconds since 1970."""
        return bool(self.filled) and all(re.fullmatch(r"1\d{9}(\d{3})?", v) for v in self.distinct)


def columns_of(sample: Sample, names: list[str], rows: list[list[str]]) -> dict[str, Column]:
    """The columns by name; of two with one name the first."""
    found: dict[str, Column] = {}
    for i, name in enumerate(names):
        values = tuple("" if row[i].lower() in BLANK_WORDS else row[i] for row in rows)
        found.setdefault(name, Column(name, values, sample.types.get(name)))
    return found


def has_header(first: list[str], rows: list[list[str]]) -> tuple[bool, bool, str]:
    """Whether the first row holds names, whether that is certain, and why."""
    known = [cell for cell in first if cell and role_of(cell)]
    if len(known) >= 2:
        return True, True, f"the first row has names we know: {', '.join(known[:3])}"
    typed = [i for i, cell in enumerate(first) if cell and _is_typed(cell)]
    if typed:
        return False, not known, f"the first row holds a value ({first[typed[0]]}), not names"
    below = [i for i in range(len(first)) if rows and all(_is_typed(row[i]) for row in rows[:50] if row[i])]
    if below:
        return True, True, f"the first row holds words where others hold values such as {rows[0][below[0]]}"
    return True, False, "the first row looks like the others: names are assumed"


def _is_typed(value: str) -> bool:
    return is_number(value) or is_date(value)


def _kind_of_text(values: tuple[str, ...]) -> str:
    # A few broken values do not change what a column is.
    enough = 0.9 * len(values)
    if sum(bool(re.fullmatch(r"[-+]?\d+", v)) for v in values) >= enough:
        return "integer"
    if sum(is_number(v) for v in values) >= enough:
        return "decimal"
    return "time" if sum(bool(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", v)) for v in values) >= enough else "text"


def role_of(name: str) -> tuple[str, int] | None:
    """The column of ours that a name of theirs means, and how clear the name is (0 clearest); None where unknown."""
    words = spelled(name)
    key = re.sub(r"(utc|gmt)$", "", words.replace("_", ""))
    for ours, tiers in NAMES.items():
        for tier, listed in enumerate(tiers):
            if key in listed.split():
                return ours, tier
    return ("quantity", 1) if _COUNT_OF_THINGS.match(words) else None


def is_product_name(name: str) -> bool:
    return bool(_PRODUCT_NAME.match(spelled(name)))


def spelled(name: str) -> str:
    """`InvoiceNo`, `Invoice no.` and `invoice_no` alike: lower case words with underscores, without accents."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    bare = "".join(c for c in unicodedata.normalize("NFKD", split.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9]+", "_", bare).strip("_")


@lru_cache(maxsize=2_000)
def _regex(pattern: str) -> re.Pattern[str] | None:
    """A Spark datetime pattern as a regular expression; None where it uses letters that we do not know."""
    if pattern == ISO:
        return _ISO
    parts = []
    for literal, letters, _, other in _TOKEN.findall(pattern):
        if letters and letters not in _PIECES:
            return None
        parts.append(_PIECES[letters] if letters else re.escape(literal or other))
    if is_short_year_first(pattern):
        parts.insert(0, "(?=.{7})")  # 10.5.3 is the number of a version
    return re.compile("".join(parts), re.IGNORECASE)


def is_short_year_first(pattern: str) -> bool:
    return re.match("yy(?!y)", pattern) is not None


def is_known_pattern(pattern: str) -> bool:
    """Whether `fits` understands a Spark pattern: it uses only common letters, each once."""
    try:
        return _regex(pattern) is not None
    except re.error:
        return False


def is_date(value: str) -> bool:
    """Whether a text is a date in any pattern that we try."""
    return bool(_DATE_LIKE.fullmatch(value)) and any(fits(p, value) for p in PATTERNS)


@lru_cache(maxsize=200_000)
def fits(pattern: str, value: str) -> bool:
    """Whether a value is a real date (1990 to 2100) in a Spark pattern."""
    regex = _regex(pattern)
    match = regex.fullmatch(value) if regex else None
    if not match:
        return False
    parts = match.groupdict()
    year, month = int(parts["y"]), parts["M"]
    year += 2000 if len(parts["y"]) == 2 else 0
    number = int(month) if month.isdigit() else [m[:3] for m in _MONTHS].index(month[:3].lower()) + 1
    try:
        date(year, number, int(parts["d"]))
    except ValueError:
        return False
    clock_fits = (
        int(parts.get("H") or 0) < 24 and int(parts.get("h") or 1) in range(1, 13) and int(parts.get("m") or 0) < 60
    )
    return 1990 <= year <= 2100 and clock_fits


def date_patterns(values: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns that most of the distinct `values` fit, best ones only; () where they are no dates."""
    some = values[:: max(1, len(values) // 5)][:5]
    some_like = [v for v in some if _DATE_LIKE.fullmatch(v)]
    candidates = [p for p in PATTERNS if any(fits(p, v) for v in some_like)]
    counts = {p: sum(fits(p, v) for v in values) for p in candidates}
    best = max(counts.values(), default=0)
    if best and counts.get(ISO) == best:
        return (ISO,)
    # Whole numbers may be dates by accident, text with separators hardly.
    enough = 0.95 if any(v.isdigit() for v in some) else 0.5
    return tuple(p for p, count in counts.items() if count == best and count >= enough * len(values))


def unlikely_patterns(patterns: Sequence[str], values: tuple[str, ...]) -> list[str]:
    """Of several orders of year, month and day, those that would have a shop sell in more years than on days of the month."""
    found = []
    for pattern in patterns:
        regex = _regex(pattern)
        parts = [m.groupdict() for v in values if regex and (m := regex.fullmatch(v))]
        years, days = {p["y"] for p in parts}, {int(p["d"]) for p in parts}
        if len(years) >= ENOUGH_YEARS and len(years) > len(days):
            found.append(pattern)
    return found


def padded(pattern: str, values: tuple[str, ...]) -> str:
    """The pattern with two letters (dd, MM, HH) where every value has two digits and some begin with 0."""
    for letter, group in (("d", "d"), ("M", "M"), ("H", "H"), ("h", "h")):
        regex = _regex(pattern)
        if regex is None or not re.search(rf"(?<!{letter}){letter}(?!{letter})", pattern):
            continue
        parts = [m[group] for v in values if (m := regex.fullmatch(v))]
        if all(len(p) == 2 for p in parts) and any(p.startswith("0") for p in parts):
            pattern = re.sub(rf"(?<!{letter}){letter}(?!{letter})", letter * 2, pattern, count=1)
    return pattern


def clock_and_offset(pattern: str, values: tuple[str, ...]) -> tuple[bool, bool]:
    """Whether the values tell a time of day other than midnight, and whether each says its offset from UTC."""
    regex = _regex(pattern)
    parts = [m.groupdict() for v in values if regex and (m := regex.fullmatch(v))]
    timed = [p for p in parts if p.get("H") or p.get("h")]
    at_midnight = all(
        int(p.get("H") or 1) == 0 and int(p.get("m") or 0) == 0 and int(p.get("s") or 0) == 0 for p in timed
    )
    return bool(timed) and not at_midnight, bool(timed) and all(p.get("X") for p in timed)


def is_number(value: str) -> bool:
    match = _NUMBER.fullmatch(value)
    return bool(match) and any(c.isdigit() for c in match[1] or "") if match else False


def separators(value: str) -> tuple[str, str]:
    """The decimal and the thousands separator that a number shows: "" for none seen, "?" where it may be either."""
    match = _AMOUNT.fullmatch(value)
    core = match[1] if match else ""
    other = next((c for c in core if c in "'’ \u00a0\u202f"), "")
    marks = [c for c in core if c in ".,"]
    if not marks:
        return "", other
    if len(set(marks)) == 2:
        return marks[-1], marks[0]
    if len(marks) > 1:
        return "", marks[0]
    before, after = core.split(marks[0])
    is_either = len(after) == 3 and 1 <= len(before) <= 3 and not before.startswith("0") and not other
    return ("?", "?") if is_either else (marks[0], other)


def to_number(value: str, decimal: str) -> float | None:
    """The number in a text, for comparing columns in the sample; None where there is none."""
    match = _AMOUNT.fullmatch(value)
    core = re.sub(r"['’\s]", "", match[1] or "") if match else ""
    core = core.replace("." if decimal == "," else ",", "").replace(decimal, ".")
    try:
        return float(core) * (-1 if value.startswith(("-", "(")) or value.endswith("-") else 1)
    except ValueError:
        return None
