"""The injector that runs beside a pod's containers, in an ephemeral container, and holds the faults of one run there.

    python -m chaosrunner.injector.pod --run RUN --seconds LIFETIME
    python -m chaosrunner.injector.pod --version

It does nothing until it is told to. Requests come as lines of JSON on standard input, answers go as lines of JSON to
standard output; a request's `n` (any JSON value) comes back in its answer:

    {"n": 1, "do": "begin", "id": "R1.slow.0", "run": "R1", "seconds": 60, "effect": {"kind": "traffic", ...}}
    {"n": 1, "ok": true, "again": false, "mode": "proxy", "table": "chaosrunner_…", "owned": true, "established": 2}
    {"n": 2, "do": "nonsense"}
    {"n": 2, "ok": false, "error": "unknown request 'nonsense'; known: …"}

`begin` (with its `seconds`), `beat {run}`, `end {id}` and `holds` are those of `chaosrunner.injector.holds`: no beat
for 5 s, or the deadline, ends a hold; an id has one life. `run` must be the run of the command line. Beside them:

* `begin` also answers what there is to say: `mode` (`proxy`, `netem`, `rules`: by nftables alone), `table` (its name in
  nftables), `owned` (the kernel removes it when this process ends, however that comes about), `established` (open
  connections that matched at the beginning), `broken` (those of them that were broken), `notes` (texts).
* `end {id}` -> `{why, taken_back: true, removed: [...], carried, met, ...}` when it was taken back and seen to be gone.
  An id that this process never held is looked for among what a killed injector left, and removed.
* `met {id}` -> `{met, unit, ...}`: what met it, `unit` being connections, packets, queries or requests. Looks that
  carry the mark 0x6369 are not counted.
* `update {id, to: [...]}` replaces the destinations of a traffic effect in force.
* `left {}` -> `{left: [{table, run, hold, mine}]}`: rules of ours in this network namespace; `mine`: this process
  holds them. `run` and `hold` are tags (`nft.tag`), not ids.
* `sweep {all}` -> `{removed: [...], failed: {name: why}}` removes what killed injectors of this run left; `all`: of any
  run.
* `stats {}` -> `{pid, version, run, seconds, seconds_left, carried, in_force, faults: {id: …}}`; the first thing that a
  runner should ask for: the container may have said hello long before it was attached to.
* `bye {}` takes everything back, answers, and ends the process with 0.

Lines without `n` are events: `{"event": "ready", "version", "run"}` at the start, `{"event": "ended", "id", "why",
"taken_back", ...}` whenever a hold is over, `{"event": "vanished", "id", "words"}` when the rules of a hold are no
longer there although nobody took them back, `{"event": "over", "why"}` last. A line that is no request (half of one,
after a broken channel) is answered with `ok: false` and otherwise ignored; empty lines are ignored. Channels may break
and come back: only missing beats end a fault. At the end of standard input nothing more can come, so the process ends
as soon as nothing is held any more.

It takes everything back and ends with 0 at the end of its lifetime, on SIGTERM and on SIGINT. When it is killed by
SIGKILL, the kernel removes its rules (`owned`) and diverted connections break.

Standard library only.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # asyncio does without, and starts faster

import argparse
import asyncio
import contextlib
import inspect
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Protocol

from chaosrunner import __version__
from chaosrunner.injector import nft
from chaosrunner.injector.calls import ControlError, Message, RequestRefused
from chaosrunner.injector.holds import BEAT_LIMIT, Handler, Holds, Why, uptime
from chaosrunner.injector.lines import Lines
from chaosrunner.injector.timing import new_loop
from chaosrunner.injector.traffic import Ground, Traffic

__all__ = ["Injector", "main"]

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
        handler = self.verbs().get(str(request.get("do")))
        if handler is None:
            known = ", ".join(sorted(self.verbs()))
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

    async def close(self) -> None:
        """Take everything back."""
        with contextlib.suppress(RequestRefused):  # said already; what cannot be removed goes with this process
            await self._holds.close()
        for task in self._retrying.values():
            task.cancel()
        await asyncio.gather(*self._retrying.values(), return_exceptions=True)
        self.ground.close()

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
        raise RequestRefused(f"unknown kind of effect {kind!r:.60}; known: traffic")

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
            return {**reply, "taken_back": True, "removed": self._remove_left(key)}
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

    def left(self, request: Message) -> Message:
        """Rules of ours that there are in this network namespace."""
        return {"left": [self._about(table) for table in self.ground.nft.tables()]}

    def _about(self, table: str) -> Message:
        run, _, hold = table.removeprefix(nft.PREFIX).partition("_")
        mine = table in {nft.table_name(self.run, key) for key in self._faults}
        return {"table": table, "run": run, "hold": hold, "mine": mine or table == self.ground.carry_table_in_use}

    def sweep(self, request: Message) -> Message:
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
        return {"removed": removed, "failed": failed}

    def _remove_left(self, key: str) -> list[str]:
        try:
            tables = [table for table in self.ground.nft.tables() if table.endswith(f"_{nft.tag(key)}")]
        except RequestRefused:
            return []  # no rights over the network here: then nobody made rules from this container either
        return [table for table in tables if self.ground.nft.remove(table)]

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


# ---------------------------------------------------------------------------------------------------------- the program


async def serve(injector: Injector, lines: Lines, seconds: float) -> None:
    """The life of an injector: answer until it is over."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, injector.finish, signal.Signals(number).name)
    injector.lifetime = seconds
    tasks = [loop.create_task(work) for work in (injector.watch(), _listen(injector, lines), _until(injector, seconds))]
    lines.say({"event": "ready", "version": __version__, "run": injector.run})
    try:
        await injector.over.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await injector.close()
        lines.say({"event": "over", "why": injector.why})
        await lines.flush()


async def _until(injector: Injector, seconds: float) -> None:
    ends = uptime() + seconds
    while (left := ends - uptime()) > 0:  # noqa: ASYNC110 - this clock goes on while the machine sleeps, timers do not
        await asyncio.sleep(min(1.0, left))
    injector.finish("lifetime")


async def _listen(injector: Injector, lines: Lines) -> None:
    working: set[asyncio.Task[None]] = set()
    async for request in lines:
        task = asyncio.get_running_loop().create_task(_reply(injector, lines, request))
        working.add(task)
        task.add_done_callback(working.discard)
    while not injector.idle or working:  # noqa: ASYNC110 - holds end by many ways, and this is the end of everything
        await asyncio.sleep(0.1)
    injector.finish("end of input")


async def _reply(injector: Injector, lines: Lines, request: Message | str) -> None:
    if isinstance(request, str):
        lines.say({"ok": False, "error": request})
        return
    number: Mapping[str, object] = {"n": request["n"]} if "n" in request else {}
    lines.say({**number, **await injector.answer(request)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until it is over; the exit code."""
    parser = argparse.ArgumentParser(prog="chaosrunner.injector.pod", description="Holds one run's faults in a pod.")
    parser.add_argument("--run", required=True, help="the run that it works for")
    parser.add_argument("--seconds", required=True, type=float, help="its lifetime")
    parser.add_argument("--version", action="version", version=__version__)
    given = parser.parse_args(arguments)
    limit = min(BEAT_LIMIT, float(os.environ.get("CHAOSRUNNER_BEAT_LIMIT") or BEAT_LIMIT))  # shorter in tests

    async def life() -> None:
        lines = Lines(0, 1)
        await serve(Injector(given.run, lines, beat_limit=limit), lines, given.seconds)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(life())
    return 0


if __name__ == "__main__":
    sys.exit(main())
