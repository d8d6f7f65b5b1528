"""Puts the parts together for a command: files, platform, plan, guards, run, verdict, near misses, reports."""

from __future__ import annotations

import asyncio
import getpass
import os
import platform as operating_system
import shlex
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaosrunner import __version__, catalog
from chaosrunner.clock import Clock, SystemClock, new_run_id, new_seed
from chaosrunner.engine.recorder import Observer
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import Busy, NotPossibleNow, UndoFailed, UsageError
from chaosrunner.http import Http
from chaosrunner.judging.reading import Reading
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.gap import Gap
from chaosrunner.model.journal import RunStarted, TrafficSample
from chaosrunner.model.plan import Plan, PlannedMeasure
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import Ending, GapKind
from chaosrunner.ports import Platform, Probe, ProbeContext, TrafficSource
from chaosrunner.reports.account import Account, gather
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.stages.detect import detect
from chaosrunner.stages.guard import Alerts, Circumstances, ask
from chaosrunner.stages.heal import Healed, has_begun, heal, read_ledger
from chaosrunner.stages.judge import judge
from chaosrunner.stages.load import Loaded, load_environment, load_experiment
from chaosrunner.stages.plan import Finding, Intent, make_plan
from chaosrunner.stages.run import Load, RunOutcome, Setting, run
from chaosrunner.stages.sample import sample
from chaosrunner.store.journal import read_journal
from chaosrunner.store.machine import ActiveRun, Machine, machine_folder
from chaosrunner.store.runs import Runs

if TYPE_CHECKING:
    from chaosrunner.model.near_miss import NearMiss
    from chaosrunner.register.near_misses import Tried

Tell = Callable[[str], None]
"""Something to know beside the answer, for people."""


def who() -> str:
    """Who acts: `$CHAOSRUNNER_WHO`, or user@host."""
    named = os.environ.get("CHAOSRUNNER_WHO")
    if named:
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@dataclass(frozen=True)
class Order:
    """What a command was asked to run, and how."""

    experiment: str
    """Name or path."""
    environment: str | None = None
    """Instead of the experiment's own."""
    seed: int | None = None
    """None: a new one."""
    second: str = ""
    production_confirmed: bool = False
    halt_file: Path | None = None
    folder: Path = field(default_factory=Path)
    """Where references start."""
    state: Path = Path(".chaosrunner")


def make_platform(environment: Environment, folder: Path, clock: Clock) -> Platform:
    """The platform that an environment names. Raises `UsageError` for an unknown one."""
    call = environment.spec.platform
    plugin = catalog.find("platforms", call.kind)
    made: Platform = plugin(plugin.Spec.model_validate(call.with_), environment.name, folder, clock)
    return made


FINDING = Finding(
    fault=lambda kind: catalog.find("faults", kind),
    probe=lambda kind: catalog.find("probes", kind),
)


@dataclass(frozen=True)
class Prepared:
    """A plan with what is needed to carry it out."""

    order: Order
    loaded: Loaded
    plan: Plan
    platform: Platform
    http: Http
    clock: Clock
    circumstances: Circumstances

    def context(self, load: TrafficSource | None = None) -> ProbeContext:
        """What probes may use."""
        return ProbeContext(
            clock=self.clock,
            http=self.http,
            folder=Path(self.plan.folder),
            environment=self.plan.environment,
            platform=self.platform,
            traffic=load,
        )

    def probes(self, load: TrafficSource | None) -> list[tuple[PlannedMeasure, Probe[Any]]]:
        """One probe for each measure of the plan."""
        context = self.context(load)
        made = []
        for measure in self.plan.measures:
            plugin = catalog.find("probes", measure.probe)
            made.append((measure, plugin(plugin.Params.model_validate(measure.params), context)))
        return made


@asynccontextmanager
async def prepared(order: Order, clock: Clock | None = None) -> AsyncIterator[Prepared]:
    """Load, plan and ask the guards. Touches nothing; a refusal stands in `plan.guards`.

    Raises `FileProblems` and `UsageError` for what the files or the command say, `NotPossibleNow` where the platform
    cannot be asked.
    """
    clock = clock or SystemClock()
    loaded = load_experiment(order.experiment, order.environment, order.folder)
    folder = loaded.environment_path.parent
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(Http(clock, folder=folder))
        platform = make_platform(loaded.environment, folder, clock)
        stack.push_async_callback(platform.close)
        seed = new_seed() if order.seed is None else order.seed
        intent = Intent(
            experiment=loaded.experiment,
            hypotheses=loaded.hypotheses,
            environment=loaded.environment,
            sources=loaded.sources,
            warnings=loaded.warnings,
            command=_command(order, seed),
            folder=str(folder.resolve()),
        )
        plan = await make_plan(intent, platform, FINDING, seed)
        circumstances = Circumstances(
            now=clock.now(),
            who=who(),
            second=order.second,
            production_confirmed=order.production_confirmed,
            alerts=_alerts(loaded.environment, http),
        )
        answers = await ask(plan, circumstances)
        plan = plan.model_copy(update={"guards": (*plan.guards, *answers)})
        yield Prepared(order, loaded, plan, platform, http, clock, circumstances)


def _command(order: Order, seed: int) -> str:
    words = ["chaosrunner", "run", order.experiment]
    words += ["-e", order.environment] if order.environment else []
    return shlex.join([*words, "--seed", str(seed)])


def _alerts(environment: Environment, http: Http) -> Alerts | None:
    if environment.spec.prometheus is None:
        return None
    from chaosrunner.alerts import PrometheusAlerts

    return PrometheusAlerts(environment.spec.prometheus, http)


# ------------------------------------------------------------------------------------------------------------- run


@dataclass(frozen=True)
class RunReport:
    """All that came out of one run."""

    plan: Plan
    outcome: RunOutcome
    verdict: Verdict
    gaps: tuple[Gap, ...]
    account: Account
    """The journal's content as the reports need it."""
    found: tuple[ShownGap, ...]
    """Each gap with its near miss, where one was recorded."""
    verified: tuple[str, ...]
    """What passing meant to near misses that wait for it, in sentences."""
    html: Path

    @property
    def close_call(self) -> bool:
        """Whether a hypothesis held with too little room."""
        return any(gap.kind is GapKind.CLOSE_CALL for gap in self.gaps)


async def run_experiment(
    order: Order, observers: Sequence[Observer] = (), tell: Tell = lambda words: None, stop: Stop | None = None
) -> RunReport:
    """Run one experiment from its file to its near misses. Whatever ends it, faults are undone.

    `stop` is for callers that run several: they see to signals, and set it off. Without it, signals halt the run.
    """
    machine = Machine(machine_folder())
    signals: AbstractContextManager[None] = nullcontext()
    if stop is None:
        stop = Stop()
        signals = _signals(stop, tell)
    async with prepared(order) as ready:
        await heal_before(ready.plan.environment.name, machine, ready.clock, tell)
        run_id = new_run_id(ready.clock)
        with signals:
            outcome = await run(
                ready.plan, _identity(run_id, ready.plan), _setting(ready, run_id, machine, stop, observers)
            )
        return await conclude(ready, outcome, tell)


def _identity(run_id: str, plan: Plan) -> RunStarted:
    return RunStarted(
        run=run_id,
        plan=plan,
        who=who(),
        host=socket.gethostname(),
        pid=os.getpid(),
        folder=str(Path.cwd()),
        versions={
            "chaosrunner": __version__,
            "python": operating_system.python_version(),
            "system": f"{operating_system.system()} {operating_system.release()}",
        },
    )


def _setting(ready: Prepared, run_id: str, machine: Machine, stop: Stop, observers: Sequence[Observer]) -> Setting:
    def make_load(spec: TrafficSpec, sample: Callable[[TrafficSample], None]) -> Load:
        from chaosrunner.traffic import Traffic

        return Traffic(spec, ready.clock, sample)

    return Setting(
        folder=Runs(ready.order.state).folder(run_id),
        platform=ready.platform,
        machine=machine,
        clock=ready.clock,
        stop=stop,
        find_fault=FINDING.fault,
        make_probes=ready.probes,
        make_load=make_load,
        observers=observers,
        halt_file=ready.order.halt_file,
    )


class _signals(AbstractContextManager[None]):
    """Turns SIGINT, SIGTERM and SIGHUP into a halt, so that they go through the undo, however often they come."""

    def __init__(self, stop: Stop, tell: Tell) -> None:
        self._stop = stop
        self._tell = tell

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._halt, number)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _halt(self, number: signal.Signals) -> None:
        first = self._stop.halt is None
        self._stop.now(Ending.HALTED, signal.Signals(number).name)
        self._tell("halting: taking every fault back" if first else "still taking faults back; please wait")


async def conclude(ready: Prepared, outcome: RunOutcome, tell: Tell) -> RunReport:
    """Judge the journal, keep what was found, write the report. What fails here changes no verdict: it is told."""
    verdict = judge(read_journal(outcome.journal))
    gaps = detect(verdict, ready.plan)
    found, verified = await _keep(ready, verdict, gaps, tell)
    from chaosrunner.stages.report import Review, write_html

    account = gather(read_journal(outcome.journal))
    html = outcome.journal.with_name("report.html")
    try:
        write_html(Review(account, verdict, found), html)
    except NotPossibleNow as error:
        tell(str(error))
    return RunReport(ready.plan, outcome, verdict, gaps, account, found, verified, html)


async def _keep(
    ready: Prepared, verdict: Verdict, gaps: Sequence[Gap], tell: Tell
) -> tuple[tuple[ShownGap, ...], tuple[str, ...]]:
    """Record near misses and their remediation. The register is opened only where there is something to say to it."""
    from chaosrunner.register import open_register, register_exists

    if not gaps and not register_exists(ready.order.state):
        return (), ()
    from chaosrunner.register.near_misses import Wanted
    from chaosrunner.stages.register import register
    from chaosrunner.stages.remediate import follow, open_tracker, remediate

    plan, clock = ready.plan, ready.clock
    try:
        with open_register(ready.order.state, clock) as book:
            tracker = open_tracker(plan.environment, replace(ready.context(), folder=ready.order.state))
            concerned = Wanted(service=plan.service, environment_class=plan.environment.class_name)
            waiting = [each.id for each in book.list(concerned)]
            await follow(book, tracker, clock, waiting) if waiting else []
            done = register(verdict, plan, gaps, book, clock)
            items = await remediate(done, book, tracker, clock)
    except NotPossibleNow as error:
        tell(f"the near misses of this run are not recorded: {error}; `chaosrunner judge {verdict.run}` shows them")
        return tuple(ShownGap(gap) for gap in gaps), ()
    for item in items:
        if item.trouble:
            tell(f"{item.near_miss.id}: {item.trouble}")
    urls = {item.near_miss.id: item.url for item in items}
    found = tuple(_found(gap, each.near_miss, urls) for gap, each in zip(gaps, done.recorded, strict=True))
    return found, tuple(_progress(each) for each in done.tried)


def _found(gap: Gap, near_miss: NearMiss, urls: Mapping[str, str]) -> ShownGap:
    return ShownGap(
        gap=gap,
        id=near_miss.id,
        priority=near_miss.priority.value,
        state=near_miss.state.value,
        occurrences=near_miss.occurrences,
        remediation=urls.get(near_miss.id, ""),
    )


def _progress(tried: Tried) -> str:
    near_miss = tried.near_miss
    if tried.verified:
        return f"{near_miss.id} is verified: {near_miss.title}"
    return f"{near_miss.id} ({near_miss.state.value}): {tried.why}"


# ------------------------------------------------------------------------------------------------------ other verbs


async def plan_experiment(order: Order, *, read: bool = True) -> tuple[Plan, dict[str, Reading]]:
    """The plan, and one reading of each measure (none of those that need the run's own load)."""
    async with prepared(order) as ready:
        probes = ready.probes(None) if read else []
        try:
            return ready.plan, await sample(probes, ready.clock)
        finally:
            await ready.platform.close()


async def heal_before(environment: str, machine: Machine, clock: Clock, tell: Tell) -> None:
    """Take back what dead runs left on this environment, so that the next run starts clean."""
    for dead in [each for each in machine.runs() if not each.alive and each.environment == environment]:
        healed = await _heal_one(dead, machine, clock)
        if healed.undone:
            tell(f"took back {', '.join(healed.undone)}, which the dead run {dead.run} had left in force")
        if not healed.whole:
            raise UndoFailed(
                f"run {dead.run} died and left {healed.failed[0].fault} in force, which cannot be taken back: "
                f"{healed.failed[0].error}",
                healed.failed[0].commands,
            )


async def heal_runs(state: Path, word: str | None) -> list[Healed]:
    """Heal all dead runs of this machine, or the one that `word` names.

    Raises `Busy` for one that is still under way, `UsageError` for one that nobody knows.
    """
    machine, clock = Machine(machine_folder()), SystemClock()
    if word is None:
        return [await _heal_one(each, machine, clock) for each in machine.runs() if not each.alive]
    listed = [run for run in machine.runs() if run.run.startswith(word)]
    if len(listed) != 1:
        runs = Runs(state)
        run_id = runs.find(word)
        journal = runs.journal(run_id)
        listed = [ActiveRun(run_id, "", str(journal.resolve()), machine.run_lock(run_id).holder is not None)]
    if listed[0].alive:
        raise Busy(
            f"run {listed[0].run} is under way: `chaosrunner halt {listed[0].run}` stops it and undoes everything"
        )
    return [await _heal_one(listed[0], machine, clock)]


async def _heal_one(dead: ActiveRun, machine: Machine, clock: Clock) -> Healed:
    lock = machine.run_lock(dead.run)
    if not lock.take({"run": dead.run, "healing": True}):
        raise Busy(f"run {dead.run} is being healed by another process")
    journal = Path(dead.journal)
    try:
        if not has_begun(journal):
            # It died before its first line: nothing was prepared, so nothing was injected.
            machine.leave(dead.run)
            return Healed(dead.run, (), ())
        ledger = read_ledger(journal)
        platform = make_platform(ledger.plan.environment, Path(ledger.plan.folder), clock)
        try:
            healed = await heal(ledger, journal, platform, FINDING.fault, clock, who())
        finally:
            await platform.close()
        if healed.whole:
            machine.leave(dead.run)
        return healed
    finally:
        lock.drop()


async def halt_runs(
    *, run: str | None, environment: str | None, reason: str, within: float
) -> tuple[list[str], list[str]]:
    """Ask runs to stop and wait for them: (those that ended, those that did not in time).

    Raises `UsageError` if a run is named that is not under way.
    """
    machine, clock = Machine(machine_folder()), SystemClock()
    if environment is not None and ("/" in environment or environment.endswith((".yaml", ".yml"))):
        environment = load_environment(environment, Path())[0].name
    meant = [
        each.run
        for each in machine.runs()
        if each.alive and (run is None or each.run.startswith(run)) and environment in (None, each.environment)
    ]
    if run is not None and not meant:
        raise UsageError(f"no run {run!r} is under way on this machine")
    if run is None:
        machine.halt(who(), reason, environment=environment)
    for each in meant if run is not None else ():
        machine.halt(who(), reason, run=each)
    ends = clock.monotonic() + within
    left = meant
    while left and clock.monotonic() < ends:
        await clock.sleep(0.05)
        left = [each for each in left if machine.run_lock(each).holder is not None]
    return [each for each in meant if each not in left], left
