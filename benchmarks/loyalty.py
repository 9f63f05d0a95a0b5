"""Who turns loyal and who responds, on real shops: Habitué's models beside scikit-learn's on the same rows and features.

The protocol: features from what was known before a cut C; the label in the H = 90 days from C on, counting orders; loyal is
at least L orders in W = 90 days, L the 75th percentile (at least 2) among the customers active before; models learn from
monthly snapshots whose labels end by C, five folds of customers cross-fitted; Habitué's recipe is chosen at C - 90 days.
Ratio: rate in the top 10 % by score / rate in the rest. scikit-learn's models have one configuration each, untuned.

--scale instead retrains on synthetic rows, 1,000,000 customers x 6 snapshots x 60 features, as the product does and with its
settings (`prediction.training_rows` of the rows come to the driver): choosing on the validation snapshot, testing the best of
each kind, the last fit, and a score and a percentile for everybody; beside it scikit-learn on the rows that came.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `benchmarks` is found when this file is run
from benchmarks.measuring import _processes_below
from benchmarks.real_shops import Shop, cdnow, complete_journey

from habitue.config import PredictionSettings, resolve
from habitue.models import propensity
from habitue.models.lift import Evaluation, evaluate
from habitue.models.propensity import FeatureSet
from habitue.session import get_session
from habitue.tables.loyalty import _work_loyalty_snapshots, _work_response_snapshots, snapshot_features
from habitue.tables.loyalty.loyalty_prediction import with_features, with_percentile
from habitue.tables.loyalty.predicting import (
    Task,
    best_of_each_kind,
    folded,
    known_before_the_test,
    tested_on_later_rows,
)
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
CHOSEN, SORT, SORT_LOOK_BACK = "chosen", "sort", "sort_look_back"
LOOK_BACK_ORDERS = "look_back_orders"
MOST_CATEGORIES = 250  # of a text, the most frequent: scikit-learn's boosting takes 255
SCALE_STEP_DAYS = 30
MEMORY_GIB = 8
T = TypeVar("T")
FIGURES = ("auc", "average_precision", "lift_ratio", "calibration_error", "near_lift_ratio")


class Bar(NamedTuple):
    """What is asked of a figure: at least `asked`, or at most."""

    task: str
    what: str
    reached: float | None
    asked: float | None
    is_most: bool = False

    @property
    def is_met(self) -> bool:
        if self.reached is None or self.asked is None:
            return False
        return self.reached <= self.asked if self.is_most else self.reached >= self.asked


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
        asked = [bar for one in [*judged, *means] for bar in bars(one)]
        _print_bars(asked)
        figures = {one.name: {"rows": one.rows, "base_rate": one.base_rate, **one.figures} for one in [*judged, *means]}
        figures["bars"] = [{**bar._asdict(), "is_met": bar.is_met} for bar in asked]
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
    rows = _with_look_back_orders(rows, shop, CUTS, 365)
    for cut in CUTS:
        own = tuple(d for d in days if d <= cut and (cut - d).days % 30 == 0)
        yield _judged(f"Complete Journey {cut}: regular -> loyal", _regular(rows, features, own, cut))


def records(spark: SparkSession, folder: Path) -> Iterator[Judged]:
    """CDNOW: any order in 90 days, and regular -> loyal."""
    first = date(1997, 1, 1)
    days = tuple(d for d in (CDNOW_CUT - timedelta(days=30 * i) for i in range(14)) if (d - first).days >= H)
    shop = cdnow(spark)
    rows, features = _snapshots(shop, days, first, CDNOW_LOOK_BACK, folder / "records")
    rows = _with_look_back_orders(rows, shop, [CDNOW_CUT], CDNOW_LOOK_BACK)
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


def _with_look_back_orders(rows: DataFrame, shop: Shop, cuts: Sequence[date], look_back: int) -> DataFrame:
    """Orders in the look-back before each cut, by which the plainest sort of the protocol goes."""
    orders = shop.order_lines.select("customer_id", "order_id", "order_day").distinct()
    dated = orders.crossJoin(F.broadcast(_work_loyalty_snapshots.one_row_a_day(rows, cuts)))
    counted = (
        dated.where(F.datediff("snapshot_on", "order_day").between(1, look_back))
        .groupBy("snapshot_on", "customer_id")
        .agg(F.count_distinct("order_id").cast("double").alias(LOOK_BACK_ORDERS))
    )
    return rows.join(counted, ["snapshot_on", "customer_id"], "left")


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
    training, test = (
        _in_pandas(part, task, settings)
        for part in (task.training(task.tested_on), task.judged(task.tested_on, task.as_of))
    )
    if LOOK_BACK_ORDERS in test:
        orders = test[LOOK_BACK_ORDERS].fillna(0).to_numpy()
        figures[SORT_LOOK_BACK] = _with_far(_evaluated(test, orders, None, settings), test, orders, settings)
    figures |= _peers(training, test, task.features, settings)
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


def _peers(
    training: pd.DataFrame, test: pd.DataFrame, features: FeatureSet, settings: PredictionSettings
) -> dict[str, dict[str, float | None]]:
    """scikit-learn's models, untuned, on the same rows, features and folds."""
    found = {}
    numbers, texts = ([n for n in names if training[n].notna().any()] for names in (features.numeric, features.text))
    for name, made in _peer_models(numbers, texts).items():
        scores = np.zeros(len(test))
        for k in range(settings.folds):
            own, others = test["fold"] == k, training["fold"] != k
            x, y = _with_categories(training.loc[others], test.loc[own], texts)
            model = made().fit(x[[*numbers, *texts]], training.loc[others, "label"])
            scores[own] = model.predict_proba(y[[*numbers, *texts]])[:, 1]
        found[name] = _with_far(_evaluated(test, scores, scores, settings), test, scores, settings)
    return found


def _peer_models(numbers: list[str], texts: list[str]) -> dict[str, Callable[[], Any]]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder

    warnings.filterwarnings("ignore", message="Bins whose width are too small")  # counts have fewer values than bins

    def logistic() -> Any:
        bins = KBinsDiscretizer(10, encode="onehot", quantile_method="averaged_inverted_cdf")
        encoded = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), bins), numbers),
            (OneHotEncoder(handle_unknown="ignore"), texts),
        )
        return make_pipeline(encoded, LogisticRegression(C=0.1, max_iter=1000))

    def boosting() -> Any:
        return HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype")

    return {"sklearn_gbm": boosting, "sklearn_logistic": logistic}


def _with_categories(x: pd.DataFrame, y: pd.DataFrame, texts: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with the texts as categories: the most frequent of x; the others, and those that only y has, are missing."""
    kinds = {name: pd.CategoricalDtype(x[name].value_counts().index[:MOST_CATEGORIES]) for name in texts}
    return x.astype(kinds), y.astype(kinds)


def _in_pandas(rows: DataFrame, task: Task, settings: PredictionSettings) -> pd.DataFrame:
    numbers = [F.col(f"`{name}`").cast("double").alias(name) for name in task.features.numeric]
    texts = [F.col(f"`{name}`").cast("string").alias(name) for name in task.features.text]
    kept = rows.select(
        propensity.fold(F.col("customer_id"), settings.folds).alias("fold"),
        F.xxhash64("customer_id").alias("customer"),
        "label",
        "is_near",
        *([LOOK_BACK_ORDERS] if LOOK_BACK_ORDERS in rows.columns else []),
        *numbers,
        *texts,
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


def bars(one: Judged) -> list[Bar]:
    """What is asked of a task; the sort is the plain one, by the last 90 days. Of the cuts the mean is judged."""

    def figure(model: str, name: str) -> float | None:
        """Of scikit-learn's models, named without an ending, the better one's."""
        wanted = [m for m in one.figures if m == model or (model == "sklearn" and m.startswith(model))]
        known = [value for m in wanted if (value := one.figures[m].get(name)) is not None]
        return max(known) if known else None

    def bar(what: str, name: str, asked: float | None, model: str = CHOSEN, is_most: bool = False) -> Bar:
        return Bar(one.name, f"{model}: {what}", figure(model, name), asked, is_most)

    def worth(value: float | None, factor: float, plus: float = 0.0) -> float | None:
        return None if value is None else value * factor + plus

    trees = bar("AUC, sklearn_gbm's - .015", "auc", worth(figure("sklearn_gbm", "auc"), 1, -0.015), "gbt")
    calibrated = bar("calibration error", "calibration_error", 0.02, is_most=True)
    if one.name.startswith("Complete Journey, mean"):
        return [
            bar("AUC", "auc", 0.86),
            bar("AUC, the sort's + .015", "auc", worth(figure(SORT, "auc"), 1, 0.015)),
            bar("AUC, scikit-learn's - .01", "auc", worth(figure("sklearn", "auc"), 1, -0.01)),
            bar("ratio, .9 of scikit-learn's", "lift_ratio", worth(figure("sklearn", "lift_ratio"), 0.9)),
            bar("ratio below .8 L", "near_lift_ratio", 6.5),
            bar("ratio below .8 L, 1.5 of the sort's", "near_lift_ratio", worth(figure(SORT, "near_lift_ratio"), 1.5)),
            trees,
        ]
    if one.name.startswith("Complete Journey: coupon"):
        return [bar("AUC", "auc", 0.825), bar("ratio", "lift_ratio", 5.8), trees]
    if one.name.startswith("CDNOW") and one.name.endswith("any order"):
        precision = bar("average precision", "average_precision", 0.53)
        return [bar("AUC", "auc", 0.835), precision, bar("ratio", "lift_ratio", 6.2), calibrated, trees]
    if one.name.startswith("CDNOW"):
        return [bar("ratio", "lift_ratio", 7.5), calibrated, trees]
    return [calibrated]


def _print_bars(asked: list[Bar]) -> None:
    print(f"\n{'':62s} {'':44s} {'figure':>7s} {'bar':>9s}  bar / met")
    for bar in asked:
        sign = "<=" if bar.is_most else ">="
        limit = f"{sign} {_shown(bar.asked)}"
        met = "met" if bar.is_met else "MISSED"
        print(f"{bar.task:62s} {bar.what:44s} {_shown(bar.reached):>7s} {limit:>9s}  {met}", flush=True)


def scale(spark: SparkSession, settings: PredictionSettings, customers: int) -> Mapping[str, float]:
    """Retrain on synthetic rows of six snapshots as the product does, and fit scikit-learn's models to the same rows."""
    figures: dict[str, float] = {"customers": customers}
    with tempfile.TemporaryDirectory(prefix="habitue-loyalty-scale-") as folder:
        task = _scale_task(spark, settings, customers, folder)
        figures["rows"] = task.rows.count()
        counts = {"test_rows": task.judged(task.tested_on, task.as_of).count()}

        def timed(name: str, work: Callable[[], T]) -> T:
            started = time.perf_counter()
            found = work()
            figures[f"seconds_{name}"] = round(time.perf_counter() - started, 1)
            print(f"{name}: {figures[f'seconds_{name}']:,.1f} s", flush=True)
            return found

        def last_fit() -> propensity.Propensity:
            everything = folded(task.training(task.as_of), settings)
            model = propensity.fit(everything, task.features, best[0], settings)
            model.save(f"{folder}/model")
            return model

        def score() -> None:
            newest = folded(task.judged(task.tested_on, task.as_of), settings)
            scored = model.score(newest).select("customer_id", "score", "probability")
            with_percentile(scored, [], settings.top_share).write.parquet(f"{folder}/scores")

        started = time.perf_counter()
        best = timed("choosing", lambda: best_of_each_kind(task, settings))
        known = timed("rows_to_driver", lambda: known_before_the_test(task, settings))
        for recipe in best:
            test = lambda r=recipe: tested_on_later_rows(task, known, task.features, r, settings, counts)  # noqa: E731
            timed(f"testing_{recipe.kind}", test)
        model = timed(f"last_fit_{best[0].kind}", last_fit)
        timed("scoring_everybody", score)
        figures["seconds_retraining"] = round(time.perf_counter() - started, 1)
        figures |= {"training_rows": len(known.labels), "scored_rows": counts["test_rows"], **_peak_memory()}
        numbers = pd.DataFrame(known.numbers, columns=list(task.features.numeric))
        for name, made in _peer_models(list(task.features.numeric), []).items():
            timed(name, lambda made=made: _fitted_by_fold(made, numbers, known, settings))  # type: ignore[misc]
    for name, value in figures.items():
        print(f"{name:26s} {value:,.1f}")
    print(f"peak memory {figures['peak_gib']:.1f} GiB of {MEMORY_GIB}: {_kept_within(figures['peak_gib'])}")
    return figures


def _scale_task(spark: SparkSession, settings: PredictionSettings, customers: int, folder: str) -> Task:
    """Synthetic rows on six days, 30 days apart: three features matter."""
    names = tuple(f"feature_{i}" for i in range(60))
    days = [CUTS[-1] - timedelta(days=SCALE_STEP_DAYS * i) for i in range(6)]
    begins = F.date_sub(F.lit(days[0]), (SCALE_STEP_DAYS * F.floor(F.col("id") / customers)).cast("int"))
    drawn = spark.range(customers * len(days), numPartitions=8).select(
        (F.col("id") % customers).cast("string").alias("customer_id"),
        begins.alias("begins_on"),
        *(F.round(F.abs(F.randn(settings.seed + i)) * 10, 1).alias(name) for i, name in enumerate(names)),
    )
    odds = 1 / (1 + F.exp(4 - F.col("feature_0") / 8 + F.col("feature_1") / 10 - F.col("feature_2") / 12))
    drawn.withColumns(
        {
            "label": (F.rand(settings.seed) < odds).cast("int"),
            "known_on": F.date_add("begins_on", SCALE_STEP_DAYS),
            "plain_score": F.col("feature_0"),
            "is_near": F.lit(False),
        }
    ).write.parquet(f"{folder}/rows")
    return Task(
        rows=spark.read.parquet(f"{folder}/rows"),
        features=FeatureSet(names),
        sources=dict.fromkeys(names, "orders"),
        validated_on=days[1],
        tested_on=days[0],
        as_of=days[0] + timedelta(days=SCALE_STEP_DAYS),
        horizon_days=SCALE_STEP_DAYS,
        population="customers",
        others=None,
        act="did",
        days=tuple((day, day + timedelta(days=SCALE_STEP_DAYS)) for day in days),
        max_snapshots=settings.max_snapshots,
    )


def _fitted_by_fold(
    made: Callable[[], Any], numbers: pd.DataFrame, known: propensity.TrainingRows, settings: PredictionSettings
) -> None:
    for k in range(settings.folds):
        others = known.folds != k
        made().fit(numbers[others], known.labels[others])


def _peak_memory() -> dict[str, float]:
    """Of this process, of the JVM and of Spark's Python workers, each at its own peak, in GiB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    below = [(f["Name"].strip(), int(f.get("VmHWM", "0").split()[0]) / 2**20) for f in _processes_below(os.getpid())]
    jvm = sum(size for name, size in below if name == "java")
    workers = sum(size for name, size in below if name != "java")
    found = {"peak_gib_python": own, "peak_gib_jvm": jvm, "peak_gib_workers": workers, "peak_gib": own + jvm + workers}
    return {name: round(size, 2) for name, size in found.items()}


def _kept_within(gib: float) -> str:
    return "met" if gib <= MEMORY_GIB else "MISSED"


if __name__ == "__main__":
    main()
