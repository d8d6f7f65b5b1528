"""`chaosrunner demo`: a shop on this machine is broken, near misses are found, and a fix is proved."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app import RunReport
    from chaosrunner.demo.acts import Act
    from chaosrunner.demo.stage import Stage
    from chaosrunner.engine.stop import Stop
    from chaosrunner.model.near_miss import NearMiss

T = TypeVar("T")

CLASS = "demo"
"""Of the shop's environments; the demo touches no near miss of another."""


@click.command()
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--fixed", is_flag=True, help="Run the repaired shop, and see the near misses being verified.")
@click.option("--keep", is_flag=True, help="Leave the shop running afterwards, to try things by hand.")
@click.option("--plain", is_flag=True, help="Plain lines, also on a terminal.")
@click.pass_obj
def command(settings: terms.Settings, experiments: tuple[str, ...], fixed: bool, keep: bool, plain: bool) -> None:
    """Break a small shop on this machine, and see what comes out: near misses, remediation items, reports.

    Starts six services as processes of this machine, runs the experiments of STATE/demo/experiments against them
    under load, and ends them again. With --fixed the same experiments meet the repaired shop, and the near misses
    that the first demo found are verified. Takes less than a minute, and needs no root. Names of experiments: only
    these.

    \b
    Exit codes: 0 the demo showed what it should · 1 the repaired shop showed a gap
    3 something was inconclusive, or not shown · 6 interrupted · 7 an undo failed
    """
    demo = _Demo(settings.state, experiments, fixed=fixed, keep=keep, plain=plain)
    terms.leave(terms.wait_for(demo.run()))


class _Halted(Exception):
    """Somebody asked the demo to stop."""


class _Demo:
    """One demo, from the shop's start to its end."""

    def __init__(self, state: Path, only: Sequence[str], *, fixed: bool, keep: bool, plain: bool) -> None:
        self._state = state
        self._only = only
        self._fixed = fixed
        self._keep = keep
        self._plain = plain
        self._halt = asyncio.Event()
        self._stop: Stop | None = None
        """Of the run under way."""

    async def run(self) -> int:
        """Everything; the exit code."""
        from chaosrunner.clock import SystemClock
        from chaosrunner.demo.stage import Stage

        stage = Stage(self._state, fixed=self._fixed, clock=SystemClock())
        with self._signals():
            ended = False
            try:
                code = await self._on(stage)
                ended = True
            except _Halted:
                code = 6
            finally:
                await stage.close(keep=self._keep and ended)
        if code == 6:
            terms.warn("interrupted; the shop is ended, and nothing is left running")
        return code

    async def _on(self, stage: Stage) -> int:
        from chaosrunner.cli import _demo_words as words
        from chaosrunner.clock import SystemClock
        from chaosrunner.demo.acts import acts_of

        now = SystemClock().monotonic
        began = now()
        acts = acts_of(self._only)
        terms.say(words.opening(fixed=self._fixed))
        await self._unless_halted(stage.open(terms.warn))
        terms.say(words.shop_is_up(stage, now() - began))
        if self._fixed:
            terms.say(words.fixes(self._name_fixes(acts)))
        played: list[tuple[Act, RunReport]] = []
        for number, act in enumerate(acts, 1):
            terms.say(words.heading(number, len(acts), act))
            played.append((act, await self._play(act, stage)))
            terms.say(words.outcome(played[-1][1]))
        ending = words.Ending(self._state, stage.layout, fixed=self._fixed, kept=self._keep, seconds=now() - began)
        terms.say(ending.text(played, self._near_misses()))
        return ending.exit_code(played, self._near_misses())

    async def _play(self, act: Act, stage: Stage) -> RunReport:
        """Run one experiment; once more if nothing could be told, which a busy machine may bring about."""
        from chaosrunner.cli import _demo_words as words

        report = await self._run(act, stage)
        if report.verdict.exit_code in (3, 5):
            terms.say(words.once_more(report))
            report = await self._run(act, stage)
        return report

    async def _run(self, act: Act, stage: Stage) -> RunReport:
        from chaosrunner.app import Order, run_experiment
        from chaosrunner.cli._showing import view
        from chaosrunner.engine.stop import Stop

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
        from chaosrunner.clock import SystemClock
        from chaosrunner.register import open_register, register_exists
        from chaosrunner.register.near_misses import Wanted

        if not register_exists(self._state):
            return []
        with open_register(self._state, SystemClock()) as register:
            return register.list(Wanted(environment_class=CLASS, closed=True))

    def _name_fixes(self, acts: Sequence[Act]) -> Sequence[NearMiss]:
        """Say of each near miss of the demo that waits for its fix that the repaired shop is the fix."""
        from chaosrunner.app import who
        from chaosrunner.clock import SystemClock
        from chaosrunner.model.life_cycle import Change
        from chaosrunner.model.words import State
        from chaosrunner.register import open_register

        repairs = {act.name: act.repair for act in acts}
        waiting = (State.OPEN, State.TRIAGED, State.IN_PROGRESS, State.NEEDS_INFO)
        clock = SystemClock()
        named = []
        for near_miss in [each for each in self._near_misses() if each.state in waiting]:
            repair = next((repairs[name] for name in near_miss.experiments if repairs.get(name)), "the repaired shop")
            change = Change(to=State.FIX_READY, actor=who(), at=clock.now(), change=f"shop --fixed: {repair}")
            with open_register(self._state, clock) as register:
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
        from chaosrunner.model.words import Ending

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
