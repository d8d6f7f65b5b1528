"""Holds: faults that are in force until their deadline, until the heartbeat stops, or until they are asked to end.

Standard library only: see `chaosrunner.injector.control`.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from chaosrunner.injector.calls import BEAT_LIMIT, ControlError, Message, RequestRefused

__all__ = ["BEAT_LIMIT", "Handler", "Holds", "Why", "answered", "uptime"]

Handler = Callable[[Message], "Message | Awaitable[Message]"]
Why = Literal["deadline", "heartbeat", "ended"]
"""Why a hold is over: its seconds were, nobody beat for it any more, or it was asked to end."""

TICK = 0.25
"""Seconds between two looks at the holds. A timer does not run while the machine is suspended, the holds' clock does:
so a hold that ran out meanwhile ends so soon after the machine wakes."""
REMEMBERED = 1000
"""Holds that are over and whose id is still known, so that a late `begin` of one of them does no harm."""


def uptime() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine is suspended, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # macOS: counts while suspended, unlike time.monotonic() there


@dataclass(slots=True)
class _Held:
    id: str
    run: str
    effect: Message
    ends: float
    beat: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Beginning and ending of one hold never overlap."""
    began: bool = False


class Holds:
    """The faults that a process holds, each until its deadline, until the heartbeat stops, or until `end`.

    `on_begin(id, effect)` puts an effect in force; it refuses by raising `RequestRefused`, and must then have changed
    nothing. `on_end(id, effect, why)` takes it back and is called exactly once for each hold that began. Both may be
    coroutines; `begin` and `end` answer when they are through, and for one hold they never overlap.

    An id has one life: once over, however it ended, it cannot begin again. That also goes for an `end` that came
    before its `begin`, since a request that was given up by the asker may still be under way.

    `clock` counts seconds (default: `uptime`), `beat_limit` is what `BEAT_LIMIT` is by default; both for tests.
    """

    def __init__(
        self,
        on_begin: Callable[[str, Message], Awaitable[None] | None],
        on_end: Callable[[str, Message, Why], Awaitable[None] | None],
        *,
        clock: Callable[[], float] = uptime,
        beat_limit: float = BEAT_LIMIT,
    ) -> None:
        self._on_begin = on_begin
        self._on_end = on_end
        self._clock = clock
        self._beat_limit = beat_limit
        self._held: dict[str, _Held] = {}
        self._over: OrderedDict[str, tuple[Why, asyncio.Task[None] | None]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def verbs(self) -> dict[str, Handler]:
        """For `Control`: `begin`, `beat`, `end`, `holds`."""
        return {"begin": self.begin, "beat": self.beat, "end": self.end, "holds": self.holds}

    @property
    def empty(self) -> bool:
        """Nothing is held, and nothing is still being taken back."""
        return not self._held and all(task is None or task.done() for _, task in self._over.values())

    async def begin(self, request: Message) -> Message:
        """`{id, run, seconds, effect}` -> `{again}`. The same id again changes nothing but counts as a heartbeat
        (`again` is true); with another effect or run it is refused."""
        key, run = _text(request, "id"), _text(request, "run")
        seconds, effect = _seconds(request), request.get("effect", {})
        if not isinstance(effect, dict):
            raise RequestRefused(f"`effect` is an object, not {effect!r:.60}")
        if key in self._over:
            raise RequestRefused(f"{key} is over ({self._over[key][0]}) and cannot begin again")
        now = self._clock()
        held = self._held.get(key)
        if held is not None and (held.effect, held.run) != (effect, run):
            raise RequestRefused(f"{key} is in force already, with another effect or run")
        if held is None:
            held = self._held[key] = _Held(key, run, effect, now + seconds, now)
            self._watch()
        held.beat = now
        return {"again": not await self._put_in_force(held)}

    async def _put_in_force(self, held: _Held) -> bool:
        async with held.turn:
            if held.began:
                return False
            if self._held.get(held.id) is not held:
                raise RequestRefused(f"{held.id} ended before it began")
            try:
                await _through(self._on_begin(held.id, held.effect))
            except BaseException:
                self._held.pop(held.id, None)
                raise
            held.began = True
            return True

    async def beat(self, request: Message) -> Message:
        """`{run}` -> `{count}`: how many holds of this run are in force, each of them refreshed."""
        return {"count": self.beat_now(_text(request, "run"))}

    def beat_now(self, run: str) -> int:
        """A heartbeat of this run; how many holds it refreshed."""
        now, count = self._clock(), 0
        self.expire()  # what is overdue stays over, even if the beat came before the look
        for held in self._held.values():
            if held.run == run:
                held.beat = now
                count += 1
        return count

    def end_all(self) -> None:
        """End everything, as by `end`, without waiting for it."""
        for key in list(self._held):
            self._finish(key, "ended")

    async def end(self, request: Message) -> Message:
        """`{id}` -> `{why}`: it is over and taken back when this answers; `why` tells how it ended the first time.
        An id that never began is answered the same way."""
        key = _text(request, "id")
        self._finish(key, "ended")
        why, task = self._over[key]
        if task is not None:
            await asyncio.shield(task)
        return {"why": why}

    async def holds(self, request: Message) -> Message:
        """`{}` -> `{holds: [{id, run, effect, seconds_left, seconds_since_beat}], over: {id: why}}`."""
        now = self._clock()
        listed = [
            {
                "id": held.id,
                "run": held.run,
                "effect": held.effect,
                "seconds_left": round(held.ends - now, 3),
                "seconds_since_beat": round(now - held.beat, 3),
            }
            for held in self._held.values()
        ]
        lately = list(self._over.items())[-100:]
        return {"holds": listed, "over": {key: why for key, (why, _) in lately}}

    def expire(self) -> None:
        """End what is over by the clock. Called every `TICK` while anything is held."""
        now = self._clock()
        for held in list(self._held.values()):
            if now >= held.ends:
                self._finish(held.id, "deadline")
            elif now - held.beat >= self._beat_limit:
                self._finish(held.id, "heartbeat")

    async def settled(self) -> None:
        """Wait until everything that has ended has been taken back; raises what `on_end` raised."""
        for _, task in list(self._over.values()):
            if task is not None:
                await asyncio.shield(task)

    async def close(self) -> None:
        """End everything, as by `end`, and wait until it is taken back."""
        self.end_all()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.settled()

    def _finish(self, key: str, why: Why) -> None:
        if key in self._over:
            return
        held = self._held.pop(key, None)
        task = None if held is None else asyncio.get_running_loop().create_task(self._take_back(held, why))
        self._over[key] = (why, task)
        while len(self._over) > REMEMBERED:
            oldest = next(iter(self._over.values()))[1]
            if oldest is not None and not oldest.done():
                break
            self._over.popitem(last=False)

    async def _take_back(self, held: _Held, why: Why) -> None:
        async with held.turn:
            if held.began:
                await _through(self._on_end(held.id, held.effect, why))

    def _watch(self) -> None:
        if self._timer is None:
            self._look()

    def _look(self) -> None:
        self._timer = None
        self.expire()
        if self._held:
            now = self._clock()
            due = min(min(held.ends, held.beat + self._beat_limit) for held in self._held.values())
            wait = min(TICK, max(0.001, due - now))
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)


async def answered(verbs: Mapping[str, Handler], request: Message) -> Message:
    """What the handler for a request's `do` answers. A refusal, and that nobody understands it, are answers too."""
    handler = verbs.get(str(request.get("do")))
    if handler is None:
        known = ", ".join(sorted(verbs))
        return {"ok": False, "error": f"unknown request {request.get('do')!r:.60}; known: {known}"}
    try:
        reply = handler(request)
        if inspect.isawaitable(reply):
            reply = await reply
    except ControlError as refusal:
        return {"ok": False, "error": str(refusal)}
    except (ValueError, LookupError, TypeError, ArithmeticError, OSError) as problem:
        return {"ok": False, "error": f"{type(problem).__name__}: {problem}"}
    return {"ok": True, **reply}


async def _through(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result


def _text(request: Message, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 500:
        raise RequestRefused(f"`{key}` is a text of 1 to 500 characters, not {value!r:.60}")
    return value


def _seconds(request: Message) -> float:
    value = request.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise RequestRefused(f"`seconds` is a number above 0, not {value!r:.60}")
    return float(min(value, 1e9))
