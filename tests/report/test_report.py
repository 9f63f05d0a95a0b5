"""The page opened in a real browser, and the report that a run writes."""

from __future__ import annotations

import os
import runpy
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import shop_content
import yaml
from browser import CHROMIUM, Tab, browser
from pyspark.sql import SparkSession
from small_shop import assert_second_reader

from habitue.config import resolve
from habitue.errors import HabitueError
from habitue.report import glossary_markdown, wording, write_report
from habitue.report.page import page
from habitue.report.parts import Content
from habitue.store import Store

TOUR = Path(__file__).parents[2] / "notebooks" / "tour.py"
MOST_BYTES = 8_000_000
WIDTHS = {"desktop": (1280, 900), "phone": (375, 812), "small phone": (360, 640)}
MUST_HAVE_CHROMIUM = os.environ.get("CHROMIUM_REQUIRED") == "1"
IN_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None and not MUST_HAVE_CHROMIUM, reason="chromium is not installed: the page is not opened"
)

# What is wrong with the charts that are shown, by id: not drawn, without traces, or with text beyond the chart's edge.
CHART_FAULTS = """
[...document.querySelectorAll('.chart')].filter(c => c.offsetParent !== null).flatMap(c => {
  const plot = c.querySelector('.plot'), svg = plot.querySelector('.main-svg');
  if (!svg || !plot._fullData || !plot._fullData.length) return [c.id + ': not drawn'];
  if (!plot.querySelector('.trace, .sankey-node, .hm, .point')) return [c.id + ': no trace'];
  const box = plot.getBoundingClientRect();
  return [...plot.querySelectorAll('text')].filter(t => {
    const b = t.getBoundingClientRect();
    return t.textContent.trim() && b.width > 0 && (b.left < box.left - 2 || b.right > box.right + 2);
  }).map(t => c.id + ': cut off: ' + t.textContent);
})
"""
# Whatever reaches beyond the window and is not in a frame that scrolls by itself.
OVERFLOW = """
[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .contents, svg, .skip')
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.tagName + '.' + e.className)
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(shop_content.content()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    assert CHROMIUM is not None, "CHROMIUM_REQUIRED is set, and there is no chromium"
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def wait_until_drawn(tab: Tab) -> None:
    tab.run(
        "new Promise(done => { const look = () => [...document.querySelectorAll('.chart')].every(c =>"
        " c.offsetParent === null || c.querySelector('.main-svg')) ? done() : setTimeout(look, 20);"
        " look(); setTimeout(done, 30000); })"
    )
    tab.settle()


def complaints(tab: Tab) -> list[str]:
    """Whatever the page said to the console, threw, or asked of anywhere but itself."""
    said = [str(e) for e in tab.of("Runtime.consoleAPICalled") if e["type"] in ("error", "warning", "assert")]
    thrown = [str(e["exceptionDetails"]) for e in tab.of("Runtime.exceptionThrown")]
    logged = [str(e["entry"]) for e in tab.of("Log.entryAdded") if e["entry"]["level"] in ("error", "warning")]
    asked = [e["request"]["url"] for e in tab.of("Network.requestWillBeSent")]
    return [*said, *thrown, *logged, *(url for url in asked if not url.startswith(("file://", "data:")))]


@IN_CHROMIUM
@pytest.mark.parametrize("window", WIDTHS)
def test_the_page_draws_everything_fits_and_asks_nobody(html: Path, tab: Tab, window: str) -> None:
    tab.open(html, *WIDTHS[window])
    wait_until_drawn(tab)
    # The contents' own script ran to its end, so nothing above it threw.
    assert tab.run("document.querySelectorAll('.contents a').length") == tab.run(
        "document.querySelectorAll('main > section').length"
    )
    assert tab.run("document.querySelectorAll('.chart').length") > 25
    assert tab.run(CHART_FAULTS) == []
    assert tab.run(OVERFLOW) == []
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert complaints(tab) == []


@IN_CHROMIUM
def test_the_picker_shows_one_segment_and_a_link_picks_it(html: Path, tab: Tab) -> None:
    tab.open(html, *WIDTHS["phone"])
    shown = "[...document.querySelectorAll('.panel')].filter(p => !p.hidden).map(p => p.id)"
    # Most customers first: segment 2 has 690.
    assert tab.run(shown) == ["segment-2"]
    for segment in (1, 3, 5, 8, 9):
        tab.run(f"location.hash = '#segment-{segment}'")
        tab.settle()
        assert tab.run(shown) == [f"segment-{segment}"]
        assert tab.run("document.querySelector('.picker select').value") == f"segment-{segment}"
        assert tab.run(CHART_FAULTS) == []
    tab.run("(s => { s.value = ''; s.dispatchEvent(new Event('change')) })(document.querySelector('.picker select'))")
    assert len(tab.run(shown)) == len(shop_content.NAMES)
    assert complaints(tab) == []


@IN_CHROMIUM
def test_print_shows_every_segment(html: Path, tab: Tab) -> None:
    tab.open(html, *WIDTHS["desktop"])
    wait_until_drawn(tab)
    tab.run("dispatchEvent(new Event('beforeprint'))")
    assert tab.run("document.querySelectorAll('.panel[hidden]').length") == 0
    assert tab.run("document.querySelectorAll('details:not([open])').length") == 0
    widths = tab.run("[...new Set([...document.querySelectorAll('.plot')].map(p => p._fullLayout.width))]")
    assert widths == [640]
    tab.run("dispatchEvent(new Event('afterprint'))")
    assert tab.run("document.querySelectorAll('.panel:not([hidden])').length") == 1
    assert tab.run("document.querySelectorAll('details[open]').length") == 0
    # Without the script, too: folded tables have their height on paper.
    heights = (
        "[...document.querySelectorAll('#journeys details table, #cohorts details table')].map(t => t.offsetHeight)"
    )
    tab.send("Emulation.setEmulatedMedia", media="print")
    on_paper = tab.run(heights)
    tab.send("Emulation.setEmulatedMedia", media="")
    assert len(on_paper) > 2 and min(on_paper) > 30
    assert complaints(tab) == []


@IN_CHROMIUM
def test_flows_beyond_popularity_have_an_outline(html: Path, tab: Tab) -> None:
    """Four flows: milk after milk at three steps, soft drinks after beer at one."""
    tab.open(html, *WIDTHS["desktop"])
    wait_until_drawn(tab)
    drawn = "[...document.querySelectorAll('#journeys-flow .sankey-link')].map(p => getComputedStyle(p))"
    dark = "s => s.fill === 'rgb(196, 78, 0)'"
    outlined = "s => s.stroke === 'rgb(34, 34, 34)' && s.strokeOpacity === '1' && s.strokeWidth === '1.4px'"
    assert tab.run(f"{drawn}.filter({dark}).length") == 4
    assert tab.run(f"{drawn}.filter({outlined}).length") == 4
    assert tab.run(f"{drawn}.filter({dark}).every({outlined})")


@IN_CHROMIUM
def test_what_the_data_say_is_never_run(html: Path, tab: Tab) -> None:
    tab.open(html, *WIDTHS["desktop"])
    wait_until_drawn(tab)
    assert tab.run("document.querySelector('h1').textContent") == "Corner & <Sons> Grocery"
    assert tab.run("document.querySelectorAll('main script:not([type=\"application/json\"]), main img').length") == 0
    cells = "[...document.querySelectorAll('#rows-in code')].map(c => c.textContent)"
    assert shop_content.HOSTILE in tab.run(cells)
    # In charts, too, the tags of a name are letters.
    labels = "[...document.querySelectorAll('#segment-shares text')].map(t => t.textContent).join(' ')"
    assert "<b>irregular</b>" in tab.run(labels)


@IN_CHROMIUM
def test_a_shop_of_dates_alone_has_a_page_without_empty_charts(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(shop_content.small_shop()), encoding="utf-8")
    tab.open(path, *WIDTHS["phone"])
    wait_until_drawn(tab)
    assert tab.run("[...document.querySelectorAll('.chart')].map(c => c.id)") == [
        "orders-by-month",
        "customers-by-month",
    ]
    assert tab.run(CHART_FAULTS) == [] and tab.run(OVERFLOW) == [] and complaints(tab) == []
    text = tab.run("document.querySelector('main').textContent").replace(wording.NBSP, " ")
    assert "3 customers placed 4 orders between" in text and "Nobody is loyal" in text
    assert "Revenue" not in tab.run("document.querySelector('#overview').textContent")
    assert "None" not in text and "nan" not in text.split("How each number")[0]


def test_the_file_is_whole_and_small(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert html.stat().st_size < MOST_BYTES
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    for reference in ('src="http', "src='http", 'href="http', "@import", 'url("http'):
        assert reference not in text.replace("http://www.w3.org", "").split("<script>")[0]


def test_the_overview_says_what_the_tables_say() -> None:
    text = page(shop_content.content()).replace(wording.NBSP, " ")
    overview = text.split('<section id="overview">')[1].split("</section>")[0]
    assert "2,469 customers placed 155,848 orders worth USD 4,593,210 between 1 January 2017" in overview
    # 600 of 2,469 are 24.3 %; 2,500,000 of 4,593,210.50 are 54.4 %.
    assert "600 customers (24.3 %) are loyal, with at least 27 purchase days in the last 90 days" in overview
    assert "they paid 54.4 % of the revenue of the last 365 days" in overview
    # Representative are segments 1, 2 and 3: 410 + 690 + 540 of 2,469.
    assert "66.4 %</strong><span>of customers are in a segment whose purchase cycle speaks for its members" in overview


def test_columns_that_are_not_there_are_left_out() -> None:
    whole = shop_content.content()
    least = whole.frames["segments"]["segments"][["segment_id", "name", "customers", "share"]]
    overview = {**whole.frames["overview"], "segments": least}
    frames = {"overview": overview, "segments": {"segments": least}}
    others = {section: f"there is no table for {section}" for section in whole.frames if section not in frames}
    text = page(Content(whole.shop, frames, others))
    assert "Fortnightly, small baskets" in text
    assert "Typical gap</dt>" not in text and "Verdict" not in text
    assert "Left out: there is no table for cohorts." in text


def test_a_month_that_is_not_over_is_no_drop() -> None:
    """December ends after the as-of day (20 December): it is not the last whole month, and its cohort cells are empty."""
    text = page(shop_content.content()).replace(wording.NBSP, " ")
    # November: 100 % less 40 new of 2,120.
    assert "In November 2017, the last whole month, 98.1 % of the 2,120 customers had bought before." in text
    assert "Striped: December 2017 was not over." in text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.1234, "12.3 %"), (0, "0 %"), (1, "100 %"), (0.0004, "under 0.1 %"), (0.9997, "over 99.9 %"), (None, "–")],
)
def test_shares_have_three_digits_at_most(share: float | None, text: str) -> None:
    assert wording.share(share).replace(wording.NBSP, " ") == text


def test_amounts_days_and_counts_read_well() -> None:
    assert wording.amount(Decimal("1234567.8900"), "EUR").replace(wording.NBSP, " ") == "EUR 1,234,568"
    assert wording.amount(Decimal("28.3500"), None) == "28.35"
    assert [wording.days(d).replace(wording.NBSP, " ") for d in (1.0, 4.55, 29.8)] == ["1 day", "4.5 days", "30 days"]
    assert wording.signed_share(-0.012).replace(wording.NBSP, " ") == "\N{MINUS SIGN}1.2 %"
    assert wording.amount(pd.NA, "EUR") == wording.NO_FIGURE


def test_the_glossary_is_one_list() -> None:
    text = glossary_markdown()
    assert "- **purchase day**: A shop-local day on which" in text
    terms = [line.split("**")[1] for line in text.splitlines() if line.startswith("- **")]
    assert len(terms) == len(set(terms)) > 20


ORDERS = """order,customer,when,total
1,ann,2024-01-01,10.00
2,ann,2024-01-08,20.00
3,ann,2024-01-15,30.00
4,ann,2024-02-01,40.00
5,bob,2024-01-03,5.00
6,bob,2024-02-03,<b>ten</b>
7,bob,2024-02-10,15.50
8,cat,2024-02-14,7.25
9,cat,2024-02-20,2.75
10,cat,2024-03-01,100.00
"""


def test_the_tour_runs_and_the_report_is_of_its_tables(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nine of ten orders can be used: 10 + 20 + 30 + 40 + 5 + 15.50 + 7.25 + 2.75 + 100 = 230.50."""
    (tmp_path / "orders.csv").write_text(ORDERS)
    columns = {"order_id": "order", "customer_id": "customer", "ordered_at": "when", "amount": "total"}
    settings = {
        "warehouse": str(tmp_path / "warehouse"),
        "shop": {"name": "Three <customers>", "currency": "EUR"},
        "sources": {"orders": {"path": str(tmp_path / "orders.csv"), "columns": columns}},
        "cleaning": {"max_quarantined_share": 0.5},
    }
    config = resolve(overrides=settings).config
    store = Store(spark, config, "run1")
    with pytest.raises(HabitueError, match="no tables"):
        write_report(store, config)
    file = tmp_path / "shop.yml"
    file.write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("HABITUE_CONFIG", str(file))
    result = runpy.run_path(str(TOUR))["result"]
    shown = capsys.readouterr().out
    assert "segments_latest" in shown and "return_probability" in shown  # what the notebook's cells print
    path = write_report(store, config, result)
    assert path == str(tmp_path / "warehouse" / "report.html") and result.as_of == date(2024, 3, 2)
    text = Path(path).read_text(encoding="utf-8").replace(wording.NBSP, " ")
    assert "3 customers placed 9 orders worth EUR 230.50 between 1 January 2024 and 1 March 2024." in text
    assert "Three &lt;customers&gt;" in text
    assert "Of 10 rows, 1 (10.0 %) could not be used and were set aside." in text
    assert "&lt;b&gt;ten&lt;/b&gt;" in text
    for source in ("campaign_products", "campaigns", "customers", "products", "responses", "sends"):
        assert f"names no source {source}" in text
    assert "response_evaluation, response_scores" in text
    # Orders name no products: the section of journeys and the list of what was left out say so.
    sections = {
        name: text.split(f'<section id="{name}">')[1].split("</section>")[0]
        for name in ("journeys", "rows-in", "cohorts", "patterns")
    }
    assert "Left out: orders name no products." in sections["journeys"]
    assert f"Left out: {result.skipped['cohort_retention_by']}." in sections["cohorts"]
    assert "orders name no products; orders have no discounts; orders name no channel." in sections["patterns"]
    assert result.skipped["item_journeys"] == "orders name no products"
    for table in ("cohort_retention_by", "item_journeys"):
        assert table in sections["rows-in"] and result.skipped[table] in sections["rows-in"]
    assert {"segments", "segment_members", "cohort_retention", "purchase_patterns"} <= assert_second_reader(store)
    # Again from the tables alone: the same page.
    assert write_report(store, config) == path
    assert Path(path).read_text(encoding="utf-8").replace(wording.NBSP, " ") == text
