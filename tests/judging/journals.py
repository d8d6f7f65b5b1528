"""A good journal, made of a plan and a script of readings; each test changes one thing.

Timeline (seconds): baseline 0 to 10, fault prepared 10, injected 10.1, in force 10.2, undone 40.3, recovery until 60.
Every measure is read every second at N.02 and takes 50 ms, unless the test says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaosrunner.model import journal as j
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import BaselineSpec, RecoverySpec
from chaosrunner.model.plan import Plan, PlannedFault, PlannedHypothesis, PlannedItem, PlannedMeasure
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Value
from chaosrunner.model.words import Ending, Phase

IN_FORCE, UNDONE, END = 10.2, 40.3, 60.0


@dataclass(frozen=True)
class NoAnswer:
    """A script's word for *no answer*."""

    why: str = "connection refused"


@dataclass(frozen=True)
class Missing:
    """A script's word for *no reading*."""

    why: str = "the metrics server is down"


class Absent:
    """A script's word for a reading of which the journal says nothing at all."""


Said = Value | NoAnswer | Missing | type[Absent]
Script = Callable[[float], Said]
AT_MOST = {"atMost": "200ms"}


def measure(name: str = "p99", hypothesis: str = "slo", **changes: Any) -> PlannedMeasure:
    """A latency that should be at most 200 ms in all phases, read every second."""
    fields: dict[str, Any] = {
        "key": f"{hypothesis}/{name}",
        "hypothesis": hypothesis,
        "name": name,
        "probe": "http",
        "unit": "s",
        "room": "latency",
        "every": "1s",
        "timeout": "1s",
        "lag": "0s",
        "tolerance": AT_MOST,
    }
    return PlannedMeasure.model_validate(fields | changes)


def link(number: int = 1, service: str = "checkout", to: str | None = "payments") -> Target:
    return Target(kind="link", id=f"link:{service}-{number}", name=f"{service}-{number}", service=service, to=to)


def fault(id: str = "slow", targets: Sequence[Target] | None = None, **changes: Any) -> PlannedFault:
    """30 s of latency on one link."""
    fields: dict[str, Any] = {
        "id": id,
        "fault": "network-latency",
        "targets": tuple(targets) if targets is not None else (link(),),
        "candidates": 1,
        "lasts": "30s",
        "fault_class": "dependency-slow",
        "does": "delays",
        "undo": "delays no more",
    }
    return PlannedFault.model_validate(fields | changes)


def plan(
    *measures: PlannedMeasure,
    method: Sequence[PlannedItem] | None = None,
    within: str = "10s",
    holds: str | None = None,
    baseline: Mapping[str, str] | None = None,
) -> Plan:
    """A plan of one hypothesis for each that the measures name."""
    chosen = measures or (measure(),)
    names = list(dict.fromkeys(one.hypothesis for one in chosen))
    return Plan(
        experiment="checkout-when-payments-is-slow",
        title="Checkout keeps its promise while payments is slow",
        service="checkout",
        environment=Environment.model_validate(
            {
                "apiVersion": "chaosrunner.dev/v1",
                "kind": "Environment",
                "metadata": {"name": "laptop"},
                "spec": {"class": "staging", "platform": {"local": {}}},
            }
        ),
        seed=7,
        hypotheses=tuple(
            PlannedHypothesis(
                name=name,
                title=f"{name} is kept",
                measures=tuple(one for one in chosen if one.hypothesis == name),
            )
            for name in names
        ),
        baseline=BaselineSpec.model_validate(baseline or {"for": "9s", "within": "30s"}),
        method=tuple(method) if method is not None else (PlannedItem(faults=(fault(),)),),
        recovery=RecoverySpec.model_validate({"within": within} | ({"holds": holds} if holds else {})),
    )


@dataclass
class Story:
    """What happened in a run; every field can be changed before `entries` writes the journal."""

    plan: Plan = field(default_factory=plan)
    scripts: dict[str, Script] = field(default_factory=dict)
    """By key; a measure without one reads 100 ms."""
    events: list[tuple[float, j.Event]] = field(default_factory=list)
    """The run's own events; by default those of a good run."""
    read_until: float = END
    takes: float = 0.05
    offset: float = 0.02

    def __post_init__(self) -> None:
        if not self.events:
            self.events = good_events(self.plan)

    def without(self, *kinds: type) -> Story:
        """The story without some sorts of events."""
        self.events = [(t, event) for t, event in self.events if not isinstance(event, kinds)]
        return self

    def add(self, t: float, event: j.Event) -> Story:
        """One event more."""
        self.events.append((t, event))
        return self

    def ending(self, ending: Ending, reason: str = "") -> Story:
        """Another end."""
        self.without(j.RunEnded)
        return self.add(END + 0.1, j.RunEnded(ending=ending, reason=reason))

    def cut(self, t: float) -> Story:
        """Nothing more was written from a moment on: the runner died."""
        self.events = [(when, event) for when, event in self.events if when < t]
        self.read_until = t
        return self

    def entries(self) -> list[j.Entry]:
        """The journal."""
        lines = [*self.events, *self.readings()]
        lines.sort(key=lambda line: line[0])
        return [j.Entry(n=n, t=t, at=1_000_000.0 + t, event=event) for n, (t, event) in enumerate(lines, 1)]

    def readings(self) -> list[tuple[float, j.Event]]:
        found: list[tuple[float, j.Event]] = []
        for one in self.plan.measures:
            script = self.scripts.get(one.key, lambda began: 0.1)
            began = self.offset
            while began + self.takes < self.read_until:
                event = reading(one.key, began, began + self.takes, script(began))
                if event is not None:
                    found.append((event.ended, event))
                began = round(began + one.every, 6)
        return found


def reading(key: str, began: float, ended: float, said: Said) -> j.ReadingTaken | None:
    if isinstance(said, NoAnswer):
        return j.ReadingTaken(measure=key, began=began, ended=ended, no_answer=said.why)
    if isinstance(said, Missing):
        return j.ReadingTaken(measure=key, began=began, ended=ended, missing=said.why)
    if isinstance(said, bool | float | int | str):
        return j.ReadingTaken(measure=key, began=began, ended=ended, value=said)
    return None


def started(of: Plan) -> j.RunStarted:
    return j.RunStarted(run="20261122-105103-4f2a9c", plan=of, who="ana", host="h", pid=1, folder=".", versions={})


def life(
    planned: PlannedFault, number: int, begins: float, ends: float, *, touched: int | None = 12
) -> list[tuple[float, j.Event]]:
    """One fault on one target as it should be: in force 0.2 s after it begins, undone 0.1 s after its end."""
    name = f"{planned.id}/{number}"
    target = planned.targets[number - 1]
    prepared = j.FaultPrepared(
        fault=name, step=planned.id, kind=planned.fault, params={}, target=target, deadline=2e6, undo={}
    )
    return [
        (begins, prepared),
        (begins + 0.1, j.FaultInjected(fault=name)),
        (begins + 0.15, j.FaultSeen(fault=name, seen=True, how="round trip 301 ms")),
        (begins + 0.2, j.FaultInForce(fault=name)),
        (ends, j.FaultTouched(fault=name, count=touched)),
        (ends, j.UndoBegan(fault=name, because="finished")),
        (ends + 0.1, j.FaultUndone(fault=name, because="finished", seen_gone=True)),
    ]


def good_events(of: Plan) -> list[tuple[float, j.Event]]:
    """Of a run in which all went well, one item of the method after the other from second 10 on."""
    events: list[tuple[float, j.Event]] = [
        (0.0, started(of)),
        (0.01, j.PhaseBegan(phase=Phase.BASELINE)),
        (9.98, j.PhaseEnded(phase=Phase.BASELINE, because="steady")),
        (9.99, j.PhaseBegan(phase=Phase.FAULT)),
    ]
    t = 10.0
    for item in of.method:
        ends = [t + item.wait]
        for planned in item.faults:
            begins = t + planned.after
            events.append((begins, j.StepBegan(step=planned.id, lasts=planned.lasts)))
            for number in range(1, len(planned.targets) + 1):
                events += life(planned, number, begins, begins + 0.2 + planned.lasts)
            ends.append(begins + 0.3 + planned.lasts)
            events.append((ends[-1], j.StepEnded(step=planned.id)))
        t = max(ends)
    return [
        *events,
        (t + 0.01, j.PhaseEnded(phase=Phase.FAULT, because="done")),
        (t + 0.02, j.PhaseBegan(phase=Phase.RECOVERY)),
        (END, j.PhaseEnded(phase=Phase.RECOVERY, because="recovered")),
        (END + 0.1, j.RunEnded(ending=Ending.FINISHED)),
    ]


def steps(*parts: tuple[float, float, Said], otherwise: Said = 0.1) -> Script:
    """A script: what is said between two moments (by when the reading began)."""

    def script(began: float) -> Said:
        return next((said for start, end, said in parts if start <= began < end), otherwise)

    return script


def one(script: Script, *, of: PlannedMeasure | None = None, **of_plan: Any) -> Story:
    """A story of one measure with a script."""
    chosen = of or measure()
    return Story(plan(chosen, **of_plan), {chosen.key: script})
