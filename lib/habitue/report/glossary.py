"""What the words of the tables and of the report mean. glossary.yml is their one home."""

from __future__ import annotations

from importlib import resources

import yaml


def glossary() -> dict[str, str]:
    """Term -> definition, in the order of the file."""
    text = resources.files("habitue.report").joinpath("glossary.yml").read_text(encoding="utf-8")
    return {str(term): " ".join(str(definition).split()) for term, definition in yaml.safe_load(text).items()}


def glossary_markdown() -> str:
    """docs/glossary.md."""
    head = "# Glossary\n\nGenerated from lib/habitue/report/glossary.yml by `make docs`. The report ends with the same list.\n"
    return head + "\n" + "".join(f"- **{term}**: {definition}\n" for term, definition in glossary().items())
