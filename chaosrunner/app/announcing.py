"""Tells notifiers of a run while it goes on, from a thread of its own.

A run is never held up by it: what there is to tell is put down in a moment, and a notifier that hangs, blocks its
thread or fails changes no verdict and delays no undo. In that thread it is kept in the outbox before anybody is told:
what could not be told is told by the next run, or by `chaosrunner notify`, with the time at which it happened. At the
end, when everything is undone and written down, they have a moment to finish.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from chaosrunner.app.desk import Desk
from chaosrunner.app.telling import TAKES, Marker, markers_of, tell_all
from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.gap import Gap
from chaosrunner.model.journal import Entry, RunEnded
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import Verdict
from chaosrunner.ports import Notifier, ProbeContext
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.stages.announce import Announcing
from chaosrunner.store.outbox import Outbox

GRACE = 10.0
"""Seconds that all have to finish after the run."""
_LOOK = 0.02


_LATER = "told by the next run, or by `chaosrunner notify`"
_Put = tuple[JsonObject, bool] | None
"""An event and whether it is kept; None: there are no more."""
Make = Callable[[ProbeContext], Notifier[Any]]


class Announcer:
    """All notifiers of one run."""

    def __init__(self, plan: Plan, desk: Desk, makers: Mapping[str, Make] | None = None, grace: float = GRACE) -> None:
        """`makers`: those to tell, by a name for messages; default: those that the environment names. Raises
        `PluginDefect` for a notifier that breaks its contract."""
        self._desk = desk
        self._clock: Clock = desk.clock
        self._folder = Path(plan.folder)
        self._plan = plan
        self._makers = makers
        self._grace = grace
        self._announcing = Announcing()
        self._loop = asyncio.new_event_loop()
        self._events: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._outbox = Outbox(desk.state, desk.clock)
        self._lost: dict[str, list[str]] = {}
        """Why something was not told and never will be: by the notifier's name, in the order that it came."""
        self._delayed: dict[str, str] = {}
        """Why something is to be told later."""
        self._thread = threading.Thread(target=self._work, name="tells notifiers", daemon=True)
        self._thread.start()

    def observe(self, entry: Entry) -> None:
        """Put down what there is to tell."""
        event = self._announcing.of_entry(entry)
        if event is not None:
            self._put(event)

    def catch_up(self, entries: Sequence[Entry]) -> None:
        """Take note of what was told already, and tell the end of a fault phase that nobody saw end."""
        for entry in entries:
            self._announcing.of_entry(entry)
        if (event := self._announcing.of_death(self._clock.now())) is not None:
            self._put(event)

    def conclude(self, verdict: Verdict, gaps: Sequence[Gap], found: Sequence[ShownGap], began: float) -> None:
        """Put down what the run came to. `began`: its wall time."""
        from chaosrunner.stages.figures import near_misses_of, of_run

        figures = of_run(self._plan, verdict, gaps, began)
        try:
            standing = near_misses_of(self._desk.state, self._clock, self._plan)
        except NotPossibleNow:
            standing = None
        for event in self._announcing.of_outcome(verdict, found, figures, standing):
            self._put(event)

    async def close(self) -> None:
        """Let them finish, for a moment; then say what went wrong."""
        self._put(None)
        until = self._clock.monotonic() + self._grace
        while self._thread.is_alive() and self._clock.monotonic() < until:
            await self._clock.sleep(_LOOK)
        for name, troubles in self._lost.items():
            more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
            self._desk.tell(f"the notifier {_kind(name)} was not told of everything: {troubles[0]}{more}")
        for name, trouble in self._delayed.items():
            if waiting := self._waiting(name):
                self._desk.tell(
                    f"the notifier {_kind(name)} was not told of everything: {trouble}; {waiting} to be {_LATER}"
                )
        if self._thread.is_alive():
            self._desk.tell(f"notifiers were still being told after {self._grace:g} s; what is left is {_LATER}")

    def _waiting(self, name: str) -> int:
        """How many it was not told by now, after all."""
        try:
            return self._outbox.waiting(name)
        except NotPossibleNow:
            return 0

    def _put(self, event: JsonObject | None) -> None:
        """Takes no time, whatever the notifiers do."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    # -- in the thread

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._deliver())

    async def _deliver(self) -> None:
        async with Http(self._clock, folder=self._folder) as http:
            told = [(marker, asyncio.Queue[_Put]()) for marker in self._markers(http)]
            workers = [asyncio.ensure_future(self._tell(marker, http, queue)) for marker, queue in told]
            event: JsonObject | None = {}
            while event is not None:
                event = await self._events.get()
                for marker, queue in told:
                    queue.put_nowait(None if event is None else (event, self._keep(event, marker)))
            await asyncio.gather(*workers)

    def _markers(self, http: Http) -> list[Marker]:
        environment = self._plan.environment
        context = ProbeContext(self._clock, http, self._folder, environment=environment, state=self._desk.state)
        if self._makers is None:
            return markers_of(environment, context)
        return [Marker(f"{environment.name}/{name}", make(context)) for name, make in self._makers.items()]

    def _keep(self, event: JsonObject, marker: Marker) -> bool:
        """On disk before it is told; False: it cannot be kept, and is told now or never."""
        try:
            self._outbox.put(marker.name, str(event["id"]), str(event["id"]), event)
        except NotPossibleNow:
            return False
        return True

    async def _tell(self, marker: Marker, http: Http, queue: asyncio.Queue[_Put]) -> None:
        """One notifier, in the order of events; one that hangs holds up no other."""
        leash, desk = Leash(), Desk(self._desk.state, self._clock, http, partial(self._hear, marker.name))
        while (put := await queue.get()) is not None:
            event, kept = put
            if kept:
                try:
                    await tell_all(marker, self._outbox, leash, desk, {marker.name: 0})
                except NotPossibleNow as error:
                    self._hear(marker.name, f"{error}")
                continue
            asked = await leash.ask(marker.messenger.send(event), TAKES)
            if asked.error is not None:
                self._hear(marker.name, f"{marker.name}: {asked.trouble}")

    def _hear(self, name: str, words: str) -> None:
        """What went wrong with one notifier."""
        start, _, why = words.partition(": ")
        if start.endswith("told later"):
            self._delayed.setdefault(name, why)
        else:
            self._lost.setdefault(name, []).append(why or words)


def _kind(name: str) -> str:
    return name.partition("/")[2]


async def announce_dead(
    plan: Plan, entries: Sequence[Entry], verdict: Verdict, found: Sequence[ShownGap], desk: Desk
) -> None:
    """Tell of a run what its runner could not tell any more; one that ended by itself has told it all."""
    if not plan.environment.spec.notify or any(isinstance(entry.event, RunEnded) for entry in entries):
        return
    told = Announcer(plan, desk)
    told.catch_up(entries)
    told.conclude(verdict, [shown.gap for shown in found], found, entries[0].at - entries[0].t)
    await told.close()
