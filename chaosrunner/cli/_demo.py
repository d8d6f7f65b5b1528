"""One run of the demo: starts the shop, plays the experiments, ends the shop, whatever happens."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from chaosrunner.app import Order, RunReport, run_experiment, who
from chaosrunner.cli import _demo_words as words
from chaosrunner.cli import terms
from chaosrunner.cli._showing import view
from chaosrunner.clock import SystemClock
from chaosrunner.demo.acts import Act, acts_of
from chaosrunner.demo.stage import Stage
from chaosrunner.engine.stop import Stop
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import Ending, State
from chaosrunner.register import open_register, register_exists

T = TypeVar("T")

CLASS = "demo"
"""Of the shop's environments; the demo touches no near miss of another."""


class _Halted(Exception):
    """Somebody asked the demo to stop."""


class Demo:
    """One demo, from the shop's start to its end."""

    def __init__(self, state: Path, only: Sequence[str], *, fixed: bool, keep: bool, plain: bool) -> None:
        self._state = state
        self._only = only
        self._fixed = fixed
        self._keep = keep
        self._plain = plain
        self._clock = SystemClock()
        self._halt = asyncio.Event()
        self._stop: Stop | None = None
        """Of the run under way."""

    async def run(self) -> int:
        """Everything; the exit code."""
        began = self._clock.monotonic()
        stage = Stage(self._state, fixed=self._fixed, clock=self._clock)
        code = 6
        with self._signals():
            try:
                code = await self._on(stage)
            except _Halted:
                terms.say("\nInterrupted.")
            finally:
                kept = self._keep and code != 6
                await stage.close(keep=kept)
        terms.say(words.closing(self._clock.monotonic() - began, kept=kept))
        return code

    async def _on(self, stage: Stage) -> int:
        began = self._clock.monotonic()
        acts = acts_of(self._only)
        terms.say(words.opening(fixed=self._fixed))
        await self._unless_halted(stage.open(terms.warn))
        terms.say(words.shop_is_up(stage, self._clock.monotonic() - began))
        if self._fixed:
            terms.say(words.fixes(self._name_fixes(acts)))
        played: list[tuple[Act, RunReport]] = []
        for number, act in enumerate(acts, 1):
            terms.say(words.heading(number, len(acts), act))
            played.append((act, await self._play(act, stage)))
            terms.say(words.outcome(played[-1][1]))
        ending = words.Ending(self._state, stage.layout, fixed=self._fixed, kept=self._keep)
        terms.say(ending.text(played, self._near_misses()))
        return ending.exit_code(played, self._near_misses())

    async def _play(self, act: Act, stage: Stage) -> RunReport:
        """Run one experiment; once more if nothing could be told, which a busy machine may bring about."""
        report = await self._run(act, stage)
        if report.verdict.exit_code in (3, 5):
            terms.say(words.once_more(report))
            report = await self._run(act, stage)
        return report

    async def _run(self, act: Act, stage: Stage) -> RunReport:
        self._raise_if_halted()
        self._stop = Stop()
        order = Order(
            experiment=str(stage.layout.folder / act.file), environment=str(stage.environment), state=self._state
        )
        try:
            with view(plain=self._plain) as observe:
                report = await run_experiment(order, [observe], terms.warn, self._stop)
        finally:
            self._stop = None
        self._raise_if_halted()
        if report.verdict.exit_code == 6:  # `chaosrunner halt`, from elsewhere
            raise _Halted
        return report

    # -- near misses

    def _near_misses(self) -> Sequence[NearMiss]:
        """All of the demo, the closed ones too."""
        from chaosrunner.register.near_misses import Wanted

        if not register_exists(self._state):
            return []
        with open_register(self._state, self._clock) as register:
            return register.list(Wanted(environment_class=CLASS, closed=True))

    def _name_fixes(self, acts: Sequence[Act]) -> Sequence[NearMiss]:
        """Say of each near miss of the demo that waits for its fix that the repaired shop is the fix."""
        repairs = {act.name: act.repair for act in acts if act.repair}
        waiting = (State.OPEN, State.TRIAGED, State.IN_PROGRESS, State.NEEDS_INFO)
        named = []
        for near_miss in [each for each in self._near_misses() if each.state in waiting]:
            repair = next((repairs[name] for name in near_miss.experiments if name in repairs), "")
            if repair:
                fix = f"shop --fixed: {repair}"
                change = Change(to=State.FIX_READY, actor=who(), at=self._clock.now(), change=fix)
                with open_register(self._state, self._clock) as register:
                    named.append(register.change(near_miss.id, change))
        return named

    # -- signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals only ask: what is under way ends in order, then the shop does, however often they come."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._ask_to_halt, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _ask_to_halt(self, number: signal.Signals) -> None:
        first = not self._halt.is_set()
        self._halt.set()
        if self._stop is not None:
            self._stop.now(Ending.HALTED, signal.Signals(number).name)
        terms.warn("stopping: taking faults back and ending the shop" if first else "still ending; please wait")

    def _raise_if_halted(self) -> None:
        if self._halt.is_set():
            raise _Halted

    async def _unless_halted(self, doing: Awaitable[T]) -> T:
        """Wait for it, or cancel it when somebody asks to stop."""
        task = asyncio.ensure_future(doing)
        halted = asyncio.ensure_future(self._halt.wait())
        await asyncio.wait({task, halted}, return_when=asyncio.FIRST_COMPLETED)
        halted.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        raise _Halted
