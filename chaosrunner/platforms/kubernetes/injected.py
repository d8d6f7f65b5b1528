"""Injectors in pods: an ephemeral container for each run and pod, started when it is first needed, told what to do over
the API's attach stream, and told every second that the runner lives.

An ephemeral container cannot be taken out of a pod's spec again, nor restarted: its entry stays until the pod goes, and
where one has ended and another is needed, that gets a name of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from chaosrunner import __version__
from chaosrunner.clock import Clock
from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.injector.operations import BY_NAME
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes import beside
from chaosrunner.platforms.kubernetes.beside import Needs
from chaosrunner.platforms.kubernetes.channel import InjectorDied, Message, Talk
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Executed, Object, path
from chaosrunner.platforms.kubernetes.spec import Injector as Settings
from chaosrunner.ports import Hold

T = TypeVar("T")

AT_ONCE = 64
"""Pods that are started in, or asked, at the same time."""
BEAT_EVERY = 1.0
"""Seconds between two beats; an injector lets go after five without."""
LEAST_LIFE = 300.0
"""Seconds that an injector lives at least, so that one serves all faults of a usual run."""
SPARE_LIFE = 60.0
"""Seconds that it lives longer than the fault it was started for."""
HELLO = 20.0
"""Seconds that a container which runs has until its program answers: a node may be busy."""
BYE = 3.0
"""Seconds that an injector has to take back what it holds and say goodbye."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pod, and that it is still the same one."""

    namespace: str
    pod: str
    uid: str

    @classmethod
    def of(cls, target: Target) -> Place:
        """Where a target is. Raises `CannotDoHonestly` for a target that is not in a pod."""
        namespace, pod, uid = (target.details.get(key) for key in ("namespace", "pod", "uid"))
        if not (isinstance(namespace, str) and isinstance(pod, str) and isinstance(uid, str)):
            raise CannotDoHonestly(f"{target.name} is not a pod, nor in one")
        return cls(namespace, pod, uid)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"

    def path(self, sub: str | None = None) -> str:
        """Of the pod in the API."""
        return path("v1", "pods", self.namespace, self.pod, sub)


class Injector:
    """One injector that runs."""

    def __init__(self, place: Place, run: str, needs: Needs, name: str, talk: Talk) -> None:
        self.place = place
        self.run = run
        self.needs = needs
        self.name = name
        self.talk = talk
        self.looks: Talk | None = None
        """With the program that looks."""
        self.beaten = False
        """Whether it is told every second that the runner lives."""
        self.ends = 0.0
        """When its lifetime is over, on the runner's monotonic clock."""
        self.control: tuple[Message, ...] = ()
        """What watches over the pod, as exceptions of a match: its node's kubelet."""
        self.ended: dict[str, Message] = {}
        """Holds that ended by themselves, and what was said of it, by id."""

    def heard(self, event: Message) -> None:
        """Something that it says by itself."""
        if event.get("event") in ("ended", "vanished"):
            self.ended[str(event.get("id"))] = event


class Injectors:
    """All injectors of one runner, by pod, run and needs."""

    def __init__(self, cluster: Cluster, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._known: dict[tuple[Place, str, Needs], Injector] = {}
        self._turns: dict[tuple[Place, str, Needs], asyncio.Lock] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._checked: dict[tuple[str, str, Needs], str] = {}
        self._beats: asyncio.Task[None] | None = None
        self._alive: Callable[[], bool] = lambda: False

    # -- a run

    async def open(self, alive: Callable[[], bool]) -> None:
        """Begin to beat. A task of the event loop does it, so that a loop that hangs misses its beats."""
        await self.close()
        self._alive = alive
        self._beats = asyncio.ensure_future(self._beat())

    async def close(self) -> None:
        """No more beats; all injectors take back what they hold and end. Idempotent."""
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.gather(self._beats, return_exceptions=True)
            self._beats = None
        known, self._known = list(self._known.values()), {}
        self._turns.clear()
        await asyncio.gather(*(self._leave(injector) for injector in known))

    async def _leave(self, injector: Injector) -> None:
        with suppress(FaultFailed):  # one that does not hear it ends when the beats have stopped
            await self.ask(injector, {"do": "bye"}, BYE)
        await injector.talk.close()
        if injector.looks is not None:
            await injector.looks.close()

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(BEAT_EVERY)
            for injector in list(self._known.values()):
                self._beat_for(injector)

    def _beat_for(self, injector: Injector) -> None:
        """One beat, now; none in a process that does not run the run, or does not live any more."""
        if self._beats is not None and self._alive():
            injector.beaten = True
            injector.talk.beat(injector.run)

    # -- before anything is touched

    async def check(self, target: Target, needs: Needs) -> None:
        """Whether an injector can be put beside the target: reads the pod, and asks the API server to try without doing
        it (dry run), so that rights, policies and webhooks are heard. Asked once for the pods of one owner.

        Raises `CannotDoHonestly` with their words.
        """
        place = Place.of(target)
        key = (place.namespace, str(target.details.get("owner") or place.pod), needs)
        if key not in self._checked:
            self._checked[key] = await self._why_not(place, needs)
        if why := self._checked[key]:
            raise CannotDoHonestly(f"{target.name}: {why}")

    async def _why_not(self, place: Place, needs: Needs) -> str:
        pod = await self._pod(place)
        if why := beside.why_not(pod, needs):
            return why
        name = beside.next_name(pod, "plan", needs)
        try:
            await self._put(place, beside.container(name, "plan", LEAST_LIFE, needs, self._settings), only_try=True)
        except ApiError as error:
            if error.code in (400, 401, 403, 404, 405, 422):
                return beside.refused(error)
            raise
        return ""

    # -- for faults

    async def ready(self, target: Target, hold: Hold, needs: Needs) -> Injector:
        """The injector of this hold's run beside the target, started if there is none that lives long enough.

        Raises `CannotDoHonestly` where there can be none, `FaultFailed` if it does not start.
        """
        place = Place.of(target)
        async with self._turn(place, hold.run, needs):
            known = self._known.get((place, hold.run, needs))
            wanted = hold.seconds + SPARE_LIFE / 2
            if known is not None and not known.talk.died and known.ends - self._clock.monotonic() >= wanted:
                return known
            async with self._at_once:
                started = await self._start(place, hold.run, needs, max(LEAST_LIFE, hold.seconds + SPARE_LIFE))
            self._known[place, hold.run, needs] = started
            return started

    async def reach(self, target: Target, run: str, needs: Needs, *, anew: bool = True) -> Injector | None:
        """The one that holds, or may have left, something beside the target; None when nothing of ours can be there:
        the pod is gone, no injector was ever started, or all of them ended in order.

        Where one was killed, another is started to see to what it left; not with `anew=False`, for faults that leave
        nothing behind a process that ends. Raises `FaultFailed` and `ApiError`.
        """
        place = Place.of(target)
        async with self._turn(place, run, needs):
            known = self._known.get((place, run, needs))
            if known is not None and not known.talk.died:
                return known
            try:
                pod = await self._pod(place)
            except InjectorDied:
                return None
            name, killed = beside.living(pod, run, needs)
            if name:
                found = await self._meet(place, run, needs, name)
            elif killed and anew:
                async with self._at_once:
                    found = await self._start(place, run, needs, LEAST_LIFE)
            else:
                return None
            self._known[place, run, needs] = found
            return found

    def at_hand(self, target: Target, run: str, needs: Needs) -> Injector | None:
        """The one that was spoken with last, dead or alive; asks nobody."""
        return self._known.get((Place.of(target), run, needs))

    async def ask(self, injector: Injector, request: Message, within: float) -> Message:
        """Its answer; in turn, when many pods are asked. See `Talk.ask`."""
        async with self._at_once:
            return await injector.talk.ask(request, within)

    async def execute(self, injector: Injector, command: Sequence[str], within: float) -> Executed:
        """Run a command beside the injector, as a process of its own. Raises `InjectorDied`, `ApiError`."""
        if injector.talk.died:
            raise InjectorDied(injector.talk.died)
        place = injector.place
        async with self._at_once:
            return await self._cluster.execute(place.namespace, place.pod, injector.name, command, within=within)

    async def look(self, injector: Injector, asked: Message, within: float) -> Message:
        """What the look program sees, which runs beside the injector as a process of its own and never asks it. It is
        started at the first look and stays, as starting it costs more than looking."""
        if injector.looks is None:
            place, command = injector.place, ["python3", "-m", "chaosrunner.injector.look", "serve"]

            async def fate() -> str:
                return await self._fate(place, injector.name)

            injector.looks = Talk(
                lambda: self._cluster.converse(place.namespace, place.pod, injector.name, command),
                fate,
                self._clock,
                who=f"the program that looks from inside {place}",
            )
        async with self._at_once:
            return await injector.looks.ask(asked, within)

    def _turn(self, place: Place, run: str, needs: Needs) -> asyncio.Lock:
        return self._turns.setdefault((place, run, needs), asyncio.Lock())

    # -- starting

    async def _start(self, place: Place, run: str, needs: Needs, seconds: float) -> Injector:
        pod = await self._pod(place)
        if why := beside.why_not(pod, needs):
            raise CannotDoHonestly(f"{place}: {why}")
        name = beside.next_name(pod, run, needs)
        try:
            pod = await self._put(place, beside.container(name, run, seconds, needs, self._settings))
        except ApiError as error:
            if error.not_found:
                raise InjectorDied(f"the pod {place} was deleted") from None
            if error.passing:
                raise
            raise FaultFailed(f"{place}: {beside.refused(error)}") from None
        await self._until_it_runs(place, name, pod)
        met = await self._meet(place, run, needs, name)
        met.control = beside.control(pod)
        return met

    async def _put(self, place: Place, container: Object, *, only_try: bool = False) -> Object:
        body = {"spec": {"ephemeralContainers": [container]}}
        where = place.path("ephemeralcontainers")
        if only_try:
            return await self._cluster.patch(where, body, BY_NAME, dryRun="All")
        return await self._cluster.patch(where, body, BY_NAME)

    async def _until_it_runs(self, place: Place, name: str, pod: Object) -> None:
        """Watch the pod until the container runs. Raises `FaultFailed` in the words of whoever keeps it from that."""
        within = self._settings.start_within
        state: Literal["runs", "waits"] = "waits"
        words = ""
        try:
            async with asyncio.timeout(within):
                while state != "runs":
                    state, words = beside.progress(pod, name, self._settings.image_name)
                    if state != "runs":
                        pod = await self._changed(place, pod)
        except TimeoutError:
            why = words or "its node has said nothing about it"
            raise FaultFailed(f"{place}: the injector did not start within {within:g} s: {why}") from None

    async def _changed(self, place: Place, pod: Object) -> Object:
        """The pod's next state. Raises `InjectorDied` when it goes away."""
        where = path("v1", "pods", place.namespace)
        version = str(pod["metadata"]["resourceVersion"])
        with suppress(ApiError):  # a watch that cannot be had (too old, no right, a restart): read it anew
            async for change in self._cluster.watch(
                where, resource_version=version, fieldSelector=f"metadata.name={place.pod}"
            ):
                if change.type == "DELETED":
                    raise InjectorDied(f"the pod {place} was deleted")
                if change.type in ("ADDED", "MODIFIED"):
                    return change.object
        await self._clock.sleep(0.3)
        return await self._pod(place)

    async def _meet(self, place: Place, run: str, needs: Needs, name: str) -> Injector:
        """Attach to one that runs. Raises `FaultFailed` if it does not answer, or is of another version."""

        def heard(event: Message) -> None:
            found.heard(event)

        async def fate() -> str:
            return await self._fate(place, name)

        talk = Talk(
            lambda: self._cluster.attach(place.namespace, place.pod, name),
            fate,
            self._clock,
            heard,
            greet=lambda: self._beat_for(found),
        )
        found = Injector(place, run, needs, name, talk)
        try:
            told = await talk.ask({"do": "stats"}, HELLO)
            if told.get("version") != __version__:
                raise FaultFailed(
                    f"{place}: the injector's image {self._settings.image_name} is of version {told.get('version')}, "
                    f"this is chaosrunner {__version__}: set `injector.image` to one of the same version"
                )
        except BaseException:
            await talk.close()
            raise
        found.ends = self._clock.monotonic() + float(told.get("seconds_left", 0.0))
        return found

    async def _fate(self, place: Place, name: str) -> str:
        try:
            pod = await self._pod(place)
        except InjectorDied as gone:
            return str(gone)
        return beside.death(pod, name)

    async def _pod(self, place: Place) -> Object:
        pod = await self._cluster.find(place.path())
        if pod is None:
            raise InjectorDied(f"the pod {place} was deleted")
        if pod["metadata"]["uid"] != place.uid:
            raise InjectorDied(f"the pod {place} is another one of the same name now")
        return pod


async def in_time(work: Awaitable[T], seconds: float, words: str) -> T:
    """What it gives. Raises `FaultFailed` with these words when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise FaultFailed(f"{words}: not within {seconds:g} s") from None
