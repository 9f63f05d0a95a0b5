"""The command line: arguments in, one readable paragraph and an exit code out.

0 done, 1 failed, 2 bad usage or configuration, 3 data refused. The wall clock is read here, once, and nowhere else.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
import uuid
from collections.abc import Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from habitue import __version__
from habitue.config import Config, Resolved, is_secret, json_schema, resolve, without_passwords
from habitue.errors import HabitueError, UsageError
from habitue.percent import percent

app = typer.Typer(
    help="Finds a shop's loyal customers, and the people who can become loyal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="The configuration: what is in force, and where it came from.", no_args_is_help=True)
app.add_typer(config_app, name="config")
models_app = typer.Typer(
    help="The models that were fitted, and which of them is carried forward.", no_args_is_help=True
)
app.add_typer(models_app, name="models")
out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)  # names and paths have brackets of their own

# Typer brings a Click of its own and exports only parts of it; this is the base of everything it says of bad usage.
BadUsage: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

ConfigOption = Annotated[str | None, typer.Option("--config", help="The shop's YAML file.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="A setting, as key.path=value. Repeatable.")]
WarehouseOption = Annotated[
    str | None, typer.Option("--warehouse", help="Folder of the tables, instead of the configured one.")
]


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Returns where it is done; raises SystemExit with a code other than 0 where it is not."""
    _keep_utc()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        code = app([a for a in arguments if a != "--debug"], standalone_mode=False)
    except HabitueError as error:
        _fail(str(error), error.exit_code, debug)
    except BadUsage as error:
        context = getattr(error, "ctx", None)
        hint = f"\n`{context.command_path} --help` lists the options." if context else ""
        _fail(error.format_message() + hint, 2, debug)
    except (KeyboardInterrupt, typer.Abort):
        _fail("Stopped. Whatever was being written is as it was before; run again to go on.", 1, debug)
    except Exception as error:  # the last resort: even the unforeseen is one readable paragraph
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        what = lines[0][:800] if lines else type(error).__name__
        _fail(
            f"Something unforeseen went wrong ({type(error).__name__}): {what}",
            1,
            debug,
            "Run again with --debug for the trace.",
        )
    else:
        if code:  # what Typer returns of a `typer.Exit(code)`
            raise SystemExit(code)


def _keep_utc() -> None:
    """Give this process the clock of UTC: a classic session shows the instants that it collects in the process's zone."""
    os.environ["TZ"] = "UTC"
    if hasattr(time, "tzset"):  # not on Windows
        time.tzset()


def script() -> None:
    """The console script `habitue`."""
    main()


def _fail(message: str, code: int, debug: bool, hint: str = "") -> None:
    if debug:
        traceback.print_exc()
    print(f"habitue: {message}" + (f"\n{hint}" if hint else ""), file=sys.stderr)
    raise SystemExit(code) from None


@app.command()
def run(
    config: ConfigOption = None,
    orders: Annotated[
        str | None, typer.Option("--orders", help="An orders file, guessed and run without a configuration.")
    ] = None,
    warehouse: WarehouseOption = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="First day that is not known, YYYY-MM-DD. Default: the day after the newest kept order."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Areas or tables to build, by commas or repeated; others are read as they are."),
    ] = None,
    sets: SetOption = None,
    now: Annotated[
        str | None, typer.Option("--now", help="The wall clock (ISO 8601, UTC), for orders dated after it.")
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", hidden=True)] = None,
    to: Annotated[str | None, typer.Option("--to", hidden=True)] = None,
    every: Annotated[str | None, typer.Option("--every", hidden=True)] = None,
) -> None:
    """Build the tables and the report of one as-of."""
    for option, value in (("--from", from_), ("--to", to), ("--every", every)):
        if value is not None:
            raise UsageError(f"{option} comes with a later version. Until then, run once for each as-of, oldest first.")
    if orders and config:
        raise UsageError("Give --config, or --orders for a run without a configuration; not both.")
    resolved = _resolved_for_orders(orders, warehouse, sets) if orders else _resolved(config, warehouse, sets)
    day = _parse_day(as_of, "--as-of") if as_of else None
    _run(resolved.config, day, _names(only or ()), _parse_now(now))


@app.command()
def init(
    file: Annotated[str, typer.Argument(help="The orders: a file or a folder.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write the configuration.")] = "shop.yml",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    column: Annotated[list[str] | None, typer.Option("--column", help="ours=theirs. Repeatable.")] = None,
    date_format: Annotated[
        str | None, typer.Option("--date-format", help="Spark datetime pattern, such as dd.MM.yyyy.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option("--time-zone", help="IANA name, such as Europe/Berlin.")] = None,
    decimal: Annotated[str | None, typer.Option("--decimal", help="Decimal separator: . or ,")] = None,
    delimiter: Annotated[str | None, typer.Option("--delimiter", help="One character, \\t, or spaces.")] = None,
    encoding: Annotated[str | None, typer.Option("--encoding")] = None,
    header: Annotated[bool | None, typer.Option("--header/--no-header")] = None,
    day_first: Annotated[bool | None, typer.Option("--day-first/--month-first")] = None,
) -> None:
    """Look at a file, guess what its columns are, and write a commented configuration."""
    from habitue.sources import guessing

    answers = guessing.Answers.from_options(
        column or (),
        date_format=date_format,
        time_zone=time_zone,
        decimal=decimal,
        delimiter=delimiter,
        encoding=encoding,
        header=header,
        day_first=day_first,
    )
    if Path(output).exists() and not force:
        raise UsageError(f"{output} is there already. Name another with --output, or overwrite it with --force.")
    text = _guessed_yaml(file, answers, Path(output).resolve().parent)
    Path(output).write_text(text, encoding="utf-8")
    out.print(f"Wrote {output}. Look it over, then: habitue run --config {output}")


@app.command()
def tables(config: ConfigOption = None, warehouse: WarehouseOption = None, sets: SetOption = None) -> None:
    """Every table: grain, rows, version, when written."""
    from habitue.tables import TABLES

    store = _store(_resolved(config, warehouse, sets).config)
    grid = _grid(("table", "area", "rows", "version", "written (UTC)", "a row is"), right=("rows", "version"))
    found = 0
    for table in TABLES:
        state = None if table.is_hidden else store.describe(table)
        if state is not None:
            found += 1
            written = f"{state.written_at:%Y-%m-%d %H:%M}"
            grid.add_row(table.name, table.area, f"{state.rows:,}", str(state.version), written, table.grain)
    if not found:
        raise HabitueError(f"There are no tables at {store.place} yet. `habitue run` makes them.")
    Console(width=max(out.width, 140), markup=False, emoji=False).print(grid)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="A query; tables by name, and <table>_latest.")] = None,
    file: Annotated[str | None, typer.Option("--file", help="A file with one query.")] = None,
    format_: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    config: ConfigOption = None,
    warehouse: WarehouseOption = None,
    sets: SetOption = None,
) -> None:
    """Spark SQL over the tables."""
    from habitue.query import answer

    if (query is None) == (file is None):
        raise UsageError(
            'Give a query, such as `habitue sql "SELECT * FROM segments_latest"`, or --file; one of the two.'
        )
    if format_ not in ("table", "csv", "json"):
        raise UsageError(f"--format {format_}: choose table, csv or json.")
    text = query if query is not None else _read(str(file))
    print(answer(_store(_resolved(config, warehouse, sets).config), text, format_))


@app.command()
def report(config: ConfigOption = None, warehouse: WarehouseOption = None, sets: SetOption = None) -> None:
    """Build the HTML report again, from the tables as they are."""
    from habitue.report import write_report

    settings = _resolved(config, warehouse, sets).config
    out.print(f"Report: {write_report(_store(settings), settings)}")


@app.command()
def doctor(sets: SetOption = None) -> None:
    """Check Python, Java, memory, the Delta jars and a Spark session; every failure names its fix."""
    from habitue.doctor import render, run_doctor

    checks = run_doctor(resolve(sets=sets or ()).config.spark)
    out.print(render(checks))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


@config_app.command("show")
def config_show(config: ConfigOption = None, warehouse: WarehouseOption = None, sets: SetOption = None) -> None:
    """The settings in force, each with where it came from."""
    resolved = _resolved(config, warehouse, sets)
    for key, value in _flat(resolved.config.model_dump(mode="json", by_alias=True)):
        out.print(_shown(key, value, _origin(resolved, key)))


@config_app.command("validate")
def config_validate(config: ConfigOption = None, warehouse: WarehouseOption = None, sets: SetOption = None) -> None:
    """Check a configuration without running anything."""
    resolved = _resolved(config, warehouse, sets)
    sources = ", ".join(resolved.config.sources) or "none: a run needs at least orders"
    out.print(f"The configuration is valid. Sources: {sources}.")


@config_app.command("schema")
def config_schema() -> None:
    """JSON Schema of a configuration file, for editors."""
    import json

    print(json.dumps(json_schema(), indent=2))


ModelOption = Annotated[str, typer.Option("--model", help="segmentation, loyalty or response.")]


@models_app.command("list")
def models_list(
    model: ModelOption = "segmentation",
    config: ConfigOption = None,
    warehouse: WarehouseOption = None,
    sets: SetOption = None,
) -> None:
    """Every registered version: its as-of, what it was trained on, its aliases and its figures."""
    from habitue.registry import listed
    from habitue.tracking import Tracking

    figures = {"segments": "{:.0f}".format, "chosen_silhouette": "{:.2f}".format, "chosen_gain": percent}
    if model != "segmentation":
        figures = {"auc": "{:.3f}".format, "lift_ratio": "{:.1f}".format, "base_rate": percent}
    headings = ("name", "version", "as of", "trained on", "aliases", *(n.replace("_", " ") for n in figures))
    grid = _grid((*headings, "registered (UTC)"), right=("version", *headings[5:]))
    for v in listed(Tracking(_resolved(config, warehouse, sets).config), model):
        shown = [how(v.figures[n]) if n in v.figures else "" for n, how in figures.items()]
        aliases = " ".join(f"@{alias}" for alias in v.aliases)
        when = f"{v.registered_at:%Y-%m-%d %H:%M}"
        grid.add_row(v.name, str(v.version), str(v.as_of), v.trained_on, aliases, *shown, when)
    Console(width=max(out.width, 200), markup=False, emoji=False).print(grid)


@models_app.command("promote")
def models_promote(
    version: Annotated[int | None, typer.Argument(help="The version; by default the @challenger.")] = None,
    model: ModelOption = "segmentation",
    config: ConfigOption = None,
    warehouse: WarehouseOption = None,
    sets: SetOption = None,
) -> None:
    """Make a version the @champion: the model that later runs carry forward, or whose recipe they fit again."""
    from habitue.registry import promote
    from habitue.tracking import Tracking

    settings = _resolved(config, warehouse, sets).config
    out.print(promote(_store(settings), Tracking(settings), version, model))


@models_app.command("rollback")
def models_rollback(
    model: ModelOption = "segmentation",
    config: ConfigOption = None,
    warehouse: WarehouseOption = None,
    sets: SetOption = None,
) -> None:
    """Make the version that was @champion before the present one the champion again."""
    from habitue.registry import roll_back
    from habitue.tracking import Tracking

    settings = _resolved(config, warehouse, sets).config
    out.print(roll_back(_store(settings), Tracking(settings), model))


@app.command()
def version() -> None:
    """The version of Habitué."""
    out.print(__version__)


def _later(name: str, what: str) -> None:
    def command() -> None:
        raise UsageError(f"`habitue {name}` comes with a later version: {what}")

    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name, help=f"Comes with a later version: {what}", hidden=True, context_settings=anything)(command)


_later("maintain", "compaction and retention are Delta's own OPTIMIZE and VACUUM until then.")


def _run(config: Config, as_of: date | None, only: Sequence[str], now: datetime) -> None:
    from habitue.pipeline import Run
    from habitue.progress import ConsoleProgress, print_summary
    from habitue.report import write_report

    started = time.monotonic()
    run_id = uuid.uuid4().hex[:12]
    out.print(
        f"Habitué {__version__}: {config.shop.name} -> {config.warehouse if not config.catalog else config.catalog}"
    )
    store = _store(config, run_id)
    result = Run(store, config, now, ConsoleProgress(out), run_id).execute(as_of, only)
    path = write_report(store, config, result)
    print_summary(out, result, path, time.monotonic() - started)


def _grid(headings: Sequence[str], right: Sequence[str]) -> Any:
    """A table of texts without lines, with the columns `right` set to the right."""
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False)
    for heading in headings:
        grid.add_column(heading, justify="right" if heading in right else "left")
    return grid


def _store(config: Config, run_id: str | None = None):  # type: ignore[no-untyped-def]
    from habitue.session import get_session
    from habitue.store import Store

    return Store(get_session(config.spark), config, run_id)


def _resolved(config: str | None, warehouse: str | None, sets: Sequence[str] | None) -> Resolved:
    return resolve(config, sets or (), {"warehouse": warehouse} if warehouse else None)


def _resolved_for_orders(orders: str, warehouse: str | None, sets: Sequence[str] | None) -> Resolved:
    """The configuration that `init` would write, beside the tables, where it can be read and edited afterwards."""
    from habitue.sources import guessing

    folder = Path(warehouse or "warehouse")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shop.yml"
    try:
        text = _guessed_yaml(orders, guessing.Answers(), folder.resolve())
    except UsageError as error:
        raise UsageError(
            f"{error}\nThese are options of `habitue init {orders}`; then: habitue run --config shop.yml"
        ) from None
    if path.exists() and _read(str(path)) != text:
        raise UsageError(
            f"{path} is there and says something else than what would be guessed now. To keep what it says: "
            f"habitue run --config {path}; to guess anew, remove it."
        )
    path.write_text(text, encoding="utf-8")
    out.print(f"What was guessed is in {path}.")
    return _resolved(str(path), str(folder), sets)


def _guessed_yaml(path: str, answers: Any, folder: Path) -> str:
    """The configuration for a file, after saying what was guessed. Raises UsageError with the questions that are open."""
    from habitue.sources import guessing
    from habitue.sources.shop_yaml import shop_yaml

    guess = guessing.guess(path, answers)
    for finding in guess.findings:
        out.print(f"  {finding.what}: {finding.value} ({finding.certainty}: {finding.reason})")
    return shop_yaml(guess, Path(path).stem, folder)


def _parse_day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write a day as YYYY-MM-DD.") from None


def _parse_now(text: str | None) -> datetime:
    """The wall clock: the time given, which is in UTC where it names no offset, else that of this machine."""
    if text is None:
        return datetime.now(timezone.utc)
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--now {text}: write a time as YYYY-MM-DDTHH:MM:SS, UTC.") from None
    return given if given.tzinfo else given.replace(tzinfo=timezone.utc)


def _names(options: Sequence[str]) -> list[str]:
    return [name.strip() for option in options for name in option.split(",") if name.strip()]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def _flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(values, dict) and values:
        return [item for key, value in values.items() for item in _flat(value, f"{prefix}{key}.")]
    return [(prefix.rstrip("."), values)]


def _shown(key: str, value: Any, origin: str) -> str:
    """A setting and where it came from, with *** for whatever is secret in either."""
    if is_secret(key) and value is not None:
        value, origin = "***", origin.partition("=")[0]
    return without_passwords(f"{key} = {value!r}  # {origin}")


def _origin(resolved: Resolved, key: str) -> str:
    """Where a value came from; a source's unset settings come from source_defaults."""
    while key:
        if key in resolved.origins:
            return resolved.origins[key]
        if key.startswith("sources."):
            default = f"source_defaults.{key.split('.', 2)[-1]}"
            return f"source_defaults, {resolved.origins.get(default, 'conf/base.yml')}"
        key = key.rpartition(".")[0]
    return "conf/base.yml"
