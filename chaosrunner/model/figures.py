"""What chaosrunner's own metrics are made of: one run, and one near miss, in figures."""

from __future__ import annotations

from collections.abc import Iterable

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.near_miss import NearMiss, day_of
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import Answer
from chaosrunner.records.light import dataclass


class Detection(Frozen):
    """How long a source took to say that an expected alert fires."""

    source: str
    seconds: float


class RunFigures(Frozen):
    """One run that has ended."""

    run: str
    experiment: str
    environment: str
    service: str
    began: float
    """Wall time."""
    seconds: float
    answer: str
    """`held`, `inconclusive` or `broken`."""
    ending: str
    """Why it ended; `died` where its journal does not say."""
    exit_code: int
    aborted: bool = False
    undone_after: float | None = None
    """Of an abort: seconds from the reading that completed the limit to the last fault undone."""
    recovered_after: float | None = None
    """Seconds from the last undo; None: it did not recover, or that cannot be said."""
    detections: tuple[Detection, ...] = ()
    undetected: int = 0
    """Expected alerts that did not fire in time."""
    gaps: tuple[str, ...] = ()
    """Kinds, one for each gap."""
    undo_failed: int = 0
    """Faults that could not be taken back."""

    @property
    def ended(self) -> float:
        """Wall time."""
        return self.began + self.seconds


class NearMissFigures(Frozen):
    """One near miss of the register."""

    id: str
    service: str
    environment_class: str
    kind: str
    state: str
    priority: str
    closed: bool
    opened_at: float
    """Wall time."""
    overdue: bool


AGE_DAYS = (1.0, 7.0, 30.0, 90.0)
"""Ages by which near misses are counted."""


@dataclass(frozen=True, slots=True)
class NearMissGroup:
    """Near misses that are not closed and have these four things in common."""

    service: str
    environment_class: str
    state: str
    priority: str
    count: int
    oldest: float
    """When the oldest was opened, wall time."""
    overdue: int
    younger: tuple[int, ...]
    """How many are younger than each of `AGE_DAYS`."""


def grouped(near_misses: Iterable[NearMissFigures], now: float) -> list[NearMissGroup]:
    """The same of each that is not closed."""
    groups: dict[tuple[str, str, str, str], list[NearMissFigures]] = {}
    for one in near_misses:
        if not one.closed:
            groups.setdefault((one.service, one.environment_class, one.state, one.priority), []).append(one)
    return [
        NearMissGroup(
            service=service,
            environment_class=environment_class,
            state=state,
            priority=priority,
            count=len(several),
            oldest=min(one.opened_at for one in several),
            overdue=sum(one.overdue for one in several),
            younger=tuple(sum(now - one.opened_at < days * 86400.0 for one in several) for days in AGE_DAYS),
        )
        for (service, environment_class, state, priority), several in groups.items()
    ]


def figures_of_run(verdict: Verdict, environment: str, service: str, began: float, gaps: tuple[str, ...]) -> RunFigures:
    """Of a judged run. `gaps`: their kinds."""
    recovery = verdict.recovery
    told = [("prometheus", one.prometheus_after) for one in verdict.alerts]
    told += [("alertmanager", one.alertmanager_after) for one in verdict.alerts]
    return RunFigures(
        run=verdict.run,
        experiment=verdict.experiment,
        environment=environment,
        service=service,
        began=began,
        seconds=verdict.seconds,
        answer=verdict.answer.value,
        ending=verdict.ending.value if verdict.ending is not None else "died",
        exit_code=verdict.exit_code,
        aborted=verdict.abort is not None,
        undone_after=verdict.abort.undone_after if verdict.abort is not None else None,
        recovered_after=recovery.seconds if recovery is not None and recovery.answer is Answer.HELD else None,
        detections=tuple(Detection(source=name, seconds=took) for name, took in told if took is not None),
        undetected=sum(one.answer is Answer.BROKEN for one in verdict.alerts),
        gaps=gaps,
        undo_failed=sum(fault.undo_failed for fault in verdict.faults),
    )


def figures_of_near_miss(near_miss: NearMiss, now: float) -> NearMissFigures:
    """As it is now."""
    return NearMissFigures(
        id=near_miss.id,
        service=near_miss.service,
        environment_class=near_miss.environment_class,
        kind=near_miss.kind.value,
        state=near_miss.state.value,
        priority=near_miss.priority.value,
        closed=near_miss.closed,
        opened_at=near_miss.opened_at,
        overdue=near_miss.overdue(day_of(now)),
    )
