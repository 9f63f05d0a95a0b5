"""loyalty_contrast: against figures worked out in pandas, and the order number by walking through the purchase days."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from insight_shops import Tables, conformed, net_days, pandas_of, segment_of, settings, with_everyone
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from habitue.errors import NotApplicable
from habitue.models.becoming_loyal import counted_by_end, order_number_when_loyal, order_numbers
from habitue.models.contrast_words import rough_percent
from habitue.tables.features import customer_features
from habitue.tables.insights import loyalty_contrast


def contrast(tables: Tables, **insights) -> pd.DataFrame:
    config = settings(**{**tables.config.insights.model_dump(), **insights})
    built = loyalty_contrast.build(
        tables.features,
        tables.history,
        tables.members,
        tables.as_of,
        config.insights,
        config.features,
        config.shop,
        tables.products,
    )
    return conformed(loyalty_contrast.TABLE, built)


@dataclass(frozen=True)
class Compared:
    """A shop, its table, and its customers in pandas, each in its segment and again as everyone."""

    tables: Tables
    rows: pd.DataFrame
    people: pd.DataFrame


def compared(tables: Tables) -> Compared:
    features = pandas_of(tables.features)
    features["segment_id"] = features["customer_id"].map(segment_of(tables))
    return Compared(tables, contrast(tables), with_everyone(features))


@pytest.fixture(scope="module")
def shops(records, groceries) -> dict[str, Compared]:
    return {"records": compared(records), "groceries": compared(groceries)}


SHOPS = pytest.mark.parametrize("name", ["records", "groceries"])
DECILES = np.arange(1, 10) / 10
RULE = {"loyal_window_days", "loyal_threshold"}  # the same for every customer


def figures(shop: Compared) -> dict[str, pd.Series]:
    """Every figure that customers have, NaN where one has none: the columns of numbers, and the attributes."""
    found = {
        field.name: shop.people[field.name].astype(float)
        for field in customer_features.TABLE.schema.fields
        if isinstance(field.dataType, NumericType) and field.name not in (*RULE, "favourite_weekday")
    }
    attributes = pd.DataFrame(list(shop.people["numeric_attributes"]), index=shop.people.index)
    return {**found, **{str(name): attributes[name].astype(float) for name in attributes}}


def difference(loyal: np.ndarray, regular: np.ndarray) -> tuple[float, float, float]:
    """The standardised difference with its 95 % interval; NaN where a group has one customer, or nothing varies."""
    n1, n0 = len(loyal), len(regular)
    spread = np.sqrt((loyal.var(ddof=1) + regular.var(ddof=1)) / 2) if min(n1, n0) > 1 else 0.0
    if spread == 0:
        return (np.nan,) * 3
    d = (loyal.mean() - regular.mean()) / spread
    error = np.sqrt((n1 + n0) / (n1 * n0) + d**2 / (2 * (n1 + n0)))
    return d, d - 1.959963985 * error, d + 1.959963985 * error


def assert_difference(row: pd.Series, loyal: np.ndarray, regular: np.ndarray) -> None:
    found = tuple(row[["standardised_difference", "difference_low", "difference_high"]].astype(float))
    assert found == pytest.approx(difference(loyal, regular), rel=1e-6, abs=1e-9, nan_ok=True)


@SHOPS
def test_every_figure_against_pandas(shops, name):
    shop = shops[name]
    rows = shop.rows[shop.rows["kind"] == "number"].set_index(["segment_id", "feature"])
    expected = set()
    for feature, values in figures(shop).items():
        for segment, part in shop.people.groupby("segment_id"):
            own = values[part.index].dropna()
            loyal, regular = (own[part.loc[own.index, "is_loyal"] == flag].to_numpy() for flag in (True, False))
            if not len(loyal) or not len(regular):
                continue
            expected.add((segment, feature))
            row = rows.loc[(segment, feature)]
            assert (row["loyal_customers"], row["regular_customers"]) == (len(loyal), len(regular))
            assert (row["loyal_mean"], row["regular_mean"]) == pytest.approx((loyal.mean(), regular.mean()))
            assert (row["loyal_median"], row["regular_median"]) == pytest.approx((np.median(loyal), np.median(regular)))
            assert list(row["loyal_deciles"]) == pytest.approx(list(np.quantile(loyal, DECILES)))
            assert list(row["regular_deciles"]) == pytest.approx(list(np.quantile(regular, DECILES)))
            assert_difference(row, loyal, regular)
    assert set(rows.index) == expected
    assert len(expected) >= (100 if name == "groceries" else 80)
    restating = {f for f in figures(shop) if f.startswith("purchase_days_")}
    assert set(rows[rows["restates_rule"]].index.get_level_values("feature")) == restating


@SHOPS
def test_every_value_against_pandas(shops, name):
    """First and favourite items and categories, channels, weekdays, attributes: those of most customers."""
    shop = shops[name]
    known = texts(shop)
    rows = shop.rows[shop.rows["kind"] == "value"].set_index(["segment_id", "feature", "value"])
    expected = set()
    for feature, values in known.items():
        sizes = values[shop.people["segment_id"] == 0].value_counts().rename_axis("value").reset_index(name="size")
        top = list(sizes.sort_values(["size", "value"], ascending=[False, True])["value"])
        for segment, part in shop.people.groupby("segment_id"):
            is_loyal = part["is_loyal"].to_numpy()
            for value in top[: shop.tables.config.insights.top_values]:
                has = (values[part.index] == value).to_numpy()
                if not has.any():
                    continue
                expected.add((segment, feature, value))
                row = rows.loc[(segment, feature, value)]
                found = (row["loyal_customers"], row["regular_customers"])
                assert found == ((has & is_loyal).sum(), (has & ~is_loyal).sum())
                assert row["loyal_share"] == pytest.approx(is_loyal[has].mean())
                shares = (has[is_loyal].mean(), has[~is_loyal].mean())
                assert (row["loyal_mean"], row["regular_mean"]) == pytest.approx(shares)
                assert_difference(row, has[is_loyal].astype(float), has[~is_loyal].astype(float))
    assert set(rows.index) == expected
    features = {feature for _, feature, _ in expected}
    bought = {"first_item", "first_category", "favourite_item", "favourite_category", "favourite_channel"}
    assert features == {"favourite_weekday"} | (bought | {"acquisition_channel"} if name == "groceries" else set())


def texts(shop: Compared) -> dict[str, pd.Series]:
    people = shop.people
    found = {n: people[n] for n in ("first_item", "favourite_item", "favourite_category", "favourite_channel")}
    found["favourite_weekday"] = people["favourite_weekday"].astype(str)
    if shop.tables.products is not None:
        category = pandas_of(shop.tables.products).set_index("product_id")["category"]
        found["first_category"] = people["first_item"].map(category)
    attributes = pd.DataFrame(list(people["text_attributes"]), index=people.index)
    return {**found, **{str(name): attributes[name] for name in attributes}}


@SHOPS
def test_ranks_follow_the_difference_and_every_row_has_its_sentence(shops, name):
    rows = shops[name].rows
    for _, part in rows[rows["kind"] != "order_number"].groupby("segment_id"):
        assert list(part["rank"].isna()) == list(part["standardised_difference"].isna())
        ordered = part.dropna(subset=["rank"]).sort_values("rank")
        assert list(ordered["rank"]) == list(range(1, len(ordered) + 1))
        sizes = ordered["standardised_difference"].abs()
        assert (sizes.diff().dropna() <= 1e-12).all()
    assert (rows["sentence"].str.len() > 20).all()
    everyone = rows[rows["segment_id"] == 0].set_index("feature")
    gaps = everyone.loc["gap_median_days"]
    days = [f"{x:.0f}" if x == int(x) else f"{x:.1f}" for x in (gaps["loyal_median"], gaps["regular_median"])]
    assert gaps["sentence"] == f"Loyal customers come back after {days[0]} days, regular ones after {days[1]} days."


def becomes_loyal_at(days: list[date], threshold: int, window: int) -> int | None:
    """Day by day: the first purchase on whose evening the customer has enough purchase days in the window."""
    for number, day in enumerate(days, start=1):
        if sum(day - timedelta(days=window) < other <= day for other in days) >= threshold:
            return number
    return None


@SHOPS
def test_the_order_number_against_brute_force(shops, name):
    tables = shops[name].tables
    rule = tables.features.select("loyal_threshold", "loyal_window_days").first()
    days = net_days(tables)
    own = days[days["is_purchase"]].groupby("customer_id")["day"].apply(sorted).reset_index(name="days")
    own["became"] = [becomes_loyal_at(d, rule["loyal_threshold"], rule["loyal_window_days"]) for d in own["days"]]
    own["segment_id"] = own["customer_id"].map(segment_of(tables))
    rows = shops[name].rows[shops[name].rows["kind"] == "order_number"]
    total = 0
    for segment, part in with_everyone(own).groupby("segment_id"):
        found = rows[rows["segment_id"] == segment].set_index("value")
        reached = part["days"].map(len).where(part["became"].isna(), part["became"]).max()
        assert sorted(map(int, found.index)) == list(range(rule["loyal_threshold"], min(int(reached), 50) + 1))
        ever = part["became"].notna().sum()
        for value, row in found.iterrows():
            number = int(value)
            not_before = part["became"].isna() | (part["became"] >= number)
            gets_there = part["days"].map(len) >= number
            became = int((part["became"] == number).sum())
            assert row["loyal_customers"] == became
            assert row["regular_customers"] == int((not_before & gets_there).sum()) - became
            by_then = (part["became"] <= number).sum() / ever if ever else 0
            assert f"by then {rough_percent(by_then)} of all who ever become loyal have" in row["sentence"]
            total += became
    assert total > 50  # there is something to compare


def test_the_order_number_by_hand(spark):
    # L = 3 within W = 10 days. a: days 0, 5, 10 are 10 apart, which is one too many; 5, 10, 14 are within 9: its fourth.
    # b: 0, 4, 9: its third. c: two purchase days. d: 0, 20, 40, 41, 42: its fifth.
    days = {"a": [0, 5, 10, 14], "b": [0, 4, 9, 50], "c": [0, 1], "d": [0, 20, 40, 41, 42]}
    start = date(2021, 1, 1)
    rows = [(1, [start + timedelta(days=d) for d in own]) for own in days.values()]
    customers = spark.createDataFrame(rows, "segment_id int, days array<date>")
    became = order_number_when_loyal(F.col("days"), F.lit(3), F.lit(10))
    counts = pandas_of(counted_by_end(customers.withColumn("became_at", became)))
    # Three get to a third purchase day, of whom b becomes loyal; a and d to a fourth, d to a fifth.
    assert [tuple(n) for n in order_numbers(counts, 3, 50)] == [(3, 3, 1, 1 / 3), (4, 2, 1, 2 / 3), (5, 1, 1, 1)]
    assert [n.number for n in order_numbers(counts, 3, 4)] == [3, 4]


PERSON = (
    "customer_id string, is_loyal boolean, gap_median_days double, first_item string, favourite_weekday int, "
    "loyal_window_days int, loyal_threshold int, numeric_attributes map<string,double>, text_attributes map<string,string>"
)


def test_six_customers_by_hand(spark):
    """Three loyal and three regular ones; L is 2 purchase days in W = 10. Two attributes are called like figures of ours."""
    gaps, items = [2.0, 4.0, 6.0, 8.0, 10.0, 15.0], "AABABB"
    bought = {"a": [0, 5], "b": [0, 20, 25], "c": [0, 5], "d": [0], "e": [0, 30], "f": [0, 30, 60]}
    start = date(2021, 1, 1)
    people = [
        (c, c in "abc", gap, item, 1, 10, 2, {"gap_median_days": 99.0}, {"favourite_weekday": "Monday"})
        for c, gap, item in zip(bought, gaps, items, strict=True)
    ]
    history = [(c, [(start + timedelta(days=d),) for d in days]) for c, days in bought.items()]
    config = settings()
    built = loyalty_contrast.build(
        spark.createDataFrame(people, PERSON),
        spark.createDataFrame(history, "customer_id string, purchase_days array<struct<day:date>>"),
        spark.createDataFrame([(c, 1) for c in bought], "customer_id string, segment_id int"),
        date(2021, 4, 1),
        config.insights,
        config.features,
        config.shop,
    )
    found = conformed(loyalty_contrast.TABLE, built)
    everyone = found[found["segment_id"] == 0].fillna({"value": ""})
    rows = everyone.set_index(["feature", "value"]).sort_index()
    gap = rows.loc[("gap_median_days", "")]
    # Means 4 and 11, variances 4 and 13: d = -7 / sqrt(8.5) = -2.401, its error sqrt(6 / 9 + d^2 / 12) = 1.071.
    assert (gap["loyal_customers"], gap["loyal_median"], gap["regular_median"]) == (3, 4, 10)
    assert gap["standardised_difference"] == pytest.approx(-2.40098, abs=1e-5)
    assert (gap["difference_low"], gap["difference_high"]) == pytest.approx((-4.50012, -0.30184), abs=1e-4)
    assert gap["loyal_deciles"][0] == pytest.approx(2.4) and gap["regular_deciles"][8] == pytest.approx(14)
    assert gap["sentence"] == "Loyal customers come back after 4 days, regular ones after 10 days."
    # A: two of the loyal, one of the regular; the variance of 0, 1, 1 is 1/3, so d = (1 / 3) / sqrt(1 / 3).
    first = rows.loc[("first_item", "A")]
    assert first["standardised_difference"] == pytest.approx(3**-0.5)
    assert first["loyal_share"] == pytest.approx(2 / 3) and gap["rank"] == 1
    assert first["sentence"] == "67 % of loyal customers started with product A; of regular customers, 33 %."
    # To the second purchase day come all but d; a and c are loyal with it. To the third b and f; b is, 5 days after its second.
    numbers = rows.loc["order_number"]
    assert list(numbers.index) == ["2", "3"] and list(numbers["loyal_customers"]) == [2, 1]
    assert list(numbers["regular_customers"]) == [3, 1] and list(numbers["loyal_share"]) == [0.4, 0.5]
    # The shop's own attributes of these names stand apart.
    assert rows.loc[("gap_median_days (attribute)", ""), "loyal_median"] == 99
    assert rows.loc[("favourite_weekday (attribute)", "Monday"), "loyal_customers"] == 3
    assert rows.loc[("favourite_weekday", "1"), "loyal_customers"] == 3


def test_many_customers_are_compared_by_a_sample(records):
    buyers = records.features.count()
    features = pandas_of(records.features.select("longevity_days"))["longevity_days"]
    sampled = contrast(records, contrast_customers=400)
    row = sampled[(sampled["segment_id"] == 0) & (sampled["feature"] == "longevity_days")].iloc[0]
    size = row["loyal_customers"] + row["regular_customers"]
    # A binomial of about 990 at 400 / 990, 15.4 wide: within four of its standard deviations.
    assert buyers > 950 and abs(size - 400) < 62
    assert row["regular_mean"] == pytest.approx(features.mean(), rel=0.05)


@pytest.mark.parametrize(("flag", "reason"), [(True, "every customer is loyal"), (False, "no customer is loyal yet")])
def test_one_kind_alone_is_not_compared(groceries, flag, reason):
    alike = replace(groceries, features=groceries.features.withColumn("is_loyal", F.lit(flag)))
    with pytest.raises(NotApplicable, match=reason):
        contrast(alike)
