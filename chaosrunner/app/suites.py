"""Running a suite: each experiment is a run of its own, with its own journal; as many at a time as do not overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chaosrunner.app.desk import Tell
from chaosrunner.app.orders import Order, prepared
from chaosrunner.app.running import Signals, run_experiment
from chaosrunner.clock import Clock, SystemClock, new_run_id
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import ChaosrunnerError, NotPossibleNow, UsageError
from chaosrunner.model.exit_codes import gravest
from chaosrunner.model.frozen import json_text
from chaosrunner.model.journal import Entry, RunStarted
from chaosrunner.model.suite_result import ItemResult, SuiteItem, SuiteResult
from chaosrunner.model.target import Target
from chaosrunner.model.words import Answer, Ending
from chaosrunner.records.light import dataclass, replace
from chaosrunner.stages.carry_out import Attempt, CarryOut, Outcome, Wishes
from chaosrunner.stages.schedule import Job, Rules
from chaosrunner.stages.suite import LoadedSuite, expected_seconds, load_suite, radius_of
from chaosrunner.store.kept import write_file

if TYPE_CHECKING:
    from chaosrunner.app.concluding import RunReport

PLANNED_AT_ONCE = 4


@dataclass(frozen=True)
class SuiteOrder:
    """What a command was asked to run, and how."""

    suite: str
    """Name or path."""
    environment: str | None = None
    """Instead of the experiments' own and the suite's."""
    second: str = ""
    production_confirmed: bool = False
    halt_file: Path | None = None
    folder: Path = field(default_factory=Path)
    state: Path = Path(".chaosrunner")


@dataclass(frozen=True)
class SuiteReport:
    """All that came out of one suite."""

    loaded: LoadedSuite
    result: SuiteResult
    reports: Mapping[int, Sequence[RunReport]]
    """Of each item that was run, by its number: its attempts, oldest first."""
    numbers: Sequence[int]
    """Of the result's items."""
    counting: Mapping[int, str] = field(default_factory=dict)
    """The run whose words are its item's, by the item's number; an item that was not run has none."""


Progress = Callable[[str], None]
"""A line about how far a suite is."""


def read_suite(order: SuiteOrder) -> LoadedSuite:
    """The suite that is meant. Raises `UsageError` and `FileProblems`."""
    return load_suite(order.suite, order.environment, order.folder)


async def run_suite(
    order: SuiteOrder,
    tell: Tell = lambda words: None,
    progress: Progress = lambda line: None,
    *,
    loaded: LoadedSuite | None = None,
    only: frozenset[int] | None = None,
    gate: str | None = None,
) -> SuiteReport:
    """Run a suite. Whatever ends it, the faults of all its runs are undone; signals halt all of them.

    `only`: numbers of the items to run, None: all; `gate`: the name of the suite whose gate asks for it.
    Raises `UsageError` and `FileProblems` before anything is started.
    """
    suite = loaded or read_suite(order)
    running = _Running(suite, order, tell, progress, gate)
    stop = Stop()
    began = running.clock.now()
    with Signals(stop, tell):
        await running.plan(sorted(only if only is not None else range(len(suite.items))), stop)
        await running.carry_out(stop)
        result = running.result(began)
        _keep(result, order.state, tell)
    return SuiteReport(suite, result, running.reports, running.meant, running.counting())


class _Running:
    """One suite under way: the items' plans, and what became of them."""

    def __init__(self, suite: LoadedSuite, order: SuiteOrder, tell: Tell, progress: Progress, gate: str | None) -> None:
        self.clock: Clock = SystemClock()
        self.reports: dict[int, list[RunReport]] = {}
        self._suite = suite
        self._order = order
        self._tell = tell
        self._progress = progress
        self._gate = gate
        self._seeds: dict[int, int] = {}
        self._jobs: list[Job] = []
        self._outcomes: dict[int, Outcome] = {}
        self.meant: Sequence[int] = ()
        """Numbers of the items that are run."""
        self._stopped, self._halted = "", False
        self._under_way: dict[int, list[Target]] = {}
        """Of each run: the targets of all others that were under way at any time since it began."""
        self._own: dict[int, Sequence[Target]] = {}

    async def plan(self, numbers: Sequence[int], stop: Stop) -> None:
        """Find out what each item would touch, and how long it takes."""
        self.meant = numbers
        turns = asyncio.Semaphore(PLANNED_AT_ONCE)

        async def one(number: int) -> Job | None:
            async with turns:
                return None if stop.asked else await self._job(number)

        planned = await asyncio.gather(*(one(number) for number in numbers))
        self._jobs = [job for job in planned if job is not None]
        known = {job.number for job in self._jobs}
        self._jobs = [replace(job, after=job.after & known) for job in self._jobs]

    async def _job(self, number: int) -> Job | None:
        item = self._suite.items[number]
        try:
            async with prepared(self._one(number)) as ready:
                plan = ready.plan
        except UsageError:
            raise
        except ChaosrunnerError as error:
            code = error.exit_code
            self._outcomes[number] = Outcome((Attempt(Answer.INCONCLUSIVE, code, str(error), began=self.clock.now()),))
            self._say(number, f"cannot be planned: {error}")
            return None
        self._seeds[number] = plan.seed
        after = frozenset(
            place for place, other in enumerate(self._suite.items) if other.experiment in item.after and place != number
        )
        return Job(number, radius_of(plan), expected_seconds(plan), after)

    def _one(self, number: int) -> Order:
        """How an item is run: with the seed of its plan, so that it hits what was planned."""
        item = self._suite.items[number]
        return Order(
            experiment=item.reference,
            environment=item.environment,
            seed=self._seeds.get(number),
            second=self._order.second,
            production_confirmed=self._order.production_confirmed,
            halt_file=self._order.halt_file,
            folder=self._order.folder,
            state=self._order.state,
            parameters=item.parameters,
            gate=self._gate,
            library=self._suite.library,
        )

    async def carry_out(self, stop: Stop) -> None:
        """Run them."""
        spec = self._suite.suite.spec
        wishes = Wishes(
            rules=Rules(parallel=spec.parallel, longest_first=spec.order == "longest-first"),
            budget=spec.budget,
            stop_on_failure=spec.stop_on_failure,
            retries={number: item.retries for number, item in enumerate(self._suite.items)},
        )
        under_way = CarryOut(self._jobs, wishes, self._run, self.clock, self._note)
        await under_way.all(stop)
        self._outcomes |= under_way.outcomes
        self._stopped, self._halted = under_way.stopped, under_way.halted

    async def _run(self, number: int, stop: Stop) -> Attempt:
        began, monotonic = self.clock.now(), self.clock.monotonic()
        label = self._suite.items[number].label
        others = self._under_way[number] = [target for targets in self._own.values() for target in targets]
        try:
            report = await run_experiment(
                self._one(number),
                [lambda entry: self._look_on(number, entry)],
                lambda words: self._tell(f"{label}: {words}"),
                stop,
                elsewhere=lambda: others,
            )
        finally:
            self._under_way.pop(number, None)
            self._own.pop(number, None)
        self.reports.setdefault(number, []).append(report)
        verdict = report.verdict
        return Attempt(
            answer=verdict.answer,
            exit_code=verdict.exit_code,
            why=verdict.summary,
            run=verdict.run,
            gaps=bool(report.gaps),
            halted=verdict.ending is Ending.HALTED,
            began=began,
            seconds=self.clock.monotonic() - monotonic,
        )

    def _look_on(self, number: int, entry: Entry) -> None:
        """Tell the others what a run that begins acts on, as what becomes of it is not their doing."""
        if isinstance(entry.event, RunStarted):
            targets = [target for fault in entry.event.plan.faults for target in fault.targets]
            self._own[number] = targets
            for other in self._under_way.keys() - {number}:
                self._under_way[other] += targets

    # -- words

    def _note(self, what: Literal["started", "again", "over"], number: int, attempt: Attempt | None) -> None:
        if attempt is None:
            self._say(number, "started")
        elif what == "again":
            self._say(number, f"{attempt.why}; it is tried again")
        else:
            run = f" (run {attempt.run})" if attempt.run else ""
            self._say(number, f"{attempt.answer.value} after {attempt.seconds:.1f} s{run}")

    def _say(self, number: int, words: str) -> None:
        place = f"[{self.meant.index(number) + 1}/{len(self.meant)}]"
        self._progress(f"{place} {self._suite.items[number].label}: {words}")

    # -- what came of it

    def result(self, began: float) -> SuiteResult:
        """All items that were meant, those that did not take place with why."""
        items = [self._item(number) for number in self.meant]
        return SuiteResult(
            id=new_run_id(self.clock),
            suite=self._suite.name,
            title=self._suite.suite.spec.title,
            file=self._suite.file,
            began=began,
            ended=self.clock.now(),
            exit_code=gravest([each.exit_code for each in items]),
            stopped=self._stopped,
            items=tuple(items),
        )

    def counting(self) -> dict[int, str]:
        """The run whose words are its item's, by the item's number."""
        counts = {number: outcome.counts.run for number, outcome in self._outcomes.items()}
        return {number: run for number, run in counts.items() if run is not None}

    def _item(self, number: int) -> ItemResult:
        item: SuiteItem = self._suite.items[number]
        outcome = self._outcomes.get(number)
        if outcome is None:
            code = 6 if self._halted else 3
            return ItemResult(item=item, answer=Answer.INCONCLUSIVE, exit_code=code, why=f"not run: {self._stopped}")
        counts = outcome.counts
        return ItemResult(
            item=item,
            runs=tuple(each.run for each in outcome.attempts if each.run is not None),
            answer=counts.answer,
            exit_code=counts.exit_code,
            why=counts.why,
            began=outcome.attempts[0].began,
            seconds=sum(each.seconds for each in outcome.attempts),
        )


def _keep(result: SuiteResult, state: Path, tell: Tell) -> None:
    try:
        write_file(state / "suites" / result.id / "result.json", json_text(result.as_json()))
    except NotPossibleNow as error:
        tell(str(error))


def kept_results(state: Path) -> list[SuiteResult]:
    """Of this state folder, newest first; those that cannot be read are passed over."""
    import json

    found = []
    for path in sorted((state / "suites").glob("*/result.json"), reverse=True):
        with suppress(OSError, ValueError):
            found.append(SuiteResult.model_validate(json.loads(path.read_text(encoding="utf-8"))))
    return found
