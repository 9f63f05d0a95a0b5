"""What was known of a customer before a campaign started, and who responded: hand-worked."""

from __future__ import annotations

from datetime import date

import pytest
from loyalty_shops import Line, lines_frame
from pyspark.sql import DataFrame, Row, SparkSession

from habitue.config import resolve
from habitue.errors import NotApplicable
from habitue.tables.loyalty import _work_response_snapshots as response_snapshots

AS_OF = date(2024, 6, 1)
CAMPAIGNS = [
    ("spring", date(2024, 3, 1), date(2024, 3, 10), "mail"),
    ("april", date(2024, 4, 1), date(2024, 4, 10), "mail"),
    ("may", date(2024, 5, 1), date(2024, 5, 10), "app"),
    ("running", date(2024, 5, 25), date(2024, 6, 1), "mail"),  # its last day is the as-of
    ("coming", date(2024, 6, 10), date(2024, 6, 20), "app"),
    ("later", date(2024, 6, 15), date(2024, 6, 25), "mail"),  # of which nothing is known to have been sent
    ("undated", None, None, "app"),
]
SENDS = [
    *((c, "ann", date(2024, d.month, 1)) for c, d, _, _ in CAMPAIGNS[:3]),  # type: ignore[union-attr]
    ("running", "ann", date(2024, 5, 25)),
    ("coming", "ann", date(2024, 5, 30)),
    ("april", "bob", date(2024, 4, 1)),
    ("april", "new", date(2024, 4, 1)),
    ("may", "bob", date(2024, 4, 20)),  # before the campaign starts
    ("undated", "bob", date(2024, 4, 20)),
]
RESPONSES = [
    ("spring", "ann", date(2024, 3, 10)),  # on the last day
    ("spring", "ann", date(2024, 4, 1)),  # too late for spring, and not before april starts
    ("april", "bob", date(2024, 4, 11)),  # a day late
    ("may", "ann", date(2024, 5, 1)),
    ("running", "ann", date(2024, 5, 26)),
]
# Ann paid 6 for teas before april of 10 in all; the pot and the last tea came after.
LINES = [
    Line("1", "ann", date(2024, 2, 1), date(2024, 2, 1), "tea", 1, "2.00", "0.10"),
    Line("2", "ann", date(2024, 3, 5), date(2024, 3, 5), "tea", 1, "4.00"),
    Line("2", "ann", date(2024, 3, 5), date(2024, 3, 5), "mug", 1, "4.00"),
    Line("3", "ann", date(2024, 4, 1), date(2024, 4, 1), "tea", 1, "9.00"),
    Line("4", "ann", date(2024, 5, 28), date(2024, 5, 28), "pot", 1, "9.00"),
    Line("5", "bob", date(2024, 2, 1), date(2024, 4, 5), "tea", 1, "3.00"),  # not known when april started
    Line("6", "new", date(2024, 4, 2), date(2024, 4, 2), "tea", 1, "3.00"),
    Line("7", "gone", date(2023, 5, 1), date(2023, 5, 1), "tea", 1, "3.00"),  # more than a year before the as-of
    Line("8", "gave back", date(2024, 5, 1), date(2024, 5, 1), "tea", 1, "3.00"),
    Line("8", "gave back", date(2024, 5, 9), date(2024, 5, 9), "tea", -1, "-3.00", None, True),
    Line("9", "unknown", date(2024, 5, 1), AS_OF, "tea", 1, "3.00"),
]
PROMOTED = [("april", "tea"), ("april", "pot"), ("may", "pot"), ("coming", "pot")]


def rows_by_key(spark: SparkSession, lines: list[Line], responses: list[tuple[str, str, date]]) -> dict[str, Row]:
    def frame(rows: list[tuple[object, ...]], types: str) -> DataFrame:
        return spark.createDataFrame(rows, types)

    built = response_snapshots.build(
        frame(list(SENDS), "campaign_id string, customer_id string, known_day date"),
        frame(list(CAMPAIGNS), "campaign_id string, starts_on date, ends_on date, kind string"),
        frame(list(responses), "campaign_id string, customer_id string, known_day date"),
        lines_frame(spark, lines),
        AS_OF,
        resolve().config.features,
        campaign_products=frame(list(PROMOTED), "campaign_id string, product_id string"),
    )
    rows = response_snapshots.TABLE.conform(built).collect()
    return {f"{row['campaign_id']} {row['customer_id']}": row for row in rows}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> dict[str, Row]:
    return rows_by_key(spark, LINES, RESPONSES)


def test_one_row_a_send_of_a_dated_campaign(rows: dict[str, Row]) -> None:
    listed = {key for key, row in rows.items() if row["is_listed"]}
    assert listed == {f"{c} {who}" for c, who, _ in SENDS if c != "undated"}
    assert rows["april ann"]["snapshot_on"] == date(2024, 4, 1)
    assert rows["coming ann"]["snapshot_on"] == AS_OF  # nothing is known of the days between


def test_a_coming_campaign_that_nothing_is_sent_of_is_for_everybody_with_a_purchase_day_in_the_look_back(
    rows: dict[str, Row],
) -> None:
    assert {key for key in rows if key.startswith("later")} == {"later ann", "later bob", "later new"}
    ann, coming = rows["later ann"], rows["coming ann"]
    assert (ann["is_listed"], ann["has_responded"], ann["snapshot_on"]) == (False, None, AS_OF)
    same = ("purchase_day_count", "days_since_last_order", "responses_before", "sends_before", "amount_90d")
    assert [ann[n] for n in same[:3]] == [4, 4, 4]  # known is what the campaigns with a list know
    assert [ann[n] for n in (*same[:3], "amount_90d")] == [coming[n] for n in (*same[:3], "amount_90d")]
    assert ann["sends_before"] == coming["sends_before"] + 1  # a campaign's own message is none before it


def test_labels_are_responses_within_the_campaign(rows: dict[str, Row]) -> None:
    labels = {key: row["has_responded"] for key, row in rows.items()}
    assert labels == {
        "spring ann": True, "april ann": False, "may ann": True, "april bob": False, "april new": False, "may bob": False,
        "running ann": None, "coming ann": None, "later ann": None, "later bob": None, "later new": None,
    }  # fmt: skip


def test_contacts_before(rows: dict[str, Row]) -> None:
    names = ("sends_before", "campaigns_responded_before", "responses_before", "days_since_last_response")
    of_kind = ("same_kind_sends_before", "same_kind_responded_before")
    assert [rows["spring ann"][n] for n in (*names, *of_kind)] == [0, 0, 0, None, 0, 0]
    assert [rows["april ann"][n] for n in (*names, *of_kind)] == [1, 1, 1, 22, 1, 1]  # from 10 March to 1 April
    assert [rows["may ann"][n] for n in (*names, *of_kind)] == [2, 1, 2, 30, 0, 0]
    # The campaign's own message is none before it, though it was sent earlier; that of the undated campaign is one.
    assert [rows["may bob"][n] for n in (*names, *of_kind)] == [2, 1, 1, 20, 1, 0]
    assert rows["may ann"]["plain_score"] == 2


def test_the_campaigns_products(rows: dict[str, Row]) -> None:
    names = [n for n in response_snapshots.NUMERIC_FEATURES if n.startswith("campaign_product")]
    assert names == [
        "campaign_product_count", "campaign_products_bought", "campaign_product_days", "campaign_product_amount",
        "campaign_product_share",
    ]  # fmt: skip
    assert [rows["april ann"][n] for n in names] == [2, 1, 2, 6, pytest.approx(0.6)]
    assert rows["april ann"]["days_since_campaign_product"] == 27  # from 5 March
    assert [rows["may ann"][n] for n in names] == [1, 0, 0, 0, 0]
    assert [rows["coming ann"][n] for n in names] == [1, 1, 1, 9, pytest.approx(9 / 28)]


def test_the_campaign_itself(rows: dict[str, Row]) -> None:
    row = rows["april bob"]
    assert (row["campaign_kind"], row["campaign_length_days"], row["campaign_product_count"]) == ("mail", 10, 2)


def test_history_strictly_before_the_campaign(rows: dict[str, Row]) -> None:
    ann = rows["april ann"]
    assert (ann["purchase_day_count"], ann["days_since_last_order"], ann["amount_90d"]) == (2, 27, 10)
    assert ann["coupon_order_share"] == 0.5  # of two orders; no discount given is none
    assert rows["april bob"]["purchase_day_count"] is None  # what was bought in February was known on 5 April
    assert rows["may bob"]["days_since_last_order"] == 90
    assert (rows["april new"]["purchase_day_count"], rows["april new"]["campaign_product_days"]) == (None, None)


def test_what_follows_changes_no_feature(spark: SparkSession, rows: dict[str, Row]) -> None:
    start = date(2024, 4, 1)
    other = rows_by_key(
        spark,
        [line for line in LINES if line.known_day < start] + [LINES[0]._replace(order_id="x", order_day=start, known_day=start)],
        [r for r in RESPONSES if r[2] < start] + [("april", "ann", date(2024, 4, 5))],
    )  # fmt: skip
    for key in ("spring ann", "april ann", "april bob", "april new"):
        was, is_now = rows[key].asDict() | {"has_responded": None}, other[key].asDict() | {"has_responded": None}
        assert was == is_now
    assert other["april ann"]["has_responded"] is True


def test_nothing_sent_is_said(spark: SparkSession) -> None:
    sends = spark.createDataFrame([("undated", "bob", AS_OF)], "campaign_id string, customer_id string, known_day date")
    over = [plan for plan in CAMPAIGNS if plan[1] is None or plan[1] < AS_OF]
    plans = spark.createDataFrame(over, "campaign_id string, starts_on date, ends_on date, kind string")
    with pytest.raises(NotApplicable, match="sent to anybody or is to come"):
        response_snapshots.build(
            sends, plans, sends, lines_frame(spark, LINES), AS_OF, resolve().config.features
        )  # fmt: skip


def test_every_feature_has_a_source() -> None:
    features = {*response_snapshots.NUMERIC_FEATURES, *response_snapshots.TEXT_FEATURES}
    assert set(response_snapshots.FEATURE_SOURCES) == features
