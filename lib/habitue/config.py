"""The configuration: defaults from conf/base.yml, then the user's file, then `--set`, validated as one.

Defaults stand in base.yml and nowhere else, so none of the models below has one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from habitue.errors import UsageError
from habitue.sources import SOURCE_NAMES, encodings

BASE_FILE = "conf/base.yml"

Share = Annotated[float, Field(ge=0, le=1)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Settings(BaseModel):
    """A section of the configuration: unknown keys are refused, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ShopSettings(Settings):
    name: str
    currency: str | None
    time_zone: str
    day_starts_at: TimeOfDay

    @model_validator(mode="after")
    def _time_zone_exists(self) -> ShopSettings:
        check_time_zone(self.time_zone)
        return self


class ReadSettings(Settings):
    """How the rows of one source are read."""

    format: Literal["csv", "json", "parquet", "delta"]
    delimiter: str
    encoding: str
    header: bool
    quote: str
    multi_line: bool
    date_format: str | None
    decimal: Literal[".", ","]
    time_zone: str | None
    day_time_zone: str | None
    day_starts_at: TimeOfDay | None
    drop_statuses: tuple[str, ...]

    @model_validator(mode="after")
    def _zones_and_encoding_exist(self) -> ReadSettings:
        for zone in (self.time_zone, self.day_time_zone):
            if zone is not None:
                check_time_zone(zone)
        if encodings.sparks_name(self.encoding) is None:
            raise ValueError(f"encoding {self.encoding!r} cannot be read; {encodings.READABLE} can")
        return self


class SourceSettings(ReadSettings):
    """One source: where it is, how to read it, and which of its columns are which of ours."""

    path: str | None
    table: str | None
    columns: dict[str, str]

    @model_validator(mode="after")
    def _one_place(self) -> SourceSettings:
        if (self.path is None) == (self.table is None):
            raise ValueError("give either `path` (files) or `table` (a table of the catalog), and not both")
        return self

    @model_validator(mode="after")
    def _lines_of_json_can_be_told_apart(self) -> SourceSettings:
        if self.format == "json" and encodings.has_wide_units(self.encoding):
            raise ValueError(f"json in encoding {self.encoding!r} cannot be read; write it in UTF-8")
        return self


class CleaningSettings(Settings):
    max_quarantined_share: Share
    earliest_date: date
    max_amount: Annotated[float, Field(gt=0, le=2.5e11)]  # exact.LARGEST: beyond it sums are not exact


class LoyalSettings(Settings):
    window_days: Annotated[int, Field(ge=7, le=365)] | Literal["auto"]
    percentile: Annotated[float, Field(gt=0, lt=1)]
    min_purchase_days: Annotated[int, Field(ge=1)]


class FeatureSettings(Settings):
    look_back_days: Annotated[int, Field(ge=30, le=3650)]


SegmentFeature = Literal[
    "purchase_days_per_month",
    "average_order_value",
    "days_since_last_order",
    "typical_gap_days",
    "regularity",
    "breadth",
    "discount_share",
    "weekend_share",
    "trend",
]


class VerdictSettings(Settings):
    min_members: Annotated[int, Field(ge=2)]
    min_agreement: Share
    min_return_probability: Share
    min_icc: Share
    min_concentration: Annotated[float, Field(ge=-1, le=1)]


class WatchSettings(Settings):
    max_silhouette_fall: Share
    max_gain_fall: Share


class SegmentSettings(Settings):
    features: dict[SegmentFeature, Annotated[float, Field(gt=0)]]
    winsor_share: Annotated[float, Field(ge=0, lt=0.5)]
    max_leaves: Annotated[int, Field(ge=2, le=64)]
    max_iterations: Annotated[int, Field(ge=1, le=100)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    refit: Literal["monthly", "always", "never"]
    fit_share_of_span: Annotated[float, Field(ge=0.3, le=0.9)]
    min_segment_share: Share
    min_segment_customers: Annotated[int, Field(ge=1)]
    sample_customers: Annotated[int, Field(ge=100, le=200_000)]
    stability_refits: Annotated[int, Field(ge=2)]
    stability_share: Annotated[float, Field(gt=0, lt=1)]
    min_stability: Share
    min_jaccard: Share
    twins: Annotated[int, Field(ge=2)]
    twin_customers: Annotated[int, Field(ge=100)]
    twin_quantile: Share
    bootstrap_draws: Annotated[int, Field(ge=100)]
    min_gain: Share
    watch: WatchSettings
    verdict: VerdictSettings


class InsightSettings(Settings):
    item_level: Literal["auto", "product", "category"]
    journey_items: Annotated[int, Field(ge=2, le=80)]  # 3 x 81 x 81 pairs are what a report page takes
    min_journey_support: Annotated[int, Field(ge=1)]
    top_values: Annotated[int, Field(ge=1, le=200)]
    cohort_attributes: tuple[str, ...]
    bootstrap_draws: Annotated[int, Field(ge=100, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    contrast_customers: Annotated[int, Field(ge=100)]


class TreeSettings(Settings):
    depth: Annotated[int, Field(ge=1, le=10)]
    iterations: Annotated[int, Field(ge=1, le=500)]
    step_size: Annotated[float, Field(gt=0, le=1)]


class LinearSettings(Settings):
    bins: Annotated[int, Field(ge=2, le=100)]
    penalty: Annotated[float, Field(ge=0)]


class PredictionSettings(Settings):
    top_share: Annotated[float, Field(gt=0, lt=1)]
    claimed_ratio: Annotated[float, Field(gt=1)]
    max_snapshots: Annotated[int, Field(ge=1, le=60)]
    folds: Annotated[int, Field(ge=2, le=20)]
    min_positives: Annotated[int, Field(ge=10)]
    trees: Annotated[tuple[TreeSettings, ...], Field(min_length=1)]
    linear: Annotated[tuple[LinearSettings, ...], Field(min_length=1)]
    calibration_positives: Annotated[int, Field(ge=10)]
    isotonic_positives: Annotated[int, Field(ge=10)]
    bootstrap_draws: Annotated[int, Field(ge=100, le=10_000)]
    evaluated_rows: Annotated[int, Field(ge=1000)]
    training_rows: Annotated[int, Field(ge=1000)]
    left_out_sources: bool
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class ReportSettings(Settings):
    path: str | None


class TrackingSettings(Settings):
    uri: str | None
    experiment: str

    @model_validator(mode="after")
    def _password_is_not_written_down(self) -> TrackingSettings:
        if self.uri and self.uri.lower().startswith("http") and without_passwords(self.uri) != self.uri:
            raise ValueError(
                "there is a password in `uri`: set it in the environment, as MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD"
            )
        return self


class SparkSettings(Settings):
    master: str
    driver_memory: str
    shuffle_partitions: Annotated[int, Field(ge=1)]
    settings: dict[str, str]


class Config(Settings):
    """The whole configuration, as conf/base.yml explains it."""

    warehouse: str
    catalog: str | None
    schema_: Annotated[str | None, Field(alias="schema")]
    model_folder: str | None
    shop: ShopSettings
    source_defaults: ReadSettings
    sources: dict[str, SourceSettings]
    currency_rates: dict[str, Annotated[float, Field(gt=0)]]
    cleaning: CleaningSettings
    loyal: LoyalSettings
    features: FeatureSettings
    segments: SegmentSettings
    insights: InsightSettings
    prediction: PredictionSettings
    report: ReportSettings
    tracking: TrackingSettings
    spark: SparkSettings

    @model_validator(mode="before")
    @classmethod
    def _complete_sources(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give every source the settings of `source_defaults` that it does not set itself."""
        sources, defaults = values.get("sources") or {}, values.get("source_defaults") or {}
        if not isinstance(sources, dict) or not isinstance(defaults, dict):
            return values  # which is refused for what it is
        unknown = sorted({str(name) for name in sources} - set(SOURCE_NAMES))
        if unknown:
            raise ValueError(
                f"unknown source {unknown[0]!r}{nearest(unknown[0], SOURCE_NAMES)}; known: {', '.join(SOURCE_NAMES)}"
            )
        start = {**defaults, "path": None, "table": None, "columns": {}}
        complete = {n: {**start, **(s or {})} if isinstance(s or {}, dict) else s for n, s in sources.items()}
        return {**values, "sources": complete}

    @model_validator(mode="after")
    def _catalog_and_schema(self) -> Config:
        if (self.catalog is None) != (self.schema_ is None):
            raise ValueError("`catalog` and `schema` go together: set both, or neither to use `warehouse`")
        return self

    @property
    def fingerprint(self) -> str:
        """Hash of every setting, as stored in `runs`: equal settings, equal fingerprint."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Resolved:
    """A validated configuration, with the origin of every value: dotted key -> file or option."""

    def __init__(self, config: Config, origins: Mapping[str, str]):
        self.config = config
        self.origins = dict(origins)


def resolve(path: str | None = None, sets: Iterable[str] = (), overrides: Mapping[str, Any] | None = None) -> Resolved:
    """The configuration of base.yml, the file at `path`, `overrides` and the `sets` (`key.path=value`), in this order.

    Raises UsageError naming the file (or option) and the key of every problem.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    base = yaml.safe_load(resources.files("habitue.conf").joinpath("base.yml").read_text())
    _merge(values, base, BASE_FILE, origins)
    if path is not None:
        _merge(values, _read_yaml(path), path, origins)
    if overrides:
        _merge(values, overrides, "command line", origins)
    for item in sets:
        _merge(values, _parse_set(item), f"--set {item}", origins)
    _make_paths_absolute(values, origins)
    try:
        return Resolved(Config.model_validate(values), origins)
    except ValidationError as error:
        lines = [without_passwords(_explain(problem, origins)) for problem in error.errors()]
        raise UsageError("The configuration is not valid:\n" + "\n".join(f"  - {line}" for line in lines)) from None


def is_uri(path: str) -> bool:
    """Whether a path names its file system, as `s3://` and `dbfs:/` do; others are of the machine that runs us."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path) is not None


def without_passwords(text: str) -> str:
    """`text` with *** for the password of every address (`scheme://user:password@host`) in it."""
    return re.sub(r"(://[^\s/:@]*):[^\s/@]+@", r"\1:***@", text)


def is_secret(key: str) -> bool:
    """Whether a setting is by its name something that nobody should see, such as spark.settings.fs.s3a.secret.key."""
    name = key.lower()
    return name.startswith("spark.settings.") and re.search("secret|token|password|key|credential", name) is not None


def json_schema() -> dict[str, Any]:
    """JSON Schema of a configuration file, for editors: every section and key is optional there."""
    schema = Config.model_json_schema(by_alias=True)
    for section in [schema, *schema.get("$defs", {}).values()]:
        section.pop("required", None)
    return schema


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` for the known word nearest to `word`, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def check_time_zone(name: str) -> None:
    """Raise ValueError for a name that is no IANA time zone."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone{nearest(name, available_timezones())}") from None


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"There is no configuration file {path}. `habitue init orders.csv` writes one.") from None
    except OSError as error:
        raise UsageError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The configuration file {path} is not in UTF-8. Save it in UTF-8.") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise UsageError(f"{path} must hold settings (`key: value`), not {type(values).__name__}.")
    return values or {}


def _parse_set(item: str) -> dict[str, Any]:
    key, equals, text = item.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {item}: write --set key.path=value, such as --set segments.max_leaves=8")
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(
            f"--set {item}: {text} is not valid YAML. Put it in quotes that the shell leaves: --set '{key}=\"{text}\"'"
        ) from None
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return dict(value)


# Keys whose mappings are replaced whole by a later file: a shop's own list, not a change to the default one.
_REPLACED_WHOLE = {"segments.features"}


def _merge(
    into: dict[str, Any], values: Mapping[str, Any], origin: str, origins: dict[str, str], prefix: str = ""
) -> None:
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and isinstance(into.get(key, {}), dict) and dotted not in _REPLACED_WHOLE:
            into.setdefault(key, {})
            if not value:
                origins.setdefault(dotted, origin)
            _merge(into[key], value, origin, origins, f"{dotted}.")
        else:
            into[key] = value
            origins[dotted] = origin


def _make_paths_absolute(values: dict[str, Any], origins: Mapping[str, str]) -> None:
    """Read a source's relative path as relative to the file that names it, so a configuration can be moved with its data."""
    sources = values.get("sources")
    for name, source in (sources if isinstance(sources, dict) else {}).items():
        path = source.get("path") if isinstance(source, dict) else None
        origin = Path(origins.get(f"sources.{name}.path", ""))
        if isinstance(path, str) and origin.suffix in (".yml", ".yaml") and not is_uri(path):
            source["path"] = str(origin.resolve().parent / Path(path).expanduser())


def _explain(problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    """One validation problem as file, key, what is wrong, and the nearest known key."""
    parts = [str(part) for part in problem["loc"]]
    key = ".".join(parts)
    inside = [origins[k] for k in sorted(origins) if k == key or k.startswith(f"{key}.")]
    origin = next((o for o in inside if o != BASE_FILE), inside[0] if inside else None)
    where = f"{origin}: {key}" if origin and key else (origin or key or "configuration")
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown setting{nearest(parts[-1], _known_keys(parts[:-1]))}"
    if problem["type"] == "missing":
        return f"{key}: must be set"
    given = "" if isinstance(problem.get("input"), dict) else f" (given: {problem.get('input')!r})"
    is_no_section = problem["type"] in ("model_type", "dict_type")
    said = "must hold settings (`key: value`)" if is_no_section else problem["msg"].removeprefix("Value error, ")
    return f"{where}: {said}{given}"


def _known_keys(section: list[str]) -> list[str]:
    """The keys that the section at this path may have."""
    model: type[BaseModel] = Config
    for part in section:
        if model is Config and part == "sources":
            model = SourceSettings
            break
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]
