"""Schedules in their cluster: what a suite or game day needs to run by itself is applied there, or removed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from chaosrunner import catalog
from chaosrunner.app.orders import make_platform
from chaosrunner.app.scheduling import Planned
from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.errors import ChaosrunnerError, UsageError
from chaosrunner.model.environment import Environment
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.plan import GuardAnswer
from chaosrunner.person import who
from chaosrunner.ports import Kept, Schedules
from chaosrunner.records.light import dataclass
from chaosrunner.stages.gameday_file import LoadedDay
from chaosrunner.stages.guard import PLATFORM_TAKES, Circumstances, ask_to_schedule
from chaosrunner.stages.load import load_experiment
from chaosrunner.stages.suite import LoadedSuite


@dataclass(frozen=True, slots=True)
class Place:
    """An environment, and where its relative paths start."""

    environment: Environment
    folder: Path

    @property
    def leads_to(self) -> tuple[str, str]:
        """By which connection its cluster is reached."""
        settings = self.environment.spec.platform.with_
        file = settings.get("kubeconfig")
        return str((self.folder / str(file)).resolve()) if file else "", str(settings.get("context") or "")


@dataclass(frozen=True, slots=True)
class Keys:
    """Both that production takes."""

    second: str = ""
    production_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    answers: tuple[tuple[str, GuardAnswer], ...]
    """With the name of the environment that each is about."""
    objects: tuple[Kept, ...] = ()

    @property
    def refusals(self) -> Sequence[str]:
        """Why nothing was done; empty: it was."""
        return [f"{name}: {answer.guard}: {answer.reason}" for name, answer in self.answers if not answer.go]

    def as_json(self) -> JsonObject:
        """`{go, guards: [{environment, guard, go, reason}], objects: [{kind, name, done}]}`."""
        return {
            "go": not self.refusals,
            "guards": [
                {"environment": name, "guard": answer.guard, "go": answer.go, "reason": answer.reason}
                for name, answer in self.answers
            ],
            "objects": [{"kind": each.kind, "name": each.name, "done": each.done} for each in self.objects],
        }


def suite_places(loaded: LoadedSuite, folder: Path) -> Sequence[Place]:
    """Each environment of a suite, once."""
    found: dict[str, Place] = {}
    for item in loaded.items:
        one = load_experiment(item.reference, item.environment, folder, item.parameters, loaded.library)
        found.setdefault(one.environment.name, Place(one.environment, one.environment_path.parent))
    return tuple(found.values())


def day_places(loaded: LoadedDay) -> Sequence[Place]:
    """A game day's one environment."""
    return (Place(loaded.environment, loaded.environment_folder),)


async def apply_schedule(planned: Planned, places: Sequence[Place], keys: Keys, clock: Clock) -> Done:
    """Have the schedule's objects in the cluster of its environments, if no guard of any of them speaks against it.

    Raises `UsageError` where they are several clusters, or none; `Refused` where an object is somebody else's;
    `NotPossibleNow` where the cluster is out of reach.
    """
    objects = planned.manifests()
    _refuse_several(places)
    circumstances = Circumstances(clock.now(), who(), keys.second, keys.production_confirmed)
    answers: list[tuple[str, GuardAnswer]] = []
    async with AsyncExitStack() as stack:
        # The connection that the guards were asked over is the one that changes something: a context may be switched.
        opened = [await stack.enter_async_context(_schedules(place, clock)) for place in places]
        for place, schedules in zip(places, opened, strict=True):
            guards = place.environment.spec.guards
            asked = [ask_to_schedule(guards, circumstances), *await _asked(schedules, objects)]
            answers += [(place.environment.name, answer) for answer in asked]
        found = Done(tuple(answers))
        return found if found.refusals else Done(found.answers, tuple(await opened[0].keep(objects)))


async def _asked(schedules: Schedules, objects: Sequence[JsonObject]) -> Sequence[GuardAnswer]:
    asked = await Leash().ask(schedules.may_keep(objects), PLATFORM_TAKES)
    if isinstance(asked.error, ChaosrunnerError):
        raise asked.error
    if asked.value is None:
        return [GuardAnswer(guard="schedule", go=False, reason=f"cannot be answered: {asked.trouble}")]
    return asked.value


async def remove_schedule(schedule: str, namespace: str, places: Sequence[Place], clock: Clock) -> Done:
    """Remove all objects of a schedule (`suite.NAME`, `game-day.NAME`) from the cluster of its environments.

    As it takes back what runs by itself, production needs no second person for it. Raises as `apply_schedule`.
    """
    _refuse_several(places)
    async with _schedules(places[0], clock) as schedules:
        name = places[0].environment.name
        answers = tuple((name, answer) for answer in await schedules.may_remove(namespace))
        if (found := Done(answers)).refusals:
            return found
        return Done(answers, tuple(await schedules.remove(schedule, namespace)))


def _refuse_several(places: Sequence[Place]) -> None:
    for place in places:
        name, kind = place.environment.name, place.environment.spec.platform.kind
        if not catalog.find("platforms", kind).has_pods:
            raise UsageError(f"the environment {name} is {kind}: it has no cluster that could keep a schedule")
    if len({place.leads_to for place in places}) > 1:
        names = ", ".join(place.environment.name for place in places)
        raise UsageError(f"{names} are reached by different contexts or kubeconfigs: name one of them with -e")


@asynccontextmanager
async def _schedules(place: Place, clock: Clock) -> AsyncIterator[Schedules]:
    platform = make_platform(place.environment, place.folder, clock)
    try:
        yield platform.ability(Schedules)
    finally:
        await platform.close()
