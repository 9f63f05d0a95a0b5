"""What a person sees while a run goes on, and at its end: plain lines, in colour where a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from habitue.pipeline import RunResult
from habitue.sources.intake import Account


class ConsoleProgress:
    """Prints a line for every source and table as it is done."""

    def __init__(self, console: Console):
        self.console = console

    def stage(self, title: str) -> None:
        self.console.print(Text(title, style="bold"))

    def source(self, account: Account, seconds: float) -> None:
        kept = f"{account.rows_in:,} rows in = {account.kept:,} kept + {account.merged:,} merged"
        line = f"{kept} + {account.quarantined:,} quarantined"
        _say(self.console, f"  {account.source:<24} {line}  {seconds:6.1f} s")

    def table(self, name: str, rows: int, seconds: float) -> None:
        _say(self.console, f"  {name:<24} {rows:>12,} rows  {seconds:6.1f} s")

    def skipped(self, name: str, reason: str) -> None:
        _say(self.console, f"  {name:<24} left out: {reason}")

    def note(self, text: str) -> None:
        _say(self.console, f"  {text}")


def print_summary(console: Console, result: RunResult, report: str | None, seconds: float) -> None:
    """The closing summary of a run."""
    console.print()
    console.print(Text.assemble((f"Done in {seconds:.0f} s.", "bold"), f" As of {result.as_of}; run {result.run_id}."))
    _print_accounts(console, result.accounts)
    visible = {name: rows for name, rows in result.written.items() if not name.startswith("_")}
    _say(console, f"Written: {', '.join(f'{name} {rows:,}' for name, rows in visible.items())}")
    for reason, names in _by_reason(result.skipped).items():
        _say(console, f"Left out: {', '.join(names)}: {reason}")
    for note in result.notes:
        _say(console, f"Note: {note}")
    if report:
        _say(console, f"Report: {report}", soft_wrap=True)


def _say(console: Console, text: str, *, soft_wrap: bool | None = None) -> None:
    """Print a text as it is: names, paths and errors have brackets of their own."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap)


def _print_accounts(console: Console, accounts: Mapping[str, Account]) -> None:
    grid = Grid(box=None, pad_edge=False)
    for heading in ("source", "rows in", "kept", "merged", "quarantined", "why"):
        grid.add_column(heading, justify="left" if heading in ("source", "why") else "right", no_wrap=heading != "why")
    for account in accounts.values():
        why = ", ".join(f"{name} {count:,}" for name, count in account.reasons.items())
        counts = (account.rows_in, account.kept, account.merged, account.quarantined)
        grid.add_row(account.source, *(f"{count:,}" for count in counts), why)
    console.print(grid)


def _by_reason(skipped: Mapping[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        if not name.startswith("_"):
            reasons.setdefault(reason, []).append(name)
    return reasons
