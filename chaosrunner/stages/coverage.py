"""coverage: runs, near misses and the services that there are -> what was tested, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chaosrunner import catalog
from chaosrunner.errors import FileProblems, Problem, UsageError
from chaosrunner.files.reader import read
from chaosrunner.files.validation import validated
from chaosrunner.model.environment import Environment
from chaosrunner.model.near_miss import NearMiss, RunFacts
from chaosrunner.model.tested import Granularity, NamedService, NamedServices
from chaosrunner.model.words import NO_MODE, FaultClass
from chaosrunner.register.near_misses import Register, Wanted
from chaosrunner.stages.learning import runs_of


def modes_of(platform: str | None, by: Granularity) -> tuple[str, ...]:
    """The failure modes that faults of a platform have, None: of any; classes in the order of the words."""
    classes: set[str] = set()
    kinds: list[str] = []
    for kind in catalog.kinds("faults"):
        plugin = catalog.find("faults", kind)
        if plugin.fault_class in NO_MODE or (platform is not None and platform not in plugin.platforms):
            continue
        classes.add(str(plugin.fault_class))
        kinds.append(kind)
    return tuple(kinds) if by == "kind" else tuple(each.value for each in FaultClass if each.value in classes)


def gathered(
    register: Register | None, state: Path, environment_class: str | None
) -> tuple[list[RunFacts], list[NearMiss]]:
    """All runs of the register, and of journals that are in none; and the near misses that are open; of one class of
    environments, or of all."""
    known = list(register.runs()) if register else []
    runs = [*known, *runs_of(state, {each.run for each in known})]
    open_ones = register.list(Wanted(environment_class=environment_class)) if register else []
    return [each for each in runs if environment_class in (None, each.environment_class)], list(open_ones)


def services_of(environment: Environment) -> tuple[str, ...]:
    """The services that an environment names, but for hosts outside: those have no promise of ours."""
    named = environment.spec.platform.with_.get("services")
    if not isinstance(named, dict):
        return ()
    return tuple(name for name, told in named.items() if not (isinstance(told, dict) and told.get("host")))


def read_services(path: Path, modes: Sequence[str]) -> Mapping[str, NamedService]:
    """What a file of services says; `modes`: that it may name.

    Raises `UsageError` where it cannot be read, `FileProblems` with every mistake and its place.
    """
    try:
        parsed = read(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    problems: list[Problem] = [*parsed.problems]
    found: dict[str, NamedService] = {}
    for spot in parsed.documents:
        said = validated(NamedServices, spot, spot.value, problems)
        for name, told in said.services.items() if said is not None else ():
            found[name] = told
            for mode in told.not_applicable:
                if mode not in modes:
                    place = spot.nearest("services", name, "notApplicable", mode)
                    meant = catalog.nearest(mode, list(modes))
                    why = f"unknown failure mode {mode!r}"
                    wrong = place.problem(why, ", ".join(modes), meant, at_key=True, rule="unknown-word")
                    problems.append(wrong)
    if problems:
        raise FileProblems(problems)
    return found
