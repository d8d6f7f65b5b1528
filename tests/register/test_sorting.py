"""Near misses merged, told apart and split by hand: remembered, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosrunner.errors import ChaosrunnerError, UsageError
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.words import Priority, State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from tests.near_misses.world import DAY, ONE_RUN, START, SetClock, facts, finding, gap, inputs, passing
from tests.register.conftest import Place

TO = ("payments", "inventory", "search")
EXPERIMENTS = ("by-day", "at-night")


@pytest.fixture
def register(place: Place) -> Iterator[Register]:
    with open_register(place("state"), SetClock()) as opened:
        yield opened


def show(register: Register, number: int, to: str = "payments", experiment: str = "by-day") -> str:
    run = facts(f"run-{number}", at=START + number * 60, experiment=experiment)
    (recorded,) = register.record(run, [finding(gap(identity={"to": to}))])
    return recorded.near_miss.id


def merge(register: Register, which: str, into: str) -> None:
    wish = Change(to=State.DUPLICATE, actor="ana", at=START + 9999, reason="the same", duplicate_of=into)
    register.change(which, wish)


def part(register: Register, which: str) -> None:
    register.change(which, Change(to=State.OPEN, actor="ana", at=START + 9999, reason="not the same"))


def runs(register: Register, id: str) -> list[str]:
    return [each.run for each in register.show(id).occurrences]


def test_a_merge_brings_what_was_seen_and_what_will_be_seen(register: Register) -> None:
    for number, to in enumerate(("payments", "inventory", "inventory")):
        show(register, number, to)
    merge(register, "2", "1")
    assert show(register, 7, "inventory") == "NM-2026-0001"
    whole = register.get("1")
    assert (whole.occurrences, whole.seen, whole.last_run) == (4, 4, "run-7")
    assert runs(register, "1") == ["run-0", "run-1", "run-2", "run-7"]
    assert register.get("2").occurrences == 0
    told = [(each.what, each.after, each.actor) for each in register.show("1").history[1:-1]]
    assert ("occurrences moved", "2 occurrences from NM-2026-0002", "ana") in told
    assert runs(register, "2") == ["run-1", "run-2", "run-7"], "its own evidence is still shown with it"


def test_told_apart_again_each_has_its_own(register: Register) -> None:
    for number, to in enumerate(("payments", "inventory", "inventory")):
        show(register, number, to)
    merge(register, "2", "1")
    show(register, 7, "inventory")
    part(register, "2")
    assert (runs(register, "1"), runs(register, "2")) == (["run-0"], ["run-1", "run-2", "run-7"])
    assert [register.get(each).occurrences for each in "12"] == [1, 3]
    assert show(register, 8, "inventory") == "NM-2026-0002"


def test_a_duplicate_of_a_duplicate_goes_to_the_original_and_comes_back_with_its_own(register: Register) -> None:
    for number, to in enumerate(TO):
        show(register, number, to)
    merge(register, "3", "2")
    merge(register, "2", "1")
    assert show(register, 7, "search") == "NM-2026-0001" and register.get("1").occurrences == 4
    part(register, "2")
    assert [register.get(each).occurrences for each in "123"] == [1, 3, 0]


def test_a_run_that_shows_both_parts_of_one_counts_as_one_run(register: Register) -> None:
    show(register, 0)
    show(register, 1, "inventory")
    merge(register, "2", "1")
    both = [finding(gap(identity={"to": to})) for to in TO[:2]]
    register.record(facts("run-2", at=START + 500), both)
    assert (register.get("1").occurrences, register.get("1").seen) == (4, 3)


def test_the_original_is_as_urgent_as_the_worse_of_the_two(register: Register) -> None:
    register.record(facts("run-0"), [finding(scored=inputs(tier=4))])
    register.record(facts("run-1"), [finding(gap(identity={"to": "search"}), scored=inputs(tier=1))])
    assert register.get("1").priority is Priority.P3
    merge(register, "2", "1")
    assert register.get("1").priority is Priority.P1
    assert "its duplicate NM-2026-0002" in register.get("1").scoring.rationale[-1]


def test_a_split_takes_what_is_so_and_what_will_be_so(register: Register) -> None:
    show(register, 0)
    show(register, 1, experiment="at-night")
    fresh = register.split("1", "experiment", "at-night", "ana", "another cause")
    assert (fresh.id, fresh.occurrences, fresh.first_run) == ("NM-2026-0002", 1, "run-1")
    assert fresh.fingerprint != register.get("1").fingerprint, "a tracker finds items by it"
    assert (show(register, 2), show(register, 3, experiment="at-night")) == ("NM-2026-0001", "NM-2026-0002")
    assert (runs(register, "1"), runs(register, "2")) == (["run-0", "run-2"], ["run-1", "run-3"])
    merge(register, "2", "1")
    assert show(register, 4, experiment="at-night") == "NM-2026-0001"
    assert runs(register, "2") == ["run-1", "run-3", "run-4"]


def test_a_run_passes_only_the_part_that_it_could_have_shown(register: Register) -> None:
    show(register, 0)
    show(register, 1, experiment="at-night")
    register.split("1", "experiment", "at-night", "ana", "another cause")
    for each in "12":
        register.change(each, Change(to=State.FIX_READY, actor="ana", at=START + 100, change="commit 1"))
    held = passing("run-9", at=START + DAY, experiment="at-night", verification=ONE_RUN)
    assert [(each.near_miss.id, each.verified) for each in register.passed(held)] == [("NM-2026-0002", True)]
    assert register.get("1").state is State.FIX_READY


def test_a_merged_one_is_not_verified_by_runs_of_its_duplicates_faults(register: Register) -> None:
    from tests.near_misses.world import conditions, fault

    others = conditions(faults=(fault(to=("inventory",)),))
    show(register, 0)
    show(register, 1, "inventory")
    merge(register, "2", "1")
    again = finding(gap(identity={"to": "inventory"}), under=others)
    register.record(facts("run-2", at=START + 300, conditions=others), [again])
    register.change("1", Change(to=State.FIX_READY, actor="ana", at=START + 400, change="commit 1"))
    assert register.passed(passing("run-3", at=START + DAY, conditions=others, verification=ONE_RUN)) == []
    (tried,) = register.passed(passing("run-4", at=START + DAY, verification=ONE_RUN))
    assert tried.verified


@pytest.mark.parametrize(
    ("by", "value", "message"),
    [
        ("experiment", "by-week", "was never seen by experiment 'by-week', only by by-day"),
        ("experiment", "by-day", "by experiment 'by-day' only: there is nothing to tell apart"),
        ("phase", "fault", "can be split by experiment or environment, not by 'phase'"),
    ],
)
def test_what_cannot_be_split_is_said(register: Register, by: str, value: str, message: str) -> None:
    show(register, 0)
    with pytest.raises(UsageError, match=message):
        register.split("1", by, value, "ana", "because")
    with pytest.raises(UsageError, match="needs a reason"):
        register.split("1", "experiment", "by-day", "ana", " ")


def test_seen_again_after_a_merged_one_was_verified_the_original_comes_back(register: Register) -> None:
    show(register, 0)
    show(register, 1, "inventory")
    merge(register, "2", "1")
    register.change("1", Change(to=State.FIX_READY, actor="ana", at=START + 400, change="commit 1"))
    assert register.passed(passing("run-3", at=START + DAY, verification=ONE_RUN))[0].verified
    late = facts("run-4", at=START + 2 * DAY)
    (recorded,) = register.record(late, [finding(gap(identity={"to": "inventory"}))])
    assert (recorded.near_miss.id, recorded.sighting) == ("NM-2026-0001", Sighting.REGRESSED)


# ----------------------------------------------------------------------------------------------------- whatever happens


class Crash(Exception):
    """The process ends in the middle of a write."""


@contextmanager
def crashing(register: Register, after: int) -> Iterator[None]:
    """So many statements are carried out, and then no more."""
    left = [after]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Crash

    sa.event.listen(register._engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        sa.event.remove(register._engine, "before_cursor_execute", count)


SHOWN = st.tuples(st.just("show"), st.sampled_from(TO), st.sampled_from(EXPERIMENTS))
NUMBER = st.integers(1, 5)
STEPS = st.one_of(
    SHOWN,
    SHOWN,
    st.tuples(st.just("merge"), NUMBER, NUMBER),
    st.tuples(st.just("part"), NUMBER),
    st.tuples(st.just("split"), NUMBER, st.sampled_from(EXPERIMENTS)),
    st.tuples(st.just("fix"), NUMBER),
    st.tuples(st.just("pass"), st.sampled_from(EXPERIMENTS)),
)


class Account:
    """Drives a register, and keeps its own account of what was seen."""

    def __init__(self) -> None:
        self.number = 0
        self.seen: set[tuple[str, str]] = set()
        self.passed: set[str] = set()

    def step(self, register: Register, what: tuple[object, ...]) -> None:
        match what:
            case ("show", str(to), str(experiment)):
                show(register, self.number, to, experiment)
                self.seen.add((f"run-{self.number}", gap(identity={"to": to}).fingerprint))
            case ("merge", which, into):
                merge(register, str(which), str(into))
            case ("part", which):
                part(register, str(which))
            case ("split", which, str(experiment)):
                register.split(str(which), "experiment", experiment, "ana", "because")
            case ("fix", which):
                wish = Change(to=State.FIX_READY, actor="ana", at=self.now, change="commit 1")
                register.change(str(which), wish)
            case ("pass", str(experiment)):
                run = passing(f"run-{self.number}", at=self.now, experiment=experiment, verification=ONE_RUN)
                register.passed(run.model_copy(update={"began": self.now - 1}))
                self.passed.add(run.run)

    @property
    def now(self) -> float:
        return START + self.number * 60

    def holds(self, register: Register) -> None:
        lying: list[tuple[str, str]] = []
        for near_miss in register.list(Wanted(closed=True)):
            record = register.show(near_miss.id)
            if near_miss.state is State.DUPLICATE:
                assert near_miss.occurrences == 0
                continue
            lying += [(each.run, each.fingerprint) for each in record.occurrences]
            assert near_miss.occurrences == len(record.occurrences) > 0
            if near_miss.state is State.VERIFIED:
                assert near_miss.verification is not None
                assert {*near_miss.verification.runs} <= self.passed
        assert len(lying) == len(self.seen) and {*lying} == self.seen


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(steps=st.lists(st.tuples(STEPS, st.none() | st.integers(0, 12)), max_size=14))
def test_no_sequence_of_runs_merges_splits_and_crashes_loses_an_occurrence(
    steps: list[tuple[tuple[object, ...], int | None]],
) -> None:
    clock = SetClock()
    with TemporaryDirectory() as folder, open_register(Path(folder), clock) as register:
        account = Account()
        for number, (what, crash) in enumerate(steps, start=1):
            account.number, clock.at = number, START + number * 60
            before, broken = {*account.seen}, False
            try:
                with suppress(ChaosrunnerError):
                    if crash is None:
                        account.step(register, what)
                    else:
                        with crashing(register, crash):
                            account.step(register, what)
            except Crash:
                broken = True
            if broken:
                account.seen = before
            account.holds(register)
