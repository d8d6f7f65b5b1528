"""An experiment: what to break, where, for how long, and which hypotheses must hold."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal

from chaosrunner.model.alerts import MatcherText, narrow
from chaosrunner.model.frozen import Call, Frozen, JsonObject
from chaosrunner.model.hypothesis import Hypothesis, HypothesisSpec, Parameter
from chaosrunner.model.marks import BeforeValidator, Discriminator, Field, JsonValue, Tag, model_validator
from chaosrunner.model.quantities import Duration, Name, Rate, parse_ratio


class Metadata(Frozen):
    """`metadata` of every document."""

    name: Name
    """Stable: it is part of a near miss's identity."""
    labels: dict[str, str] = {}
    """For selecting and grouping."""
    annotations: dict[str, str] = {}
    """For people and other tools; never read by chaosrunner."""


def _parse_take(value: Any) -> Any:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    if isinstance(value, str) and value.strip().endswith("%"):
        with suppress(ValueError):
            if parse_ratio(value) > 0:
                return f"{parse_ratio(value) * 100:g}%"
    raise ValueError(f"expected a count from 1, a share such as 50%, or all, found {value!r}")


Take = Annotated[int | str, BeforeValidator(_parse_take)]
"""How many of the matching targets: a count, a share (rounded down, at least one) or `all`."""

_WAYS = ("service", "workload", "selector", "names", "link")
_PLACES = ("node", "node_of", "zone")


class Selector(Frozen):
    """`target`: what a fault acts on. Which ways of naming it there are depends on the platform."""

    service: str | None = None
    """What runs this service of the environment."""
    to: str | None = None
    """With `service`: that service's connections to this one only."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """With `to`: this port only."""
    link: str | None = None
    """A TCP link of a local environment."""
    namespace: str | None = None
    """Kubernetes: with `selector`."""
    selector: JsonValue = None
    """Kubernetes: labels that pods must have."""
    workload: str | None = None
    """Kubernetes: `deployment/cart`."""
    names: tuple[str, ...] = ()
    """Kubernetes: pods by name; beside another way: only these of them."""
    fields: str | None = None
    """Kubernetes: only pods that match this field selector, `spec.serviceAccountName=cart`."""
    node: str | None = None
    """Kubernetes: a node by name; beside another way, and for faults on pods: only the pods there."""
    node_of: JsonObject | None = None
    """Kubernetes: the nodes that run what this selects; beside another way: only the pods there."""
    zone: str | None = None
    """Kubernetes: all nodes of a zone; beside another way, and for faults on pods: only the pods there."""
    take: Take = 1
    """How many of what matches: a count, a share (rounded down, at least one) or `all`; default 1."""
    follow: bool = False
    """Whether targets that appear while the fault is in force are acted on, too: all of them with `take: all`,
    otherwise one for each that went away, so that as many stay in force as were chosen."""
    same_as: str | None = None
    """Reuse the targets of the step with this id."""

    @model_validator(mode="after")
    def _one_way(self) -> Selector:
        given = [name for name in _WAYS if getattr(self, name)]
        given = [name for name in given if name != "names"] or given
        places = [name for name in _PLACES if getattr(self, name) is not None]
        if self.same_as is not None:
            if given or places:
                raise ValueError("sameAs stands alone: it names the targets of another step")
        elif len(given) > 1 or len(places) > 1 or not given + places:
            raise ValueError("expected one of service, link, workload, selector, names, node, nodeOf, zone or sameAs")
        if self.to is not None and self.service is None:
            raise ValueError("`to` needs the service whose connections are meant")
        return self


class ExpectAlert(Frozen):
    """An alert that this fault should raise."""

    name: str = Field(min_length=1)
    """The alert's name."""
    within: Duration
    """From the fault in force to the alert firing."""
    labels: dict[str, str] = {}
    """Only alerts that have all of these labels; default: any."""
    source: Literal["prometheus", "alertmanager"] | None = None
    """Who must say that it fires. Default: the environment's Prometheus, or its Alertmanager if it names no Prometheus.
    How long the other one took is measured, too."""


class Silence(Frozen):
    """Alerts that Alertmanager keeps from people while the faults are in force. chaosrunner sees them all the same."""

    matchers: tuple[MatcherText, ...] = Field(min_length=1)
    """All must match: `service="checkout"`, `severity=~"page|ticket"`. One of them must name what the experiment hits:
    its service, or a target's service, workload, namespace or node."""

    @model_validator(mode="after")
    def _means_something(self) -> Silence:
        narrow(self.matchers)
        return self


class FaultStep(Frozen):
    """One fault on one selection of targets."""

    fault: str
    """The fault's kind."""
    target: Selector | None = None
    """What it acts on; faults that act on nothing (`noop`) need none."""
    with_: JsonObject = {}
    """The fault's parameters."""
    id: Name | None = None
    """For `sameAs` and in reports; default: the fault's kind, numbered where it occurs twice."""
    for_: Duration | None = None
    """How long it stays in force."""
    observe: Duration | None = None
    """After a fault that is over at once: how long what it did is observed; default 30s."""
    settle: Duration = 0.0
    """Readings in the first part in force are recorded, not judged; default 0s."""
    after: Duration = 0.0
    """Inside `together`: starts so much later; default 0s."""
    expect_alert: ExpectAlert | None = None
    """The alert that should fire."""


class WaitStep(Frozen):
    """A pause between faults; the hypotheses are read on."""

    wait: Duration
    """How long."""


class ReadStep(Frozen):
    """One reading between faults, for `${steps.ID.value}` in later steps. It judges nothing."""

    id: Name
    """What later steps call it."""
    read: Call
    """One probe with its parameters, as in a measure: `{http: {url: …, read: json, path: $.leader}}`. No value: the run
    stops there, and is inconclusive."""
    timeout: Duration | None = Field(default=None, gt=0, le=60)
    """How long the reading may take, at most 60s; default: the probe's own limit, or 10s."""


class TogetherStep(Frozen):
    """Faults in force at the same time, on different targets unless `sameAs` says otherwise."""

    together: tuple[FaultStep, ...] = Field(min_length=2)
    """The faults, at least two."""


_STEPS = (("fault", FaultStep), ("wait", WaitStep), ("read", ReadStep), ("together", TogetherStep))


def _which_step(value: Any) -> str | None:
    for key, kind in _STEPS:
        if isinstance(value, kind) or (isinstance(value, dict) and key in value):
            return f"{key}-step"
    return None


Step = Annotated[
    Annotated[FaultStep, Tag("fault-step")]
    | Annotated[WaitStep, Tag("wait-step")]
    | Annotated[ReadStep, Tag("read-step")]
    | Annotated[TogetherStep, Tag("together-step")],
    Discriminator(
        _which_step,
        custom_error_type="step",
        custom_error_message="expected a step with `fault`, `wait`, `read` or `together`",
    ),
]


class TrafficSpec(Frozen):
    """Built-in open-loop load: requests start on schedule whether or not earlier ones have been answered."""

    url: str
    """Where to."""
    rate: Rate
    """Arrivals a second, constant."""
    method: str = "GET"
    """HTTP method; default GET."""
    body: str | None = None
    """Request body."""
    headers: dict[str, str] = {}
    """Request headers."""
    expect: int | tuple[int, ...] = 200
    """The status, or statuses, that count as success; default 200."""
    timeout: Duration = 10.0
    """A request that takes longer is an error, with this as its latency; default 10s."""


class BaselineSpec(Frozen):
    """How long the steady state must be seen before anything is broken."""

    for_: Duration = 30.0
    """All judged measures must be inside for all of this; default 30s."""
    within: Duration | None = None
    """Tried for so long; default: twice `for`, plus the slowest measure's lag."""

    @model_validator(mode="before")
    @classmethod
    def _just_for(cls, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | list):
            raise ValueError(f"expected a duration such as 30s, or {{for: 30s, within: 3m}}, found {value!r}")
        return {"for": value} if isinstance(value, str) else value


class RecoverySpec(Frozen):
    """What counts as recovered."""

    within: Duration = 60.0
    """From the undo; default 60s."""
    holds: Duration | None = None
    """How long every judged measure must stay inside; default: three readings, at least 5s."""


class Risk(Frozen):
    """What the author knows about this fault in production."""

    occurrence: int = Field(ge=1, le=10)
    """How likely it is in production, 1 (hardly ever) to 10 (all the time)."""


class Remediation(Frozen):
    """Who gets the work if a gap is found."""

    assignee: str | None = None
    """Who gets it, as the tracker calls people."""
    labels: tuple[str, ...] = ()
    """Of the tracker's item."""
    runbook: Call | None = None
    """An automation that fixes or checks it."""


class HypothesisUse(Frozen):
    """A hypothesis with parameters, and what they are here."""

    use: str
    """Its name, or the path of its file."""
    with_: JsonObject = {}
    """Values of its parameters."""
    as_: Name | None = None
    """What it is called here, where one is used twice; part of a near miss's identity. Default: its name."""


def _which_hypothesis(value: Any) -> str:
    if isinstance(value, str):
        return "hypothesis-name"
    if isinstance(value, HypothesisUse) or (isinstance(value, dict) and "use" in value):
        return "hypothesis-used"
    in_place = isinstance(value, Hypothesis) or (isinstance(value, dict) and {"measures", "title", "name"} & set(value))
    return "hypothesis-in-place" if in_place else "hypothesis-elsewhere"


HypothesisRef = Annotated[
    Annotated[str, Tag("hypothesis-name")]
    | Annotated[Hypothesis, Tag("hypothesis-in-place")]
    | Annotated[HypothesisUse, Tag("hypothesis-used")]
    | Annotated[Call, Tag("hypothesis-elsewhere")],
    Discriminator(_which_hypothesis),
]
"""A name or path, a hypothesis written in place, or another format by kind (`openslo: PATH`)."""


class ExperimentSpec(Frozen):
    """`spec` of an Experiment document."""

    title: str
    """What is expected of the system, as a sentence."""
    description: str = ""
    """Why this is worth knowing."""
    service: Name | None = None
    """Whose promise is tested; default: the experiment's name."""
    owner: str | None = None
    """The team that owns the service."""
    environment: str | None = None
    """Name or path of the environment; `-e` overrides it."""
    hypotheses: tuple[HypothesisRef, ...] = Field(min_length=1)
    """Names, paths, or hypotheses written in place."""
    traffic: TrafficSpec | None = None
    """Load for as long as the run lasts."""
    baseline: BaselineSpec = BaselineSpec()
    """`{for, within}`, or just a duration."""
    method: tuple[Step, ...] = Field(min_length=1)
    """Faults, waits, readings, and faults together, in this order."""
    recovery: RecoverySpec = RecoverySpec()
    """`{within, holds}`."""
    silence: Silence | None = None
    """Alerts to silence in the environment's Alertmanager while the faults are in force; default: none."""
    risk: Risk | None = None
    """`{occurrence: 4}`."""
    remediation: Remediation | None = None
    """Who gets the work."""
    aliases: tuple[Name, ...] = ()
    """Earlier names of this experiment's service or experiment, so that near misses keep their history."""
    extends: str | None = None
    """Name or path of an experiment whose `spec` this one takes over: mappings are merged, lists are replaced."""
    parameters: dict[Name, Parameter] = {}
    """What those who run it may say: `--parameter NAME=VALUE`; `${name}` stands for it anywhere in `spec`."""
    matrix: dict[Name, tuple[JsonValue, ...]] = {}
    """Several values for parameters: `{delay: [100ms, 300ms]}`; each combination is a run of its own."""

    @model_validator(mode="after")
    def _breaks_something(self) -> ExperimentSpec:
        if all(isinstance(step, WaitStep | ReadStep) for step in self.method):
            raise ValueError("the method has no fault")
        return self


class Experiment(Frozen):
    """An Experiment document."""

    api_version: Literal["chaosrunner.dev/v1"]
    kind: Literal["Experiment"]
    metadata: Metadata
    spec: ExperimentSpec


class HypothesisDocument(Frozen):
    """A Hypothesis document."""

    api_version: Literal["chaosrunner.dev/v1"]
    kind: Literal["Hypothesis"]
    metadata: Metadata
    spec: HypothesisSpec

    @property
    def hypothesis(self) -> Hypothesis:
        """The hypothesis under its document's name."""
        return Hypothesis(name=self.metadata.name, title=self.spec.title, measures=self.spec.measures)
