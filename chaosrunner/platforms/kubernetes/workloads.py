"""Workloads through the cluster's API: how far a rollout is, and beginning one as kubectl does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosrunner.errors import FaultFailed
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import Finder, selector_of
from chaosrunner.platforms.kubernetes.pods import readiness, refused
from chaosrunner.ports import Workloads, WorkloadState

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` writes into the pod template's annotations."""


class ClusterWorkloads(Workloads):
    """Deployments, stateful sets and daemon sets."""

    def __init__(self, cluster: Cluster, finder: Finder) -> None:
        self._cluster = cluster
        self._finder = finder

    async def state(self, target: Target) -> WorkloadState:
        """Its whole object, read."""
        found = await self._cluster.find(_where(target))
        if found is None:
            return WorkloadState(gone=f"{target.name} was deleted")
        if found["metadata"]["uid"] != target.details.get("uid"):
            return WorkloadState(gone=f"{target.name} is another one of the same name now")
        return state_of(kind_of(target), found)

    async def restart(self, target: Target, mark: str) -> None:
        """A merge into the pod template's annotations; the uid in it makes the API refuse another object."""
        template = {"metadata": {"annotations": {RESTARTED_AT: mark}}}
        body = {"metadata": {"uid": target.details["uid"]}, "spec": {"template": template}}
        try:
            await self._cluster.patch(_where(target), body)
        except ApiError as error:
            if error.not_found:
                raise FaultFailed(f"{target.name} is gone already") from None
            if error.code in (409, 422) and "uid" in error.message.lower():
                raise FaultFailed(f"{target.name} is another one of the same name now") from None
            raise refused(f"restarting {target.name}", error) from None

    async def marked(self, target: Target, mark: str) -> int:
        """Of the pods that the workload's selector means, by their metadata alone."""
        found = await self._cluster.get(_where(target))
        pods = path("v1", "pods", str(target.details["namespace"]))
        count = 0
        async for metadata in self._finder.metadata(pods, labelSelector=selector_of(found)):
            count += (metadata.get("annotations") or {}).get(RESTARTED_AT) == mark
        return count


def kind_of(target: Target) -> str:
    """`deployment` of `workload:shop/deployment/cart`."""
    return target.id.split("/")[1]


def state_of(kind: str, workload: Object) -> WorkloadState:
    """What a workload's object says."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    ready, wanted = readiness(kind, workload)
    updated = int(status.get("updatedNumberScheduled" if kind == "daemonset" else "updatedReplicas", 0))
    there = int(status.get("currentNumberScheduled" if kind == "daemonset" else "replicas", 0))
    seen = int(status.get("observedGeneration", 0)) >= int(workload["metadata"].get("generation", 0))
    return WorkloadState(
        wanted=wanted,
        updated=updated,
        ready=ready,
        settled=seen and updated == wanted and ready == wanted and there == wanted,
        why_no_rollout=_why_no_rollout(kind, spec, wanted),
    )


def _why_no_rollout(kind: str, spec: Mapping[str, Any], wanted: int) -> str:
    if kind not in ("deployment", "statefulset", "daemonset"):
        return f"a {kind} has no rollouts: name the deployment, statefulset or daemonset"
    if spec.get("paused"):
        return "it is paused, so that a rollout would not begin: `kubectl rollout resume` it"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "its updateStrategy is OnDelete: pods change only when they are deleted; use pod-kill"
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    if kind == "statefulset" and partition >= max(wanted, 1):
        return f"its updateStrategy has the partition {partition}, so that none of its pods would change"
    return "it has no pods" if wanted == 0 else ""


def _where(target: Target) -> str:
    details = target.details
    return path(str(details["api"]), str(details["resource"]), str(details["namespace"]), str(details["name"]))
