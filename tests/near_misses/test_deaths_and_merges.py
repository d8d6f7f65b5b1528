"""Runs, fixes, merges and splits of several near misses, and deaths in the middle of any of them: what was recorded is
there once, what died is there whole or not at all, and nothing is verified but by runs that passed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.life_cycle import Change, Party
from chaosrunner.model.words import State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from tests.near_misses.world import ONE_RUN, START, SetClock, facts, finding, gap, passing
from tests.register.test_sums import right

SERVICES = ("checkout", "cart")
EXPERIMENTS = ("by-day", "by-night")
WHICH = st.integers(0, 4)
DEATH = st.one_of(st.none(), st.none(), st.integers(1, 12))
"""The statement at which the process dies."""
STEPS = st.tuples(
    st.one_of(
        st.tuples(st.just("fail"), st.sampled_from(SERVICES), st.sampled_from(EXPERIMENTS)),
        st.tuples(st.just("pass"), st.sampled_from(SERVICES)),
        st.tuples(st.just("fix"), WHICH),
        st.tuples(st.just("merge"), WHICH, WHICH),
        st.tuples(st.just("part"), WHICH),
        st.tuples(st.just("split"), WHICH, st.sampled_from(EXPERIMENTS)),
    ),
    DEATH,
)


class Died(BaseException):
    """The process ended here: what was not committed never was."""


class World:
    """Drives a register, and keeps an account of what must be in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.number = folder, SetClock(), 0
        self.recorded: dict[str, set[str]] = {}
        self.unknown: dict[str, set[str]] = {}
        """Of runs whose recording died: to be there whole, or not at all."""
        self.passed: set[str] = set()
        self.events = 0
        self.died = self.verified = 0

    def step(self, what: tuple[Any, ...], death: int | None) -> None:
        self.clock.at += 3600
        with open_register(self.folder, self.clock) as register:
            with suppress(ChaosrunnerError), dying(register, death):
                try:
                    getattr(self, what[0])(register, *what[1:])
                except Died:
                    self.died += 1
            self.holds(register)

    def fail(self, register: Register, service: str, experiment: str) -> None:
        self.number += 1
        gaps = [finding(gap(service=service, identity={"to": to})) for to in ("payments", "inventory")]
        run, prints = f"run-{self.number}", {each.gap.fingerprint for each in gaps}
        self.unknown[run] = prints
        register.record(facts(run, at=self.clock.at, service=service, experiment=experiment), gaps)
        self.recorded[run] = self.unknown.pop(run)

    def again(self, register: Register) -> None:
        """What died is recorded once more, as `heal` does."""
        for run, prints in [*self.unknown.items()]:
            service = next(each for each in SERVICES if {one.fingerprint for one in both(each)} == prints)
            again = facts(run, at=self.clock.at, service=service, experiment="by-day")
            register.record(again, [finding(one) for one in both(service)])
            self.recorded[run] = self.unknown.pop(run)

    def pass_(self, register: Register, service: str) -> None:
        self.number += 1
        run = f"run-{self.number}"
        self.passed.add(run)
        register.passed(passing(run, at=self.clock.at, verification=ONE_RUN, service=service))

    def fix(self, register: Register, which: int) -> None:
        self._move(register, which, State.FIX_READY)

    def merge(self, register: Register, which: int, into: int) -> None:
        self._move(register, which, State.DUPLICATE, duplicate_of=self._id(register, into))

    def part(self, register: Register, which: int) -> None:
        self._move(register, which, State.OPEN)

    def split(self, register: Register, which: int, experiment: str) -> None:
        register.split(self._id(register, which), "experiment", experiment, "ana", "another problem")

    def _move(self, register: Register, which: int, to: State, **more: Any) -> None:
        wish = Change(
            to=to, actor="ana", party=Party.PERSON, at=self.clock.at, reason="because", change="commit 1", **more
        )
        register.change(self._id(register, which), wish)

    def _id(self, register: Register, which: int) -> str:
        known = sorted(each.id for each in register.list(Wanted(closed=True)))
        return known[which % len(known)] if known else "NM-2026-0001"

    def holds(self, register: Register) -> None:
        lines = [json.loads(line) for line in register.export()]
        seen = [(each["run"], each["fingerprint"]) for each in lines if each["type"] == "occurrence"]
        there: dict[str, set[str]] = {}
        for run, fingerprint in seen:
            there.setdefault(run, set()).add(fingerprint)
        assert len(seen) == len({*seen})
        for run, prints in self.recorded.items():
            assert there.pop(run) == prints
        assert all(prints == self.unknown[run] for run, prints in there.items())
        near_misses = register.list(Wanted(closed=True))
        assert sum(each.occurrences for each in near_misses) == len(seen)
        for each in near_misses:
            if each.state is State.VERIFIED:
                self.verified += 1
                assert each.verification is not None and each.verification.complete
                assert {*each.verification.runs} <= self.passed
        events = sum(each["type"] == "history" for each in lines)
        assert events >= self.events
        self.events = events


setattr(World, "pass", World.pass_)


def both(service: str) -> list[Any]:
    return [gap(service=service, identity={"to": to}) for to in ("payments", "inventory")]


@contextmanager
def dying(register: Register, at: int | None) -> Iterator[None]:
    """The process dies at its so many-th statement that writes; what reads is not counted."""
    left = [at or 0]

    def count(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if at is not None and statement.lstrip()[:6].upper() in ("INSERT", "UPDATE"):
            left[0] -= 1
            if left[0] == 0:
                raise Died

    sa.event.listen(register._engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        sa.event.remove(register._engine, "before_cursor_execute", count)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(steps=st.lists(STEPS, max_size=10))
def test_nothing_is_lost_doubled_or_verified_without_a_passing_run(steps: list[tuple[Any, int | None]]) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.step(("fail", "checkout", "by-day"), None)
        for what, death in steps:
            world.step(what, death)
        world.step(("again",), None)
        assert not world.unknown
        with open_register(world.folder, world.clock) as register:
            right(register, world.clock)


@pytest.mark.parametrize("death", [1, 4, 9])
def test_the_account_itself_reaches_deaths_merges_splits_and_proof(tmp_path: Path, death: int) -> None:
    """So that the property above is not true for want of trying."""
    world = World(tmp_path)
    for what, dies in (
        (("fail", "checkout", "by-day"), None),
        (("fail", "checkout", "by-night"), death),
        (("again",), None),
        (("fail", "checkout", "by-night"), None),
        (("split", 0, "by-night"), None),
        (("merge", 1, 0), death),
        (("merge", 1, 0), None),
        (("part", 1), None),
        (("fix", 0), None),
        (("pass", "checkout"), death),
        (("pass", "checkout"), None),
    ):
        world.step(what, dies)
    assert world.died >= 2 and world.verified and not world.unknown
    assert world.clock.at > START
