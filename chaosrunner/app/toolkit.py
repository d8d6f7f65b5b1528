"""Running Chaos Toolkit's files, and keeping what their runs say: with our journal, verdict and near misses."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from chaosrunner import __version__
from chaosrunner.app.concluding import RunReport, conclude
from chaosrunner.app.desk import Desk, Tell, look_at_items
from chaosrunner.app.lookout import Lookout
from chaosrunner.clock import Clock, SystemClock, new_run_id
from chaosrunner.errors import Refused, UsageError
from chaosrunner.extensions import Extensions, NoWord
from chaosrunner.http import Http
from chaosrunner.interop import toolkit_file as file
from chaosrunner.interop.toolkit_record import Timed, Told, began_at, events_of, injection_failed, plan_of, their_exit
from chaosrunner.interop.toolkit_traps import traps, ways, what_happened
from chaosrunner.model.environment import Environment
from chaosrunner.model.frozen import json_text
from chaosrunner.model.journal import RunEnded, RunStarted
from chaosrunner.model.plan import Plan, Source
from chaosrunner.person import who
from chaosrunner.records.light import dataclass
from chaosrunner.stages.load import load_environment
from chaosrunner.stages.run import RunOutcome
from chaosrunner.store.journal import Journal
from chaosrunner.store.kept import write_file
from chaosrunner.store.runs import Runs

ENVIRONMENT = "chaos-toolkit"
"""The environment, and its class, of runs for which none is named."""
THEIRS = "chaostoolkit.json"
"""Their own journal, beside ours."""
GRACE = 10.0
"""Seconds that Chaos Toolkit has to end by itself when its time is over."""
_RECOVERY = 60.0
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED, _NO_VERDICT = 6, 3


@dataclass(frozen=True)
class ToolkitOrder:
    """What to run, and how. The strategies are in Chaos Toolkit's words; None: the file's, or the settings'."""

    path: Path
    environment: str | None = None
    state: Path = Path(".chaosrunner")
    folder: Path = field(default_factory=Path)
    strict: bool = False
    """Our rules: the hypothesis is watched throughout and after the rollbacks, which are played whatever happens."""
    production_agreed: bool = False
    """Whether this is known to be production, and a second person agrees."""
    time_limit: float = 3600.0
    shows: bool = True
    """Whether Chaos Toolkit's log is shown as it comes."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """For its library: `hypothesis_strategy`, `rollbacks_strategy`, `frequency`, `fail_fast`, `dry`, `var`, `var_file`,
    `control_file`, `settings`, `no_validation`."""


@dataclass(frozen=True)
class ToolkitReport:
    """What came of it, for both."""

    status: str
    """Chaos Toolkit's word: `completed`, `failed`, `aborted`, `interrupted`; empty: it did not come to its end."""
    deviated: bool
    their_exit: int
    """What `chaos run` exits with."""
    exit_code: int
    """The same in our numbers: 0 stays 0, and what is not says more."""
    fell_into: tuple[str, ...]
    """Traps that this run fell into, as sentences."""
    journal: Path
    """Theirs."""
    report: RunReport
    """Ours."""


async def run_toolkit(order: ToolkitOrder, tell: Tell) -> ToolkitReport:
    """Run one file. Raises `UsageError` where Chaos Toolkit finds it invalid, and `Refused` on production that nobody
    else agreed to: nothing was started then. Of an environment's other guards none is asked: what the file does, and to
    what, only Chaos Toolkit knows."""
    experiment = file.read_json_or_yaml(order.path)
    ours = file.settings_of_ours(experiment)
    options = _options(order)
    for words in traps(experiment, ways(experiment, options)) if not order.strict else ():
        tell(words)
    environment, folder = _environment(order.environment or ours.get("environment"), order.folder)
    if environment.spec.guards.production and not order.production_agreed:
        needed = "--i-know-this-is-production and --second NAME"
        raise Refused(f"{environment.name} is a production system: a run there needs {needed}")
    clock = SystemClock()
    began = clock.now()
    answer = await _executed(order, options, tell)
    if "invalid" in answer:
        raise UsageError(f"{order.path}: {answer['invalid']}")
    journal = {"experiment": experiment, "start": None, **file.mapping(answer.get("journal"))}
    told = Told(
        journal=journal,
        frequency=float(options.get("frequency", 1.0)),
        crashed=str(answer.get("crashed", "")),
        confirmed=file.mapping(answer.get("confirmed")),
        recovery=file.listed(answer["recovery"]) if "recovery" in answer else None,
    )
    source = Source(path=str(order.path), sha256=hashlib.sha256(order.path.read_bytes()).hexdigest())
    plan = plan_of(told, environment, str(folder), source, f"chaosrunner run {order.path}")
    return await _kept(told, plan, Keeping(order.state, clock, began), tell, strict=order.strict)


async def record_toolkit(
    path: Path, environment: str | None, state: Path, tell: Tell, *, folder: Path | None = None, command: str = ""
) -> ToolkitReport:
    """Keep a journal that Chaos Toolkit wrote: what it shows becomes near misses, as if chaosrunner had run it.
    `command`: how it is seen again.

    Raises `UsageError` where it is none, or is kept already.
    """
    journal = file.read_json_or_yaml(path)
    if not isinstance(journal.get("experiment"), dict) or "steady_states" not in journal:
        raise UsageError(f"{path}: expected a journal of Chaos Toolkit, with `experiment` and `steady_states`")
    told = Told(journal)
    if (run := _kept_as(journal, Runs(state))) is not None:
        raise UsageError(f"{path}: what this journal tells is recorded already, as the run {run}")
    ours = file.settings_of_ours(told.experiment)
    found, place = _environment(environment or ours.get("environment"), folder or Path())
    clock = SystemClock()
    title = " ".join(str(told.experiment.get("title") or "").split())
    plan = plan_of(told, found, str(place), None, command or f"chaos run EXPERIMENT   # the one of the title: {title}")
    return await _kept(told, plan, Keeping(state, clock, clock.now()), tell)


def _kept_as(journal: Mapping[str, Any], runs: Runs) -> str | None:
    """The run that the same journal was recorded as: by the control while `chaos run` ended, or by a call before. One
    run that counts twice would be a weakness that looks more reliable than it is."""

    def what(told: Mapping[str, Any]) -> tuple[Any, ...]:
        return told.get("start"), told.get("node"), file.mapping(told.get("experiment")).get("title")

    if not journal.get("start"):
        return None
    for run in runs.list():
        theirs = runs.folder(run) / THEIRS
        if theirs.exists() and what(file.read_json_or_yaml(theirs)) == what(journal):
            return run
    return None


def _options(order: ToolkitOrder) -> dict[str, Any]:
    options = dict(order.options)
    if order.strict:
        options["rollbacks_strategy"] = "always"
        options["hypothesis_strategy"] = options.get("hypothesis_strategy") or "continuously"
        options["recovery"] = _RECOVERY
    return options


def _environment(word: object, folder: Path) -> tuple[Environment, Path]:
    if word:
        environment, place, _ = load_environment(str(word), folder)
        return environment, place.resolve()
    made = Environment.model_validate(
        {
            "apiVersion": "chaosrunner.dev/v1",
            "kind": "Environment",
            "metadata": {"name": ENVIRONMENT},
            "spec": {"platform": {"local": {"services": {}}}},
        }
    )
    return made, folder.resolve()


# --------------------------------------------------------------------------------------------------------- executing


async def _executed(order: ToolkitOrder, options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """The worker's answer; where it gives none, why, as one that crashed."""
    worker = Extensions(Path.cwd(), shows=order.shows)
    asked = {"do": "run", "path": str(order.path), **options}
    with _signals_for(worker, tell, strict=order.strict):
        asking = asyncio.ensure_future(worker.ask(asked, order.time_limit + 3 * GRACE))
        done, _ = await asyncio.wait({asking}, timeout=order.time_limit)
        if not done:
            tell(f"the time limit of {order.time_limit:g} s is reached: Chaos Toolkit is told to stop")
            worker.interrupt(signal.SIGINT)
            done, _ = await asyncio.wait({asking}, timeout=GRACE)
        if not done:
            worker.kill()
        try:
            return await asking
        except NoWord as error:
            return await _after_a_death(str(error), worker, asked, order, tell)
        finally:
            worker.close()


async def _after_a_death(
    why: str, worker: Extensions, asked: Mapping[str, Any], order: ToolkitOrder, tell: Tell
) -> dict[str, Any]:
    """Nothing is known of what was done; under our rules the rollbacks are played all the same."""
    tell(f"Chaos Toolkit gave no answer: {why}")
    if order.strict:
        tell("its rollbacks are played now")
        try:
            answer = await worker.ask({**asked, "rollbacks_only": True, "recovery": 0}, order.time_limit)
        except NoWord as error:
            tell(f"the rollbacks gave no answer either: {error}")
            answer = {}
        rollbacks = file.listed(file.mapping(answer.get("journal")).get("rollbacks"))
        if rollbacks and not any(map(injection_failed, rollbacks)):
            return {"crashed": why, "journal": {"rollbacks": rollbacks}}
    tell("what its actions did may still be in force: look, and take it back by hand")
    return {"crashed": why}


@contextmanager
def _signals_for(worker: Extensions, tell: Tell, *, strict: bool) -> Iterator[None]:
    """Hands signals on to Chaos Toolkit, which does with them what it does; under our rules each is a Ctrl-C, which its
    activities cannot swallow, and which the rollbacks follow."""
    loop = asyncio.get_running_loop()

    def hand_on(number: int) -> None:
        tell(f"{signal.Signals(number).name} is handed on to Chaos Toolkit")
        worker.interrupt(signal.SIGINT if strict else number)

    for number in _PASSED_ON:
        loop.add_signal_handler(number, hand_on, number)
    try:
        yield
    finally:
        for number in _PASSED_ON:
            loop.remove_signal_handler(number)


# ----------------------------------------------------------------------------------------------------------- keeping


@dataclass(frozen=True)
class Keeping:
    """Where what a run says is kept, and since when."""

    state: Path
    clock: Clock
    began: float


class _Then:
    """A clock that shows when each event happened."""

    def __init__(self, zero: float) -> None:
        self._zero = zero
        self.t = 0.0

    def now(self) -> float:
        return self._zero + self.t

    def monotonic(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        return


async def _kept(told: Told, plan: Plan, keeping: Keeping, tell: Tell, *, strict: bool = False) -> ToolkitReport:
    run = new_run_id(keeping.clock)
    runs = Runs(keeping.state)
    theirs = write_file(runs.folder(run) / THEIRS, json.dumps(told.journal, indent=2, ensure_ascii=False))
    outcome = _written(told, plan, run, runs.journal(run), keeping)
    async with Http(keeping.clock, folder=Path(plan.folder)) as http:
        desk = Desk(keeping.state, keeping.clock, http, tell)
        await look_at_items(plan, desk)
        # Which platform the system lives on is only known where an environment was named.
        there = Lookout(plan, desk, None) if plan.environment.name == ENVIRONMENT else None
        report = await conclude(plan, outcome, desk, there)
    status, deviated = str(told.journal.get("status") or ""), bool(told.journal.get("deviated"))
    exits = their_exit(told)
    return ToolkitReport(
        status=status,
        deviated=deviated,
        their_exit=exits,
        exit_code=report.verdict.exit_code if strict else _in_our_numbers(exits, status, crashed=bool(told.crashed)),
        fell_into=tuple(what_happened(told, exits)),
        journal=Path(theirs),
        report=report,
    )


def _in_our_numbers(their_exit: int, status: str, *, crashed: bool) -> int:
    if their_exit and status == "interrupted":
        return _INTERRUPTED
    return _NO_VERDICT if crashed else their_exit


def _written(told: Told, plan: Plan, run: str, path: Path, keeping: Keeping) -> RunOutcome:
    """Our journal of it, on disk."""
    events: list[Timed] = events_of(told, plan)
    then = _Then(began_at(told) or keeping.began)
    journal = Journal(path, then)
    try:
        journal.append(_identity(run, plan))
        for timed in events:
            then.t = timed.t
            journal.append(timed.event)
    finally:
        journal.close()
    ended = events[-1].event
    assert isinstance(ended, RunEnded)
    return RunOutcome(run, path, ended.ending, ended.reason, trouble="", undo_failed=False)


def _identity(run: str, plan: Plan) -> RunStarted:
    return RunStarted(
        run=run,
        plan=plan,
        who=who(),
        host=socket.gethostname(),
        pid=os.getpid(),
        folder=str(Path.cwd()),
        versions={"chaosrunner": __version__, "python": ".".join(map(str, sys.version_info[:3]))},
    )


# --------------------------------------------------------------------------------------------------------- exporting


def exported(folder: Path) -> str:
    """A run's journal as Chaos Toolkit writes it: their own, where it ran it; otherwise ours in their words.

    Raises `JournalFailed` where there is none that can be read.
    """
    if (folder / THEIRS).exists():
        return (folder / THEIRS).read_text()
    from chaosrunner.interop.toolkit_journal import journal_of
    from chaosrunner.stages.judge import judge
    from chaosrunner.store.journal import read_journal

    entries = list(read_journal(folder / "journal.jsonl"))
    return json_text(journal_of(entries, judge(entries)))
