"""Pods through the cluster's API: as they are now, deleted, evicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.errors import BarrierHeld, FaultFailed
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes import finding
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import APIS, MANAGED_BY, OPT, Finder, PodQuery
from chaosrunner.ports import PodContainer, Pods, PodState, Sighting

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a pod that comes from a file on its node."""
TRY_AGAIN = 1.0
"""Seconds between two tries of an eviction that a budget does not allow."""
LATE = 10.0
"""Seconds after its time to end was over in which a pod's containers must have ended: the node's own delay, and the
difference between this machine's clock and the cluster's."""
_BUDGET = "DisruptionBudget"


def refused(what: str, error: ApiError) -> FaultFailed:
    """An API server's refusal as a fault's failure, in words."""
    if error.code == 403:
        return FaultFailed(f"{what} is not allowed: {error.message}")
    if error.code:
        return FaultFailed(f"{what} failed: the API server answers {error.code}: {error.message}")
    return FaultFailed(f"{what} failed: the API server cannot be reached: {error.message}")


class ClusterPods(Pods):
    """Pods of the environment's namespaces."""

    def __init__(self, cluster: Cluster, finder: Finder, namespaces: Sequence[str], clock: Clock) -> None:
        self._cluster = cluster
        self._finder = finder
        self._namespaces = namespaces
        self._clock = clock

    async def state(self, target: Target) -> PodState:
        """Its whole object, read."""
        pod = await self._cluster.find(_where(target))
        if pod is None:
            return PodState(gone=f"{target.name} was deleted")
        if pod["metadata"]["uid"] != target.details.get("uid"):
            return PodState(gone=f"{target.name} is another one of the same name now")
        return state_of(pod, self._clock.now())

    async def delete(self, target: Target, grace: float | None = None) -> None:
        """DELETE with the pod's uid as a precondition."""
        try:
            await self._cluster.delete(_where(target), _options(target, grace))
        except ApiError as error:
            raise self._words(f"deleting the pod {target.name}", target, error) from None

    async def evict(self, target: Target, grace: float | None = None, *, within: float = 0.0) -> None:
        """POST to the pod's `eviction`, of policy/v1."""
        gives_up = self._clock.monotonic() + within
        tries = 0
        while True:
            tries += 1
            try:
                await self._cluster.create(_where(target, "eviction"), _eviction(target, grace), again=True)
                return
            except ApiError as error:
                if _BUDGET not in error.causes:
                    raise self._words(f"evicting the pod {target.name}", target, error) from None
                if self._clock.monotonic() + TRY_AGAIN > gives_up:
                    raise BarrierHeld(_held(target, error, tries, within)) from None
            await self._clock.sleep(TRY_AGAIN)

    def _words(self, what: str, target: Target, error: ApiError) -> FaultFailed:
        if error.not_found:
            return FaultFailed(f"{target.name} is gone already")
        if error.code == 409 and "uid" in error.message.lower():
            return FaultFailed(f"{target.name} is gone already; there is another pod of the same name now")
        return refused(what, error)

    async def ending(self, target: Target) -> Sighting:
        """By the pod's own object, read anew."""
        state = await self.state(target)
        name = target.name
        if state.gone:
            return Sighting(True, state.gone)
        if not state.leaving:
            return Sighting(False, f"{name} is there, and nobody told it to end")
        if not state.running:
            return Sighting(True, f"{name} is being deleted, and none of its containers runs")
        still = f"{' and '.join(state.running)} of {name} still {'runs' if len(state.running) == 1 else 'run'}"
        if state.ends_in < -LATE:
            return Sighting(False, f"{still}, {-state.ends_in:.0f} s after its time to end was over ({state.node})")
        left = f"has {state.ends_in:.0f} s left to end" if state.ends_in >= 1 else "has no time left to end"
        return Sighting(True, f"{name} is being deleted and {left}; {still}")

    async def on_nodes(self, names: Sequence[str]) -> Sequence[Target]:
        """Asked node by node, in each namespace of the environment."""
        found = []
        for space in self._namespaces:
            for name in names:
                found += await self._finder.pods(PodQuery(space, fields=f"spec.nodeName={name}"))
        there = [pod for pod in found if not pod.leaving and pod.labels.get(MANAGED_BY) != "chaosrunner"]
        there = [pod for pod in there if pod.status not in ("Completed", "Succeeded", "Failed", "Error", "Evicted")]
        owners = await self._finder.top_owners(there)
        return [finding.pod_target(pod, None, owners.get(pod.owner_uid, "")) for pod in there]

    async def owner(self, target: Target) -> str:
        """The owner that was found with the target, asked for anew."""
        name = str(target.details.get("owner") or "")
        kind, _, own = name.partition("/")
        if not name:
            return ""
        if kind not in APIS:
            return f"{name} keeps it, which cannot be asked how many are ready"
        try:
            found = await self._finder.workload(str(target.details["namespace"]), kind, own)
        except ApiError as error:
            return f"{name} cannot be read: {error.message}"
        if found is None:
            return f"{name}, which kept it, is gone"
        ready, wanted = readiness(kind, found)
        return f"{name} has {ready} of {wanted} ready"


def readiness(kind: str, workload: Object) -> tuple[int, int]:
    """(ready, wanted) pods of a workload."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if kind == "daemonset":
        return int(status.get("numberReady", 0)), int(status.get("desiredNumberScheduled", 0))
    if kind == "job":
        return int(status.get("ready", 0)), int(spec.get("parallelism", 1))
    return int(status.get("readyReplicas", 0)), int(spec.get("replicas", 1))


def state_of(pod: Object, now: float) -> PodState:
    """What a pod's object says; `now` is wall time."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    leaving = "deletionTimestamp" in metadata
    own = spec.get("terminationGracePeriodSeconds", 30)
    owner = next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), None)
    marks = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    return PodState(
        leaving=leaving,
        grace=float(metadata.get("deletionGracePeriodSeconds", own) if leaving else own),
        ends_in=datetime.fromisoformat(metadata["deletionTimestamp"]).timestamp() - now if leaving else 0.0,
        node=str(spec.get("nodeName", "")),
        owner=f"{owner['kind'].lower()}/{owner['name']}" if owner is not None else "",
        containers=_containers(spec, pod.get("status") or {}),
        mirror=MIRROR in (metadata.get("annotations") or {}),
        scratch=tuple(str(each["name"]) for each in spec.get("volumes") or () if "emptyDir" in each),
        kept_out=marks.get(OPT) == "false",
    )


def _containers(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Sequence[PodContainer]:
    shared = bool(spec.get("shareProcessNamespace") or spec.get("hostPID"))
    return tuple(
        PodContainer(
            name=str(each["name"]),
            id=str(each.get("containerID", "")),
            running="running" in (each.get("state") or {}),
            restarts=int(each.get("restartCount", 0)),
            pid_one=not shared,
        )
        for each in status.get("containerStatuses") or ()
    )


def _where(target: Target, sub: str | None = None) -> str:
    details = target.details
    return path("v1", "pods", str(details["namespace"]), str(details["pod"]), sub)


def _options(target: Target, grace: float | None) -> Object:
    seconds = {} if grace is None else {"gracePeriodSeconds": round(grace)}
    return {"preconditions": {"uid": target.details["uid"]}, **seconds}


def _eviction(target: Target, grace: float | None) -> Object:
    details = target.details
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": details["pod"], "namespace": details["namespace"]},
        "deleteOptions": _options(target, grace),
    }


def _held(target: Target, error: ApiError, tries: int, within: float) -> str:
    asked = f"asked {tries} times within {within:g} s" if tries > 1 else "asked once"
    why = error.causes[_BUDGET] or error.message
    return f"a PodDisruptionBudget does not allow the eviction of {target.name} ({asked}): {why}"
