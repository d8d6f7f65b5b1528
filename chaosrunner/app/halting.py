"""Stopping runs that live: this machine's, and those that an environment's platform knows of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaosrunner.app.orders import make_platform
from chaosrunner.clock import Clock, SystemClock
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.person import who
from chaosrunner.ports import Platform
from chaosrunner.stages.load import load_environment
from chaosrunner.store.machine import Machine, machine_folder


async def halt_runs(
    *, run: str | None, environment: str | None, reason: str, within: float
) -> tuple[list[str], list[str]]:
    """Ask runs to stop and wait for them: (those that ended, those that did not in time). With an environment, also
    those that were started on other machines, where its platform knows of them.

    Raises `UsageError` if a run is named that is not under way.
    """
    machine, clock = Machine(machine_folder()), SystemClock()
    platform: Platform | None = None
    if environment is not None:
        environment, platform = _platform_of(environment, clock)
    meant = _asked_here(machine, run, environment, reason)
    ends = clock.monotonic() + within
    try:
        elsewhere = await _asked_elsewhere(platform, run or "", reason)
        # This machine's stop even if the platform cannot be asked about the others.
        left = await _ended_here(machine, meant, clock, ends)
        if isinstance(elsewhere, NotPossibleNow):
            raise elsewhere
        others = [each for each in elsewhere if each not in meant]
        if run is not None and not meant and not others:
            where = f" on {environment}" if platform is not None else " on this machine (-e NAME looks at others, too)"
            raise UsageError(f"no run {run!r} is under way{where}")
        left += await _still_alive(platform, others, clock, ends)
    finally:
        if platform is not None:
            await platform.close()
    return [each for each in (*meant, *others) if each not in left], left


def _platform_of(environment: str, clock: Clock) -> tuple[str, Platform | None]:
    """An environment's name and platform. Runs of this machine are halted by the name alone, wherever its file is."""
    try:
        found, folder, _ = load_environment(environment, Path())
    except UsageError:
        if "/" in environment or environment.endswith((".yaml", ".yml")):
            raise
        return environment, None
    return found.name, make_platform(found, folder, clock)


def _asked_here(machine: Machine, run: str | None, environment: str | None, reason: str) -> list[str]:
    meant = [
        each.run
        for each in machine.runs()
        if each.alive and (run is None or each.run.startswith(run)) and environment in (None, each.environment)
    ]
    if run is None:
        machine.halt(who(), reason, environment=environment)
    for each in meant if run is not None else ():
        machine.halt(who(), reason, run=each)
    return meant


async def _asked_elsewhere(platform: Platform | None, run: str, reason: str) -> list[str] | NotPossibleNow:
    if platform is None:
        return []
    try:
        return [each.run for each in await platform.halt(run, who(), reason)]
    except NotPossibleNow as error:
        return error


async def _ended_here(machine: Machine, runs: Sequence[str], clock: Clock, ends: float) -> list[str]:
    """Those of this machine that have not ended in time."""
    left = list(runs)
    while left and clock.monotonic() < ends:
        await clock.sleep(0.05)
        left = [each for each in left if machine.run_lock(each).holder is not None]
    return left


async def _still_alive(platform: Platform | None, runs: Sequence[str], clock: Clock, ends: float) -> list[str]:
    """Those of other machines that have not."""
    left = list(runs)
    while left and platform is not None:
        alive = {each.run for each in await platform.runs()}
        left = [each for each in left if each in alive]
        if clock.monotonic() >= ends:
            break
        await clock.sleep(0.2)
    return left
