"""MLflow: the only module that imports it. It gets a copy of every fitted model and is never needed to score.

Whatever goes wrong with MLflow becomes a note of the run; only `habitue models` fails without it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pyspark.sql import DataFrame

from habitue import __version__
from habitue.config import Config
from habitue.errors import HabitueError, UsageError
from habitue.registry import TrackedModel, register
from habitue.table import SNAPSHOT_COLUMN, Table

DOCUMENT = "document.json"
PIPELINES = "pipelines"

# Set before mlflow is imported, where the environment does not say otherwise.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a shop's job tells nobody that it ran
    "MLFLOW_LOGGING_LEVEL": "ERROR",  # a new sqlite file is reported in a dozen lines
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default goes on for minutes, and a run does not need the answer
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
}


@dataclass(frozen=True)
class Circumstances:
    """How a model came about. settings: dotted key -> value. inputs: table -> Delta version. candidates: step -> figures
    of a candidate. takes_over: the runs after this one carry the model forward."""

    run_id: str
    config_hash: str
    takes_over: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    candidates: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


class Tracking:
    """Where MLflow is for a configuration, and what is written there and read back.

    uri: the tracking server or database; None where tracking is off. off_because: why, in a sentence; "" where the
    configuration switched it off.
    """

    def __init__(self, config: Config):
        self.experiment = config.tracking.experiment
        self.uri, self.off_because = tracking_uri(config)
        is_unity = self.uri == "databricks" and config.catalog is not None
        self._prefix = f"{config.catalog}.{config.schema_}." if is_unity else ""
        self._registry = "databricks-uc" if is_unity else self.uri
        self._known: Any = None

    def registered_name(self, model: str) -> str:
        """The registered model's name: the last part of the experiment's, so that two shops of one server stay apart."""
        return f"{self._prefix}{self.experiment.rstrip('/').rpartition('/')[2]}-{model}"

    def record(self, model_name: str, model: TrackedModel, circumstances: Circumstances) -> str | None:
        """Log a model, and register it where it is a new fit; returns a note for the run's summary, or None."""
        if self.uri is None:
            return self.off_because or None
        try:
            return self._recorded(model_name, model, circumstances)
        except Exception as error:  # whatever it is, the tables are written and scoring goes on
            self.uri, self.off_because = None, ""
            return f"MLflow got no copy of the model, and the run needs none ({_first_line(error)})"

    def document(self, mlflow_run_id: str) -> str:
        """The stored document of the model that a run of MLflow logged."""
        with self.reached() as client, tempfile.TemporaryDirectory() as folder:
            path = client.download_artifacts(mlflow_run_id, DOCUMENT, folder)
            return Path(path).read_text(encoding="utf-8")

    @contextmanager
    def reached(self) -> Iterator[Any]:
        """MLflow's client. Raises UsageError where tracking is off, and HabitueError for whatever MLflow raises."""
        if self.uri is None:
            why = self.off_because or "MLflow is off, since tracking.uri is null"
            raise UsageError(f"{why}. `habitue models` reads its registry; runs need none.")
        path = _sqlite_file(self.uri)
        if path is not None and not path.exists():
            raise HabitueError(
                f"There is no {path} yet: `habitue run` makes it, and registers each model that it fits."
            )
        try:
            yield self._client()
        except HabitueError:
            raise
        except Exception as error:
            raise HabitueError(f"MLflow, as tracking.uri names it, did not answer: {_first_line(error)}") from error

    def _client(self) -> Any:
        if self._known is None:
            for name, value in MLFLOW_ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            import mlflow

            logging.getLogger("alembic").setLevel(logging.WARNING)
            path = _sqlite_file(self.uri or "")
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._known = mlflow.MlflowClient(self.uri, self._registry)
        return self._known

    def _recorded(self, model_name: str, model: TrackedModel, c: Circumstances) -> str | None:
        client = self._client()
        run = client.create_run(
            self._experiment_id(client), run_name=f"{model_name} {model.as_of}", tags=_tags(model, c)
        )
        try:
            _log(client, run, model, c)
            note = None
            if model.trained_as_of == model.as_of:
                note = register(client, self.registered_name(model_name), run, model, c.takes_over)
            if (elsewhere := _left_out(model)) is not None:
                note = f"{note}; {elsewhere}" if note else f"MLflow: {elsewhere}"
        except BaseException:
            with suppress(Exception):  # the first error says more than one about ending the run
                client.set_terminated(run.info.run_id, "FAILED")
            raise
        client.set_terminated(run.info.run_id)
        return note

    def _experiment_id(self, client: Any) -> str:
        known = client.get_experiment_by_name(self.experiment)
        if known is not None:
            return str(known.experiment_id)
        path = _sqlite_file(self.uri or "")
        beside = (path.parent / "artifacts").as_uri() if path is not None else None
        return str(client.create_experiment(self.experiment, artifact_location=beside))


def circumstances(
    config: Config, run_id: str, arguments: Mapping[str, Any], inputs: Mapping[str, int], takes_over: bool
) -> Circumstances:
    """Those of a build: `arguments` are the values of its parameters, of which the settings count."""
    sections = {name: value for name, value in arguments.items() if isinstance(value, BaseModel)}
    settings = {key: value for name, section in sections.items() for key, value in _flat(section.model_dump(), name)}
    return Circumstances(run_id, config.fingerprint, takes_over, settings, inputs)


def candidate_figures(table: Table, rows: DataFrame) -> dict[int, dict[str, float]]:
    """The numbers of a model's table by candidate; none where its rows are not numbered, so no candidates."""
    names = [name for name in table.key if name != SNAPSHOT_COLUMN]
    if len(names) != 1 or table.schema[names[0]].dataType.simpleString() not in ("int", "bigint"):
        return {}
    numbers = [f.name for f in table.schema.fields if f.dataType.simpleString() == "double"]
    return {
        row[names[0]]: {name: row[name] for name in numbers if row[name] is not None}
        for row in rows.select(names[0], *numbers).collect()
    }


def _flat(values: Any, prefix: str) -> list[tuple[str, Any]]:
    if isinstance(values, dict):
        return [item for key, value in values.items() for item in _flat(value, f"{prefix}.{key}")]
    return [(prefix, values)]


def tracking_uri(config: Config) -> tuple[str | None, str]:
    """Where MLflow is, or None and why it is off; "" where the configuration says so."""
    uri = config.tracking.uri
    if uri is None:
        return None, ""
    if uri == "auto" and "DATABRICKS_RUNTIME_VERSION" in os.environ:
        uri = "databricks"
    elif uri == "auto":
        folder = re.sub("^file:(//)?", "", config.warehouse)
        if config.catalog is not None or re.match("[A-Za-z0-9+.-]+:/", folder):
            return None, "MLflow is off, since the tables are in no local folder: set tracking.uri to have it"
        uri = f"sqlite:///{Path(folder).expanduser().resolve()}/_mlflow/mlflow.db"
    if find_spec("mlflow") is None:
        return (
            None,
            "MLflow is off, since it is not installed: `pip install 'habitue[mlflow]'`, or set tracking.uri to null",
        )
    return uri, ""


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


def _tags(model: TrackedModel, c: Circumstances) -> dict[str, str]:
    return {
        "run_id": c.run_id,
        "as_of": model.as_of.isoformat(),
        "trained_as_of": model.trained_as_of.isoformat(),
        "input_versions": json.dumps(dict(c.inputs)),
        "config_hash": c.config_hash,
        "code_version": __version__,
    }


def _log(client: Any, run: Any, model: TrackedModel, c: Circumstances) -> None:
    """Parameters, figures, files and the model itself, which anything that reads MLflow's generic models can load."""
    from mlflow.entities import Metric, Param

    run_id, at = run.info.run_id, run.info.start_time
    figures = [Metric(name, value, at, 0) for name, value in model.figures().items() if math.isfinite(value)]
    of_candidates = [
        Metric(name, value, at, step)
        for step, values in c.candidates.items()
        for name, value in values.items()
        if math.isfinite(value)
    ]
    values = {**c.settings, **getattr(model, "hyperparameters", {})}
    params = [Param(name, str(value)) for name, value in values.items()]
    client.log_batch(run_id, figures + of_candidates, params)
    for file, text in {DOCUMENT: model.to_json(), **model.files()}.items():
        client.log_text(run_id, text, file)
    with tempfile.TemporaryDirectory() as folder:
        client.log_artifacts(run_id, str(_generic_model(model, Path(folder))), "model")


def _generic_model(model: TrackedModel, folder: Path) -> Path:
    """A folder that MLflow can load: the document and the name of the module that scores with it; nothing is pickled."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    data = folder / "data"
    data.mkdir()
    (data / DOCUMENT).write_text(model.to_json(), encoding="utf-8")
    pipelines = _local_folder(getattr(model, "pipelines", None))
    if pipelines is not None:
        shutil.copytree(pipelines, data / PIPELINES)
    text_inputs = getattr(model, "text_inputs", None)
    columns = [*(("double", n) for n in model.inputs), *(("string", n) for n in text_inputs or ())]
    if text_inputs is not None:  # a prediction: the customer says which fold's model has not seen the row
        columns.append(("string", "customer_id"))
    inputs = Schema([ColSpec(kind, name, required=False) for kind, name in columns]) if columns else None
    output = ColSpec("integer" if text_inputs is None else "double")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for an example of the input, which would be a customer
        mlflow.pyfunc.save_model(
            str(folder / "model"),
            loader_module=model.scorer,
            data_path=str(data),
            signature=ModelSignature(inputs, Schema([output])),
            pip_requirements=[f"habitue[local]=={__version__}"],
        )
    return folder / "model"


def _local_folder(path: str | None) -> Path | None:
    """The folder of this path or `file:` URI; None where it is none that this process can read."""
    folder = Path(re.sub("^file:(//)?", "", path)) if path else None
    return folder if folder is not None and folder.is_dir() else None


def _left_out(model: TrackedModel) -> str | None:
    """What MLflow's copy lacks, in words; None where it is whole."""
    path = getattr(model, "pipelines", None)
    if path is None or _local_folder(path) is not None:
        return None
    return (
        f"its copy names where the trees are, {path}, and does not hold them, since this process cannot read that folder "
        "(a Spark Connect server on another machine, or a warehouse that is no local folder)"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
