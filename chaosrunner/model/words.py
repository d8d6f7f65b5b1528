"""The few closed vocabularies that everything shares."""

from __future__ import annotations

from enum import StrEnum


class Answer(StrEnum):
    """Of a measure, a hypothesis or a run. The worst wins: broken, then inconclusive, then held."""

    HELD = "held"
    INCONCLUSIVE = "inconclusive"
    BROKEN = "broken"

    @property
    def badness(self) -> int:
        """0 for held, 1 for inconclusive, 2 for broken."""
        return (Answer.HELD, Answer.INCONCLUSIVE, Answer.BROKEN).index(self)


def worst(*answers: Answer) -> Answer:
    """The worst of them. Nothing at all is inconclusive: nothing is held by absence."""
    return max(answers, key=lambda answer: answer.badness, default=Answer.INCONCLUSIVE)


class Phase(StrEnum):
    """The three parts of a run."""

    BASELINE = "baseline"
    FAULT = "fault"
    RECOVERY = "recovery"


class During(StrEnum):
    """When a measure is read: always (default), or in one of Litmus's modes."""

    ALWAYS = "always"
    START = "start"
    END = "end"
    EDGE = "edge"
    CONTINUOUS = "continuous"
    FAULT = "fault"


class Missing(StrEnum):
    """What missing readings make of a measure."""

    INCONCLUSIVE = "inconclusive"
    BROKEN = "broken"


class GapKind(StrEnum):
    """What a run can show that should not be so."""

    IMPACT = "impact"
    NO_RECOVERY = "no-recovery"
    ABORTED = "aborted"
    UNDETECTED = "undetected"
    CLOSE_CALL = "close-call"
    SPILL_OVER = "spill-over"
    UNDO_FAILED = "undo-failed"
    NO_REDUNDANCY = "no-redundancy"
    REPORTED = "reported"
    """Nothing that a run showed: a person, or an alert, told of it."""


class FaultClass(StrEnum):
    """How a fault hurts. It is part of a near miss's identity, so that kinds that hurt alike share it."""

    INSTANCE_LOSS = "instance-loss"
    INSTANCE_HANG = "instance-hang"
    DEPENDENCY_GONE = "dependency-gone"
    DEPENDENCY_SLOW = "dependency-slow"
    DEPENDENCY_FLAKY = "dependency-flaky"
    NAME_RESOLUTION = "name-resolution"
    CAPACITY = "capacity"
    ZONE_LOSS = "zone-loss"
    EXTENSION = "extension"
    """What an extension of another tool did: the fault's identity says which."""
    NOTHING = "nothing"


NO_MODE = frozenset({FaultClass.NOTHING, FaultClass.EXTENSION})
"""No way in which a service fails: nothing breaks, or only the extension knows what."""


class ActsOn(StrEnum):
    """Kinds of targets that a fault may act on."""

    PROCESS = "process"
    LINK = "link"
    POD = "pod"
    NODE = "node"
    WORKLOAD = "workload"
    KUBE_SERVICE = "kube-service"
    ZONE = "zone"
    NOTHING = "nothing"


class FindingClass(StrEnum):
    """AHRQ's three classes: what failed inside the blast radius, a weak control, or what left the blast radius."""

    NEAR_MISS = "near-miss"
    UNSAFE_CONDITION = "unsafe-condition"
    INCIDENT = "incident"


class Priority(StrEnum):
    """P1 is the most urgent."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class State(StrEnum):
    """Of a near miss, in its life-cycle."""

    OPEN = "open"
    TRIAGED = "triaged"
    IN_PROGRESS = "in-progress"
    FIX_READY = "fix-ready"
    VERIFIED = "verified"
    NEEDS_INFO = "needs-info"
    WAIVED = "waived"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    OBSOLETE = "obsolete"


class Source(StrEnum):
    """Who found it."""

    RUN = "run"
    PERSON = "person"
    ALERT = "alert"


class FailureMode(StrEnum):
    """How it failed, as its users meet it."""

    UNAVAILABLE = "unavailable"
    ERROR_RATE = "error-rate"
    SLOW_RESPONSE = "slow-response"
    DATA_LOSS = "data-loss"
    DATA_INCONSISTENCY = "data-inconsistency"
    NO_FAILOVER = "no-failover"
    SLOW_RECOVERY = "slow-recovery"
    NO_RECOVERY = "no-recovery"
    CASCADING = "cascading"
    RESOURCE_EXHAUSTION = "resource-exhaustion"
    ALERT_MISSING = "alert-missing"
    ALERT_LATE = "alert-late"
    ALERT_NOISE = "alert-noise"
    RUNBOOK_FAILED = "runbook-failed"
    BLAST_RADIUS_EXCEEDED = "blast-radius-exceeded"
    ROLLBACK_FAILED = "rollback-failed"


class DetectedBy(StrEnum):
    """Who noticed it first."""

    ALERT = "alert"
    DASHBOARD = "dashboard"
    USER = "user"
    CHAOSRUNNER = "chaosrunner"


class RejectedAs(StrEnum):
    """Why something is no near miss. That nobody has time for it is no reason."""

    FALSE_POSITIVE = "false-positive"
    EXPERIMENT_DEFECT = "experiment-defect"
    EXPECTED_BEHAVIOUR = "expected-behaviour"
    OUT_OF_SCOPE = "out-of-scope"
    NOT_REPRODUCED = "not-reproduced"


class WaivedAs(StrEnum):
    """Why something is accepted for a time."""

    COMPENSATING_CONTROL = "compensating-control"
    PLANNED_REPLACEMENT = "planned-replacement"
    ACCEPTED_DESIGN_LIMIT = "accepted-design-limit"
    ENVIRONMENT_ONLY = "environment-only"


class Ending(StrEnum):
    """Why a run ended. Each but FINISHED also names its cause in the journal."""

    FINISHED = "finished"
    ABORTED = "aborted"
    HALTED = "halted"
    REFUSED = "refused"
    NOT_STEADY = "not-steady"
    NOT_READABLE = "not-readable"
    FAULT_FAILED = "fault-failed"
    BARRIER_HELD = "barrier-held"
    JOURNAL_FAILED = "journal-failed"
    DEFECT = "defect"
