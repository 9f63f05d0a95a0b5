"""Taking in the sources: read, judge every row, account for all of them, and refuse what is too broken to build on.

What it gives is one hidden table a source, `_work_<source>`: every distinct row with its errors. Nothing published has
changed by then, so a refused run leaves the warehouse as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib import import_module

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from habitue.config import Config
from habitue.errors import DataRefused, HabitueError, UsageError
from habitue.percent import percent
from habitue.sources import SOURCE_NAMES, orders
from habitue.sources.cleaning import COPIES, ERRORS, STATUS_EXCLUDED, finished, is_kept, judged, merged_by_key, rules_of
from habitue.sources.reading import is_of_reading, is_sparks, read_raw, unreadable
from habitue.sources.spec import Source
from habitue.store import Store

SOURCES: dict[str, Source] = {name: import_module(f"habitue.sources.{name}").SOURCE for name in SOURCE_NAMES}


@dataclass(frozen=True)
class Account:
    """What became of a source's rows: rows_in = kept + merged + quarantined, always.

    excluded: the part of `quarantined` that a status filter set aside. judged_rows: all other rows that the gate is about,
    with every copy: those known before the as-of that was asked for; unusable: those of them in error. reasons: error ->
    distinct rows that have it.
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


def take_in(
    store: Store,
    config: Config,
    now: datetime,
    tell: Callable[[Account, float], None],
    as_of: date | None = None,
) -> Intake:
    """Read and judge every configured source, telling each account and its seconds as it is made.

    as_of: where the run asks for one; no gate then looks at rows that were not known before it.

    Raises UsageError, or DataRefused where a gate fails.
    """
    if "orders" not in config.sources:
        raise UsageError(
            "sources.orders is not configured. `habitue init orders.csv` writes a configuration for a file."
        )
    work, accounts = {}, {}
    for name in config.sources:
        started = time.monotonic()
        work[name], accounts[name] = _take_in_one(store, config, name, now, as_of)
        tell(accounts[name], time.monotonic() - started)
    refuse_broken(accounts, config)
    known_orders = work["orders"].where(_is_known(work["orders"], SOURCES["orders"], as_of))
    currency = orders.refuse_mixed_currencies(known_orders, config)
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
                f"({percent(account.unusable_share)}) cannot be used ({shown}), "
                f"and cleaning.max_quarantined_share is {percent(most)}"
            )
    if accounts["orders"].kept == 0 and not problems:
        problems.append("sources.orders: no row is left to work with")
    if problems:
        raise DataRefused(
            "The data was refused, and no published table was changed:\n"
            + "\n".join(f"  - {p}" for p in problems)
            + "\nLook at the columns and formats in the configuration (date_format, decimal, columns), or mend the file."
        )


def _take_in_one(
    store: Store, config: Config, name: str, now: datetime, as_of: date | None
) -> tuple[DataFrame, Account]:
    settings = config.sources[name]
    raw = read_raw(store.spark, name, settings)
    rules = rules_of(config, name, now)
    try:
        if name == "orders":
            rows = orders.cleaned(raw, rules, config)
        else:
            rows = finished(merged_by_key(judged(raw, SOURCES[name], rules), SOURCES[name]))
        work = store.write_work(name, rows)
        account = _account(name, raw, work, as_of)
    except Exception as error:
        if not is_sparks(error):
            raise
        if is_of_reading(error):
            raise unreadable(name, settings.path or settings.table, error) from error
        raise _unwritable(name, store, error) from error
    if account.rows_in != account.kept + account.merged + account.quarantined:
        raise HabitueError(
            f"sources.{name}: {account.rows_in} rows came in, but {account.kept} kept + {account.merged} merged + "
            f"{account.quarantined} quarantined are {account.kept + account.merged + account.quarantined}. "
            "Did the file change while it was read? Run again."
        )
    return work, account


def _unwritable(name: str, store: Store, error: Exception) -> HabitueError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return HabitueError(
        f"The rows of sources.{name} could not be written to the warehouse {store.place}. May it be written, and is there "
        f"room? Spark says: {lines[0][:500]}"
    )


def _is_known(work: DataFrame, source: Source, as_of: date | None) -> Column:
    """Whether a row was known before the as-of. One that does not say when counts, as every row does without an as-of."""
    day = f"{source.known_by}_day"
    if as_of is None or day not in work.columns:
        return F.lit(True)
    return F.coalesce(F.col(day) < F.lit(as_of), F.lit(True))


def _account(name: str, raw: DataFrame, work: DataFrame, as_of: date | None) -> Account:
    """Counts from the rows as read, apart from the counts of what was written."""
    kept = F.sum(F.when(is_kept(), 1).otherwise(0))
    day = "ordered_at_day" if name == "orders" else None
    is_excluded = F.array_contains(ERRORS, STATUS_EXCLUDED)
    is_left_out = is_excluded | ~_is_known(work, SOURCES[name], as_of)
    values = [c for c in work.columns if c in SOURCES[name].names]
    totals = work.agg(
        kept.alias("kept"),
        F.sum(COPIES).alias("copies"),
        F.count(F.lit(1)).alias("distinct"),
        F.sum(F.when(is_excluded, 1).otherwise(0)).alias("excluded"),
        F.sum(F.when(is_left_out, 0).otherwise(F.col(COPIES))).alias("judged_rows"),
        F.sum(F.when(is_left_out | is_kept(), 0).otherwise(F.col(COPIES))).alias("unusable"),
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
