"""What is decided from readings while a run is under way: steady yet? recovered yet? an abort limit reached?

The decisions are those of `judging`, the same code that judges the journal afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chaosrunner.engine.recorder import Recorder
from chaosrunner.engine.stop import Stop
from chaosrunner.judging.abort import AbortWatch
from chaosrunner.judging.reading import Reading
from chaosrunner.judging.recovery import RecoveryState, RecoveryWatch
from chaosrunner.judging.steady import SteadyState, SteadyWatch
from chaosrunner.model.journal import LimitReached
from chaosrunner.model.plan import Plan, PlannedMeasure
from chaosrunner.model.tolerance import Value
from chaosrunner.model.words import Ending

TICK = 0.05
"""Seconds between two looks at whether a phase is over; fewer where the phase itself is short."""


def _tick(length: float | None) -> float:
    return TICK if length is None else min(TICK, max(length / 10, 0.005))


class Watching:
    """Fed with every reading; one phase is watched at a time."""

    def __init__(self, plan: Plan, recorder: Recorder, stop: Stop) -> None:
        self._plan = plan
        self._recorder = recorder
        self._stop = stop
        self._steady: SteadyWatch | None = None
        self._recovery: RecoveryWatch | None = None
        self._aborts: Mapping[str, AbortWatch] = {}
        self.medians: Mapping[str, float] = {}
        """Of the baseline, by measure, once it is steady."""
        self._sample: Callable[[str], Sequence[Reading]] = lambda key: ()
        self.readings: Mapping[str, int] = {}
        """How many readings each median is made of."""

    def on_reading(self, measure: PlannedMeasure, reading: Reading) -> None:
        """Take in one reading; a reached abort limit stops the run here and now."""
        if self._steady is not None:
            self._steady.add(measure.key, reading)
        if self._recovery is not None:
            self._recovery.add(measure.key, reading)
        watch = self._aborts.get(measure.key)
        if watch is not None and watch.add(reading) is not None:
            self._abort(measure, reading.value, reading.ended)

    def _abort(self, measure: PlannedMeasure, value: Value | None, ended: float | None) -> None:
        if self._stop.asked:
            return
        blind = ended is None
        limit = str(measure.abort_at)
        self._recorder.record(
            LimitReached(measure=measure.key, limit=limit, blind=blind, value=value, reading_ended=ended)
        )
        reason = f"no reading for {measure.blind:g} s" if blind else f"outside {limit}"
        self._stop.now(Ending.ABORTED, measure.key, reason)

    # -- baseline

    async def until_steady(self) -> SteadyState:
        """Wait until the baseline is steady, or is known not to be; the state may be `waiting` if the run stops."""
        plan = self._plan
        watch = SteadyWatch(plan.measures, plan.baseline.for_, plan.baseline.within, began=self._recorder.t)
        self._steady = watch
        tick = _tick(plan.baseline.for_)
        while (state := watch.state(self._recorder.t)).kind == "waiting" and not await self._stop.wait(tick):
            continue
        self._steady = None
        self._sample = watch.sample
        self.medians, self.readings = watch.medians(), watch.counts()
        return state

    # -- fault

    def arm(self) -> None:
        """From now on abort limits count."""
        aborts = {}
        for measure in self._plan.measures:
            if measure.abort_at is not None:
                watch = AbortWatch(measure)
                if measure.key in self.medians:
                    watch.baseline(self.medians[measure.key])
                aborts[measure.key] = watch
        self._aborts = aborts

    def look_for_blindness(self, in_force_since: float) -> None:
        """Stop the run if a measure with an abort limit has had no reading for too long."""
        by_key: Mapping[str, PlannedMeasure] = {measure.key: measure for measure in self._plan.measures}
        for key, watch in self._aborts.items():
            if watch.blind(self._recorder.t, in_force_since):
                self._abort(by_key[key], None, None)

    def disarm(self) -> None:
        """Everything is undone: nothing is left to abort."""
        self._aborts = {}

    # -- recovery

    async def until_recovered(self, undone_at: float) -> RecoveryState:
        """Wait until the system has recovered, or it is too late; `waiting` if somebody halts meanwhile."""
        spec = self._plan.recovery
        watch = RecoveryWatch(self._plan.measures, self.medians, spec.within, spec.holds, undone_at, self._sample)
        self._recovery = watch
        tick = _tick(spec.holds)
        while (state := watch.state(self._recorder.t)).kind == "waiting" and not await self._stop.wait_for_halt(tick):
            continue
        self._recovery = None
        return state
