"""Ordering and running the tables: which reads which follows from the signatures of their `build`."""

from __future__ import annotations

import graphlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from types import UnionType
from typing import Any, Protocol, Union, get_args, get_origin

from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from habitue.config import Config, nearest
from habitue.errors import DataRefused, HabitueError, NotApplicable, UsageError
from habitue.registry import TrackedModel
from habitue.run_record import RunRecord
from habitue.sources.intake import Account, Intake, take_in
from habitue.store import WORK_PREFIX, Store
from habitue.table import Table
from habitue.tables import TABLES
from habitue.tables.operations import runs
from habitue.tracking import Tracking, candidate_figures, circumstances

JUDGED_PREFIX = "judged_"
EARLIER_PREFIX = "earlier_"  # the newest snapshot, or model, of an as-of before the run's
PROMOTED_PREFIX = "promoted_"  # the model that `habitue models promote` chose, if it is of an as-of before the run's
ALL_JUDGED = "judged_sources"
NOT_CONFIGURED = "the configuration names no source {}"


class Progress(Protocol):
    """Who is told how a run goes on."""

    def stage(self, title: str) -> None: ...
    def table(self, name: str, rows: int, seconds: float) -> None: ...
    def skipped(self, name: str, reason: str) -> None: ...
    def source(self, account: Account, seconds: float) -> None: ...


@dataclass(frozen=True)
class Step:
    """One computation: the tables that one `build` gives."""

    build: Callable[..., Any]
    tables: tuple[Table, ...]

    @property
    def name(self) -> str:
        return self.tables[0].name

    @property
    def inputs(self) -> dict[str, bool]:
        """Tables that the build reads -> whether it can do without."""
        parameters = self.tables[0].parameters.items()
        return {
            n: is_optional(p.annotation)
            for n, p in parameters
            if _is_frame(p.annotation) and not n.startswith(EARLIER_PREFIX)
        }

    @property
    def earlier(self) -> list[str]:
        """Earlier snapshots that the build reads where there are any."""
        parameters = self.tables[0].parameters.items()
        return [n for n, p in parameters if _is_frame(p.annotation) and n.startswith(EARLIER_PREFIX)]

    @property
    def models(self) -> list[str]:
        """Fitted models of this as-of that the build scores with."""
        return [n for n in self.tables[0].parameters if n in _MODELS]


@dataclass
class RunResult:
    """What a run did: the as-of, an account per source, rows and seconds per table, and what was left out with the reason."""

    run_id: str
    as_of: date | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    currency: str | None = None
    written: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Read:
    """What a step read: the Delta version of each table, and the rows of all of them."""

    versions: Mapping[str, int]
    rows: int


def steps(tables: Sequence[Table] = TABLES) -> list[Step]:
    """Every step in an order in which each finds its inputs."""
    grouped: dict[Callable[..., Any], list[Table]] = {}
    for table in tables:
        if table is not runs.TABLE:
            grouped.setdefault(table.build, []).append(table)
    found = [Step(build, tuple(members)) for build, members in grouped.items()]
    maker = {table.name: i for i, step in enumerate(found) for table in step.tables}
    maker |= {table.model[0]: i for i, step in enumerate(found) for table in step.tables if table.model}
    graph = {i: {maker[n] for n in (*step.inputs, *step.models) if n in maker} for i, step in enumerate(found)}
    unknown = {n for step in found for n in step.inputs if n not in maker and not n.startswith(JUDGED_PREFIX)}
    if unknown:
        raise HabitueError(f"No table is called {', '.join(sorted(unknown))}, but a build has such a parameter.")
    return [found[i] for i in _in_order(graph)]


def _in_order(graph: Mapping[int, set[int]]) -> Iterator[int]:
    """Each node after those it needs, otherwise as listed, so that an area's tables stay together."""
    sorter = graphlib.TopologicalSorter(graph)
    sorter.prepare()
    ready: set[int] = set()
    while sorter.is_active():
        ready |= set(sorter.get_ready())
        first = min(ready)
        ready.remove(first)
        yield first
        sorter.done(first)


def select_steps(only: Iterable[str], tables: Sequence[Table] = TABLES) -> list[Step]:
    """The steps of the areas and tables named in `only` (all where it is empty). Raises UsageError for an unknown name."""
    wanted = list(only)
    plan = steps(tables)
    names = {t.name for s in plan for t in s.tables} | {t.area for s in plan for t in s.tables}
    for name in wanted:
        if name not in names:
            visible = sorted(n for n in names if not n.startswith("_"))
            raise UsageError(
                f"--only {name}: no such area or table{nearest(name, visible)}; there are {', '.join(visible)}"
            )
    return [s for s in plan if not wanted or any(t.name in wanted or t.area in wanted for t in s.tables)]


class Run:
    """One run of the pipeline over a store."""

    def __init__(self, store: Store, config: Config, now: datetime, progress: Progress, run_id: str):
        self.store, self.config, self.now, self.progress = store, config, now, progress
        self.result = RunResult(run_id)
        self._record = RunRecord(store, config, now, run_id)
        self._versions: dict[str, int] = {}
        self._earlier_days: dict[str, date | None] = {}
        self._settled: set[str] = set()
        self._there: set[str] = set()  # tables that this run reads and does not write: asking again costs a job each
        self._intake: Intake | None = None
        self._tracking = Tracking(config)

    def execute(self, as_of: date | None, only: Iterable[str] = ()) -> RunResult:
        """Take in the sources, then build every step; whatever happens, `runs` tells of it."""
        plan = select_steps(only)
        self.result.as_of = as_of
        try:
            if any(name.startswith(JUDGED_PREFIX) for step in plan for name in _frame_names(step)):
                self._take_in(as_of)
            self.result.as_of = as_of or self._day_after_newest_order()
            for area, members in _by_area(plan):
                self.progress.stage(area)
                for step in members:
                    self._run_step(step)
        except BaseException:
            with suppress(Exception):  # what went wrong first is what has to be said
                self._record.write(self.result.as_of)
            raise
        self._record.write(self.result.as_of)
        return self.result

    def _take_in(self, as_of: date | None) -> None:
        self.progress.stage("sources")
        started = time.monotonic()
        try:
            self._intake = take_in(self.store, self.config, self.now, self._took_in, as_of)
        except DataRefused as error:
            self._record.note("sources", "refused", time.monotonic() - started, detail=str(error))
            raise
        except BaseException as error:
            said = str(error)[:2000] or type(error).__name__
            self._record.note("sources", "failed", time.monotonic() - started, detail=said)
            raise
        self.result.accounts = self._intake.accounts
        self.result.currency = self._intake.currency

    def _day_after_newest_order(self) -> date:
        """The default as-of; of a run that takes in no source, from the order lines that are there."""
        if self._intake is not None:
            return self._intake.day_after_newest_order
        if not self.store.exists("order_lines"):
            raise UsageError(f"There are no tables at {self.store.place} yet: run once without --only.")
        newest: date | None = self.store.read(_TABLES_BY_NAME["order_lines"]).agg(F.max("order_day")).collect()[0][0]
        if newest is None:
            raise DataRefused("The table order_lines has no rows: run without --only.")
        return newest + timedelta(days=1)

    def _took_in(self, account: Account, seconds: float) -> None:
        self.progress.source(account, seconds)
        detail = (
            f"kept {account.kept}, merged {account.merged}, quarantined {account.quarantined} {dict(account.reasons)}"
        )
        name = f"raw_{account.source}"
        self._record.note(name, "taken_in", seconds, rows_in=account.rows_in, rows_out=account.kept, detail=detail)

    def _run_step(self, step: Step) -> None:
        assert self.result.as_of is not None
        started = time.monotonic()
        try:
            self._settle(step)
            missing = self._missing(step)
            if missing is not None:
                raise NotApplicable(missing)
            arguments = self._arguments(step)
            read = Read(self._input_versions(step), self._rows_in(step))
            built = step.build(**arguments)
            for table in step.tables:
                frame = built if isinstance(built, DataFrame) else getattr(built, table.name)
                if table.model:
                    self.store.save_model(table.model[0], self.result.as_of, getattr(built, table.model[0]).to_json())
                rows = self.store.write(table, frame, self.result.as_of)
                self.store.publish_latest_view(table)
                self._written(table, read, rows, time.monotonic() - started)
                started = time.monotonic()
            for table in (t for t in step.tables if t.model):
                self._made_model(step, table, built, arguments)
            if not isinstance(built, DataFrame):
                self.result.notes.extend(getattr(built, "notes", ()))
        except NotApplicable as reason:
            for table in step.tables:
                self._skip(table, str(reason), time.monotonic() - started)
        except BaseException as error:  # an interruption, too
            said = str(error)[:2000] or type(error).__name__
            unwritten = [table.name for table in step.tables if table.name not in self.result.written]
            self._record.note([*unwritten, step.name][0], "failed", time.monotonic() - started, detail=said)
            raise

    def _settle(self, step: Step) -> None:
        """Look at tables that this run meets for the first time: what `runs` does not vouch for was written by a run that was
        killed, maybe before it looked for keys that occur twice. Then that is taken back."""
        plain = (n.removeprefix(EARLIER_PREFIX).removeprefix(PROMOTED_PREFIX) for n in step.tables[0].parameters)
        tables = [*step.tables, *(_HOMES[name] for name in plain if name in _HOMES)]
        for table in tables:
            if table.name in self._settled:
                continue
            self._settled.add(table.name)
            if not self.store.exists(table.name) or self._record.vouches_for(table.name, self._version(table.name)):
                continue
            self._record.distrust(table.name)
            if self.store.take_back_duplicates(table):
                del self._versions[table.name]
                self.result.notes.append(f"{table.name}: a run was stopped while it wrote; its rows were taken back")

    def _missing(self, step: Step) -> str | None:
        """Why the step cannot run: an input that it needs was left out or is not configured."""
        for name, optional in step.inputs.items():
            if optional or self._is_available(name):
                continue
            if name.startswith(JUDGED_PREFIX):
                return NOT_CONFIGURED.format(name.removeprefix(JUDGED_PREFIX))
            if (source := self._dropped_source(name)) is not None:
                return NOT_CONFIGURED.format(source)
            return self.result.skipped.get(name, f"there is no table {name} yet")
        return None

    def _is_available(self, name: str) -> bool:
        assert self.result.as_of is not None
        if name.startswith(JUDGED_PREFIX):
            return self._intake is not None and name.removeprefix(JUDGED_PREFIX) in self._intake.judged
        if name.startswith(EARLIER_PREFIX):
            return self._earlier_day(_TABLES_BY_NAME[name.removeprefix(EARLIER_PREFIX)]) is not None
        if name in self.result.written:
            return True
        if name in self.result.skipped or self._dropped_source(name) is not None:
            return False
        table = _TABLES_BY_NAME[name]
        if name not in self._there and (
            self.store.has_snapshot(table, self.result.as_of) if table.is_snapshot else self.store.exists(name)
        ):
            self._there.add(name)
        return name in self._there

    def _dropped_source(self, name: str) -> str | None:
        """The source of a clean table that the configuration no longer names: what is there is of an earlier one."""
        made_of = [n for n in _TABLES_BY_NAME[name].parameters if n.startswith(JUDGED_PREFIX) and n != ALL_JUDGED]
        sources = [n.removeprefix(JUDGED_PREFIX) for n in made_of]
        gone = [source for source in sources if source not in self.config.sources]
        return gone[0] if gone and self.config.sources else None

    def _earlier_day(self, table: Table) -> date | None:
        """The as-of of the table's newest snapshot before this run's; asked once, as it costs a job."""
        assert self.result.as_of is not None
        if table.name not in self._earlier_days:
            self._earlier_days[table.name] = self.store.newest_before(table, self.result.as_of)
        return self._earlier_days[table.name]

    def _arguments(self, step: Step) -> dict[str, Any]:
        """A value for each parameter of the build: by name for tables and the as-of, by type for settings."""
        assert self.result.as_of is not None
        is_derived = any(table.is_snapshot for table in step.tables)
        values: dict[str, Any] = {}
        for name, parameter in step.tables[0].parameters.items():
            if name == ALL_JUDGED:
                values[name] = self._intake.judged if self._intake else {}
            elif _is_frame(parameter.annotation):
                values[name] = self._frame(name, is_derived)
            elif name == "as_of":
                values[name] = self.result.as_of
            elif name == "model_path":
                values[name] = f"{self.store.model_path(step.name, self.result.as_of)}/mllib"
            elif name.removeprefix(EARLIER_PREFIX).removeprefix(PROMOTED_PREFIX) in _MODELS:
                values[name] = self._model(name)
            else:
                values[name] = _settings(self.config, parameter.annotation)
        return values

    def _frame(self, name: str, is_derived: bool) -> DataFrame | None:
        """An input table; what carries `as_of` gets the snapshot of the run's as-of, and only events known before it."""
        assert self.result.as_of is not None
        if name.startswith(EARLIER_PREFIX):
            table = _TABLES_BY_NAME[name.removeprefix(EARLIER_PREFIX)]
            day = self._earlier_day(table)
            return None if day is None else self.store.read(table, day)
        if not self._is_available(name):
            return None
        if name.startswith(JUDGED_PREFIX):
            return self._intake.judged[name.removeprefix(JUDGED_PREFIX)] if self._intake else None
        return self.store.read(_TABLES_BY_NAME[name], self.result.as_of if is_derived else None)

    def _made_model(self, step: Step, table: Table, built: Any, arguments: Mapping[str, Any]) -> None:
        """Tell of a model that was stored: its notes in the summary, and a copy to MLflow."""
        assert self.result.as_of is not None and table.model is not None
        name = table.model[0]
        model = getattr(built, name)
        self.result.notes.extend(getattr(model, "notes", ()))
        if hasattr(model, "ids") and (later := self.store.later_snapshots(table, self.result.as_of)):
            days = ", ".join(map(str, later))
            self.result.notes.append(f"{table.area}: of {days} nothing changed; built again, they may get other ids")
        if getattr(built, "ends_promotion", False):
            self.store.save_model(name, None, "")
        challenger = getattr(built, "challenger", None)
        for tracked in (model, *([challenger] if challenger is not None else [])):
            if isinstance(tracked, TrackedModel):
                self._track(step, table, tracked, arguments)

    def _track(self, step: Step, table: Table, model: TrackedModel, arguments: Mapping[str, Any]) -> None:
        """Give MLflow a copy; the runs that follow go on with it unless the model, or a promotion by hand, says otherwise."""
        assert table.model is not None
        name = table.model[0]
        takes_over = getattr(model, "takes_over", None)
        if takes_over is None:
            takes_over = self.store.load_model(name, None) is None
        facts = circumstances(self.config, self.result.run_id, arguments, self._input_versions(step), takes_over)
        candidates = candidate_figures(table, self.store.read(table, self.result.as_of))
        note = self._tracking.record(name, model, replace(facts, candidates=candidates))
        self.result.notes.extend([note] if note else [])

    def _model(self, name: str) -> Any:
        """A fitted model: of this as-of, of the newest earlier one, or the promoted one; of the last two there may be none."""
        assert self.result.as_of is not None
        if name.startswith(PROMOTED_PREFIX):
            return self._promoted(name.removeprefix(PROMOTED_PREFIX))
        plain = name.removeprefix(EARLIER_PREFIX)
        table = _MODELS[plain]
        is_earlier = name != plain
        day = self._earlier_day(table) if is_earlier else self.result.as_of
        text = self.store.load_model(plain, day) if day else None
        if text is None and not is_earlier:
            raise HabitueError(
                f"There is no model {plain} of {day}. Run without --only, or with --only {table.name} first."
            )
        return table.model[1].from_json(text) if text and table.model else None

    def _promoted(self, name: str) -> Any:
        """The model that was promoted by hand; None where there is none, or only one that knows this as-of's data."""
        table, text = _MODELS[name], self.store.load_model(name, None)
        model = table.model[1].from_json(text) if text and table.model else None
        return model if model is not None and model.as_of < self.result.as_of else None

    def _written(self, table: Table, read: Read, rows: int, seconds: float) -> None:
        self.result.written[table.name] = rows
        self.result.seconds[table.name] = seconds
        version = self._versions[table.name] = self.store.version(table.name)
        self._record.note(
            table.name, "written", seconds, rows_in=read.rows, rows_out=rows, inputs=read.versions, version=version
        )
        if not table.is_hidden:
            self.progress.table(table.name, rows, seconds)

    def _read_by(self, step: Step) -> list[str]:
        """The inputs of a step that are there, as its parameters name them; all sources one by one."""
        names = [n for n in (*step.inputs, *step.earlier) if self._is_available(n)]
        if ALL_JUDGED in step.tables[0].parameters and self._intake:
            names += [f"{JUDGED_PREFIX}{source}" for source in self._intake.judged]
        return names

    def _input_versions(self, step: Step) -> dict[str, int]:
        """The Delta version of each table that the step reads."""
        tables = (name.removeprefix(EARLIER_PREFIX) for name in self._read_by(step))
        hidden = (WORK_PREFIX + n.removeprefix(JUDGED_PREFIX) if n.startswith(JUDGED_PREFIX) else n for n in tables)
        return {name: self._version(name) for name in hidden}

    def _rows_in(self, step: Step) -> int:
        """The rows of all inputs of the step, added up."""
        return sum(self._rows_of(name) for name in self._read_by(step))

    def _rows_of(self, name: str) -> int:
        """The rows of an input, as this run or an earlier one found them; counted only where no run has told."""
        if name.startswith(JUDGED_PREFIX):
            return self.result.accounts[name.removeprefix(JUDGED_PREFIX)].rows_in
        if name in self.result.written:
            return self.result.written[name]
        table = _TABLES_BY_NAME[name.removeprefix(EARLIER_PREFIX)]
        day = self._earlier_day(table) if name.startswith(EARLIER_PREFIX) else self.result.as_of
        told = self._record.rows_told(table, day)
        return self.store.read(table, day if table.is_snapshot else None).count() if told is None else told

    def _version(self, name: str) -> int:
        if name not in self._versions:
            self._versions[name] = self.store.version(name)
        return self._versions[name]

    def _skip(self, table: Table, reason: str, seconds: float) -> None:
        assert self.result.as_of is not None
        self.result.skipped[table.name] = reason
        self.store.remove_snapshot(table, self.result.as_of)
        self._record.note(table.name, "skipped", seconds, detail=reason)
        if not table.is_hidden:
            self.progress.skipped(table.name, reason)


_TABLES_BY_NAME = {table.name: table for table in TABLES}
_MODELS = {table.model[0]: table for table in TABLES if table.model}
_HOMES = {**_TABLES_BY_NAME, **_MODELS}  # a parameter of a build -> the table that it is, or was made beside


def _frame_names(step: Step) -> list[str]:
    return [n for n in step.tables[0].parameters if n in step.inputs or n == ALL_JUDGED]


def _by_area(plan: Iterable[Step]) -> list[tuple[str, list[Step]]]:
    """Consecutive steps of one area together, in the order of the run."""
    grouped: list[tuple[str, list[Step]]] = []
    for step in plan:
        area = step.tables[0].area
        if not grouped or grouped[-1][0] != area:
            grouped.append((area, []))
        grouped[-1][1].append(step)
    return grouped


def is_optional(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation)


def _is_frame(annotation: Any) -> bool:
    return annotation is DataFrame or (DataFrame in get_args(annotation) and is_optional(annotation))


def _settings(config: Config, annotation: type[Any]) -> BaseModel:
    """The section of the configuration that has this type; the configuration itself where that is asked for."""
    if annotation is Config:
        return config
    for name in Config.model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel) and isinstance(value, annotation):
            return value
    raise HabitueError(f"No section of the configuration is a {annotation.__name__}.")
