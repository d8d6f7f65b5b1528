"""Whether targets and faults fit the environment that an experiment names."""

from __future__ import annotations

from collections.abc import Iterator

from chaosrunner.errors import Problem
from chaosrunner.files import plugins
from chaosrunner.files.node import Spot
from chaosrunner.files.steps import Places, connections, fault_steps, known_places
from chaosrunner.model.environment import Environment
from chaosrunner.model.frozen import JsonObject


def misplaced(spec: Spot, environment: Environment | None) -> Iterator[Problem]:
    """What the method names and the environment does not have, and faults that do not work on its platform."""
    method = spec.child("method")
    if environment is None or method is None or not isinstance(method.value, list):
        return
    platform = environment.spec.platform
    steps = list(fault_steps(method))
    own = plugins.own("platforms", platform.kind)
    services, links = (_mapping(platform.with_, name) for name in ("services", "links"))
    yield from known_places(steps, Places(services, links, own is not None and own.any_end))
    for step in steps:
        fault = step.nearest("fault")
        facts = plugins.facts(fault.value) if isinstance(fault.value, str) else None
        target = step.child("target")
        if facts is not None and target is not None and platform.kind in facts.connections_only:
            yield from connections(target, str(fault.value), frozenset({"link"}))
        if facts is not None and platform.kind not in facts.platforms:
            where = f"the platform {platform.kind} of the environment {environment.name}"
            works = f"a fault for {platform.kind}; this one is for {', '.join(sorted(facts.platforms))}"
            yield fault.problem(f"`{fault.value}` does not work on {where}", works, rule="wrong-platform")


def _mapping(settings: JsonObject, name: str) -> JsonObject | None:
    """A mapping of the platform's settings by name; None where this platform has no such thing."""
    found = settings.get(name)
    return found if isinstance(found, dict) else None
