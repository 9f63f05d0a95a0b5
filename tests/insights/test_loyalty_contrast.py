"""loyalty_contrast: against figures worked out in pandas, and the order number by walking through the purchase days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from insight_shops import Tables, net_days, pandas_of, segment_of, settings, with_everyone
from pyspark.sql import functions as F

from habitue.errors import NotApplicable
from habitue.models.becoming_loyal import counted_by_end, order_number_when_loyal, order_numbers
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
    return pandas_of(loyalty_contrast.TABLE.conform(built))


@pytest.fixture(scope="module")
def grocery_contrast(groceries):
    return contrast(groceries)


@pytest.fixture(scope="module")
def people(groceries) -> pd.DataFrame:
    features = pandas_of(groceries.features)
    features["segment_id"] = features["customer_id"].map(segment_of(groceries))
    return with_everyone(features)


FIGURES = ["gap_median_days", "amount_90d", "breadth", "weekend_share", "trend", "discount_share", "purchase_days_30d"]


@pytest.mark.parametrize("feature", FIGURES)
def test_figures_against_pandas(grocery_contrast, people, feature):
    checked = 0
    for segment, part in people.groupby("segment_id"):
        values = part[feature].astype(float)
        loyal, regular = (values[part["is_loyal"] == flag].dropna().to_numpy() for flag in (True, False))
        rows = grocery_contrast[(grocery_contrast["segment_id"] == segment) & (grocery_contrast["feature"] == feature)]
        row = rows.iloc[0]
        assert (row["loyal_customers"], row["regular_customers"]) == (len(loyal), len(regular))
        assert (row["loyal_median"], row["regular_median"]) == pytest.approx((np.median(loyal), np.median(regular)))
        deciles = np.arange(1, 10) / 10
        assert list(row["loyal_deciles"]) == pytest.approx(list(np.quantile(loyal, deciles)))
        assert list(row["regular_deciles"]) == pytest.approx(list(np.quantile(regular, deciles)))
        d = (loyal.mean() - regular.mean()) / np.sqrt((loyal.var(ddof=1) + regular.var(ddof=1)) / 2)
        n1, n0 = len(loyal), len(regular)
        error = np.sqrt((n1 + n0) / (n1 * n0) + d**2 / (2 * (n1 + n0)))
        found = (row["standardised_difference"], row["difference_low"], row["difference_high"])
        assert found == pytest.approx((d, d - 1.959964 * error, d + 1.959964 * error), rel=1e-6)
        checked += 1
    assert checked == 4  # everyone and three segments


def test_values_against_pandas(grocery_contrast, people, groceries):
    category = pandas_of(groceries.products).set_index("product_id")["category"]
    known = people.assign(
        first_category=people["first_item"].map(category),
        acquisition_channel=people["text_attributes"].map(lambda a: a.get("acquisition_channel")),
        favourite_weekday=people["favourite_weekday"].astype(str),
    )
    for feature in ("first_category", "acquisition_channel", "favourite_weekday", "favourite_channel"):
        sizes = known[known["segment_id"] == 0][feature].value_counts().rename_axis("value").reset_index(name="size")
        top = list(sizes.sort_values(["size", "value"], ascending=[False, True])["value"].head(5))
        for segment, part in known.groupby("segment_id"):
            rows = grocery_contrast[
                (grocery_contrast["segment_id"] == segment) & (grocery_contrast["feature"] == feature)
            ].set_index("value")
            assert sorted(rows.index) == sorted(v for v in top if (part[feature] == v).any())
            for value, row in rows.iterrows():
                has, is_loyal = (part[feature] == value).to_numpy(), part["is_loyal"].to_numpy()
                assert row["loyal_customers"] == (has & is_loyal).sum()
                assert row["regular_customers"] == (has & ~is_loyal).sum()
                assert row["loyal_share"] == pytest.approx(is_loyal[has].mean())
                assert row["loyal_mean"] == pytest.approx(has[is_loyal].mean())
                spread = np.sqrt((has[is_loyal].var(ddof=1) + has[~is_loyal].var(ddof=1)) / 2)
                if spread > 0:
                    d = (has[is_loyal].mean() - has[~is_loyal].mean()) / spread
                    assert row["standardised_difference"] == pytest.approx(d)


def test_ranks_follow_the_difference_and_every_row_has_its_sentence(grocery_contrast):
    for _, part in grocery_contrast[grocery_contrast["kind"] != "order_number"].groupby("segment_id"):
        ordered = part.dropna(subset=["rank"]).sort_values("rank")
        assert list(ordered["rank"]) == list(range(1, len(ordered) + 1))
        sizes = ordered["standardised_difference"].abs()
        assert (sizes.diff().dropna() <= 1e-12).all()
    assert (grocery_contrast["sentence"].str.len() > 20).all()
    rows = grocery_contrast[grocery_contrast["segment_id"] == 0].set_index("feature")
    gaps = rows.loc["gap_median_days"]
    days = [f"{x:.0f}" if x == int(x) else f"{x:.1f}" for x in (gaps["loyal_median"], gaps["regular_median"])]
    assert gaps["sentence"] == f"Loyal customers come back after {days[0]} days, regular ones after {days[1]} days."
    assert rows.loc["purchase_days_90d", "restates_rule"] and not gaps["restates_rule"]


def becomes_loyal_at(days: list[date], threshold: int, window: int) -> int | None:
    """Day by day: the first purchase on whose evening the customer has enough purchase days in the window."""
    for number, day in enumerate(days, start=1):
        if sum(day - timedelta(days=window) < other <= day for other in days) >= threshold:
            return number
    return None


def test_the_order_number_against_brute_force(grocery_contrast, groceries):
    rule = groceries.features.select("loyal_threshold", "loyal_window_days").first()
    days = net_days(groceries)
    own = days[days["is_purchase"]].groupby("customer_id")["day"].apply(sorted).reset_index(name="days")
    own["became"] = [becomes_loyal_at(d, rule["loyal_threshold"], rule["loyal_window_days"]) for d in own["days"]]
    own["segment_id"] = own["customer_id"].map(segment_of(groceries))
    rows = grocery_contrast[grocery_contrast["kind"] == "order_number"]
    total = 0
    for segment, part in with_everyone(own).groupby("segment_id"):
        found = rows[rows["segment_id"] == segment].set_index("value")
        for value, row in found.iterrows():
            number = int(value)
            not_before = part["became"].isna() | (part["became"] >= number)
            gets_there = part["days"].map(len) >= number
            became = int((part["became"] == number).sum())
            assert row["loyal_customers"] == became
            assert row["regular_customers"] == int((not_before & gets_there).sum()) - became
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
