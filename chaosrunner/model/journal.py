"""The journal: what happened in a run, in order, one JSON object a line. Facts only; judging comes later.

Every line has `n` (counts from 1), `t` (monotonic seconds since the run's start: all durations come from it), `at`
(wall time, epoch seconds, for people) and `type`. A reader meets lines of newer versions (`Unknown`) without harm.
"""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.plan import GuardAnswer, Plan
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Value
from chaosrunner.model.words import Ending, Phase
from chaosrunner.records.light import dataclass

SCHEMA = 1
"""Of the journal; a newer chaosrunner reads and heals what an older one wrote."""


class _Event(Frozen):
    model_config = {"extra": "ignore"}


class RunStarted(_Event):
    """The first line: the whole plan, and who runs it from where with which versions."""

    type: Literal["run-started"] = "run-started"
    run: str
    schema_: int = SCHEMA
    plan: Plan
    who: str
    host: str
    pid: int
    folder: str
    versions: dict[str, str]


class GuardAnswered(_Event):
    """A guard's answer, at the start or during the run."""

    type: Literal["guard-answered"] = "guard-answered"
    answer: GuardAnswer


class PhaseBegan(_Event):
    """A phase begins. `fault` lasts from the first inject to the last undo, waits included."""

    type: Literal["phase-began"] = "phase-began"
    phase: Phase


class PhaseEnded(_Event):
    """A phase ends; `because` is a word for people (`steady`, `not steady`, `done`, `recovered`, `aborted`, …)."""

    type: Literal["phase-ended"] = "phase-ended"
    phase: Phase
    because: str


class ReadingTaken(_Event):
    """A reading, or the reason why there is none: exactly one of `value`, `no_answer` and `missing` is set.

    `began` and `ended` are in the journal's `t`. The reading tells about `[began - lag, ended]`.
    """

    type: Literal["reading"] = "reading"
    measure: str
    began: float
    ended: float
    value: Value | None = None
    no_answer: str | None = None
    """The system under test refused, reset or did not answer in time: meets no tolerance."""
    missing: str | None = None
    """The instrument failed: there is no reading."""


class BaselineTaken(_Event):
    """The median of the baseline's readings of one measure, as the engine used it."""

    type: Literal["baseline-taken"] = "baseline-taken"
    measure: str
    median: float
    readings: int
    """How many readings the baseline had."""


class StepBegan(_Event):
    """A fault step (or a wait, `step` empty) begins."""

    type: Literal["step-began"] = "step-began"
    step: str
    lasts: float


class StepEnded(_Event):
    """A fault step ended, however it ended."""

    type: Literal["step-ended"] = "step-ended"
    step: str


class StepReported(_Event):
    """What a step that later ones ask told, by word; `trouble` where it could not."""

    type: Literal["step-reported"] = "step-reported"
    step: str
    values: JsonObject = {}
    trouble: str = ""


class ValuesPassed(_Event):
    """The parameters of a step with what earlier steps told put in, just before it acts or reads."""

    type: Literal["values-passed"] = "values-passed"
    step: str
    params: JsonObject


class FaultPrepared(_Event):
    """The ledger's entry: on disk before the fault acts, and all that is needed to take it back.

    `fault` is `STEP/N`, one for each target.
    """

    type: Literal["fault-prepared"] = "fault-prepared"
    fault: str
    step: str
    kind: str
    params: JsonObject
    target: Target
    deadline: float
    """Wall time by which whatever holds the fault ends by itself."""
    undo: JsonObject
    undo_version: int = 1
    by_hand: tuple[str, ...] = ()
    """Commands that a person can run if all else fails."""


class FaultInjected(_Event):
    """The injection returned. Whether the fault is in force is for `confirm` to see."""

    type: Literal["fault-injected"] = "fault-injected"
    fault: str


class FaultFailed(_Event):
    """A fault did not do what it should, in one of its stages."""

    type: Literal["fault-failed"] = "fault-failed"
    fault: str
    stage: Literal["prepare", "inject", "confirm", "touched"]
    error: str


class BarrierHeld(_Event):
    """A protection of the system under test did not let the fault happen: a disruption budget, say."""

    type: Literal["barrier-held"] = "barrier-held"
    fault: str
    how: str
    """Which one, and what it said, in words."""


class TargetAppeared(_Event):
    """Under `follow`: a target that came to be while its step was in force. `fault` is the name of its own fault; a
    `refused` one is not acted on, and this says why."""

    type: Literal["target-appeared"] = "target-appeared"
    fault: str
    step: str
    target: Target
    refused: str = ""


class FaultSeen(_Event):
    """One look at whether the fault is really in force, by another path than the injection."""

    type: Literal["fault-seen"] = "fault-seen"
    fault: str
    seen: bool
    how: str
    """What was seen, in words with numbers: `connect refused`, `round trip 352 ms, was 1 ms`."""


class FaultInForce(_Event):
    """The fault was seen in force for the first time."""

    type: Literal["fault-in-force"] = "fault-in-force"
    fault: str


class FaultLost(_Event):
    """The fault was in force and is no longer, before its time: somebody else took it back, or its holder ended."""

    type: Literal["fault-lost"] = "fault-lost"
    fault: str
    how: str


class FaultTouched(_Event):
    """How often something met the fault (connections, requests, packets); None: cannot be said."""

    type: Literal["fault-touched"] = "fault-touched"
    fault: str
    count: int | None = None


class UndoBegan(_Event):
    """The undo of one fault begins."""

    type: Literal["undo-began"] = "undo-began"
    fault: str
    because: str


class FaultUndone(_Event):
    """The fault is taken back. `seen_gone` says whether that was seen, by another path; None: cannot be seen."""

    type: Literal["fault-undone"] = "fault-undone"
    fault: str
    because: Literal["finished", "aborted", "halted", "failed", "barrier", "deadline", "target-gone", "heal"]
    seen_gone: bool | None = None
    how: str = ""


class UndoFailed(_Event):
    """The undo failed for good; a fault may still be in force."""

    type: Literal["undo-failed"] = "undo-failed"
    fault: str
    error: str
    attempts: int
    commands: tuple[str, ...] = ()


class LimitReached(_Event):
    """An `abortAt` was reached, or (`blind`) its measure had no reading for too long: everything is undone now."""

    type: Literal["limit-reached"] = "limit-reached"
    measure: str
    limit: str
    blind: bool = False
    value: Value | None = None
    reading_ended: float | None = None
    """`ended` of the reading that completed the limit's `for:`; the abort time counts from here."""


class HaltRequested(_Event):
    """A person, a signal or a halt file asked for the end."""

    type: Literal["halt-requested"] = "halt-requested"
    by: str
    reason: str = ""


class Spilled(_Event):
    """Something that was not a target broke."""

    type: Literal["spilled"] = "spilled"
    what: str
    """What sort of thing it was: `process-gone`, `process-restarted`, …"""
    service: str
    detail: str


class AlertRuleSeen(_Event):
    """What Prometheus says of the rule of an expected alert: at first, and whenever that changes."""

    type: Literal["alert-rule-seen"] = "alert-rule-seen"
    alert: str
    waits: float = 0.0
    """Its `for`, seconds."""
    every: float = 0.0
    """Seconds from one evaluation to the next; 0: not known."""
    trouble: str = ""
    """Why its silence means nothing; empty: it is evaluated."""


class AlertsRead(_Event):
    """A look at the alerts of one source: the first, the last, and those at which it began or ceased to answer."""

    type: Literal["alerts-read"] = "alerts-read"
    source: Literal["prometheus", "alertmanager"]
    began: float
    ended: float
    """In the journal's `t`."""
    trouble: str = ""
    """Why it does not say; empty: it does."""
    rules: int | None = None
    """How many alerting rules it has; None: it does not say."""
    quickest: float | None = None
    """Seconds after which the quickest of them could fire: its `for` and two evaluations."""


class AlertSeen(_Event):
    """An alert is seen in another state than at the look before."""

    type: Literal["alert-seen"] = "alert-seen"
    source: Literal["prometheus", "alertmanager"]
    alert: str
    labels: dict[str, str] = {}
    state: Literal["pending", "firing", "silenced", "gone"]
    since: float | None = None
    """Wall time since which its source calls it active."""
    after: float | None = None
    """When the last look began (`t`) that saw it otherwise: it changed between that and `ended`."""
    ended: float
    """When this look ended (`t`)."""


class SilencePrepared(_Event):
    """On disk before a silence is made: what is needed to find and to end it."""

    type: Literal["silence-prepared"] = "silence-prepared"
    matchers: tuple[str, ...]
    starts_at: float
    ends_at: float
    """Wall time at which it ends by itself, whoever dies."""
    comment: str
    """What it is found by."""


class SilenceMade(_Event):
    """Alertmanager has it."""

    type: Literal["silence-made"] = "silence-made"
    id: str


class SilenceEnded(_Event):
    """All silences of this run are ended, or `trouble` says why that is not known."""

    type: Literal["silence-ended"] = "silence-ended"
    ids: tuple[str, ...] = ()
    trouble: str = ""


class TrafficSample(_Event):
    """One second of the built-in load. Latencies are of requests that should have started in it, in seconds."""

    type: Literal["traffic"] = "traffic"
    due: int
    ok: int
    errors: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class PluginMisbehaved(_Event):
    """A plugin broke its contract or its time limit; what that led to stands in its own line."""

    type: Literal["plugin-misbehaved"] = "plugin-misbehaved"
    plugin: str
    error: str


class Noted(_Event):
    """A remark by a person or by the engine."""

    type: Literal["noted"] = "noted"
    who: str
    text: str


class EvidenceGathered(_Event):
    """Written after the run's end, one for each gap: what else changed meanwhile. It changes no verdict."""

    type: Literal["evidence-gathered"] = "evidence-gathered"
    gap: str
    """Its fingerprint."""
    clues: JsonObject
    """As `model.evidence.Clues` reads it."""


class RunEnded(_Event):
    """The last line of a run that could still write it."""

    type: Literal["run-ended"] = "run-ended"
    ending: Ending
    reason: str = ""


class Unknown(_Event):
    """A line of a newer version."""

    type: str


Known = (
    RunStarted
    | GuardAnswered
    | PhaseBegan
    | PhaseEnded
    | ReadingTaken
    | BaselineTaken
    | StepBegan
    | StepEnded
    | StepReported
    | ValuesPassed
    | FaultPrepared
    | FaultInjected
    | FaultFailed
    | BarrierHeld
    | TargetAppeared
    | FaultSeen
    | FaultInForce
    | FaultLost
    | FaultTouched
    | UndoBegan
    | FaultUndone
    | UndoFailed
    | LimitReached
    | HaltRequested
    | Spilled
    | AlertRuleSeen
    | AlertsRead
    | AlertSeen
    | SilencePrepared
    | SilenceMade
    | SilenceEnded
    | TrafficSample
    | PluginMisbehaved
    | Noted
    | EvidenceGathered
    | RunEnded
)
"""Every event that this version writes."""
Event = Known | Unknown
"""What a reader may meet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal."""

    n: int
    t: float
    at: float
    event: Event
