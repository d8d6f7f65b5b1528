"""An environment: a named system under test: its platform, metrics, guards, trackers, notifiers."""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.access import Access
from chaosrunner.model.experiment import Metadata
from chaosrunner.model.frozen import Call, Frozen
from chaosrunner.model.incoming import Incoming
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration, Name, Ratio


class PrometheusSource(Access):
    """How to reach Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics)."""

    url: str
    """Base URL, without `/api/v1`."""


class AlertmanagerSource(Access):
    """How to reach Alertmanager, or what speaks its API v2 (Mimir)."""

    url: str
    """Base URL, without `/api/v2`."""


class AlertWatch(Frozen):
    """How alerts are watched while a run lasts, where the environment names a Prometheus or an Alertmanager."""

    every: Duration = Field(default=1.0, gt=0)
    """From one look to the next, and so how exactly the time to detect is known; default 1s."""
    unnoticed: bool = True
    """Whether a hypothesis that breaks while no alert begins to fire is a gap, `undetected`; default true."""


class MaxAffected(Frozen):
    """How much of what owns the targets may be hit at once."""

    share: Ratio = 0.5
    """Default 50%."""
    at_least_one: bool = True
    """One target is allowed even where that is more than the share; default true."""


class ErrorBudgetGuard(Frozen):
    """Refuses while too little of the error budget is left."""

    hypothesis: str
    """Whose measures tell of the budget; a name or a path."""
    objective: Ratio
    """What share of events must be good, such as 99.9%; the rest is the budget."""
    window: Duration
    """The time that the budget is for, such as 30d."""
    at_least: Ratio
    """The share of the budget that must be left, such as 20%."""


class Guards(Frozen):
    """Rules that can refuse or stop a run. One that cannot be answered refuses."""

    production: bool = False
    """True for a production system: needs --i-know-this-is-production and a second name."""
    max_affected: MaxAffected = MaxAffected()
    keep_disruption_budgets: bool = True
    """A drain that a budget blocks is a barrier that held, and a kill that a budget would not allow is refused;
    Kubernetes only."""
    keep_last_replica: bool = True
    """Refuse what takes the only ready replica there is, and record that redundancy is missing; Kubernetes only."""
    windows: tuple[str, ...] = ()
    """When runs may start, `Mon-Fri 09:00-16:00 Europe/Berlin`; none: always."""
    refuse_while_firing: tuple[str, ...] = ()
    """Alerts by label, `severity=critical`, that forbid a start."""
    require_firing: tuple[str, ...] = ()
    """Alerts by name that must fire, such as Watchdog."""
    error_budget: ErrorBudgetGuard | None = None
    """How much of an error budget must be left."""
    always: tuple[str, ...] = ()
    """Guards, by their field's name, that are asked again and again during the run, not only at its start."""


class Verification(Frozen):
    """How many passing runs verify a fix here, on how many different days."""

    runs: int = Field(default=0, ge=0)
    """0: by how reliably the gap was reproduced."""
    days: int = Field(default=0, ge=0)
    """0: by priority."""


class EvidenceSpec(Frozen):
    """Where to look, after a run that found a gap, for what else changed while the fault was in force."""

    sources: tuple[Call, ...] = ()
    """Metrics, logs and events, one plugin each; the catalogue lists them."""
    history: Duration = Field(default=600.0, gt=0, le=86400.0)
    """How far before the fault to look for what is usual; at least ten times as long as the fault. Default 10m."""
    within: Duration = Field(default=20.0, gt=0, le=300.0)
    """How long all sources together may take; what has not answered by then is said not to be known. Default 20s."""
    show: int = Field(default=10, ge=1, le=50)
    """How many clues are kept for each gap, the strongest first; default 10."""


class Due(Frozen):
    """In how many days a fix should be ready, by priority; what is not named is by rule: 14, 30, 90, 180."""

    p1: int | None = Field(default=None, ge=1)
    """Days; default: 14."""
    p2: int | None = Field(default=None, ge=1)
    """Days; default: 30."""
    p3: int | None = Field(default=None, ge=1)
    """Days; default: 90."""
    p4: int | None = Field(default=None, ge=1)
    """Days; default: 180."""

    @property
    def days(self) -> dict[str, int]:
        """What is named, by priority: `P1`, …"""
        named = {"P1": self.p1, "P2": self.p2, "P3": self.p3, "P4": self.p4}
        return {priority: days for priority, days in named.items() if days is not None}


class EnvironmentSpec(Frozen):
    """`spec` of an Environment document."""

    class_: Name | None = None
    """Near misses of environments of one class are the same; default: the environment's name."""
    platform: Call
    """Where targets live: `local` or `kubernetes`, with its settings."""
    prometheus: PrometheusSource | None = None
    """Where measures and alerts are read from."""
    alertmanager: AlertmanagerSource | None = None
    """Where alerts are routed, and silences made."""
    alerts: AlertWatch = AlertWatch()
    """How alerts are watched."""
    guards: Guards = Guards()
    tracker: Call | None = None
    """Where remediation items go; default: `local`, Markdown files."""
    notify: tuple[Call, ...] = ()
    """Who is told what happened: a list of notifiers."""
    verification: Verification = Verification()
    due: Due = Due()
    """The policy of due dates."""
    evidence: EvidenceSpec = EvidenceSpec()
    """Where to look for what else changed, when a run finds a gap."""
    incoming: Incoming = Incoming()
    """Who may report near misses over HTTP."""


class Environment(Frozen):
    """An Environment document."""

    api_version: Literal["chaosrunner.dev/v1"]
    kind: Literal["Environment"]
    metadata: Metadata
    spec: EnvironmentSpec

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return self.metadata.name

    @property
    def class_name(self) -> str:
        """The class that near misses belong to."""
        return self.spec.class_ or self.metadata.name
