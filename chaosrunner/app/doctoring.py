"""Whether this machine, and an environment, are ready for runs. Reads only, unless `deep` is asked for."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from chaosrunner import __version__, catalog
from chaosrunner.app.orders import make_platform
from chaosrunner.clock import Clock, SystemClock
from chaosrunner.engine.leash import Leash
from chaosrunner.errors import ChaosrunnerError, JournalFailed, NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.model.environment import Environment
from chaosrunner.ports import ProbeContext
from chaosrunner.records.light import dataclass
from chaosrunner.stages.load import load_environment
from chaosrunner.stages.remediate import open_tracker
from chaosrunner.store.machine import Machine, machine_folder

TAKES = 60.0
"""Seconds that one part of the examination may take."""
DEEP_TAKES = 180.0
NOBODY = "sha256:0"
"""The fingerprint of no near miss."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    fine: bool
    found: str
    """What was found, and what to do about it where it is not fine."""


async def examine(environment: str | None, state: Path, *, deep: bool = False) -> list[Check]:
    """Look at this machine, and at an environment if one is named.

    Raises `FileProblems` and `UsageError` where its file is wrong.
    """
    clock = SystemClock()
    checks = [_versions(), *_machine(), _state(state)]
    if environment is None:
        return checks
    found, folder, _ = load_environment(environment, Path())
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(Http(clock, folder=folder))
        context = ProbeContext(clock, http, folder, environment=found, state=state)
        checks += await _platform(found, folder, clock, deep)
        checks += await _asked("tracker", lambda: _tracker(found, context))
        checks += await _asked("metrics", lambda: _metrics(found, http))
    return checks


def _versions() -> Check:
    python = ".".join(map(str, sys.version_info[:3]))
    return Check("chaosrunner", True, f"version {__version__}, Python {python}")


def _machine() -> list[Check]:
    try:
        folder = machine_folder()
        runs = Machine(folder).runs()
    except (NotPossibleNow, JournalFailed) as error:
        return [Check("machine folder", False, str(error))]
    dead = [each.run for each in runs if not each.alive]
    checks = [Check("machine folder", True, str(folder))]
    if dead:
        said = f"{', '.join(dead)} died and may have left faults in force: `chaosrunner heal`"
        checks.append(Check("dead runs", False, said))
    return checks


def _state(state: Path) -> Check:
    """Whether runs can be kept there; nothing is made."""
    import os

    there = next(each for each in (state.absolute(), *state.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("state folder", False, f"{state} cannot be written: say --state DIR, or set CHAOSRUNNER_STATE")
    return Check(
        "state folder", True, f"{state}" + ("" if there == state.absolute() else ", which the first run makes")
    )


async def _platform(environment: Environment, folder: Path, clock: Clock, deep: bool) -> list[Check]:
    platform = make_platform(environment, folder, clock)
    faults = {kind: catalog.find("faults", kind) for kind in catalog.kinds("faults")}
    needs = {kind: tuple(each.needs) for kind, each in faults.items() if platform.kind in each.platforms}
    asked = await Leash().ask(platform.doctor(needs, deep=deep), DEEP_TAKES if deep else TAKES)
    await Leash().ask(platform.close(), TAKES)
    if asked.value is None:
        return [Check(f"platform {platform.kind}", False, asked.trouble)]
    return [Check(*each) for each in asked.value]


async def _asked(what: str, look: Callable[[], Awaitable[Sequence[Check]]]) -> Sequence[Check]:
    try:
        return await look()
    except ChaosrunnerError as error:
        return [Check(what, False, str(error))]


async def _tracker(environment: Environment, context: ProbeContext) -> Sequence[Check]:
    tracker = open_tracker(environment, context)
    asked = await Leash().ask(tracker.find(NOBODY), TAKES)
    return [Check(f"tracker {tracker.kind}", asked.error is None, asked.trouble or "answers")]


async def _metrics(environment: Environment, http: Http) -> Sequence[Check]:
    source = environment.spec.prometheus
    if source is None:
        return [Check("metrics", True, "the environment names no Prometheus: guards about alerts cannot be answered")]
    from chaosrunner.alerts import PrometheusAlerts

    asked = await Leash().ask(PrometheusAlerts(source, http).firing(), TAKES)
    if asked.value is None:
        return [Check("metrics", False, asked.trouble)]
    return [Check("metrics", True, f"{source.url} answers; {len(asked.value)} alerts fire")]
