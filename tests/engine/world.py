"""A small system that behaves: services with latencies, a platform that finds them, faults that really slow them down,
and probes that read what is so. Everything of it can be told to misbehave in a named way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from chaosrunner.engine.following import Joining
from chaosrunner.engine.means import Limits
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import FaultFailed, NoAnswer, NoReading, NotPossibleNow, UndoFailed
from chaosrunner.judging.reading import Reading
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import BaselineSpec, RecoverySpec, Selector
from chaosrunner.model.frozen import JsonObject, Parameters
from chaosrunner.model.journal import Entry, RunStarted
from chaosrunner.model.plan import Plan, PlannedFault, PlannedHypothesis, PlannedItem, PlannedMeasure
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Tolerance, Value
from chaosrunner.model.verdict import Verdict
from chaosrunner.ports import Fault, Platform, Probe, Selection, Sighting
from chaosrunner.stages.judge import judge
from chaosrunner.stages.run import AskAgain, RunOutcome, Setting, run
from chaosrunner.store.journal import Journal, read_journal
from chaosrunner.store.machine import Machine
from tests.virtual_time import VirtualClock, run_virtually

ENVIRONMENT = Environment.model_validate(
    {
        "apiVersion": "chaosrunner.dev/v1",
        "kind": "Environment",
        "metadata": {"name": "test"},
        "spec": {"platform": {"fake": {}}},
    }
)


@dataclass
class System:
    """What is broken and measured."""

    latency: float = 0.1
    slow: dict[str, float] = field(default_factory=dict)
    """Delay that each hold adds, by hold id."""
    gone: set[str] = field(default_factory=set)
    """Targets that went away."""
    restarted: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    """What was done to it, in order."""

    @property
    def reads(self) -> float:
        return self.latency + sum(self.slow.values())


class FakePlatform(Platform):
    """Finds `fake:1`, `fake:2`, …; sees other services restart."""

    kind = "fake"
    Spec = Parameters
    follows = True

    def __init__(self, system: System) -> None:
        self.system = system
        self.opened = 0
        self.closed = 0
        self.appeared: asyncio.Queue[Target | NotPossibleNow] = asyncio.Queue()
        self.alive: Callable[[], bool] = lambda: True

    async def find(self, selector: Selector) -> Selection:
        return Selection([target(1)])

    def comes(self, target: Target) -> None:
        """A target appears."""
        self.appeared.put_nowait(target)

    def breaks(self, why: str) -> None:
        """From now on it cannot be told what appears."""
        self.appeared.put_nowait(NotPossibleNow(why))

    async def appearing(
        self, selector: Selector, acts_on: Set[str], besides: Sequence[Target] | None = None
    ) -> AsyncIterator[Target]:
        while True:
            target = await self.appeared.get()
            if isinstance(target, NotPossibleNow):
                raise target
            yield target

    async def gone(self, target: Target) -> str:
        return "its process exited" if target.id in self.system.gone else ""

    async def open(self, run: str, alive: Callable[[], bool]) -> None:
        self.opened += 1
        self.alive = alive

    async def close(self) -> None:
        self.closed += 1

    async def observe(self, targets: Sequence[Target]) -> Mapping[str, str]:
        if "other" in {target.service for target in targets}:
            return {}
        return {"other": "restarted" if "other" in self.system.restarted else "up"}


class SlowParams(Parameters):
    delay: float = 0.5


Hook = Callable[["SlowFault"], Any]


class SlowFault(Fault[SlowParams]):
    """Makes the system slower."""

    platforms = frozenset({"fake"})
    acts_on = frozenset({"process"})
    fault_class = "dependency-slow"
    system: ClassVar[System]
    hooks: ClassVar[dict[str, Hook]]

    @classmethod
    def does(cls, params: SlowParams) -> str:
        return "slows it down"

    @classmethod
    def undoes(cls, params: SlowParams) -> str:
        return "makes it quick again"

    async def _hook(self, name: str) -> None:
        self.system.log.append(f"{name} {self.target.name}")
        if name in self.hooks:
            result = self.hooks[name](self)
            if asyncio.iscoroutine(result):
                await result

    async def prepare(self) -> JsonObject:
        await self._hook("prepare")
        return {"was": self.system.latency}

    async def inject(self) -> None:
        await self._hook("inject")
        self.system.slow.setdefault(self.hold.id, self.params.delay)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        if "confirm" in self.hooks:
            answer = self.hooks["confirm"](self)
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer is not None:
                return answer  # type: ignore[no-any-return]
        await asyncio.sleep(0.01)
        return Sighting(self.hold.id in self.system.slow, f"{self.system.reads:g} s")

    async def touched(self) -> int | None:
        await self._hook("touched")
        return 7

    async def undo(self, prepared: JsonObject) -> None:
        await self._hook("undo")
        self.system.slow.pop(self.hold.id, None)

    def by_hand(self, prepared: JsonObject) -> Sequence[str]:
        return (f"make-quick {self.target.name}",)


class NoParams(Parameters):
    pass


class LatencyProbe(Probe[NoParams]):
    """Reads the system's latency, after a round trip."""

    answers = True
    system: ClassVar[System]
    hook: ClassVar[Callable[[], Any] | None] = None

    async def read(self) -> Value:
        await asyncio.sleep(0.005)
        if type(self).hook is not None:
            answer = type(self).hook()  # type: ignore[misc]
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer is not None:
                return answer  # type: ignore[no-any-return]
        return self.system.reads


def target(number: int) -> Target:
    return Target(kind="process", id=f"fake:{number}", name=f"shop-{number}", service="shop")


def measure(**changes: Any) -> PlannedMeasure:
    """Latency at most 300 ms, read every 100 ms."""
    good: dict[str, Any] = {
        "key": "shop-slo/latency",
        "hypothesis": "shop-slo",
        "name": "latency",
        "probe": "fake",
        "tolerance": Tolerance.model_validate({"atMost": "300ms"}),
        "unit": "s",
        "every": "100ms",
        "timeout": "1s",
        "lag": "0s",
    }
    return PlannedMeasure.model_validate(good | changes)


def fault(**changes: Any) -> PlannedFault:
    """Slower by half a second for ten seconds."""
    good: dict[str, Any] = {
        "id": "slow",
        "fault": "slow",
        "params": {"delay": 0.5},
        "targets": (target(1),),
        "candidates": 1,
        "lasts": "10s",
        "fault_class": "dependency-slow",
        "does": "slows it down",
        "undo": "makes it quick again",
    }
    return PlannedFault.model_validate(good | changes)


def plan(*, measures: Sequence[PlannedMeasure] = (), method: Sequence[PlannedItem] = (), **changes: Any) -> Plan:
    good: dict[str, Any] = {
        "experiment": "shop-when-slow",
        "title": "The shop stays quick",
        "service": "shop",
        "environment": ENVIRONMENT,
        "seed": 1,
        "hypotheses": (
            PlannedHypothesis(name="shop-slo", title="The shop is quick", measures=tuple(measures or [measure()])),
        ),
        "baseline": BaselineSpec.model_validate({"for": "2s", "within": "6s"}),
        "method": tuple(method or [PlannedItem(faults=(fault(),))]),
        "recovery": RecoverySpec.model_validate({"within": "10s", "holds": "1s"}),
    }
    return Plan.model_validate(good | changes)


@dataclass
class World:
    """One run on one small system; change what you like, then `go`."""

    folder: Path
    plan: Plan = field(default_factory=plan)
    system: System = field(default_factory=System)
    hooks: dict[str, Hook] = field(default_factory=dict)
    fault_methods: dict[str, Any] = field(default_factory=dict)
    """Methods of the fault that this world has otherwise."""
    probe: Callable[[], Any] | None = None
    stop: Stop | None = None
    at: dict[float, Callable[[World], Any]] = field(default_factory=dict)
    """What happens when, in seconds after the start."""
    limits: Limits = field(default_factory=Limits)
    halt_file: Path | None = None
    make_journal: Callable[..., Journal] | None = None
    ask_again: AskAgain | None = None
    may_join: Joining | None = None
    strays: bool = False
    """Whether something that does not listen to its cancellation is part of the test."""
    run_id: str = "20261122-100000-abcdef"
    clock: VirtualClock = field(default_factory=VirtualClock)
    entries: list[Entry] = field(default_factory=list)
    on_entry: Callable[[Entry], None] | None = None

    step_value: Any = None
    """What a step of the method that reads gets: a value, an error, or `hang`."""
    elsewhere: list[Target] = field(default_factory=list)
    """Targets of other runs of the same command."""

    def __post_init__(self) -> None:
        self.machine = Machine(self.folder / "machine")
        self.platform = FakePlatform(self.system)

    @property
    def fault_plugin(self) -> type[SlowFault]:
        bound = {"__doc__": "Bound.", "system": self.system, "hooks": self.hooks}
        return type("BoundFault", (SlowFault,), bound | self.fault_methods)

    def go(self) -> RunOutcome:
        return run_virtually(self._go(), strays=self.strays)

    async def _go(self) -> RunOutcome:
        self.stop = self.stop or Stop()
        events = [asyncio.ensure_future(self._later(when, what)) for when, what in self.at.items()]
        try:
            return await run(self.plan, self._identity(), self._setting())
        finally:
            for event in events:
                event.cancel()
            await asyncio.gather(*events, return_exceptions=True)

    async def _later(self, when: float, what: Callable[[World], Any]) -> None:
        await asyncio.sleep(when)
        result = what(self)
        if asyncio.iscoroutine(result):
            await result

    def _identity(self) -> RunStarted:
        return RunStarted(
            run=self.run_id, plan=self.plan, who="ana", host="here", pid=1, folder=".", versions={"chaosrunner": "0"}
        )

    def _setting(self) -> Setting:
        probe = type("BoundProbe", (LatencyProbe,), {"system": self.system, "hook": staticmethod(self._read)})
        return Setting(
            folder=self.folder / "runs" / self.run_id,
            platform=self.platform,
            machine=self.machine,
            clock=self.clock,
            stop=self.stop or Stop(),
            find_fault=lambda kind: {"slow": self.fault_plugin}[kind],
            make_probes=lambda load: [(measure, probe(NoParams(), None)) for measure in self.plan.measures],  # type: ignore[arg-type]
            make_load=lambda spec, sample: None,  # type: ignore[arg-type,return-value]
            observers=[self._observe],
            halt_file=self.halt_file,
            limits=self.limits,
            make_journal=self.make_journal or journal_without_threads,
            ask_again=self.ask_again,
            may_join=self.may_join,
            elsewhere=lambda: self.elsewhere,
            make_probe=lambda measure, load: self._step_probe(),
            find_probe=lambda kind: LatencyProbe,
        )

    def _step_probe(self) -> LatencyProbe:
        async def read() -> Any:
            if isinstance(self.step_value, Exception):
                raise self.step_value
            if self.step_value == "hang":
                await asyncio.sleep(1000.0)
            return self.step_value

        bound = type("StepProbe", (LatencyProbe,), {"system": self.system, "hook": staticmethod(read)})
        return bound(NoParams(), None)  # type: ignore[arg-type]

    def _read(self) -> Any:
        return self.probe() if self.probe is not None else None

    def _observe(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self.on_entry is not None:
            self.on_entry(entry)

    # -- afterwards

    @property
    def journal(self) -> Path:
        return self.folder / "runs" / self.run_id / "journal.jsonl"

    def verdict(self) -> Verdict:
        return judge(read_journal(self.journal))

    def of(self, kind: type[Any]) -> list[Any]:
        return [entry.event for entry in self.entries if isinstance(entry.event, kind)]

    def t_of(self, kind: type[Any]) -> float:
        return next(entry.t for entry in self.entries if isinstance(entry.event, kind))


async def _fsync_now(descriptor: int) -> None:
    """Nothing to wait for on virtual time."""


def journal_without_threads(path: Path, clock: VirtualClock) -> Journal:
    return Journal(path, clock, fsync=_fsync_now)


__all__ = [
    "FaultFailed",
    "NoAnswer",
    "NoReading",
    "Reading",
    "UndoFailed",
    "World",
    "fault",
    "measure",
    "plan",
    "replace",
]
