"""cohort_retention, cohort_retention_weekly and cohort_retention_by."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from insight_shops import Tables, Tiny, conformed, net_days, pandas_of, segment_of, settings, tiny, with_everyone

from habitue.errors import NotApplicable
from habitue.tables.insights import cohort_retention, cohort_retention_by, cohort_retention_weekly

CELL = ["customers", "retained", "orders", "revenue", "retention", "average_value", "cumulative_value", "is_complete"]


def monthly(tables: Tables | Tiny, as_of: date) -> pd.DataFrame:
    built = cohort_retention.build(tables.orders, tables.history, tables.members, as_of)
    return conformed(cohort_retention.TABLE, built)


def weekly(tables: Tables | Tiny, as_of: date) -> pd.DataFrame:
    built = cohort_retention_weekly.build(tables.orders, tables.history, tables.members, as_of)
    return conformed(cohort_retention_weekly.TABLE, built)


def built_by_attribute(tables: Tables, **insights) -> cohort_retention_by.Cohorts:
    chosen = settings(**{**tables.config.insights.model_dump(), **insights}).insights
    return cohort_retention_by.build(
        tables.orders, tables.history, tables.features, tables.members, tables.as_of, chosen, tables.products
    )


def by_attribute(tables: Tables) -> pd.DataFrame:
    return conformed(cohort_retention_by.TABLE, built_by_attribute(tables).cohort_retention_by)


# --- by hand


AS_OF = date(2021, 1, 20)  # a Wednesday
NEW_YEAR = [
    ("a", date(2020, 12, 30), "10.00"),  # Wednesday of 2020-W53
    ("a", date(2021, 1, 2), "5.00"),  # Saturday, still 2020-W53
    ("a", date(2021, 1, 18), "1.00"),  # Monday of 2021-W03
    ("b", date(2021, 1, 3), "20.00"),  # Sunday, still 2020-W53
    ("b", date(2021, 1, 4), "-50.00"),  # Monday of 2021-W01: a return alone, no purchase day
    ("c", date(2020, 11, 30), "0.00"),  # nothing was paid: not yet a customer
    ("c", date(2021, 1, 5), "8.00"),
    ("d", date(2021, 1, 6), "0.00"),  # never a customer
]


@pytest.fixture(scope="module")
def new_year(spark):
    return tiny(spark, NEW_YEAR, AS_OF, {"a": 1, "b": 1, "c": 2})


def test_months_by_hand(new_year):
    cells = monthly(new_year, AS_OF)
    everyone = cells[cells["segment_id"] == 0].set_index(["cohort_month", "month_number"])
    december, january = date(2020, 12, 1), date(2021, 1, 1)
    assert sorted(everyone.index) == [(december, 0), (december, 1), (january, 0)]
    # a alone; its month 0 was December, in which it spent 10.
    first = everyone.loc[(december, 0)]
    assert (first["customers"], first["retained"], first["orders"], first["revenue"]) == (1, 1, 1, Decimal(10))
    assert (first["retention"], first["average_value"], first["cumulative_value"]) == (1, 10, 10)
    # January is not over: a has been back twice for 6 so far, but no share and no value is shown.
    second = everyone.loc[(december, 1)]
    assert (second["retained"], second["orders"], second["revenue"]) == (1, 2, Decimal(6))
    assert not second["is_complete"] and second[["retention", "average_value", "cumulative_value"]].isna().all()
    # b and c; b's return takes 50 off its 20, and c's order for nothing, before its first purchase, counts in month 0.
    third = everyone.loc[(january, 0)]
    assert (third["customers"], third["retained"], third["orders"], third["revenue"]) == (2, 2, 4, Decimal(-22))


def test_iso_weeks_are_right_at_the_year_end(new_year):
    cells = weekly(new_year, AS_OF)
    everyone = cells[cells["segment_id"] == 0].set_index(["iso_week", "week_number"])
    # a and b in the 53rd week of 2020, which ends on 3 January; c in the first week of 2021, on 4 January.
    assert dict(everyone["customers"].groupby(level=0).first()) == {"2020-W53": 2, "2021-W01": 1}
    assert sorted(set(everyone["cohort_week"])) == [date(2020, 12, 28), date(2021, 1, 4)]
    assert list(everyone.loc["2020-W53", "retained"]) == [2, 0, 0, 1]
    assert list(everyone.loc["2020-W53", "orders"]) == [3, 1, 0, 1]
    assert list(everyone.loc["2020-W53", "revenue"]) == [Decimal(35), Decimal(-50), Decimal(0), Decimal(1)]
    # Week 3 began on Monday 18 January and has two days to go.
    assert list(everyone.loc["2020-W53", "is_complete"]) == [True, True, True, False]
    assert list(everyone.loc["2020-W53", "cumulative_value"])[:3] == [17.5, -7.5, -7.5]
    assert list(everyone.loc["2020-W53", "retention"])[:3] == [1, 0, 0]


def test_a_month_is_complete_on_the_first_day_after_it_and_values_need_amounts(spark):
    orders = [("a", date(2021, 1, 1), None), ("a", date(2021, 3, 1), None)]
    as_of = date(2021, 4, 1)
    cells = monthly(tiny(spark, orders, as_of, {"a": 1}), as_of)
    everyone = cells[cells["segment_id"] == 0].sort_values("month_number")
    assert list(everyone["retention"]) == [1, 0, 1] and everyone["is_complete"].all()
    assert cells[["revenue", "average_value", "cumulative_value"]].isna().all(axis=None)


def test_a_period_that_began_before_the_records_is_not_complete(spark):
    """The records begin on Tuesday 5 January 2021: whether anybody bought on the days before it is not known."""
    orders = [("a", date(2021, 1, 5), "1.00"), ("b", date(2021, 1, 12), "2.00"), ("a", date(2021, 2, 2), "3.00")]
    as_of = date(2021, 3, 1)
    shop = tiny(spark, orders, as_of, {"a": 1, "b": 1})
    cells = monthly(shop, as_of)
    first, second = (cells[(cells["segment_id"] == 0) & (cells["month_number"] == n)].iloc[0] for n in (0, 1))
    assert (first["customers"], first["revenue"], first["is_complete"]) == (2, Decimal(3), False)
    assert first[["retention", "average_value", "cumulative_value"]].isna().all()
    # February was observed from its first day to its last. What was spent since the first purchases is 6.
    assert (second["retention"], second["average_value"], second["cumulative_value"]) == (0.5, 1.5, 3)
    # Of the weeks, that of 4 January lacks its Monday; the one of 11 January, when b began, is whole.
    weeks = weekly(shop, as_of)
    own = weeks[(weeks["segment_id"] == 0) & (weeks["week_number"] == 0)].sort_values("cohort_week")
    assert list(own["cohort_week"]) == [date(2021, 1, 4), date(2021, 1, 11)]
    assert list(own["is_complete"]) == [False, True]


def test_without_items_and_attributes_there_is_nothing_to_divide_by(records):
    with pytest.raises(NotApplicable, match=r"without first_item .*: orders name no products; without first_category"):
        by_attribute(records)


def test_an_attribute_that_nobody_has_is_named_with_what_was_perhaps_meant(groceries):
    built = built_by_attribute(groceries, cohort_attributes=("first_category", "acquisition_chanel", "persons"))
    assert built.notes == (
        "cohort_retention_by: without acquisition_chanel (insights.cohort_attributes): no customer has it "
        "(did you mean 'acquisition_channel'?)",
    )
    cells = conformed(cohort_retention_by.TABLE, built.cohort_retention_by)
    assert set(cells["attribute"]) == {"first_category", "persons"}
    assert built_by_attribute(groceries).notes == ()


def test_without_a_name_in_the_configuration_too(records):
    nothing_asked = replace(records, config=settings(cohort_attributes=()))
    with pytest.raises(NotApplicable, match="names no attribute"):
        by_attribute(nothing_asked)


def test_an_attribute_is_its_text_once_for_each_customer(spark):
    person = "customer_id string, first_item string, numeric_attributes map<string,double>, text_attributes map<string,string>"
    people = spark.createDataFrame([("a", "P1", {"age": 30.0, "score": 1.5}, {"city": "Ulm"})], person)
    asked = ("first_item", "age", "score", "city", "shoe_size", "first_category", "first_item")
    found = cohort_retention_by.attribute_values(people, None, asked).collect()
    assert [tuple(row) for row in found] == [
        ("a", "first_item", "P1"),
        ("a", "age", "30"),
        ("a", "score", "1.5"),
        ("a", "city", "Ulm"),
        ("a", "shoe_size", None),
        ("a", "first_category", None),
    ]


# --- by brute force


def cohorts_in_pandas(tables: Tables, start, number, end, keys: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every cell from the lines, customer by customer; start, number and end are plain functions of dates."""
    days = net_days(tables)
    records_begin = days["day"].min()
    first = days[days["is_purchase"]].groupby("customer_id")["day"].min().rename("first")
    days = days.join(first, on="customer_id", how="inner")
    segments = segment_of(tables)
    last_start = start(tables.as_of - timedelta(days=1))
    days["cohort"] = days["first"].map(start)
    days["number"] = [max(number(c, start(d)), 0) for c, d in zip(days["cohort"], days["day"], strict=True)]
    days["segment_id"] = days["customer_id"].map(segments)
    groups = ["segment_id", "cohort"]
    if keys is not None:
        days = days.merge(keys, on="customer_id")
        groups += [c for c in keys.columns if c != "customer_id"]
    rows = []
    for key, part in with_everyone(days).groupby(groups):
        total, size = Decimal(0), part["customer_id"].nunique()
        for n in range(number(key[1], last_start) + 1):
            cell = part[part["number"] == n]
            revenue = sum(cell["amount"], Decimal(0))
            total += revenue
            begins = end(key[1], n - 1) if n else key[1]
            complete = records_begin <= begins and end(key[1], n) <= tables.as_of
            retained = cell.loc[cell["is_purchase"], "customer_id"].nunique()
            values = (retained / size, float(revenue) / size, float(total) / size) if complete else (None,) * 3
            rows.append((*key, n, size, retained, int(cell["orders"].sum()), revenue, *values, complete))
    return pd.DataFrame(rows, columns=[*groups, "number", *CELL])


def month_start(day: date) -> date:
    return day.replace(day=1)


def months_between(first: date, later: date) -> int:
    return (later.year - first.year) * 12 + later.month - first.month


def month_end(first: date, number: int) -> date:
    months = first.year * 12 + first.month - 1 + number + 1
    return date(months // 12, months % 12 + 1, 1)


def assert_same_cells(found: pd.DataFrame, expected: pd.DataFrame, keys: list[str]) -> None:
    found = found.set_index(keys)[CELL].sort_index()
    expected = expected.set_index(keys)[CELL].sort_index()
    assert list(found.index) == list(expected.index)
    for name in ("customers", "retained", "orders", "revenue", "is_complete"):
        assert list(found[name]) == list(expected[name]), name
    for name in ("retention", "average_value", "cumulative_value"):
        assert list(found[name].isna()) == list(expected[name].isna()), name
        assert list(found[name].dropna()) == pytest.approx(list(expected[name].dropna()), rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("name", ["records", "groceries"])
def test_months_against_brute_force(name, request):
    tables = request.getfixturevalue(name)
    found = monthly(tables, tables.as_of)
    expected = cohorts_in_pandas(tables, month_start, months_between, month_end)
    expected = expected.rename(columns={"cohort": "cohort_month", "number": "month_number"})
    assert_same_cells(found, expected, ["segment_id", "cohort_month", "month_number"])
    assert_adds_up(found, tables, ["cohort_month", "month_number"])


@pytest.mark.parametrize("name", ["records", "groceries"])
def test_weeks_against_brute_force(name, request):
    tables = request.getfixturevalue(name)
    found = weekly(tables, tables.as_of)
    expected = cohorts_in_pandas(
        tables,
        start=lambda day: day - timedelta(days=day.weekday()),
        number=lambda first, later: (later - first).days // 7,
        end=lambda first, n: first + timedelta(days=7 * (n + 1)),
    ).rename(columns={"cohort": "cohort_week", "number": "week_number"})
    assert_same_cells(found, expected, ["segment_id", "cohort_week", "week_number"])
    assert_adds_up(found, tables, ["cohort_week", "week_number"])
    # Both shops begin on 1 January, in the middle of an ISO week.
    of_first_week = found[(found["cohort_week"] == found["cohort_week"].min()) & (found["week_number"] == 0)]
    assert not of_first_week["is_complete"].any()
    weeks = {(*week.isocalendar()[:2],) for week in found["cohort_week"]}
    assert {f"{year:04}-W{week:02}" for year, week in weeks} == set(found["iso_week"])


def assert_adds_up(cells: pd.DataFrame, tables: Tables, keys: list[str]) -> None:
    """Segments add up to everyone; revenue and orders over all cohorts are those of the customers' orders."""
    everyone = cells[cells["segment_id"] == 0].set_index(keys).sort_index()
    summed = cells[cells["segment_id"] != 0].groupby(keys)[["customers", "retained", "orders", "revenue"]].sum()
    assert summed.sort_index().equals(everyone[list(summed.columns)].astype(summed.dtypes))
    days = net_days(tables)
    buyers = days[days["customer_id"].isin(days.loc[days["is_purchase"], "customer_id"])]
    assert everyone["revenue"].sum() == buyers["amount"].sum() == days["amount"].sum()
    assert everyone["orders"].sum() == buyers["orders"].sum()


def test_attributes_against_brute_force(groceries):
    cells = by_attribute(groceries)
    features = pandas_of(groceries.features).set_index("customer_id")
    category = pandas_of(groceries.products).set_index("product_id")["category"]
    values = pd.DataFrame(
        {
            "first_item": features["first_item"],
            "first_category": features["first_item"].map(category),
            "acquisition_channel": features["text_attributes"].map(lambda known: known.get("acquisition_channel")),
        }
    )
    pooled = []
    for attribute in values.columns:
        known = values[attribute].dropna()
        sizes = known.value_counts().rename_axis("value").reset_index(name="size")
        top = set(sizes.sort_values(["size", "value"], ascending=[False, True])["value"].head(5))
        shown = values[attribute].map(lambda v, top=top: "(unknown)" if pd.isna(v) else v if v in top else "(other)")
        pooled.append(shown.rename("attribute_value").reset_index().assign(attribute=attribute))
    expected = cohorts_in_pandas(groceries, month_start, months_between, month_end, pd.concat(pooled))
    expected = expected.rename(columns={"cohort": "cohort_month", "number": "month_number"})
    keys = ["segment_id", "attribute", "attribute_value", "cohort_month", "month_number"]
    assert_same_cells(cells, expected, keys)
    assert {"(other)", "(unknown)"} <= set(cells["attribute_value"])
    # Every customer has one value of each attribute, so each attribute's rows add up to the plain cohorts.
    plain = monthly(groceries, groceries.as_of)
    for _, part in cells.groupby("attribute"):
        summed = part.groupby(["segment_id", "cohort_month", "month_number"])["customers"].sum()
        whole = plain.set_index(["segment_id", "cohort_month", "month_number"])["customers"].sort_index()
        assert summed.sort_index().equals(whole)
