"""Who turns loyal and who responds, on real shops: Habitué's models beside scikit-learn's on the same rows and features.

The protocol: features from what was known before a cut C; the label in the H = 90 days from C on, counting orders; loyal is
at least L orders in W = 90 days, L the 75th percentile (at least 2) among the customers active before; models learn from
monthly snapshots whose labels end by C, five folds of customers cross-fitted; Habitué's recipe is chosen at C - 90 days.
Ratio: rate in the top 10 % by score / rate in the rest. scikit-learn's models have one configuration each, untuned.

--scale instead retrains on synthetic rows, 1,000,000 customers x 6 snapshots x 60 features, with the settings of the product
(`prediction.training_rows` of the rows come to the driver), beside scikit-learn on the same rows that came.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `benchmarks` is found when this file is run
from benchmarks.measuring import peak_bytes
from benchmarks.real_shops import Shop, cdnow, complete_journey

from habitue.config import PredictionSettings, resolve
from habitue.models import propensity
from habitue.models.lift import Evaluation, evaluate
from habitue.models.propensity import FeatureSet, Recipe
from habitue.session import get_session
from habitue.tables.loyalty import _work_loyalty_snapshots, _work_response_snapshots, snapshot_features
from habitue.tables.loyalty.loyalty_prediction import with_features
from habitue.tables.loyalty.predicting import Task, best_of_each_kind, known_before_the_test, tested_on_later_rows
from habitue.tables.loyalty.snapshot_days import SnapshotDays

H = 90
CUTS = [date(2017, 8, 3) + timedelta(days=15 * i) for i in range(5)]
CDNOW_CUT, CDNOW_LOOK_BACK = date(1998, 4, 1), 500
TESTED_CAMPAIGNS = ("16", "17", "18", "19")
LEFT_OUT_CAMPAIGNS = (
    "15",
    "20",
    "21",
    "22",
    "23",
    "24",
    "25",
    "26",
)  # end after the data, or start before the tested ones
CHOSEN, SORT = "chosen", "sort"
FIGURES = ("auc", "average_precision", "lift_ratio", "calibration_error", "near_lift_ratio")


class Judged(NamedTuple):
    """A task's figures: model -> figure -> value."""

    name: str
    rows: int
    base_rate: float
    figures: dict[str, dict[str, float | None]]


def main() -> None:
    arguments = _arguments()
    config = resolve(overrides={"loyal": {"window_days": H}})
    spark = get_session(config.config.spark)
    if arguments.scale:
        figures: Any = scale(spark, config.config.prediction, arguments.scale_customers)
    else:
        judged = []
        with tempfile.TemporaryDirectory(prefix="habitue-loyalty-") as folder:
            for name in arguments.tasks:
                for found in TASKS[name](spark, Path(arguments.snapshots or folder)):
                    _print(found)
                    judged.append(found)
        means = _means(judged)
        for one in means:
            _print(one)
        figures = {one.name: {"rows": one.rows, "base_rate": one.base_rate, **one.figures} for one in [*judged, *means]}
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=list(TASKS), help=",".join(TASKS))
    parser.add_argument("--snapshots", help="keep the snapshots in this folder, and read those that are there already")
    parser.add_argument("--scale", action="store_true", help="time and memory of one fit to many synthetic rows")
    parser.add_argument("--scale-customers", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def groceries(spark: SparkSession, folder: Path) -> Iterator[Judged]:
    """Regular -> loyal at five cuts of Complete Journey. The snapshots of all cuts are made in one pass."""
    shop = complete_journey(spark)
    first = date(2017, 1, 1)
    steps = {c - timedelta(days=30 * i) for c in CUTS for i in range(9)}
    days = tuple(sorted((d for d in steps if (d - first).days >= H), reverse=True))
    rows, features = _snapshots(shop, days, first, 365, folder / "groceries")
    for cut in CUTS:
        own = tuple(d for d in days if d <= cut and (cut - d).days % 30 == 0)
        yield _judged(f"Complete Journey {cut}: regular -> loyal", _regular(rows, features, own, cut))


def records(spark: SparkSession, folder: Path) -> Iterator[Judged]:
    """CDNOW: any order in 90 days, and regular -> loyal."""
    first = date(1997, 1, 1)
    days = tuple(d for d in (CDNOW_CUT - timedelta(days=30 * i) for i in range(14)) if (d - first).days >= H)
    rows, features = _snapshots(cdnow(spark), days, first, CDNOW_LOOK_BACK, folder / "records")
    yield _judged(f"CDNOW {CDNOW_CUT}: any order", _any_order(rows, features, days, CDNOW_CUT))
    yield _judged(f"CDNOW {CDNOW_CUT}: regular -> loyal", _regular(rows, features, days, CDNOW_CUT))


def responses(spark: SparkSession, folder: Path) -> Iterator[Judged]:
    """Coupon response to the campaigns that start from October to December."""
    shop = complete_journey(spark)
    assert shop.sends is not None and shop.campaigns is not None and shop.responses is not None
    config = resolve().config
    as_of = date(2018, 1, 1)
    kept = ~F.col("campaign_id").isin(*LEFT_OUT_CAMPAIGNS)
    built = _work_response_snapshots.build(
        shop.sends.where(kept),
        shop.campaigns,
        shop.responses,
        shop.order_lines,
        as_of,
        config.features,
        shop.campaign_products,
        shop.customers,
        shop.products,
    )
    own = _work_response_snapshots
    rows, features = with_features(_kept(built, folder / "responses"), own.NUMERIC_FEATURES, own.TEXT_FEATURES)
    labelled = rows.where("has_responded IS NOT NULL").withColumns(
        {
            "begins_on": F.col("starts_on"),
            "known_on": F.date_add("ends_on", 1),
            "label": F.col("has_responded").cast("int"),
            "is_near": F.lit(False),
        }
    )
    starts = labelled.where(F.col("campaign_id").isin(*TESTED_CAMPAIGNS)).agg(F.min("begins_on")).collect()[0][0]
    task = _task(labelled, features, starts, as_of, validated_on=starts - timedelta(days=H))
    yield _judged("Complete Journey: coupon response, October to December", task)


TASKS = {"groceries": groceries, "records": records, "responses": responses}


def _snapshots(
    shop: Shop, days: tuple[date, ...], first: date, look_back: int, place: Path
) -> tuple[DataFrame, FeatureSet]:
    config = resolve(overrides={"loyal": {"window_days": H}, "features": {"look_back_days": look_back}}).config
    as_of = max(days) + timedelta(days=H)
    wanted = SnapshotDays(as_of, first, H, H, (as_of, *days), max(days), None, len(days))
    known = {
        name: frame.where(F.col("known_day") < F.lit(as_of))
        for name, frame in (("sends", shop.sends), ("responses", shop.responses))
        if frame is not None
    }
    lines = shop.order_lines.where(F.col("known_day") < F.lit(as_of))
    built = _work_loyalty_snapshots.on_days(
        wanted, lines, config.features, config.loyal, shop.customers, shop.products, **known
    )
    frame = _kept(built, place)
    return with_features(frame, snapshot_features.NUMERIC_FEATURES, snapshot_features.TEXT_FEATURES)


def _kept(built: DataFrame, place: Path) -> DataFrame:
    if not (place / "_SUCCESS").exists():
        built.write.mode("overwrite").parquet(str(place))
    return built.sparkSession.read.parquet(str(place))


def _labelled(rows: DataFrame, days: tuple[date, ...]) -> DataFrame:
    """Snapshots of these days, with L by orders as the protocol has it, and the days that labels are known on."""
    active = F.when(F.col("orders_in_window") > 0, F.col("orders_in_window"))
    own = rows.where(F.col("snapshot_on").isin(list(days)))
    learned = own.groupBy("snapshot_on").agg(
        F.greatest(F.ceil(F.percentile(active, F.lit(0.75))), F.lit(2)).alias("threshold")
    )
    return own.join(F.broadcast(learned), "snapshot_on", "inner").withColumns(
        {
            "begins_on": F.col("snapshot_on"),
            "known_on": F.date_add("snapshot_on", H),
            "plain_score": F.col("orders_in_window").cast("double"),
            "is_near": F.col("orders_in_window") >= 0.8 * F.col("threshold"),
        }
    )


def _regular(rows: DataFrame, features: FeatureSet, days: tuple[date, ...], cut: date) -> Task:
    regular = _labelled(rows, days).where("orders_in_window < threshold")
    labelled = regular.withColumn("label", (F.col("orders_in_horizon") >= F.col("threshold")).cast("int"))
    return _task(labelled, features, cut, cut + timedelta(days=H))


def _any_order(rows: DataFrame, features: FeatureSet, days: tuple[date, ...], cut: date) -> Task:
    labelled = _labelled(rows, days).withColumn("label", (F.col("orders_in_horizon") > 0).cast("int"))
    return _task(labelled, features, cut, cut + timedelta(days=H))


def _task(labelled: DataFrame, features: FeatureSet, cut: date, as_of: date, validated_on: date | None = None) -> Task:
    days = [(r[0], r[1]) for r in labelled.select("begins_on", "known_on").distinct().collect()]
    before = validated_on or cut - timedelta(days=H)
    has_room = any(known <= before for _, known in days)
    return Task(
        rows=labelled,
        features=features,
        sources={},
        validated_on=before if has_room else None,
        tested_on=cut,
        as_of=as_of,
        horizon_days=H,
        population="customers",
        others=None,
        act="did",
    )


def _judged(name: str, task: Task) -> Judged:
    settings = resolve().config.prediction
    print(f"{name} ...", file=sys.stderr, flush=True)
    best = best_of_each_kind(task, settings)
    counts = {"test_rows": task.judged(task.tested_on, task.as_of).count()}
    figures: dict[str, dict[str, float | None]] = {}
    base = 0.0
    known = known_before_the_test(task, settings)
    for place, recipe in enumerate(best):
        tested = tested_on_later_rows(task, known, task.features, recipe, settings, counts)
        found = _with_far(tested.found, tested.scores, tested.scores["score"].to_numpy(), settings)
        figures[recipe.kind] = found
        base = tested.found.base_rate or 0.0
        if place == 0:
            figures[CHOSEN] = found
            plain = tested.scores["plain_score"].to_numpy()
            sort = _evaluated(tested.scores, plain, None, settings)
            figures[SORT] = _with_far(sort, tested.scores, plain, settings)
    figures |= _peers(task, settings)
    return Judged(name, counts["test_rows"], base, figures)


def _evaluated(rows: pd.DataFrame, scores: Any, probabilities: Any, settings: PredictionSettings) -> Evaluation:
    return evaluate(
        scores,
        rows["label"].to_numpy(),
        rows["customer"].to_numpy(),
        probabilities,
        None,
        share=settings.top_share,
        draws=settings.bootstrap_draws,
        seed=settings.seed,
    )


def _with_far(
    found: Evaluation, rows: pd.DataFrame, scores: Any, settings: PredictionSettings
) -> dict[str, float | None]:
    """The figures, and the ratio among customers below 0.8 of the threshold."""
    far = ~rows["is_near"].to_numpy(dtype=bool)
    below = _evaluated(rows[far], scores[far], None, settings).lift_ratio if 0 < far.sum() < len(far) else None
    values = {name: getattr(found, name) for name in FIGURES[:-1]}
    return {**values, "lift_low": found.lift_low, "lift_high": found.lift_high, "near_lift_ratio": below}


def _peers(task: Task, settings: PredictionSettings) -> dict[str, dict[str, float | None]]:
    """scikit-learn's models, untuned, on the same rows, features and folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer

    training, test = (
        _in_pandas(rows, task, settings)
        for rows in (task.training(task.tested_on), task.judged(task.tested_on, task.as_of))
    )
    names = [name for name in task.features.numeric if training[name].notna().any()]
    models: dict[str, tuple[Callable[[], Any], bool]] = {
        "sklearn_gbm": (lambda: HistGradientBoostingClassifier(random_state=0), False),
        "sklearn_logistic": (
            lambda: make_pipeline(
                KBinsDiscretizer(10, encode="onehot", quantile_method="averaged_inverted_cdf"),
                LogisticRegression(C=0.1, max_iter=1000),
            ),
            True,
        ),
    }
    found = {}
    for name, (made, is_filled) in models.items():
        scores, probable = np.zeros(len(test)), np.zeros(len(test))
        for k in range(settings.folds):
            own, others = test["fold"] == k, training["fold"] != k
            filled = training.loc[others, names].median().fillna(0)
            x, y = (part[names].fillna(filled) if is_filled else part[names] for part in (training[others], test[own]))
            model = made().fit(x, training.loc[others, "label"])
            probable[own] = model.predict_proba(y)[:, 1]
            scores[own] = probable[own]
        found[name] = _with_far(_evaluated(test, scores, probable, settings), test, scores, settings)
    return found


def _in_pandas(rows: DataFrame, task: Task, settings: PredictionSettings) -> pd.DataFrame:
    numbers = [F.col(f"`{name}`").cast("double").alias(name) for name in task.features.numeric]
    kept = rows.select(
        propensity.fold(F.col("customer_id"), settings.folds).alias("fold"),
        F.xxhash64("customer_id").alias("customer"),
        "label",
        "is_near",
        *numbers,
    )
    found: pd.DataFrame = kept.toPandas()
    return found


def _means(judged: list[Judged]) -> list[Judged]:
    """The mean over the cuts of Complete Journey, figure by figure."""
    cuts = [one for one in judged if one.name.endswith("loyal") and "Journey" in one.name]
    if len(cuts) < 2:
        return []
    models = [m for m in cuts[0].figures if all(m in one.figures for one in cuts)]
    figures: dict[str, dict[str, float | None]] = {}
    for model in models:
        values = {f: [one.figures[model][f] for one in cuts] for f in FIGURES}
        figures[model] = {
            f: float(np.mean([v for v in some if v is not None])) if any(v is not None for v in some) else None
            for f, some in values.items()
        }
    rows = round(sum(one.rows for one in cuts) / len(cuts))
    base = sum(one.base_rate for one in cuts) / len(cuts)
    return [Judged("Complete Journey, mean of the cuts: regular -> loyal", rows, base, figures)]


def _print(one: Judged) -> None:
    print(f"\n{one.name}: {one.rows:,} rows, base rate {one.base_rate:.3f}")
    print(f"{'':18s} {'AUC':>6s} {'AP':>6s} {'ratio':>6s} {'ECE':>6s} {'ratio below .8 L':>17s}")
    for model, found in one.figures.items():
        shown = [_shown(found.get(name)) for name in FIGURES]
        print(f"{model:18s} {shown[0]:>6s} {shown[1]:>6s} {shown[2]:>6s} {shown[3]:>6s} {shown[4]:>17s}", flush=True)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def scale(spark: SparkSession, settings: PredictionSettings, customers: int) -> Mapping[str, float]:
    """Fit the first recipe of each kind, and scikit-learn's boosting, to synthetic rows of six snapshots."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    names = tuple(f"feature_{i}" for i in range(60))
    with tempfile.TemporaryDirectory(prefix="habitue-loyalty-scale-") as folder:
        drawn = spark.range(customers * 6, numPartitions=8).select(
            (F.col("id") % customers).cast("string").alias("customer_id"),
            *(F.round(F.abs(F.randn(settings.seed + i)) * 10, 1).alias(name) for i, name in enumerate(names)),
        )
        odds = 1 / (1 + F.exp(4 - F.col("feature_0") / 8 + F.col("feature_1") / 10 - F.col("feature_2") / 12))
        labelled = drawn.withColumns(
            {
                "label": (F.rand(settings.seed) < odds).cast("int"),
                "begins_on": F.lit(CUTS[0]),
                "fold": propensity.fold(F.col("customer_id"), settings.folds),
            }
        )
        labelled.write.parquet(f"{folder}/rows")
        rows = spark.read.parquet(f"{folder}/rows")
        started = time.perf_counter()
        training = propensity.training_rows(rows, FeatureSet(names), settings)
        figures: dict[str, float] = {
            "customers": customers,
            "rows": customers * 6,
            "training_rows": len(training.labels),
            "seconds_to_driver": round(time.perf_counter() - started, 1),
        }
        first: dict[str, Recipe] = {}
        for recipe in propensity.recipes(settings):
            first.setdefault(recipe.kind, recipe)
        for kind, recipe in first.items():
            started = time.perf_counter()
            propensity.fit(training, FeatureSet(names), recipe, settings)
            figures[f"seconds_{kind}"] = round(time.perf_counter() - started, 1)
            print(f"{kind}: {settings.folds} folds, {figures[f'seconds_{kind}']:.1f} s", flush=True)
        figures["peak_gb"] = round(peak_bytes() / 1e9, 2)
    started = time.perf_counter()
    for k in range(settings.folds):
        others = training.folds != k
        HistGradientBoostingClassifier(random_state=0).fit(training.numbers[others], training.labels[others])
    figures["seconds_sklearn_gbm"] = round(time.perf_counter() - started, 1)
    for name, value in figures.items():
        print(f"{name:22s} {value:,.1f}")
    return figures


if __name__ == "__main__":
    main()
