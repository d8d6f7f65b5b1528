"""load, for game days: from a file to a game day with its environment and its experiments, or every mistake in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.errors import FileProblems, Problem, UsageError
from chaosrunner.files.documents import document, kind_of, name_of
from chaosrunner.files.node import Spot
from chaosrunner.files.references import File, Library, NotFound, has_kindless
from chaosrunner.files.reuse import Given, combinations, reuses
from chaosrunner.model.alerts import naming
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import Experiment
from chaosrunner.model.frozen import JsonObject, in_text
from chaosrunner.model.gameday import GameDay
from chaosrunner.model.plan import Source
from chaosrunner.records.light import dataclass, replace

if TYPE_CHECKING:
    from chaosrunner.stages.load import Look


@dataclass(frozen=True, slots=True)
class LoadedItem:
    """One item of the agenda, found. All empty for a pause."""

    reference: str = ""
    """What a run is asked for: a path, or where its file holds several experiments a name."""
    folder: Path = Path()
    """Where the reference starts."""
    experiment: str = ""
    title: str = ""
    """Of one combination of a matrix: with its values, where the title does not have them itself."""
    parameters: JsonObject = field(default_factory=dict)
    """Values that its run is given, by name."""
    variant: str = ""
    """Of one combination of a matrix: what sets it apart, `delay=2s`."""

    @property
    def label(self) -> str:
        """The experiment's name, told apart from those of other combinations."""
        return f"{self.experiment} ({self.variant})" if self.variant else self.experiment


@dataclass(frozen=True, slots=True)
class LoadedDay:
    """A game day with everything that its files say, checked."""

    day: GameDay
    """As its file says; in place of an experiment with a matrix, an item of the agenda for each combination."""
    source: Source
    path: Path
    """Its file."""
    environment: Environment
    environment_reference: str
    """For runs: a path, or a name."""
    environment_folder: Path
    """Where the environment's relative paths start."""
    items: tuple[LoadedItem, ...]
    warnings: tuple[str, ...]


def load_game_day(reference: str, folder: Path) -> LoadedDay:
    """The game day that a command names by path or name, with its environment and experiments.

    Raises `UsageError` if a name or path leads nowhere, `FileProblems` with all mistakes of all files involved.
    """
    from chaosrunner.stages.load import Look

    library = Library(folder)
    look = Look(library)
    day = look_at(look, *_required(library, reference))
    if look.problems:
        raise FileProblems(list(dict.fromkeys(look.problems)))
    assert day is not None
    return day


def look_at(look: Look, file: File, spot: Spot) -> LoadedDay | None:
    """The game day of a document with all that it refers to; None with problems added to `look`."""
    day = document(spot, look.problems)
    look.problems += file.problems
    spec = spot.child("spec")
    if spec is None:
        return None
    environment = _environment(look, file, spec)
    found = [_items(look, file, place, environment) for place in _listed(spec, "agenda")]
    if environment is not None and isinstance(day, GameDay):
        look.problems += _cannot_be(spec, day, environment.document)
    if not isinstance(day, GameDay) or environment is None or not all(found):
        return None
    return LoadedDay(
        day=_each_apart(day, found),
        source=file.source,
        path=file.path,
        environment=environment.document,
        environment_reference=environment.reference,
        environment_folder=environment.folder,
        items=tuple(item for items in found for item in items),
        warnings=tuple(map(str, sorted(dict.fromkeys(look.warnings)))),
    )


@dataclass(frozen=True, slots=True)
class _Environment:
    document: Environment
    reference: str
    folder: Path


def _environment(look: Look, file: File, spec: Spot) -> _Environment | None:
    place = spec.child("environment")
    found = _refer(look, "Environment", file, place)
    if found is None:
        return None
    its_file, spot = found
    result = look.document(its_file, spot)
    if not isinstance(result, Environment):
        return None
    return _Environment(result, _reference(its_file, spot, "Environment"), its_file.path.parent)


def _items(look: Look, file: File, place: Spot, environment: _Environment | None) -> list[LoadedItem]:
    """What one item of the agenda stands for: an experiment, or each combination of its matrix; or a pause. None of
    them, with problems added to `look`, where anything is wrong."""
    named = place.child("experiment") if isinstance(place.value, dict) else None
    if named is None or named.value is None:
        return [LoadedItem()]
    found = _refer(look, "Experiment", file, named)
    if found is None:
        return []
    told = place.get("with")
    values: Given = {str(one.path[-1]): one for one in told.items()} if told and isinstance(told.value, dict) else {}
    ways = combinations(look.library, *found, values, look.problems) if reuses(found[1]) else [values]
    override = environment.reference if environment is not None else None
    items = [_item(look, *found, override, way) for way in ways]
    whole = [item for item in items if item is not None]
    return _told_apart(whole, values.keys()) if len(whole) == len(items) else []


def _item(look: Look, file: File, spot: Spot, override: str | None, values: Given) -> LoadedItem | None:
    look.given = values
    experiment = look.experiment(file, spot, override, required=override is not None)
    look.given = {}
    if not isinstance(experiment, Experiment):
        return None
    reference = _reference(file, spot, "Experiment")
    parameters = {name: told.value if isinstance(told, Spot) else told for name, told in values.items()}
    metadata, spec = experiment.metadata, experiment.spec
    return LoadedItem(reference, look.library.folder, metadata.name, spec.title, parameters)


def _told_apart(items: Sequence[LoadedItem], fixed: Collection[str]) -> list[LoadedItem]:
    """The combinations of one experiment, each with what sets it apart."""
    if len(items) == 1:
        return list(items)
    own_titles = len({item.title for item in items}) == len(items)
    apart = []
    for item in items:
        varied = {name: value for name, value in item.parameters.items() if name not in fixed}
        variant = ", ".join(f"{name}={in_text(value)}" for name, value in varied.items())
        apart.append(replace(item, variant=variant, title=item.title if own_titles else f"{item.title} ({variant})"))
    return apart


def _each_apart(day: GameDay, found: Sequence[Sequence[LoadedItem]]) -> GameDay:
    """The game day with an item for each combination."""
    if all(len(items) == 1 for items in found):
        return day
    agenda = []
    for item, items in zip(day.spec.agenda, found, strict=True):
        for one in items:
            title = f"{item.title} ({one.variant})" if item.title and one.variant else item.title
            agenda.append(item.model_copy(update={"title": title, "with_": one.parameters}))
    return day.model_copy(update={"spec": day.spec.model_copy(update={"agenda": tuple(agenda)})})


def _reference(file: File, spot: Spot, kind: str) -> str:
    """The file's path where that is enough to say which document is meant."""
    if sum(kind_of(other) == kind for other in file.spots) == 1:
        return file.source.path if "/" in file.source.path else f"./{file.source.path}"
    return name_of(spot)


def _refer(look: Look, kind: str, file: File, place: Spot | None) -> tuple[File, Spot] | None:
    if place is None or not isinstance(place.value, str):
        return None  # the model says so
    found = look.library.refer(kind, place.value, [file.path.parent], file)
    if not isinstance(found, NotFound):
        return found
    if not has_kindless(file, place.value):
        look.problems.append(place.problem(found.message, found.expected, found.nearest, rule="not-found"))
    return None


def _listed(spec: Spot, *path: str) -> list[Spot]:
    found = spec.get(*path)
    return list(found.items()) if found is not None and isinstance(found.value, list) else []


# ------------------------------------------------------------------------------------------- what could never be done


def _cannot_be(spec: Spot, day: GameDay, environment: Environment) -> list[Problem]:
    return [*_alerts(spec, environment), *_silence(spec, day, environment), *_notifiers(spec)]


def _alerts(spec: Spot, environment: Environment) -> list[Problem]:
    """Alerts that nothing can say anything about."""
    if environment.spec.prometheus is not None or environment.spec.alertmanager is not None:
        return []
    why = f"the environment {environment.name} names nothing that knows which alerts fire"
    places = [spec.get("goNoGo", "alerts"), spec.get("stopWhen", "firing")]
    expected = "a prometheus or an alertmanager there"
    return [place.problem(why, expected, rule="nobody-to-ask") for place in places if place and place.value]


def _silence(spec: Spot, day: GameDay, environment: Environment) -> list[Problem]:
    """A silence that cannot be made, or that could hide other people's alerts."""
    silence, place = day.spec.communications.silence, spec.get("communications", "silence")
    if silence is None or place is None:
        return []
    if environment.spec.alertmanager is None:
        why = f"the environment {environment.name} names no Alertmanager"
        return [place.problem(why, "an alertmanager there", rule="nobody-to-ask")]
    names = _names_of(environment)
    if naming(silence.matchers, names):
        return []
    known = ", ".join(sorted(names)) or "a service of the environment"
    why = "the silence names nothing of this environment, so it could hide other people's alerts"
    return [place.problem(why, f"a matcher for one of {known}", rule="silence-too-wide")]


def _names_of(environment: Environment) -> set[str]:
    """Of its services, and where they run."""
    settings = environment.spec.platform.with_
    services, namespaces = settings.get("services"), settings.get("namespaces")
    names = {str(each) for each in namespaces} if isinstance(namespaces, list) else set()
    for name, told in services.items() if isinstance(services, dict) else ():
        places = [told.get(field) for field in ("workload", "namespace", "service")] if isinstance(told, dict) else []
        names |= {name, *(place.rpartition("/")[2] for place in places if isinstance(place, str))}
    return names - {""}


def _notifiers(spec: Spot) -> list[Problem]:
    """Notifiers that cannot tell of a game day, as far as that can be said without importing a stranger."""
    from chaosrunner import catalog
    from chaosrunner.model.news import News

    problems = []
    for place in _listed(spec, "communications", "notify"):
        kind = next(iter(place.value), "") if isinstance(place.value, dict) else ""
        if not catalog.is_own("notifiers", kind):
            continue
        plugin = catalog.find("notifiers", kind)
        if News.GAME_DAY in getattr(plugin, "cannot_tell", {News.GAME_DAY}):
            expected = "one that tells people: slack, teams, statuspage, webhook or apprise"
            problems.append(place.problem(f"`{kind}` does not tell of game days", expected, rule="cannot-tell"))
    return problems


def file_of(name: str, folder: Path) -> str:
    """The file that holds the game day of this name. Raises `UsageError` where there is none."""
    file, _ = _required(Library(folder), name)
    return file.source.path


def _required(library: Library, reference: str) -> tuple[File, Spot]:
    found = library.refer("GameDay", reference, [library.folder])
    if isinstance(found, NotFound):
        raise UsageError(str(found))
    return found
