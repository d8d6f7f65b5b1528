"""Who leads through a game day: never two, whichever machines their terminals are on. Here machines are state folders,
and what they share is a database file; PostgreSQL is asked in `tests/register/test_game_days.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosrunner.app.gamedays import DayBook, Shelf, halt_day
from chaosrunner.app.lead import Lead, Pace
from chaosrunner.app.leading import Leading, Office
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model import gameday_log as log
from chaosrunner.model.journal import Entry, RunStarted
from chaosrunner.stages.gameday import Move, Step
from chaosrunner.stages.gameday_file import load_game_day
from tests.gamedays.test_file import ENVIRONMENT, EXPERIMENT, GOOD
from tests.near_misses.world import SetClock

NEVER_BEATS = Pace(counts=60.0, doubtful=40.0, beat=3600.0)
ENDS_AT_ONCE = Pace(counts=0.0, doubtful=40.0, beat=3600.0)
"""As of one who was not heard of for long."""

OnMachine = Callable[[str], Leading]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def on_machine(tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> OnMachine:
    """`gameday run` on a machine, by the facilitator whose name it has: begins a game day, or goes on."""
    (tmp_path / "shop.yaml").write_text(ENVIRONMENT)
    (tmp_path / "nothing.yaml").write_text(EXPERIMENT)
    (tmp_path / "day.yaml").write_text(GOOD)
    monkeypatch.setenv("CHAOSRUNNER_REGISTER", f"sqlite:///{tmp_path}/shared.db")

    def sits_down(person: str, pace: Pace = NEVER_BEATS) -> Leading:
        monkeypatch.setenv("CHAOSRUNNER_WHO", person)
        office = Office(tmp_path / person, clock, lambda words: None, pace)
        shelf = office.shelf
        book = shelf.unfinished("bad-day") or shelf.elsewhere("bad-day") or shelf.new("bad-day")
        return Leading(load_game_day("bad-day", tmp_path), book, office)

    return sits_down


def begun_without_the_register(on_machine: OnMachine, folder: Path) -> Leading:
    """By ana, while the shared register was out of reach; it is back by now."""
    (folder / "shared.db").mkdir()
    leading = on_machine("ana")
    leading.begin()
    (folder / "shared.db").rmdir()
    return leading


def died(leading: Leading) -> None:
    """Its process is killed: the kernel drops its lock, and nobody renews its lease, which counts on."""
    leading.lead._lock.drop()


def events(book: DayBook) -> list[str]:
    return [str(entry.event["type"]) for entry in book.all()]


def test_somebody_on_another_machine_does_not_lead_while_the_first_one_does(on_machine: OnMachine) -> None:
    first = on_machine("ana")
    assert first.begin() is False
    second = on_machine("ben")
    assert second.book.id == first.book.id, "the other machine knows of it"
    with pytest.raises(UsageError, match=r"ana leads through .*bad-day in another terminal.*run bad-day --take-over"):
        second.begin()
    assert second.ask_for_lead() == second.ask_for_lead() == "ana"
    first.look()
    assert first.standing.wanted_by == "ben"
    assert events(first.book).count("hand-over-asked") == 1, "it is asked once"
    first.hand_over()
    assert second.ask_for_lead() == ""
    assert second.begin() is True
    assert second.lead.before == "ana"
    assert "ben" in str(second.book.all()[-1].who) and second.standing.wanted_by == ""
    with pytest.raises(UsageError, match="ben leads through"):
        on_machine("ana").begin()
    second.leave()


def test_who_was_not_heard_of_for_long_is_followed_and_what_was_under_way_is_cut(on_machine: OnMachine) -> None:
    first = on_machine("ana", ENDS_AT_ONCE)
    first.begin()
    first.write(log.Decided(go=True), log.ItemBegan(item=1))
    second = on_machine("ben")
    assert second.begin() is True, "a lease that has ended is anybody's"
    assert second.move() == Move(Step.CUT, 1)
    cut = next(entry.told for entry in second.book.all() if entry.event["type"] == "item-ended")
    assert isinstance(cut, log.ItemEnded) and cut.reason == "the terminal of ana died"

    assert first.lead.trouble == "", "it was not told yet"
    with pytest.raises(NotPossibleNow, match="ben has taken over"):
        first.lead.confirm()
    assert first.lead.lost_to == "ben"
    first.write(log.ItemEnded(item=1, cut=True, reason="halted by chaosrunner: ben has taken over"))
    first.leave()
    with pytest.raises(UsageError, match="ben leads through"):
        on_machine("cleo").begin()
    second.leave()


async def test_nothing_is_broken_by_one_who_leads_no_more(on_machine: OnMachine) -> None:
    first = on_machine("ana", ENDS_AT_ONCE)
    first.begin()
    first.write(log.Decided(go=True))
    second = on_machine("ben")
    second.begin()
    with pytest.raises(NotPossibleNow, match="ben has taken over"):
        await first.run_item(1, lambda entry: None)
    assert "item-began" not in events(first.book)
    first.leave()
    second.leave()


@pytest.mark.real_time
async def test_what_runs_is_halted_and_taken_back_as_soon_as_somebody_else_leads(
    on_machine: OnMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "machine"))
    first = on_machine("ana", Pace(counts=0.0, doubtful=40.0, beat=0.02))
    first.begin()
    first.write(log.Decided(go=True))
    second = on_machine("ben")

    def observe(entry: Entry) -> None:
        if isinstance(entry.event, RunStarted):
            assert second.begin() is True

    ended = await first.run_item(1, observe)
    assert ended.cut and ended.reason == "halted by chaosrunner: ben has taken over"
    assert ended.facts is not None and (ended.facts.exit_code, ended.facts.faults) == (6, ())
    second.look()
    assert second.move() == Move(Step.CUT, 1), "and what it says late changes nothing"
    first.leave()
    second.leave()


def test_a_process_that_died_is_followed_at_once_in_the_same_state_folder(on_machine: OnMachine) -> None:
    first = on_machine("ana")
    first.begin()
    died(first)
    again = on_machine("ana")
    assert again.begin() is True
    assert again.lead.before == "", "it is the same facilitator"
    again.leave()


def test_whoever_cannot_renew_the_lead_gives_it_up_before_anybody_else_may_have_it(
    on_machine: OnMachine, clock: SetClock, tmp_path: Path
) -> None:
    first = on_machine("ana")
    first.begin()
    first.lead._shared.close()  # type: ignore[union-attr]
    (tmp_path / "shared.db").rename(tmp_path / "out-of-reach.db")
    (tmp_path / "shared.db").mkdir()
    clock.at += NEVER_BEATS.doubtful - 1
    first.lead.confirm()
    clock.at += 2
    assert first.lead.trouble == "the register has been out of reach for 41 s, so somebody else may take over"
    with pytest.raises(NotPossibleNow, match="out of reach for 41 s"):
        first.lead.confirm()
    (tmp_path / "shared.db").rmdir()
    (tmp_path / "out-of-reach.db").rename(tmp_path / "shared.db")
    first.lead.confirm()
    assert first.lead.trouble == "", "nobody has taken it meanwhile"
    first.leave()


def test_a_beginning_waits_for_no_register_and_a_going_on_does(
    on_machine: OnMachine, tmp_path: Path, clock: SetClock
) -> None:
    (tmp_path / "shared.db").mkdir()
    first = on_machine("ana")
    assert first.begin() is False
    first.write(log.Decided(go=True))
    died(first)
    with pytest.raises(NotPossibleNow, match=r"whether somebody leads through .* on another machine cannot be told"):
        on_machine("ana").begin()


def test_the_register_hears_of_a_game_day_only_with_who_leads_through_it(
    on_machine: OnMachine, tmp_path: Path, clock: SetClock
) -> None:
    first = begun_without_the_register(on_machine, tmp_path)
    clock.at += 60
    first.look()
    assert Shelf(tmp_path / "ben", clock, print).ids() == [], "or somebody could take over what is led"
    first.lead.confirm()
    first.look()
    assert Shelf(tmp_path / "ben", clock, print).ids() == [first.book.id]
    first.leave()


def test_one_whose_leader_the_register_does_not_know_is_left_to_them_for_two_beats(
    on_machine: OnMachine, tmp_path: Path, clock: SetClock
) -> None:
    first = begun_without_the_register(on_machine, tmp_path)
    Shelf(tmp_path / "ana", clock, print).open(None).exchange()  # somebody who watches beside them
    second = on_machine("ben")
    assert second.ask_for_lead() == "the one who began it"
    clock.at += 2 * NEVER_BEATS.beat - 1
    assert second.ask_for_lead() == "the one who began it"
    first.lead.confirm()
    clock.at += 2
    assert second.ask_for_lead() == "ana"
    first.leave()
    assert second.ask_for_lead() == ""
    second.leave()


@pytest.mark.parametrize("gone", [True, False])
def test_a_halt_from_another_machine_ends_a_game_day_that_nobody_leads(
    on_machine: OnMachine, tmp_path: Path, clock: SetClock, gone: bool
) -> None:
    first = on_machine("ana")
    first.begin()
    if gone:
        first.leave()
    there = Shelf(tmp_path / "eve", clock, print).open(None)
    assert there.leader == ("" if gone else "ana")
    halt_day(there, "customers call")
    assert ("ended" in events(there)) is gone
    first.leave()


def test_the_same_machine_without_a_register_hands_over_too(
    on_machine: OnMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHAOSRUNNER_REGISTER")
    first = on_machine("ana")
    first.begin()
    monkeypatch.setenv("CHAOSRUNNER_WHO", "ben")
    office = Office(tmp_path / "ana", SetClock(), lambda words: None)
    second = Leading(load_game_day("bad-day", tmp_path), office.shelf.open(None), office)
    assert second.ask_for_lead() == "ana"
    first.hand_over()
    assert (second.ask_for_lead(), second.begin(), second.lead.before) == ("", True, "ana")
    second.leave()


def test_a_lead_is_kept_by_beats_and_let_go_with_what_was_written(on_machine: OnMachine, clock: SetClock) -> None:
    first = on_machine("ana", Pace(counts=60.0, doubtful=40.0, beat=0.01))
    first.begin()
    clock.at += 100
    fresh = Lead(first.book, first.folder, clock, print)
    assert fresh.trouble == ""
    for _ in range(500):
        if not first.lead.trouble:
            break
        first.lead._over.wait(0.01)
    assert first.lead.trouble == "", "the thread has renewed it"
    first.write(log.NoteTaken(text="the last word"))
    first.leave()
    there = on_machine("ben")
    assert json.dumps([entry.as_json() for entry in there.book.all()]).count("the last word") == 1
    assert there.book.leader == ""
