"""Hypotheses that stand in OpenSLO files: found, read, and held against the same rules as our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaosrunner.errors import Problem
from chaosrunner.files import plugins
from chaosrunner.files.advice import CheckedHypothesis
from chaosrunner.files.measures import CheckedMeasure
from chaosrunner.files.node import Node, Spot
from chaosrunner.files.openslo import Settings, Translated, is_openslo, settings_of, translated
from chaosrunner.files.promql import query_problems
from chaosrunner.files.references import File, Library, NotFound
from chaosrunner.model.hypothesis import Hypothesis
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class Objective:
    """An SLO that an experiment takes over."""

    hypothesis: Hypothesis
    checked: CheckedHypothesis
    files: tuple[File, ...]
    """Those that it was read from."""


def objective(library: Library, file: File, place: Spot, problems: list[Problem]) -> Objective | None:
    """The SLO that `{openslo: …}` of an experiment's file names; None with what is wrong added to `problems`."""
    named = place.child("openslo")
    settings = settings_of(named, []) if named is not None else None
    if named is None or settings is None:
        return None  # which has been said
    where = named.child("slo") or named
    starts = list(dict.fromkeys([file.path.parent, library.folder]))
    found = _slo(library, starts, settings)
    if isinstance(found, NotFound):
        problems.append(where.problem(found.message, found.expected, found.nearest, rule="not-found"))
        return None
    its_file, slo = found
    used = [its_file]

    def find(kind: str, name: Spot) -> Spot | None:
        beside = library.beside(its_file, lambda spot: is_openslo(spot, kind) and _name(spot) == name.value)
        used.extend(one for one, _ in beside[:1] if one not in used)
        return beside[0][1] if len(beside) == 1 else None

    wrong: list[Problem] = []
    result = translated(slo, settings, find, wrong)
    if result is not None:
        wrong += query_problems([_without_windows(query) for query in result.queries])
    problems += wrong
    if result is None:
        return None
    return Objective(result.hypothesis, _checked(result, place), tuple(used))


def _slo(library: Library, starts: Sequence[Path], settings: Settings) -> tuple[File, Spot] | NotFound:
    found = library.foreign(settings.slo, starts, lambda spot: is_openslo(spot, "SLO"))
    if isinstance(found, NotFound):
        return found
    file, slos = found
    names = [_name(slo) for slo in slos]
    chosen = [slo for slo in slos if settings.name in (None, _name(slo))]
    if len(chosen) == 1:
        return file, chosen[0]
    if not slos:
        return NotFound(f"{file.source.path} holds no SLO of OpenSLO")
    if settings.name is not None:
        return NotFound(f"{file.source.path} has no SLO {settings.name!r}", f"one of {', '.join(names)}")
    listed = ", ".join(names)
    return NotFound(f"{file.source.path} holds more than one SLO: {listed}", "{slo: PATH, name: ONE OF THEM}")


def _name(spot: Spot) -> str:
    name = spot.get("metadata", "name")
    return str(name.value) if name is not None else ""


def _without_windows(query: Spot) -> Spot:
    """A query as PromQL, with as many characters in place of Sloth's windows."""
    from chaosrunner.files.openslo import with_windows

    node = query.node
    text = with_windows(str(node.value))
    return Spot(query.file, Node(text, node.place, written=text, raw=node.raw), query.path, query.key)


def _checked(found: Translated, place: Spot) -> CheckedHypothesis:
    probe = plugins.own("probes", "prometheus")
    assert probe is not None
    measures = []
    for spot, measure in zip(found.objectives, found.hypothesis.measures, strict=True):
        lag = probe.lag(probe.Params.model_validate(measure.params))
        reach = lag - float(getattr(probe.Params.model_validate(measure.params), "max_age", 0.0))
        measures.append(CheckedMeasure(spot, measure, lag, reach, found.queries))
    return CheckedHypothesis(found.hypothesis.name, place, tuple(measures))
