"""`habitue init`: guesses from a sample how to read an order file, and asks where it cannot know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from zoneinfo import available_timezones

from habitue.errors import UsageError
from habitue.sources import encodings
from habitue.sources.guess_columns import (
    ISO,
    OUR_COLUMNS,
    clock_and_offset,
    columns_of,
    fits,
    has_header,
    is_known_pattern,
    is_short_year_first,
    padded,
    spelled,
    unlikely_patterns,
)
from habitue.sources.guess_format import SPACES, Certainty, Finding, Question, Sample, look
from habitue.sources.guess_mapping import MONEY, Work, decimal_of, examples, map_columns, unmapped_columns

__all__ = ["Answers", "Certainty", "Finding", "Guess", "Question", "guess"]


@dataclass(frozen=True)
class Answers:
    """What the user has said already.

    columns: ours -> theirs; "" leaves ours out. header, day_first: None where not said. Raises UsageError for an
    answer that cannot be meant.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    date_format: str | None = None
    time_zone: str | None = None
    decimal: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header: bool | None = None
    day_first: bool | None = None

    def __post_init__(self) -> None:
        for ours in self.columns:
            if ours not in OUR_COLUMNS:
                raise UsageError(f"--column {ours}=...: orders have no column {ours}.{_nearest(ours, OUR_COLUMNS)}")
        if self.columns.get("amount") and self.columns.get("unit_price"):
            raise UsageError("--column: give unit_price (times quantity) or amount (of the row), not both.")
        if self.decimal not in (None, ".", ","):
            raise UsageError(f'--decimal {self.decimal}: give "." or ",".')
        if self.delimiter is not None and self.delimiter != SPACES and len(self.delimiter) != 1:
            raise UsageError(f'--delimiter {self.delimiter}: give one character, "tab" or "{SPACES}".')
        zones = available_timezones()
        if self.time_zone and zones and self.time_zone not in zones:
            raise UsageError(f"--time-zone {self.time_zone}: no such zone.{_nearest(self.time_zone, sorted(zones))}")
        if self.encoding and encodings.sparks_name(self.encoding) is None:
            raise UsageError(f"--encoding {self.encoding}: cannot be read; {encodings.READABLE} can.")

    @classmethod
    def from_options(
        cls,
        column: Sequence[str] = (),
        *,
        date_format: str | None = None,
        time_zone: str | None = None,
        decimal: str | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        day_first: bool | None = None,
    ) -> Answers:
        """From the command line's options; `column` holds texts "ours=theirs"."""
        for text in column:
            if "=" not in text:
                raise UsageError(f"--column {text}: write ours=theirs, such as customer_id=Kundennummer.")
        pairs = (text.split("=", 1) for text in column)
        columns = {ours.strip(): theirs.strip() for ours, theirs in pairs}
        named = {"tab": "\t", "\\t": "\t", "space": SPACES, " ": SPACES}
        sign = named.get(delimiter, delimiter) if delimiter is not None else None
        return cls(columns, date_format, time_zone, decimal, sign, encoding, header, day_first)


@dataclass(frozen=True)
class Guess:
    """How to read an order file, as far as its sample tells.

    columns: ours -> theirs. unmapped: theirs -> what it might be. date_format: None for ISO 8601. time_zone: None while
    it is asked for. thousands: the grouping sign seen, "" for none.
    """

    path: str
    format: str
    columns: dict[str, str]
    unmapped: dict[str, str]
    findings: list[Finding]
    questions: list[Question]
    date_format: str | None
    time_zone: str | None
    decimal: str
    thousands: str
    delimiter: str | None
    encoding: str | None
    quote: str | None
    header: bool | None

    def require_answers(self) -> None:
        """Raises UsageError with every open question and the option that answers it."""
        if self.questions:
            listed = "\n".join(f"  - {q.text}\n    Say: {q.option}" for q in self.questions)
            raise UsageError(f"{self.path}: some things cannot be told from the file.\n{listed}")


def guess(path: str, answers: Answers | None = None) -> Guess:
    """What the file or folder at `path` holds, from a bounded sample of it.

    Raises UsageError where there is nothing to read or an answer contradicts the data. Questions are in the result.
    """
    said = answers or Answers()
    sample = look(path, delimiter=said.delimiter, encoding=said.encoding)
    header, names, rows = _names(path, sample, said)
    for theirs in said.columns.values():
        if theirs and theirs not in names:
            raise UsageError(
                f"--column: {path} has no column {theirs}; it has {', '.join(names)}.{_nearest(theirs, names)}"
            )
    work = Work(columns_of(sample, names, rows), said.columns, header is not False, list(sample.findings))
    map_columns(work)
    twice = sorted({n for n in work.mapping.values() if names.count(n) > 1})
    if twice:
        raise UsageError(f"{path} has two columns named {twice[0]}. Rename one of them.")
    date_format = _date_format(work, said)
    zone = _time_zone(work, said, date_format)
    decimal, thousands = _separators(work, said)
    return Guess(
        path,
        sample.format,
        {o: work.mapping[o] for o in OUR_COLUMNS if o in work.mapping},
        unmapped_columns(work),
        work.findings,
        work.questions,
        date_format,
        zone,
        decimal,
        thousands,
        sample.delimiter,
        sample.encoding,
        sample.quote,
        header,
    )


def _names(path: str, sample: Sample, said: Answers) -> tuple[bool | None, list[str], list[list[str]]]:
    """Whether there is a header (None where the format has names itself), the names, and the rows below it."""
    if sample.names is not None:
        return None, sample.names, sample.rows
    first = sample.first_rows[0][1]
    header, sure, reason = has_header(first, sample.rows)
    if said.header is not None:
        header, sure, reason = said.header, True, "given"
    sample.findings.append(Finding("header", "yes" if header else "no", "certain" if sure else "likely", reason))
    width = len(sample.rows[0]) if sample.rows else len(first)
    if not header:
        body = [row for _, row in sample.first_rows if len(row) == width] + sample.rows
        return False, [f"c{i}" for i in range(1, width + 1)], body
    if not sample.rows:
        raise UsageError(f"{path} has a header and no rows: there is nothing to guess from.")
    if len(first) < width and any(row[len(first) :] != [""] * (width - len(first)) for row in sample.rows):
        text = f"{path}: the first line has {len(first)} fields and the others have {width}"
        raise UsageError(f"{text}. Remove what stands above the header, or mend it; without a header, say --no-header.")
    names = [name or f"(column {i})" for i, name in enumerate(first + [""] * (width - len(first)), 1)]
    differing = [file for file, row in sample.first_rows[1:] if row != first]
    if differing:
        sample.findings.append(Finding("columns of all files", ", ".join(names), "guess", f"{differing[0]} has others"))
    return True, names[:width], sample.rows


def _date_format(work: Work, said: Answers) -> str | None:
    """The Spark pattern of the order's time; None for ISO 8601. Asks where day and month cannot be told apart."""
    column = work.column("ordered_at")
    if column is None:
        return said.date_format
    if said.date_format is not None:
        if is_known_pattern(said.date_format) and not any(fits(said.date_format, v) for v in column.distinct):
            raise UsageError(
                f"--date-format {said.date_format} fits no value of {column.name}, such as {column.distinct[:1]}."
            )
        work.find("date_format", said.date_format, "certain", "given")
        return said.date_format
    patterns = list(column.patterns)
    if not patterns:
        work.ask(
            "date_format",
            f"How are the dates of {column.name} written{examples(column)}?",
            "--date-format, such as dd.MM.yyyy HH:mm",
        )
        return None
    chosen = patterns
    if said.day_first is not None:
        chosen = [p for p in patterns if _is_day_first(p) == said.day_first]
        chosen = chosen or [p for p in patterns if _is_day_first(p) is None]
    if not chosen:
        option = "--day-first" if said.day_first else "--month-first"
        raise UsageError(
            f"{option} does not fit {column.name}: most dates are {patterns[0]}, such as {column.distinct[0]}."
        )
    unlikely = unlikely_patterns(chosen, column.distinct) if len(chosen) > 1 else []
    left = [p for p in chosen if p not in unlikely] or chosen
    if any(is_short_year_first(p) for p in left) and len(left) > 1:
        text = f"Which part of the dates of {column.name} is the year? {' and '.join(left)} fit each{examples(column)}."
        work.ask("date_format", text, " or ".join(f"--date-format {p!r}" for p in left))
        return None
    if len({_is_day_first(p) for p in left}) > 1:
        text = f"Do the dates of {column.name} begin with the day or the month? Each fits both{examples(column)}."
        work.ask("day_first", text, "--day-first or --month-first")
        return None
    pattern = padded(left[0], column.distinct)
    misfits = [v for v in column.distinct if not fits(pattern, v)]
    certainty: Certainty = "likely" if misfits or unlikely else "certain"
    reason = (
        f"{len(misfits)} of {len(column.distinct)} values do not fit, such as {misfits[0]}"
        if misfits
        else f"fits every value{examples(column)}"
    )
    if left != chosen:
        reason += f"; as {unlikely[0]} there would be orders in more years than on days of the month"
    work.find("date_format", pattern, certainty, reason)
    return None if pattern == ISO else pattern


def _is_day_first(pattern: str) -> bool | None:
    """None for patterns that begin with neither or leave no doubt: the year first, or a month's name."""
    return None if pattern.startswith(("y", ISO)) or "MMM" in pattern else pattern.startswith("d")


def _time_zone(work: Work, said: Answers, date_format: str | None) -> str | None:
    column = work.column("ordered_at")
    if said.time_zone:
        work.find("time_zone", said.time_zone, "certain", "given")
        return said.time_zone
    if column is None:
        return None
    # With day and month undecided, either pattern tells whether there is a time of day.
    pattern = date_format or (column.patterns[0] if column.patterns else ISO)
    timed, offset = clock_and_offset(pattern, column.distinct)
    if not timed and not any(":" in v and not fits(pattern, v) for v in column.distinct):
        work.find("time_zone", "UTC", "certain", "the file has dates only, which are the shop's days in any zone")
    elif offset or column.native == "timestamp_utc":
        work.find(
            "time_zone",
            "UTC",
            "likely",
            "times carry their offset; set your shop's zone so that its days begin at midnight there",
        )
    elif spelled(column.name).endswith(("utc", "gmt")):
        work.find("time_zone", "UTC", "likely", f"by the name {column.name}")
    else:
        text = f"In which time zone are the times of {column.name}? They carry no offset{examples(column)}."
        work.ask("time_zone", text, "--time-zone, such as Europe/Berlin, America/New_York or UTC")
        return None
    return "UTC"


def _separators(work: Work, said: Answers) -> tuple[str, str]:
    """The decimal and the thousands separator of the mapped numbers."""
    mapped = [c for ours in ("quantity", *MONEY) if (c := work.column(ours)) and c.native is None]
    decimal, thousands, votes = decimal_of(mapped)
    if said.decimal:
        work.find("decimal", said.decimal, "certain", "given")
        return said.decimal, thousands if thousands != said.decimal else ""
    if len(votes) > 1:
        listed = " and ".join(f'"{v}" in {example}' for v, example in votes.items())
        work.ask("decimal", f"The decimal separator differs: {listed}. Which is right?", "--decimal . or --decimal ,")
    elif "?" in votes:
        work.ask(
            "decimal",
            f"Is {votes['?']} a thousand and more, or a number with three decimals?",
            "--decimal . or --decimal ,",
        )
    elif votes:
        grouped = f', with "{thousands}" between thousands' if thousands else ""
        work.find("decimal", decimal, "certain", f"{next(iter(votes.values()))} shows it{grouped}")
    elif mapped:
        work.find("decimal", decimal, "likely", "no number in the sample has decimals")
    return decimal, thousands


def _nearest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]}?" if near else ""
