"""Remediation that runs: a near miss's runbook checked, applied, and the experiment that verifies it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from chaosrunner.app.orders import Order
from chaosrunner.clock import Clock, SystemClock
from chaosrunner.errors import Refused, RunbookHalted, UsageError
from chaosrunner.http import Http
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.pending import TRIED, PendingApply, pending_apply
from chaosrunner.person import who
from chaosrunner.ports import ProbeContext
from chaosrunner.records.light import dataclass, replace
from chaosrunner.register import open_register, register_exists
from chaosrunner.stages.guard import Circumstances, ask_to_change
from chaosrunner.stages.runbook import Assigned, Played, Playing, Rerun, assigned
from chaosrunner.store.played import PlayedRunbooks

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Remedy:
    """Whose runbook is asked for, and how."""

    near_miss: str
    environment: str | None = None
    """Instead of the experiment's own."""
    experiment: str | None = None
    """Whose runbook; default: of the one that shows the near miss."""
    second: str = ""
    production_confirmed: bool = False
    folder: Path = field(default_factory=Path)
    """Where references start."""
    state: Path = Path(".chaosrunner")


@dataclass(frozen=True)
class Remedied:
    """A near miss with its runbook, and what playing it said."""

    near_miss: NearMiss
    runbook: Assigned
    checked: Played | None = None
    """None: an earlier apply ended, and is gone on with."""
    applied: Played | None = None
    """None: it was only checked, or there was nothing to change."""
    pending: PendingApply | None = None
    """An earlier apply of which something was left to be done."""


async def check_runbook(remedy: Remedy) -> Remedied:
    """What the runbook of a near miss would change.

    Raises `UsageError` where it has none, `NotPossibleNow` where its tool is not there, `RunbookFailed` where the check
    did not come to its end, `RunbookHalted` where somebody stopped it.
    """
    async with _at_hand(remedy) as (playing, found):
        pending = _pending(playing)
        return Remedied(playing.near_miss, found, await _until_signalled(playing.check()), pending=pending)


async def taken_up(remedy: Remedy) -> Remedied | None:
    """An earlier apply of the same runbook that ended, and that no run has tried since: `order_of` says what verifies
    it. None: there is none, so it begins with a check. Raises as `check_runbook`."""
    async with _at_hand(remedy) as (playing, found):
        pending = _pending(playing)
        if pending is None or not pending.ended or pending.does != found.does:
            return None
        playing.go_on(pending)
        return Remedied(playing.register.get(playing.near_miss.id), found, pending=pending)


async def apply_runbook(remedy: Remedy, checked: Remedied) -> Remedied:
    """Apply what was checked, where there is something to apply; afterwards `order_of` says what verifies it.

    Raises as `check_runbook`, and `Refused` where the environment's guards forbid a change.
    """
    says = checked.checked.says if checked.checked else None
    if says is None or (says.as_wanted and checked.pending is None):
        return checked
    async with _at_hand(remedy) as (playing, found):
        if (pending := _pending(playing)) is not None and not pending.ended:
            playing.settle(pending, says)
        if says.as_wanted:
            return replace(checked, near_miss=playing.register.get(playing.near_miss.id))
        applied = await _until_signalled(playing.apply())
        return replace(checked, runbook=found, applied=applied, near_miss=playing.register.get(playing.near_miss.id))


def refuse_change(remedy: Remedy) -> None:
    """Raises `Refused` where the environment forbids changes now: production without two who know, or out of hours."""
    with open_register(remedy.state, SystemClock()) as register:
        found = assigned(register.show(remedy.near_miss), _named(remedy), remedy.environment, remedy.folder)
    now = SystemClock().now()
    circumstances = Circumstances(now, who(), remedy.second, remedy.production_confirmed)
    answers = ask_to_change(found.loaded.environment.spec.guards, circumstances)
    if refusals := [f"{each.guard}: {each.reason}" for each in answers if not each.go]:
        raise Refused("; ".join(refusals))


def note_tried(remedy: Remedy, done: Remedied, run: str, answer: str) -> None:
    """Put down that the run after an apply came to its end, whatever it showed. Raises `NotPossibleNow`."""
    if done.applied is None and done.pending is None:
        return
    with open_register(remedy.state, SystemClock()) as register:
        register.add_event(done.near_miss.id, who(), TRIED, after=answer, run=run)


def order_of(remedy: Remedy, done: Remedied) -> Order:
    """What is run to verify it: the experiment that showed the near miss, with the same targets."""
    rerun = done.runbook.rerun
    return Order(
        experiment=rerun.experiment,
        environment=remedy.environment or rerun.environment,
        seed=rerun.seed,
        second=remedy.second,
        production_confirmed=remedy.production_confirmed,
        folder=remedy.folder,
        state=remedy.state,
        parameters=dict(rerun.parameters),
    )


def _pending(playing: Playing) -> PendingApply | None:
    return pending_apply(playing.register.show(playing.near_miss.id).history)


def _named(remedy: Remedy) -> Rerun | None:
    return Rerun(remedy.experiment) if remedy.experiment else None


@asynccontextmanager
async def _at_hand(remedy: Remedy) -> AsyncIterator[tuple[Playing, Assigned]]:
    """The runbook, ready to be played by nobody else."""
    clock: Clock = SystemClock()
    if not register_exists(remedy.state):
        raise UsageError(f"there is no register of near misses in {remedy.state} yet")
    played = PlayedRunbooks(remedy.state)
    with open_register(remedy.state, clock) as register:
        record = register.show(remedy.near_miss)
        if record.near_miss.duplicate_of:
            original = record.near_miss.duplicate_of
            raise UsageError(f"{record.near_miss.id} is a duplicate of {original}: chaosrunner remediate {original}")
        found = assigned(record, _named(remedy), remedy.environment, remedy.folder)
        folder = found.loaded.path.parent
        with played.alone():
            async with Http(clock, folder=folder) as http:
                environment = found.loaded.environment
                context = ProbeContext(clock, http, folder, environment=environment, state=remedy.state)
                runbook = found.made(context)
                yield Playing(register, record.near_miss, found.kind, found.does, runbook, clock, played, who()), found


async def _until_signalled(work: Coroutine[Any, Any, T]) -> T:
    """What it answers; a signal stops it in order, once: what it started is ended with it."""
    loop = asyncio.get_running_loop()
    task, signals = loop.create_task(work), list[str]()

    def arrived(number: signal.Signals) -> None:
        if not signals:
            task.cancel()
        signals.append(number.name)

    for number in _SIGNALS:
        loop.add_signal_handler(number, arrived, number)
    try:
        await asyncio.wait({task})
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        why = signals[0] if signals else "it was cancelled"
        raise RunbookHalted(f"the runbook was stopped ({why}); what it had changed by then stays: check it again")
    return task.result()
