"""Choosing, testing and fitting a prediction, the same for who turns loyal and for who responds.

A row is known from `begins_on` (first day that its features do not know) and its label from `known_on` on. Rows to train
on for a day are those whose labels were known by that day; rows to judge by begin on that day or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from habitue.config import PredictionSettings
from habitue.errors import NotApplicable
from habitue.models import propensity
from habitue.models.lift import Evaluation, auc, auc_difference, evaluate
from habitue.models.lift_claim import claim, claim_sentence
from habitue.models.prediction_record import PredictionRecord
from habitue.models.propensity import FeatureSet, OneClass, Propensity, Recipe, TrainingRows, recipes
from habitue.tables.loyalty.reliability_chart import reliability_chart

PLAIN_SORT = "plain sort"
CHOOSING_FOLDS = 2  # to choose a recipe two halves of the customers do; what is published has all folds
HASH_PARTS = 1_000_000


@dataclass(frozen=True)
class Task:
    """What is to be predicted.

    rows: labelled ones: customer_id, begins_on, known_on, label (0, 1), plain_score, is_near (nearly positive already: left
    out of the figures for the others), and the features. sources: feature -> the source that it comes from. validated_on:
    None where the history has no room for validation rows. population, act: in words, such as "regular customers" and
    "turned loyal"; others: the population without those that are near, or None.
    """

    rows: DataFrame
    features: FeatureSet
    sources: Mapping[str, str]
    validated_on: date | None
    tested_on: date
    as_of: date
    horizon_days: int | None
    population: str
    others: str | None
    act: str
    days: tuple[tuple[date, date], ...] = ()  # of snapshots: begins_on, known_on
    max_snapshots: int | None = None  # the newest that a model learns from; without `days`, the newest of a customer

    def training(self, day: date) -> DataFrame:
        """Rows with labels known by `day`, of the newest snapshots."""
        known = self.rows.where(F.col("known_on") <= F.lit(day))
        if self.max_snapshots is not None and not self.days:
            newest_first = Window.partitionBy("customer_id").orderBy(F.desc("begins_on"), "campaign_id")
            place = F.row_number().over(newest_first)
            return known.withColumn("__place", place).where(F.col("__place") <= self.max_snapshots).drop("__place")
        newest = sorted(begins for begins, ends in self.days if ends <= day)[-(self.max_snapshots or 0) :]
        return known.where(F.col("begins_on") >= F.lit(newest[0])) if newest else known

    def judged(self, day: date, until: date) -> DataFrame:
        """Rows that begin on `day` or later, with labels known by `until`."""
        return self.rows.where((F.col("begins_on") >= F.lit(day)) & (F.col("known_on") <= F.lit(until)))


class Studied(NamedTuple):
    """The champion, fitted on all labelled rows; what is kept of it; and a challenger that was not better, as tested."""

    model: Propensity
    record: PredictionRecord
    challenger: PredictionRecord | None


class Tested(NamedTuple):
    """A model, and what it says of the test rows."""

    model: Propensity
    scores: pd.DataFrame
    found: Evaluation


def study(
    task: Task,
    settings: PredictionSettings,
    folder: str,
    earlier: PredictionRecord | None,
    promoted: PredictionRecord | None,
) -> Studied:
    """Choose on the validation rows, test on later ones, then fit the champion on everything, and keep it in `folder`.

    The champion is the recipe of the earlier snapshot, or the one promoted by hand, unless the newly chosen one is better on
    the same test rows by more than the difference's standard error. Raises NotApplicable where positives are too few.
    """
    try:
        return _studied(task, settings, folder, earlier, promoted)
    except OneClass as error:
        raise NotApplicable(f"who {task.act} of the {task.population} cannot be learned: {error}") from None


def _studied(
    task: Task,
    settings: PredictionSettings,
    folder: str,
    earlier: PredictionRecord | None,
    promoted: PredictionRecord | None,
) -> Studied:
    counts = refuse_few(task, settings)
    best = best_of_each_kind(task, settings)
    challenger = best[0]
    before = promoted or earlier
    to_test = list({r.name: r for r in [*best, *([before.recipe] if before else [])]}.values())
    known = known_before_the_test(task, settings)
    tested = {r.name: tested_on_later_rows(task, known, task.features, r, settings, counts) for r in to_test}
    champion, said = _champion(challenger, before.recipe if before else None, tested, settings)
    rows = [
        row for recipe in to_test for row in _rows(task, recipe.name, tested[recipe.name], settings, recipe == champion)
    ]
    rows += _plain_rows(task, tested[champion.name], settings)
    rows += _without_sources(task, known, champion, settings, counts)
    model = propensity.fit(folded(task.training(task.as_of), settings), task.features, champion, settings)
    model.save(folder)
    chosen = tested[champion.name].found
    sentence = claim_sentence(chosen, settings.claimed_ratio, task.population, task.horizon_days, task.act)
    record = PredictionRecord(
        as_of=task.as_of,
        recipe=champion,
        challenger=challenger if challenger != champion else None,
        tested_on=task.tested_on,
        rows=counts["all_rows"],
        features=model.features,
        document=model.to_json(),
        folder=folder,
        evaluations=tuple(rows),
        notes=(f"{sentence} Chosen: {champion.name}; {said}",),
        ends_promotion=promoted is not None and champion != promoted.recipe,
        text_files={"reliability.html": reliability_chart(chosen.reliability, f"Reliability of {champion.name}")},
    )
    return Studied(model, record, _kept_challenger(record, tested, folder))


def _kept_challenger(record: PredictionRecord, tested: Mapping[str, Tested], folder: str) -> PredictionRecord | None:
    """The best on the validation rows where it is not the champion, so that a person may promote it."""
    if record.challenger is None:
        return None
    model = tested[record.challenger.name].model
    place = f"{folder}_challenger"
    model.save(place)
    rows = tuple({**row, "is_chosen": row["model"] == record.challenger.name} for row in record.evaluations)
    return replace(
        record,
        recipe=record.challenger,
        challenger=None,
        document=model.to_json(),
        folder=place,
        evaluations=rows,
        notes=(),
        takes_over=False,
        text_files={},
    )


def refuse_few(task: Task, settings: PredictionSettings) -> dict[str, int]:
    """Counts of rows and positives to train on, to test on, and in all. Raises NotApplicable where positives are few."""
    is_training = F.col("known_on") <= F.lit(task.tested_on)
    is_test = (F.col("begins_on") >= F.lit(task.tested_on)) & (F.col("known_on") <= F.lit(task.as_of))
    parts = {"training": is_training, "test": is_test, "all": F.lit(True)}
    found = task.rows.agg(
        *(F.count_if(condition).alias(f"{name}_rows") for name, condition in parts.items()),
        *(F.sum(F.when(condition, F.col("label"))).alias(f"{name}_positives") for name, condition in parts.items()),
    ).collect()[0]
    counts = {name: int(value or 0) for name, value in found.asDict().items()}
    for name, where in (("training", f"before {task.tested_on}"), ("test", f"from {task.tested_on} on")):
        if counts[f"{name}_positives"] < settings.min_positives:
            raise NotApplicable(
                f"{counts[f'{name}_positives']:,} of {counts[f'{name}_rows']:,} {task.population} {task.act} {where}, "
                f"and a prediction needs {settings.min_positives} (prediction.min_positives)"
            )
        if counts[f"{name}_positives"] == counts[f"{name}_rows"]:
            raise NotApplicable(f"all {task.population} {task.act} {where}: there is nothing to tell apart")
    return counts


def best_of_each_kind(task: Task, settings: PredictionSettings) -> list[Recipe]:
    """One recipe a kind, the best of all first, by AUC on the validation rows; where these are too few, out of fold on the
    newest training rows, and where those are, on all training rows.

    Raises NotApplicable where nothing can be chosen by.
    """
    halves = settings.model_copy(update={"folds": CHOOSING_FOLDS})
    for training, judged in _to_choose_by(task):
        positives, rows = judged.agg(F.sum("label"), F.count(F.lit(1))).collect()[0]
        if (positives or 0) < settings.min_positives or positives == rows:
            continue
        known = propensity.training_rows(_folded(training, CHOOSING_FOLDS), task.features, settings)
        areas = _areas(known, _folded(judged, CHOOSING_FOLDS), halves)
        if areas:
            best: dict[str, Recipe] = {}
            for _, recipe in sorted(areas, key=lambda pair: -pair[0]):
                best.setdefault(recipe.kind, recipe)
            return list(best.values())
    raise NotApplicable(
        f"of the {task.population} before {task.tested_on} too few {task.act}, or all of them, to choose a model by"
    )


def _to_choose_by(task: Task) -> Iterator[tuple[DataFrame, DataFrame]]:
    """Rows to learn from and rows to judge by, the better choice first."""
    if task.validated_on is not None:
        yield task.training(task.validated_on), task.judged(task.validated_on, task.tested_on)
    training = task.training(task.tested_on)
    newest = training.agg(F.max("begins_on")).collect()[0][0]
    yield training, training.where(F.col("begins_on") == F.lit(newest))
    yield training, training


def _areas(training: TrainingRows, judged: DataFrame, settings: PredictionSettings) -> list[tuple[float, Recipe]]:
    """AUC of each recipe on the judged rows; of none where these, or a fold's training rows, hold one class only."""
    found = []
    for recipe in recipes(settings):
        try:
            model = propensity.fit(training, training.features, recipe, settings)
        except OneClass:
            return []
        scored = model.score(judged).select("customer_id", "score", "label")
        rows: pd.DataFrame = _sampled(scored, settings.evaluated_rows, judged.count()).toPandas()
        area = auc(rows["score"].to_numpy(), rows["label"].to_numpy())
        found += [] if area is None else [(area, recipe)]
    return found


def known_before_the_test(task: Task, settings: PredictionSettings) -> TrainingRows:
    """What every tested model learns from."""
    return propensity.training_rows(folded(task.training(task.tested_on), settings), task.features, settings)


def tested_on_later_rows(
    task: Task,
    known: TrainingRows,
    features: FeatureSet,
    recipe: Recipe,
    settings: PredictionSettings,
    counts: Mapping[str, int],
) -> Tested:
    """`recipe` fitted to some features of the rows `known` before the test, and what it says of the test rows."""
    model = propensity.fit(known, features, recipe, settings)
    scored = model.score(_folded(task.judged(task.tested_on, task.as_of), settings.folds))
    kept = scored.select(
        F.xxhash64("customer_id").alias("customer"),
        "customer_id",
        "score",
        "probability",
        "label",
        "plain_score",
        "is_near",
    )
    rows: pd.DataFrame = _sampled(kept, settings.evaluated_rows, counts["test_rows"]).drop("customer_id").toPandas()
    rows = rows.sort_values(["customer", "score"], ignore_index=True)
    return Tested(model, rows, _evaluated(rows, rows["score"], settings))


def _evaluated(
    rows: pd.DataFrame, scores: Any, settings: PredictionSettings, *, is_probable: bool = True
) -> Evaluation:
    return evaluate(
        scores.to_numpy(),
        rows["label"].to_numpy(),
        rows["customer"].to_numpy(),
        rows["probability"].to_numpy() if is_probable else None,
        rows["plain_score"].to_numpy(),
        share=settings.top_share,
        draws=settings.bootstrap_draws,
        seed=settings.seed,
    )


def _champion(
    challenger: Recipe, holder: Recipe | None, tested: Mapping[str, Tested], settings: PredictionSettings
) -> tuple[Recipe, str]:
    """The recipe to score with, and why."""
    if holder is None:
        return challenger, "it ranks the validation rows best."
    if holder == challenger:
        return holder, "it was the champion before, and ranks the validation rows best again."
    new, old = tested[challenger.name].scores, tested[holder.name].scores
    difference = auc_difference(
        new["score"].to_numpy(),
        old["score"].to_numpy(),
        new["label"].to_numpy(),
        new["customer"].to_numpy(),
        draws=settings.bootstrap_draws,
        seed=settings.seed,
    )
    gain, error = difference.difference or 0.0, difference.standard_error or 0.0
    figures = f"AUC {gain:+.4f}, standard error {error:.4f}"
    if gain > error:
        return challenger, f"it beats the champion before, {holder.name}, on the test rows ({figures})."
    return (
        holder,
        f"it stays champion: the challenger, {challenger.name}, is not better by more than the error ({figures}).",
    )


def _without_sources(
    task: Task, known: TrainingRows, recipe: Recipe, settings: PredictionSettings, counts: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The champion tested again without the features of each optional source: what that source is worth."""
    rows = []
    optional = sorted({task.sources[name] for name in known.present.names} - {"orders"})
    for source in optional if settings.left_out_sources else []:
        kept = without(task.features, task.sources, source)
        tested = tested_on_later_rows(task, known, kept, recipe, settings, counts)
        rows.append(_row(task, recipe.name, tested.found, settings, left_out_source=source))
    return rows


def without(features: FeatureSet, sources: Mapping[str, str], source: str) -> FeatureSet:
    def kept(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in names if sources[name] != source)

    return FeatureSet(kept(features.numeric), kept(features.text))


def _rows(task: Task, name: str, tested: Tested, settings: PredictionSettings, is_chosen: bool) -> list[dict[str, Any]]:
    """The whole population's figures, and those of the rows that are not nearly positive already."""
    rows = [_row(task, name, tested.found, settings, is_chosen=is_chosen)]
    others = tested.scores[~tested.scores["is_near"]]
    if task.others is not None and len(others):
        found = _evaluated(others, others["score"], settings)
        rows.append(_row(task, name, found, settings, is_chosen=is_chosen, population=task.others))
    return rows


def _plain_rows(task: Task, tested: Tested, settings: PredictionSettings) -> list[dict[str, Any]]:
    scores = tested.scores
    sets = [(scores, task.population), (scores[~scores["is_near"]], task.others)]
    return [
        _row(
            task,
            PLAIN_SORT,
            _evaluated(rows, rows["plain_score"], settings, is_probable=False),
            settings,
            population=name,
        )
        for rows, name in sets
        if name is not None and len(rows)
    ]


def _row(
    task: Task,
    model: str,
    found: Evaluation,
    settings: PredictionSettings,
    *,
    is_chosen: bool = False,
    population: str | None = None,
    left_out_source: str | None = None,
) -> dict[str, Any]:
    """A row of the evaluation table, without as_of."""
    named = population or task.population
    return {
        "model": model,
        "is_chosen": is_chosen,
        "population": named,
        "is_whole_population": named == task.population,
        "horizon_days": task.horizon_days,
        "tested_on": task.tested_on,
        **found.to_dict(),
        "left_out_source": left_out_source,
        "claim": claim(found, settings.claimed_ratio),
        "says": claim_sentence(found, settings.claimed_ratio, named, task.horizon_days, task.act),
    }


def _folded(rows: DataFrame, folds: int) -> DataFrame:
    return rows.withColumn("fold", propensity.fold(F.col("customer_id"), folds))


def folded(rows: DataFrame, settings: PredictionSettings) -> DataFrame:
    """`rows` with the fold of each customer."""
    return _folded(rows, settings.folds)


def _sampled(rows: DataFrame, most: int, count: int) -> DataFrame:
    """`rows` of some customers, chosen by hash, where there are more than `most`: figures are made on the driver."""
    if count <= most:
        return rows
    return rows.where(
        F.pmod(F.xxhash64("customer_id", F.lit("evaluated")), HASH_PARTS) < int(HASH_PARTS * most / count)
    )
