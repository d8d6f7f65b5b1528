"""suite: from a suite's file to its items, each an experiment with one set of parameters; and what each one touches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.errors import FileProblems, Problem, UsageError
from chaosrunner.files.documents import document
from chaosrunner.files.node import Spot
from chaosrunner.files.references import File, Library, NotFound
from chaosrunner.files.suites import Named, named_by
from chaosrunner.model.environment import Environment
from chaosrunner.model.plan import Plan, PlannedMeasure
from chaosrunner.model.suite import Suite
from chaosrunner.model.suite_result import SuiteItem
from chaosrunner.model.words import ActsOn
from chaosrunner.records.light import dataclass
from chaosrunner.stages.load import Loaded, load_experiment
from chaosrunner.stages.schedule import Radius

if TYPE_CHECKING:
    from chaosrunner.stages.load import Look

AT_LEAST_TO_RECOVER = 5.0
"""Seconds that a recovery is watched where the experiment does not say so."""
WIDE = frozenset({ActsOn.NODE, ActsOn.ZONE})
"""Kinds of targets that anything else of the environment may depend on."""


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite with everything that its files say, checked."""

    suite: Suite
    items: tuple[SuiteItem, ...]
    """In the order of the file."""
    environments: tuple[Environment, ...]
    """Each once, in the order of the items."""
    path: Path
    """The suite's file."""
    file: str
    """The same as seen from the folder where the command started."""
    library: Library
    """Everything as it was read; its runs are made of it, whatever becomes of the files meanwhile."""

    @property
    def name(self) -> str:
        """The suite's."""
        return self.suite.metadata.name


def is_suite(reference: str, folder: Path) -> bool:
    """Whether a reference names a suite."""
    return not isinstance(Library(folder).refer("Suite", reference, [folder.absolute()]), NotFound)


def load_suite(reference: str, environment: str | None, folder: Path) -> LoadedSuite:
    """The suite that a command names by path or name. `environment` overrides those of all experiments; `folder` is
    where relative paths and the search for names start.

    Raises `UsageError` if a name or path leads nowhere, `FileProblems` with all mistakes of all files involved.
    """
    library = Library(folder)
    found = library.refer("Suite", reference, [library.folder])
    if isinstance(found, NotFound):
        raise UsageError(str(found))
    file, spot = found
    problems: list[Problem] = list(file.problems)
    suite = document(spot, problems)
    named = named_by(library, file, spot, suite, problems) if isinstance(suite, Suite) else []
    items, environments = _items(library, file, named, environment, problems)
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    assert isinstance(suite, Suite)
    return LoadedSuite(suite, tuple(items), tuple(environments.values()), file.path, file.source.path, library)


def look_at_suite(look: Look, file: File, spot: Spot) -> None:
    """A suite for `check`: with all that it names, and what it gives to each of them."""
    suite = look.document(file, spot)
    if not isinstance(suite, Suite):
        return
    wrong = len(look.problems)
    named = named_by(look.library, file, spot, suite, look.problems)
    for one in named if len(look.problems) == wrong else ():
        look.given = one.given
        look.experiment(one.file, one.spot, _found_from_here(look.library, file, one.environment), required=True)
    look.given = {}


def _items(
    library: Library, file: File, named: Sequence[Named], override: str | None, problems: list[Problem]
) -> tuple[list[SuiteItem], dict[str, Environment]]:
    items: list[SuiteItem] = []
    environments: dict[str, Environment] = {}
    for one in named:
        environment = override or _found_from_here(library, file, one.environment)
        try:
            loaded = load_experiment(one.reference, environment, library.folder, one.given, library)
        except FileProblems as wrong:
            problems += wrong.problems
            continue
        environments.setdefault(loaded.environment.name, loaded.environment)
        items.append(_item(one, environment, loaded))
    return items, environments


def _found_from_here(library: Library, file: File, environment: str | None) -> str | None:
    """A reference that the suite's file makes, as one from the folder where the command started."""
    if environment is None:
        return None
    found = library.refer("Environment", environment, [file.path.parent], file)
    if isinstance(found, NotFound):
        return environment
    its_file, _ = found
    alone = sum(spot.get("kind") is not None and spot.nearest("kind").value == "Environment" for spot in its_file.spots)
    return str(its_file.path) if alone == 1 else environment


def _item(one: Named, environment: str | None, loaded: Loaded) -> SuiteItem:
    spec = loaded.experiment.spec
    return SuiteItem(
        experiment=one.name,
        title=spec.title,
        service=spec.service or one.name,
        reference=one.reference,
        environment=environment,
        environment_name=loaded.environment.name,
        environment_class=loaded.environment.class_name,
        parameters=one.parameters,
        after=one.after,
        retries=one.retries,
        file=one.file.source.path,
        line=one.spot.node.place.line,
    )


# ---------------------------------------------------------------------------------------------------- what it touches


def radius_of(plan: Plan) -> Radius:
    """What an experiment may disturb, and what would disturb its answer: the service whose promise is tested, what its
    faults act on and lead to, and what its measures read. Two that share any of it do not run at the same time."""
    where = plan.environment.name
    keys = {f"{where}: {plan.service}"}
    for fault in plan.faults:
        for target in (each for each in fault.targets if each.kind != ActsOn.NOTHING):
            keys |= {f"{where}: {name}" for name in (target.service, target.to) if name}
            keys.add(f"target {target.id}")
    for measure in plan.measures:
        keys.add(_read_by(measure, plan))
    wide = any(target.kind in WIDE for fault in plan.faults for target in fault.targets)
    return Radius(where, frozenset(keys), wide)


def _read_by(measure: PlannedMeasure, plan: Plan) -> str:
    """What a measure reads, the same for the same reading; the built-in load is told apart by its address."""
    if measure.probe == "traffic":
        return f"load on {plan.traffic.url if plan.traffic else plan.experiment}"
    return f"{plan.environment.name} reads {measure.probe} {json.dumps(measure.params, sort_keys=True)}"


def expected_seconds(plan: Plan) -> float:
    """How long a run takes where nothing goes wrong: the baseline, the method, and as long a recovery as must be seen;
    each waits for the slowest measure."""
    method = sum(
        item.wait + max((fault.after + fault.lasts for fault in item.faults), default=0.0) for item in plan.method
    )
    slowest = max((measure.every for measure in plan.measures), default=0.0)
    watched = plan.recovery.holds if plan.recovery.holds is not None else max(3 * slowest, AT_LEAST_TO_RECOVER)
    return plan.baseline.for_ + method + watched + 2 * plan.slowest_lag
