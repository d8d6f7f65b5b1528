"""What `chaosrunner init` found: services, how they can be measured, and what their owners promise of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from chaosrunner.model.marks import JsonValue
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class FoundService:
    """Something that runs, on whatever platform."""

    name: str
    """Lower case letters, digits and dashes; what files call it."""
    namespace: str = ""
    workload: str = ""
    """Kubernetes: `deployment/checkout`."""
    replicas: int = 1
    kube_service: str = ""
    """Kubernetes: the Service that others reach it by."""
    port: int | None = None
    """Local: where it listens on this machine."""
    calls: tuple[str, ...] = ()
    """Names of other services that its settings name."""
    health: str = ""
    """A path or URL that says whether it is well, if it has one."""
    kept_out: bool = False
    """Whether it says that chaos is not for it."""


@dataclass(frozen=True, slots=True)
class FoundPlatform:
    """Where services live."""

    kind: str
    services: tuple[FoundService, ...]
    namespaces: tuple[str, ...] = ()
    context: str = ""
    kubeconfig: str = ""
    uid: str = ""
    """Kubernetes: by which the cluster is known."""
    source: str = ""
    """Where it was found, for people: `compose.yaml`, `the context staging`."""
    passed_over: tuple[str, ...] = ()
    """What was seen and cannot be used, each with its reason."""


@dataclass(frozen=True, slots=True)
class FoundCounter:
    """A counter of requests that tells good from bad, and of which service."""

    metric: str
    service_label: str
    """Whose value is the service: `job`, `app`."""
    services: tuple[str, ...]
    code_label: str
    """Whose value is how it ended: `code`, `status`."""
    histogram: str = ""
    """Of seconds, without `_bucket`; empty: none with the same label."""


@dataclass(frozen=True, slots=True)
class FoundObjective:
    """A promise that is written down already: recorded by rules of Prometheus, or in an OpenSLO file."""

    name: str
    service: str
    """Whose; empty: it does not say."""
    query: str = ""
    """Of the recorded ratio of bad events."""
    file: str = ""
    """The OpenSLO file, as it is named."""
    objective: float | None = None
    """The share of good events that is promised."""
    window: float = 0.0
    """Seconds that the recorded ratio looks back on."""


@dataclass(frozen=True, slots=True)
class FoundAlert:
    """An alerting rule."""

    name: str
    waits: float
    """Seconds of its `for`."""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FoundMetrics:
    """What a Prometheus has."""

    url: str
    access: Mapping[str, JsonValue] = field(default_factory=dict)
    """As whom it was asked, in the words of an environment: references to secrets, and paths from its folder."""
    counters: tuple[FoundCounter, ...] = ()
    objectives: tuple[FoundObjective, ...] = ()
    alerts: tuple[FoundAlert, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that was found."""

    platform: FoundPlatform | None = None
    metrics: FoundMetrics | None = None
    objectives: tuple[FoundObjective, ...] = ()
    """Of OpenSLO files."""
    passed_over: tuple[str, ...] = ()
    """What was seen beside the platform and cannot be used, each with its reason."""


def file_name(text: str) -> str:
    """A name made of what something is called: lower case letters, digits and dashes."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text.lower())
    return "-".join(part for part in kept.split("-") if part)[:60].strip("-")
