"""`near-miss prune`: what it removes, and what it never does. With PostgreSQL: real_time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chaosrunner.cli import chaosrunner
from chaosrunner.clock import SystemClock
from chaosrunner.model.course import Course, Stretch
from chaosrunner.model.evidence import Clue, Clues
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import Evidence, Found
from chaosrunner.model.report import Report
from chaosrunner.model.words import Phase, State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register
from chaosrunner.store.outbox import Fate, Outbox
from chaosrunner.store.played import PlayedRunbooks
from tests.near_misses.world import DAY, ONE_RUN, START, SetClock, facts, finding, gap, passing
from tests.register.conftest import Place, databases, place

__all__ = ["databases", "place"]

BEFORE = START + 50 * DAY


def rich(**identity: str) -> Found:
    """A gap with a curve and a sample of the log."""
    course = Course(stretches=(Stretch(phase=Phase.FAULT, seconds=1.0, values=(1.0, 2.0)),))
    clue = Clue(what="log", how="new", source="loki", subject="<*> failed", says="a new line", sample="bob@x failed")
    clues = Clues(began=START, ended=START + 1, usual_from=START - 60, found=(clue,))
    found = finding(gap(identity=identity or {"to": "payments"}))
    evidence = (Evidence(measure="p99", worst=1.2, limit=0.5, unit="s", course=course),)
    return found.model_copy(update={"evidence": evidence, "clues": clues})


def fill(register: Register, clock: SetClock) -> None:
    """One that is verified, one that is open, both long ago; and an alert that a run caused."""
    register.record(facts("run-1"), [rich(), rich(to="mail")])
    register.told(Report(title="Slow", service="checkout", environment="shop", at=clock.at), "alertmanager")
    clock.at += DAY
    register.change("1", Change(to=State.FIX_READY, actor="ana", at=clock.at, change="commit 1"))
    register.passed(passing("run-2", at=clock.at + 60, verification=ONE_RUN))
    clock.at += 100 * DAY


def kinds(lines: list[str]) -> list[str]:
    return [json.loads(line)["type"] for line in lines]


def test_of_what_was_closed_long_ago_curves_and_samples_go_and_all_else_stays(place: Place) -> None:
    clock = SetClock()
    with open_register(place("pruned"), clock) as register:
        fill(register, clock)
        before = list(register.export())
        known = register.show("1"), register.show("2")
        dry = register.prune(BEFORE, "ana", "50d", remove=False)
        assert list(register.export()) == before and (dry.near_misses, dry.occurrences) == (("NM-2026-0001",), 1)

        assert register.prune(BEFORE, "ana", "50d", remove=True) == dry
        after = register.show("1")
        (seen,) = after.occurrences
        assert "bob@x" not in str(seen) and seen.evidence[0].course is None
        assert (seen.evidence[0].worst, seen.story) == (1.2, known[0].occurrences[0].story)
        assert seen.clues is not None and seen.clues.found[0].says == "a new line"
        assert after.near_miss == known[0].near_miss and after.passes == known[0].passes
        assert after.history[:-1] == known[0].history and after.history[-1].what == "evidence removed"
        assert (after.history[-1].actor, after.history[-1].after) == ("ana", "1 occurrence")
        assert register.show("2") == known[1], "it is not closed"
        now = kinds(list(register.export()))
        assert [each for each in now if each != "history"] == [each for each in kinds(before) if each != "history"]
        assert register.prune(BEFORE, "ana", "50d", remove=True).occurrences == 0
        assert register.load(before) == 0, "an export from before says nothing else"


def test_what_was_closed_lately_or_seen_since_keeps_everything(place: Place) -> None:
    clock = SetClock()
    with open_register(place("pruned"), clock) as register:
        fill(register, clock)
        assert not register.prune(START, "ana", "101d", remove=True).near_misses
        register.record(facts("run-9", at=clock.at), [rich()])
        assert not register.prune(BEFORE, "ana", "50d", remove=True).near_misses


def test_alerts_of_runs_go_when_no_open_near_miss_speaks_of_that_run(tmp_path: Path) -> None:
    clock = SetClock()
    with open_register(tmp_path, clock) as register:
        fill(register, clock)
        assert register.prune(BEFORE, "ana", "50d", remove=True).alerts == 0, "of run-1 NM-2026-0002 is open"
        register.change("2", Change(to=State.OBSOLETE, actor="ana", at=clock.at, reason="no such service any more"))
        assert register.prune(BEFORE, "ana", "50d", remove=False).alerts == 1
        assert register.prune(BEFORE, "ana", "50d", remove=True).alerts == 1
        assert not register.digest(0.0).heard


def test_of_news_the_text_goes_and_nothing_is_told_twice(tmp_path: Path) -> None:
    clock = SetClock()
    outbox = Outbox(tmp_path, clock)
    for n in range(3):
        assert outbox.put("slack", f"id-{n}", "NM-1", {"headline": f"news {n}", "story": "long"})
        taken = outbox.take("slack", 100)
        assert taken is not None
        outbox.ended(taken.n, Fate.TOLD)
    clock.at += 100
    outbox.put("slack", "id-9", "NM-2", {"headline": "waits", "story": "long"})
    assert outbox.prune(clock.at + 1, remove=False) == outbox.prune(clock.at + 1, remove=True) == 2
    assert outbox.prune(clock.at + 1, remove=True) == 0
    assert outbox.last("slack", "NM-1") == {"headline": "news 2", "story": "long"}
    assert [each.headline for each in outbox.posted()] == ["waits", "news 2", "news 1", "news 0"]
    assert not outbox.put("slack", "id-0", "NM-1", {"headline": "again"}, reword=False)
    waiting = outbox.take("slack", 100)
    assert waiting is not None and waiting.event["story"] == "long"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    clock = SetClock(SystemClock().now() - 101 * DAY)
    with open_register(tmp_path / "state", clock) as register:
        register.record(facts("run-1", at=clock.at), [rich()])
        register.change("1", Change(to=State.OBSOLETE, actor="ana", at=clock.at, reason="gone"))
        (near_miss,) = register.shown_by("run-1")
    played = PlayedRunbooks(tmp_path / "state")
    for days in (0, 80):
        played.keep(played.place(near_miss, "check", clock.at + days * DAY), "said")
    return tmp_path / "state"


def call(state: Path, *words: str) -> Result:
    return CliRunner().invoke(chaosrunner, ["--state", str(state), "near-miss", "prune", *words])


def test_the_command_says_what_it_removes(state: Path) -> None:
    dry = call(state, "--older-than", "50d", "--dry-run")
    assert dry.output.splitlines() == [
        "would remove the curves and log samples of 1 occurrence",
        "would remove 1 output of runbooks",
    ]
    found: dict[str, Any] = json.loads(call(state, "--older-than", "50d", "--json").stdout)
    assert found == {"dryRun": False, "removed": {"occurrences": 1, "alerts": 0, "runbookOutputs": 1, "news": 0}}
    assert len([*state.glob("runbooks/*/*.txt")]) == 1
    assert call(state, "--older-than", "50d").output == "there is nothing that old to remove\n"
    assert call(state).exit_code == 2
