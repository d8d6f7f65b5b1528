"""The Kubernetes platform's settings in an environment file: which cluster, and what of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chaosrunner import __version__
from chaosrunner.model.frozen import Frozen, Parameters
from chaosrunner.model.quantities import Duration, Name

IMAGE = "chaosrunner/injector"
"""The injector's image, without its tag, which is the version."""
WORKLOADS = ("deployment", "statefulset", "daemonset", "replicaset", "job")
"""What runs pods, as it stands before the slash of `deployment/checkout`."""


def split_workload(text: str) -> tuple[str, str]:
    """`deployment/checkout` as (kind, name). Raises ValueError in words for the author of the file."""
    kind, slash, name = text.partition("/")
    if not slash or kind.lower() not in WORKLOADS or not name:
        known = ", ".join(f"{kind}/NAME" for kind in WORKLOADS)
        raise ValueError(f"expected a workload as one of {known}, found {text!r}")
    return kind.lower(), name


def _parse_workload(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"expected a workload such as deployment/checkout, found {value!r}")
    return "/".join(split_workload(value))


Workload = Annotated[str, BeforeValidator(_parse_workload)]
"""`deployment/checkout`."""


class Service(Frozen):
    """One service of the system: pods that can be acted on, and a name that others reach it by; or an outside host."""

    namespace: Name | None = None
    """Where it runs; default: the only namespace of the environment."""
    workload: Workload | None = None
    """What owns its pods: `deployment/checkout`."""
    selector: dict[str, str] | None = None
    """Or labels that its pods have."""
    service: Name | None = None
    """The Kubernetes Service that others reach it by; default: the one whose selector its pods match."""
    host: str | None = None
    """A dependency outside of the cluster: a DNS name or an address. It can be lost, not acted on itself."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """The port that others connect to; default: all of the Service's."""
    tier: int | None = Field(default=None, ge=1, le=4)
    """How much depends on it: 1 most, 4 least; for the priority of near misses."""

    @model_validator(mode="after")
    def _one_way(self) -> Service:
        given = [name for name in ("workload", "selector", "host") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"expected one of workload, selector or host, found {' and '.join(given)}")
        if not given and self.service is None:
            raise ValueError("expected workload, selector, service or host: what this service is")
        if self.host is not None and (self.namespace or self.service):
            raise ValueError("a host is outside of the cluster: it has no namespace and no Kubernetes Service")
        return self


class Injector(Frozen):
    """What runs beside a target, in an ephemeral container of its pod."""

    image: str | None = None
    """Default: chaosrunner's own image of the runner's version."""
    pull_secret: str | None = None
    """A pull secret that the target pods' service accounts have or are given by you; checked by `doctor`."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""
    mode: Literal["auto", "netem", "proxy"] = "auto"
    """How network faults are done: netem where the kernel has it, else a proxy in the pod."""
    attach_up_to: int = Field(default=200, ge=1)
    """Pods of a run whose injectors are each spoken with; of more, only a sample is, and looked at from inside, and the
    others get their order when they are started, and heartbeats as datagrams from the guardian's pod."""
    start_within: Duration = 30.0
    """How long a pod may take to start it; default 30s."""

    @property
    def image_name(self) -> str:
        """The image, or the default."""
        return self.image or f"{IMAGE}:{__version__}"


class Guardian(Frozen):
    """What takes faults in the cluster's API back when the runner is gone."""

    namespace: Name | None = None
    """Where it and the ledger live; default: the first namespace of the environment."""
    mode: Literal["pod", "deployment"] = "pod"
    """`pod`: one is started for each run that needs it; `deployment`: one of `k8s/` is there always."""
    service_account: str = "chaosrunner-guardian"
    """Whose rights it has; see `k8s/`."""


class Spec(Parameters):
    """Which cluster, and what of it may be touched."""

    context: str | None = None
    """Context of the kubeconfig; default: its current one, in a pod the service account."""
    kubeconfig: str | None = None
    """Path of a kubeconfig; default: $KUBECONFIG, ~/.kube/config."""
    namespaces: tuple[Name, ...] = Field(min_length=1)
    """Nothing outside of these is ever touched."""
    cluster_uid: str | None = None
    """The uid of kube-system, or of the first namespace above: a context that points elsewhere is refused."""
    opt_in: dict[str, str] | None = None
    """Labels that a pod must have to be acted on."""
    injector: Injector = Injector()
    guardian: Guardian = Guardian()
    services: dict[Name, Service] = {}
    """Names that experiments use."""

    @model_validator(mode="after")
    def _inside(self) -> Spec:
        for name, service in self.services.items():
            if service.namespace is not None and service.namespace not in self.namespaces:
                known = ", ".join(self.namespaces)
                raise ValueError(
                    f"service {name}: the namespace {service.namespace} is not one of `namespaces`: {known}"
                )
            if service.namespace is None and service.host is None and len(self.namespaces) > 1:
                raise ValueError(f"service {name}: expected a namespace, as the environment has several")
        return self

    def namespace_of(self, service: str) -> str:
        """Where a service of the cluster runs."""
        return self.services[service].namespace or self.namespaces[0]

    @property
    def ledger_namespace(self) -> str:
        """Where the guardian, the ledger and the runs' leases are."""
        return self.guardian.namespace or self.namespaces[0]
