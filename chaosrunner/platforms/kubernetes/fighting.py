"""Controllers that may take a fault back, or stand between it and what it is to hit: autoscalers, GitOps tools, service
meshes. Hints for the plan; whether a fault is in force is seen while it should be."""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import Finder

GITOPS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations by which GitOps tools know what is theirs."""
SIDECARS = {"istio-proxy": "Istio", "linkerd-proxy": "Linkerd", "consul-dataplane": "Consul", "kuma-sidecar": "Kuma"}
"""Containers by which service meshes stand in front of a pod."""


async def words(cluster: Cluster, finder: Finder, targets: Sequence[Target]) -> list[str]:
    """What is there that may fight back, in sentences; none where it may not be looked at."""
    said: list[str] = []
    for target in targets:
        if target.kind in ("workload", "kube-service"):
            found = await finder.object_of(target)
            said += _git_ops(target.name, found["metadata"]) if found is not None else []
        if target.kind == "workload":
            said += await _autoscaled(cluster, target)
    for pod in _one_of_each_owner(targets):
        found = await finder.object_of(pod)
        said += _meshed(pod, found) if found is not None else []
    return said


def _one_of_each_owner(targets: Sequence[Target]) -> Sequence[Target]:
    chosen = {
        (target.details.get("namespace"), target.details.get("owner") or target.id): target
        for target in targets
        if target.kind in ("pod", "link")
    }
    return tuple(chosen.values())


def _git_ops(name: str, metadata: Object) -> list[str]:
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    tools = sorted({tool for mark, tool in GITOPS.items() if mark in marks})
    return [f"{name} is kept by {tool}, which may take a change of it back: pause its sync" for tool in tools]


async def _autoscaled(cluster: Cluster, target: Target) -> list[str]:
    space = str(target.details.get("namespace"))
    try:
        found = await cluster.get(path("autoscaling/v2", "horizontalpodautoscalers", space))
    except ApiError as error:
        if error.passing:
            raise
        return []  # no such API here, or it may not be read
    said = []
    for each in found.get("items") or ():
        spec, scaled = each["spec"], each["spec"]["scaleTargetRef"]
        kind = f"{str(scaled['kind']).lower()}s"
        if (kind, scaled["name"]) == (target.details.get("resource"), target.details.get("name")):
            bounds = f"{spec.get('minReplicas', 1)} and {spec['maxReplicas']}"
            name = each["metadata"]["name"]
            said.append(f"the autoscaler {name} keeps {target.name} between {bounds} replicas, and may scale it back")
    return said


def _meshed(pod: Target, found: Object) -> list[str]:
    spec = found["spec"]
    names = [each["name"] for each in (*spec.get("containers", ()), *spec.get("initContainers", ()))]
    meshes = sorted({SIDECARS[name] for name in names if name in SIDECARS})
    where = pod.name.partition(" -> ")[0]
    return [
        f"{where} is in the mesh of {mesh}: what leaves it is encrypted, so that faults on HTTP cannot be done on it"
        for mesh in meshes
    ]
