"""The HTML report: one file that needs no network, every number in it read from the tables."""

from habitue.report.glossary import glossary_markdown
from habitue.report.writing import write_report

__all__ = ["glossary_markdown", "write_report"]
