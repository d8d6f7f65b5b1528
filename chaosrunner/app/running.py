"""Running an experiment from its file to its near misses."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from chaosrunner import __version__
from chaosrunner.app.desk import Desk, Tell, look_at_items
from chaosrunner.app.healing import heal_before
from chaosrunner.app.orders import FINDING, Order, Prepared, alert_sources, prepared, silences_of
from chaosrunner.clock import new_run_id
from chaosrunner.engine.recorder import Observer
from chaosrunner.engine.stop import Stop
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.journal import Noted, RunStarted, TrafficSample
from chaosrunner.model.plan import Plan
from chaosrunner.model.target import Target
from chaosrunner.model.words import Ending
from chaosrunner.person import who
from chaosrunner.records.light import replace
from chaosrunner.stages.run import Load, Setting, run
from chaosrunner.store.machine import Machine, machine_folder
from chaosrunner.store.runs import Runs

if TYPE_CHECKING:
    from chaosrunner.app.announcing import Announcer
    from chaosrunner.app.concluding import RunReport
    from chaosrunner.app.lookout import Lookout

HALTING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

AHEAD = ("app.concluding", "stages.report", "reports.html", "reports.summary")
"""What concluding takes, of chaosrunner."""
AFTER = 0.005
"""Seconds after which a run has begun to wait for its readings."""
_SHORT = 0.0005
"""Seconds after which the thread that imports ahead lets the event loop have its turn."""


async def run_experiment(
    order: Order,
    observers: Sequence[Observer] = (),
    tell: Tell = lambda words: None,
    stop: Stop | None = None,
    notes: Callable[[], Sequence[Noted]] = tuple,
    elsewhere: Callable[[], Sequence[Target]] = tuple,
) -> RunReport:
    """Run one experiment from its file to its near misses. Whatever ends it, faults are undone.

    `stop` is for callers that run several: they see to signals, and set it off. Without it, signals halt the run, and
    are ignored from its end on, until the caller sets them to something else. `notes`: what people said since it was
    asked last, for the journal; `elsewhere`: targets of this command's other runs, which is not this one's doing.
    """
    machine = Machine(machine_folder())
    signals: AbstractContextManager[None] = nullcontext()
    if stop is None:
        stop = Stop()
        signals = Signals(stop, tell)
    async with _prepared_on_clean_ground(order, machine, tell) as ready:
        for warning in ready.plan.warnings:
            tell(warning)
        desk = Desk(order.state, ready.clock, ready.http, tell)
        run_id = new_run_id(ready.clock)
        await look_at_items(ready.plan, desk, run_id)
        there = _sources(ready.plan, desk)
        if there is not None:
            observers = (*observers, there.observe)
        told = _announcer(ready.plan, desk)
        if told is not None:
            observers = (*observers, told.observe)
        try:
            with signals:
                asyncio.get_running_loop().call_later(AFTER, _import_ahead)
                setting = _setting(ready, run_id, machine, stop, observers, notes)
                outcome = await run(ready.plan, _identity(run_id, ready.plan), replace(setting, elsewhere=elsewhere))
                from chaosrunner.app.concluding import conclude

                # An impatient Ctrl-C must not keep what was found from being written down.
                report = await conclude(ready.plan, outcome, desk, there)
                if told is not None:
                    told.conclude(report.verdict, report.gaps, report.found, report.account.began_at)
                return report
        finally:
            if told is not None:
                await told.close()


def _sources(plan: Plan, desk: Desk) -> Lookout | None:
    """Where evidence comes from, if the environment names any."""
    if not plan.environment.spec.evidence.sources:
        return None
    from chaosrunner.app.lookout import lookout

    return lookout(plan, desk)


def _announcer(plan: Plan, desk: Desk) -> Announcer | None:
    """Who is told of the run, if the environment names anybody."""
    if not plan.environment.spec.notify:
        return None
    from chaosrunner.app.announcing import Announcer

    return Announcer(plan, desk)


def _import_ahead() -> None:
    """Import what concluding takes while the run waits for readings; a long run also concludes with the version that it
    began with, whatever is installed meanwhile."""

    def work() -> None:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SHORT)
        try:
            with suppress(ImportError):  # then it is said where it is needed
                for module in AHEAD:
                    importlib.import_module(f"chaosrunner.{module}")
        finally:
            sys.setswitchinterval(usual)

    threading.Thread(target=work, name="imports ahead", daemon=True).start()


@asynccontextmanager
async def _prepared_on_clean_ground(order: Order, machine: Machine, tell: Tell) -> AsyncIterator[Prepared]:
    """Prepared, with nothing left of dead runs: what was planned while there was is planned anew."""
    async with prepared(order) as ready:
        if not await heal_before(ready.plan.environment.name, machine, ready.clock, tell, ready.platform):
            yield ready
            return
    async with prepared(order) as ready:
        yield ready


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
            "python": ".".join(map(str, sys.version_info[:3])),
            "system": f"{os.uname().sysname} {os.uname().release}",
        },
    )


def _setting(
    ready: Prepared,
    run_id: str,
    machine: Machine,
    stop: Stop,
    observers: Sequence[Observer],
    notes: Callable[[], Sequence[Noted]],
) -> Setting:
    def make_load(spec: TrafficSpec, sample: Callable[[TrafficSample], None]) -> Load:
        from chaosrunner.traffic.source import Traffic

        return Traffic(spec, ready.clock, sample)

    return Setting(
        folder=Runs(ready.order.state).folder(run_id),
        platform=ready.platform,
        machine=machine,
        clock=ready.clock,
        stop=stop,
        find_fault=FINDING.fault,
        make_probes=ready.probes,
        make_probe=ready.probe,
        find_probe=FINDING.probe,
        make_load=make_load,
        ask_again=ready.ask_again if ready.plan.environment.spec.guards.always else None,
        may_join=ready.may_join,
        alerts=alert_sources(ready.plan.environment, ready.http),
        silences=silences_of(ready.plan.environment, ready.http),
        observers=observers,
        halt_file=ready.order.halt_file,
        notes=notes,
    )


class Signals(AbstractContextManager[None]):
    """Turns SIGINT, SIGTERM and SIGHUP into a halt, so that they go through the undo, however often they come.

    Afterwards they are ignored: what was found has been written down and only remains to be said. Handlers are changed
    in one step each (the event loop's own way passes through Python's default), so that there is no moment in between
    at which a signal kills.
    """

    def __init__(self, stop: Stop, tell: Tell) -> None:
        self._stop = stop
        self._tell = tell

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        for number in HALTING_SIGNALS:
            signal.signal(number, self._arrived)

    def __exit__(self, *_: object) -> None:
        for number in HALTING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _arrived(self, number: int, _: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._halt, number)

    def _halt(self, number: int) -> None:
        first = self._stop.halt is None
        self._stop.now(Ending.HALTED, signal.Signals(number).name)
        self._tell("halting: taking every fault back" if first else "still at it; please wait")
