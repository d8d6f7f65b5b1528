"""load: from files to an experiment with its hypotheses and its environment, or every mistake in all of them.

Reads files and nothing else: no network, no cluster, no installed plugin is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.errors import FileProblems, Problem, UsageError
from chaosrunner.files.advice import CheckedHypothesis, advice, impossible, runbook_files
from chaosrunner.files.documents import Document, document, kind_of
from chaosrunner.files.guards import unanswerable, windows
from chaosrunner.files.ignores import settled
from chaosrunner.files.measures import checked_measures
from chaosrunner.files.node import Spot
from chaosrunner.files.parameters import filled
from chaosrunner.files.places import misplaced
from chaosrunner.files.references import File, Library, NotFound, has_kindless
from chaosrunner.files.steps import checked_steps
from chaosrunner.files.validation import said_at
from chaosrunner.files.weaknesses import weaknesses
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import Experiment, HypothesisDocument
from chaosrunner.model.hypothesis import Hypothesis
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.plan import Source
from chaosrunner.records.light import dataclass

if TYPE_CHECKING:
    from chaosrunner.files.reuse import Given

_REUSE = ("extends", "parameters", "matrix")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An experiment with everything that its files say, checked."""

    experiment: Experiment
    hypotheses: tuple[Hypothesis, ...]
    """In the experiment's order."""
    environment: Environment
    sources: tuple[Source, ...]
    """Every file that was used, with its checksum: the experiment's own first."""
    warnings: tuple[str, ...]
    """With file, line and column."""
    path: Path
    """The experiment's file."""
    environment_path: Path
    """The environment's file; its relative paths start in its folder."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """Every parameter's value in this run."""
    spot: Spot | None = None
    """The experiment as it is run, with the place that every value came from."""
    written: tuple[Spot | None, ...] = ()
    """Of each hypothesis the same; None for one of another format."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found."""

    files: tuple[str, ...]
    """Those that were looked at."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    passed_over: tuple[str, ...] = ()
    """Files of a folder that hold nothing of chaosrunner's."""
    set_aside: int = 0
    """Warnings that comments in the files set aside."""
    known: tuple[str, ...] = ()
    """Files that were not looked at, as nothing had changed that their answer depends on."""


def load_experiment(
    reference: str,
    environment: str | None,
    folder: Path,
    parameters: Given | None = None,
    library: Library | None = None,
) -> Loaded:
    """The experiment that a command names by path or name, with its hypotheses and environment.

    `environment` overrides the experiment's own; `folder` is where relative paths and the search for names start;
    `parameters` are values by name. Of an experiment with a matrix this is one run: `variants` tells what to give.
    `library` has files that were read before.
    Raises `UsageError` if a name or path leads nowhere, `FileProblems` with all mistakes of all files involved.
    """
    library = library or Library(folder)
    file, spot = _required(library, "Experiment", reference)
    look = _Look(library)
    look.given = parameters or {}
    experiment = look.experiment(file, spot, environment, required=True)
    look.raise_problems()
    assert experiment is not None and look.environment is not None and look.environment_file is not None
    return Loaded(
        experiment=experiment,
        hypotheses=tuple(look.hypotheses),
        environment=look.environment,
        sources=tuple(dict.fromkeys(used.source for used in look.used)),
        warnings=tuple(map(str, sorted(_not_set_aside(look)))),
        path=file.path,
        environment_path=look.environment_file.path,
        parameters=look.values,
        spot=look.spot,
        written=tuple(look.written),
    )


def load_environment(reference: str, folder: Path) -> tuple[Environment, Path, Source]:
    """The environment that a command names, the folder that its relative paths start in, and its file's checksum.

    Raises `UsageError` if the reference leads nowhere, `FileProblems` with all mistakes of its file.
    """
    library = Library(folder)
    file, spot = _required(library, "Environment", reference)
    look = _Look(library)
    environment = look.document(file, spot)
    look.raise_problems()
    assert isinstance(environment, Environment)
    return environment, file.path.parent, file.source


def check(paths: Sequence[str], folder: Path) -> Checked:
    """Every mistake of the files named, of those in the folders named, and of the files that they refer to.

    No paths: the folders `experiments/`, `hypotheses/` and `environments/`. Raises `UsageError` for a path that is
    not there.
    """
    from chaosrunner.stages.checking import check_files

    return check_files(paths, folder)


def looked_at(library: Library, file: File) -> tuple[list[Problem], list[Problem], list[File]]:
    """What is wrong with one file and with what it refers to; what is weak; and the files that were looked at."""
    look = _Look(library)
    look.problems += file.problems
    look.used.append(file)
    for spot in file.spots:
        if kind_of(spot) == "Experiment":
            look.by_itself(file, spot)
        elif kind_of(spot) == "GameDay":
            from chaosrunner.stages.gameday_file import look_at

            look_at(look, file, spot)
        elif kind_of(spot) == "Suite":
            from chaosrunner.stages.suite import look_at_suite

            look_at_suite(look, file, spot)
        else:
            look.document(file, spot)
    warnings = [] if look.problems else look.warnings  # what is wrong was left out, so that much would look weak
    return look.problems, warnings, list({id(used): used for used in look.used}.values())


def _not_set_aside(look: _Look) -> list[Problem]:
    warnings = list(dict.fromkeys(look.warnings))
    ignores = [ignore for file in look.used for ignore in file.comments.ignores]
    return settled(warnings, ignores)[0] if ignores else warnings


def _required(library: Library, kind: str, reference: str) -> tuple[File, Spot]:
    found = library.refer(kind, reference, [library.folder])
    if isinstance(found, NotFound):
        raise UsageError(str(found))
    return found


class _Look:
    """One look at files: what was found, and everything that is wrong."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.used: list[File] = []
        self.hypotheses: list[Hypothesis] = []
        self.environment: Environment | None = None
        self.environment_file: File | None = None
        self.given: Given = {}
        self.values: Mapping[str, JsonValue] = {}
        self.spot: Spot | None = None
        self.written: list[Spot | None] = []

    def raise_problems(self) -> None:
        if self.problems:
            raise FileProblems(list(dict.fromkeys(self.problems)))

    def document(self, file: File, spot: Spot) -> Document | None:
        """A document by itself. An environment is looked at once, however many experiments name it."""
        self.used.append(file)
        self.problems += file.problems
        if kind_of(spot) == "Environment":
            found, problems = self.library.once(spot, lambda: self._apart(file, spot))
            self.problems += problems
            return found
        return self._document(file, spot)

    def _apart(self, file: File, spot: Spot) -> tuple[Document | None, list[Problem]]:
        look = _Look(self.library)
        return look._document(file, spot), look.problems

    def _document(self, file: File, spot: Spot) -> Document | None:
        if kind_of(spot) == "Hypothesis":
            mistakes: list[Problem] = []
            spot = filled(spot, None, mistakes)
            if mistakes:
                self.problems += mistakes
                return None
        result = document(spot, self.problems)
        spec = spot.child("spec")
        if spec is not None and kind_of(spot) == "Hypothesis":
            checked_measures(spec, self.problems)
        if spec is not None and kind_of(spot) == "Environment":
            self._guards(file, spec)
        return result

    def _guards(self, file: File, spec: Spot) -> None:
        from chaosrunner.stages.guard import parse_window

        self.problems += unanswerable(spec)
        for window in windows(spec):
            try:
                parse_window(str(window.value))
            except ValueError as error:
                self.problems.append(said_at(window, str(error)))
        budget = spec.get("guards", "errorBudget", "hypothesis")
        if budget is not None and isinstance(budget.value, str):
            self._refer("Hypothesis", file, budget)

    def by_itself(self, file: File, spot: Spot) -> None:
        """An experiment that nobody runs: with each value of its matrix once."""
        spec = spot.child("spec")
        if spec is None or not any(name in spec.node.children for name in _REUSE):
            self.experiment(file, spot, None, required=False)
            return
        from chaosrunner.files.reuse import combinations, each_value

        mistakes: list[Problem] = []
        ways = list(each_value(combinations(self.library, file, spot, {}, mistakes)))
        for way in ways:
            self.given = way
            self.experiment(file, spot, None, required=False)
        self.problems += mistakes
        self.given = {}

    def _whole(self, file: File, spot: Spot, *, by_itself: bool) -> Spot | None:
        """With what it extends, and its parameters filled in."""
        spec = spot.child("spec")
        if spec is None or not (self.given or any(name in spec.node.children for name in _REUSE)):
            return spot
        from chaosrunner.files.reuse import filled_in

        self.problems += file.problems
        filled_experiment = filled_in(self.library, file, spot, self.given, self.problems, by_itself=by_itself)
        if filled_experiment is None:
            return None
        self.values = filled_experiment.values
        self.used += [file, *filled_experiment.files]
        return filled_experiment.spot

    def experiment(self, file: File, spot: Spot, environment: str | None, *, required: bool) -> Experiment | None:
        """An experiment with all that it refers to. `required`: it must name an environment."""
        whole = self._whole(file, spot, by_itself=not required)
        if whole is None:
            return None
        self.spot = spot = whole
        found = self.document(file, spot)
        spec = spot.child("spec")
        if spec is None:
            return None
        hypotheses = self._hypotheses(file, spec, found if isinstance(found, Experiment) else None)
        self._find_environment(file, spec, environment, required)
        self.problems += misplaced(spec, self.environment)
        if not isinstance(found, Experiment):
            return None
        self.problems += impossible(spec, found, hypotheses)
        steps = checked_steps(spec.nearest("method"), found.spec.method)
        self.warnings += advice(hypotheses, steps, found.spec.baseline.for_)
        self.warnings += runbook_files(spec, file.path.parent, self.library.asked)
        self.warnings += weaknesses(spec, found, hypotheses, steps, self.environment)
        return found

    def _hypotheses(self, file: File, spec: Spot, found: Experiment | None) -> list[CheckedHypothesis]:
        self.hypotheses, self.written = [], []
        listed = spec.child("hypotheses")
        checked: list[CheckedHypothesis] = []
        places = listed.items() if listed is not None and isinstance(listed.value, list) else ()
        for index, place in enumerate(places):
            written = found.spec.hypotheses[index] if found else None
            if isinstance(place.value, str):
                one = self._named_hypothesis(file, place)
            elif place.child("use") is not None:
                one = self._used_hypothesis(file, place)
            elif place.child("openslo") is not None and len(place.node.children) == 1:
                one = self._objective(file, place)
            else:
                one = self._hypothesis_in_place(place)
                if isinstance(written, Hypothesis):
                    self.hypotheses.append(written)
                    self.written.append(place)
            if one is None:
                continue
            if any(other.name == one.name for other in checked):
                said = f"the hypothesis {one.name!r} is named twice"
                self.problems.append(place.problem(said, rule="name-taken"))
            checked.append(one)
        return checked

    def _named_hypothesis(self, file: File, place: Spot) -> CheckedHypothesis | None:
        found = self._refer("Hypothesis", file, place)
        if found is None:
            return None
        its_file, spot = found
        if spot.get("spec", "parameters") is not None:
            return self._filled_in(its_file, spot, place)
        result = self.document(its_file, spot)
        spec = spot.child("spec")
        if not isinstance(result, HypothesisDocument) or spec is None:
            return None
        self.hypotheses.append(result.hypothesis)
        self.written.append(spec)
        return CheckedHypothesis(result.metadata.name, place, tuple(checked_measures(spec, [])))

    def _used_hypothesis(self, file: File, place: Spot) -> CheckedHypothesis | None:
        """One with parameters, as it is used here."""
        use = place.child("use")
        found = self._refer("Hypothesis", file, use) if use is not None and isinstance(use.value, str) else None
        return self._filled_in(*found, place) if found is not None else None

    def _filled_in(self, file: File, spot: Spot, place: Spot) -> CheckedHypothesis | None:
        self.used.append(file)
        mistakes: list[Problem] = []
        spot = filled(spot, place.child("with"), mistakes, used_at=place)
        result = document(spot, mistakes) if not mistakes else None
        spec, name = spot.child("spec"), place.child("as")
        measures = tuple(checked_measures(spec, mistakes)) if spec is not None and result is not None else ()
        self.problems += [*file.problems, *mistakes]
        if not isinstance(result, HypothesisDocument) or mistakes:
            return None
        called = name.value if name is not None and isinstance(name.value, str) else result.metadata.name
        self.hypotheses.append(result.hypothesis.model_copy(update={"name": called}))
        self.written.append(spec)
        return CheckedHypothesis(called, place, measures)

    def _objective(self, file: File, place: Spot) -> CheckedHypothesis | None:
        from chaosrunner.stages.objectives import objective

        found = objective(self.library, file, place, self.problems)
        if found is None:
            return None
        self.used += found.files
        self.hypotheses.append(found.hypothesis)
        self.written.append(None)
        return found.checked

    def _hypothesis_in_place(self, place: Spot) -> CheckedHypothesis | None:
        measures = checked_measures(place, self.problems)
        name = place.child("name")
        if name is None or not isinstance(name.value, str):
            return None
        return CheckedHypothesis(name.value, place, tuple(measures))

    def _refer(self, kind: str, file: File, place: Spot) -> tuple[File, Spot] | None:
        assert isinstance(place.value, str)
        file = self.library.shown_as(place.file) or file  # what an experiment extends may name it, too
        found = self.library.refer(kind, place.value, [file.path.parent], file)
        if isinstance(found, NotFound) and has_kindless(file, place.value):
            return None
        if isinstance(found, NotFound):
            self.problems.append(place.problem(found.message, found.expected, found.nearest, rule="not-found"))
            return None
        return found

    def _find_environment(self, file: File, spec: Spot, override: str | None, required: bool) -> None:
        self.environment, self.environment_file = None, None
        place = spec.child("environment")
        if override is not None:
            found = self.library.refer("Environment", override, [self.library.folder, file.path.parent], file)
            if isinstance(found, NotFound):
                raise UsageError(str(found))
        elif place is not None and isinstance(place.value, str):
            looked = self._refer("Environment", file, place)
            if looked is None:
                return
            found = looked
        else:
            if required and (place is None or place.value is None):
                self.problems.append(
                    spec.problem(
                        "the experiment names no environment", "`environment: NAME`, or -e NAME", rule="no-environment"
                    )
                )
            return
        self.environment_file, spot = found
        result = self.document(self.environment_file, spot)
        self.environment = result if isinstance(result, Environment) else None


Look = _Look
"""For what refers to experiments: game days."""
