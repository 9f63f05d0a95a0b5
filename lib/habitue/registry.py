"""The registered models: their versions, which of them is the champion, and what promoting one does.

Two things are said of the champion. MLflow's alias says it to people; the document under `<warehouse>/_models/<name>/champion`
says it to runs, which carry that model forward without asking MLflow (docs/decisions/004-models-and-promotion.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from habitue.errors import HabitueError, UsageError
from habitue.models.prediction_record import PredictionRecord
from habitue.models.segmentation import Segmentation
from habitue.store import Store

if TYPE_CHECKING:
    from habitue.tracking import Tracking

CARRIED = "segmentation"  # carried forward from snapshot to snapshot, as it is
PREDICTIONS = ("loyalty", "response")  # fitted again in each snapshot: of these the champion's recipe goes on
MODELS = (CARRIED, *PREDICTIONS)
CHAMPION, CHALLENGER = "champion", "challenger"
EARLIER_CHAMPIONS = "earlier_champions"  # tag of the registered model: the champions before, oldest first, by commas


@runtime_checkable
class TrackedModel(Protocol):
    """What a fitted model says of itself to be tracked; one without these is left alone."""

    as_of: date
    trained_as_of: date
    scorer: str  # module with `_load_pyfunc`, which scores with the document alone

    @property
    def inputs(self) -> list[str]: ...
    @property
    def trained_on(self) -> str: ...
    def to_json(self) -> str: ...
    def figures(self) -> dict[str, float]: ...
    def files(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class ModelVersion:
    """A registered model. trained_on: in words. figures: by name. registered_at: UTC. mlflow_run_id: the run that logged it."""

    name: str
    version: int
    as_of: date
    trained_on: str
    aliases: tuple[str, ...]
    figures: Mapping[str, float]
    registered_at: datetime
    mlflow_run_id: str
    digest: str


def versions(client: Any, name: str) -> list[ModelVersion]:
    """Every version of a registered model that Habitué made, newest first; empty where there is none."""
    found = sorted(client.search_model_versions(f"name='{name}'"), key=lambda v: -int(v.version))
    aliases = client.get_registered_model(name).aliases if found else {}
    ours = [v for v in found if "digest" in v.tags]
    return [_model_version(v, aliases, client.get_run(v.run_id).data.metrics) for v in ours]


def register(client: Any, name: str, run: Any, model: TrackedModel, takes_over: bool) -> str:
    """Register what `run` logged, unless an equal model is registered already; returns a sentence for the run's summary.

    takes_over: the runs after this one carry the model forward, so it is the champion; else it is the challenger.
    """
    known = versions(client, name)
    digest = hashlib.sha256(model.to_json().encode()).hexdigest()[:16]
    same = next((v for v in known if v.digest == digest), None)
    if same is not None:
        return f"MLflow: the model is version {same.version} of {name}, from an earlier run"
    if not known:
        client.create_registered_model(
            name, description="Fitted by Habitué, which keeps its own copy and needs not this."
        )
    tags = {"as_of": model.as_of.isoformat(), "trained_on": model.trained_on, "digest": digest}
    source = f"{run.info.artifact_uri}/model"
    version = int(client.create_model_version(name, source, run_id=run.info.run_id, tags=tags).version)
    champion = next((v for v in known if CHAMPION in v.aliases), None)
    says = f"MLflow: the model is version {version} of {name}"
    if champion is not None and champion.as_of > model.as_of:
        return says  # an older snapshot that was inserted later challenges nobody
    if champion is None or takes_over:
        _crown(client, name, version)
        if any(CHALLENGER in v.aliases for v in known):  # else `promote` without a number would bring back an older fit
            client.delete_registered_model_alias(name, CHALLENGER)
        return f"{says}, @{CHAMPION}"
    client.set_registered_model_alias(name, CHALLENGER, str(version))
    return f"{says}, @{CHALLENGER}; later runs go on with version {champion.version} until `habitue models promote`"


def listed(tracking: Tracking, model: str = CARRIED) -> list[ModelVersion]:
    """Every version of a model, newest first. Raises HabitueError where there is none, UsageError for an unknown model."""
    if model not in MODELS:
        raise UsageError(f"--model {model}: there are {', '.join(MODELS)}.")
    name = tracking.registered_name(model)
    with tracking.reached() as client:
        found = versions(client, name)
    if not found:
        raise HabitueError(f"No version of {name} is registered yet: `habitue run` registers each model that it fits.")
    return found


def promote(store: Store, tracking: Tracking, number: int | None, model: str = CARRIED) -> str:
    """Make a version, by default the challenger, the champion: later runs go on with it. Returns what was done."""
    known = listed(tracking, model)
    wanted = [v for v in known if (CHALLENGER in v.aliases if number is None else v.version == number)]
    if not wanted:
        there = ", ".join(str(v.version) for v in reversed(known))
        what = "There is no challenger" if number is None else f"There is no version {number}"
        raise UsageError(f"{what}: name one of {there}, as `habitue models list` shows them.")
    _carry(store, tracking, wanted[0], known, model)
    with tracking.reached() as client:
        _crown(client, wanted[0].name, wanted[0].version)
    return _done(wanted[0], model)


def roll_back(store: Store, tracking: Tracking, model: str = CARRIED) -> str:
    """Make the champion before the present one the champion again. Returns what was done."""
    known = listed(tracking, model)
    name = tracking.registered_name(model)
    with tracking.reached() as client:
        before = _earlier_champions(client.get_registered_model(name))
    wanted = [v for v in known if before and v.version == before[-1]]
    if not wanted:
        raise UsageError("No version was champion before the present one. `habitue models promote VERSION` names one.")
    _carry(store, tracking, wanted[0], known, model)
    with tracking.reached() as client:
        client.set_registered_model_alias(name, CHAMPION, str(wanted[0].version))
        client.set_registered_model_tag(name, EARLIER_CHAMPIONS, ",".join(map(str, before[:-1])))
    return _done(wanted[0], model)


def _carry(store: Store, tracking: Tracking, version: ModelVersion, known: list[ModelVersion], name: str) -> None:
    """Put the version's document where runs look for the model to go on with, before any alias says so."""
    document = tracking.document(version.mlflow_run_id)
    if name in PREDICTIONS:
        store.save_model(name, None, PredictionRecord.from_json(document).to_json())
        return
    model = Segmentation.from_json(document)
    # The month that had a fit keeps having had one, so that `refit: monthly` does not fit it again.
    known_fits = replace(model, newest_fit_as_of=max(v.as_of for v in known))
    store.save_model(CARRIED, None, known_fits.to_json())


def _done(version: ModelVersion, model: str) -> str:
    if model in PREDICTIONS:
        return (
            f"Version {version.version} of {version.name}, of {version.as_of}, is the champion. Runs with an as-of after "
            f"{version.as_of} fit its recipe again, unless a challenger is better on the same test rows."
        )
    return (
        f"Version {version.version} of {version.name}, of {version.as_of}, is the champion. "
        f"Runs with an as-of after {version.as_of} carry it forward, where segments.refit asks for no new fit."
    )


def _crown(client: Any, name: str, version: int) -> None:
    """Point @champion to a version, and remember the one before."""
    registered = client.get_registered_model(name)
    before, present = _earlier_champions(registered), registered.aliases.get(CHAMPION)
    if present is not None and int(present) != version:
        client.set_registered_model_tag(name, EARLIER_CHAMPIONS, ",".join(map(str, [*before, int(present)])))
    client.set_registered_model_alias(name, CHAMPION, str(version))
    if int(registered.aliases.get(CHALLENGER, 0)) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def _earlier_champions(registered: Any) -> list[int]:
    return [int(v) for v in (registered.tags or {}).get(EARLIER_CHAMPIONS, "").split(",") if v]


def _model_version(version: Any, aliases: Mapping[str, Any], metrics: Mapping[str, float]) -> ModelVersion:
    number = int(version.version)
    return ModelVersion(
        name=version.name,
        version=number,
        as_of=date.fromisoformat(version.tags["as_of"]),
        trained_on=version.tags["trained_on"],
        aliases=tuple(sorted(alias for alias, of in aliases.items() if int(of) == number)),
        figures=dict(metrics),
        registered_at=datetime.fromtimestamp(version.creation_timestamp / 1000, timezone.utc),
        mlflow_run_id=version.run_id,
        digest=version.tags["digest"],
    )
