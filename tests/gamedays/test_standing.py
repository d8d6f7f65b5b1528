"""Where a game day stands and what is next, from its log alone: no terminal, no clock, no files."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from chaosrunner.judging.reading import Reading
from chaosrunner.model import gameday_log as log
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.gameday import AgendaItem, StopWhen, is_same
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.tolerance import Tolerance
from chaosrunner.stages.gameday import (
    SURPRISE,
    Move,
    Step,
    changed_items,
    fires,
    next_move,
    repeatable,
    stands,
    steadiness,
    stop_reached,
)
from tests.gamedays.logs import Book, facts

GO = log.Decided(go=True)


def move(book: Book) -> Move:
    return next_move(stands(book.entries), book.agenda)


def ended(item: int, attempt: int = 1, **more: Any) -> log.ItemEnded:
    return log.ItemEnded(item=item, attempt=attempt, **more)


def answered(question: int) -> log.Answered:
    return log.Answered(item=1, question=question, asked="?", answer="yes")


def test_a_game_day_from_its_beginning_to_its_end() -> None:
    book = Book()
    walked: list[tuple[Frozen | None, Move]] = [
        (None, Move(Step.CHECK)),
        (GO, Move(Step.BEGIN, 1)),
        (log.ItemBegan(item=1), Move(Step.WAIT, 1)),
        (log.RunBegan(item=1, run="run-1"), Move(Step.WAIT, 1)),
        (ended(1, facts=facts()), Move(Step.ASK, 1, 1)),
        (answered(1), Move(Step.ASK, 1, 2)),
        (answered(2), Move(Step.BEGIN, 2)),
        (log.ItemBegan(item=2), Move(Step.WAIT, 2)),
        (ended(2), Move(Step.BEGIN, 3)),
        (log.ItemSkipped(item=3), Move(Step.END)),
        (log.Ended(ending="finished"), Move(Step.OVER)),
    ]
    for event, expected in walked:
        book.add(*([event] if event else []))
        assert move(book) == expected, event
    assert stands(book.entries).exit_code == 0


def test_where_it_stands_after_every_entry_is_where_it_stands_when_the_log_is_read_again() -> None:
    book = Book().add(GO, log.ItemBegan(item=1), ended(1, facts=facts()), answered(1), log.Paused(), log.WentOn())
    for count in range(len(book.entries) + 1):
        one_by_one = stands(itertools.chain(book.entries[:count]))
        assert one_by_one == stands(list(book.entries[:count]))


def test_a_no_go_ends_it_with_exit_code_4() -> None:
    book = Book().add(log.Decided(go=False, reason="support does not know"))
    assert move(book) == Move(Step.END)
    assert stands(book.entries).exit_code == 4


def test_an_item_that_was_broken_off_is_begun_again_or_skipped() -> None:
    book = Book().add(GO, log.ItemBegan(item=1), ended(1, cut=True, reason="the facilitator's terminal died"))
    assert move(book) == Move(Step.CUT, 1)
    assert stands(book.entries).exit_code == 6
    again = Book().add(GO, log.ItemBegan(item=1), ended(1, cut=True), log.ItemBegan(item=1, attempt=2))
    assert move(again) == Move(Step.WAIT, 1)
    assert stands(again.entries).items[0].attempts == 2
    assert move(book.add(log.ItemSkipped(item=1))) == Move(Step.BEGIN, 2)


def test_what_was_cut_and_then_done_leaves_no_trace_in_the_exit_code() -> None:
    book = Book().add(GO, log.ItemBegan(item=1), ended(1, cut=True, facts=facts("HALTED", 6)))
    assert stands(book.entries).exit_code == 6
    book.add(log.ItemBegan(item=1, attempt=2), ended(1, 2, facts=facts()))
    assert stands(book.entries).exit_code == 0


def test_what_an_item_had_found_before_it_was_cut_counts() -> None:
    book = Book().add(GO, log.ItemBegan(item=1), ended(1, cut=True, facts=facts("BROKEN", 1)), log.ItemSkipped(item=1))
    assert stands(book.entries).exit_code == 1


def test_a_halt_waits_for_the_run_to_be_taken_back_and_then_ends_everything() -> None:
    book = Book().add(GO, log.ItemBegan(item=1)).add(log.HaltAsked(reason="customers call"), who="ben")
    assert move(book) == Move(Step.WAIT, 1)
    book.add(ended(1, cut=True))
    assert move(book) == Move(Step.END)
    assert stands(book.entries).exit_code == 6


def test_a_pause_holds_what_comes_next() -> None:
    book = Book().add(GO, log.Paused())
    assert move(book) == Move(Step.PAUSED, 1)
    assert move(book.add(log.WentOn())) == Move(Step.BEGIN, 1)


def test_a_condition_to_stop_holds_until_somebody_decides() -> None:
    book = Book().add(GO, log.ItemBegan(item=1), ended(1, facts=facts()), answered(1), answered(2))
    book.add(log.StopReached(condition="broken", text="it broke"))
    assert move(book) == Move(Step.STOPPED, 2)
    assert move(book.add(log.Decided(go=True, reason="we want to know"))) == Move(Step.BEGIN, 2)


def test_the_experiment_done_last_can_be_repeated_and_its_questions_are_not_asked_again() -> None:
    book = Book()
    assert repeatable(stands(book.entries), book.agenda) == 0
    book.add(GO, log.ItemBegan(item=1), ended(1, facts=facts()), answered(1), answered(2))
    book.add(log.ItemBegan(item=2), ended(2))
    assert repeatable(stands(book.entries), book.agenda) == 1
    book.add(log.ItemBegan(item=1, attempt=2), ended(1, 2, facts=facts("BROKEN", 1)))
    assert move(book) == Move(Step.BEGIN, 3)
    standing = stands(book.entries)
    assert [each.word for each in standing.items[0].facts] == ["HELD", "BROKEN"]
    assert standing.exit_code == 1


@pytest.mark.parametrize(("codes", "worst"), [((0, 3), 3), ((5, 1), 1), ((1, 70), 70), ((70, 7), 7), ((4, 6), 6)])
def test_the_worst_run_decides_the_exit_code(codes: tuple[int, int], worst: int) -> None:
    book = Book().add(GO)
    for item, code in zip((1, 3), codes, strict=True):
        book.add(log.ItemBegan(item=item), ended(item, facts=facts(code=code)))
    assert stands(book.entries).exit_code == worst


def test_a_line_of_a_newer_version_and_one_that_is_damaged_change_nothing() -> None:
    book = Book().add(GO)
    before = stands(book.entries)
    for event in (
        {"type": "danced", "item": 1},
        {"type": "item-began", "item": "x"},
        {"type": "item-began", "item": 9},
    ):
        entry = log.GameDayEntry(id="new", at=1.0, who="eve", event=event)
        assert stands([*book.entries, entry]) == before


# ------------------------------------------------------------------------------------------------------------ surprises


def test_the_log_says_nothing_of_a_surprise() -> None:
    line = stands(Book().entries).began
    assert line is not None
    assert (line.agenda[2].title, line.agenda[2].experiment, line.agenda[2].blind) == (SURPRISE, "", True)
    assert "gone" not in str(line.as_json())
    assert line.agenda[0].experiment == "slow"


def test_an_agenda_that_changed_meanwhile_is_noticed_by_item() -> None:
    book = Book()
    standing = stands(book.entries)
    assert changed_items(standing, book.agenda) == []
    other = AgendaItem(experiment="gone", blind=True, briefing="now with a briefing")
    assert changed_items(standing, (*book.agenda[:2], other)) == [3]
    assert changed_items(standing, book.agenda[:2]) == [3]
    assert changed_items(standing, (*book.agenda, other)) == [4]


# ------------------------------------------------------------------------------------------------------------- to stop


@pytest.mark.parametrize(
    ("rules", "what", "lasted", "firing", "condition"),
    [
        ({}, {"exit_code": 7}, 0, [], "undo-failed"),
        ({}, {"incident": True}, 0, [], "incident"),
        ({"incident": False}, {"incident": True}, 0, [], None),
        ({}, {"answer": "broken"}, 0, [], None),
        ({"broken": True}, {"answer": "broken"}, 0, [], "broken"),
        ({"aborted": True}, {"aborted": True}, 0, [], "aborted"),
        ({"firing": ["Page"]}, {}, 0, ["Page"], "firing"),
        ({"after": "1h"}, {}, 3599, [], None),
        ({"after": "1h"}, {}, 3600, [], "after"),
    ],
)
def test_when_it_should_stop(
    rules: dict[str, Any], what: dict[str, Any], lasted: float, firing: list[str], condition: str | None
) -> None:
    met = stop_reached(StopWhen.model_validate(rules), facts(**what), lasted, firing)
    assert (met.condition if met is not None else None) == condition


def test_an_alert_is_meant_by_its_name_or_by_a_label() -> None:
    firing = [{"alertname": "Slow", "severity": "page"}, {"alertname": "Full", "severity": "ticket"}]
    assert fires(["severity=page"], firing) == ["Slow"]
    assert fires(["Full"], firing) == ["Full"]
    assert fires(["severity=none", "Other"], firing) == []


# -------------------------------------------------------------------------------------------------------- steady state


def measure(at_most: str = "200ms") -> PlannedMeasure:
    tolerance = Tolerance.model_validate({"atMost": at_most})
    return PlannedMeasure(
        key="h/m", hypothesis="h", name="m", probe="http", unit="s", every=1, timeout=1, lag=0, tolerance=tolerance
    )


@pytest.mark.parametrize(
    ("reading", "own_load", "go"),
    [
        (Reading(0, 1, value=0.1), False, True),
        (Reading(0, 1, value=0.3), False, False),
        (Reading(0, 1, value=0.3), True, True),
        (Reading(0, 1, no_answer="refused"), False, False),
        (Reading(0, 1, no_answer="refused"), True, False),
        (Reading(0, 1, missing="the metrics server is down"), True, False),
    ],
)
def test_one_reading_tells_whether_the_system_is_steady(reading: Reading, own_load: bool, go: bool) -> None:
    assert steadiness([measure()], {"h/m": reading}, own_load=own_load)[0] is go


def test_what_cannot_be_held_against_a_baseline_yet_need_only_be_readable() -> None:
    assert steadiness([measure("2x baseline")], {"h/m": Reading(0, 1, value=9.0)}) == (True, "1 of 1 readings in order")
    assert steadiness([measure()], {}) == (True, "nothing is read, 1 are read in its baseline")


def test_people_are_known_by_their_whole_name_or_what_stands_before_the_at() -> None:
    assert is_same("cleo", "cleo@host") and is_same("@dora", "Dora") and is_same("ben@laptop", "ben@laptop")
    assert not is_same("ben@laptop", "ben") and not is_same("cleo", "eve")
