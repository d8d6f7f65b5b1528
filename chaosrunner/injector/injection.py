"""All that one injector in a pod holds, and its answers to requests; the program around it is `pod`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Protocol

from chaosrunner import __version__
from chaosrunner.injector import nft, packets
from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.fields import only
from chaosrunner.injector.holds import BEAT_LIMIT, Handler, Holds, Why, answered, uptime
from chaosrunner.injector.lines import Lines
from chaosrunner.injector.load import Stress
from chaosrunner.injector.signals import send
from chaosrunner.injector.traffic import Ground, Traffic

__all__ = ["Fault", "Injector"]

TRIES = 3
"""How often taking something back is tried before it is said that it failed; after that once a second."""
RETRY = 1.0
LOOK_EVERY = 2.0
"""Seconds between two looks whether the rules of what is held are still there."""
REMEMBERED = 1000


class Fault(Protocol):
    """What is held. `begin` refuses with `RequestRefused` and has then changed nothing; `end` is idempotent, and raises
    `RequestRefused` if it did not work."""

    async def begin(self) -> Message: ...

    async def end(self) -> Message: ...

    def met(self) -> Message: ...

    def there(self) -> bool: ...


class Signal:
    """A signal that is sent once, and cannot be taken back."""

    def __init__(self, asked: Message) -> None:
        only(asked, {"kind", "signal", "container"}, "a signal effect")
        try:
            self._number = signal.Signals(int(asked["signal"])).value
        except (ValueError, TypeError, KeyError) as problem:
            raise RequestRefused(f"`signal` is a signal's number, not {asked.get('signal')!r:.60}") from problem
        self._container = str(asked.get("container") or "")

    async def begin(self) -> Message:
        """Send it. Refuses where the kernel would drop it."""
        done = send(self._number, self._container)
        if not done["sent"]:
            raise RequestRefused(str(done["words"]))
        return {"mode": "signal", "notes": [done["words"]]}

    async def end(self) -> Message:
        """Nothing to take back."""
        return self.met()

    def met(self) -> Message:
        """It was sent to one process."""
        return {"met": 1, "unit": "processes"}

    def there(self) -> bool:
        """It was sent; that does not change."""
        return True


class Injector:
    """All that one injector holds, and its answers. `say` passes on an event."""

    def __init__(self, run: str, lines: Lines, *, beat_limit: float = BEAT_LIMIT) -> None:
        self.run = run
        self.over = asyncio.Event()
        self.why = ""
        self.ground = Ground(run)
        self._lines = lines
        self._holds = Holds(self._begin, self._end, beat_limit=beat_limit)
        self._faults: dict[str, Fault] = {}
        self._past: dict[str, Message] = {}
        self._said: dict[str, Message] = {}
        self._retrying: dict[str, asyncio.Task[None]] = {}
        self._vanished: set[str] = set()
        self._started = uptime()
        self.lifetime = 0.0

    def beat(self, left: float) -> None:
        """A heartbeat came as a datagram; the sender says how long the run's faults may still last."""
        if left > 0:
            self._holds.beat_now(self.run)
        else:
            self._holds.end_all()

    def verbs(self) -> dict[str, Handler]:
        """What it understands."""
        mine: dict[str, Handler] = {
            "begin": self.begin, "end": self.end, "met": self.met, "update": self.update, "left": self.left,
            "sweep": self.sweep, "stats": self.stats, "bye": self.bye,
        }  # fmt: skip
        return {**self._holds.verbs(), **mine}

    @property
    def idle(self) -> bool:
        """Nothing is held, and nothing is still to be taken back."""
        return self._holds.empty and not self._faults

    async def answer(self, request: Message) -> Message:
        """Do what a request says. Refusals are answers too."""
        return await answered(self.verbs(), request)

    async def close(self) -> None:
        """Take everything back."""
        with contextlib.suppress(RequestRefused):  # said already; what cannot be removed goes with this process
            await self._holds.close()
        for task in self._retrying.values():
            task.cancel()
        await asyncio.gather(*self._retrying.values(), return_exceptions=True)
        await self.ground.close()

    def finish(self, why: str) -> None:
        """End the process, in order."""
        self.why = self.why or why
        self.over.set()

    # ---------------------------------------------------------------------------------------------------- begin and end

    async def begin(self, request: Message) -> Message:
        """See `Holds.begin`; with what there is to say about the fault."""
        if request.get("run") != self.run:
            raise RequestRefused(f"this injector is of run {self.run!r:.60}, not of {request.get('run')!r:.60}")
        reply = await self._holds.begin(request)
        return {**reply, **self._said.get(str(request.get("id")), {})}

    async def _begin(self, key: str, effect: Message) -> None:
        fault = self._fault(key, effect)
        self._said[key] = await fault.begin()
        self._faults[key] = fault

    def _fault(self, key: str, effect: Message) -> Fault:
        kind = effect.get("kind")
        if kind == "traffic":
            return Traffic(key, effect, self.ground)
        if kind == "stress":
            return Stress(effect)
        if kind == "signal":
            return Signal(effect)
        raise RequestRefused(f"unknown kind of effect {kind!r:.60}; known: traffic, stress, signal")

    async def end(self, request: Message) -> Message:
        """See `Holds.end`; answers when it is seen to be gone. Raises `RequestRefused` if that did not work."""
        key = str(request.get("id"))
        held = key in self._faults
        try:
            reply = await self._holds.end(request)
        except RequestRefused:
            if key not in self._faults:
                reply = {"why": "ended"}
            else:
                await self._take_back(key, "ended")
                reply = {"why": "ended"}
        if not held and key not in self._past:
            return {**reply, "taken_back": True, "removed": await self._remove_left(key)}
        return {**reply, **self._past.get(key, {})}

    async def _end(self, key: str, effect: Message, why: Why) -> None:
        for left in range(TRIES - 1, -1, -1):
            try:
                await self._take_back(key, why)
                return
            except RequestRefused as problem:
                if not left:
                    self._lines.say(
                        {"event": "ended", "id": key, "why": why, "taken_back": False, "error": str(problem)}
                    )
                    self._retrying[key] = asyncio.get_running_loop().create_task(self._try_again(key, why))
                    raise
                await asyncio.sleep(0.1)

    async def _take_back(self, key: str, why: str) -> None:
        done = await self._faults[key].end()
        self._faults.pop(key, None)
        self._said.pop(key, None)
        self._past[key] = {"taken_back": True, **done}
        while len(self._past) > REMEMBERED:
            self._past.pop(next(iter(self._past)))
        self._lines.say({"event": "ended", "id": key, "why": why, **self._past[key]})

    async def _try_again(self, key: str, why: str) -> None:
        while key in self._faults:
            await asyncio.sleep(RETRY)
            with contextlib.suppress(RequestRefused):
                await self._take_back(key, why)

    # --------------------------------------------------------------------------------------------------- other requests

    def met(self, request: Message) -> Message:
        """What met a fault that is or was held."""
        key = str(request.get("id"))
        if key in self._faults:
            return self._faults[key].met()
        if key in self._past:
            return {name: value for name, value in self._past[key].items() if name not in ("taken_back", "removed")}
        raise RequestRefused(f"no effect {key!r:.60} is or was in force here")

    def update(self, request: Message) -> Message:
        """Other destinations for a traffic fault."""
        fault = self._faults.get(str(request.get("id")))
        if not isinstance(fault, Traffic):
            raise RequestRefused(f"no traffic effect {request.get('id')!r:.60} is in force here")
        return fault.update(request.get("to"))

    async def left(self, request: Message) -> Message:
        """Rules of ours that there are in this network namespace."""
        mine = self.ground.netem.mine
        shapers = [{"netem": name, "mine": name in mine} for name in await asyncio.to_thread(packets.left)]
        return {"left": [*(self._about(table) for table in self.ground.nft.tables()), *shapers]}

    def _about(self, table: str) -> Message:
        run, _, hold = table.removeprefix(nft.PREFIX).partition("_")
        mine = table in {nft.table_name(self.run, key) for key in self._faults}
        return {"table": table, "run": run, "hold": hold, "mine": mine or table == self.ground.carry_table_in_use}

    async def sweep(self, request: Message) -> Message:
        """Remove what killed injectors left."""
        removed, failed = [], {}
        for table in self.ground.nft.tables():
            about = self._about(table)
            if about["mine"] or not (request.get("all") is True or about["run"] == nft.tag(self.run)):
                continue
            try:
                if self.ground.nft.remove(table):
                    removed.append(table)
            except RequestRefused as problem:
                failed[table] = str(problem)
        if not any(self._about(table)["mine"] is False for table in self.ground.nft.tables()):
            removed += await self._sweep_netem(failed)
        return {"removed": removed, "failed": failed}

    async def _sweep_netem(self, failed: dict[str, str]) -> list[str]:
        """Disciplines and devices that no rules lead to any more."""
        removed = []
        for name in await asyncio.to_thread(packets.left):
            if name not in self.ground.netem.mine:
                try:
                    await asyncio.to_thread(packets.remove_left, name)
                    removed.append(name)
                except RequestRefused as problem:
                    failed[name] = str(problem)
        return removed

    async def _remove_left(self, key: str) -> list[str]:
        try:
            tables = [table for table in self.ground.nft.tables() if table.endswith(f"_{nft.tag(key)}")]
        except RequestRefused:
            return []  # no rights over the network here: then nobody made rules from this container either
        removed = [table for table in tables if self.ground.nft.remove(table)]
        others = [table for table in self.ground.nft.tables() if not self._about(table)["mine"]]
        return removed if others else [*removed, *await self._sweep_netem({})]

    def stats(self, request: Message) -> Message:
        """About this process."""
        now = uptime() - self._started
        return {
            "pid": os.getpid(), "version": __version__, "run": self.run, "seconds": round(now, 3),
            "seconds_left": round(self.lifetime - now, 3), "carried": self.ground.diversion.carried,
            "in_force": sorted(self._faults), "faults": dict(self._said),
        }  # fmt: skip

    async def bye(self, request: Message) -> Message:
        """Take everything back and end."""
        await self._holds.close()
        self.finish("bye")
        return {}

    async def watch(self) -> None:
        """Say it when something is no longer in force although nobody took it back."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for key, fault in list(self._faults.items()):
                if key not in self._vanished and not fault.there():
                    self._vanished.add(key)
                    words = "it is no longer in force: somebody else removed it"
                    self._lines.say({"event": "vanished", "id": key, "words": words})
