"""What happened to near misses is told to those who follow, whoever did it and whoever died: once, and in its order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.catching_up import OVERLAP, catch_up
from chaosrunner.app.telling import post
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.news import News
from chaosrunner.model.report import Report
from chaosrunner.model.words import RejectedAs, Source, State, WaivedAs
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register
from chaosrunner.stages.news import of_near_misses
from chaosrunner.stages.register import Registered
from tests.near_misses.world import DAY, ONE_RUN, START, SetClock, facts, finding, gap, passing, plan
from tests.news.test_telling import Office

ALL = [each.value for each in News]


class Watched:
    """A register, and a team that follows what happens to it."""

    def __init__(self, folder: Path, **params: Any) -> None:
        self.clock = SetClock()
        call = {"webhook": {"url": "http://127.0.0.1:9/", "secret": {"env": "KEY"}, **params}}
        self.office = Office(folder, self.clock, {"KEY": "a key to sign with"}, call)
        self.register: Register = open_register(folder, self.clock)
        self.catch_up()

    def catch_up(self) -> list[str]:
        """The headlines that are kept, oldest first."""
        self.clock.at += 1
        catch_up(self.register, self.office.environment, self.office.receivers, self.office.desk)
        assert not self.office.said
        return [each.headline for each in reversed(self.office.outbox.posted())]

    def shows(self, run: str, **changes: Any) -> None:
        self.clock.at += 60
        self.register.record(facts(run, at=self.clock.at, **changes), [finding()])

    def change(self, to: State, **changes: Any) -> None:
        self.clock.at += 60
        good: dict[str, Any] = {"actor": "ana", "reason": "because", "accepted_by": "bob", "owner": "team-a"}
        self.register.change("1", Change(to=to, at=self.clock.at, **(good | changes)))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path, events=ALL)
    yield made
    made.register.close()


WAIVER = {"until": "2026-10-01", "waived_as": WaivedAs.ENVIRONMENT_ONLY}


def test_what_a_runner_recorded_and_could_not_tell_is_told_by_the_next_command(watched: Watched) -> None:
    watched.shows("run-1")
    watched.shows("run-2")
    told = watched.catch_up()
    assert [each.partition(":")[0] for each in told] == ["New near miss", "Seen again"]
    assert watched.catch_up() == told


def test_what_a_run_told_itself_is_not_told_again(watched: Watched) -> None:
    recorded = watched.register.record(facts("run-1", at=watched.clock.at), [finding()])
    done, known = Registered(tuple(recorded)), [each.near_miss for each in recorded]
    post(of_near_misses(plan(), "run-1", done, known, watched.clock.at), watched.office.receivers, watched.office.desk)
    (kept,) = [each["text"] for each in watched.office.outbox.open_for("shop/webhook")]
    assert len(watched.catch_up()) == 1
    assert [each["text"] for each in watched.office.outbox.open_for("shop/webhook")] == [kept]


def test_what_people_do_by_command_is_told_once_in_its_order(watched: Watched) -> None:
    watched.shows("run-1")
    for to, more in (
        (State.TRIAGED, {}),
        (State.WAIVED, WAIVER),
        (State.OPEN, {}),
        (State.REJECTED, {"rejected_as": RejectedAs.OUT_OF_SCOPE}),
    ):
        watched.change(to, **more)
        watched.catch_up()
    watched.shows("run-2")
    assert [each.partition(":")[0] for each in watched.catch_up()] == [
        "New near miss",
        "NM-2026-0001 of checkout is now triaged",
        "Waived until 2026-10-01",
        "NM-2026-0001 of checkout is now open",
        "Rejected",
        "Regressed",
    ]
    watched.clock.at += OVERLAP / 2
    assert len(watched.catch_up()) == 6


def test_a_fix_that_runs_verified_is_told_although_the_last_of_them_could_not(watched: Watched) -> None:
    watched.shows("run-1")
    watched.change(State.FIX_READY, change="commit 1")
    watched.catch_up()
    watched.clock.at += 60
    watched.register.passed(passing("run-2", at=watched.clock.at, verification=ONE_RUN))
    assert watched.catch_up()[-1].startswith("Verified: NM-2026-0001")


def test_what_is_overdue_is_told_once_for_each_date(watched: Watched) -> None:
    watched.shows("run-1")
    watched.clock.at += 200 * DAY
    (overdue,) = [each for each in watched.catch_up() if each.startswith("Overdue")]
    assert "NM-2026-0001" in overdue
    watched.clock.at += DAY
    assert sum(each.startswith("Overdue") for each in watched.catch_up()) == 1


def test_the_end_of_a_waiver_is_told(watched: Watched) -> None:
    watched.shows("run-1")
    watched.change(State.WAIVED, **WAIVER)
    watched.catch_up()
    watched.clock.at = START + 30 * DAY
    assert "NM-2026-0001 of checkout is now open" in [each.partition(":")[0] for each in watched.catch_up()]


def test_others_environments_and_alerts_that_people_heard_of_are_no_news(watched: Watched) -> None:
    watched.shows("run-1", environment="another")
    told = Report(title="Slow", service="checkout", environment="shop", source=Source.ALERT, at=watched.clock.at)
    watched.register.report(told, "alertmanager")
    assert watched.catch_up() == []
    watched.register.report(told.model_copy(update={"title": "Seen", "source": Source.PERSON}), "ana")
    assert [each.rpartition(", ")[2] for each in watched.catch_up()] == ["Seen"]


def test_who_is_named_later_is_not_told_the_past(tmp_path: Path) -> None:
    clock = SetClock()
    with open_register(tmp_path, clock) as register:
        register.record(facts("run-1", at=clock.at), [finding(gap(service="cart"))])
    clock.at += 60
    late = Watched(tmp_path)
    assert late.catch_up() == []
    late.shows("run-2")
    assert len(late.catch_up()) == 1
    late.register.close()


def test_by_itself_nobody_is_told_of_each_move(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.shows("run-1")
    watched.change(State.TRIAGED)
    watched.change(State.WAIVED, **WAIVER)
    assert [each.partition(":")[0] for each in watched.catch_up()] == ["New near miss", "Waived until 2026-10-01"]
    watched.register.close()
