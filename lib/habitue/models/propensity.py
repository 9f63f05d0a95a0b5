"""Who will: one model a fold of customers, each trained on the other folds, so that nobody is scored by a model that saw them.

The same encoding trains and scores. Rows have customer_id, fold, the features and, to train on, label and begins_on, the
first day that the features do not know. Training rows come to
the driver, so many that its memory stays flat (`prediction.training_rows`); scoring stays where the rows are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark import cloudpickle, inheritable_thread_target
from pyspark.ml.classification import GBTClassificationModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from habitue.config import PredictionSettings
from habitue.models import boosted_trees, feature_encoding, quantile_logistic
from habitue.models.feature_encoding import Encoding, Floats, Ints, Texts, matrix
from habitue.models.score_calibration import Calibrator, fit_calibrator, group_by_score, pooled

AT_ONCE = 2  # fits: a small one mostly waits for Spark's scheduler, and more than two do not fit a laptop's cores
TREE_BINS = 2  # edges are the regression's alone
HASH_PARTS = 1_000_000
T = TypeVar("T")

# So that executors need not have Habitué installed.
cloudpickle.register_pickle_by_value(feature_encoding)  # type: ignore[no-untyped-call]


class OneClass(ValueError):
    """Rows to learn from are all positive, or all negative."""


@dataclass(frozen=True)
class FeatureSet:
    """Names of the features: doubles and strings, both with NULL where unknown."""

    numeric: tuple[str, ...]
    text: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.numeric, *self.text)

    def to_dict(self) -> dict[str, list[str]]:
        return {"numeric": list(self.numeric), "text": list(self.text)}

    @classmethod
    def from_dict(cls, values: dict[str, list[str]]) -> FeatureSet:
        return cls(tuple(values["numeric"]), tuple(values["text"]))


@dataclass(frozen=True)
class Recipe:
    """What to fit. kind: gbt (parameters depth, iterations, step_size) or logistic (bins, penalty)."""

    kind: str
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        p = self.parameters
        if self.kind == "gbt":
            return f"gbt depth {p['depth']}, {p['iterations']} trees, step {p['step_size']:g}"
        return f"logistic {p['bins']} bins, penalty {p['penalty']:g}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        return cls(values["kind"], dict(values["parameters"]))


def recipes(settings: PredictionSettings) -> list[Recipe]:
    """The candidates of the configuration: trees first."""
    trees = [Recipe("gbt", tree.model_dump()) for tree in settings.trees]
    return trees + [Recipe("logistic", linear.model_dump()) for linear in settings.linear]


def fold(customer_id: Column, folds: int) -> Column:
    """The fold, 0 to folds - 1 (int), that a customer is in on every day."""
    return F.pmod(F.xxhash64(customer_id), F.lit(folds)).cast("int")


@dataclass(frozen=True, eq=False)
class FoldModel:
    """What scores one fold. points: of the regression, what each bin adds, and last the intercept. trees: of boosting."""

    encoding: Encoding
    points: tuple[Floats, ...] = ()
    trees: GBTClassificationModel | None = None

    def margins(self, numbers: Floats, texts: Texts) -> Floats:
        """(rows,): the log odds of the regression."""
        bins = self.encoding.bins(numbers, texts)
        total = np.full(len(bins), self.points[-1][0])
        for i, table in enumerate(self.points[:-1]):
            total += table[bins[:, i]]
        return total

    def to_dict(self) -> dict[str, Any]:
        return {"encoding": self.encoding.to_dict(), "points": [table.tolist() for table in self.points]}


@dataclass(frozen=True, eq=False)
class Propensity:
    """A fitted model: the model and the calibrator of fold k learned from customers of the other folds.

    typical: what the population's typical customer has, feature -> value, where the user of the model keeps it here.
    """

    recipe: Recipe
    features: FeatureSet
    models: tuple[FoldModel, ...]
    calibrators: tuple[Calibrator, ...]
    typical: dict[str, Any] = field(default_factory=dict)

    def score(self, rows: DataFrame) -> DataFrame:
        """`rows` with `score` (double, order only) and `probability` (double, calibrated), by the model of their fold."""
        kept = [_quoted(name) for name in rows.columns if name not in ("score", "probability")]
        scored = self._with_score(rows)
        chance = F.lit(None).cast("double")
        for k, calibrator in enumerate(self.calibrators):
            chance = F.when(F.col("fold") == k, calibrator.probability(F.col("score"))).otherwise(chance)
        return scored.select(*kept, "score", chance.alias("probability"))

    def _with_score(self, rows: DataFrame) -> DataFrame:
        numbers, texts = _arrays(self.features)
        if self.recipe.kind == "logistic":
            return rows.withColumn("score", _regression(self.models)(F.col("fold"), numbers, texts))
        folds = [
            _by_trees(rows.where(F.col("fold") == k), model, numbers, texts) for k, model in enumerate(self.models)
        ]
        return reduce(DataFrame.union, folds)

    def to_json(self) -> str:
        """Everything but the trees."""
        document = {
            "recipe": self.recipe.to_dict(),
            "features": self.features.to_dict(),
            "models": [model.to_dict() for model in self.models],
            "calibrators": [calibrator.to_dict() for calibrator in self.calibrators],
            "typical": self.typical,
        }
        return json.dumps(document, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, path: str) -> Propensity:
        """The model of a document, with the trees that `save` wrote at `path`."""
        document = json.loads(text)
        recipe = Recipe.from_dict(document["recipe"])
        models = tuple(
            FoldModel(
                Encoding.from_dict(given["encoding"]),
                tuple(np.array(table, dtype=np.float64) for table in given["points"]),
                GBTClassificationModel.load(_folder(path, k)) if recipe.kind == "gbt" else None,
            )
            for k, given in enumerate(document["models"])
        )
        calibrators = tuple(Calibrator.from_dict(values) for values in document["calibrators"])
        return cls(recipe, FeatureSet.from_dict(document["features"]), models, calibrators, document["typical"])

    def save(self, path: str) -> None:
        """Write the trees, a folder a fold, and the document below `path`, in place of what is there."""
        for k, model in enumerate(self.models):
            if model.trees is not None:
                model.trees.write().overwrite().save(_folder(path, k))
        document = _session().createDataFrame([(self.to_json(),)], "value string")
        document.coalesce(1).write.mode("overwrite").text(f"{path}/document")

    @classmethod
    def load(cls, path: str) -> Propensity:
        """What `save` wrote."""
        document = _session().read.text(f"{path}/document", wholetext=True).collect()[0][0]
        return cls.from_json(str(document).strip(), path)


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows on the driver: numbers (rows, numbers) with NaN where missing, texts (rows, texts); folds, labels and days that
    they begin on, as days since 1970 (rows,)."""

    session: SparkSession
    features: FeatureSet
    numbers: Floats
    texts: Texts
    folds: Ints
    labels: Floats
    days: Ints

    @property
    def present(self) -> FeatureSet:
        """The features that some row has."""
        numeric, text = self.features.numeric, self.features.text
        is_number = (~np.isnan(self.numbers)).any(axis=0)
        is_text = pd.notna(self.texts).any(axis=0)
        return FeatureSet(
            tuple(numeric[i] for i in np.flatnonzero(is_number)), tuple(text[i] for i in np.flatnonzero(is_text))
        )

    def of(self, features: FeatureSet) -> TrainingRows:
        """The same rows with some of the features."""
        numbers = [self.features.numeric.index(name) for name in features.numeric]
        texts = [self.features.text.index(name) for name in features.text]
        return replace(self, features=features, numbers=self.numbers[:, numbers], texts=self.texts[:, texts])


def training_rows(rows: DataFrame, features: FeatureSet, settings: PredictionSettings) -> TrainingRows:
    """`rows` on the driver in an order of their own; of more than `training_rows` those of some customers, by hash."""
    count = rows.count()
    if count > settings.training_rows:
        place = F.pmod(F.xxhash64("customer_id", F.lit("training")), F.lit(HASH_PARTS))
        rows = rows.where(place < HASH_PARTS * settings.training_rows // count)
    numbers = [_number(name).alias(f"n{i}") for i, name in enumerate(features.numeric)]
    texts = [_quoted(name).cast("string").alias(f"t{i}") for i, name in enumerate(features.text)]
    label = F.col("label").cast("double").alias("label")
    plain = rows.select("customer_id", "fold", label, F.unix_date("begins_on").alias("day"), *numbers, *texts)
    ordered = plain.select(F.xxhash64(*plain.columns).alias("place"), *plain.columns[1:])
    found: pd.DataFrame = ordered.toPandas().sort_values("place", ignore_index=True)
    return TrainingRows(
        rows.sparkSession,
        features,
        found[[f"n{i}" for i in range(len(numbers))]].to_numpy(dtype=np.float64),
        found[[f"t{i}" for i in range(len(texts))]].to_numpy(dtype=object),
        found["fold"].to_numpy(dtype=np.int64),
        found["label"].to_numpy(dtype=np.float64),
        found["day"].to_numpy(dtype=np.int64),
    )


def fit(
    rows: DataFrame | TrainingRows, features: FeatureSet, recipe: Recipe, settings: PredictionSettings
) -> Propensity:
    """The model of the rows' labels (0 or 1), fitted fold by fold, with calibrators from the out-of-fold scores.

    It keeps the features that some row has: the others tell nothing and cost as much.
    Raises OneClass where a fold's training rows hold one class only.
    """
    training = rows.of(features) if isinstance(rows, TrainingRows) else training_rows(rows, features, settings)
    training = training.of(training.present)

    def fitted(k: int) -> FoldModel:
        others = training.folds != k
        labels = training.labels[others]
        if len(np.unique(labels)) < 2:
            raise OneClass(
                f"the {len(labels):,} rows to train fold {k}'s model on hold {int(labels.sum()):,} positives: nothing to tell "
                "apart"
            )
        return _fold_model(training, others, labels, recipe, settings)

    models = tuple(_concurrently(training.session, fitted, range(settings.folds)))
    return Propensity(recipe, training.features, models, _calibrators(training, models, recipe, settings))


def _fold_model(
    training: TrainingRows, others: Any, labels: Floats, recipe: Recipe, settings: PredictionSettings
) -> FoldModel:
    numbers, texts = training.numbers[others], training.texts[others]
    encoding = feature_encoding.learn(numbers, texts, recipe.parameters.get("bins", TREE_BINS))
    if recipe.kind == "gbt":
        dense = encoding.dense(numbers, texts)
        trees = boosted_trees.fit(training.session, dense, labels, recipe.parameters, settings.seed)
        return FoldModel(encoding, trees=trees)
    bins = encoding.bins(numbers, texts)
    return FoldModel(encoding, tuple(quantile_logistic.fit(bins, encoding, labels, recipe.parameters["penalty"])))


def _calibrators(
    training: TrainingRows, models: Sequence[FoldModel], recipe: Recipe, settings: PredictionSettings
) -> tuple[Calibrator, ...]:
    """Fold k's from the out-of-fold scores of the other folds' newest rows."""
    is_newest = _newest(training, settings.calibration_positives)
    groups = []
    for k, model in enumerate(models):
        own = (training.folds == k) & is_newest
        if recipe.kind == "gbt":
            assert model.trees is not None
            dense = model.encoding.dense(training.numbers[own], training.texts[own])
            scores = boosted_trees.margins(training.session, model.trees, dense)
        else:
            scores = model.margins(training.numbers[own], training.texts[own])
        groups.append(group_by_score(scores, training.labels[own]))
    return tuple(
        fit_calibrator(pooled([group for j, group in enumerate(groups) if j != k]), settings.isotonic_positives)
        for k in range(len(models))
    )


def _newest(training: TrainingRows, positives: int) -> NDArray[np.bool_]:
    """(rows,): the newest days that hold so many positives: base rates drift, and the next rows are most like the last."""
    days, place = np.unique(training.days, return_inverse=True)
    of_day = np.bincount(place, training.labels, len(days))
    from_here_on = np.cumsum(of_day[::-1])[::-1]
    enough = np.flatnonzero(from_here_on >= positives)
    found: NDArray[np.bool_] = training.days >= (days[enough[-1]] if len(enough) else days[0])
    return found


def _arrays(features: FeatureSet) -> tuple[Column, Column]:
    """The features of a row as an array of doubles, NaN where missing, and an array of texts."""
    numbers = [_number(name) for name in features.numeric]
    texts = [_quoted(name).cast("string") for name in features.text]
    return F.array(*numbers).cast("array<double>"), F.array(*texts).cast("array<string>")


def _regression(models: Sequence[FoldModel]) -> Callable[..., Column]:
    """(fold, numbers, texts) -> score, by the regression of the fold."""
    of_fold = [(model.encoding, model.points) for model in models]

    def margins(folds: pd.Series, numbers: pd.Series, texts: pd.Series) -> pd.Series:
        total = np.full(len(folds), np.nan)
        for k, (encoding, points) in enumerate(of_fold):
            own = folds.to_numpy() == k
            if own.any():
                bins = encoding.bins(matrix(numbers[own], np.float64), matrix(texts[own], object))
                total[own] = points[-1][0] + sum(table[bins[:, i]] for i, table in enumerate(points[:-1]))
        found: pd.Series = pd.Series(total)
        return found

    scorer: Callable[..., Column] = pandas_udf(margins, "double")  # type: ignore[call-overload]
    return scorer


def _by_trees(rows: DataFrame, model: FoldModel, numbers: Column, texts: Column) -> DataFrame:
    """`rows` with `score`, the margin of the trees."""
    assert model.trees is not None
    encoding = model.encoding

    def dense(numbers: pd.Series, texts: pd.Series) -> pd.Series:
        found: pd.Series = pd.Series([], dtype=object)
        if len(numbers):
            found = pd.Series(list(encoding.dense(matrix(numbers, np.float64), matrix(texts, object))))
        return found

    encoded = pandas_udf(dense, "array<double>")(numbers, texts)  # type: ignore[call-overload]
    vectors = rows.withColumn("__features", array_to_vector(encoded))
    own = [_quoted(name) for name in rows.columns if name != "score"]
    return boosted_trees.scored(vectors, model.trees).select(*own, "score")


def _number(name: str) -> Column:
    value = _quoted(name).cast("double")
    return F.when(F.abs(value) < F.lit(float("inf")), value).otherwise(F.lit(float("nan")))  # NaN is the largest number


def _quoted(name: str) -> Column:
    """The column of exactly this name, dots and all."""
    return F.col("`" + name.replace("`", "``") + "`")


def _concurrently(session: SparkSession, work: Callable[[int], T], items: Sequence[int]) -> list[T]:
    """`work` of every item, some at once. Each thread gets properties of its own: shared ones mix up the queries."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(inheritable_thread_target(session)(work), item) for item in items]
        return [future.result() for future in futures]


def _session() -> SparkSession:
    return SparkSession.active()


def _folder(path: str, fold: int) -> str:
    return f"{path}/fold_{fold}"
