"""evidence: gaps -> what else changed while their faults were in force.

Sources are asked together, after everything is undone, and no longer than the environment allows; what did not answer
is said not to be known. What the run itself saw (its measures, other faults, what spilled over) needs nobody to be
asked. Nothing of it changes a verdict.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from chaosrunner.errors import CannotDoHonestly, NoAnswer, NoReading, NotPossibleNow, UsageError
from chaosrunner.judging.clues import clues
from chaosrunner.judging.facts import Facts
from chaosrunner.judging.redacting import redacted
from chaosrunner.model.evidence import Clues
from chaosrunner.model.gap import Gap
from chaosrunner.model.journal import EvidenceGathered
from chaosrunner.model.material import Happening, Material, Sampled, Window
from chaosrunner.model.verdict import FaultVerdict, Verdict
from chaosrunner.model.words import GapKind, Phase
from chaosrunner.ports import Source
from chaosrunner.records.light import dataclass
from chaosrunner.secrets import without_secrets

RUN_ITSELF = "the run"
_NOTHING_INJECTED = frozenset({GapKind.NO_REDUNDANCY})
_OTHER = 40.0
"""How heavy another run weighs among happenings: it may well be the reason."""

STRETCHES = 10
"""So many times as long as the fault lasted one looks back at least: it takes as many to know what wanders by
itself."""
_LET_GO = 1.0
"""Seconds in which a source that is given up may let go of what it has."""


@dataclass(frozen=True, slots=True)
class OtherRun:
    """A run that was under way at some time, wall time."""

    run: str
    experiment: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gathering of evidence starts from: the run's journal, judged."""

    verdict: Verdict
    gaps: Sequence[Gap]
    facts: Facts
    zero: float
    """The wall time of the journal's `t` 0."""
    acted: Mapping[str, float]
    """From when on each fault may have acted: `t` of its entry in the ledger."""
    others: Sequence[OtherRun] = ()
    noticed: Sequence[Happening] = ()
    """What the run itself noticed beside its measures."""
    blind: Sequence[str] = ()
    """Why a source could not even be made."""
    within: float = 20.0
    """Seconds that the sources have."""


async def gather_evidence(seen: Seen, sources: Sequence[Source[Any]]) -> list[EvidenceGathered]:
    """One for each gap before which a fault was in force. Raises nothing that a source does."""
    spec = seen.facts.plan.environment.spec.evidence
    made = []
    known: dict[Window, list[Material]] = {}
    for gap in seen.gaps:
        window = _window(gap, seen)
        if window is None:
            continue
        if window not in known:
            known[window] = await _ask_all(sources, window, seen.within)
        found = clues(
            [_own(seen, gap, window), *known[window]],
            window,
            show=spec.show,
            clean=_clean,
            without=[str(measure.get("key")) for measure in gap.measures],
        )
        if not sources:
            none = "metrics, logs and events: the environment names no `evidence` sources"
            found = found.model_copy(update={"unknown": (*found.unknown, none)})
        found = found.model_copy(update={"unknown": (*found.unknown, *seen.blind)})
        made.append(EvidenceGathered(gap=gap.fingerprint, clues=found.as_json()))
    return made


def read_evidence(event: EvidenceGathered) -> Clues:
    """What the journal says, as a model."""
    return Clues.model_validate(event.clues)


def _clean(text: str) -> str:
    return redacted(without_secrets(text))


# ------------------------------------------------------------------------------------------------------- what is asked


def _window(gap: Gap, seen: Seen) -> Window | None:
    """From the injection of the gap's first fault to when its last undo began; None where nothing was injected."""
    faults = _faults_of(gap, seen.verdict)
    injected = [fault for fault in faults if fault.injected_at is not None or fault.in_force_at is not None]
    began = min((seen.acted[fault.fault] for fault in injected if fault.fault in seen.acted), default=None)
    if began is None or gap.kind in _NOTHING_INJECTED:
        return None
    ended = max((_until(fault, seen) for fault in faults), default=seen.facts.last)
    if ended <= began:
        return None
    baseline = seen.facts.phase(Phase.BASELINE)
    history = seen.facts.plan.environment.spec.evidence.history
    return Window(
        usual_from=seen.zero + began - max(history, STRETCHES * (ended - began)),
        baseline=seen.zero + (baseline[0] if baseline else 0.0),
        began=seen.zero + began,
        ended=seen.zero + ended,
        loaded_from=seen.zero + baseline[0] if baseline and seen.facts.plan.traffic else float("-inf"),
        busy=tuple((other.began, other.ended) for other in seen.others if other.began < seen.zero + began),
    )


def _until(fault: FaultVerdict, seen: Seen) -> float:
    """Until its undo began: what was pent up and comes then at once is recovery."""
    known = seen.facts.faults.get(fault.fault)
    if known is not None and known.ended_at is not None:
        return known.ended_at
    return fault.undone_at if fault.undone_at is not None else seen.facts.last


def _faults_of(gap: Gap, verdict: Verdict) -> list[FaultVerdict]:
    """The faults that were in force when its hypothesis broke; of other gaps all."""
    broken = {name for each in verdict.hypotheses if each.name == gap.hypothesis for name in each.broken_during}
    return [fault for fault in verdict.faults if fault.fault in broken] or list(verdict.faults)


async def _ask_all(sources: Sequence[Source[Any]], window: Window, within: float) -> list[Material]:
    """All at once. One that takes too long is given up."""
    asked = [asyncio.ensure_future(source.gather(window)) for source in sources]
    if not asked:
        return []
    try:
        await asyncio.wait(asked, timeout=within)
    finally:
        late = [task for task in asked if not task.done()]
        for task in late:
            task.cancel()
    if late:
        await asyncio.wait(late, timeout=_LET_GO)
    return [_answer(source, task, late, within) for source, task in zip(sources, asked, strict=True)]


def _answer(
    source: Source[Any], task: asyncio.Task[Material], late: Sequence[asyncio.Task[Material]], within: float
) -> Material:
    if task in late:
        return Material(source.kind, unknown=[f"it did not answer within {within:g} s"])
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, NoReading | NoAnswer | NotPossibleNow | UsageError | CannotDoHonestly):
        return Material(source.kind, unknown=[str(error)])
    if isinstance(error, Exception):
        return Material(source.kind, unknown=[f"a defect of this source: {type(error).__name__}: {error}"])
    raise error


# -------------------------------------------------------------------------------------------- what the run itself knows


def _own(seen: Seen, gap: Gap, window: Window) -> Material:
    """Its measures, faults that were in force beside the gap's own, and other runs."""
    series = [
        Sampled(measure.key, "", points, unit=measure.unit, lag=measure.lag, whole=False)
        for measure in seen.facts.plan.measures
        if (points := _points(seen, measure.key))
    ]
    happened = [*_other_faults(seen, gap), *_other_runs(seen, window), *seen.noticed]
    looked = f"{len(series)} measures, {len(seen.verdict.faults)} faults, {len(seen.others)} other runs"
    return Material(RUN_ITSELF, series, happenings=happened, looked=looked)


def _points(seen: Seen, key: str) -> list[tuple[float, float]]:
    found = []
    for reading in seen.facts.series[key].within(float("-inf"), float("inf")):
        value = reading.value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found.append((seen.zero + reading.ended, float(value)))
    return found


def _other_faults(seen: Seen, gap: Gap) -> list[Happening]:
    mine = {fault.fault for fault in _faults_of(gap, seen.verdict)}
    return [
        Happening(
            at=seen.zero + fault.in_force_at,
            last=seen.zero + (fault.undone_at if fault.undone_at is not None else seen.facts.last),
            subject=fault.target.name or fault.fault,
            says=f"{fault.kind} on {fault.target.name or fault.fault} was in force, too",
            what="fault",
            weight=_OTHER,
        )
        for fault in seen.verdict.faults
        if fault.fault not in mine and fault.in_force_at is not None
    ]


def _other_runs(seen: Seen, window: Window) -> list[Happening]:
    return [
        Happening(
            at=max(other.began, window.began) if other.began <= window.began else other.began,
            last=other.ended,
            subject=other.run,
            says=f"another run, {other.run} of {other.experiment or 'an experiment'}, was under way",
            what="run",
            weight=_OTHER,
        )
        for other in seen.others
        if other.began <= window.ended and other.ended >= window.began
    ]


def by_gap(events: Sequence[EvidenceGathered]) -> Mapping[str, Clues]:
    """By the gap's fingerprint."""
    return {event.gap: read_evidence(event) for event in events}
