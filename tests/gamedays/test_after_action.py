"""The after-action report: its three times, what is compared, and its pages."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from chaosrunner.model import gameday_log as log
from chaosrunner.model.gameday import Role
from chaosrunner.reports.after_action import AfterAction, after_action, compared, headline, near_misses_then
from chaosrunner.reports.after_action_html import after_action_html
from chaosrunner.reports.after_action_text import after_action_json, after_action_markdown
from chaosrunner.stages.gameday import stands
from tests.gamedays.logs import START, Book, facts, game_day

FAULT = log.FaultTold(what="network-latency on checkout → payments", began=START + 20, ended=START + 50)
NEAR_MISS = log.NearMissTold(
    id="NM-2026-0001", title="checkout: <orders> break", priority="P2", state="open", owner="team", due="2026-12-01"
)
MEASURE = log.MeasureTold(
    key="h/order-time",
    unit="s",
    answer="broken",
    high=0.5,
    points=((START + 12, 0.1), (START + 30, 0.9)),
    gaps=(START + 40,),
)


def day(*notes: tuple[float, str, str, bool], **more: Any) -> Book:
    """One experiment from second 10 to 60, its fault in force at second 20, and notes (at, who, text, responds)."""
    book = Book(game_day(roles={"facilitator": "ana", "onCall": ["cleo"]}))
    book.add(log.Decided(go=True), at=5).add(log.ItemBegan(item=1), at=10)
    for at, who, text, respond in notes:
        book.add(log.NoteTaken(text=text, respond=respond), who=who, at=at)
    told = facts("BROKEN", 1, faults=(FAULT,), near_misses=(NEAR_MISS,), measures=(MEASURE,), **more)
    book.add(log.ItemEnded(item=1, facts=told), at=60)
    book.add(log.Answered(item=1, question=1, asked="Who noticed?", answer="ben & <b>cleo</b>"), at=61)
    return book.add(log.Ended(ending="finished"), at=70)


def read(book: Book, before: AfterAction | None = None) -> AfterAction:
    found = after_action("20270115-080000-bad", book.entries, before)
    assert found is not None
    return found


def alert(at: float) -> dict[str, Any]:
    return {"alerts": (log.AlertTold(name="OrdersSlow", at=START + at),), "alerts_read": True}


@pytest.mark.parametrize(
    ("notes", "more", "detect", "respond"),
    [
        ([], {}, (None, "nobody noticed: nothing here could have alerted"), None),
        ([], {"alerts_read": True}, (None, "nobody noticed: no alert fired"), None),
        ([], alert(32), (12.0, "by the alert OrdersSlow"), None),
        ([(27, "ben", "slow", False)], alert(32), (7.0, "by ben"), 7.0),
        ([(40, "ben", "slow", False)], alert(32), (12.0, "by the alert OrdersSlow"), 20.0),
        ([(27, "ben", "slow", False), (44, "cleo", "on it", True)], {}, (7.0, "by ben"), 24.0),
        ([(15, "ben", "all quiet", False)], {}, (None, "nobody noticed"), None),
        ([(25, "ana", "it begins", False)], {}, (None, "nobody noticed"), None),
        ([(25, "ana@laptop", "it begins", True)], {}, (None, "nobody noticed"), None),
    ],
)
def test_times_to_detect_and_to_respond_count_from_the_fault_in_force(
    notes: list[tuple[float, str, str, bool]],
    more: dict[str, Any],
    detect: tuple[float | None, str],
    respond: float | None,
) -> None:
    (trial,) = read(day(*notes, **more)).trials
    assert trial.detect.seconds == detect[0]
    assert trial.detect.how.startswith(detect[1])
    assert trial.respond.seconds == respond


def test_the_time_to_recover_is_the_runs() -> None:
    (trial,) = read(day(recovered_after=3.5, recovery="recovered in 3.5 s")).trials
    assert (trial.recover.seconds, trial.recover.how) == (3.5, "recovered in 3.5 s")


def test_an_item_that_was_cut_and_done_again_is_two_trials_and_counts_once() -> None:
    book = Book().add(log.Decided(go=True), log.ItemBegan(item=1), log.ItemEnded(item=1, cut=True, reason="it died"))
    book.add(log.ItemBegan(item=1, attempt=2), log.ItemEnded(item=1, attempt=2, facts=facts()))
    action = read(book)
    assert [trial.word for trial in action.trials] == ["CUT", "HELD"]
    assert headline(action) == "1 held"


def test_a_surprise_has_its_title_once_it_is_over() -> None:
    book = Book().add(log.Decided(go=True), log.ItemBegan(item=3))
    assert read(book).trials[0].title == "a surprise"
    book.add(log.ItemEnded(item=3, facts=facts(title="Payments are gone", experiment="gone")))
    action = read(book)
    assert action.trials[0].title == "Payments are gone"
    assert any("Payments are gone (it was a surprise)" in line.text for line in action.lines)
    book = Book().add(log.Decided(go=True), log.ItemBegan(item=3))
    book.add(log.ItemEnded(item=3, facts=facts(title="Payments are gone"), title="A morning without payments"))
    action = read(book)
    assert action.trials[0].title == "A morning without payments", "as the agenda calls it"
    assert any("A morning without payments (it was a surprise)" in line.text for line in action.lines)


def test_who_noticed_and_led_from_then_on_did_notice() -> None:
    book = day((27, "ben", "slow", False))
    book.add(log.Resumed(instead_of="ana"), log.Joined(person="ben", role=Role.FACILITATOR), who="ben", at=64)
    book.add(log.NoteTaken(text="I lead"), who="ben", at=65)
    action = read(book)
    assert action.trials[0].detect.how == "by ben, who wrote it down"
    assert action.people["ben"] is Role.FACILITATOR
    assert [line.said for line in action.lines if line.topic == "lead"] == ["ben: leads from now on, in place of ana"]


def test_what_a_terminal_found_that_was_taken_for_dead_is_not_lost() -> None:
    book = Book().add(log.Decided(go=True), log.ItemBegan(item=1))
    book.add(log.Resumed(instead_of="ana"), log.ItemEnded(item=1, cut=True, reason="ana's terminal died"), who="ben")
    book.add(log.ItemBegan(item=1, attempt=2), who="ben")
    book.add(log.ItemEnded(item=1, cut=True, facts=facts("GAP FOUND", 1), reason="halted: ben has taken over"))
    assert stands(book.entries).running == 1, "what comes late from there does not end what is done here"
    assert stands(book.entries).codes == {1}
    first = read(book).trials[0]
    assert first.cut and first.facts is not None and first.facts.word == "GAP FOUND"


def test_who_writes_is_there_with_the_role_that_the_file_says() -> None:
    action = read(day((27, "cleo", "slow", False), (28, "eve", "I see it", False)))
    assert action.people == {"cleo": Role.ON_CALL, "eve": None}
    assert "There: cleo (on-call), eve." in after_action_markdown(action)


def test_it_is_compared_with_the_last_one_of_the_same_name() -> None:
    before = read(day((44, "ben", "slow", False)))
    other = NEAR_MISS.model_copy(update={"id": "NM-2026-0002"})
    now = read(day((27, "ben", "slow", False)), before)
    now.near_misses = [other]
    (one,) = compared(now)
    assert one.then is not None and one.now is not None
    assert (one.then.detect.seconds, one.now.detect.seconds) == (24.0, 7.0)
    assert near_misses_then(now) == (["NM-2026-0002"], [], ["NM-2026-0001"])
    page = after_action_html(now, "2026-11-30", "1")
    assert "quicker</span> than last time (24 s)" in page and "24 s → 7 s" in page


def test_an_experiment_that_was_tried_several_times_is_compared_with_its_own_parameters() -> None:
    def tried(*values: str) -> Book:
        book = Book(game_day([{"experiment": "slow"}] * len(values))).add(log.Decided(go=True))
        for number, value in enumerate(values, 1):
            told = facts("BROKEN" if value == "9s" else "HELD", parameters={"delay": value}, title=f"slow by {value}")
            book.add(log.ItemBegan(item=number), log.ItemEnded(item=number, facts=told))
        return book

    def pairs(now: Book, then: Book) -> list[tuple[str, str]]:
        found = compared(read(now, before=read(then)))
        return [(one.now.word if one.now else "", one.then.word if one.then else "") for one in found]

    assert pairs(tried("1s", "9s"), tried("9s", "1s")) == [("HELD", "HELD"), ("BROKEN", "BROKEN")]
    assert pairs(tried("1s", "1s"), tried("1s", "1s", "9s")) == [("HELD", "HELD"), ("HELD", "HELD"), ("", "BROKEN")]
    assert pairs(tried("9s"), tried("1s")) == [("BROKEN", "HELD")], "of one and one the name is enough"


# ---------------------------------------------------------------------------------------------------------------- pages


class Page(HTMLParser):
    """Whether everything that opens is closed, and what is shown."""

    VOID = ("meta", "br", "i")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.shown = ""
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.shown += data


def test_the_page_shows_everything_and_runs_nothing() -> None:
    notes = [(27.0, "ben", "<script>alert(1)</script>", False), (30.0, "cleo", "on it", True)]
    page = Page(after_action_html(read(day(*notes, **alert(32))), "2026-12-02", "1.0"))
    assert page.open == []
    assert "script" not in page.tags
    wanted = (
        *("1 broken", "A bad day", "cleo", "<script>alert(1)</script>", "checkout: <orders> break", "order time"),
        *("by ben, who wrote it down", "ben & <b>cleo</b>", "2026-12-01, overdue", "network-latency on checkout"),
    )
    for words in wanted:
        assert words in page.shown, words


def test_a_page_of_a_day_on_which_nothing_was_tried_says_so() -> None:
    book = Book().add(log.Checked(check="support", go=False, reason="nobody there"))
    book.add(log.Decided(go=False, reason="support does not know"), log.Ended(ending="no-go"))
    page = Page(after_action_html(read(book), "2026-12-02", "1.0"))
    assert "No-go" in page.shown and "support does not know" in page.shown
    assert "to 08:00 UTC" in page.shown, "whose time it is"
    book = Book().add(log.Checked(check="Does support know?", go=True, reason="yes"))
    text = after_action_markdown(read(book.add(log.Checked(check="incidents", go=False, reason="open: NM-2026-0001"))))
    assert "- go: Does support know?\n- **no-go**: incidents: open: NM-2026-0001\n" in text


def test_markdown_has_every_part_and_no_markup_of_others() -> None:
    text = after_action_markdown(read(day((27, "ben", "a | pipe, *stars* <b>", False))))
    assert "on shop, 2027-01-15 08:00 UTC" in text
    for heading in ("# After action: A bad day", "## Near misses", "## 1. the slow one: BROKEN", "## Everything"):
        assert heading in text
    assert "a \\| pipe, \\*stars\\* \\<b\\>" in text
    assert "| NM-2026-0001 | P2 |" in text


def test_json_has_the_times_and_the_facts() -> None:
    found = json.loads(json.dumps(after_action_json(read(day((27, "ben", "slow", False))))))
    assert found["schema"] == "chaosrunner.after-action/1"
    (trial,) = found["trials"]
    assert trial["detect"] == {"seconds": 7.0, "how": "by ben, who wrote it down"}
    assert trial["facts"]["nearMisses"][0]["id"] == "NM-2026-0001"
