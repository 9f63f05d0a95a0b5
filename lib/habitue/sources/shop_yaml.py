"""The shop.yml that `habitue init` writes: settings as guessed, each with how sure it is, ready to edit."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import yaml

from habitue.config import is_uri
from habitue.sources.guessing import Guess

_COMMENT_COLUMN = 34


def shop_yaml(guess: Guess, name: str = "Shop", folder: Path | None = None) -> str:
    """The YAML for a guess without open questions; raises UsageError with the questions where there are any.

    folder: where the YAML will lie, to which the path of the orders is then written relative.

    Only what applies to the format is written: delimiter, quote and header are CSV's, encoding is a text file's.
    """
    guess.require_answers()
    lines = [
        "# Written by `habitue init`. certain, likely and guess say how sure it was: check the last two.",
        "shop:",
        _setting(1, "name", scalar(name)),
        _setting(1, "time_zone", scalar(guess.time_zone or "UTC"), f"of shop-local days; {_why(guess, 'time_zone')}"),
        "sources:",
        "  orders:",
        _setting(2, "path", scalar(_path(guess.path, folder))),
        _setting(2, "format", guess.format, "csv, json, parquet or delta"),
    ]
    if guess.format == "csv":
        lines.append(
            _setting(
                2,
                "delimiter",
                _quoted(guess.delimiter or ","),
                f'"spaces" is runs of spaces; {_why(guess, "delimiter")}',
            )
        )
        if guess.quote == "'":
            lines.append(_setting(2, "quote", _quoted("'"), _why(guess, "quote")))
    if guess.encoding:
        lines.append(_setting(2, "encoding", scalar(guess.encoding), _why(guess, "encoding")))
    if guess.header is not None:
        text = "false: names are c1, c2, ... by position"
        lines.append(_setting(2, "header", str(guess.header).lower(), f"{text}; {_why(guess, 'header')}"))
    pattern = scalar(guess.date_format) if guess.date_format else "null"
    lines.append(
        _setting(2, "date_format", pattern, f"a Spark datetime pattern; null: ISO 8601; {_why(guess, 'date_format')}")
    )
    lines.append(
        _setting(2, "decimal", _quoted(guess.decimal), f'the decimal separator: "." or ","; {_why(guess, "decimal")}')
    )
    lines.append(_setting(2, "columns", "", "ours: theirs"))
    lines += [_setting(3, ours, scalar(theirs), _why(guess, ours)) for ours, theirs in guess.columns.items()]
    if guess.unmapped:
        lines.append("      # Not used; theirs, and what it might be:")
        lines += [f"      #   {_one_line(theirs)}: {_one_line(hint)}" for theirs, hint in guess.unmapped.items()]
    return "\n".join(lines) + "\n"


def _path(path: str, folder: Path | None) -> str:
    if folder is None or is_uri(path):
        return path
    return os.path.relpath(Path(path).expanduser().resolve(), folder.resolve())


def _setting(depth: int, key: str, value: str, comment: str = "") -> str:
    text = f"{'  ' * depth}{key}: {value}".rstrip()
    return f"{text:<{_COMMENT_COLUMN}}  # {_one_line(comment)}".rstrip() if comment else text


def _why(guess: Guess, what: str) -> str:
    found = [f for f in guess.findings if f.what == what]
    return f"{found[-1].certainty}: {found[-1].reason}" if found else "not looked for"


def _one_line(text: str) -> str:
    """Text for a comment: no line end or control character can leave it."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+", " ", text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def scalar(text: str) -> str:
    """A YAML scalar that reads back as this very text: bare where that is safe, else in double quotes."""
    if re.fullmatch(r"[A-Za-z_./][\w./+-]*( [\w./+-]+)*", text, re.ASCII) and yaml.safe_load(text) == text:
        return text
    return _quoted(text)
