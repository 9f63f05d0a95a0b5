"""A shop with products: by the tour to Delta tables, the report's page, and the questions of docs/sql asked of the tables.

The tables are read by delta-rs, which shares no code with Spark; facts are worked out in pandas from the rows as written.
"""

from __future__ import annotations

import io
import runpy
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from deltalake import DeltaTable
from insight_shops import pandas_of
from pyspark.sql import SparkSession
from small_shop import ORDER_HEADER, SmallShop, small_shop, write_csv

from habitue.cli import main
from habitue.config import resolve
from habitue.pipeline import RunResult
from habitue.report import write_report
from habitue.store import Store
from habitue.tables import TABLES

ROOT = Path(__file__).parents[2]
QUESTIONS = ROOT / "docs" / "sql"
# As little as can be of what these tests are not about: choosing segments, and predictions, which 60 customers cannot have.
SETTINGS = {
    "shop": {"name": "Corner shop", "currency": "EUR"},
    "segments": {
        "max_leaves": 3,
        "stability_refits": 2,
        "twins": 2,
        "twin_customers": 100,
        "bootstrap_draws": 100,
        "min_segment_customers": 5,
    },
    "insights": {
        "min_journey_support": 10,
        "top_values": 4,
        "bootstrap_draws": 100,
        "cohort_attributes": ["first_item", "first_category", "acquisition_channel", "acquisition_chanel"],
    },
    "prediction": {"min_positives": 1000},
    "tracking": {"uri": None},
}
CATEGORY_COUNT, BRAND_COUNT = 4, 3  # product number i is of category i % 4, which the small shop says, and brand i % 3


@dataclass(frozen=True)
class Toured:
    """What the tour left: its result, what its cells printed, the tables and the page."""

    shop: SmallShop
    store: Store
    result: RunResult
    printed: str
    page: str

    def table(self, name: str) -> pd.DataFrame:
        found: pd.DataFrame = DeltaTable(self.store.path(name)).to_pyarrow_table().to_pandas()
        return found

    def section(self, name: str) -> str:
        return self.page.split(f'<section id="{name}">')[1].split("</section>")[0]

    def ask(self, number: int) -> pd.DataFrame:
        return pandas_of(self.store.spark.sql(question(number).read_text().strip().rstrip(";")))


def question(number: int) -> Path:
    (path,) = QUESTIONS.glob(f"{number:02}_*.sql")
    return path


@pytest.fixture(scope="module")
def toured(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Toured:
    folder, shop = tmp_path_factory.mktemp("toured"), small_shop()
    branded = [(*product, f"brand {i % BRAND_COUNT}") for i, product in enumerate(shop.products)]
    came_by = [(row[0], "web" if i % 3 else "mail") for i, row in enumerate(shop.customers)]
    sources = {
        "orders": write_csv(folder / "orders.csv", ORDER_HEADER, shop.lines),
        "products": write_csv(folder / "products.csv", ("product_id", "name", "category", "brand"), branded),
        "customers": write_csv(folder / "customers.csv", ("customer_id", "acquisition_channel"), came_by),
    }
    settings = {**SETTINGS, "warehouse": str(folder / "warehouse")}
    file = folder / "shop.yml"
    file.write_text(yaml.safe_dump({**settings, "sources": {name: {"path": path} for name, path in sources.items()}}))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setenv("HABITUE_CONFIG", str(file))
        result = runpy.run_path(str(ROOT / "notebooks" / "tour.py"))["result"]
    config = resolve(str(file)).config
    store = Store(spark, config)
    page = Path(str(write_report(store, config, result))).read_text(encoding="utf-8")
    store.register_views(TABLES)
    return Toured(shop, store, result, printed.getvalue(), page)


@pytest.fixture(scope="module")
def bought(toured: Toured) -> pd.DataFrame:
    """The order lines: order_id, customer_id, day, product_id, category, brand, amount, is_return. The one return is a line
    of the order that it takes back."""
    lines = pd.DataFrame(toured.shop.lines, columns=[*ORDER_HEADER])
    is_return = lines["order_id"] == "R0001"
    lines.loc[is_return, ["order_id", "ordered_at"]] = lines.loc[0, ["order_id", "ordered_at"]].to_numpy()
    number = lines["product_id"].str[1:].astype(int)
    return lines.assign(
        day=pd.to_datetime(lines["ordered_at"]).dt.date,
        category="category " + (number % CATEGORY_COUNT).astype(str),
        brand="brand " + (number % BRAND_COUNT).astype(str),
        is_return=is_return,
    )


@pytest.fixture(scope="module")
def purchase_days(bought: pd.DataFrame) -> dict[str, list[date]]:
    net = bought.groupby(["customer_id", "day"])["amount"].sum()
    paid = net[net > 0].reset_index()
    return dict(paid.groupby("customer_id")["day"].apply(sorted))


# --- tables


def test_every_insight_is_written(toured: Toured) -> None:
    insights = {t.name for t in TABLES if t.area == "insights"}
    assert insights <= toured.result.written.keys() and not insights & toured.result.skipped.keys()
    assert toured.result.as_of == date(2024, 1, 1)
    assert any("without acquisition_chanel" in note for note in toured.result.notes)
    # What the cells show: names, segments, and what comes next.
    assert all(said in toured.printed for said in ("segments_latest", "return_probability", "from_item"))


def test_patterns_by_category_brand_and_product(toured: Toured, bought: pd.DataFrame) -> None:
    patterns = toured.table("purchase_patterns")
    everyone = patterns[patterns["segment_id"] == 0]
    for dimension, column in (("category", "category"), ("brand", "brand"), ("item", "product_id")):
        sums = bought.groupby(column)["amount"].sum().sort_values(ascending=False)
        rows = everyone[everyone["dimension"] == dimension].sort_values("position")
        assert list(rows["value"]) == [*sums.index[:4], *(["(other)"] if len(sums) > 4 else [])]
        assert list(rows["revenue"]) == [*sums.iloc[:4], *([sums.iloc[4:].sum()] if len(sums) > 4 else [])]
        by_segment = patterns[(patterns["segment_id"] > 0) & (patterns["dimension"] == dimension)]
        assert by_segment["revenue"].sum() == rows["revenue"].sum() == bought["amount"].sum()


def test_cohorts_by_what_was_bought_first(toured: Toured, bought: pd.DataFrame) -> None:
    """The product of the largest amount on the first day, ties to the smaller id; its category; and where customers are from."""
    cells = toured.table("cohort_retention_by")
    first_months = cells[(cells["segment_id"] == 0) & (cells["month_number"] == 0)]
    found = first_months.groupby(["attribute", "attribute_value"])["customers"].sum().to_dict()
    own = bought[~bought["is_return"]]
    own = own[own["day"] == own.groupby("customer_id")["day"].transform("min")]
    worth = own.groupby(["customer_id", "product_id", "category"], as_index=False)["amount"].sum()
    first = worth.sort_values(["amount", "product_id"], ascending=[False, True]).drop_duplicates("customer_id")
    by_category = first["category"].value_counts().to_dict()
    assert {v: n for (a, v), n in found.items() if a == "first_category"} == by_category
    items = first["product_id"].value_counts().rename_axis("item").reset_index(name="n")
    top = items.sort_values(["n", "item"], ascending=[False, True]).head(4).set_index("item")["n"].to_dict()
    expected = {**top, "(other)": len(first) - sum(top.values())}
    assert {v: n for (a, v), n in found.items() if a == "first_item"} == expected
    assert {v: n for (a, v), n in found.items() if a == "acquisition_channel"} == {"web": 40, "mail": 20}


def test_journeys_from_category_to_category(
    toured: Toured, bought: pd.DataFrame, purchase_days: dict[str, list[date]]
) -> None:
    net = bought.groupby(["customer_id", "day", "category"], as_index=False)["amount"].sum()
    ordered = net.sort_values(["amount", "category"], ascending=[False, True])
    largest = ordered.drop_duplicates(["customer_id", "day"]).set_index(["customer_id", "day"])["category"]
    taken: Counter[tuple[int, str, str]] = Counter()
    for customer, days in purchase_days.items():
        items = [largest[(customer, day)] for day in days[:4]]
        taken.update((step, *pair) for step, pair in enumerate(pairwise(items), start=1))
    journeys = toured.table("item_journeys")
    everyone = journeys[journeys["segment_id"] == 0]
    assert set(journeys["item_level"]) == {"category"}
    assert everyone.set_index(["step", "from_item", "to_item"])["customers"].to_dict() == taken
    # Whoever came back took the first step.
    came_back = sum(len(days) > 1 for days in purchase_days.values())
    assert everyone.loc[everyone["step"] == 1, "customers"].sum() == came_back == 59


def test_the_first_month_of_the_records_is_not_whole(toured: Toured) -> None:
    cells = toured.table("cohort_retention")
    cut = cells[~cells["is_complete"]]
    # The first order is of 2 January, and the as-of is the first day of a month.
    assert set(zip(cut["cohort_month"], cut["month_number"], strict=True)) == {(date(2023, 1, 1), 0)}


# --- the page


def test_the_report_shows_what_products_tell(toured: Toured) -> None:
    journeys, cohorts, patterns = (toured.section(name) for name in ("journeys", "cohorts", "patterns"))
    assert "Left out" not in journeys + cohorts
    assert patterns.count("Left out") == 1 and "Left out: orders name no channel." in patterns
    assert 'id="journeys-flow"' in journeys and "category 3" in journeys
    for chart in ("cohorts-by-first-item", "cohorts-by-first-category", "cohorts-by-acquisition-channel"):
        assert f'id="{chart}"' in cohorts
    for chart in ("patterns-item", "patterns-category", "patterns-brand"):
        assert f'id="{chart}"' in patterns
    assert "Product 11" in patterns  # by name, not by id
    assert "The largest category is category 3" in patterns


# --- the questions


def assert_same(answer: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(answer.columns) == list(expected.columns) and len(answer) == len(expected) > 0
    for name in answer:
        own, other = (list(frame[name].astype(object).where(frame[name].notna(), None)) for frame in (answer, expected))
        assert [v is None for v in own] == [v is None for v in other], name
        known = [(a, b) for a, b in zip(own, other, strict=True) if a is not None]
        if any(isinstance(b, float) for _, b in known):
            assert [float(a) for a, _ in known] == pytest.approx([float(b) for _, b in known], rel=1e-9), name
        else:
            assert [a for a, _ in known] == [b for _, b in known], name


def segment_names(toured: Toured) -> dict[int, str]:
    segments = toured.table("segments")
    return {0: "everyone", **dict(zip(segments["segment_id"], segments["name"], strict=True))}


def test_question_3_how_often_each_segment_buys(toured: Toured) -> None:
    segments = toured.table("segments").sort_values(["cycle_days", "segment_id"], na_position="last")
    columns = ["customers", "is_loyal", "cycle_days", "cycle_p10_days", "cycle_p90_days", "return_probability"]
    expected = segments[["name", *columns, "verdict", "is_regular"]].rename(columns={"name": "segment"})
    answer = toured.ask(3)
    assert_same(answer, expected)
    assert answer["customers"].sum() == 60


def test_question_4_new_customers_come_back(toured: Toured, purchase_days: dict[str, list[date]]) -> None:
    cells = toured.table("cohort_retention")
    cells = cells[cells["segment_id"] == 0].sort_values(["cohort_month", "month_number"])
    rows = []
    for month, part in cells.groupby("cohort_month"):
        retention = part.set_index("month_number")["retention"]
        whole = part[part["is_complete"]]
        spent = whole["cumulative_value"].iloc[-1] if len(whole) else None
        shares = [retention.get(n) for n in range(1, 7)]
        rows.append((month, part["customers"].iloc[0], *shares, spent))
    names = ["cohort_month", "customers", *(f"month_{n}" for n in range(1, 7)), "spent_each_so_far"]
    answer = toured.ask(4)
    assert_same(answer, pd.DataFrame(rows, columns=names))
    # From the orders: 49 of the 60 first bought in January.
    assert list(answer["customers"]) == [49, 5, 2, 2, 2]
    january = [days for days in purchase_days.values() if days[0] < date(2023, 2, 1)]
    back = sum(any(d.month == 3 for d in days) for days in january)
    assert answer["month_2"].iloc[0] == pytest.approx(back / 49)


def test_question_5_by_the_command_line(
    toured: Toured, purchase_days: dict[str, list[date]], bought: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cohorts after three months, and by how much each is better than the one before."""
    cells = toured.table("cohort_retention")
    third = cells[(cells["segment_id"] == 0) & (cells["month_number"] == 3) & cells["is_complete"]]
    third = third.sort_values("cohort_month")[["cohort_month", "customers", "retention", "cumulative_value"]]
    expected = third.rename(columns={"cumulative_value": "spent_each"})
    expected["change"] = expected["spent_each"] / expected["spent_each"].shift() - 1
    main(["sql", "--file", str(question(5)), "--warehouse", str(toured.store.place), "--format", "csv"])
    answer = pd.read_csv(io.StringIO(capsys.readouterr().out), parse_dates=["cohort_month"])
    answer["cohort_month"] = answer["cohort_month"].dt.date
    assert_same(answer, expected)
    # From the orders: what those of February had spent by the end of May.
    february = [c for c, days in purchase_days.items() if days[0].month == 2]
    until_may = bought[bought["customer_id"].isin(february) & (bought["day"] < date(2023, 6, 1))]
    assert answer["spent_each"].iloc[1] == pytest.approx(float(until_may["amount"].sum()) / 5)
    main(["sql", "--file", str(question(5)), "--warehouse", str(toured.store.place)])
    assert f"({len(expected)} rows)" in capsys.readouterr().out


def test_question_10_when_to_write(toured: Toured) -> None:
    curves, names = toured.table("segment_retention"), segment_names(toured)
    rows = []
    for segment, part in curves[curves["segment_id"] > 0].groupby("segment_id"):
        again = part[part["curve"] == "next_purchase"].sort_values("day")
        reached = [again.loc[again["share"] >= share, "day"].min() for share in (0.5, 0.75)]
        rows.append((segment, names[segment], *reached, part["threshold_days"].max()))
    found = pd.DataFrame(rows, columns=["segment_id", "segment", "half_back_after", "most_back_after", "lapsed_after"])
    ordered = found.sort_values(["half_back_after", "segment_id"], na_position="last").drop(columns="segment_id")
    answer = toured.ask(10)
    assert_same(answer, ordered)
    both = answer.dropna()
    assert len(both) and (both["half_back_after"] <= both["most_back_after"]).all()


def test_question_11_when_customers_buy(toured: Toured, bought: pd.DataFrame) -> None:
    patterns, names = toured.table("purchase_patterns"), segment_names(toured)
    asked = patterns[patterns["dimension"].isin(["weekday", "part_of_day"])]
    ordered = asked.sort_values(["segment_id", "dimension", "position"], ascending=[True, False, True])
    expected = ordered.assign(segment=ordered["segment_id"].map(names))
    answer = toured.ask(11)
    assert_same(answer, expected[["segment", "dimension", "value", "orders", "share", "lift"]])
    orders = bought.drop_duplicates("order_id")
    of_everyone = answer[(answer["segment"] == "everyone") & (answer["dimension"] == "weekday")].set_index("value")
    assert of_everyone["orders"].to_dict() == Counter(f"{day:%A}" for day in orders["day"])
    assert of_everyone["share"]["Monday"] == pytest.approx(of_everyone["orders"]["Monday"] / len(orders))
    hours = pd.to_datetime(orders["ordered_at"]).dt.hour
    parts = answer[(answer["segment"] == "everyone") & (answer["dimension"] == "part_of_day")].set_index("value")
    assert parts["orders"]["night 0-5"] == (hours < 6).sum()


def test_question_12_what_each_segment_buys(toured: Toured, bought: pd.DataFrame) -> None:
    patterns, names = toured.table("purchase_patterns"), segment_names(toured)
    asked = patterns[patterns["dimension"].isin(["item", "category", "brand"])]
    ordered = asked.sort_values(["segment_id", "dimension", "position"], ascending=[True, False, True])
    named = dict(toured.table("products")[["product_id", "name"]].itertuples(index=False))
    expected = ordered.assign(
        segment=ordered["segment_id"].map(names),
        place=ordered["position"],
        value=np.where(ordered["dimension"] == "item", ordered["value"].replace(named), ordered["value"]),
    )
    answer = toured.ask(12)
    assert_same(answer, expected[["segment", "dimension", "place", "value", "revenue", "share", "lift"]])
    best = answer[(answer["segment"] == "everyone") & (answer["place"] == 1)].set_index("dimension")
    sums = bought.groupby("product_id")["amount"].sum()
    assert (best["value"]["item"], best["revenue"]["item"]) == ("Product 11", sums["P11"]) and sums.max() == sums["P11"]
    assert best["value"].to_dict() == {"item": "Product 11", "category": "category 3", "brand": "brand 2"}
    assert best["share"]["category"] == pytest.approx(
        float(bought.loc[bought["category"] == "category 3", "amount"].sum() / bought["amount"].sum())
    )
