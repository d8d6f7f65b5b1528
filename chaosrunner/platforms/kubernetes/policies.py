"""NetworkPolicies: everything but one dependency as peers of a rule; connections that show whether one is enforced."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from typing import Any, Literal

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.dependencies import Dependencies
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import LinkSample, Policies

NAME = "kubernetes.io/metadata.name"
"""The label that every namespace has."""
ANY_PORT = 1
"""Of a pod that names none: a port where nobody listens is refused, which shows that the way there is open."""
LOOK_WITHIN = 4.5
Outcome = Literal["answered", "refused", "reset", "silent"]


class ClusterPolicies(Policies):
    """With the guardian's pod as the one who knocks."""

    def __init__(self, cluster: Cluster, spec: Spec, presence: Presence) -> None:
        self._cluster = cluster
        self._spec = spec
        self._presence = presence
        self._dependencies = Dependencies(cluster, spec)

    async def others_than(self, target: Target) -> Sequence[JsonObject]:
        """By address and by label: some networks match pods by the one, some by the other, and a policy allows what any
        of its peers allows."""
        if "port" in target.details:
            raise CannotDoHonestly(
                f"{target.name}: a policy that allows all but one port of one dependency cannot be said in a way that "
                f"every network understands: leave out the port, or use dependency-loss"
            )
        dependency = await self._dependencies.of(target)
        blocks = [ipaddress.ip_network(str(each["cidr"])) for each in dependency.to if "cidr" in each]
        if not blocks:
            raise CannotDoHonestly(f"{target.name}: {target.to} has no address now that a policy could leave out")
        peers: list[JsonObject] = []
        for every in (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")):
            left_out: Any = sorted({str(block) for block in blocks if block.version == every.version})
            peers.append({"ipBlock": {"cidr": str(every)} | ({"except": left_out} if left_out else {})})
        return peers + await self._pods_but(dependency.service)

    async def _pods_but(self, service: tuple[str, str] | None) -> list[JsonObject]:
        """All pods but those of a Service."""
        if service is None:
            return [{"namespaceSelector": {}}]
        space, name = service
        found = await self._cluster.get(path("v1", "services", space, name))
        labels = found["spec"].get("selector") or {}
        others: JsonObject = {"matchExpressions": [{"key": NAME, "operator": "NotIn", "values": [space]}]}
        peers: list[JsonObject] = [{"namespaceSelector": others}]
        for key, value in sorted(labels.items()):
            rule: JsonObject = {"matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]}
            peers.append({"namespaceSelector": {"matchLabels": {NAME: space}}, "podSelector": rule})
        return peers

    async def knock(self, target: Target) -> LinkSample:
        """By the look program in the guardian's image."""
        await self._presence.brace()
        pod = await self._cluster.get(path("v1", "pods", str(target.details["namespace"]), str(target.details["pod"])))
        host = str(pod.get("status", {}).get("podIP", ""))
        words = ["python3", "-S", "-m", "chaosrunner.injector.look", "tcp", host, str(_port(pod))]
        guardian = self._presence.guardian_pod
        try:
            done = await self._cluster.execute(
                self._spec.ledger_namespace, guardian, "guardian", words, within=LOOK_WITHIN
            )
        except ApiError as error:
            raise FaultFailed(f"knocking from the guardian's pod {guardian} failed: {error}") from None
        try:
            seen: dict[str, Any] = json.loads(done.out)
        except ValueError:
            raise FaultFailed(f"knocking from the guardian's pod {guardian} failed: {done.err.strip()}") from None
        known: Sequence[Outcome] = ("answered", "refused", "reset", "silent")
        for one in known:
            if seen.get("outcome") == one:
                return LinkSample(one, float(seen.get("seconds") or 0.0))
        raise FaultFailed(f"knocking at {target.name} failed: {seen}")


def _port(pod: Object) -> int:
    ports = [
        int(port["containerPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    ]
    return ports[0] if ports else ANY_PORT
