"""What a gate is asked by, and what it answers: may this release go out? The rules are in `judging/gate.py`.

Times are wall time, epoch seconds; lengths of time are seconds.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.near_miss import ItemLink
from chaosrunner.model.quantities import Duration
from chaosrunner.model.words import Answer, FindingClass, Priority, State

Least = Priority | Literal["none"]
"""A priority: this one and the more urgent ones; `none`: not even P1."""


class GatePolicy(Frozen):
    """`gate`: what says no. Without any of it: a new or regressed P1 or P2, an incident, an expired waiver, an
    inconclusive run and an undo that failed."""

    new: Least = Priority.P2
    """A new near miss of this priority or a more urgent one says no; `none`: none does. Default P2. It is new while no
    one has taken it on, and a gate's run was the first to show it."""
    regressed: Least = Priority.P2
    """The same for one that came back after it had been closed; `P4`: any. Default P2."""
    incidents: bool = True
    """Whether an incident (the effect left the blast radius) says no until its fix is ready. Default true."""
    expired_waivers: bool = True
    """Whether a waiver that has ended says no until somebody decides anew. Default true."""
    inconclusive: Literal["unknown", "no", "ignore"] = "unknown"
    """What a run makes of the answer that was inconclusive, refused, halted, or did not take place. `unknown`: not
    passed, exit code 3; `no`: exit code 1; `ignore`: it is only shown. Default unknown."""
    overdue: Least = "none"
    """A near miss of this priority, or a more urgent one, whose fix is overdue says no. Default none."""
    not_run_for: Duration | None = Field(default=None, gt=0)
    """An experiment without a conclusive run for so long says no. Default: none does."""
    due_after: Duration = 0.0
    """An experiment with a conclusive run that is not older than this is not run again, that run counts. Default 0s:
    every experiment is run for every release."""
    ratchet: str | None = None
    """Path of a baseline, from the suite's file: only what is worse than it says no. `chaosrunner gate SUITE
    --record-baseline` writes it. Default: none."""
    scope: Literal["suite", "environment"] = "suite"
    """Whose near misses count: those of the suite's experiments and their services, or all of the environment's class.
    Default suite."""


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


class GateNearMiss(Frozen):
    """A near miss that a gate looked at."""

    id: str
    title: str
    finding: FindingClass
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
