"""Kubernetes objects as a cluster would hold them, with little to say about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]


def namespace(name: str, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, **metadata},
        "status": {"phase": "Active"},
    }


def node(name: str, zone: str = "", *, ready: bool = True, **metadata: Any) -> Object:
    labels = {"kubernetes.io/hostname": name} | ({"topology.kubernetes.io/zone": zone} if zone else {})
    labels |= metadata.pop("labels", {})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, **metadata},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def pod(
    name: str,
    *,
    space: str = "shop",
    labels: Mapping[str, str] | None = None,
    owner: Object | None = None,
    node: str = "node-1",
    ip: str = "10.1.0.1",
    phase: str = "Running",
    ready: bool = True,
    waiting: str = "",
    restarts: int = 0,
    **metadata: Any,
) -> Object:
    """`owner`: the object that controls it; `waiting`: why its container is not running (`CrashLoopBackOff`)."""
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": dict(labels or {}), **owned_by(owner), **metadata},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "shop:1"}]},
        "status": {
            "phase": phase,
            "podIP": ip,
            "podIPs": [{"ip": ip}] if ip else [],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"name": "main", "ready": ready, "restartCount": restarts, "state": state}],
        },
    }


def owned_by(owner: Object | None) -> Object:
    """The metadata of what a controller made."""
    if owner is None:
        return {}
    made = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
    return {"ownerReferences": [made | {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]}


def workload(
    kind: str,
    name: str,
    *,
    space: str = "shop",
    replicas: int = 2,
    labels: Mapping[str, str] | None = None,
    expressions: Sequence[Object] = (),
    **metadata: Any,
) -> Object:
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet, with everything ready."""
    selector: Object = {"matchLabels": dict(labels if labels is not None else {"app": name})}
    selector |= {"matchExpressions": list(expressions)} if expressions else {}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": space, "labels": dict(labels or {"app": name}), **metadata},
        "spec": {"replicas": replicas, "selector": selector},
        "status": {
            "replicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "observedGeneration": 1,
        },
    }


def service(name: str, *, space: str = "shop", selector: Mapping[str, str] | None = None, port: int = 80) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "selector": dict(selector if selector is not None else {"app": name}),
            "clusterIP": "10.96.0.10",
            "ports": [{"port": port, "protocol": "TCP", "targetPort": port}],
        },
    }


def budget(name: str, allowed: int, *, space: str = "shop", labels: Mapping[str, str] | None = None) -> Object:
    """A PodDisruptionBudget that lets so many pods go."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": space},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": dict(labels or {"app": name})}},
        "status": {
            "disruptionsAllowed": allowed,
            "currentHealthy": 2,
            "desiredHealthy": 2 - allowed,
            "expectedPods": 2,
        },
    }


def endpoints(name: str, *addresses: str, space: str = "shop", port: int = 80) -> Object:
    """An EndpointSlice of a Service: where it is answered."""
    ready = {"ready": True, "serving": True, "terminating": False}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x", "namespace": space, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": ready} for address in addresses],
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
    }
