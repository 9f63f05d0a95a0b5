"""Which of their columns is which of ours: by name, type and what the values do; asked where several may be meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from habitue.sources.guess_columns import OTHER_DATE, Column, is_product_name, role_of, separators, spelled, to_number
from habitue.sources.guess_format import Certainty, Finding, Question

MONEY = ("unit_price", "amount", "discount", "coupon_discount")
ENOUGH_ROWS = 5  # to compare two columns with each other


@dataclass
class Work:
    """What is known so far: filled in step by step."""

    columns: dict[str, Column]
    given: Mapping[str, str]  # ours -> theirs, as the user said; "" leaves ours out
    has_names: bool
    findings: list[Finding]
    mapping: dict[str, str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    def column(self, ours: str) -> Column | None:
        return self.columns.get(self.mapping.get(ours, ""))

    def find(self, what: str, value: str, certainty: Certainty, reason: str) -> None:
        self.findings.append(Finding(what, value, certainty, reason))

    def take(self, ours: str, theirs: str, certainty: Certainty, reason: str) -> None:
        self.mapping[ours] = theirs
        self.find(ours, theirs, certainty, reason)

    def ask(self, about: str, text: str, option: str) -> None:
        self.questions.append(Question(about, text, option))

    def free(self) -> list[Column]:
        return [c for c in self.columns.values() if c.name not in self.mapping.values()]

    def named(self, ours: str) -> list[tuple[int, Column]]:
        """Free columns whose name means `ours` and whose content allows it, clearest names first."""
        found = [
            (role[1], c) for c in self.free() if (role := role_of(c.name)) and role[0] == ours and _allows(ours, c)
        ]
        return sorted(found, key=lambda pair: pair[0])


def map_columns(work: Work) -> None:
    for ours, theirs in work.given.items():
        if theirs:
            work.take(ours, theirs, "certain", "given")
    _map_time(work)
    _map_customer(work)
    for ours in ("order_id", "product_id", "quantity"):
        if ours not in work.given:
            _choose(work, ours, work.named(ours))
    _map_money(work)
    for ours in ("discount", "coupon_discount", "currency", "channel", "status", "known_at"):
        found = work.named(ours)
        if ours not in work.given and len({tier for tier, _ in found}) == len(found) > 0:
            if ours in MONEY and _repeats_by_order(work, found[0][1]):
                work.hints[found[0][1].name] = f"the order's {ours}, not the line's"
            elif ours in MONEY and _is_rate(found[0][1]):
                work.hints[found[0][1].name] = f"a {ours} as a rate, not an amount"
            else:
                work.take(ours, found[0][1].name, "likely", "by its name and content")
    _ask_for_order_id(work)


def _map_time(work: Work) -> None:
    if "ordered_at" in work.mapping:
        return
    named = work.named("ordered_at")
    dates = [c for c in work.free() if c.kind == "date" and not OTHER_DATE.search(spelled(c.name))]
    if named:
        _choose(work, "ordered_at", named)
    elif len(dates) == 1:
        work.take("ordered_at", dates[0].name, "likely", f"the only column with dates{examples(dates[0])}")
    else:
        epochs = [c.name for c in work.free() if (role_of(c.name) or "?")[0] == "ordered_at" and c.epoch()]
        why = f"{epochs[0]} counts seconds since 1970, which is not read: write it as a date" if epochs else ""
        why = why or f"{len(dates)} columns hold dates in a form that we know" + _listed(dates)
        work.ask(
            "ordered_at",
            f"Which column says when the order was made? {why}.",
            "--column ordered_at=<column> (and --date-format)",
        )


def _map_customer(work: Work) -> None:
    if "customer_id" in work.mapping:
        return
    if work.named("customer_id"):
        _choose(work, "customer_id", work.named("customer_id"))
        return
    like = [c for c in work.free() if c.is_like_id and len(c.distinct) < len(c.filled)]
    recurring = [c for c in like if _recurs(c, work.column("ordered_at"))]
    first = recurring[0] if recurring else None
    same = [c.name for c in recurring[1:] if first and _is_one_to_one(first, c)]
    # With names, none of which means a customer, a repeating code may as well be a store.
    if first and not work.has_names and len(same) == len(recurring) - 1:
        also = f"; {', '.join(same)} says the same" if same else ""
        work.take("customer_id", first.name, "guess", f"codes that come back at different times{also}{examples(first)}")
        return
    work.ask(
        "customer_id",
        f"Which column is the customer? No name says so{_listed(recurring)}.",
        "--column customer_id=<column>",
    )


def _allows(ours: str, column: Column) -> bool:
    """Whether a column's content can be what its name says."""
    kind = column.kind
    if kind == "empty":
        return False
    if ours in ("ordered_at", "known_at"):
        return kind == "date"
    if ours in ("quantity", *MONEY):
        return column.is_amounts
    if ours == "currency":
        return all(len(v) == 3 and v.isalpha() for v in column.distinct)
    if ours == "order_id" and spelled(column.name) == "name":
        return all(v.startswith("#") for v in column.distinct)
    return kind != "time" and (kind != "date" or column.native == "integer")


def _is_unreadable_money(column: Column) -> bool:
    """Whether a name says amount or price, and the content is something else, though it has figures in it."""
    role = role_of(column.name)
    is_money = role is not None and role[0] in ("amount", "unit_price") and not column.is_amounts
    return is_money and any(c.isdigit() for value in column.distinct for c in value)


def _choose(work: Work, ours: str, found: list[tuple[int, Column]]) -> None:
    """Takes the clearest candidate; asks where two are equally clear and differ in what they say."""
    best = [column for tier, column in found if tier == found[0][0]]
    if not best:
        return
    same = [c.name for c in best[1:] if _is_one_to_one(best[0], c)]
    if len(same) < len(best) - 1:
        names = " or ".join(c.name for c in best)
        options = " or ".join(f"--column {ours}={c.name}" for c in best)
        work.ask(ours, f"Which column is the {ours.replace('_', ' ')}: {names}?", options)
        return
    certainty: Certainty = "certain" if len(found) == 1 and found[0][0] == 0 else "likely"
    reason = "by its name" + (f"; {', '.join(same)} says the same" if same else "") + examples(best[0])
    work.take(ours, best[0].name, certainty, reason)


def _is_one_to_one(left: Column, right: Column) -> bool:
    pairs = set(zip(left.values, right.values, strict=True))
    return len(pairs) == len(set(left.values)) == len(set(right.values))


def _recurs(column: Column, time: Column | None) -> bool:
    """Whether at least one value comes at two different times: an order's number does not."""
    if time is None:
        return True
    return len(set(zip(column.values, time.values, strict=True)) - {("", "")}) > len(column.distinct)


def _map_money(work: Work) -> None:
    if "amount" in work.given or work.given.get("unit_price"):
        return
    units = [] if "unit_price" in work.given else [c for _, c in work.named("unit_price")]
    named = [c for _, c in work.named("amount")]
    of_orders = [c for c in named if _repeats_by_order(work, c)]
    work.hints |= {c.name: "the order's total, repeated on its lines" for c in of_orders}
    amounts = [c for c in named if c not in of_orders]
    if not work.has_names and not named:
        _map_money_by_content(work)
    elif len(amounts) > 1 and any(c.values != amounts[0].values for c in amounts):
        _ask_amount(work, [*amounts, *units], "Several columns may be the amount")
    elif amounts and units:
        _map_amount_beside_price(work, amounts[0], units)
    elif amounts:
        clear = len(amounts) == 1 and role_of(amounts[0].name) == ("amount", 0)
        work.take("amount", amounts[0].name, "certain" if clear else "likely", f"by its name{examples(amounts[0])}")
    elif len(units) > 1 and (role_of(units[0].name) or ("", 0))[1] == (role_of(units[1].name) or ("", 0))[1]:
        _ask_amount(work, units, "Several columns may be the price")
    elif units:
        _map_price(work, units[0])
    elif of_orders:
        text = f"{of_orders[0].name} is the same on every line of an order: adding lines would count it several times"
        work.ask(
            "amount",
            f"{text}. Which column is the line's amount?",
            "--column amount=<column>, or --column amount= for none",
        )
    elif unreadable := [c for c in work.free() if _is_unreadable_money(c)]:
        column = unreadable[0]
        work.ask(
            "amount",
            f"{column.name} is named like an amount, and its values cannot be read as numbers{examples(column)}. Mend them, or "
            "name another column.",
            "--column amount=<column>, or --column amount= for none",
        )
    else:
        work.find(
            "amount", "none", "likely", "no column is named like an amount or a price; counts and dates work without"
        )


def _map_amount_beside_price(work: Work, amount: Column, units: list[Column]) -> None:
    quantity = work.column("quantity")
    for unit in units:
        rows = _numbers(work, [amount, unit] + ([quantity] if quantity else []))
        fitting = [
            r
            for r in rows
            if abs(r[0] - r[1] * (r[2] if quantity else 1)) <= 0.011 * max(1.0, abs(r[2]) if quantity else 1)
        ]
        if len(rows) >= ENOUGH_ROWS and len(fitting) >= 0.95 * len(rows):
            product = f"{unit.name} x {quantity.name}" if quantity else unit.name
            work.hints[unit.name] = f"the unit price: {amount.name} is {product}"
            work.take("amount", amount.name, "certain", f"equals {product} in {len(fitting)} of {len(rows)} rows")
            return
    _ask_amount(
        work,
        [amount, *units],
        f"{amount.name} is not quantity x {units[0].name}, so it is not clear what it is the amount of",
    )


def _map_price(work: Work, unit: Column) -> None:
    quantity, clear = work.column("quantity"), role_of(unit.name) == ("unit_price", 0)
    growth = _growth(work, quantity, unit) if quantity else None
    if clear:
        work.take("unit_price", unit.name, "certain", f"by its name; a row's amount is quantity x it{examples(unit)}")
    elif quantity is None:
        work.take("amount", unit.name, "likely", "without a quantity, the price is what the row costs")
    elif growth == "flat" or all(v in ("1", "1.0") for v in quantity.filled):
        work.take("unit_price", unit.name, "likely", f"by its name; it does not grow with {quantity.name}")
    elif growth == "grows":
        work.take(
            "amount",
            unit.name,
            "likely",
            f"it grows with {quantity.name}, so it is the row's amount and not one piece's",
        )
    else:
        text = f"Is {unit.name} the price of one piece, or of the whole row ({quantity.name} pieces)?"
        work.ask("amount", text, f"--column unit_price={unit.name} or --column amount={unit.name}")


def _map_money_by_content(work: Work) -> None:
    """Without names: the only decimals are the amount; small whole numbers that it grows with are the quantity."""
    decimals = [
        c for c in work.free() if c.kind == "decimal" or (c.kind == "text" and c.is_amounts and decimal_of([c])[2])
    ]
    if len(decimals) > 1:
        _ask_amount(work, decimals, "Several columns hold decimal numbers")
    if len(decimals) != 1:
        return
    counts = [c for c in work.free() if c.is_small_count]
    growing = [c for c in counts if _growth(work, c, decimals[0]) == "grows"]
    if counts and not growing:
        text = (
            f"Is {decimals[0].name} the price of one piece or the row's amount? It does not grow with {counts[0].name}."
        )
        work.ask("amount", text, f"--column unit_price={decimals[0].name} or --column amount={decimals[0].name}")
        return
    grows = f"; it grows with {growing[0].name}, so it is not one piece's price" if growing else ""
    work.take("amount", decimals[0].name, "likely", f"the only column with decimal numbers{grows}")
    if len(growing) == 1 and "quantity" not in work.given:
        work.take("quantity", growing[0].name, "likely", f"small whole numbers with which {decimals[0].name} grows")


def _ask_amount(work: Work, candidates: list[Column], why: str) -> None:
    options = " or ".join(
        f"--column {'unit_price' if (role_of(c.name) or '?')[0] == 'unit_price' else 'amount'}={c.name}"
        for c in candidates
    )
    work.ask(
        "amount",
        f"{why}: {', '.join(c.name for c in candidates)}. Which is it?",
        f"{options}, or --column amount= for none",
    )


def _numbers(work: Work, columns: list[Column]) -> list[tuple[float, ...]]:
    """The rows of some columns as numbers, where all have one."""
    decimals = [decimal_of([c])[0] for c in columns]
    rows = []
    for row in zip(*(c.values for c in columns), strict=True):
        numbers = [to_number(v, d) for v, d in zip(row, decimals, strict=True)]
        rows.append(tuple(n for n in numbers if n is not None))
    return [row for row in rows if len(row) == len(columns)]


def _growth(work: Work, quantity: Column, money: Column) -> str | None:
    """Whether rows of several pieces cost more than rows of one: "grows", "flat", or None where unclear."""
    rows = _numbers(work, [quantity, money])
    one, more = [m for q, m in rows if q == 1], [m for q, m in rows if q >= 2]
    if min(len(one), len(more)) < ENOUGH_ROWS or median(one) <= 0:
        return None
    ratio = median(more) / median(one)
    # Several pieces cost at least twice as much where the sum is meant; dearer goods alone hardly explain 1.6.
    return "grows" if ratio >= 1.6 else "flat" if ratio <= 1.2 else None


def _lines_by_order(work: Work, column: Column) -> list[list[str]]:
    """The column's values by order, of orders with several lines."""
    order = work.column("order_id")
    lines: dict[str, list[str]] = defaultdict(list)
    for key, value in zip(order.values if order else (), column.values, strict=False):
        lines[key].append(value)
    return [values for key, values in lines.items() if key and len(values) > 1]


def _repeats_by_order(work: Work, column: Column) -> bool:
    """Whether a number belongs to the order: the same on all its lines, or given on one of them only."""
    orders = _lines_by_order(work, column)
    same = [v for v in orders if len(set(v) - {""}) <= 1]
    varied = len({v for values in orders for v in values if v}) > 1
    return len(orders) >= 2 and varied and len(same) == len(orders)


def _is_rate(column: Column) -> bool:
    numbers = [abs(n) for v in column.distinct if (n := to_number(v, decimal_of([column])[0])) is not None]
    return any(numbers) and max(numbers) <= 1


def _ask_for_order_id(work: Work) -> None:
    customer, time = work.column("customer_id"), work.column("ordered_at")
    if "order_id" in work.mapping or "order_id" in work.given or not (customer and time):
        return
    if any(q.about == "order_id" for q in work.questions):
        return
    named = [c for c in work.free() if is_product_name(c.name)]
    product = work.column("product_id") or (named[0] if named else None)
    if product is None:
        return
    products: dict[tuple[str, str], set[str]] = defaultdict(set)
    for who, when, what in zip(customer.values, time.values, product.values, strict=True):
        products[who, when].add(what)
    several = sum(len(found) > 1 for found in products.values())
    if several:
        why = f"{several} times one customer has several products at one time, so an order has several lines"
        text = f"{why}. Which column is the order's number?"
        work.ask(
            "order_id", text, "--column order_id=<column>, or --column order_id= where every row is an order of its own"
        )


def unmapped_columns(work: Work) -> dict[str, str]:
    return {c.name: work.hints.get(c.name) or _hint(c) for c in work.free()}


def _hint(column: Column) -> str:
    role = role_of(column.name)
    if is_product_name(column.name):
        return "the product's name?"
    if role and column.kind != "empty":
        return f"{role[0]}?"
    if any(
        word in spelled(column.name) for word in ("store", "shop", "filiale", "branch", "source", "tienda", "magasin")
    ):
        return "channel?"
    kinds = {
        "date": "another date",
        "time": "a time of day: join it to the date",
        "integer": "whole numbers",
        "decimal": "decimal numbers",
        "empty": "no values in the sample",
    }
    return kinds.get(column.kind, column.kind) + examples(column)


def decimal_of(columns: list[Column]) -> tuple[str, str, dict[str, str]]:
    """The decimal separator that most numbers show, the thousands separator, and an example for each one shown."""
    counts: dict[str, int] = defaultdict(int)
    votes: dict[str, str] = {}
    groups: dict[str, int] = defaultdict(int)
    for value in (v for c in columns if c.native is None for v in c.distinct):
        decimal, thousands = separators(value)
        # 1.234.567 shows its thousands only, and with them what the decimal separator cannot be.
        decimal = decimal or {".": ",", ",": "."}.get(thousands, "")
        counts[decimal] += bool(decimal)
        groups[thousands] += thousands not in ("", "?")
        if decimal:
            votes.setdefault(decimal, value)
    if len(votes) > 1:
        votes.pop("?", None)
    best = max((d for d in votes if d != "?"), key=lambda d: counts[d], default=".")
    return best, max(groups, key=lambda g: groups[g]) if any(groups.values()) else "", votes


def examples(column: Column) -> str:
    return (
        f" ({', '.join(v if len(v) <= 40 else v[:37] + '...' for v in column.distinct[:2])})" if column.filled else ""
    )


def _listed(columns: Sequence[Column]) -> str:
    return f": {', '.join(c.name for c in columns[:6])}" if columns else ""
