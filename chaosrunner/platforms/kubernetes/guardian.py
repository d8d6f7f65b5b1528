"""The guardian from the runner's side: the pod that is started for a run, or the one of a Deployment that is there
always; and the rights that both sides need for faults in the cluster's API, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaosrunner.clock import Clock
from chaosrunner.errors import CannotDoHonestly, NotPossibleNow
from chaosrunner.injector.guardian import RUN
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY
from chaosrunner.platforms.kubernetes.heartbeat import lease_name
from chaosrunner.platforms.kubernetes.ledger import Author
from chaosrunner.platforms.kubernetes.operations import US
from chaosrunner.platforms.kubernetes.spec import Spec

USER = 65532
"""Of the image; nobody on the node."""
LOOK_EVERY = 0.15
SILENT_AFTER = 12.0
"""Seconds in which a guardian of a Deployment, which looks every three, must have spoken."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one role needs, as `verb resource[.group]`."""

    ledger: Sequence[str] = ()
    """In the ledger's namespace."""
    targets: Sequence[str] = ()
    """In each namespace of the environment."""
    cluster: Sequence[str] = ()
    """In the whole cluster: for faults on nodes only."""


_LEDGER = ("get configmaps", "list configmaps", "patch configmaps", "delete configmaps")
_LEASES = tuple(f"{verb} leases.coordination.k8s.io" for verb in ("get", "list", "patch", "delete"))
_PODS = ("get pods", "create pods")
_POLICIES = ("get networkpolicies.networking.k8s.io", "delete networkpolicies.networking.k8s.io")
_CHAOS_MESH = tuple(
    f"{verb} {kind}chaos.chaos-mesh.org"
    for kind in ("pod", "network", "stress", "http", "dns", "io", "time", "kernel", "jvm", "block")
    for verb in ("get", "delete")
)
_SCALED = tuple(f"{verb} {kind}.apps" for kind in ("deployments", "statefulsets") for verb in ("get", "patch"))

RIGHTS: Mapping[str, Rights] = {
    "guardian": Rights(
        ledger=(*_LEDGER, "watch configmaps", *_LEASES),
    ),
    "runner": Rights(
        ledger=(
            *(*_LEDGER, "create configmaps", *_LEASES, "create leases.coordination.k8s.io", *_PODS),
            "get serviceaccounts",
        ),
        targets=("get configmaps", "create configmaps", "update configmaps", "delete configmaps"),
    ),
}
"""Whatever the fault. Of the targets' namespaces' ConfigMaps the runner needs one: `chaosrunner-claims`."""

UNDO_RIGHTS: Mapping[str, Rights] = {
    "scale": Rights(targets=_SCALED),
    "service-blackhole": Rights(targets=("get services", "patch services")),
    "network-policy-deny": Rights(targets=(*_POLICIES, "get pods", "patch pods")),
    "pod-failure": Rights(targets=("get pods", "patch pods")),
    "chaos-mesh": Rights(targets=_CHAOS_MESH),
    "node-cordon": Rights(cluster=("get nodes", "patch nodes")),
    "node-taint": Rights(cluster=("get nodes", "patch nodes")),
    "node-drain": Rights(cluster=("get nodes", "patch nodes")),
    "zone-outage": Rights(cluster=("get nodes", "patch nodes")),
}
"""By fault: what the guardian needs beyond `RIGHTS` to take it back. The runner's needs are the fault's `needs`."""


def manifest(author: Author, lease: Object, spec: Spec, away_from: Sequence[str]) -> Object:
    """The pod for one run: owned by the run's Lease, so that Kubernetes removes it with that; not on the nodes that the
    run acts on, if there are others, and not put off by their taints."""
    name, space = f"chaosrunner-guardian-{author.lease.removeprefix('chaosrunner-run-')}", spec.ledger_namespace
    owner = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "name": author.lease,
        "uid": lease["metadata"]["uid"],
    }
    container = {
        "name": "guardian",
        "image": spec.injector.image_name,
        "imagePullPolicy": spec.injector.pull_policy,
        "command": ["python3", "-m", "chaosrunner.injector.guardian"],
        "args": ["--namespace", space, "--run", author.run, "--port", "0"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "96Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "privileged": False,
        },
    }
    pod: Object = {
        "serviceAccountName": spec.guardian.service_account,
        "restartPolicy": "OnFailure",
        "terminationGracePeriodSeconds": 2,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [{"operator": "Exists", "effect": "NoExecute"}],
        "containers": [container],
    }
    if spec.injector.pull_secret:
        pod["imagePullSecrets"] = [{"name": spec.injector.pull_secret}]
    if away_from:
        pod["affinity"] = {"nodeAffinity": _elsewhere(away_from)}
    labels = {MANAGED_BY: US, "app.kubernetes.io/name": "chaosrunner-guardian", RUN: author.run}
    return {"metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}, "spec": pod}


def _elsewhere(nodes: Sequence[str]) -> Object:
    rules = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    terms = {"weight": 100, "preference": {"matchFields": rules}}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [terms]}


class Guardian:
    """Sees to it that one guards a run before its first fault in the cluster's API."""

    def __init__(self, cluster: Cluster, spec: Spec, clock: Clock) -> None:
        self._cluster = cluster
        self._spec = spec
        self._clock = clock
        self._pods = path("v1", "pods", spec.ledger_namespace)

    async def why_not(self) -> str:
        """Why none can be started, and what to do; empty: nothing speaks against it. Reads only."""
        if self._spec.guardian.mode == "deployment":
            return ""  # it shows on the run's Lease, before the first fault, whether one is there
        account, space = self._spec.guardian.service_account, self._spec.ledger_namespace
        try:
            await self._cluster.get(path("v1", "serviceaccounts", space, account))
        except ApiError as error:
            if error.not_found:
                return (
                    f"the namespace {space} has no service account {account} for the guardian, which takes this fault "
                    f"back if chaosrunner dies: `kubectl apply -k k8s/` makes it, or name another one with "
                    f"`guardian: {{serviceAccount: …}}`"
                )
            if error.code != 403:
                raise
        return ""

    async def check(self) -> None:
        """Raises `CannotDoHonestly` where there can be none."""
        if why := await self.why_not():
            raise CannotDoHonestly(why)

    async def start(self, author: Author, away_from: Sequence[str], said: Callable[[], str]) -> None:
        """Returns when one guards the run, which shows in what it writes on the run's Lease (`said`).

        Raises `NotPossibleNow` with what keeps it from it.
        """
        if self._spec.guardian.mode == "deployment":
            await self._hear(
                said, SILENT_AFTER, "no guardian has shown itself on the run's Lease: is its Deployment up?"
            )
            return
        lease = await self._cluster.get(
            path("coordination.k8s.io/v1", "leases", self._spec.ledger_namespace, lease_name(author.run))
        )
        body = manifest(author, lease, self._spec, away_from)
        try:
            await self._cluster.create(self._pods, body, again=True)
        except ApiError as error:
            if error.code != 409:
                raise NotPossibleNow(f"the guardian's pod could not be made, so nothing was changed: {error}") from None
        await self._hear(said, self._spec.injector.start_within, "", body["metadata"]["name"])

    async def _hear(self, said: Callable[[], str], within: float, why: str, pod: str = "") -> None:
        ends = self._clock.monotonic() + within
        while not said():
            if pod:
                why = await self._state(pod)
            if self._clock.monotonic() >= ends:
                raise NotPossibleNow(f"no guardian within {within:g} s, so nothing was changed: {why}")
            await self._clock.sleep(LOOK_EVERY)

    async def _state(self, name: str) -> str:
        """How the pod fares. Raises `NotPossibleNow` where no waiting helps."""
        found = await self._cluster.get(f"{self._pods}/{name}")
        status = found.get("status", {})
        for container in status.get("containerStatuses") or ():
            waiting = container.get("state", {}).get("waiting") or {}
            reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
            if reason in ("ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "ImagePullBackOff"):
                raise NotPossibleNow(f"the guardian's pod {name} cannot start: {reason}: {message}")
            if container.get("restartCount"):
                return f"its pod {name} is restarted again and again: `kubectl logs {name} --previous`"
            if "running" in container.get("state", {}):
                return (
                    f"its pod {name} runs, but does not reach the API server or may not write: "
                    f"`kubectl logs {name} -n {self._spec.ledger_namespace}`; a NetworkPolicy, or missing rights"
                )
        for condition in status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return f"its pod {name} finds no node: {condition.get('message', '')}"
        return f"its pod {name} is {status.get('phase', 'Pending')}"
