"""Which encodings of text files can be read: Spark's own, and every single-byte one that extends ASCII."""

from __future__ import annotations

import codecs
import sys

SPARKS = ("UTF-8", "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "ISO-8859-1", "US-ASCII")
WINDOWS = "windows-1252"  # Excel's in western Europe
READABLE = f"{', '.join(SPARKS)} and single-byte ones such as {WINDOWS}, cp1250, ISO-8859-2 or KOI8-R"
_ASCII = "".join(map(chr, range(128)))
_UNDEFINED = "\ufffe"  # what Python's tables have for a byte that means nothing


def python_name(encoding: str) -> str | None:
    """Python's name of an encoding; None where it knows none of this name."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return None


# Python's name -> Spark's.
_SPARKS_NAMES = {**{python_name(name): name for name in SPARKS}, "utf-8-sig": "UTF-8"}


def sparks_name(encoding: str) -> str | None:
    """What Spark is told to read an encoding as; None where it cannot be read.

    Spark knows seven encodings. Single-byte ones are read as ISO-8859-1, a character a byte, and then translated.
    """
    return _SPARKS_NAMES.get(python_name(encoding)) or ("ISO-8859-1" if translation(encoding) else None)


def translation(encoding: str) -> tuple[str, str] | None:
    """For a single-byte encoding that Spark does not know: the characters of ISO-8859-1, and those that are meant."""
    name = python_name(encoding)
    if name is None or name in _SPARKS_NAMES:
        return None
    decoder = codecs.lookup(name).incrementaldecoder
    table = getattr(sys.modules.get(getattr(decoder, "__module__", "")), "decoding_table", "")
    if len(table) != 256 or table[:128] != _ASCII:
        return None
    pairs = [(chr(byte), sign) for byte, sign in enumerate(table) if chr(byte) != sign != _UNDEFINED]
    return "".join(byte for byte, _ in pairs), "".join(sign for _, sign in pairs)


def has_wide_units(encoding: str) -> bool:
    """Whether a character takes two bytes or four, so that line ends cannot be found before it is decoded."""
    return (python_name(encoding) or "").startswith(("utf-16", "utf-32"))
