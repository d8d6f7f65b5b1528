"""Tells a team what was due by schedule and could not begin: nobody looks at the output of a pod."""

from __future__ import annotations

from pathlib import Path

from chaosrunner.app.desk import Desk, Tell
from chaosrunner.app.suites import SuiteReport
from chaosrunner.app.telling import deliver, post, receivers_of
from chaosrunner.clock import Clock, SystemClock
from chaosrunner.errors import Refused
from chaosrunner.http import Http
from chaosrunner.model.environment import Environment
from chaosrunner.model.suite_result import ItemResult
from chaosrunner.stages.load import load_experiment
from chaosrunner.stages.news import of_not_started

_NOT_STEADY, _HALTED = 5, 6
_BEFORE = (Refused.exit_code, _NOT_STEADY)


def could_not_start(result: ItemResult) -> bool:
    """Whether nothing was broken, as it could not begin: refused, not steady, not to be planned, or no time was left.
    Who halts it knows."""
    return result.exit_code in _BEFORE or (not result.runs and result.exit_code not in (0, _HALTED))


async def tell_not_started(report: SuiteReport, folder: Path, state: Path, tell: Tell) -> int:
    """Tell those whom each environment names what could not begin there, together; how many notices were told."""
    clock, told = SystemClock(), 0
    where: dict[str, tuple[Environment, Path]] = {}
    reasons: dict[str, list[str]] = {}
    for result in filter(could_not_start, report.result.items):
        item = result.item
        if item.environment_name not in where:
            library = report.loaded.library
            loaded = load_experiment(item.reference, item.environment, folder, item.parameters, library)
            where[item.environment_name] = (loaded.environment, loaded.environment_path.parent)
        reasons.setdefault(item.environment_name, []).append(f"{item.label}: {result.why}")
    for name, (environment, place) in where.items():
        told += await _tell(report, environment, place, reasons[name], Told(state, clock, tell))
    return told


class Told:
    """What telling takes."""

    def __init__(self, state: Path, clock: Clock, tell: Tell) -> None:
        self.state, self.clock, self.tell = state, clock, tell


async def _tell(report: SuiteReport, environment: Environment, place: Path, reasons: list[str], by: Told) -> int:
    if not environment.spec.notify:
        by.tell(f"{environment.name} names nobody under `notify` who could be told: {'; '.join(reasons)}")
        return 0
    async with Http(by.clock, folder=place) as http:
        desk = Desk(by.state, by.clock, http, by.tell)
        receivers = receivers_of(environment, place, desk)
        result = report.result
        notice = of_not_started(f"the suite {result.suite}", result.id, environment.name, reasons, by.clock.now())
        post([notice], receivers, desk)
        return await deliver(receivers, desk)
