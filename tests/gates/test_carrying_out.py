"""A suite under way, in virtual time: what starts when, what is tried again, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from chaosrunner.engine.stop import Stop
from chaosrunner.errors import NotPossibleNow, UndoFailed, UsageError
from chaosrunner.model.words import Answer, Ending
from chaosrunner.stages.carry_out import Attempt, CarryOut, Outcome, Wishes
from chaosrunner.stages.schedule import Job, Radius, Rules
from tests.virtual_time import VirtualClock, run_virtually

HELD, BROKEN, INCONCLUSIVE = Answer.HELD, Answer.BROKEN, Answer.INCONCLUSIVE
CODES = {HELD: 0, BROKEN: 1, INCONCLUSIVE: 3}


class World:
    """Experiments that take as long as they say, and answer what was put down; a halt ends them in a second."""

    def __init__(self, jobs: Sequence[Job], wishes: Wishes, answers: dict[int, list[Answer | Exception]] | None = None):
        self.clock = VirtualClock()
        self.jobs = {job.number: job for job in jobs}
        self.answers = {number: list(told) for number, told in (answers or {}).items()}
        self.began: dict[int, float] = {}
        self.under_way: set[int] = set()
        self.most = 0
        self.halted: list[int] = []
        self.lines: list[tuple[str, int]] = []
        self.suite = CarryOut(
            jobs, wishes, self.run, self.clock, lambda what, number, _: self.lines.append((what, number))
        )

    async def run(self, number: int, stop: Stop) -> Attempt:
        began = self.clock.monotonic()
        self.began.setdefault(number, began)
        assert not any(self.jobs[number].radius.overlaps(self.jobs[other].radius) for other in self.under_way)
        self.under_way.add(number)
        self.most = max(self.most, len(self.under_way))
        try:
            if await stop.wait(self.jobs[number].seconds):
                await self.clock.sleep(1)  # everything is taken back
                self.halted.append(number)
                return Attempt(INCONCLUSIVE, 6, "halted", halted=True)
            told = self.answers.get(number, [HELD]).pop(0) if self.answers.get(number, [HELD]) else HELD
            if isinstance(told, Exception):
                raise told
            return Attempt(told, CODES[told], told.value, f"run-{number}", gaps=told is BROKEN, seconds=1.0)
        finally:
            self.under_way.discard(number)

    def carry_out(self, halt_at: float | None = None) -> float:
        """Until it is over; how long that took."""

        async def all_of_it() -> float:
            halt, began = Stop(), self.clock.monotonic()
            if halt_at is not None:
                asyncio.get_running_loop().call_later(halt_at, halt.now, Ending.HALTED, "SIGINT")
            await self.suite.all(halt)
            return self.clock.monotonic() - began

        return run_virtually(all_of_it())

    @property
    def said(self) -> dict[int, Answer]:
        return {number: outcome.counts.answer for number, outcome in self.suite.outcomes.items()}


def apart(*seconds: float) -> list[Job]:
    return [Job(number, Radius("shop", frozenset([f"s{number}"])), it) for number, it in enumerate(seconds)]


def test_thirty_disjoint_experiments_ten_at_a_time_take_as_long_as_their_longest_chain() -> None:
    world = World(apart(*[60.0 + number % 5 for number in range(30)]), Wishes(Rules(parallel=10)))
    took = world.carry_out()
    assert len(world.suite.outcomes) == 30 and world.most == 10
    assert took <= 1.3 * 3 * 64
    assert took <= 3 * 64  # and there is nothing lost between them


def test_what_overlaps_never_runs_at_the_same_time() -> None:
    shared = Radius("shop", frozenset(["checkout"]))
    world = World([Job(number, shared, 5) for number in range(4)], Wishes(Rules(parallel=4)))
    assert world.carry_out() == 20
    assert world.most == 1


def test_the_inconclusive_is_tried_again_and_the_last_attempt_counts() -> None:
    world = World(apart(5), Wishes(retries={0: 2}), {0: [INCONCLUSIVE, HELD]})
    assert world.carry_out() == 10
    assert world.said == {0: HELD} and len(world.suite.outcomes[0].attempts) == 2
    world = World(apart(5), Wishes(retries={0: 2}), {0: [INCONCLUSIVE] * 5})
    assert world.carry_out() == 15
    assert world.said == {0: INCONCLUSIVE}


def test_a_gap_is_neither_tried_again_nor_erased() -> None:
    world = World(apart(5), Wishes(retries={0: 3}), {0: [BROKEN, HELD]})
    world.carry_out()
    assert world.said == {0: BROKEN} and len(world.suite.outcomes[0].attempts) == 1
    outcome = Outcome((Attempt(BROKEN, 1, "it broke", gaps=True), Attempt(HELD, 0, "it held")))
    assert outcome.counts.why == "it broke"


def test_what_cannot_be_run_is_inconclusive_and_the_others_go_on() -> None:
    away: list[Answer | Exception] = [NotPossibleNow("the platform is away")]
    changed: list[Answer | Exception] = [UsageError("the file has changed")]
    world = World(apart(1, 1, 1), Wishes(), {0: away, 1: changed})
    world.carry_out()
    assert world.said == {0: INCONCLUSIVE, 1: INCONCLUSIVE, 2: HELD}
    assert {it.counts.exit_code for it in world.suite.outcomes.values()} == {0, 3}


def test_nothing_starts_that_would_not_be_over_and_what_runs_over_is_halted() -> None:
    world = World(apart(30, 40, 10), Wishes(budget=60))
    assert world.carry_out() == 40
    assert sorted(world.suite.outcomes) == [0, 2]
    assert world.suite.stopped == "its time is up" and not world.suite.halted

    late = World(apart(30, 5), Wishes(Rules(parallel=2), budget=35))
    late.jobs[0] = Job(0, late.jobs[0].radius, 500)  # it takes far longer than it was expected to
    assert late.carry_out() == 36
    assert late.halted == [0] and late.said[1] is HELD


def test_the_first_failure_stops_only_where_it_should() -> None:
    on = World(apart(5, 8, 5), Wishes(Rules(parallel=2)), {0: [BROKEN]})
    on.carry_out()
    assert len(on.suite.outcomes) == 3
    off = World(apart(5, 8, 5), Wishes(Rules(parallel=2), stop_on_failure=True), {0: [BROKEN]})
    off.carry_out()
    assert off.said == {0: BROKEN, 1: HELD}
    assert "first failure" in off.suite.stopped


def test_after_an_undo_that_failed_nothing_more_is_broken() -> None:
    world = World(apart(5, 5), Wishes(), {0: [UndoFailed("it is still slow", ["chaosrunner heal"])]})
    world.carry_out()
    assert world.suite.outcomes[0].counts.exit_code == 7 and sorted(world.suite.outcomes) == [0]


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_halt_ends_everything_under_way_and_starts_nothing_more(parallel: int) -> None:
    world = World(apart(30, 30, 30, 30), Wishes(Rules(parallel=parallel), retries={0: 3}))
    assert world.carry_out(halt_at=10) == 11
    assert sorted(world.halted) == list(range(parallel)) == sorted(world.suite.outcomes)
    assert world.suite.stopped == "halted by SIGINT" and world.suite.halted


def test_a_run_that_was_halted_by_itself_halts_the_others() -> None:
    world = World(apart(30, 60, 5), Wishes(Rules(parallel=2)))

    async def halted(number: int, stop: Stop) -> Attempt:
        if number == 0:
            await world.clock.sleep(7)
            return Attempt(INCONCLUSIVE, 6, "halted by ana", halted=True)
        return await World.run(world, number, stop)

    world.suite._run = halted
    assert world.carry_out() == 8
    assert world.halted == [1] and sorted(world.suite.outcomes) == [0, 1]


def test_a_defect_in_one_run_is_raised_when_the_others_are_taken_back() -> None:
    world = World(apart(5, 60), Wishes(Rules(parallel=2)), {0: [ZeroDivisionError()]})
    with pytest.raises(ZeroDivisionError):
        world.carry_out()
    assert world.halted == [1] and not world.under_way
