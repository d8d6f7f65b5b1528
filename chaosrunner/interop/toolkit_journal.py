"""A run of ours as a journal of Chaos Toolkit, which `chaos report` and other tools of its users read.

A fault is an action that succeeded if it did what it should, its undo a rollback, a measure a probe of the hypothesis.
Theirs has one look at the hypothesis before and one after: that is the last one of the baseline and of the recovery.
What was read while faults were in force stands under `during`, thinned to `MOST` looks; none that was out of order is
left out as long as there is room.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from chaosrunner.judging.during import rule_in
from chaosrunner.judging.facts import Facts, FaultFacts, gather
from chaosrunner.judging.faults import fault_verdicts
from chaosrunner.judging.hold import ResolvedRule, fits, resolve
from chaosrunner.judging.reading import Reading, reading_of
from chaosrunner.model.journal import Entry, ReadingTaken, ValuesPassed
from chaosrunner.model.plan import PlannedFault, PlannedMeasure
from chaosrunner.model.verdict import FaultVerdict, Verdict
from chaosrunner.model.words import Answer, Ending, Phase

MOST = 200
"""Looks under `during` at most: Chaos Toolkit's tools hold all of them in memory."""
_STATUS = {
    Ending.FINISHED: "completed",
    Ending.ABORTED: "failed",
    Ending.HALTED: "interrupted",
    Ending.NOT_STEADY: "failed",
    Ending.NOT_READABLE: "failed",
}
Json = dict[str, Any]


def journal_of(entries: Sequence[Entry], verdict: Verdict) -> Json:
    """The journal, as JSON. Raises `JournalFailed` where the entries do not begin with their run."""
    return _Writing(entries, verdict).journal()


class _Writing:
    """One run on its way."""

    def __init__(self, entries: Sequence[Entry], verdict: Verdict) -> None:
        self._facts: Facts = gather(entries)
        self._verdict = verdict
        self._zero = entries[0].at - entries[0].t
        self._readings = [entry.event for entry in entries if isinstance(entry.event, ReadingTaken)]
        self._faults = fault_verdicts(self._facts)
        self._passed = {each.event.step: each.event.params for each in entries if isinstance(each.event, ValuesPassed)}

    def journal(self) -> Json:
        facts, ending = self._facts, self._verdict.ending
        before, after = self._in_phase(Phase.BASELINE), self._in_phase(Phase.RECOVERY)
        first = self._look(before, Phase.BASELINE)
        if first is not None and ending in (Ending.NOT_STEADY, Ending.NOT_READABLE):
            first["steady_state_met"] = False  # whatever its last look says
        return {
            "chaoslib-version": "1.44.0",
            "platform": platform.platform(),
            "node": facts.started.host,
            "experiment": self._experiment(),
            "start": self._moment(0.0),
            "status": _STATUS.get(ending, "aborted") if ending is not None else "aborted",
            "deviated": self._verdict.answer is Answer.BROKEN,
            "steady_states": {
                "before": first,
                "after": self._look(after, Phase.RECOVERY),
                "during": self._looks(self._in_phase(Phase.FAULT)),
            },
            "run": [self._activity(one) for one in self._faults if one.injected_at is not None or one.trouble],
            "rollbacks": [self._rollback(one) for one in facts.faults.values() if one.ended_at is not None],
            "end": self._moment(facts.last),
            "duration": round(facts.last, 6),
        }

    def _moment(self, t: float) -> str:
        return datetime.fromtimestamp(self._zero + t, UTC).isoformat()

    def _times(self, began: float, ended: float) -> Json:
        return {
            "start": self._moment(began),
            "end": self._moment(max(began, ended)),
            "duration": round(max(0.0, ended - began), 6),
        }

    # ------------------------------------------------------------------------------------------------- experiment

    def _experiment(self) -> Json:
        plan = self._facts.plan
        return {
            "version": "1.0.0",
            "title": plan.title,
            "description": f"{plan.experiment} of {plan.service} on {plan.environment.name}",
            "tags": [f"{name}:{value}" for name, value in sorted(plan.labels.items())],
            "steady-state-hypothesis": {
                "title": "; ".join(hypothesis.title for hypothesis in plan.hypotheses) or "nothing is expected",
                "probes": [_probe(measure) for measure in plan.measures],
            },
            "method": [_action(self._as_run(fault)) for fault in plan.faults],
            "rollbacks": [_undo(self._as_run(fault)) for fault in plan.faults],
        }

    # ------------------------------------------------------------------------------------------------- hypothesis

    def _in_phase(self, phase: Phase) -> list[ReadingTaken]:
        span = self._facts.phase(phase)
        if span is None:
            return []
        return [each for each in self._readings if each.began >= span[0] and each.ended <= span[1]]

    def _look(self, readings: Sequence[ReadingTaken], phase: Phase) -> Json | None:
        """The last reading of each measure; None: there is none of any."""
        last = {each.measure: each for each in readings}
        probes = [self._read(measure, last[measure.key], phase) for measure in self._measures() if measure.key in last]
        return {"steady_state_met": _all_met(probes), "probes": probes} if probes else None

    def _looks(self, readings: Sequence[ReadingTaken]) -> list[Json]:
        """Round by round: the first readings of all measures, then the second ones."""
        rounds: list[list[Json]] = []
        seen: dict[str, int] = {}
        measures = {measure.key: measure for measure in self._measures()}
        for each in readings:
            place = seen.get(each.measure, 0)
            seen[each.measure] = place + 1
            if place == len(rounds):
                rounds.append([])
            rounds[place].append(self._read(measures[each.measure], each, Phase.FAULT))
        looks = [{"steady_state_met": _all_met(probes), "probes": probes} for probes in rounds]
        return thinned(looks, MOST)

    def _measures(self) -> Iterable[PlannedMeasure]:
        return self._facts.plan.measures

    def _read(self, measure: PlannedMeasure, taken: ReadingTaken, phase: Phase) -> Json:
        rule = self._rule(measure, phase)
        reading = fits(reading_of(taken), numeric=rule is not None and rule.numeric)
        entry: Json = {
            "activity": _probe(measure),
            "output": reading.value,
            "status": "succeeded" if reading.value is not None else "failed",
            **self._times(taken.began, taken.ended),
            "tolerance_met": _met(rule, reading),
        }
        why = reading.no_answer or reading.missing
        return {**entry, "exception": [why]} if why else entry

    def _rule(self, measure: PlannedMeasure, phase: Phase) -> ResolvedRule | None:
        """What one reading is held against; None: nothing, or only all of them together."""
        rule = rule_in(measure, phase)
        baseline = self._facts.medians.get(measure.key)
        if rule is None or rule.over_phase or (rule.relative and baseline is None):
            return None
        return resolve(rule, measure.unit, baseline)

    # ------------------------------------------------------------------------------------------------- activities

    def _planned(self, step: str) -> PlannedFault | None:
        return next((self._as_run(fault) for fault in self._facts.plan.faults if fault.id == step), None)

    def _as_run(self, fault: PlannedFault) -> PlannedFault:
        """With what earlier steps told it, in place of what stood for that in the plan."""
        return fault.model_copy(update={"params": self._passed.get(fault.id, fault.params)})

    def _activity(self, one: FaultVerdict) -> Json:
        planned = self._planned(one.step)
        began = one.injected_at or 0.0
        activity = _action(planned) if planned is not None else {"type": "action", "name": one.step, "provider": {}}
        entry: Json = {
            "activity": {**activity, "name": f"{activity['name']} on {one.target.name}"},
            "output": None if one.in_force_at is None else f"in force for {one.share_in_force:.0%} of its time",
            "status": "failed" if one.trouble else "succeeded",
            **self._times(began, one.in_force_at if one.in_force_at is not None else began),
        }
        return {**entry, "exception": [one.trouble]} if one.trouble else entry

    def _rollback(self, fault: FaultFacts) -> Json:
        began = fault.ended_at or 0.0
        ended = fault.undone_at if fault.undone_at is not None else began
        name = fault.planned.id if fault.planned is not None else fault.fault
        activity = {"type": "action", "name": f"undo {name}"}
        if fault.planned is not None:
            activity = _undo(self._as_run(fault.planned))
        failed = fault.undo_error or ("it was still seen in force" if fault.seen_gone is False else "")
        entry: Json = {
            "activity": {**activity, "name": f"{activity['name']} on {fault.target.name}"},
            "output": None,
            "status": "failed" if failed else "succeeded",
            **self._times(began, ended),
        }
        return {**entry, "exception": [failed]} if failed else entry


def _provider(role: str, kind: str, func: str, arguments: Any) -> Json:
    module = f"chaosrunner.{role}.{kind.replace('-', '_')}"
    return {"type": "python", "module": module, "func": func, "arguments": arguments}


def _probe(measure: PlannedMeasure) -> Json:
    rules = measure.tolerance
    held = rules.fault or rules.recovery or rules.baseline if rules is not None else None
    return {
        "type": "probe",
        "name": measure.key,
        "tolerance": str(held) if held is not None else "observed only",
        "provider": _provider("probes", measure.probe, "read", measure.params),
    }


def _action(fault: PlannedFault) -> Json:
    return {"type": "action", "name": fault.id, "provider": _provider("faults", fault.fault, "inject", fault.params)}


def _undo(fault: PlannedFault) -> Json:
    provider = _provider("faults", fault.fault, "undo", fault.params)
    return {"type": "action", "name": f"undo {fault.id}", "provider": provider}


def _met(rule: ResolvedRule | None, reading: Reading) -> bool:
    if reading.missing is not None or (rule is None and reading.no_answer is not None):
        return False
    return rule is None or rule.inside(reading)


def _all_met(probes: Sequence[Json]) -> bool:
    return all(probe["tolerance_met"] for probe in probes)


def thinned(looks: list[Json], most: int) -> list[Json]:
    """At most `most`: those that were out of order first, the others evenly, in the order of time."""
    if len(looks) <= most:
        return looks
    wrong = [place for place, look in enumerate(looks) if not look["steady_state_met"]][:most]
    others = [place for place, look in enumerate(looks) if look["steady_state_met"]]
    room = most - len(wrong)
    kept = others[:: max(1, -(-len(others) // room))][:room] if room else []
    return [looks[place] for place in sorted([*wrong, *kept])]
