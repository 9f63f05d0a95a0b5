"""The outside of a file nobody described: its format, encoding, quote and delimiter, and a bounded sample of its rows.

Reads the head of a file and a few spots further on (for a folder: of a few files), never all of it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from habitue.errors import UsageError
from habitue.percent import percent
from habitue.sources.encodings import WINDOWS, has_wide_units, python_name

SAMPLE_LINES = 5_000
HEAD_BYTES = 4_000_000  # a bound in bytes too: a line may hold a field of a million characters
SPOTS, SPOT_BYTES = 4, 64_000  # further on in a large file; the last spot is its end
MAX_FILES = 5  # of a folder, spread over its sorted names
LATIN = "iso-8859-1"
SPACES = "spaces"  # the delimiter "runs of spaces"
DELIMITERS = ("\t", ";", "|", ",")

Certainty = Literal["certain", "likely", "guess"]


@dataclass(frozen=True)
class Finding:
    """One thing that was guessed: `what` is `value`, how sure that is, and why."""

    what: str
    value: str
    certainty: Certainty
    reason: str


@dataclass(frozen=True)
class Question:
    """What could not be guessed honestly: about which setting, the question, and the option that answers it."""

    about: str
    text: str
    option: str


@dataclass(frozen=True)
class Sample:
    """What was seen of a source, as text; "" is a blank.

    rows: without the first row of a CSV file; all of one width. first_rows: for CSV, the first row of each file looked
    at, which may be a header. names: None for CSV until the header is decided. types: for columns with a type of their
    own (parquet, delta): timestamp, timestamp_utc, date, integer, decimal or boolean.
    """

    format: str
    rows: list[list[str]]
    findings: list[Finding]
    names: list[str] | None = None
    first_rows: list[tuple[str, list[str]]] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None


def look(path: str, *, delimiter: str | None = None, encoding: str | None = None) -> Sample:
    """A sample of the file or folder at `path`; `delimiter` and `encoding` where they are already known.

    Raises UsageError where there is nothing to read, or nothing that Habitué reads.
    """
    place = Path(path)
    if not place.exists():
        raise UsageError(f"{path} does not exist. Give the path of a file or a folder on this machine.")
    if (place / "_delta_log").is_dir():
        why = Finding("format", "delta", "certain", "the folder has a _delta_log")
        return _look_at_parquet("delta", _live_files(place), why)
    files = _spread(_data_files(place))
    kinds = {file: _kind(file) for file in files}
    if len(set(kinds.values())) > 1:
        listed = ", ".join(f"{file.name} ({kind})" for file, kind in kinds.items())
        raise UsageError(f"{path} mixes formats: {listed}. Put the order files alone in a folder.")
    kind = kinds[files[0]]
    if kind == "parquet":
        return _look_at_parquet(kind, files, Finding("format", kind, "certain", "the file starts with PAR1"))
    blocks = [_read_blocks(file, spots=SPOTS if file == files[0] else 0) for file in files]
    codec, why_encoding = _encoding([block for parts in blocks for block in parts], encoding)
    texts = [
        [_text(parts[0], codec, file)] + [_middle(part, codec) for part in parts[1:]]
        for file, parts in zip(files, blocks, strict=True)
    ]
    if kind == "json":
        return _look_at_json(files, texts, codec, why_encoding)
    return _look_at_csv(files, texts, codec, why_encoding, delimiter)


def _data_files(place: Path) -> list[Path]:
    if place.is_file():
        files = [place]
    else:
        files = sorted(p for p in place.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(place)))
    filled = [file for file in files if file.stat().st_size > 0]
    if not filled:
        raise UsageError(f"{place} holds nothing: there are no rows to guess from.")
    return filled


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def _spread(files: list[Path]) -> list[Path]:
    if len(files) <= MAX_FILES:
        return files
    return [files[round(i * (len(files) - 1) / (MAX_FILES - 1))] for i in range(MAX_FILES)]


def _kind(file: Path) -> str:
    start = file.open("rb").read(4)
    if start == b"PAR1":
        return "parquet"
    if start == b"PK\x03\x04" or start == b"\xd0\xcf\x11\xe0":
        raise UsageError(f"{file} is an Excel or zip file, which is not read. Save the sheet as CSV.")
    if (start[:2] == b"\x1f\x8b") != (file.suffix == ".gz"):
        raise UsageError(
            f"{file}: the name and the content disagree about gzip; only .gz files are unpacked. Rename it."
        )
    # Without byte-order marks, and the zeros that UTF-16 has between plain letters.
    head = _read_blocks(file, spots=0)[0][:1000].lstrip(codecs.BOM_UTF8 + codecs.BOM_UTF16).replace(b"\0", b"").lstrip()
    if head[:1] == b"[":
        raise UsageError(f"{file} is one JSON array. Write one object a line (JSON lines).")
    if head[:1] == b"{":
        return "json"
    return "csv"


def _open(file: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")


def _read_blocks(file: Path, spots: int) -> list[bytes]:
    """The head, cut to whole lines, and up to `spots` blocks from further on."""
    with _open(file) as stream:
        try:
            head = stream.read(HEAD_BYTES)
            if len(head) == HEAD_BYTES:
                head = head[: head.rfind(b"\n") + 1] or head
            # The length of a packed text is unknown: look at a few megabytes more of it.
            size = HEAD_BYTES * (spots + 1) if file.suffix == ".gz" else file.stat().st_size
            blocks = [head]
            for spot in range(1, spots + 1):
                offset = (size * spot // spots - SPOT_BYTES) // 2 * 2  # even: UTF-16 has two bytes a letter
                if offset > HEAD_BYTES:
                    stream.seek(offset)
                    blocks.append(stream.read(SPOT_BYTES))
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"{file} cannot be read ({error}). Is the file whole?") from error
    return [block for block in blocks if block]


def _encoding(blocks: list[bytes], given: str | None) -> tuple[str, Finding]:
    """The encoding by the name that a configuration takes, which Python knows too."""
    head, all_bytes = blocks[0], b"".join(blocks)
    if given:
        return given.lower(), Finding("encoding", given.lower(), "certain", "given")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", Finding("encoding", "utf-16", "certain", "the file starts with a UTF-16 byte-order mark")
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8", Finding("encoding", "utf-8", "certain", "the file starts with a UTF-8 byte-order mark")
    if all_bytes.isascii():
        return "utf-8", Finding("encoding", "utf-8", "likely", "only plain ASCII in the sample")
    # A block may start or end inside a letter, so whole lines only.
    whole_lines = [head] + [block[block.find(b"\n") + 1 : block.rfind(b"\n") + 1] for block in blocks[1:]]
    try:
        for lines in whole_lines:
            codecs.getincrementaldecoder("utf-8")().decode(lines)
        return "utf-8", Finding("encoding", "utf-8", "certain", "accented letters are valid UTF-8")
    except UnicodeDecodeError:
        why = "not valid UTF-8; check accented letters in names"
    try:
        all_bytes.decode(WINDOWS)
        return WINDOWS, Finding("encoding", WINDOWS, "guess", why)
    except UnicodeDecodeError:  # five bytes mean nothing there
        return LATIN, Finding("encoding", LATIN, "guess", why)


def _text(head: bytes, codec: str, file: Path) -> str:
    try:
        text = codecs.getincrementaldecoder(codec)().decode(head)
    except (UnicodeDecodeError, LookupError) as error:
        raise UsageError(f"{file} is not in {codec} ({error}). Give another --encoding.") from error
    return text.removeprefix("\ufeff")


def _middle(block: bytes, codec: str) -> str:
    """The whole lines of a block from the middle of a file."""
    if python_name(codec) == "utf-16":
        # Without the mark at the start of the file: the byte that is mostly zero tells the order.
        codec = "utf-16-le" if block[1::2].count(0) >= block[::2].count(0) else "utf-16-be"
    text = block.decode(codec, errors="replace")
    return text[text.find("\n") + 1 : text.rfind("\n") + 1]


def _look_at_csv(
    files: list[Path], texts: list[list[str]], codec: str, why_encoding: Finding, given: str | None
) -> Sample:
    head = texts[0][0]
    if not head.strip():
        raise UsageError(f"{files[0]} holds only blank lines: there are no rows to guess from.")
    quote, why_quote = _quote(head)
    delimiter, why_delimiter = _delimiter(head, quote, given)
    # A head that was cut may end inside a quoted field.
    heads = [list(records(parts[0], delimiter, quote, SAMPLE_LINES + 1)) for parts in texts]
    further = [row for parts in texts for part in parts[1:] for row in records(part, delimiter, quote, SAMPLE_LINES)]
    body = [row for rows in heads for row in rows[1:]] + further
    width = Counter(len(row) for row in heads[0]).most_common(1)[0][0]
    kept = [row for row in body if len(row) == width]
    format_why = Finding("format", "csv", "certain" if width > 1 else "guess", f"text in {width} columns")
    findings = [format_why, why_encoding, why_delimiter, why_quote]
    odd = len(body) - len(kept)
    if odd:
        why = f"{odd} of {len(body)} lines looked at have another number of fields and were passed over"
        findings.append(Finding("fields a line", str(width), "likely", why))
    first_rows = [(str(file), rows[0]) for file, rows in zip(files, heads, strict=True) if rows]
    return Sample("csv", kept, findings, None, first_rows, {}, codec, delimiter, quote)


def records(text: str, delimiter: str, quote: str, limit: int) -> Iterator[list[str]]:
    """The stripped fields of up to `limit` records that are not blank."""
    old_limit = csv.field_size_limit(2 * HEAD_BYTES)
    try:
        if delimiter == SPACES:
            rows: Iterable[list[str]] = (line.split() for line in text.splitlines())
        else:
            rows = csv.reader(
                io.StringIO(text.replace("\0", ""), newline=""),
                delimiter=delimiter,
                quotechar=quote,
                skipinitialspace=delimiter != " ",
            )
        filled = (row for row in rows if any(cell.strip() for cell in row))
        yield from ([cell.strip() for cell in row] for row in islice(filled, limit))
    finally:
        csv.field_size_limit(old_limit)


def _quote(text: str) -> tuple[str, Finding]:
    seen = {q: len(re.findall(rf"(?:^|[,;\t|]){q}[^{q}\n]*{q}(?=[,;\t|\r\n]|$)", text[:200_000], re.M)) for q in "\"'"}
    if seen["'"] > 0 and seen['"'] == 0:
        return "'", Finding("quote", "'", "likely", f"{seen[chr(39)]} fields stand between single quotes")
    if seen['"']:
        return '"', Finding("quote", '"', "certain", f"{seen[chr(34)]} fields stand between double quotes")
    return '"', Finding("quote", '"', "likely", "no quoted field in the sample")


def _delimiter(text: str, quote: str, given: str | None) -> tuple[str, Finding]:
    """The separator that gives lines of one width with clean cells; runs of spaces only where nothing else does."""
    if given:
        return given, Finding("delimiter", given, "certain", "given")
    scored = []
    for rank, candidate in enumerate(DELIMITERS):
        rows = list(records(text, candidate, quote, 300))
        width, same = _width(rows)
        if width > 1 and same >= 0.9 and len(rows[0]) >= width - 1:
            scored.append((_clean_share(rows, candidate), width, -rank, candidate, same))
    rows = list(records(text, SPACES, quote, 300))
    width, same = _width(rows)
    best = max(scored, default=None)
    # A timestamp holds a space itself: a column of bare times says that splitting at spaces cut timestamps apart.
    splits_times = any(all(":" in row[i] for row in rows[1:] if len(row) == width) for i in range(width))
    if width > 1 and same >= 0.95 and (best is None or (width > best[1] and not splits_times)):
        return SPACES, Finding(
            "delimiter", SPACES, "likely", f"runs of spaces split {percent(same, 0)} of lines into {width}"
        )
    if best is None:
        return ",", Finding("delimiter", ",", "guess", "no separator splits the lines into equal numbers of fields")
    certainty: Certainty = "certain" if len(scored) == 1 and best[4] == 1 else "likely"
    return best[3], Finding(
        "delimiter", best[3], certainty, f"splits {percent(best[4], 0)} of lines into {best[1]} fields"
    )


def _width(rows: list[list[str]]) -> tuple[int, float]:
    if not rows:
        return 0, 0.0
    width, count = Counter(len(row) for row in rows).most_common(1)[0]
    return width, count / len(rows)


def _clean_share(rows: list[list[str]], delimiter: str) -> float:
    """The share of cells without another separator in them; a comma inside a number is not one."""
    others = re.compile("[" + re.escape("".join(set(DELIMITERS) - {delimiter})) + "]")
    cells = [re.sub(r"(?<=\d),(?=\d)", "", cell) for row in rows for cell in row]
    return sum(not others.search(cell) for cell in cells) / len(cells)


def _look_at_json(files: list[Path], texts: list[list[str]], codec: str, why_encoding: Finding) -> Sample:
    if has_wide_units(codec):
        raise UsageError(f"{files[0]} is JSON in {codec}, which is not read. Write it in UTF-8.")
    lines = [line for parts in texts for text in parts for line in text.splitlines()[:SAMPLE_LINES] if line.strip()]
    found, broken = [], 0
    for line in lines:
        try:
            value = json.loads(line)
            found.append(value if isinstance(value, dict) else {})
        except ValueError:
            broken += 1
    if not found or broken > len(lines) / 2:
        raise UsageError(f"{files[0]} looks like JSON, but its lines are not objects. Write one object a line.")
    names = list(dict.fromkeys(name for row in found for name in row))
    rows = [[_as_text(row.get(name)) for name in names] for row in found]
    why = Finding("format", "json", "certain", f"{len(found)} of {len(lines)} lines looked at are JSON objects")
    return Sample("json", rows, [why, why_encoding], names, encoding=codec)


def _look_at_parquet(format_: str, files: Sequence[Path], why: Finding) -> Sample:
    tables = []
    for file in _spread(list(files)):
        try:
            tables += _parquet_rows(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise UsageError(f"{file} cannot be read as parquet ({error}). Is the file whole?") from error
    names = list(dict.fromkeys(name for table in tables for name in table.schema.names))
    types = {f.name: kind for table in tables for f in table.schema if (kind := _native_kind(f.type))}
    rows = []
    for table in tables:
        blanks: list[Any] = [None] * len(table)
        parts = [_python_values(table[name]) if name in table.schema.names else blanks for name in names]
        rows += [[_as_text(value) for value in row] for row in zip(*parts, strict=True)]
    if not rows:
        raise UsageError(f"{files[0]} has no rows to guess from.")
    return Sample(format_, rows, [why], names, types=types)


def _parquet_rows(file: Path) -> list[pa.RecordBatch]:
    """The first rows of the first row group, and a few of the middle and the last one, with `key=value` folders."""
    with pq.ParquetFile(file) as parquet:
        groups = sorted(
            {0, parquet.num_row_groups // 2, parquet.num_row_groups - 1} & set(range(parquet.num_row_groups))
        )
        batches = []
        for group in groups:
            size = SAMPLE_LINES if group == 0 else SAMPLE_LINES // 10
            batches += list(islice(parquet.iter_batches(batch_size=size, row_groups=[group]), 1))
    keys = [part.split("=", 1) for part in file.parts[:-1] if "=" in part]
    for key, value in keys:
        if batches and key not in batches[0].schema.names:
            batches = [b.append_column(key, pa.array([value] * len(b))) for b in batches]
    return batches


def _native_kind(type_: pa.DataType) -> str | None:
    if pa.types.is_timestamp(type_):
        return "timestamp_utc" if type_.tz else "timestamp"
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "decimal"
    return "date" if pa.types.is_date(type_) else "boolean" if pa.types.is_boolean(type_) else None


def _python_values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return cast("list[Any]", column.to_pylist())


def _as_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value).strip()


def _live_files(place: Path) -> list[Path]:
    """Data files that the newest commits of a Delta log added and did not remove."""
    removed: set[str] = set()
    live: list[Path] = []
    for commit in sorted((place / "_delta_log").glob("*.json"), reverse=True)[:50]:
        actions = [json.loads(line) for line in commit.read_text(encoding="utf-8").splitlines() if line.strip()]
        removed |= {action["remove"]["path"] for action in actions if "remove" in action}
        added = [action["add"]["path"] for action in actions if "add" in action]
        live += [place / path for path in added if path not in removed and (place / path).is_file()]
    live = live or [p for p in _data_files(place) if p.suffix == ".parquet"]
    if not live:
        raise UsageError(f"{place} has a _delta_log but no data files, so there are no rows to guess from.")
    return live
