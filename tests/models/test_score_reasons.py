"""Reasons are true to the model: each is what the score loses, recomputed here by brute force; rows are synthetic."""

from __future__ import annotations

from functools import reduce

import pytest
from propensity_rows import FEATURES, SMALL_LOGISTIC, SMALL_TREES, as_rows, settings, synthetic
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from habitue.models.propensity import Propensity, fit
from habitue.models.score_reasons import Phrase, contributions, phrase_of, reasons, typical_values
from habitue.tables.loyalty import _work_response_snapshots as response_snapshots

KEYS = ("customer_id", "snapshot")


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    return as_rows(spark, synthetic())


@pytest.fixture(scope="module", params=[SMALL_TREES, SMALL_LOGISTIC], ids=["gbt", "logistic"])
def model(request: pytest.FixtureRequest, rows: DataFrame) -> Propensity:
    return fit(rows, FEATURES, request.param, settings())


def _phrase(name: str) -> Phrase:
    return phrase_of(name, is_text=name in FEATURES.text)


def _some(rows: DataFrame) -> DataFrame:
    """Ten rows: four that bought on many days, six without their days since the last order."""
    frequent = rows.where("purchase_days_90d >= 6 and `days since.last` is not null").orderBy(*KEYS).limit(4)
    return frequent.unionByName(rows.where("`days since.last` is null").orderBy(*KEYS).limit(6))


def test_typical_values_are_medians_and_the_most_frequent_text(spark: SparkSession) -> None:
    frame = synthetic(customers=5, snapshots=1)
    frame[FEATURES.numeric[0]] = [1.0, 2.0, 3.0, 50.0, None]
    frame[FEATURES.text[0]] = ["web", "app", "app", "web", None]  # a tie: the smaller text
    frame[FEATURES.text[1]] = None
    found = typical_values(as_rows(spark, frame), FEATURES)
    assert found["purchase_days_90d"] == 2.0  # the lower one of two in the middle
    assert (found["favourite_channel"], found["colour.1"]) == ("app", None)


def test_contributions_are_what_the_score_loses(rows: DataFrame, model: Propensity) -> None:
    typical, some = typical_values(rows, FEATURES), _some(rows)
    own = {tuple(row[k] for k in KEYS): row["score"] for row in model.score(some).collect()}
    changed = [
        some.withColumns({name: F.lit(typical[name]), "place": F.lit(i)}) for i, name in enumerate(FEATURES.names, 1)
    ]
    expected: dict[tuple[object, ...], dict[int, float]] = {key: {} for key in own}
    for row in model.score(reduce(DataFrame.unionByName, changed)).collect():
        key = tuple(row[k] for k in KEYS)
        expected[key][row["place"]] = own[key] - row["score"]
    for row in contributions(model, some, typical, KEYS).collect():
        found = {one["feature"]: one["contribution"] for one in row["contributions"]}
        assert found == pytest.approx(expected[tuple(row[k] for k in KEYS)], abs=1e-12)
        assert list(found.values()) == sorted(found.values(), reverse=True)
    assert max(abs(value) for of_row in expected.values() for value in of_row.values()) > 0.1


def test_sentences_name_the_largest_with_value_and_median(rows: DataFrame, model: Propensity) -> None:
    typical, some = typical_values(rows, FEATURES), _some(rows)
    found = reasons(model, some, typical, _phrase, KEYS)
    assert found.columns == [*some.columns, "reasons"] and found.count() == some.count()
    ranked = {
        tuple(r[k] for k in KEYS): r["contributions"] for r in contributions(model, some, typical, KEYS).collect()
    }
    for row in found.collect():
        positive = [one["feature"] for one in ranked[tuple(row[k] for k in KEYS)] if one["contribution"] > 1e-9]
        assert len(row["reasons"]) == min(3, len(positive))
        for sentence, place in zip(row["reasons"], positive, strict=False):
            if FEATURES.names[place - 1] == "purchase_days_90d":
                days = int(row["purchase_days_90d"])
                said = f"bought on {days} day{'' if days == 1 else 's'} in the last 90 days, others on 3 days"
                assert sentence == said
    sentences = [sentence for row in found.collect() for sentence in row["reasons"]]
    assert any(sentence.startswith("bought on") for sentence in sentences)


def test_a_typical_customer_has_no_reasons(rows: DataFrame, model: Propensity) -> None:
    typical = typical_values(rows, FEATURES)
    plain = rows.limit(3).withColumns({name: F.lit(value) for name, value in typical.items()})
    assert [row["reasons"] for row in reasons(model, plain, typical, _phrase, KEYS).collect()] == [[], [], []]


@pytest.mark.parametrize(
    ("feature", "value", "typical", "said"),
    [
        ("purchase_days_90d", 6.0, 1.0, "bought on 6 days in the last 90 days, others on 1 day"),
        ("purchase_days_30d_before", 2.0, 0.0, "bought on 2 days in the 30 days before the last, others on 0 days"),
        ("amount_365d", 1234.5, 99.0, "spent 1,234.50 EUR in the last 365 days, others 99.00 EUR"),
        ("discount_share", 0.052, 0.5, "gets 5.2 % of the price as discount, others 50 %"),
        ("typical_gap_days", 12.34, 30.0, "typically comes back after 12.3 days, others after 30 days"),
        ("gap_mean_days", None, 12.0, "gap mean days: none, others 12 days"),
        ("attribute.shoe_size", 43.5, 39.0, "shoe size: 43.5, others 39"),
        ("a {value} b", 2.0, None, "a value b: 2, others not known"),
        ("campaign_product_amount", 12.0, 3.0, "spent 12.00 EUR on the campaign's products, others 3.00 EUR"),
        ("campaign_length_days", 14.0, 7.0, "the campaign lasts 14 days, most others 7 days"),
        ("favourite_weekday", "6", "1", "buys most on a Saturday, most others on a Monday"),
        ("favourite_channel", "{typical}", "web", "buys most by {typical}, most others by web"),
        ("attribute.colour", "red", "blue", "colour: red, most others blue"),
        ("attribute.colour", None, "blue", "colour: none, most others blue"),
    ],
)
def test_words(spark: SparkSession, feature: str, value: object, typical: object, said: str) -> None:
    from habitue.models.score_reasons import _sentence

    is_text = isinstance(value or typical, str)
    frame = spark.createDataFrame([(value,)], f"`{feature}` {'string' if is_text else 'double'}")
    phrase = phrase_of(feature, is_text=is_text, currency="EUR")
    assert frame.select(_sentence(feature, typical, phrase)).collect()[0][0] == said


def test_every_feature_of_a_campaign_has_words_of_its_own() -> None:
    for name in (*response_snapshots.NUMERIC_FEATURES, *response_snapshots.TEXT_FEATURES):
        assert not phrase_of(name).words.startswith(name.replace("_", " ")), name
