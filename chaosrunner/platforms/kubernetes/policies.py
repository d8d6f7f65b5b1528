"""NetworkPolicies: everything but one dependency as peers of a rule; connections that show whether one is enforced."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Literal

from chaosrunner.clock import Clock
from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.channel import Talk
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
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
EVERYWHERE: Sequence[Network] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
Outcome = Literal["answered", "refused", "reset", "silent"]


class ClusterPolicies(Policies):
    """With the guardian's pod as the one who knocks."""

    def __init__(self, cluster: Cluster, spec: Spec, presence: Presence, clock: Clock) -> None:
        self._cluster = cluster
        self._spec = spec
        self._presence = presence
        self._dependencies = Dependencies(cluster, spec)
        self._clock = clock
        self._looks: Talk | None = None

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
        for every in await self._families(target):
            left_out: Any = sorted({str(block) for block in blocks if block.version == every.version})
            peers.append({"ipBlock": {"cidr": str(every)} | ({"except": left_out} if left_out else {})})
        return peers + await self._pods_but(dependency.service)

    async def _families(self, target: Target) -> Sequence[Network]:
        """Every address of the families that the pod has: not every network takes blocks of another one."""
        found = await self._cluster.find(
            path("v1", "pods", str(target.details["namespace"]), str(target.details["pod"]))
        )
        status: Object = {} if found is None else found.get("status", {})
        texts = [str(each["ip"]) for each in status.get("podIPs") or ()] or [str(target.details.get("ip") or "0.0.0.0")]
        versions = {ipaddress.ip_address(text).version for text in texts}
        return [every for every in EVERYWHERE if every.version in versions]

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

    async def ready(self) -> None:
        """The guardian's pod, and the program in it that looks; starting that costs more than looking."""
        await self._presence.brace()
        if self._looks is None:
            space, guardian = self._spec.ledger_namespace, self._presence.guardian_pod
            command = ["python3", "-m", "chaosrunner.injector.look", "serve"]

            async def fate() -> str:
                return "" if await self._is_there(guardian) else f"the guardian's pod {guardian} was deleted"

            self._looks = Talk(
                lambda: self._cluster.converse(space, guardian, "guardian", command),
                fate,
                self._clock,
                who=f"the program that looks from the guardian's pod {guardian}",
            )
            await self._looks.ask({"many": []}, self._spec.injector.start_within)

    async def _is_there(self, pod: str) -> bool:
        try:
            await self._cluster.get(path("v1", "pods", self._spec.ledger_namespace, pod))
        except ApiError as error:
            return not error.not_found
        return True

    async def close(self) -> None:
        """End the program; idempotent."""
        looks, self._looks = self._looks, None
        if looks is not None:
            await looks.close()

    async def knock(self, target: Target) -> LinkSample:
        """By the look program in the guardian's image."""
        if self._looks is None:
            raise FaultFailed(f"{target.name} cannot be looked at: no guardian is there for this run")
        where = path("v1", "pods", str(target.details["namespace"]), str(target.details["pod"]))
        try:
            pod = await self._cluster.get(where)
        except ApiError as error:
            raise FaultFailed(f"{target.name} cannot be looked at: {error}") from None
        host = str(pod.get("status", {}).get("podIP", ""))
        told = await self._looks.ask({"many": [["tcp", host, str(_port(pod))]]}, LOOK_WITHIN)
        seen: dict[str, Any] = told["looks"][0]
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
