"""Selectors -> what they mean in a cluster, read as pages of metadata and of what kubectl would print: names, owners,
readiness, addresses and labels of ten thousand pods without one whole pod."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple

from chaosrunner.errors import UsageError
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import METADATA_ONLY, Cluster, Object, path
from chaosrunner.platforms.kubernetes.tables import Metadata, Owner

APIS: Mapping[str, tuple[str, str]] = {
    "deployment": ("apps/v1", "deployments"),
    "statefulset": ("apps/v1", "statefulsets"),
    "daemonset": ("apps/v1", "daemonsets"),
    "replicaset": ("apps/v1", "replicasets"),
    "job": ("batch/v1", "jobs"),
}
"""Group and version, and resource, of each sort of workload."""
ZONE = "topology.kubernetes.io/zone"
MANAGED_BY = "app.kubernetes.io/managed-by"
OPT = "chaosrunner.dev/allow"
"""A label or annotation of pods and nodes: `false` keeps them out of every experiment."""

_NOBODY = Owner("", "", "")
_State = tuple[Any, Any, Any, Any, Any]
"""Of a pod's row: containers that are ready (`1/2`), status, restarts (`3 (2m ago)`), address, node."""


class PodSeen(NamedTuple):
    """A pod as a list shows it."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owner_kind: str
    owner_name: str
    owner_uid: str
    """Of what controls it directly; empty: nothing does, and it would not come back."""
    status: str
    """`Running`, `Pending`, `CrashLoopBackOff`, …, as kubectl shows it."""
    ready: bool
    restarts: int
    ip: str
    node: str
    leaving: bool
    """It is being deleted."""

    @property
    def why_not(self) -> str:
        """Why it is no target; empty: it can be one."""
        if self.leaving:
            return "is being deleted"
        if self.status != "Running":
            return f"is {self.status}"
        if self.labels.get(MANAGED_BY) == "chaosrunner":
            return "is chaosrunner's own"
        if "false" in (self.labels.get(OPT), self.annotations.get(OPT)):
            return f"says {OPT}: false"
        return ""


class PodQuery(NamedTuple):
    """Which pods are meant."""

    namespace: str
    labels: str = ""
    """A label selector as the API takes it."""
    fields: str = ""
    """A field selector as the API takes it: `spec.nodeName=node-1`."""
    names: frozenset[str] = frozenset()
    owner_uid: str = ""
    """Of the workload that owns them, directly or through a ReplicaSet."""


class _Wanted(NamedTuple):
    """Which of the pods that the server lists are meant."""

    names: frozenset[str]
    owners: frozenset[str] | None
    """The uids that the direct owner may have; None: any."""

    def has(self, pod: Metadata) -> bool:
        """Whether it is one."""
        return (not self.names or pod.name in self.names) and (self.owners is None or _owner(pod).uid in self.owners)


def label_selector(labels: Mapping[str, str]) -> str:
    """`{app: cart}` as `app=cart`."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def selector_of(workload: Object) -> str:
    """The label selector of a workload, `matchExpressions` included. A Service's is plain labels."""
    selector = workload.get("spec", {}).get("selector") or {}
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return label_selector(selector)
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or ():
        values = ",".join(rule.get("values") or ())
        parts.append(
            {
                "In": f"{rule['key']} in ({values})",
                "NotIn": f"{rule['key']} notin ({values})",
                "Exists": rule["key"],
                "DoesNotExist": f"!{rule['key']}",
            }[rule["operator"]]
        )
    return ",".join(parts)


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector object means something with these labels; an empty one means everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions") or ():
        there, values = labels.get(rule["key"]), rule.get("values") or ()
        fits = {
            "In": there in values,
            "NotIn": there not in values,
            "Exists": there is not None,
            "DoesNotExist": there is None,
        }
        if not fits[rule["operator"]]:
            return False
    return True


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Without the garbage collector: many pods are some hundred thousand objects, none of which is garbage, and looking
    at all of them again and again takes a third of the time that reading them does."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Finder:
    """Asks a cluster what is there."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def pods(self, query: PodQuery) -> list[PodSeen]:
        """All pods that match, whatever their state, sorted by name.

        Who they are and how they are come from two lists of the same moment, read at the same time. A pod of which only
        one of them tells began or ended in between: it is not among them.
        """
        owners = await self.owned_by(query)
        asked = {"labelSelector": query.labels} if query.labels else {}
        asked |= {"fieldSelector": query.fields} if query.fields else {}
        where = path("v1", "pods", query.namespace)
        with nothing_collected():
            states = asyncio.create_task(self._states(where, asked))
            try:
                found = await self._seen(where, asked, states, _Wanted(query.names, owners))
            finally:
                states.cancel()
                await asyncio.gather(states, return_exceptions=True)
        return sorted(found, key=lambda pod: (pod.namespace, pod.name))

    async def _seen(
        self, where: str, asked: Mapping[str, str], states: Awaitable[Mapping[str, _State]], wanted: _Wanted
    ) -> Collection[PodSeen]:
        """The pods with their states, which are awaited as soon as there is a pod."""
        found: dict[str, PodSeen] = {}
        async for page in self._cluster.listings(where, **asked):
            printed = await states
            for item in page.items or ():
                pod = item.metadata
                state = printed.get(pod.name)
                if state is not None and wanted.has(pod):
                    found[pod.uid] = _pod(pod, state)
        return found.values()

    async def _states(self, where: str, asked: Mapping[str, str]) -> Mapping[str, _State]:
        """By the name of a pod: how it is."""
        found: dict[str, _State] = {}
        async for page in self._cluster.tables(where, **asked):
            name, *places = (page.places[column] for column in ("Name", "Ready", "Status", "Restarts", "IP", "Node"))
            state_of = itemgetter(*places)
            for row in page.rows or ():
                found[str(row.cells[name])] = state_of(row.cells)
        return found

    async def owned_by(self, query: PodQuery) -> frozenset[str] | None:
        """The uids that the direct owner of a query's pods may have; None: any."""
        if not query.owner_uid:
            return None
        uids = {query.owner_uid}
        sets = path("apps/v1", "replicasets", query.namespace)
        async for item in self.metadata(sets, labelSelector=query.labels):
            if any(owner.get("uid") == query.owner_uid for owner in item.get("ownerReferences") or ()):
                uids.add(str(item["uid"]))
        return frozenset(uids)

    async def metadata(self, where: str, **query: Any) -> AsyncIterator[Object]:
        """The metadata of all objects of a list, one after the other."""
        async for page in self._cluster.pages(where, accept=METADATA_ONLY, **query):
            for item in page.get("items") or ():
                yield item["metadata"]

    async def top_owners(self, pods: Sequence[PodSeen]) -> dict[str, str]:
        """By the uid of a pod's direct owner: what owns it in the end, `deployment/checkout`."""
        owners = {pod.owner_uid: f"{pod.owner_kind.lower()}/{pod.owner_name}" for pod in pods if pod.owner_uid}
        spaces = {pod.namespace for pod in pods if pod.owner_kind == "ReplicaSet"}
        for space in sorted(spaces):
            async for item in self.metadata(path("apps/v1", "replicasets", space)):
                if item["uid"] not in owners:
                    continue
                for owner in item.get("ownerReferences") or ():
                    if owner.get("controller"):
                        owners[item["uid"]] = f"{owner['kind'].lower()}/{owner['name']}"
        return owners

    async def workload(self, namespace: str, kind: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        api, resource = APIS[kind]
        return await self._cluster.find(path(api, resource, namespace, name))

    async def workload_of(self, namespace: str, owner: str) -> Object | None:
        """What owns pods (`deployment/checkout`); None where there is none, or its sort is not known here."""
        kind, _, name = owner.partition("/")
        return await self.workload(namespace, kind, name) if kind in APIS else None

    async def object_of(self, target: Target) -> Object | None:
        """A target's object; None where there is none (any more)."""
        place = where(target)
        return await self._cluster.find(place) if place is not None else None

    async def service(self, namespace: str, name: str) -> Object | None:
        """The Kubernetes Service, or None where there is none."""
        return await self._cluster.find(path("v1", "services", namespace, name))

    async def nodes(self, *, names: Sequence[str] = (), zone: str | None = None) -> list[Object]:
        """Metadata of nodes by name or zone, sorted by name; all of them if neither is given."""
        query = {"labelSelector": f"{ZONE}={zone}"} if zone is not None else {}
        found = [item async for item in self.metadata(path("v1", "nodes"), **query)]
        return sorted(
            (item for item in found if not names or item["name"] in names), key=lambda item: str(item["name"])
        )


def _owner(pod: Metadata) -> Owner:
    """What controls it directly."""
    for owner in pod.owners:
        if owner.controller:
            return owner
    return _NOBODY


def _pod(metadata: Metadata, state: _State) -> PodSeen:
    ready, status, restarts, ip, node = state
    owner = _owner(metadata)
    are, _, of = str(ready).partition("/")
    times = str(restarts).split(" ")[0]
    return PodSeen(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        labels=metadata.labels,
        annotations=metadata.annotations,
        owner_kind=owner.kind,
        owner_name=owner.name,
        owner_uid=owner.uid,
        status=str(status),
        ready=are == of,
        restarts=int(times) if times.isdigit() else 0,
        ip=_told(ip),
        node=_told(node),
        leaving=metadata.leaves_at is not None,
    )


def _told(cell: Any) -> str:
    return "" if cell in (None, "<none>") else str(cell)


# --------------------------------------------------------------------------------------------------------- targets


def pod_target(pod: PodSeen, service: str | None, owner: str) -> Target:
    """A pod as a target."""
    details: JsonObject = {
        "namespace": pod.namespace,
        "pod": pod.name,
        "uid": pod.uid,
        "node": pod.node,
        "ip": pod.ip,
        "owner": owner,
    }
    name = f"{pod.namespace}/{pod.name}"
    # of very many, and there is nothing to judge: all of it is text
    return Target.model_construct(kind="pod", id=f"pod:{name}", name=name, service=service, details=details)


def link_target(pod: Target, to: str, port: int | None) -> Target:
    """A pod's connections to one dependency of the environment."""
    end = f"{to}:{port}" if port is not None else to
    return pod.model_copy(
        update={
            "kind": "link",
            "id": f"link:{pod.name}>{end}",
            "name": f"{pod.name} -> {end}",
            "to": to,
            "details": pod.details | {"to": to} | ({"port": port} if port is not None else {}),
        }
    )


def node_target(metadata: Object) -> Target:
    """A node as a target."""
    zone = (metadata.get("labels") or {}).get(ZONE, "")
    details: JsonObject = {"node": metadata["name"], "uid": metadata["uid"], "zone": zone}
    return Target(kind="node", id=f"node:{metadata['name']}", name=str(metadata["name"]), details=details)


def zone_target(zone: str, nodes: Sequence[Object]) -> Target:
    """A zone with its nodes, by their metadata, as one target."""
    names: list[Any] = [str(node["name"]) for node in nodes]
    return Target(kind="zone", id=f"zone:{zone}", name=zone, details={"zone": zone, "nodes": names})


def nodes_of(target: Target) -> Sequence[str]:
    """The names of the nodes that a target is: of a node its own, of a zone all of its."""
    nodes = target.details.get("nodes")
    if target.kind == "zone" and isinstance(nodes, list):
        return [str(name) for name in nodes]
    return [target.name] if target.kind == "node" else []


def workload_target(kind: str, workload: Object, service: str | None) -> Target:
    """A workload as a target."""
    api, resource = APIS[kind]
    metadata = workload["metadata"]
    name = f"{metadata['namespace']}/{kind}/{metadata['name']}"
    details: JsonObject = {
        "namespace": metadata["namespace"],
        "api": api,
        "resource": resource,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return Target(kind="workload", id=f"workload:{name}", name=name, service=service, details=details)


def service_target(found: Object, service: str | None) -> Target:
    """A Kubernetes Service as a target."""
    metadata = found["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    details: JsonObject = {"namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    return Target(
        kind="kube-service", id=f"kube-service:{name}", name=f"service {name}", service=service, details=details
    )


def selector_words(value: Any) -> str:
    """`selector` of a target as the API takes it: labels, or the text of a label selector.

    Raises `UsageError` for anything else.
    """
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, dict) and value and all(isinstance(each, str) for each in value.values()):
        return label_selector(value)
    raise UsageError(
        f"target.selector: expected labels such as {{app: cart}}, or text such as 'app=cart', found {value!r}"
    )


def where(target: Target) -> str | None:
    """The path of a target's object in the API; None: it has none."""
    details = target.details
    space, name = details.get("namespace"), details.get("name")
    if target.kind in ("pod", "link"):
        return path("v1", "pods", str(space), str(details.get("pod")))
    if target.kind == "node":
        return path("v1", "nodes", None, str(details.get("node")))
    if target.kind == "workload":
        return path(str(details.get("api")), str(details.get("resource")), str(space), str(name))
    if target.kind == "kube-service":
        return path("v1", "services", str(space), str(name))
    return None
