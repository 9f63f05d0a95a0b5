"""What the page says of content made by hand: its sentences, its key figures, and the figures inside its charts."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest
import shop_content

from habitue.report import wording
from habitue.report.charts import STRONG_ORANGE
from habitue.report.page import page
from habitue.report.parts import Content


@pytest.fixture(scope="module")
def text() -> str:
    return written(shop_content.content())


def written(content: Content) -> str:
    """The page, without the library that it carries."""
    return page(content).replace(wording.NBSP, " ").split("</footer>")[0]


def changed(section: str, **frames: pd.DataFrame | None) -> str:
    """The page with other frames in one section; None: without the frame."""
    whole = shop_content.content()
    own = {name: frame for name, frame in {**whole.frames[section], **frames}.items() if frame is not None}
    return written(replace(whole, frames={**whole.frames, section: own}))


def said(text: str, section: str) -> str:
    """The words of a section, or of a segment's panel, without tags and without the charts' figures."""
    kind = "article" if section.startswith("segment-") else "section"
    inside = re.split(rf'<{kind}[^>]*id="{section}"[^>]*>', text)[1].split(f"</{kind}>")[0]
    bare = re.sub(r"<script.*?</script>", "", inside, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", bare).split())).replace(" .", ".").replace(" ,", ",")


def overview(text: str) -> str:
    return said(text, "overview").split(" Customers ")[0]


def chart(text: str, id_: str) -> dict[str, Any]:
    """The Plotly figure of a chart as the page has it."""
    after = text.split(f'<figure class="chart" id="{id_}">')[1]
    figure: dict[str, Any] = json.loads(after.split('<script type="application/json">')[1].split("</script>")[0])
    return figure


def test_five_sentences_answer_who_how_often_what_first_and_what_next(text: str) -> None:
    found = overview(text)
    assert (
        "600 customers (24.3 %) are loyal, with at least 27 purchase days in the last 90 days; they paid 54.4 %"
        in found
    )
    # The median gap of loyal customers is 10 + 3 x -1.4 + 4 = 9.8 days, of regular ones 14.
    assert "The typical loyal customer comes back after 9.8 days, the typical regular one after 14 days." in found
    # 300 of 600 and 500 of 1,869; of SADDLES, which nearly all loyal started with, there are 28 only.
    assert "commonest first product of loyal customers is MILK <2%>: 50.0 % of them started with it" in found
    assert "of regular customers 26.8 %." in found
    assert (
        "Look next at Fortnightly, small baskets, of the segments that are not loyal the one that brings in most"
        in found
    )
    assert "and at the 188 prospects, whose chance to turn loyal is 34.4 % on average (7.4 % for all regular" in found
    assert len(re.findall(r"\.(?= [A-Z0-9]|$)", found)) == 5


def test_what_is_not_known_gives_its_place_to_the_next_best() -> None:
    """Without the contrasts the segments answer; the prospects are left out where nobody is scored."""
    found = overview(changed("overview", contrasts=None, prospects=None))
    assert (
        "The typical gap between two purchases is from 5.2 days in Weekly regulars with large baskets to 62 days in"
        in found
    )
    assert "All customers form 6 segments, the largest of them Fortnightly, small baskets with 27.9 %" in found
    assert "prospects" not in found and "first product" not in found
    assert len(re.findall(r"\.(?= [A-Z0-9]|$)", found)) == 5


@pytest.mark.parametrize(
    ("left_out", "next_look"),
    [
        ((), "Look next at the 188 prospects, whose chance"),
        # 2,093,210.50 of 4,593,210.50.
        (
            ("prospects",),
            "Look next at the 1,869 regular customers, who paid 45.6 % of the revenue of the last 365 days, and at",
        ),
        (("prospects", "contrasts", "loyal"), "Look next at how many new and returning customers each month brings."),
    ],
)
def test_a_shop_of_one_segment_is_told_where_to_look_next(left_out: tuple[str, ...], next_look: str) -> None:
    one = shop_content.segments().head(1).assign(share=1.0, customers=2469, is_loyal=False)
    assert next_look in overview(changed("overview", segments=one, **dict.fromkeys(left_out)))


def test_the_best_cohort_is_of_enough_customers() -> None:
    """November's 100 % are of 29 customers, December's of none that are over."""
    cells = shop_content.cells()
    is_tiny = (cells["cohort_month"].map(lambda month: month.month) == 11) & (cells["month_number"] == 1)
    tiny = cells.assign(
        customers=cells["customers"].mask(is_tiny, 29),
        retained=cells["retained"].mask(is_tiny, 29),
        retention=cells["retention"].mask(is_tiny, 1.0),
        is_complete=cells["is_complete"] | is_tiny,
    )
    found = said(changed("cohorts", cells=tiny), "cohorts")
    # January: 0.7 - 0.02 - 0.01 of 900.
    assert "Of the cohorts of at least 30 customers that of January 2017 did best: 67.0 % of 900." in found
    small = cells.assign(customers=29, retained=20)
    found = said(changed("cohorts", cells=small), "cohorts")
    assert "bought again in the month after their first." in found and "did best" not in found


def test_the_figures_of_many_months_fit_on_paper() -> None:
    """Eighteen cohorts, followed for up to 17 months: twelve columns of months, then those of month 13 to 17 for five cohorts."""
    rows = [
        (date(2016 + i // 12, 1 + i % 12, 1), number, 100, 90 - number, 0.9 - number / 100, True)
        for i in range(18)
        for number in range(18 - i)
    ]
    cells = pd.DataFrame(rows, columns=list(shop_content.cells().columns), dtype=object)
    after = changed("cohorts", cells=cells).split('id="cohort-retention"')[1].split("</details>")[0]
    tables = after.split("<table>")[1:]
    assert [re.findall(r"Month (\d+)</th>", table)[-1] for table in tables] == ["12", "17"]
    assert [table.count("<tr>") for table in tables] == [1 + 17, 1 + 5]
    # Of the first cohort 90 - 17 in a hundred.
    assert "73.0 %" in tables[1]


def test_the_retention_curve_is_called_what_it_is(text: str) -> None:
    found = said(text, "retention")
    assert "Of all gaps, the share that is over by each day." in found and "with a gap that is still open" in found
    # 1 - 0.5^(30 / 20).
    assert (
        "30 days after a purchase, 64.6 % of all gaps are over, those of one-time buyers counted as still open."
        in found
    )
    assert "gaps that end" not in found and "next purchases come" not in found


def test_the_commonest_start_is_of_those_who_came_back(text: str) -> None:
    """At step 1, popularity alone gives 450, 390, 330 and 270 customers by the item that they come from."""
    steps = shop_content.journeys()
    first = steps[steps["step"] == 1].groupby("from_item")["customers"].sum()
    most, everyone = first["FLUID MILK PRODUCTS"], first.sum()
    share = wording.share(most / everyone).replace(wording.NBSP, " ")
    assert (
        f"Of the {everyone:,} customers who came back, and whose first two purchase days have a known category, {most} ({share})"
        " started with FLUID MILK PRODUCTS; no other category shown by name was the start of more."
        in said(text, "journeys")
    )


def test_what_exceeds_popularity_has_a_dark_shade_of_its_own(text: str) -> None:
    """Milk after milk at three steps, soft drinks after beer at one; style.css outlines this very colour."""
    colors = chart(text, "journeys-flow")["data"][0]["link"]["color"]
    assert colors.count(STRONG_ORANGE) == 4
    red, green, blue = (int(STRONG_ORANGE[i : i + 2], 16) for i in (1, 3, 5))
    assert f'.sankey-link[style*="fill: rgb({red}, {green}, {blue})"] {{ stroke: var(--ink)' in text
    assert "Dark, with a dark outline: significantly more" in said(text, "journeys")


def test_first_purchases_stand_beside_the_shops_loyal_share(text: str) -> None:
    figure = chart(text, "loyalty-first-purchase")
    dots = figure["data"][0]
    # 30 of 150 and 300 of 800; SADDLES are of 29 customers. The last is drawn on top.
    assert dots["y"] == ["BEER", "MILK &lt;2%&gt;"] and dots["x"] == pytest.approx([20.0, 37.5])
    assert [c.replace("\u00a0", " ") for c in dots["customdata"]] == ["150 customers", "800 customers"]
    assert "%{customdata}" in dots["hovertemplate"]
    # 600 of 2,469.
    assert figure["layout"]["shapes"][0]["x0"] == pytest.approx(24.3013, abs=1e-4)
    assert "Which first purchases lead to loyalty" in said(text, "loyalty")


def test_categories_come_before_products_and_nothing_without_enough_customers() -> None:
    contrasts = shop_content.contrasts()
    is_first = contrasts["feature"] == "first_item"
    categories = contrasts[is_first].assign(feature="first_category", value=["DAIRY", "DRINKS", "TACK"])
    both = changed("loyalty", contrasts=pd.concat([contrasts, categories], ignore_index=True), everyone=None)
    figure = chart(both, "loyalty-first-purchase")
    assert figure["data"][0]["y"] == ["DRINKS", "DAIRY"] and "shapes" not in figure["layout"]
    rare = contrasts.assign(regular_customers=contrasts["regular_customers"].mask(is_first, 1))
    rare = rare.assign(loyal_customers=rare["loyal_customers"].mask(is_first, 28))
    assert 'id="loyalty-first-purchase"' not in changed("loyalty", contrasts=rare)


def test_a_segment_is_described_beyond_its_cycle(text: str) -> None:
    found = said(text, "segment-1")
    choices = [
        "Hour: 08 12.0 % of their orders 2.4 times everyone's share",
        "Weekday: Saturday 30.0 % of their orders 1.6",
    ]
    choices.append("Category: <BEER> 20.0 % of what they buy 1.3 times everyone's share")
    assert all(choice in found for choice in choices)
    # Too rare, too like the others, the fourth, and no choice of theirs.
    assert not any(name in found for name in ("CAVIAR", "OWN", "DAIRY", "Month: 05"))
    assert "Value of a basket USD 17.50 median; half of them between USD 7.11 and USD 36.77" in found
    assert "Units in a basket 8.5 median; half of them between 3 and 23" in found
    assert "Orders with a discount 83.9 % 15.8 % of their price taken off" in found
    told = re.search(r"Among its members: (.*?) Verdict", found)
    assert told is not None
    # Three sentences: a second window of one amount, what restates the rule, and the fourth are not said.
    assert re.findall(r"(\w+): loyal", told[1]) == ["amount_60d", "trend", "breadth"]
    others = said(text, "segment-2")
    assert "Among its members" not in others and "Value of a basket" not in others and "everyone's share" not in others


def test_a_segment_without_those_tables_has_its_page(text: str) -> None:
    found = said(changed("segments", patterns=None, contrasts=None), "segment-1")
    assert "Verdict: representative." in found and "Among its members" not in found and "basket USD" not in found


def test_a_segments_verdict_and_rule_are_in_words(text: str) -> None:
    assert "Verdict: representative. The cycle speaks for the members: 81.0 % of them" in said(text, "segment-1")
    assert "Verdict: mixed. The cycle does not speak for the members, who are each regular in a" in said(
        text, "segment-5"
    )
    assert "Verdict: irregular. The cycle does not speak for the members: 50.0 % of them" in said(text, "segment-8")
    assert "Verdict: insufficient. Too few members have bought three times to say" in said(text, "segment-9")
    rule = "As a rule: purchase_days_90d >= 13 and average_order_value >= 24.50 (F1 0.93 on customers"
    assert rule in said(text, "segment-1") and "As a rule" not in said(text, "segment-9")
    assert "Do not time messages by date" in said(text, "segment-1")
    assert "Messages may be timed by date" in said(text, "segment-3")


def test_a_segments_gaps_are_drawn_beside_those_of_customers_who_come_at_random(text: str) -> None:
    own, memoryless, marks = chart(text, "cycle-3")["data"]
    assert (own["name"], memoryless["name"]) == ("this segment", "if they came at random")
    assert (own["line"]["dash"], memoryless["line"]["dash"]) == ("solid", "dash")
    assert marks["x"] == [6.6, 29.8, 77.0]
    assert "share that is over by each day" in said(text, "segment-3") and "Of the gaps that end" in said(
        text, "segment-3"
    )
    assert 'id="cycle-9"' not in text


@pytest.mark.parametrize("criterion", ["choice-silhouette", "choice-cycle-gain"])
def test_the_chosen_number_of_segments_has_a_ring(text: str, criterion: str) -> None:
    line, ring = chart(text, criterion)["data"]
    assert ring["x"] == [6] and ring["text"] == ["chosen"] and ring["marker"]["symbol"] == "circle-open"
    failed = [n for n, symbol in zip(line["x"], line["marker"]["symbol"], strict=True) if symbol == "x"]
    assert failed == [11, 12]


def test_baskets_discounts_and_new_products_are_key_figures(text: str) -> None:
    found = said(text, "patterns")
    assert "Value of a basket USD 17.50 median; half of them between USD 7.11 and USD 36.77" in found
    assert "Orders with a discount 83.9 % 15.8 % of their price taken off" in found
    assert "New products 58.3 % of what is bought after the first purchase day" in found
    # Without discounts, and without amounts.
    known = shop_content.levels()
    found = said(changed("patterns", levels=known[known["dimension"] == "new_items"]), "patterns")
    assert "New products" in found and "Orders with a discount" not in found and "median; half" not in found


def test_patterns_say_what_orders_do_not_tell(text: str) -> None:
    # The hand-made rows are of months, weekdays, hours, categories and values of baskets.
    assert "Left out: orders name no products; orders have no discounts; orders name no channel." in said(
        text, "patterns"
    )
    known = shop_content.patterns()
    more = [("item", "P1"), ("channel", "web"), ("discount", "with discount"), ("brand", "A")]
    whole = pd.concat([known, pd.DataFrame(more, columns=["dimension", "value"]).assign(position=1, share=1.0)])
    assert "Left out" not in said(changed("patterns", patterns=whole), "patterns")
    dates = known[known["dimension"].isin(["month", "weekday"])]
    assert "orders have no time of day; orders name no products; orders have no amounts;" in said(
        changed("patterns", patterns=dates), "patterns"
    )


def test_a_season_is_of_twelve_months(text: str) -> None:
    figure = chart(text, "patterns-season")
    assert figure["data"][0]["x"][0] == "Jan" and figure["data"][0]["y"] == [0.95] * 11 + [1.5]
    eleven = shop_content.patterns()
    eleven = eleven[(eleven["dimension"] != "month") | (eleven["position"] != 12)]
    assert 'id="patterns-season"' not in changed("patterns", patterns=eleven)


def test_every_link_has_one_place_to_go(text: str) -> None:
    ids = re.findall(r'<[a-z]+ [^>]*?\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 40
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_paper_has_every_figure(text: str) -> None:
    """Nobody can point at a chart on paper, or unfold a table."""
    on_paper = text.split("@media print")[1].split("</style>")[0]
    hidden = re.findall(r"([^{}]+)\{[^}]*display: none", on_paper)
    assert hidden and not any("details" in selectors for selectors in hidden)
    assert "details::details-content { content-visibility: visible" in on_paper
    assert "By popularity" in text.split('id="journeys">')[1].split("</section>")[0]
