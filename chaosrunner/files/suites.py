"""What the entries of a suite name: each experiment with each set of parameters, in order, and every mistake."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from chaosrunner.errors import Problem, UsageError
from chaosrunner.files.documents import kind_of, name_of
from chaosrunner.files.node import Spot
from chaosrunner.files.references import File, Library, NotFound, files_in
from chaosrunner.files.validation import nearest, show
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.suite import Suite, SuiteEntry, SuiteSpec
from chaosrunner.records.light import dataclass

MOST = 1000
"""Runs of one suite."""


@dataclass(frozen=True, slots=True)
class Named:
    """One experiment as a suite names it, with one set of parameters."""

    file: File
    spot: Spot
    given: Mapping[str, Spot]
    """Values of its parameters, sorted by name, where they stand: in the suite, or in the experiment's own matrix."""
    environment: str | None
    """Of the entry, or of the suite; None: the experiment's own."""
    after: tuple[str, ...]
    retries: int
    place: Spot
    """The entry."""

    @property
    def name(self) -> str:
        """The experiment's."""
        return name_of(self.spot)

    @property
    def parameters(self) -> JsonObject:
        """The same as values."""
        return {name: spot.value for name, spot in self.given.items()}

    @property
    def reference(self) -> str:
        """What leads to it from the library's folder, alone."""
        others = [spot for spot in self.file.spots if kind_of(spot) == "Experiment"]
        return self.name if len(others) > 1 else _as_path(self.file.source.path)


def _as_path(path: str) -> str:
    return path if "/" in path or path.endswith((".yaml", ".yml", ".json")) else f"./{path}"


def named_by(library: Library, file: File, spot: Spot, suite: Suite, problems: list[Problem]) -> list[Named]:
    """All that a suite runs, in its order, each once. Mistakes are added to `problems`."""
    found: dict[str, Named] = {}
    entries = spot.nearest("spec", "experiments")
    listed = list(entries.items()) if entries.path == ("spec", "experiments") else []
    for place, entry in zip(listed, suite.spec.experiments, strict=False):
        for its_file, its_spot in _experiments(library, file, place, entry, problems):
            for one in _each(its_file, its_spot, spot, suite.spec, place, entry):
                key = json.dumps([str(its_file.path), one.name, one.environment, one.parameters], sort_keys=True)
                found.setdefault(key, one)
    everything = list(found.values())
    problems += _environments(library, file, spot, everything)
    if len(everything) > MOST:
        problems.append(entries.problem(f"the suite has {len(everything)} runs", f"at most {MOST}", rule="matrix"))
        return []
    problems += _same_names(everything)
    problems += _order(everything)
    problems += _for_nobody(spot, suite.spec, everything)
    return everything


def _experiments(
    library: Library, file: File, place: Spot, entry: SuiteEntry, problems: list[Problem]
) -> Iterator[tuple[File, Spot]]:
    if entry.experiment is not None:
        where = place.child("experiment") or place
        found = library.refer("Experiment", entry.experiment, [file.path.parent], file)
        if isinstance(found, NotFound):
            problems.append(where.problem(found.message, found.expected, found.nearest, rule="not-found"))
            return
        problems += found[0].problems
        yield found
        return
    before = len(problems)
    there = list(_of_folder(library, file, place, entry.folder, problems) if entry.folder is not None
                 else library.every("Experiment", file.path.parent))  # fmt: skip
    matching = [one for one in there if _has(one[1], entry.labels)]
    if not matching and len(problems) == before:
        problems.append(_none_matches(place, entry, there))
    yield from matching


def _of_folder(
    library: Library, file: File, place: Spot, folder: str, problems: list[Problem]
) -> Iterator[tuple[File, Spot]]:
    path = file.path.parent / folder
    where = place.child("folder") or place
    if not path.is_dir():
        beside = [each.name for each in file.path.parent.glob("*/")] if file.path.parent.is_dir() else []
        near = nearest(folder, beside)
        problems.append(where.problem(f"there is no folder {library.shown(path)}", "", near, rule="not-found"))
        return
    library.asked.add(("listing", path))
    for each in files_in(path):
        try:
            its_file = library.file(each)
        except UsageError as error:
            problems.append(where.problem(str(error), rule="not-found"))
            continue
        yield from ((its_file, spot) for spot in its_file.spots if kind_of(spot) == "Experiment")


def _labels(spot: Spot) -> Mapping[str, object]:
    labels = spot.get("metadata", "labels")
    return labels.value if labels is not None and isinstance(labels.value, dict) else {}


def _has(spot: Spot, wanted: Mapping[str, str]) -> bool:
    labels = _labels(spot)
    return all(str(labels.get(name)) == value for name, value in wanted.items())


def _none_matches(place: Spot, entry: SuiteEntry, there: Sequence[tuple[File, Spot]]) -> Problem:
    told = ", ".join(f"{name}={value}" for name, value in entry.labels.items())
    where = place.child("labels") or place.child("folder") or place
    if not told:
        return where.problem(f"{show(entry.folder)} holds no experiment", rule="none-chosen")
    known = sorted({f"{name}={value}" for _, spot in there for name, value in _labels(spot).items()})
    near = nearest(told, known)
    expected = f"one of {', '.join(known)}" if known else ""
    if entry.folder is None:  # the folders below are not looked into, which nobody would guess
        expected = f"{expected or 'labels of experiments'}; beside `labels`, `folder` says where else to look"
    return where.problem(f"no experiment has the labels {told}", "" if near else expected, near, rule="none-chosen")


def _each(file: File, spot: Spot, suite: Spot, spec: SuiteSpec, place: Spot, entry: SuiteEntry) -> Iterator[Named]:
    declared = declared_by(spot)
    fixed = {name: one for name, one in _children(suite, "spec", "with") if name in declared}
    matrix = {name: [*one.items()] for name, one in _children(spot, "spec", "matrix")}
    matrix |= {name: [*one.items()] for name, one in _children(suite, "spec", "matrix") if name in declared}
    for name, one in _children(place, "with"):
        fixed[name] = one
        matrix.pop(name, None)
    matrix |= {name: [*one.items()] for name, one in _children(place, "matrix")}
    retries = spec.retries if entry.retries is None else entry.retries
    for chosen in product(*matrix.values()):
        given = dict(sorted({**fixed, **dict(zip(matrix, chosen, strict=True))}.items()))
        yield Named(file, spot, given, entry.environment or spec.environment, entry.after, retries, place)


def _children(spot: Spot, *path: str) -> Iterator[tuple[str, Spot]]:
    found = spot.get(*path)
    if found is not None and isinstance(found.value, dict):
        yield from ((str(one.path[-1]), one) for one in found.items())


def declared_by(spot: Spot) -> frozenset[str]:
    """Names of the parameters that an experiment has, those of its own matrix too."""
    found: set[str] = set()
    for part in ("parameters", "matrix"):
        place = spot.get("spec", part)
        if place is not None and isinstance(place.value, dict):
            found |= set(place.value)
    return frozenset(found)


def _environments(library: Library, file: File, spot: Spot, everything: Sequence[Named]) -> Iterator[Problem]:
    """References to environments that lead nowhere."""
    places = [spot.get("spec", "environment"), *(one.place.child("environment") for one in everything)]
    told: set[tuple[object, ...]] = set()
    for place in places:
        if place is None or not isinstance(place.value, str) or place.path in told:
            continue
        told.add(place.path)
        found = library.refer("Environment", place.value, [file.path.parent], file)
        if isinstance(found, NotFound):
            yield place.problem(found.message, found.expected, found.nearest, rule="not-found")


def _same_names(everything: Sequence[Named]) -> Iterator[Problem]:
    """Two experiments of one name could not be told apart in the answer."""
    first: dict[str, Named] = {}
    for one in everything:
        other = first.setdefault(one.name, one)
        if other.file.path != one.file.path:
            yield one.place.problem(
                f"two experiments are called {one.name!r}: {other.file.source.path} and {one.file.source.path}",
                "names that are told apart",
                rule="name-taken",
            )


def _order(everything: Sequence[Named]) -> Iterator[Problem]:
    """`after` names experiments of the suite, and nothing waits for itself."""
    known = list(dict.fromkeys(one.name for one in everything))
    after: dict[str, set[str]] = {}
    told: set[tuple[object, ...]] = set()
    for one in everything:
        after.setdefault(one.name, set()).update(one.after)
        place = one.place.child("after")
        for where in place.items() if place is not None and isinstance(place.value, list) else ():
            if where.value not in known and where.path not in told:
                told.add(where.path)
                near = nearest(str(where.value), known)
                yield where.problem(
                    f"the suite has no experiment {show(where.value)}",
                    "" if near else f"one of {', '.join(known)}",
                    near,
                    rule="suite-order",
                )
    for name in known:
        if name in _reached(name, after):
            place = next(one.place for one in everything if one.name == name)
            where = place.child("after") or place
            yield where.problem(f"{name!r} waits for itself", "an order without a circle", rule="suite-order")
            return


def _reached(name: str, after: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [*after.get(name, ())]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += after.get(each, ())
    return found


def _for_nobody(spot: Spot, spec: SuiteSpec, everything: Sequence[Named]) -> Iterator[Problem]:
    """A parameter of the whole suite that none of its experiments has."""
    declared = frozenset[str]().union(*(declared_by(one.spot) for one in everything))
    for field, names in (("with", spec.with_), ("matrix", spec.matrix)):
        for name in names:
            place = spot.get("spec", field, name)
            if name not in declared and everything and place is not None:
                near = nearest(name, sorted(declared))
                expected = (
                    ""
                    if near
                    else f"one of {', '.join(sorted(declared))}"
                    if declared
                    else "none: they have no parameters"
                )
                said = f"no experiment of the suite has a parameter `{name}`"
                yield place.problem(said, expected, near, at_key=True, rule="parameter")
