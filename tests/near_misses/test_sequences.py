"""Whatever happens in whatever order: no occurrence is lost, and nothing is verified without passing runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.environment import Verification
from chaosrunner.model.life_cycle import Change, Party
from chaosrunner.model.near_miss import CHAOSRUNNER, day_of
from chaosrunner.model.words import Priority, RejectedAs, State, WaivedAs
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register
from tests.near_misses.world import START, SetClock, conditions, facts, fault, finding, passing

FAILS, PASSES, WEAK, INCONCLUSIVE, AGAIN = "fails", "passes", "weak", "inconclusive", "again"
STEPS = st.one_of(
    st.sampled_from([FAILS, PASSES, PASSES, WEAK, INCONCLUSIVE, AGAIN]),
    st.tuples(st.sampled_from(list(State)), st.sampled_from(list(Party))),
    st.sampled_from(list(Priority)),
)
HOUR = 3600.0


class History:
    """Drives a register, and keeps its own account of what must be true."""

    def __init__(self, register: Register, asked: Verification) -> None:
        self.register, self.asked = register, asked
        self.at, self.runs = START, 0
        self.failed: list[str] = []
        self.passed_since_fix: list[str] = []
        self.fail()

    def fail(self) -> None:
        self.runs += 1
        self.failed.append(f"run-{self.runs}")
        self.register.record(facts(self.failed[-1], at=self.at), [finding()])
        self.passed_since_fix.clear()

    def run(self, what: str) -> None:
        self.runs += 1
        run = passing(f"run-{self.runs}", at=self.at, verification=self.asked)
        if what == WEAK:
            weak = conditions(faults=(fault(harder={"delay": 0.01}),))
            run = run.model_copy(update={"conditions": weak})
        if what == INCONCLUSIVE:
            run = run.model_copy(update={"trouble": "the run was inconclusive"})
        if what == PASSES and self.register.get("1").state is State.FIX_READY:
            self.passed_since_fix.append(run.run)
        self.register.passed(run)

    def change(self, to: State, party: Party) -> None:
        if party is Party.CHAOSRUNNER:
            return
        wish = Change(
            to=to,
            actor="ana",
            party=party,
            at=self.at,
            reason="because",
            accepted_by="bob",
            until=day_of(self.at) + timedelta(days=9),
            change="commit 1",
            waived_as=WaivedAs.PLANNED_REPLACEMENT,
            controls=("a person watches it",),
            rejected_as=RejectedAs.OUT_OF_SCOPE,
            duplicate_of="NM-2026-0001",
        )
        self.register.change("1", wish)
        self.passed_since_fix.clear()

    def step(self, what: object) -> None:
        self.at += HOUR
        before = self.register.get("1").state
        try:
            if what == FAILS:
                self.fail()
            elif what == AGAIN:
                self.register.record(facts(self.failed[-1], at=self.at), [finding()])
            elif isinstance(what, Priority):
                self.register.prioritise("1", what, "ana", "because")
            elif isinstance(what, tuple):
                self.change(*what)
            else:
                self.run(str(what))
        except ChaosrunnerError:
            assert self.register.get("1").state is before
        self.holds(before)

    def holds(self, before: State) -> None:
        record = self.register.show("1")
        assert [each.run for each in record.occurrences] == self.failed
        assert record.near_miss.occurrences == len(self.failed)
        if record.near_miss.state is State.VERIFIED and before is not State.VERIFIED:
            proof = record.near_miss.verification
            assert proof is not None and proof.complete
            assert list(proof.runs) == self.passed_since_fix
            assert len(proof.runs) >= (self.asked.runs or 2)
        moves = [each for each in record.history if each.what == "state"]
        assert all(each.actor == CHAOSRUNNER for each in moves if each.after == "verified")
        assert (moves[-1].after if moves else "open") == record.near_miss.state.value


@contextmanager
def a_register() -> Iterator[Register]:
    with TemporaryDirectory() as folder, open_register(Path(folder), SetClock()) as register:
        yield register


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(steps=st.lists(STEPS, max_size=14), asked=st.sampled_from([Verification(), Verification(runs=1, days=1)]))
def test_no_sequence_loses_an_occurrence_or_verifies_without_passing_runs(
    steps: list[object], asked: Verification
) -> None:
    with a_register() as register:
        history = History(register, asked)
        for what in steps:
            history.step(what)


def test_the_account_itself_reaches_verified_and_back() -> None:
    """So that the property above is not true for want of trying."""
    with a_register() as register:
        history = History(register, Verification(runs=1, days=1))
        for what in (FAILS, (State.FIX_READY, Party.TRACKER), WEAK, INCONCLUSIVE, PASSES):
            history.step(what)
        assert register.get("1").state is State.VERIFIED
        history.step(FAILS)
        assert register.get("1").regressions == 1
