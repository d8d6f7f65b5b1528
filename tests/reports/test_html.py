"""The HTML report, read as a browser would read it."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from chaosrunner.model import journal as j
from chaosrunner.model.verdict import Verdict
from chaosrunner.reports.account import gather
from chaosrunner.reports.html import html_report
from chaosrunner.reports.shown_gap import ShownGap
from tests.reports import journals
from tests.reports.pages import Page

RECORDED = ShownGap(
    journals.impact(),
    id="NM-2026-0042",
    priority="P2",
    state="open",
    occurrences=1,
    remediation="remediation/NM-2026-0042.md",
)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(html_report(gather(journals.payments_are_slow()), journals.verdict(), [RECORDED]))


@pytest.fixture(scope="module")
def data(page: Page) -> dict[str, object]:
    return json.loads(next(e for e in page.all("script") if e.attributes.get("id") == "data").text)


def test_the_verdict_stands_in_words_at_the_top(page: Page) -> None:
    word = next(e for e in page.elements if e.attributes.get("id") == "verdict")
    assert word.text == "BROKEN"
    assert page.all("h1")[0].text == "Checkout keeps its promise while payments is slow"
    assert page.all("title")[0].text.startswith("BROKEN: ")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"exit_code": 0, "answer": "held"}, "HELD"),
        ({"exit_code": 1, "answer": "broken"}, "BROKEN"),
        ({"exit_code": 1, "answer": "held"}, "GAP FOUND"),
        ({"exit_code": 3, "answer": "inconclusive"}, "INCONCLUSIVE"),
        ({"exit_code": 3, "answer": "inconclusive", "ending": None}, "UNFINISHED"),
        ({"exit_code": 3, "answer": "inconclusive", "ending": "not-readable"}, "NOT READABLE"),
        ({"exit_code": 4, "answer": "inconclusive"}, "REFUSED"),
        ({"exit_code": 5, "answer": "inconclusive"}, "NOT STEADY"),
        ({"exit_code": 6, "answer": "inconclusive"}, "HALTED"),
        ({"exit_code": 7, "answer": "broken"}, "UNDO FAILED"),
        ({"exit_code": 70, "answer": "inconclusive"}, "DEFECT"),
    ],
)
def test_each_way_to_end_has_its_own_word(changes: dict[str, object], word: str) -> None:
    written = Page(html_report(gather(journals.payments_are_slow()), journals.verdict(**changes)))
    assert next(e for e in written.elements if e.attributes.get("id") == "verdict").text == word


def test_the_three_statements_are_there(page: Page) -> None:
    said = [e.text for e in page.all(look="statement")]
    assert len(said) == 3
    assert "The fault was seen in force and met 1\u202f204 times." in said[0]
    assert "2 hypotheses: 1 held, 1 broken." in said[1]
    assert "seen gone, and the system recovered in 1.8 s" in said[2]


def test_a_near_miss_shows_its_id_priority_and_remediation(page: Page) -> None:
    (gap,) = page.all(look="gap")
    for words in ("NM-2026-0042", "P2", "impact", "new", "remediation/NM-2026-0042.md", RECORDED.gap.story):
        assert words in gap.text


def test_a_tracker_address_can_be_followed_but_no_other_scheme() -> None:
    account = gather(journals.payments_are_slow())
    for place, links in (("https://tracker.example/7", 1), ("javascript:alert(1)", 0), ("file:///etc/passwd", 0)):
        shown = ShownGap(journals.impact(), id="NM-1", remediation=place)
        written = Page(html_report(account, journals.verdict(), [shown]))
        assert len(written.all("a")) == links
        assert place in written.seen


def test_every_measure_has_a_plot_with_readings_and_axes(page: Page) -> None:
    plots = page.all(look="plot")
    assert [e.attributes["data-key"] for e in plots] == [
        "checkout-slo/p99",
        "checkout-slo/error-ratio",
        "storefront-up/status",
        "storefront-up/mode",
    ]
    lines = page.all("path", "line")
    assert len(lines) == 4
    assert all(e.attributes["d"].startswith("M") for e in lines)
    assert "600 ms" in plots[0].text
    assert "10 s" in plots[0].text
    assert "fallback" in plots[3].text


def test_limits_windows_and_the_settle_part_are_drawn_where_they_were(page: Page) -> None:
    levels = [e for e in page.all("i", "level") if e.text]
    words = [e.text for e in levels]
    assert "at most 164 ms" in words
    assert "at most 61.5 ms" in words
    assert "↑ abort at 2 s" in words
    fault = next(e for e in levels if e.text == "at most 164 ms")
    assert "left:25.30%;width:50.95%" in fault.attributes["style"]
    windows = [e for e in page.all("i", "force") if e.attributes.get("style")]
    assert all("left:27.25%;width:48.75%" in e.attributes["style"] for e in windows)
    settles = [e for e in page.all("i", "settle") if e.attributes.get("style")]
    assert all("left:27.25%;width:7.50%" in e.attributes["style"] for e in settles)
    assert len(windows) == len(settles) == 5, "four plots and the overview"


def test_no_answers_and_missing_readings_are_marked_with_their_reasons_and_break_the_line(page: Page) -> None:
    marks = [e.attributes["title"] for e in page.all("i", "noanswer") if "title" in e.attributes]
    assert len(marks) == 3
    assert all("did not answer within 2 s" in title for title in marks)
    (missing,) = [e.attributes["title"] for e in page.all("i", "missing") if "title" in e.attributes]
    assert "no reading: the probe was cut off by its own time limit" in missing
    assert page.all("path", "line")[0].attributes["d"].count("M") == 3


def test_readings_outside_their_limit_are_marked(page: Page) -> None:
    outside = page.all("path", "out")
    assert len(outside) == 2
    assert outside[0].attributes["d"].count("M") == 17


def test_the_crosshair_has_the_values_of_every_measure(data: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    p99 = data["plots"]["checkout-slo/p99"]
    assert len(p99["p"]) == 2 * 35
    assert max(p99["p"][1::2]) == pytest.approx(0.74, abs=0.02)
    assert len(p99["m"]) == 4
    assert data["plots"]["storefront-up/mode"]["w"] == ["normal", "fallback"]
    assert data["factors"]["s"] == ["time", 1.0]


def test_timeline_targets_guards_and_plan_are_there(page: Page) -> None:
    timeline = page.all("table", "timeline")[0].text
    assert "IN FORCE, seen: round trip 612 ms, was 1 ms" in timeline
    assert "10.9s" in timeline
    assert "10:51:14" in timeline
    targets = page.all("table", "targets")[0].text
    for words in ("link:checkout-to-payments", "at 10.2s", "5 of 5 looks", "1\u202f204 times", "at 30.4s, finished"):
        assert words in targets
    assert "1 of 1 link is hit, at least one is allowed" in page.seen
    for words in ("--seed 7", "9f9f9f9f9f9f9f9f", "python 3.11.9"):
        assert words in page.seen


def test_a_page_needs_nothing_from_anywhere(page: Page) -> None:
    for element in page.elements:
        assert element.tag not in ("link", "iframe", "object", "embed", "base")
        assert "src" not in element.attributes
        assert "srcset" not in element.attributes
        assert not any(name.startswith("on") for name in element.attributes), "inline handlers"
        if "href" in element.attributes:
            assert element.tag == "a"
    for style in page.all("style"):
        assert "url(" not in style.text
        assert "@import" not in style.text
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\b", page.all("script")[-1].text)


def test_only_our_own_script_may_run(page: Page) -> None:
    policy = next(e for e in page.all("meta") if "http-equiv" in e.attributes).attributes["content"]
    digest = base64.b64encode(hashlib.sha256(page.all("script")[-1].text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_nothing_that_comes_from_outside_becomes_markup() -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\x1b[31m"
    changed = _everywhere(journals.verdict(inconclusive_because=("x",)).as_json(), evil)
    gap = journals.impact(title=evil, story=evil, strength=evil)
    shown = ShownGap(gap, id=evil, priority=evil, state=evil, remediation=evil)
    written = html_report(gather(journals.one_of_each()), Verdict.model_validate(changed), [shown])
    page = Page(written)
    assert len(page.all("script")) == 2
    assert page.all("img") == []
    assert "<script>alert(1)" in page.seen, "it is shown, as text"
    assert "\x1b" not in written


def test_a_script_in_names_that_the_crosshair_shows_does_not_end_its_data() -> None:
    entries = [
        *journals.payments_are_slow()[:5],
        journals.Script().at(1.0, journals.reading("storefront-up/mode", 1.0, "</script><script>alert(1)")).entries[0],
    ]
    written = html_report(gather(entries), journals.verdict())
    assert written.count("</script") == 2
    page = Page(written)
    data = json.loads(next(e for e in page.all("script") if e.attributes.get("id") == "data").text)
    assert data["plots"]["storefront-up/mode"]["w"] == ["</script><script>alert(1)"]


def _everywhere(value: object, words: str, key: str = "") -> object:
    """The same verdict with `words` as every text that is free."""
    if isinstance(value, dict):
        return {name: _everywhere(item, words, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_everywhere(item, words, key) for item in value]
    fixed = {"answer", "ending", "phase", "key", "unit"}
    return words if isinstance(value, str) and key not in fixed else value


def test_a_run_that_never_injected_and_one_that_stops_in_the_middle_have_pages_too() -> None:
    refused = journals.verdict(exit_code=4, answer="inconclusive", hypotheses=(), faults=(), recovery=None)
    first = [journals.payments_are_slow()[0]]
    page = Page(html_report(gather(first), refused))
    assert "Nothing was injected." in page.seen
    half = [entry for entry in journals.payments_are_slow() if entry.t < 20]
    page = Page(html_report(gather(half), journals.verdict(exit_code=3, ending=None)))
    assert "NOT UNDONE" in page.seen


def test_many_measures_over_a_long_time_stay_under_one_megabyte() -> None:
    keys = [f"checkout-slo/m{number}" for number in range(200)]
    measures = [journals.P99 | {"key": key, "name": key.partition("/")[2]} for key in keys]
    plan = journals.plan(hypotheses=({"name": "checkout-slo", "title": "All", "measures": measures},))
    script = journals.Script().at(0.0, journals.started(plan))
    for second in range(600):
        script.at(second, *(journals.reading(key, second, 0.04 + (second % 17) / 1000) for key in keys))
    account = gather(script.entries)
    hypothesis = journals.verdict().hypotheses[0]
    verdicts = tuple(hypothesis.measures[0].model_copy(update={"key": key}) for key in keys)
    whole = hypothesis.model_copy(update={"measures": verdicts})
    written = html_report(account, journals.verdict(hypotheses=(whole,)))
    assert len(Page(written).all(look="plot")) == 200
    assert len(written.encode()) < 1_000_000


def test_an_abort_and_faults_one_after_the_other_have_lanes_of_their_own() -> None:
    entries = journals.payments_are_slow()
    limit = j.LimitReached(measure="checkout-slo/p99", limit="at most 2s", value=2.5, reading_ended=20.0)
    at = next(index for index, entry in enumerate(entries) if entry.t > 20)
    entries.insert(at, j.Entry(n=0, t=20.01, at=0.0, event=limit))
    page = Page(html_report(gather(entries), journals.verdict()))
    (lanes,) = page.all("div", "lanes")
    assert "--rows:3" in lanes.attributes["style"]
    assert lanes.text.startswith("phasesslowabort")
    marker = next(e for e in page.all("i", "abort") if "--row" in e.attributes["style"])
    assert marker.attributes["style"] == "left:50.00%;width:0.00%;--row:2"


def test_latencies_that_differ_by_orders_of_magnitude_get_a_logarithmic_axis() -> None:
    script = journals.Script().at(0.0, journals.started(journals.plan()))
    for second in range(1, 30):
        script.at(second, journals.reading("checkout-slo/p99", second, 0.004 if second < 15 else 9.0))
    page = Page(html_report(gather(script.entries), journals.verdict()))
    assert [e.text for e in page.all("span", "log")] == ["log scale"]
    assert "10 ms" in page.all(look="plot")[0].text
