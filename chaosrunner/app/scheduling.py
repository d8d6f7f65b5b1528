"""What runs by itself: the CronJobs and calendar entries of suites and game days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from chaosrunner import catalog
from chaosrunner.clock import iso
from chaosrunner.errors import UsageError
from chaosrunner.model.cron import Cron, parse_cron, zone_of
from chaosrunner.model.environment import Environment
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.light import dataclass, replace
from chaosrunner.reports.calendar import Event, calendar
from chaosrunner.reports.words import count
from chaosrunner.stages.cronjobs import Scheduled, as_yaml, objects
from chaosrunner.stages.gameday_file import LoadedDay
from chaosrunner.stages.guard import parse_window
from chaosrunner.stages.load import load_experiment
from chaosrunner.stages.suite import LoadedSuite

LOOKED_AT = 30
"""Coming times that are held against the environment's windows."""
USUAL_LENGTH = 3600.0
"""Seconds of a suite without a budget, in a calendar."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a command adds to what the file says; empty: nothing."""

    environment: str = ""
    """Instead of the experiments' own, by name or path."""
    at: str = ""
    zone: str = ""
    namespace: str = "chaosrunner"
    image: str = ""
    late: float = 600.0
    claim: str = ""
    secret: str = "chaosrunner"


@dataclass(frozen=True, slots=True)
class Planned:
    """What would come about."""

    event: Event
    environments: tuple[Environment, ...]
    scheduled: Scheduled
    coming: tuple[float, ...]
    """The next times, wall time."""
    warnings: tuple[str, ...]

    def manifests(self) -> list[JsonObject]:
        """For a cluster. Raises `UsageError` for what one would not take, and for what is not in a cluster."""
        for environment in self.environments:
            kind = environment.spec.platform.kind
            if not catalog.find("platforms", kind).has_pods:
                why = f"the environment {environment.name} is {kind}: a pod of a cluster cannot run on it"
                raise UsageError(f"{why}; `-f ical` prints a calendar")
        return objects(self.scheduled)

    def yaml(self) -> str:
        """The same as kubectl reads them."""
        return as_yaml(self.manifests())

    def calendar(self, now: float) -> str:
        """As iCalendar."""
        try:
            return calendar(self.event, now)
        except ValueError as error:
            raise UsageError(str(error)) from None


def suite_schedule(loaded: LoadedSuite, wishes: Wishes, folder: Path, now: float) -> Planned:
    """A suite's. Raises `UsageError` where nothing says when."""
    spec = loaded.suite.spec
    text, zone = wishes.at or spec.schedule, wishes.zone or spec.time_zone
    if not text:
        raise UsageError(f"nothing says when {loaded.name} runs: `schedule:` in {loaded.file}, or --at '0 10 * * 1-5'")
    used, named = [loaded.file], ["-e", wishes.environment] if wishes.environment else []
    for item in loaded.items:
        one = load_experiment(item.reference, item.environment, folder, item.parameters, loaded.library)
        used += [source.path for source in one.sources]
    event = Event(
        kind="suite",
        name=loaded.name,
        environment=",".join(each.name for each in loaded.environments),
        title=f"chaosrunner: {spec.title}",
        text=f"The suite {loaded.name} runs by itself: {count(len(loaded.items), 'experiment')}.",
        first=0.0,
        lasts=spec.budget or USUAL_LENGTH,
        zone=zone,
        again=_cron(text),
    )
    scheduled = _scheduled(
        f"chaosrunner-{loaded.name}", ["suite", "run", "--scheduled", *named, loaded.file], event, used, folder
    )
    scheduled = replace(scheduled, longest=spec.budget)
    return _planned(event, loaded.environments, scheduled, wishes, now)


def day_schedule(loaded: LoadedDay, wishes: Wishes, folder: Path, now: float) -> Planned:
    """A game day's: at its time those who should know are told whether it may go. People lead through it, no CronJob.

    Raises `UsageError` where nothing says when, or that is over.
    """
    spec = loaded.day.spec
    text, zone = wishes.at or spec.schedule, wishes.zone or spec.time_zone
    once = None
    if not text and spec.date is not None:
        local = datetime.fromisoformat(spec.date).replace(tzinfo=_zone(zone))
        once, text = local.timestamp(), f"{local.minute} {local.hour} {local.day} {local.month} *"
        if once <= now:
            raise UsageError(f"{loaded.day.name} was on {spec.date}: give it a new date, or --at")
    if not text:
        raise UsageError(
            f"nothing says when {loaded.day.name} is: `date:` or `schedule:` in {loaded.source.path}, or --at"
        )
    used = [loaded.source.path]
    for item in loaded.items:
        if item.reference:
            one = load_experiment(item.reference, loaded.environment_reference, item.folder, item.parameters)
            used += [source.path for source in one.sources]
    event = Event(
        kind="game-day",
        name=loaded.day.name,
        environment=loaded.environment.name,
        title=f"Game day: {spec.title}",
        text=f"Game day on {loaded.environment.name}. chaosrunner gameday run {loaded.day.name}",
        first=once or 0.0,
        lasts=spec.lasts,
        zone=zone,
        again=_cron(text) if once is None else None,
    )
    command = ["gameday", "plan", "--tell", loaded.source.path]
    scheduled = _scheduled(f"chaosrunner-{loaded.day.name}", command, event, used, folder)
    scheduled = replace(scheduled, schedule=_cron(text).text)
    planned = _planned(event, (loaded.environment,), scheduled, wishes, now)
    if once is not None:
        said = f"a CronJob knows no year: take it away by --remove when {loaded.day.name} is over"
        planned = replace(planned, warnings=(*planned.warnings, said))
    return planned


def _cron(text: str) -> Cron:
    try:
        return parse_cron(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return zone_of(name)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _scheduled(name: str, command: Sequence[str], event: Event, used: Iterable[str], folder: Path) -> Scheduled:
    files = {path: _text(folder / path) for path in dict.fromkeys(used)}
    made_for = f"{event.kind}.{event.name}"
    return Scheduled(name, command, event.again.text if event.again else "", event.zone, files, made_for=made_for)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def _planned(
    event: Event, environments: tuple[Environment, ...], scheduled: Scheduled, wishes: Wishes, now: float
) -> Planned:
    zone = _zone(event.zone)
    coming = tuple(islice(event.again.after(now, zone), LOOKED_AT)) if event.again else (event.first,)
    scheduled = replace(
        scheduled,
        secrets=tuple(dict.fromkeys(name for each in environments for name in _variables(each.as_json()))),
        namespace=wishes.namespace,
        late=wishes.late,
        claim=wishes.claim,
        secret=wishes.secret,
        image=wishes.image or scheduled.image,
    )
    warnings = [words for each in environments for words in _doubts(each, coming)]
    if not wishes.claim:
        warnings.append("nothing is kept from one to the next: --claim NAME keeps runs, and the register with them")
    return Planned(replace(event, first=coming[0]), environments, scheduled, coming, tuple(warnings))


def _variables(value: JsonValue) -> Iterator[str]:
    """Environment variables that hold secrets of a file."""
    if isinstance(value, dict):
        if set(value) == {"env"} and isinstance(value["env"], str):
            yield value["env"]
        for child in value.values():
            yield from _variables(child)
    elif isinstance(value, list):
        for child in value:
            yield from _variables(child)


def _doubts(environment: Environment, coming: Sequence[float]) -> Iterator[str]:
    """What would keep it from running there."""
    settings: Mapping[str, JsonValue] = environment.spec.platform.with_
    for name in ("context", "kubeconfig"):
        if settings.get(name):
            yield f"the environment {environment.name} names a {name}, which a pod does not have: leave it out there"
    if environment.spec.guards.production:
        yield f"{environment.name} is production: nobody is there to say so, so its guard refuses every run"
    windows = [parse_window(text) for text in environment.spec.guards.windows]
    out = [at for at in coming if windows and not any(window.contains(at) for window in windows)]
    if out:
        which = (
            "every time"
            if len(out) == len(coming)
            else f"{len(out)} of the next {len(coming)} times, first {iso(out[0])},"
        )
        yield f"{which} lies outside of the windows of {environment.name}, which then refuses"
