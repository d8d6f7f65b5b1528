"""announce: a run -> what notifiers are told of it. Pure.

Four events, each a JSON object: `fault-began` (the fault phase begins), `fault-ended` (everything is taken back),
`near-miss` (one for each gap, after the run) and `run-ended`. All have `event`, `id` (the same when it is told again),
`at` (wall time), `headline` and `text` (for people), and say which run, experiment, service and environment.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.model.figures import NearMissFigures, RunFigures
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.journal import Entry, PhaseBegan, PhaseEnded, RunStarted
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import Phase
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.words import headline


class Announcing:
    """Turns a run's entries, and what came of it, into events."""

    def __init__(self) -> None:
        self._run: RunStarted | None = None
        self._began: float | None = None
        self._ended = False

    def of_entry(self, entry: Entry) -> JsonObject | None:
        """What an entry is worth telling; None: nothing."""
        event = entry.event
        if isinstance(event, RunStarted):
            self._run = event
        elif isinstance(event, PhaseBegan) and event.phase is Phase.FAULT:
            self._began = entry.at
            told = f"{self._plan.experiment} begins to break {self._plan.environment.name}: {_faults(self._plan)}"
            return self._event("fault-began", entry.at, told, self._plan.title)
        elif isinstance(event, PhaseEnded) and event.phase is Phase.FAULT:
            self._ended = True
            told = f"{self._plan.experiment} has taken everything back on {self._plan.environment.name}"
            return self._event("fault-ended", entry.at, told, f"{_faults(self._plan)}: {event.because}.")
        return None

    def of_death(self, at: float) -> JsonObject | None:
        """The end of a fault phase whose runner died; None: no fault phase is open."""
        if self._run is None or self._began is None or self._ended:
            return None
        told = f"{self._plan.experiment} died; what it left on {self._plan.environment.name} is taken back"
        return self._event("fault-ended", at, told, f"{_faults(self._plan)}: healed.")

    def of_outcome(
        self,
        verdict: Verdict,
        found: Sequence[ShownGap],
        figures: RunFigures,
        standing: Sequence[NearMissFigures] | None,
    ) -> list[JsonObject]:
        """The near misses of a run, and its end. `standing`: those of its service; None: they cannot be read."""
        at = figures.ended
        word, _ = headline(verdict)
        events = [self._near_miss(at, number, each) for number, each in enumerate(found, 1)]
        ended = self._event("run-ended", at, f"{word}: {verdict.experiment} on {figures.environment}", verdict.summary)
        ended |= {
            "word": word,
            "answer": verdict.answer.value,
            "exitCode": verdict.exit_code,
            "figures": figures.as_json(),
            "nearMisses": None if standing is None else [one.as_json() for one in standing],
        }
        return [*events, ended]

    @property
    def _plan(self) -> Plan:
        assert self._run is not None
        return self._run.plan

    def _near_miss(self, at: float, number: int, shown: ShownGap) -> JsonObject:
        gap = shown.gap
        name = f"{shown.id} {shown.priority}".strip() or "a gap that could not be recorded"
        event = self._event("near-miss", at, f"near miss {name}: {gap.title}", gap.story)
        event["id"] = f"{event['id']}:{number}"
        event["nearMiss"] = {
            "id": shown.id,
            "kind": gap.kind.value,
            "title": gap.title,
            "priority": shown.priority,
            "state": shown.state,
            "occurrences": shown.occurrences,
            "remediation": shown.remediation,
            "fingerprint": gap.fingerprint,
        }
        return event

    def _event(self, kind: str, at: float, told: str, text: str) -> JsonObject:
        assert self._run is not None
        plan = self._plan
        return {
            "event": kind,
            "id": f"{self._run.run}:{kind}",
            "at": at,
            "headline": told,
            "text": text,
            "run": self._run.run,
            "experiment": plan.experiment,
            "title": plan.title,
            "service": plan.service,
            "owner": plan.owner,
            "environment": plan.environment.name,
            "environmentClass": plan.environment.class_name,
            "labels": dict(plan.labels),
            "who": self._run.who,
            "host": self._run.host,
            "faultBegan": self._began,
        }


def _faults(plan: Plan) -> str:
    names = [
        f"{fault.fault} on {', '.join(sorted({one.service or one.name for one in fault.targets}))}"
        for fault in plan.faults
    ]
    return " and ".join(dict.fromkeys(names))
