"""Writes the pages that are made from the code: docs/tables.md, docs/config.schema.json, docs/glossary.md.

`python -m habitue.docs` writes them; with `--check` it only says whether they are up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from habitue.config import json_schema
from habitue.report.glossary import glossary_markdown
from habitue.table import Table
from habitue.tables import TABLES


def pages() -> dict[str, str]:
    """File name under docs/ -> its text."""
    return {
        "tables.md": tables_markdown(TABLES),
        "config.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        "glossary.md": glossary_markdown(),
    }


def tables_markdown(tables: Sequence[Table]) -> str:
    """Every published table with its columns, by area."""
    published = [table for table in tables if not table.is_hidden]
    areas = list(dict.fromkeys(table.area for table in published))
    lines = [
        "# The tables",
        "",
        "Made from the contracts by `make docs`. Columns are NOT NULL unless marked (NULL).",
        "",
    ]
    for area in areas:
        lines += [f"## {area}", ""]
        for table in (t for t in published if t.area == area):
            lines += _table_markdown(table)
    return "\n".join(lines).rstrip() + "\n"


def _table_markdown(table: Table) -> list[str]:
    lines = [f"### {table.name}", "", table.grain, ""]
    if table.key:
        lines += [f"Key: {', '.join(table.key)}.", ""]
    lines += [f"Check {name}: `{condition}`." for name, condition in table.checks.items()]
    lines += [""] if table.checks else []
    lines += ["| column | type | meaning |", "|---|---|---|"]
    for field in table.schema.fields:
        null = " (NULL)" if field.nullable else ""
        type_ = field.dataType.simpleString().replace("|", "\\|")
        lines.append(f"| {field.name} | {type_}{null} | {field.metadata['comment'].replace('|', '&#124;')} |")
    return [*lines, ""]


def main(arguments: Sequence[str]) -> int:
    folder = Path("docs")
    stale = []
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
            if "--check" not in arguments:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"Not up to date: {', '.join(stale)}. `make docs` writes them.", file=sys.stderr)
        return 1
    print(f"Written: {', '.join(stale)}." if stale else "The generated pages are up to date.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
