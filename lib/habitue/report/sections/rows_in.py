"""What came in and what was set aside: every row of every source is accounted for."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup
from pyspark.sql import functions as F

from habitue.report import wording
from habitue.report.parts import Block, Frames, Grid, Heading, Paragraph, Section, Shop
from habitue.report.reading import Tables, small

EXAMPLE_LENGTH = 200  # characters of an example row: enough to see what is wrong with it
RAW_PREFIX = "raw_"


def read(tables: Tables) -> Frames:
    """accounts: source, rows_in, kept, quarantined, of the run that wrote the quarantine. reasons: source, error, rows,
    example. left_out: table_name, detail."""
    runs = tables.frame("runs")
    wrote = runs.where("table_name = 'quarantine' AND status = 'written'")
    last = wrote.agg(F.max_by("run_id", F.struct("started_at", "run_id")).alias("run_id"))
    taken_in = (
        runs.where("status = 'taken_in'")
        .join(last, "run_id", how="left_semi")
        .select(F.expr(f"substr(table_name, {len(RAW_PREFIX) + 1})").alias("source"), "rows_in", "rows_out")
    )
    quarantine = tables.frame("quarantine")
    set_aside = quarantine.groupBy("source").agg(F.count(F.lit(1)).alias("quarantined"))
    accounts = taken_in.join(set_aside, "source", how="left").select(
        "source", "rows_in", F.col("rows_out").alias("kept"), F.coalesce("quarantined", F.lit(0)).alias("quarantined")
    )
    # Cut before they are compared: a row may hold millions of characters. One more than is shown tells that it was cut.
    example = F.substring("raw_row", 1, EXAMPLE_LENGTH + 1)
    reasons = (
        quarantine.select("source", F.explode("errors").alias("error"), example.alias("example"))
        .groupBy("source", "error")
        .agg(F.count(F.lit(1)).alias("rows"), F.min("example").alias("example"))
    )
    skipped = tables.said[(tables.said["status"] == "skipped") & ~tables.said["table_name"].str.startswith("_")]
    return {
        "accounts": small(accounts.orderBy(F.desc("rows_in"), "source")),
        "reasons": small(reasons.orderBy(F.desc("rows"), "source", "error")),
        "left_out": skipped[["table_name", "detail"]],
    }


def write(frames: Frames, shop: Shop) -> Sequence[Block]:
    accounts, reasons, left_out = frames["accounts"], frames["reasons"], frames["left_out"]
    blocks: list[Block] = [Paragraph(_in_words(accounts)), _account_grid(accounts)]
    if not reasons.empty:
        blocks += [Heading("Why rows were set aside"), Paragraph(_REASONS_NOTE), _reason_grid(reasons)]
    if not left_out.empty:
        blocks += [Heading("What was left out"), _left_out_grid(left_out)]
    return blocks


_REASONS_NOTE = Markup(
    "A row may have several reasons. The table <code>quarantine</code> holds every one of these rows as it came."
)


def _in_words(accounts: pd.DataFrame) -> str:
    rows_in, aside = int(accounts["rows_in"].sum()), int(accounts["quarantined"].sum())
    if aside == 0:
        return f"All {wording.counted(rows_in, 'row')} could be used, apart from exact duplicates, which count once."
    part = wording.share(aside / rows_in)
    return (
        f"Of {wording.counted(rows_in, 'row')}, {wording.count(aside)} ({part}) could not be used and were set aside."
    )


def _account_grid(accounts: pd.DataFrame) -> Grid:
    rows = [
        (
            wording.plain(row["source"]),
            wording.count(row["rows_in"]),
            wording.count(row["kept"]),
            wording.count(row["rows_in"] - row["kept"] - row["quarantined"]),
            wording.count(row["quarantined"]),
            wording.share(row["quarantined"] / row["rows_in"] if row["rows_in"] else None),
        )
        for _, row in accounts.iterrows()
    ]
    headings = ("Source", "Rows in", "Kept", "Merged", "Set aside", "Set aside, share")
    return Grid(headings, rows, numeric=(1, 2, 3, 4, 5))


def _reason_grid(reasons: pd.DataFrame) -> Grid:
    rows = [
        (
            wording.plain(row["source"]),
            wording.plain(row["error"]),
            wording.count(row["rows"]),
            Markup("<code>{}</code>").format(wording.shortened(row["example"], EXAMPLE_LENGTH)),
        )
        for _, row in reasons.iterrows()
    ]
    return Grid(("Source", "Reason", "Rows", "One of them, as it came"), rows, numeric=(2,))


def _left_out_grid(left_out: pd.DataFrame) -> Grid:
    by_reason = left_out.groupby("detail", sort=False)["table_name"].agg(lambda names: ", ".join(sorted(names)))
    return Grid(("Tables", "Because"), [(tables, str(reason)) for reason, tables in by_reason.items()])


SECTION = Section(
    id="rows-in", title="What came in, what was set aside", needs=("runs", "quarantine"), read=read, write=write
)
