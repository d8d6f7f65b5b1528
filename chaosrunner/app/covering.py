"""What was tested, and what was not: gathers what is known of a state folder, an environment and its platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from chaosrunner.app.orders import make_platform
from chaosrunner.clock import Clock
from chaosrunner.errors import UsageError
from chaosrunner.model.environment import Environment
from chaosrunner.model.tested import DAY, Asked, Coverage, Granularity, NamedService, coverage
from chaosrunner.records.light import dataclass
from chaosrunner.register import open_register, register_exists
from chaosrunner.stages.coverage import gathered, modes_of, read_services, services_of
from chaosrunner.stages.load import load_environment


@dataclass(frozen=True)
class CoverageOrder:
    """What a command was asked."""

    state: Path
    environment: str | None = None
    """None: all runs, whatever they ran on."""
    services: Path | None = None
    """A file that names services."""
    discover: bool = False
    """Whether the environment's platform is asked for the services that run there."""
    by: Granularity = "class"
    valid: float = 90 * DAY
    soon: float = 14 * DAY
    folder: Path = field(default_factory=Path)


async def covered(order: CoverageOrder, clock: Clock) -> Coverage:
    """What was tested. Raises `UsageError` and `FileProblems` for what is named wrongly, `NotPossibleNow` where the
    register or the platform is out of reach."""
    environment, folder = None, order.folder
    if order.environment is not None:
        environment, folder, _ = load_environment(order.environment, order.folder)
    if order.discover and environment is None:
        raise UsageError("--discover needs -e ENVIRONMENT: whose services?")
    modes = modes_of(environment.spec.platform.kind if environment else None, order.by)
    services, notes = await _services(order, environment, folder, clock)
    class_name = environment.class_name if environment else None
    if register_exists(order.state):
        with open_register(order.state, clock) as register:
            runs, near_misses = gathered(register, order.state, class_name)
    else:
        runs, near_misses = gathered(None, order.state, class_name)
    asked = Asked(
        now=clock.now(),
        modes=modes,
        services=services,
        by=order.by,
        valid=order.valid,
        soon=order.soon,
        environment=environment.name if environment else "",
        notes=notes,
    )
    return coverage(runs, near_misses, asked)


async def _services(
    order: CoverageOrder, environment: Environment | None, folder: Path, clock: Clock
) -> tuple[Mapping[str, NamedService], tuple[str, ...]]:
    """All that are named or found, and what is not known."""
    found = {name: NamedService() for name in services_of(environment)} if environment else {}
    notes = []
    if environment is None:
        notes.append("no environment is named: failure modes of all platforms count; -e NAME counts those of its own")
    if order.by == "kind":
        notes.append("near misses do not know kinds of faults: here only the last runs say what is a gap")
    if order.discover and environment is not None:
        seen = await _running(environment, folder, clock)
        new = sorted(seen - found.keys())
        found |= {name: NamedService() for name in new}
        if new:
            notes.append(f"found running, and not named in the environment: {', '.join(new)}")
    if order.services is not None:
        found |= read_services(order.services, (*modes_of(None, "class"), *modes_of(None, "kind")))
    return found, tuple(notes)


async def _running(environment: Environment, folder: Path, clock: Clock) -> set[str]:
    platform = make_platform(environment, folder, clock)
    try:
        found = await platform.survey()
    finally:
        await platform.close()
    if found is None:
        raise UsageError(f"the {platform.kind} platform cannot say what runs there; name services with --services FILE")
    named = environment.spec.platform.with_.get("services")
    workloads = {
        str(told["workload"]): name
        for name, told in (named.items() if isinstance(named, dict) else ())
        if isinstance(told, dict) and told.get("workload")
    }
    return {workloads.get(each.workload, each.name) for each in found.services if not each.kept_out}
