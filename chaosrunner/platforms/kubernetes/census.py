"""How many pods there are of what has replicas, how many of them are ready, and which of them a fault takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from chaosrunner.model.plan import PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.model.words import FaultClass
from chaosrunner.platforms.kubernetes.finding import Finder, PodQuery, PodSeen
from chaosrunner.ports import Affected

TAKES_AWAY = frozenset({FaultClass.INSTANCE_LOSS, FaultClass.INSTANCE_HANG, FaultClass.ZONE_LOSS})
"""Classes of faults after which a pod does not serve."""
NOBODY = ""
_OVER = frozenset({"Succeeded", "Completed", "Failed", "Error", "Evicted"})


class Crowd(NamedTuple):
    """What has replicas: the pods of one owner."""

    namespace: str
    owner: str
    """`deployment/checkout`; empty: pods that nothing owns."""

    @property
    def name(self) -> str:
        """For people, and for the subject of a near miss."""
        return f"{self.namespace}/{self.owner}" if self.owner else f"{self.namespace} that nothing owns"


class Census(NamedTuple):
    """The live pods of some namespaces, by what owns them."""

    crowds: Mapping[Crowd, Sequence[PodSeen]]

    def hit(self, targets: Sequence[Target]) -> dict[Crowd, list[PodSeen]]:
        """The pods that are, or whose connections are, or on whose nodes are, the targets. The pods of daemon sets go
        with their node anyway, and do not count."""
        uids = {target.details.get("uid") for target in targets if target.kind in ("pod", "link")}
        nodes = {name for target in targets for name in _nodes(target)}
        found: dict[Crowd, list[PodSeen]] = {}
        for crowd, pods in self.crowds.items():
            stays = crowd.owner.startswith("daemonset/")
            here = [pod for pod in pods if pod.uid in uids or (pod.node in nodes and not stays)]
            if here:
                found[crowd] = here
        return found


def _nodes(target: Target) -> Sequence[object]:
    if target.kind == "node":
        return [target.details.get("node")]
    nodes = target.details.get("nodes")
    return nodes if target.kind == "zone" and isinstance(nodes, list) else ()


async def taken(finder: Finder, namespaces: Sequence[str]) -> Census:
    """Count the pods of these namespaces; those that have ended or are being deleted are none."""
    crowds: dict[Crowd, list[PodSeen]] = {}
    for space in sorted(namespaces):
        pods = [pod for pod in await finder.pods(PodQuery(space)) if not pod.leaving and pod.status not in _OVER]
        owners = await finder.top_owners(pods)
        for pod in pods:
            crowds.setdefault(Crowd(space, owners.get(pod.owner_uid, NOBODY)), []).append(pod)
    return Census(crowds)


def spaces_hit(targets: Sequence[Target], all_of_them: Sequence[str]) -> Sequence[str]:
    """The namespaces whose pods these targets may be."""
    if any(target.kind in ("node", "zone") for target in targets):
        return all_of_them
    return sorted({str(target.details["namespace"]) for target in targets if target.kind in ("pod", "link")})


async def affected(finder: Finder, fault: PlannedFault, namespaces: Sequence[str]) -> Sequence[Affected] | None:
    """How much of each owner a fault hits; of nodes also how many of all. None: it acts on something whole (a workload,
    a Service), of which nothing is left to count."""
    kinds = {target.kind for target in fault.targets}
    if not kinds or not kinds <= {"pod", "link", "node", "zone"}:
        return None
    found = []
    if "node" in kinds:
        nodes = frozenset(target.name for target in fault.targets if target.kind == "node")
        found.append(Affected("nodes", nodes, len(await finder.nodes())))
    if kinds & {"pod", "link"} or fault.fault_class in TAKES_AWAY:
        census = await taken(finder, spaces_hit(fault.targets, namespaces))
        for crowd, pods in census.hit(fault.targets).items():
            names = frozenset(f"{pod.namespace}/{pod.name}" for pod in pods)
            found.append(Affected(f"pods of {crowd.name}", names, len(census.crowds[crowd])))
    return found
