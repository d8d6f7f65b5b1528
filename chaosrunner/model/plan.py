"""The plan: the experiment with everything resolved. A dry run prints it; a run embeds it in its journal."""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import (
    BaselineSpec,
    ExpectAlert,
    RecoverySpec,
    Remediation,
    Risk,
    Selector,
    Silence,
    TrafficSpec,
)
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.quantities import Seconds
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import AbortLimit, Tolerance
from chaosrunner.model.words import During, Missing


class PlannedMeasure(Frozen):
    """A measure with every default filled in. `key` (`hypothesis/measure`) names it in the journal."""

    key: str
    hypothesis: str
    name: str
    probe: str
    params: JsonObject = {}
    tolerance: Tolerance | None = None
    unit: str | None = None
    room: Literal["latency", "ratio", "rate"] | None = None
    """What sort of quantity this is, where a close call can be told; None: never a close call."""
    every: Seconds
    timeout: Seconds
    retries: int = 0
    lag: Seconds
    abort_at: AbortLimit | None = None
    blind: Seconds = 15.0
    during: During = During.ALWAYS
    when_missing: Missing = Missing.INCONCLUSIVE


class PlannedHypothesis(Frozen):
    """A hypothesis and its measures."""

    name: str
    title: str
    measures: tuple[PlannedMeasure, ...]


class PlannedFault(Frozen):
    """One fault step with its targets found."""

    id: str
    fault: str
    params: JsonObject = {}
    """With stand-ins for what is in `later`."""
    later: JsonObject | None = None
    """Parameters, whole and as written, of which something is known only when earlier steps have run; None: none."""
    selector: Selector | None = None
    targets: tuple[Target, ...] = ()
    candidates: int = 0
    """How many targets matched before `take`."""
    unmatched: str = ""
    """Why nothing matched; empty: something did, or nobody knows."""
    instant: bool = False
    """Over at once (a kill); `lasts` is then the observation."""
    lasts: Seconds
    """How long it is in force, or is observed."""
    settle: Seconds = 0.0
    after: Seconds = 0.0
    expect_alert: ExpectAlert | None = None
    fault_class: str
    """For the near miss's identity: `instance-loss`, `dependency-slow`, …"""
    identity: dict[str, str] = {}
    """Identity parameters, as the fault names them."""
    does: str
    """What will happen, as a sentence."""
    undo: str
    """What the undo will do, as a sentence."""

    @property
    def no_target(self) -> str:
        """What is said where nothing matched."""
        return f"no target matched: {self.unmatched}" if self.unmatched else "no target matched"


class PlannedRead(Frozen):
    """One reading between faults, for later steps."""

    id: str
    probe: str
    params: JsonObject = {}
    """With stand-ins for what is in `later`."""
    later: JsonObject | None = None
    """As with a fault."""
    timeout: Seconds


class PlannedItem(Frozen):
    """One item of the method: a wait, a reading, or faults (one, or several together)."""

    wait: Seconds = 0.0
    faults: tuple[PlannedFault, ...] = ()
    read: PlannedRead | None = None


class GuardAnswer(Frozen):
    """What a guard said."""

    guard: str
    """Its name, as in the environment file."""
    go: bool
    reason: str
    """Why, as a sentence; for a refusal also what would make it pass."""
    unsafe_condition: bool = False
    """Whether the refusal is itself a finding (redundancy is missing)."""
    subject: str = ""
    """Of an unsafe condition: what it is about, without anything that changes between runs: `deployment/checkout`."""


class Source(Frozen):
    """A file that the plan was made from."""

    path: str
    sha256: str


class Plan(Frozen):
    """Everything that a run needs to know, and everything that `judge` needs to know of its intentions."""

    schema_: Literal[1] = 1
    experiment: str
    title: str
    service: str
    """Whose promise is tested."""
    owner: str | None = None
    labels: dict[str, str] = {}
    environment: Environment
    folder: str = "."
    """Where relative paths of the environment's file start."""
    seed: int
    parameters: JsonObject = {}
    """What the experiment's parameters are in this run; never part of a near miss's identity."""
    hypotheses: tuple[PlannedHypothesis, ...]
    traffic: TrafficSpec | None = None
    baseline: BaselineSpec
    method: tuple[PlannedItem, ...]
    recovery: RecoverySpec
    silence: Silence | None = None
    risk: Risk | None = None
    remediation: Remediation | None = None
    aliases: tuple[str, ...] = ()
    guards: tuple[GuardAnswer, ...] = ()
    warnings: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    gate: str | None = None
    """The suite whose gate asked for this run; None: none did."""
    command: str = ""
    """What runs this experiment again: `chaosrunner run experiments/x.yaml -e staging --seed 7`."""

    @property
    def measures(self) -> tuple[PlannedMeasure, ...]:
        """Of all hypotheses."""
        return tuple(measure for hypothesis in self.hypotheses for measure in hypothesis.measures)

    @property
    def faults(self) -> tuple[PlannedFault, ...]:
        """Of the whole method."""
        return tuple(fault for item in self.method for fault in item.faults)

    @property
    def slowest_lag(self) -> float:
        """Seconds that phases wait for readings that lie wholly inside them."""
        return max((measure.lag for measure in self.measures), default=0.0)
