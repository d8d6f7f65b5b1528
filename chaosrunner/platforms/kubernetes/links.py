"""Connections of pods: shaped by the injector in the pod, and looked at from there by a program that never asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from chaosrunner.clock import Clock
from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.injector.holds import BEAT_LIMIT
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.beside import NETWORK
from chaosrunner.platforms.kubernetes.channel import InjectorDied, InjectorRefused
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster
from chaosrunner.platforms.kubernetes.crowd import Crowd
from chaosrunner.platforms.kubernetes.dependencies import Dependencies, Dependency, Door
from chaosrunner.platforms.kubernetes.injected import HELLO, Injector, Injectors, Place
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import Hold, LinkEnd, LinkSample, NetworkEffect, PodLinks

T = TypeVar("T")
Outcome = Literal["answered", "refused", "reset", "silent"]

SILENT_AFTER = 1.4
"""Seconds without an answer that count as silence, on a link that carries no delay of ours: more than the second after
which TCP asks again (RFC 6298)."""
SILENT_AT_MOST = 3.0
"""The same with a delay of ours: one look has 5 s, and whoever waits longer learns nothing more."""
BEGINS_WITHIN = 8.0
"""Seconds that an injector has to put an effect in force; the injection has ten."""
ENDS_WITHIN = 8.5
"""Seconds that it has to take it back, the API server's pauses included; one undo has ten."""
MEETS_WITHIN = 0.28
"""Seconds that it has to say how many met it; the question has 0.3."""
LOOK_LIMIT = 6.0
"""Seconds that looks may take with all that is around them; the engine itself gives one confirmation five."""
AGAIN = 0.25
"""Seconds between two tries while the API server cannot be reached."""
WATCH_AGAIN = 2.0
SHARED_FOR = 10.0
"""Seconds for which what was learnt of another end serves all who ask."""
MOST_DOORS = 8
"""Places that are tried for one that answers."""


@dataclass
class _Link:
    """What is known about a target while it is acted on."""

    run: str
    dependency: Dependency
    door: Door | None = None
    delay: float = 0.0
    """Seconds of delay that are in force: looks must wait longer."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One look that is wanted, and where its answer goes."""

    words: tuple[str, ...]
    seen: asyncio.Future[JsonObject] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


_End = tuple[str, object, bool]


def _end(target: Target) -> _End:
    """What targets with the same other end, and the same way to it, have in common."""
    return str(target.to), target.details.get("port"), ":" in str(target.details.get("ip"))


@dataclass
class _Followed:
    """A dependency whose addresses are watched, and the holds that must hear of changes."""

    there: tuple[dict[str, Any], ...]
    holds: dict[str, Injector] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class ClusterLinks(PodLinks):
    """A target is a pod's connections to one dependency (`link`), or all that the pod opens (`pod`)."""

    looks_before = False

    def __init__(self, cluster: Cluster, spec: Spec, clock: Clock, injectors: Injectors, crowd: Crowd) -> None:
        self._spec = spec
        self._clock = clock
        self._injectors = injectors
        self._crowd = crowd
        self._dependencies = Dependencies(cluster, spec)
        self._shared: dict[tuple[str, ...], tuple[float, asyncio.Future[Dependency]]] = {}
        self._links: dict[str, _Link] = {}
        self._wanted: dict[str, list[_Look]] = {}
        self._followed: dict[_End, _Followed] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End what runs beside; idempotent."""
        tasks = [*(each.task for each in self._followed.values() if each.task is not None), *self._looking]
        self._followed.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- before

    async def end_of(self, target: Target) -> LinkEnd:
        dependency = await (self._other_end(target) if self._crowd.has(target) else self._dependencies.of(target))
        return LinkEnd(dependency.names, tuple((door.host, door.port) for door in dependency.doors))

    def looks_at(self, target: Target) -> bool:
        return not self._crowd.has(target)

    async def _other_end(self, target: Target) -> Dependency:
        """Asked once in a while for all pods that share it."""
        family = "6" if ":" in str(target.details.get("ip")) else "4"
        what = (target.kind, str(target.to or target.service), str(target.details.get("port")), family)
        now = self._clock.monotonic()
        asked, shared = self._shared.get(what, (-SHARED_FOR, None))
        if shared is None or now - asked > SHARED_FOR:
            shared = asyncio.ensure_future(self._ask_other_end(target))
            self._shared[what] = now, shared
        try:
            return await asyncio.shield(shared)
        except (ApiError, CannotDoHonestly):
            self._shared.pop(what, None)
            raise

    async def _ask_other_end(self, target: Target) -> Dependency:
        if target.kind == "link":
            return await self._dependencies.of(target)
        return Dependency((), tuple(await self._dependencies.doors_of_others(target)))

    async def check(self, target: Target) -> None:
        await self._crowd.check(target)
        await self._injectors.check(target, NETWORK)
        if target.kind == "link":
            dependency = await self._other_end(target)
            if not dependency.doors:
                raise CannotDoHonestly(
                    f"{target.name}: nobody knows where in {target.to} a connection would be answered, so that nothing "
                    f"could be seen; name an address or a host with a `port`"
                )

    async def ready(self, target: Target, hold: Hold) -> None:
        if self._crowd.has(target):
            await self._crowd.ready(hold, Place.of(target).namespace)
            return  # its injector begins with its order
        injector = await self._injectors.ready(target, hold, NETWORK)
        await self._injectors.look(
            injector, {"many": []}, HELLO
        )  # starting takes long on a busy node, looking does not
        self._links[target.id] = await self._link(target, hold.run)

    async def _link(self, target: Target, run: str) -> _Link:
        known = self._links.get(target.id)
        if known is not None and known.run == run:
            return known
        return _Link(run, await self._other_end(target))

    # -- in force

    async def shape(self, target: Target, effect: NetworkEffect, hold: Hold) -> None:
        given = {key: value for key, value in asdict(effect).items() if value is not None}
        include_control = given.pop("include_control")
        await self.act(target, {"connections": given}, hold, include_control=include_control)
        self._links[target.id].delay = effect.delay + effect.jitter

    async def act(self, target: Target, effect: JsonObject, hold: Hold, *, include_control: bool = False) -> JsonObject:
        link = self._links[target.id] = await self._link(target, hold.run)
        order: dict[str, Any] = {
            "kind": "traffic",
            "mode": self._spec.injector.mode,
            "match": {"way": "egress", "to": list(link.dependency.to)},
            **effect,
        }
        if self._crowd.has(target):
            spared = not include_control and "match" not in effect
            await self._crowd.begin(target, hold, order, spare_control=spared)
            return {}
        injector = await self._injectors.ready(target, hold, NETWORK)
        if "match" not in effect:
            order["match"]["except"] = [] if include_control else list(injector.control)
        begin = {"do": "begin", "id": hold.id, "run": hold.run, "seconds": hold.seconds, "effect": order}
        try:
            told = await self._injectors.ask(injector, begin, BEGINS_WITHIN)
        except InjectorRefused as refusal:
            raise FaultFailed(f"the injector in {injector.place} did not do it: {refusal}") from None
        if link.dependency.service is not None:
            self._follow(target, link.dependency, injector, hold)
        return told

    def _follow(self, target: Target, dependency: Dependency, injector: Injector, hold: Hold) -> None:
        """Pods of the dependency come and go while the fault is in force: one watch for all targets that have it."""
        followed = self._followed.setdefault(_end(target), _Followed(dependency.to))
        followed.holds[hold.id] = injector
        if followed.task is None:
            followed.task = asyncio.ensure_future(self._watch(target, dependency, followed))

    async def _watch(self, target: Target, dependency: Dependency, followed: _Followed) -> None:
        while True:
            with suppress(ApiError, CannotDoHonestly):
                async for now in self._dependencies.changes(dependency, target):
                    if now.to != followed.there:
                        followed.there = now.to
                        await asyncio.gather(*(self._update(*each, now) for each in list(followed.holds.items())))
            await self._clock.sleep(WATCH_AGAIN)

    async def _update(self, hold: str, injector: Injector, now: Dependency) -> None:
        with suppress(FaultFailed):  # one that is over, or gone, is seen by its own looks
            await self._injectors.ask(injector, {"do": "update", "id": hold, "to": list(now.to)}, BEGINS_WITHIN)

    async def _forget(self, target: Target, hold: Hold) -> None:
        followed = self._followed.get(_end(target))
        if followed is None or followed.holds.pop(hold.id, None) is None or followed.holds:
            return
        del self._followed[_end(target)]
        if followed.task is not None:
            followed.task.cancel()
            await asyncio.gather(followed.task, return_exceptions=True)

    async def met(self, target: Target, hold: Hold) -> int | None:
        injector = None if self._crowd.has(target) else self._injectors.at_hand(target, hold.run, NETWORK)
        if injector is None:
            return None
        try:
            told = await self._injectors.ask(injector, {"do": "met", "id": hold.id}, MEETS_WITHIN)
        except FaultFailed:
            return None
        count = told.get("met")
        return count if isinstance(count, int) else None

    # -- taking back

    async def release(self, target: Target, hold: Hold) -> None:
        await self._forget(target, hold)
        if target.id in self._links:
            self._links[target.id].delay = 0.0
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                await self._reached_again(lambda: self._end(target, hold))
        except (TimeoutError, FaultFailed, ApiError) as problem:
            raise UndoFailed(_not_taken_back(target, problem), _by_hand(target, hold)) from problem

    async def _end(self, target: Target, hold: Hold) -> None:
        if await self._crowd.end(hold):
            return
        injector = await self._injectors.reach(target, hold.run, NETWORK)
        if injector is None:
            return
        try:
            await self._injectors.ask(injector, {"do": "end", "id": hold.id}, ENDS_WITHIN)
        except InjectorDied:  # meanwhile: what it was decides whether anything can be left
            injector = await self._injectors.reach(target, hold.run, NETWORK)
            if injector is not None:
                await self._injectors.ask(injector, {"do": "end", "id": hold.id}, ENDS_WITHIN)
        if target.id not in self._links:  # by another process than the one that injected: it will look, too
            with suppress(CannotDoHonestly, ApiError):
                self._links[target.id] = await self._link(target, hold.run)

    async def _reached_again(self, work: Callable[[], Awaitable[T]]) -> T:
        """What it gives, tried again while the API server cannot be reached; the caller limits the time."""
        while True:
            try:
                return await work()
            except ApiError as error:
                if not error.passing:
                    raise
            await self._clock.sleep(AGAIN)

    # -- looks

    async def sample(self, target: Target, payload: int = 0, *, stay: float = 0.0, around: bool = False) -> LinkSample:
        link = self._known(target)
        door = await self._door(target, link)
        silent_after = min(SILENT_AT_MOST, SILENT_AFTER + 2.2 * link.delay) if not payload else SILENT_AT_MOST
        words = [*_words(door), "--silent-after", f"{silent_after:g}"]
        words += ["--payload", str(payload)] if payload else []
        words += ["--stay", f"{stay:g}"] if stay else []
        words += ["--around"] if around else []
        return _sample(await self._queue(target, link, _Look(tuple(words))))

    async def door(self, target: Target) -> tuple[str, int]:
        door = await self._door(target, self._known(target))
        return door.host, door.port

    async def look(self, target: Target, words: Sequence[str]) -> JsonObject:
        seen = await self._queue(target, self._known(target), _Look(tuple(words)))
        if "error" in seen:
            raise FaultFailed(f"looking from inside {target.name} failed: {seen['error']}")
        return seen

    def _known(self, target: Target) -> _Link:
        link = self._links.get(target.id)
        if link is None:
            raise FaultFailed(f"{target.name} cannot be looked at: no injector is in the pod")
        return link

    async def _door(self, target: Target, link: _Link) -> Door:
        """The first that answers, past our own faults; the first of all if none does."""
        if link.door is None:
            link.door = await self._first(target, link)
        return link.door

    async def _first(self, target: Target, link: _Link) -> Door:
        doors = link.dependency.doors[:MOST_DOORS]
        if not doors:
            raise FaultFailed(f"{target.name}: nobody knows where a connection of it would be answered")
        if len(doors) == 1:
            return doors[0]
        looks = [_Look((*_words(door), "--around")) for door in doors]
        seen = await asyncio.gather(*(self._queue(target, link, look) for look in looks))
        return next((door for door, one in zip(doors, seen, strict=True) if one.get("outcome") == "answered"), doors[0])

    async def _queue(self, target: Target, link: _Link, look: _Look) -> JsonObject:
        """Looks that are wanted in the same moment go together: each process in a pod takes time to start."""
        wanted = self._wanted.setdefault(target.id, [])
        wanted.append(look)
        if len(wanted) == 1:
            task = asyncio.ensure_future(self._look(target, link))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)
        return await look.seen

    async def _look(self, target: Target, link: _Link) -> None:
        await asyncio.sleep(0)  # those that are asked for in this moment
        looks = self._wanted.pop(target.id)
        try:
            async with asyncio.timeout(LOOK_LIMIT):
                seen = await self._reached_again(lambda: self._look_at(target, link, looks))
        except TimeoutError:
            _fail(looks, FaultFailed(f"looking from inside {target.name}: its node did not answer in time"))
        except (ApiError, FaultFailed) as error:
            _fail(looks, error)
        else:
            for look, one in zip(looks, seen, strict=True):
                if not look.seen.done():  # else whoever wanted it has gone
                    look.seen.set_result(one)

    async def _look_at(self, target: Target, link: _Link, looks: Sequence[_Look]) -> list[JsonObject]:
        injector = self._injectors.at_hand(target, link.run, NETWORK)
        if injector is None:
            raise FaultFailed(f"{target.name} cannot be looked at: no injector is in the pod")
        if injector.beaten and injector.talk.silence > BEAT_LIMIT:
            raise FaultFailed(
                f"no heartbeat has reached the injector in {injector.place} for {injector.talk.silence:.0f} s, and it "
                f"lets go after {BEAT_LIMIT:g} s: {injector.talk.trouble or 'it does not answer'}"
            )
        asked = {"many": [look.words for look in looks]}
        seen: list[JsonObject] = (await self._injectors.look(injector, asked, LOOK_LIMIT - 0.5))["looks"]
        if injector.talk.died:
            raise InjectorDied(injector.talk.died)
        return seen


def _words(door: Door) -> list[str]:
    return ["tcp", door.host, str(door.port), *(("--http", door.http) if door.http else ())]


def _sample(seen: JsonObject) -> LinkSample:
    outcome, seconds, speed = (seen.get(key) for key in ("outcome", "seconds", "bytes_per_second"))
    known: Sequence[Outcome] = ("answered", "refused", "reset", "silent")
    for one in known:
        if outcome == one and isinstance(seconds, int | float):
            return LinkSample(one, float(seconds), float(speed) if isinstance(speed, int | float) else None)
    raise FaultFailed(f"looking from inside the pod failed: {seen.get('error') or seen}")


def _fail(looks: Sequence[_Look], error: Exception) -> None:
    for look in looks:
        if not look.seen.done():
            look.seen.set_exception(error)


def _not_taken_back(target: Target, problem: Exception) -> str:
    words = str(problem) or "the API server did not answer in time"
    return (
        f"whether the fault on {target.name} is taken back cannot be told: {words}; its injector lets go 5 s after the "
        f"last heartbeat"
    )


def _by_hand(target: Target, hold: Hold) -> list[str]:
    space, pod = target.details.get("namespace"), target.details.get("pod")
    return [f"chaosrunner heal {hold.run}", f"kubectl delete pod --namespace {space} {pod}"]
