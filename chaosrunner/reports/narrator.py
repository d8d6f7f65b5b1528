"""Tells a run's events in plain sentences: for the live view, plain lines and the report's timeline.

Readings are not told, and of the many looks at a fault only those that change something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from chaosrunner.model import journal as j
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import number
from chaosrunner.records.light import dataclass
from chaosrunner.reports.words import MANY, Tone, count, lasting, value_text


@dataclass(frozen=True, slots=True)
class Told:
    """One event in words. `important` is worth a line of its own while the run goes on."""

    tone: Tone
    topic: str
    text: str
    important: bool = True


@dataclass(slots=True)
class Narrator:
    """Turns entries into sentences, in order. It remembers what later events only name: targets, and what was seen."""

    names: dict[str, str] = field(default_factory=dict)
    """`STEP/N` to `network-latency on checkout → payments`."""
    measures: dict[str, PlannedMeasure] = field(default_factory=dict)
    _many: dict[str, int] = field(default_factory=dict)
    """How many targets a step has that has very many: they are told of together."""
    _counted: dict[tuple[str, str], int] = field(default_factory=dict)
    _expects: bool = False
    """Whether the run expects an alert, so that it matters who can see one."""
    _how: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, bool] = field(default_factory=dict)

    def tell(self, entry: j.Entry) -> Told | None:
        """The event in words, or None for what is not worth telling."""
        teller = _TELLERS.get(type(entry.event))
        return teller(self, entry.event) if teller else None

    def _together(self, fault: str, what: str, tone: Tone, words: str) -> Told | None:
        """Of a step with very many targets: a sentence at the first, each quarter and the last."""
        step = fault.rpartition("/")[0]
        many = self._many[step]
        seen = self._counted[step, what] = self._counted.get((step, what), 0) + 1
        if seen != 1 and seen * 4 // many == (seen - 1) * 4 // many:
            return None
        kind = self.name(fault).partition(" on ")[0]
        return Told(tone, what, f"{kind}: {words} {seen:,} of {many:,} targets".replace(",", "\u202f"))

    def _is_one_of_many(self, fault: str) -> bool:
        return fault.rpartition("/")[0] in self._many

    def name(self, fault: str) -> str:
        """A fault and its target, for people."""
        return self.names.get(fault, fault)

    def run_started(self, event: j.RunStarted) -> Told:
        self.measures = {measure.key: measure for measure in event.plan.measures}
        self._expects = any(fault.expect_alert is not None for fault in event.plan.faults)
        self._many = {fault.id: len(fault.targets) for fault in event.plan.faults if len(fault.targets) > MANY}
        told = f"{event.plan.experiment} on {event.plan.environment.name}: {event.plan.title}"
        return Told(Tone.INFO, "run", told)

    def guard_answered(self, event: j.GuardAnswered) -> Told:
        tone = Tone.GOOD if event.answer.go else Tone.BAD
        word = "lets it go" if event.answer.go else "refuses"
        return Told(tone, "guard", f"{event.answer.guard} {word}: {event.answer.reason}", not event.answer.go)

    def phase_began(self, event: j.PhaseBegan) -> Told:
        return Told(Tone.INFO, "phase", f"{event.phase.value} begins")

    def phase_ended(self, event: j.PhaseEnded) -> Told:
        return Told(Tone.INFO, "phase", f"{event.phase.value} ends: {_ENDS.get(event.because, event.because)}")

    def baseline_taken(self, event: j.BaselineTaken) -> Told:
        measure = self.measures.get(event.measure)
        shown = value_text(event.median, measure.unit if measure else None)
        return Told(Tone.INFO, "baseline", f"{event.measure}: median {shown}", False)

    def step_began(self, event: j.StepBegan) -> Told:
        what = f"step {event.step} begins" if event.step else "waiting"
        return Told(Tone.INFO, "step", f"{what}, for {lasting(event.lasts)}", not event.step)

    def step_ended(self, event: j.StepEnded) -> Told:
        return Told(Tone.INFO, "step", f"step {event.step} ends" if event.step else "the wait ends", False)

    def reported(self, event: j.StepReported) -> Told:
        if event.trouble:
            return Told(Tone.BAD, "step", f"step {event.step} has nothing for later steps: {event.trouble}")
        told = ", ".join(f"{word} {_plain(value)}" for word, value in event.values.items())
        return Told(Tone.INFO, "step", f"step {event.step} told {told}", False)

    def passed(self, event: j.ValuesPassed) -> Told:
        with_ = ", ".join(f"{name} {_plain(value)}" for name, value in event.params.items())
        return Told(Tone.INFO, "step", f"step {event.step}: {with_}", False)

    def prepared(self, event: j.FaultPrepared) -> Told | None:
        self.names[event.fault] = f"{event.kind} on {event.target.name}" if event.target.name else event.kind
        if self._is_one_of_many(event.fault):
            return None
        with_ = ", ".join(f"{key} {_plain(value)}" for key, value in event.params.items())
        return Told(
            Tone.INFO, "fault", f"{self.name(event.fault)}: undo is on disk{f'; {with_}' if with_ else ''}", False
        )

    def injected(self, event: j.FaultInjected) -> Told | None:
        if self._is_one_of_many(event.fault):
            return None
        return Told(Tone.WARN, "fault", f"{self.name(event.fault)}: injected", False)

    def failed(self, event: j.FaultFailed) -> Told:
        return Told(Tone.BAD, "fault", f"{self.name(event.fault)}: {event.stage} failed: {event.error}")

    def barrier(self, event: j.BarrierHeld) -> Told:
        return Told(Tone.WARN, "fault", f"{self.name(event.fault)}: A BARRIER HELD: {event.how}")

    def appeared(self, event: j.TargetAppeared) -> Told:
        if event.refused:
            return Told(Tone.WARN, "fault", f"{event.target.name} appeared and is left alone: {event.refused}")
        return Told(Tone.INFO, "fault", f"{event.target.name} appeared: step {event.step} acts on it, too")

    def seen(self, event: j.FaultSeen) -> Told | None:
        before, self._seen[event.fault] = self._seen.get(event.fault), event.seen
        self._how[event.fault] = event.how
        if before is event.seen or event.seen:
            return None
        return Told(Tone.WARN, "fault", f"{self.name(event.fault)}: not seen in force: {event.how}", False)

    def in_force(self, event: j.FaultInForce) -> Told | None:
        if self._is_one_of_many(event.fault):
            return self._together(event.fault, "fault", Tone.WARN, "IN FORCE on")
        how = self._how.get(event.fault, "")
        return Told(Tone.WARN, "fault", f"{self.name(event.fault)}: IN FORCE{f', seen: {how}' if how else ''}")

    def lost(self, event: j.FaultLost) -> Told:
        return Told(Tone.BAD, "fault", f"{self.name(event.fault)}: gone before its time: {event.how}")

    def touched(self, event: j.FaultTouched) -> Told | None:
        if self._is_one_of_many(event.fault):
            return None
        met = "cannot say how often it was met" if event.count is None else f"met {count(event.count, 'time')}"
        return Told(
            Tone.BAD if event.count == 0 else Tone.INFO, "fault", f"{self.name(event.fault)}: {met}", event.count == 0
        )

    def undo_began(self, event: j.UndoBegan) -> Told | None:
        if self._is_one_of_many(event.fault):
            return None
        return Told(Tone.INFO, "undo", f"{self.name(event.fault)}: undoing ({event.because})", False)

    def undone(self, event: j.FaultUndone) -> Told | None:
        if self._is_one_of_many(event.fault) and event.seen_gone is not False:
            return self._together(event.fault, "undo", Tone.GOOD, "undone on")
        seen = {True: "undone and seen gone", False: "undone, but still seen", None: "undone"}[event.seen_gone]
        tone = Tone.BAD if event.seen_gone is False else Tone.GOOD
        how = f": {event.how}" if event.how else ""
        because = _UNDONE.get(event.because, event.because)
        return Told(tone, "undo", f"{self.name(event.fault)}: {seen} ({because}){how}")

    def undo_failed(self, event: j.UndoFailed) -> Told:
        by_hand = f"; by hand: {' ; '.join(event.commands)}" if event.commands else ""
        tried = count(event.attempts, "attempt")
        return Told(Tone.BAD, "undo", f"{self.name(event.fault)}: UNDO FAILED after {tried}: {event.error}{by_hand}")

    def limit(self, event: j.LimitReached) -> Told:
        if event.blind:
            return Told(
                Tone.BAD,
                "abort",
                f"{event.measure} has had no reading for too long ({event.limit}): undoing everything",
            )
        measure = self.measures.get(event.measure)
        shown = f"is {value_text(event.value, measure.unit if measure else None)}"
        if event.value is None:
            shown = "gets no answer"
        return Told(Tone.BAD, "abort", f"{event.measure} {shown}, the abort limit is {event.limit}: undoing everything")

    def halt(self, event: j.HaltRequested) -> Told:
        return Told(Tone.BAD, "halt", f"halted by {event.by}{f': {event.reason}' if event.reason else ''}")

    def spilled(self, event: j.Spilled) -> Told:
        return Told(Tone.BAD, "spill-over", f"{event.service}: {event.what}: {event.detail}")

    def alert_rule(self, event: j.AlertRuleSeen) -> Told | None:
        if not event.trouble:
            return None
        return Told(Tone.WARN, "alert", f"{event.alert}: {event.trouble}")

    def alerts_read(self, event: j.AlertsRead) -> Told | None:
        if not event.trouble:
            return None
        words = f"{event.source.capitalize()} does not say which alerts fire: {event.trouble}"
        return Told(Tone.WARN, "alert", words, self._expects)

    def alert_seen(self, event: j.AlertSeen) -> Told:
        what = f"{event.alert}{' (' + _labels(event.labels) + ')' if event.labels else ''}"
        words = {"pending": "is pending", "firing": "FIRES", "silenced": "fires, silenced", "gone": "fires no more"}
        fires = event.state in ("firing", "silenced") and event.after is not None
        tone = Tone.WARN if fires else Tone.INFO
        return Told(tone, "alert", f"{event.source.capitalize()}: {what} {words[event.state]}", fires)

    def silence_prepared(self, event: j.SilencePrepared) -> Told:
        return Told(Tone.INFO, "silence", f"silencing {', '.join(event.matchers)}", False)

    def silence_made(self, event: j.SilenceMade) -> Told:
        return Told(Tone.INFO, "silence", f"Alertmanager has the silence {event.id}")

    def silence_ended(self, event: j.SilenceEnded) -> Told:
        if event.trouble:
            return Told(Tone.WARN, "silence", f"a silence may still be there: {event.trouble}")
        return Told(Tone.INFO, "silence", "the silence is ended" if event.ids else "no silence is left")

    def misbehaved(self, event: j.PluginMisbehaved) -> Told:
        return Told(Tone.BAD, "plugin", f"{event.plugin}: {event.error}")

    def noted(self, event: j.Noted) -> Told:
        return Told(Tone.INFO, "note", f"{event.who}: {event.text}")

    def evidence(self, event: j.EvidenceGathered) -> Told:
        found = event.clues.get("found")
        changes = count(len(found) if isinstance(found, list) else 0, "change")
        return Told(Tone.INFO, "evidence", f"what else changed was looked for: {changes}", False)

    def ended(self, event: j.RunEnded) -> Told:
        tone = Tone.GOOD if event.ending == "finished" else Tone.WARN
        ending = _ENDS.get(event.ending.value, event.ending.value)
        reason = event.reason.removeprefix("baseline: ")
        return Told(tone, "run", f"ended: {ending}{f', {reason}' if reason else ''}")

    def unknown(self, event: j.Unknown) -> Told:
        return Told(Tone.INFO, "unknown", f"{event.type} (written by a newer chaosrunner)", False)


_ENDS = {
    "not-steady": "not steady",
    "not-readable": "not readable",
    "fault-failed": "a fault failed",
    "barrier-held": "a barrier held",
    "journal-failed": "the journal could not be written",
    "defect": "a defect of chaosrunner",
}
_UNDONE = {
    "failed": "the fault failed",
    "barrier": "a barrier held",
    "target-gone": "its target is gone",
    "heal": "healed",
}


def _labels(labels: dict[str, str]) -> str:
    """The first few of an alert's labels."""
    shown = [f"{key}={value}" for key, value in sorted(labels.items())]
    return ", ".join([*shown[:4], *(["…"] if len(shown) > 4 else [])])


def _plain(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return str(value)


_TELLERS: dict[type, Callable[..., Told | None]] = {
    j.RunStarted: Narrator.run_started,
    j.GuardAnswered: Narrator.guard_answered,
    j.PhaseBegan: Narrator.phase_began,
    j.PhaseEnded: Narrator.phase_ended,
    j.BaselineTaken: Narrator.baseline_taken,
    j.StepBegan: Narrator.step_began,
    j.StepEnded: Narrator.step_ended,
    j.StepReported: Narrator.reported,
    j.ValuesPassed: Narrator.passed,
    j.FaultPrepared: Narrator.prepared,
    j.FaultInjected: Narrator.injected,
    j.FaultFailed: Narrator.failed,
    j.BarrierHeld: Narrator.barrier,
    j.TargetAppeared: Narrator.appeared,
    j.FaultSeen: Narrator.seen,
    j.FaultInForce: Narrator.in_force,
    j.FaultLost: Narrator.lost,
    j.FaultTouched: Narrator.touched,
    j.UndoBegan: Narrator.undo_began,
    j.FaultUndone: Narrator.undone,
    j.UndoFailed: Narrator.undo_failed,
    j.LimitReached: Narrator.limit,
    j.HaltRequested: Narrator.halt,
    j.Spilled: Narrator.spilled,
    j.AlertRuleSeen: Narrator.alert_rule,
    j.AlertsRead: Narrator.alerts_read,
    j.AlertSeen: Narrator.alert_seen,
    j.SilencePrepared: Narrator.silence_prepared,
    j.SilenceMade: Narrator.silence_made,
    j.SilenceEnded: Narrator.silence_ended,
    j.PluginMisbehaved: Narrator.misbehaved,
    j.Noted: Narrator.noted,
    j.EvidenceGathered: Narrator.evidence,
    j.RunEnded: Narrator.ended,
    j.Unknown: Narrator.unknown,
}
