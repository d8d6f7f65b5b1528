"""What a passing run says of the near misses that it tried."""

from __future__ import annotations

from typing import Any

from chaosrunner.app.concluding import progress
from chaosrunner.model.environment import Verification
from chaosrunner.model.sightings import judge_pass, passed
from chaosrunner.model.words import State
from chaosrunner.register.near_misses import Tried
from tests.near_misses.world import ONE_RUN, START, conditions, expectation, near_miss, passing


def said(state: State, asked: Verification | None = None, **run: Any) -> str:
    before = near_miss(state=state, fix_ready_at=START)
    held = passing("run-2", at=START + 60, **run)
    what = judge_pass(before, held)
    after = passed(before, what, asked or Verification())
    return progress(Tried(after, what.counts, what.why, verified=after.state is State.VERIFIED))


def test_it_says_how_many_passing_runs_there_are_of_how_many() -> None:
    assert said(State.FIX_READY).startswith("NM-2026-0001 (fix-ready): 1 of 3 passing runs on 1 of 2 days: ")


def test_the_last_one_says_what_is_verified() -> None:
    assert said(State.FIX_READY, ONE_RUN).startswith("NM-2026-0001 is verified: checkout: orders-go-through breaks")


def test_before_a_fix_it_says_how_to_name_one() -> None:
    fixed = "if it is fixed, say `chaosrunner near-miss set NM-2026-0001 fix-ready --change COMMIT`"
    for state in (State.OPEN, State.TRIAGED, State.IN_PROGRESS):
        assert said(state).endswith(f"({state.value}) was not shown; {fixed}")


def test_a_run_that_does_not_count_says_why_and_counts_nothing() -> None:
    looser = conditions(expectations=(expectation("5s"),))
    for state in (State.OPEN, State.FIX_READY):
        told = said(state, conditions=looser)
        assert told.startswith(f"NM-2026-0001 ({state.value}): ")
        assert "passing run" not in told
        assert "--change" not in told
