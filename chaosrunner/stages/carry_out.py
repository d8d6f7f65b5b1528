"""carry out: the items of a suite, as many at a time as its schedule allows. What one run is, the caller says.

Nothing is cancelled from outside: what has to end early is asked to through its `Stop`, and ends when everything of it
is taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from typing import Literal

from chaosrunner.clock import Clock
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import ChaosrunnerError, UndoFailed
from chaosrunner.model.exit_codes import DEFECT, UNDO_FAILED, WORST_FIRST
from chaosrunner.model.words import Answer, Ending
from chaosrunner.records.light import dataclass
from chaosrunner.stages.schedule import Job, Rules, in_order, startable

GRAVE = frozenset({1, UNDO_FAILED, DEFECT})
"""Exit codes that are worse than inconclusive."""
TO_RETRY = frozenset({3, 5})
"""Exit codes after which another attempt may say more: inconclusive, and not steady."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one run said."""

    answer: Answer
    exit_code: int
    why: str
    run: str | None = None
    """Its id; None: it was not started."""
    gaps: bool = False
    """Whether it found any."""
    halted: bool = False
    began: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item: its attempts, oldest first."""

    attempts: tuple[Attempt, ...]

    @property
    def counts(self) -> Attempt:
        """The attempt whose words are the item's: the gravest that is worse than inconclusive, otherwise the last. So
        trying again never erases a gap."""
        grave = [each for each in self.attempts if each.answer is Answer.BROKEN or each.exit_code in GRAVE]
        return min(grave, key=lambda each: WORST_FIRST.index(each.exit_code)) if grave else self.attempts[-1]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a suite's file says about carrying it out."""

    rules: Rules = field(default_factory=Rules)
    budget: float | None = None
    """Seconds."""
    stop_on_failure: bool = False
    retries: Mapping[int, int] = field(default_factory=dict)
    """By number."""


Run = Callable[[int, Stop], Awaitable[Attempt]]
"""Runs one item; ends soon after its stop was set off, with everything taken back."""
Note = Callable[[Literal["started", "again", "over"], int, Attempt | None], None]
"""What happens, for people, and of which item."""


class CarryOut:
    """One suite under way."""

    def __init__(self, jobs: Sequence[Job], wishes: Wishes, run: Run, clock: Clock, note: Note) -> None:
        self._waiting = in_order(jobs, wishes.rules)
        self._wishes = wishes
        self._run = run
        self._clock = clock
        self._note = note
        self._running: dict[asyncio.Task[Outcome], tuple[Job, Stop]] = {}
        self._over: set[int] = set()
        self._ends: float | None = None
        self._defect: BaseException | None = None
        self.stopped = ""
        """Why nothing more is started; empty: everything is."""
        self.halted = False
        """Whether that is as somebody halted it, or one of its runs."""
        self.outcomes: dict[int, Outcome] = {}
        """By number, of those that were started."""

    async def all(self, halt: Stop) -> None:
        """Until nothing runs any more. `halt` ends it early: everything under way is taken back. A defect in a run is
        raised once the others are over."""
        if self._wishes.budget is not None:
            self._ends = self._clock.monotonic() + self._wishes.budget
        halted = asyncio.ensure_future(halt.wait())
        try:
            while True:
                if halt.asked:
                    self._start_no_more(_halted_by(halt), halted=True)
                self._start()
                if not self._running:
                    break
                heard = {halted} if not halted.done() else set[asyncio.Task[bool]]()
                watched = {*self._running, *heard}
                await asyncio.wait(watched, timeout=self._left(), return_when=asyncio.FIRST_COMPLETED)
                self._look(halt, halted.done())
        finally:
            halted.cancel()
        if self._defect is not None:
            raise self._defect

    # -- what starts

    def _left(self) -> float | None:
        """Seconds of the budget; None: there is none, or it is used up and everything was asked to end."""
        if self._ends is None or self.stopped == OUT_OF_TIME:
            return None
        return max(0.0, self._ends - self._clock.monotonic())

    def _start(self) -> None:
        if self.stopped:
            return
        running = [job for job, _ in self._running.values()]
        for job in startable(self._waiting, running, self._over, self._wishes.rules, self._left()):
            self._waiting.remove(job)
            stop = Stop()
            self._note("started", job.number, None)
            self._running[asyncio.ensure_future(self._attempts(job, stop))] = (job, stop)
        if not self._running and self._waiting:
            self.stopped = OUT_OF_TIME

    async def _attempts(self, job: Job, stop: Stop) -> Outcome:
        attempts: list[Attempt] = []
        while True:
            attempts.append(await self._attempt(job.number, stop))
            last = attempts[-1]
            again = (
                last.exit_code in TO_RETRY
                and not last.gaps
                and len(attempts) <= self._wishes.retries.get(job.number, 0)
            )
            left = self._left()
            if not again or self.stopped or stop.asked or (left is not None and job.seconds > left):
                return Outcome(tuple(attempts))
            self._note("again", job.number, last)

    async def _attempt(self, number: int, stop: Stop) -> Attempt:
        began = self._clock.now()
        try:
            return await self._run(number, stop)
        except ChaosrunnerError as error:
            gap = isinstance(error, UndoFailed)
            answer = Answer.BROKEN if gap else Answer.INCONCLUSIVE
            # What is wrong with a file now was right when the suite was read: it has changed meanwhile.
            code = 3 if error.exit_code == 2 else error.exit_code
            return Attempt(answer, code, str(error), began=began, gaps=gap)

    # -- what is over

    def _look(self, halt: Stop, halted: bool) -> None:
        for task in [task for task in self._running if task.done()]:
            job, _ = self._running.pop(task)
            self._over.add(job.number)
            self._end(job, task)
        if halted and halt.cause is not None:
            self._stop_all(_halted_by(halt), halt.cause.by, halt.cause.reason, halted=True)
        elif self._left() == 0:
            self._stop_all(OUT_OF_TIME, "the suite", OUT_OF_TIME)

    def _end(self, job: Job, task: asyncio.Task[Outcome]) -> None:
        error = task.exception()
        if error is not None:
            self._defect = self._defect or error
            self._stop_all("a defect in one of the runs", "the suite", "a defect in another run")
            return
        outcome = self.outcomes[job.number] = task.result()
        counts = outcome.counts
        self._note("over", job.number, counts)
        if any(each.halted for each in outcome.attempts) and not self.stopped:
            self._stop_all("one of its runs was halted", "the suite", "another run was halted", halted=True)
        if counts.exit_code == UNDO_FAILED:
            self._start_no_more("an undo failed")
        if self._wishes.stop_on_failure and counts.exit_code == 1:
            self._start_no_more("a gap was found, and it stops on the first failure")

    def _start_no_more(self, why: str, *, halted: bool = False) -> None:
        if not self.stopped:
            self.stopped, self.halted = why, halted

    def _stop_all(self, why: str, by: str, reason: str, *, halted: bool = False) -> None:
        self._start_no_more(why, halted=halted)
        for _, stop in self._running.values():
            stop.now(Ending.HALTED, by, reason)


def _halted_by(halt: Stop) -> str:
    return f"halted by {halt.cause.by}" if halt.cause is not None else "halted"


OUT_OF_TIME = "its time is up"
