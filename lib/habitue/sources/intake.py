"""Taking in the sources: read, judge every row, account for all of them, and refuse what is too broken to build on.

What it gives is one hidden table a source, `_work_<source>`: every distinct row with its errors. Nothing published has
changed by then, so a refused run leaves the warehouse as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from habitue.config import Config
from habitue.errors import DataRefused, HabitueError, UsageError
from habitue.sources import campaign_products, campaigns, customers, orders, products, responses, sends
from habitue.sources.cleaning import COPIES, ERRORS, STATUS_EXCLUDED, finished, is_kept, judged, merged_by_key, rules_of
from habitue.sources.reading import is_sparks, read_raw, unreadable
from habitue.store import Store

SOURCES = {
    module.SOURCE.name: module.SOURCE
    for module in (orders, customers, products, campaigns, campaign_products, sends, responses)
}


@dataclass(frozen=True)
class Account:
    """What became of a source's rows: rows_in = kept + merged + quarantined, always.

    excluded: the part of `quarantined` that a status filter set aside. judged_rows: all other rows, with every copy;
    unusable: those of them in error. reasons: error -> distinct rows that have it.
    present: our columns that hold at least one value among the kept rows.
    """

    source: str
    rows_in: int
    kept: int
    merged: int
    quarantined: int
    excluded: int
    unusable: int
    judged_rows: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    newest_day: date | None = None
    oldest_day: date | None = None
    present: tuple[str, ...] = ()

    @property
    def unusable_share(self) -> float:
        return self.unusable / self.judged_rows if self.judged_rows else 0.0


@dataclass(frozen=True)
class Intake:
    """The judged rows of every configured source, and the account of each."""

    judged: Mapping[str, DataFrame]
    accounts: Mapping[str, Account]
    currency: str | None

    @property
    def day_after_newest_order(self) -> date:
        newest = self.accounts["orders"].newest_day
        assert newest is not None
        return newest + timedelta(days=1)


def take_in(store: Store, config: Config, now: datetime, tell: Callable[[Account, float], None]) -> Intake:
    """Read and judge every configured source, telling each account and its seconds as it is made.

    Raises UsageError, or DataRefused where a gate fails.
    """
    if "orders" not in config.sources:
        raise UsageError(
            "sources.orders is not configured. `habitue init orders.csv` writes a configuration for a file."
        )
    work, accounts = {}, {}
    for name in config.sources:
        started = time.monotonic()
        work[name], accounts[name] = _take_in_one(store, config, name, now)
        tell(accounts[name], time.monotonic() - started)
    refuse_broken(accounts, config)
    currency = orders.refuse_mixed_currencies(work["orders"], config)
    return Intake(work, accounts, currency)


def refuse_broken(accounts: Mapping[str, Account], config: Config) -> None:
    """The quality gate: raises DataRefused naming every source that is too broken, and its commonest reasons."""
    most = config.cleaning.max_quarantined_share
    problems = []
    for account in accounts.values():
        if account.unusable_share > most:
            reasons = sorted(account.reasons.items(), key=lambda item: (-item[1], item[0]))[:5]
            shown = ", ".join(f"{name} {count:,}" for name, count in reasons if name != STATUS_EXCLUDED)
            problems.append(
                f"sources.{account.source}: {account.unusable:,} of {account.judged_rows:,} rows "
                f"({account.unusable_share:.1%}) cannot be used ({shown}), and cleaning.max_quarantined_share is {most:.1%}"
            )
    if accounts["orders"].kept == 0 and not problems:
        problems.append("sources.orders: no row is left to work with")
    if problems:
        raise DataRefused(
            "The data was refused, and no published table was changed:\n"
            + "\n".join(f"  - {p}" for p in problems)
            + "\nLook at the columns and formats in the configuration (date_format, decimal, columns), or mend the file."
        )


def _take_in_one(store: Store, config: Config, name: str, now: datetime) -> tuple[DataFrame, Account]:
    settings = config.sources[name]
    raw = read_raw(store.spark, name, settings)
    rules = rules_of(config, name, now)
    try:
        if name == "orders":
            rows = orders.cleaned(raw, rules, config)
        else:
            rows = finished(merged_by_key(judged(raw, SOURCES[name], rules), SOURCES[name]))
        work = store.write_work(name, rows)
        account = _account(name, raw, work)
    except Exception as error:
        if not is_sparks(error):
            raise
        raise unreadable(name, settings.path or settings.table, error) from error
    if account.rows_in != account.kept + account.merged + account.quarantined:
        raise HabitueError(
            f"sources.{name}: {account.rows_in} rows came in, but {account.kept} kept + {account.merged} merged + "
            f"{account.quarantined} quarantined are {account.kept + account.merged + account.quarantined}. "
            "Did the file change while it was read? Run again."
        )
    return work, account


def _account(name: str, raw: DataFrame, work: DataFrame) -> Account:
    """Counts from the rows as read, apart from the counts of what was written."""
    kept = F.sum(F.when(is_kept(), 1).otherwise(0))
    day = "ordered_at_day" if name == "orders" else None
    is_excluded = F.array_contains(ERRORS, STATUS_EXCLUDED)
    values = [c for c in work.columns if c in SOURCES[name].names]
    totals = work.agg(
        kept.alias("kept"),
        F.sum(COPIES).alias("copies"),
        F.count(F.lit(1)).alias("distinct"),
        F.sum(F.when(is_excluded, 1).otherwise(0)).alias("excluded"),
        F.sum(F.when(is_excluded, 0).otherwise(F.col(COPIES))).alias("judged_rows"),
        F.sum(F.when(is_excluded | is_kept(), 0).otherwise(F.col(COPIES))).alias("unusable"),
        *([F.max(F.when(is_kept(), F.col(day))).alias("newest")] if day else []),
        *([F.min(F.when(is_kept(), F.col(day))).alias("oldest")] if day else []),
        *(F.count(F.when(is_kept(), F.col(c))).alias(f"has_{c}") for c in values),
    ).collect()[0]
    distinct = totals["distinct"]
    reasons = _reasons(work) if distinct > (totals["kept"] or 0) else {}
    return Account(
        source=name,
        rows_in=raw.count(),
        kept=totals["kept"] or 0,
        merged=(totals["copies"] or 0) - distinct,
        quarantined=distinct - (totals["kept"] or 0),
        excluded=totals["excluded"] or 0,
        unusable=totals["unusable"] or 0,
        judged_rows=totals["judged_rows"] or 0,
        reasons=reasons,
        newest_day=totals["newest"] if day else None,
        oldest_day=totals["oldest"] if day else None,
        present=tuple(c for c in values if totals[f"has_{c}"]),
    )


def _reasons(work: DataFrame) -> dict[str, int]:
    """Error -> rows that have it, the commonest first."""
    counted = work.where(~is_kept()).select(F.explode(ERRORS).alias("error")).groupBy("error").count().collect()
    return {row["error"]: row["count"] for row in sorted(counted, key=lambda r: (-r["count"], r["error"]))}
