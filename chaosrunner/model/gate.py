"""What a gate answers: may this release go out? What it answers by is in `gate_policy`, the rules in `judging/gate.py`.

Times are wall time, epoch seconds; lengths of time are seconds.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.near_miss import ItemLink
from chaosrunner.model.suite_result import labelled
from chaosrunner.model.words import Answer, FindingClass, GapKind, Priority, State


class Passed(StrEnum):
    """Whether a release may go out."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    """Too little is known to say yes."""


class RuleAnswer(Frozen):
    """What one rule of the policy says."""

    name: str
    """Stable: `new`, `regressed`, `incident`, `expired-waiver`, `undo-failed`, `inconclusive`, `overdue`, `not-run`,
    `ratchet`."""
    title: str
    """The rule, as a sentence: `No new near miss is P2 or more urgent`."""
    answer: Literal["pass", "fail", "unknown"]
    why: str
    """One sentence."""
    near_misses: tuple[str, ...] = ()
    """Ids of those that it is about."""


class HypothesisAnswer(Frozen):
    """One hypothesis in one run."""

    name: str
    title: str
    answer: Answer
    why: str
    """One sentence, with numbers."""


class RunAnswer(Frozen):
    """One experiment of the suite, and what its run said."""

    experiment: str
    title: str
    service: str
    """Whose promise is tested; empty: its file could not be planned."""
    environment: str
    parameters: JsonObject = {}
    """What the suite passed to the experiment."""
    run: str | None = None
    """The run's id; None: it did not take place."""
    attempts: tuple[str, ...] = ()
    """Ids of all its runs in this gate, oldest first: the inconclusive may be tried again."""
    now: bool = True
    """Whether it was run by this gate; False: an earlier run counts."""
    verdict: Answer
    """Broken if any attempt was: trying again erases no gap. Without a run: inconclusive."""
    exit_code: int
    """Of the run, as `chaosrunner run` has it."""
    why: str
    """One sentence: what the run showed, or why there is none."""
    hypotheses: tuple[HypothesisAnswer, ...] = ()
    """Empty: there was no run, or only its outcome is known."""
    began: float | None = None
    seconds: float = 0.0
    """How long it took, all attempts together."""
    report: str | None = None
    """Path of the run's report, where it is on this machine."""
    near_misses: tuple[str, ...] = ()
    """Ids of those that its attempts showed."""
    file: str = ""
    """The experiment's file, as seen from the current folder."""
    line: int = 1
    """Where the experiment begins in its file, from 1."""

    @property
    def label(self) -> str:
        """Its name, and its parameters if it has any."""
        return labelled(self.experiment, self.parameters)


class GateNearMiss(Frozen):
    """A near miss that a gate looked at."""

    id: str
    title: str
    finding: FindingClass
    kind: GapKind | None = None
    service: str
    priority: Priority
    state: State
    owner: str | None = None
    due: date
    overdue: bool = False
    opened_at: float
    age: float
    """Seconds since it was opened."""
    change: Literal["new", "regressed", "known"]
    shown: bool = False
    """Whether a run that this gate judged by showed it."""
    gone: bool = False
    """Whether an experiment that once showed it has had a conclusive run since that did not."""
    experiments: tuple[str, ...] = ()
    """That showed it, ever."""
    fingerprint: str
    waived_until: date | None = None
    says_no: bool = False
    """Whether a rule failed because of it."""
    item: ItemLink | None = None
    """The linked remediation."""


class GateAnswer(Frozen):
    """May this release go out? The shape that `--json` prints."""

    schema_: Literal["chaosrunner.gate/1"] = "chaosrunner.gate/1"
    suite: str
    title: str = ""
    environment: str
    """Its name; several are joined by commas."""
    at: float
    """When it was answered."""
    passed: Passed
    exit_code: Literal[0, 1, 3, 7, 70]
    summary: str
    """One sentence."""
    seconds: float = 0.0
    """How long it took."""
    file: str = ""
    """The suite's file, as seen from the current folder."""
    rules: tuple[RuleAnswer, ...] = ()
    """In a fixed order; those that the policy switches off are left out."""
    runs: tuple[RunAnswer, ...] = ()
    """In the suite's order."""
    near_misses: tuple[GateNearMiss, ...] = ()
    """Those that say no first, then by priority and due date; closed ones are left out unless a run verified them."""
    what_to_do: tuple[str, ...] = ()
    """Sentences, the most pressing first; commands stand in backticks."""


class BaselineEntry(Frozen):
    """One near miss that is accepted as it is."""

    fingerprint: str
    id: str
    title: str
    priority: Priority


class GateBaseline(Frozen):
    """What `ratchet` compares with; made to be committed and read by people."""

    schema_: Literal["chaosrunner.gate-baseline/1"] = "chaosrunner.gate-baseline/1"
    suite: str
    recorded_on: date
    recorded_by: str
    near_misses: tuple[BaselineEntry, ...] = ()
    """Sorted by id."""
