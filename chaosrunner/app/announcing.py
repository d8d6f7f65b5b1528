"""Tells notifiers of a run while it goes on, from a thread of its own.

A run is never held up by it: what there is to tell is put down in a moment, and a notifier that hangs, blocks its
thread or fails changes no verdict and delays no undo. At the end, when everything is undone and written down, they have
a moment to finish.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from chaosrunner import catalog
from chaosrunner.app.desk import Desk
from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.gap import Gap
from chaosrunner.model.journal import Entry, RunEnded
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import Verdict
from chaosrunner.ports import Messenger, Notifier, ProbeContext
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.stages.announce import Announcing

TAKES = 15.0
"""Seconds that one notifier has for one event."""
GRACE = 10.0
"""Seconds that all have to finish after the run."""
_LOOK = 0.02


Make = Callable[[ProbeContext], Notifier[Any]]


def _named(plan: Plan) -> dict[str, Make]:
    """Those of the environment, by kind; of several of one kind the later ones are numbered."""
    found: dict[str, Make] = {}
    for call in plan.environment.spec.notify:
        plugin: type[Notifier[Any]] = catalog.find("notifiers", call.kind)
        if issubclass(plugin, Messenger):
            continue  # told after the run, through the outbox
        name = call.kind if call.kind not in found else f"{call.kind} {len(found) + 1}"
        found[name] = partial(plugin, plugin.Params.model_validate(call.with_))
    return found


class Announcer:
    """All notifiers of one run."""

    def __init__(self, plan: Plan, desk: Desk, makers: Mapping[str, Make] | None = None, grace: float = GRACE) -> None:
        """`makers`: those to tell, by a name for messages; default: those that the environment names. Raises
        `PluginDefect` for a notifier that breaks its contract."""
        self._desk = desk
        self._clock: Clock = desk.clock
        self._folder = Path(plan.folder)
        self._plan = plan
        self._makers = _named(plan) if makers is None else makers
        self._grace = grace
        self._announcing = Announcing()
        self._loop = asyncio.new_event_loop()
        self._events: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._troubles: dict[str, list[str]] = {}
        """By notifier, in the order that they came."""
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
        for kind, troubles in self._troubles.items():
            more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
            self._desk.tell(f"the notifier {kind} was not told of everything: {troubles[0]}{more}")
        if self._thread.is_alive():
            self._desk.tell(f"notifiers were still being told after {self._grace:g} s, and are left to themselves")

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
            context = ProbeContext(
                self._clock, http, self._folder, environment=self._plan.environment, state=self._desk.state
            )
            queues: list[asyncio.Queue[JsonObject | None]] = []
            workers = []
            for name, make in self._makers.items():
                queues.append(asyncio.Queue())
                workers.append(asyncio.ensure_future(self._tell(name, make(context), queues[-1])))
            event: JsonObject | None = {}
            while event is not None:
                event = await self._events.get()
                for queue in queues:
                    queue.put_nowait(event)
            await asyncio.gather(*workers)

    async def _tell(self, kind: str, notifier: Notifier[Any], queue: asyncio.Queue[JsonObject | None]) -> None:
        """One notifier, in the order of events; one that hangs holds up no other."""
        leash = Leash()
        while (event := await queue.get()) is not None:
            asked = await leash.ask(notifier.send(event), TAKES)
            if asked.error is not None:
                self._troubles.setdefault(kind, []).append(asked.trouble)


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
