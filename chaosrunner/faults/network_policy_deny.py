"""Deny a pod its connections by a NetworkPolicy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.needs import INJECTOR
from chaosrunner.objects import ObjectFault
from chaosrunner.ports import Links, LinkSample, Parameters, Policies, Sighting, Target

LABEL = "chaosrunner.dev/denied"
"""On the pod, so that the policy is of this pod alone: it selects by label, and pods of one workload share theirs."""
SETTLES = 10.0
"""Seconds that the network may take to follow a policy."""
Way = Literal["ingress", "egress"]


class Params(Parameters):
    """Which way."""

    direction: Literal["ingress", "egress", "both"] = "egress"
    """Connections to the pod, those that it opens, or both; default egress. With a target's `to`: egress only."""


class NetworkPolicyDeny(ObjectFault[Params]):
    """Puts a NetworkPolicy on a pod that allows it no connections in a direction or, where the target has `to`, none to
    that dependency: the mistake that a policy rolled out too early makes. The kubelet's probes still reach the pod, and
    most networks let connections that are open go on.

    Whether the cluster enforces policies at all is seen, not assumed: real connections, which were answered before,
    must fail. For egress they are made from inside the pod (by chaosrunner's injector), for ingress from the guardian's
    pod. A policy only takes away what no other policy allows: a pod that another one selects in that direction is
    refused. The pod is given a label while the fault lasts; the policy belongs to the pod and goes with it. At the end
    policy and label are removed. Pods of the dependency that appear meanwhile may be reached.
    """

    acts_on = frozenset({"pod", "link"})
    fault_class = "dependency-gone"
    needs = (
        "get pods",
        "patch pods",
        "list networkpolicies.networking.k8s.io",
        "get networkpolicies.networking.k8s.io",
        "create networkpolicies.networking.k8s.io",
        "delete networkpolicies.networking.k8s.io",
        "get services",
        "list endpointslices.discovery.k8s.io",
        *INJECTOR,
    )
    example = """\
- fault: network-policy-deny
  target: {service: checkout, to: payments}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {} if target.kind == "link" else {"direction": params.direction}

    @classmethod
    def does(cls, params: Params) -> str:
        what = {
            "ingress": "new connections to the pod are dropped, the kubelet's probes excepted",
            "egress": "new connections that the pod opens are dropped, or those to its `to`",
            "both": "new connections to and from the pod are dropped, the kubelet's probes excepted",
        }[params.direction]
        return f"A NetworkPolicy is put on the pod: {what}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The policy is deleted, and the label that it selects the pod by is taken off."

    @classmethod
    def patience(cls, params: Params) -> float:
        return SETTLES

    @property
    def _links(self) -> Links:
        return self.platform.ability(Links)

    @property
    def _ways(self) -> Sequence[Way]:
        return ("ingress", "egress") if self.params.direction == "both" else (self.params.direction,)

    @property
    def _space(self) -> str:
        return str(self.target.details["namespace"])

    @property
    def _pod(self) -> str:
        return f"/api/v1/namespaces/{self._space}/pods/{self.target.details['pod']}"

    @property
    def _all(self) -> str:
        return f"/apis/networking.k8s.io/v1/namespaces/{self._space}/networkpolicies"

    @property
    def _name(self) -> str:
        """Of the policy, and the value of the label: this hold's."""
        return f"chaosrunner-deny-{self.objects.tag(self.hold)}"

    async def check(self) -> None:
        if self.target.kind == "link" and self.params.direction != "egress":
            raise CannotDoHonestly(f"{self.target.name}: with `to` the direction is egress")
        await self.objects.ready()
        if "egress" in self._ways:
            await self._links.check(self.target)
        if self.target.kind == "link":
            await self.platform.ability(Policies).others_than(self.target)
        await self._check_others()

    async def _check_others(self) -> None:
        pod = await self.objects.read(self._pod)
        labels = {} if pod is None else pod["metadata"].get("labels") or {}
        if pod is not None and pod["spec"].get("hostNetwork"):
            raise CannotDoHonestly(f"{self.target.name} is in its node's own network, which no policy covers")
        for policy in await self.objects.items(self._all):
            spec = policy["spec"]
            ways = [way.lower() for way in spec.get("policyTypes") or ("Ingress", *(("Egress",) * ("egress" in spec)))]
            both = [way for way in self._ways if way in ways]
            if both and _selects(spec.get("podSelector") or {}, labels):
                raise CannotDoHonestly(
                    f"the NetworkPolicy {policy['metadata']['name']} selects {self.target.name} for {both[0]} already: "
                    f"policies only add up, so that denying more would change nothing; use network-partition or "
                    f"dependency-loss"
                )

    async def ready(self) -> None:
        if "egress" in self._ways:
            await self._links.ready(self.target, self.hold)
        if "ingress" in self._ways:
            await self.platform.ability(Policies).ready()

    async def prepare(self) -> JsonObject:
        before: JsonObject = {}
        for way in self._ways:
            sample = await self._look(way)
            if sample.outcome == "silent":
                other = "; does a NetworkPolicy keep the guardian's pod from it?" if way == "ingress" else ""
                raise FaultFailed(f"{self._words(way)} is silent already, so that nothing could be seen{other}")
            before[way] = sample.outcome
        undo = [
            self.objects.unmake(f"{self._all}/{self._name}", self.hold),
            self.objects.back(
                *(self._pod, {"metadata": {"labels": {LABEL: None}}}, self.hold), uid=self.target.details["uid"]
            ),
        ]
        return self.keep(undo, before=before)

    async def inject(self) -> None:
        body = {"metadata": {"labels": {LABEL: self._name}}}
        label = self.objects.patch(self._pod, body, self.hold, uid=self.target.details["uid"])
        policy = self.objects.make(self._all, await self._policy(), self.hold)
        await self.act(label, policy)

    async def _policy(self) -> dict[str, Any]:
        owner = {"apiVersion": "v1", "kind": "Pod", "name": self.target.details["pod"]}
        spec: dict[str, Any] = {
            "podSelector": {"matchLabels": {LABEL: self._name}},
            "policyTypes": [way.capitalize() for way in self._ways],
        }
        if self.target.kind == "link":
            spec["egress"] = [{"to": [*await self.platform.ability(Policies).others_than(self.target)]}]
        owners = [owner | {"uid": self.target.details["uid"]}]
        return {"metadata": {"name": self._name, "ownerReferences": owners}, "spec": spec}

    async def _look(self, way: Way) -> LinkSample:
        if way == "ingress":
            return await self.platform.ability(Policies).knock(self.target)
        return await self._links.sample(self.target)

    def _words(self, way: Way) -> str:
        if way == "ingress":
            return f"a connection to {self.target.name}"
        return f"a connection through {self.target.name}" if self.target.to else f"a connection from {self.target.name}"

    async def confirm(self, prepared: JsonObject) -> Sighting:
        before: Any = prepared["before"]
        there = await self.objects.read(f"{self._all}/{self._name}") is not None
        words, failing = [], 0
        for way in self._ways:
            outcome = (await self._look(way)).outcome
            # A network may also refuse what it denies; without the policy a refusal is somebody else's.
            failing += outcome == "silent" or (there and outcome != before[way])
            words.append(f"{self._words(way)} is {outcome}, was {before[way]}")
        policy = f"the policy is {'' if there else 'not '}there"
        seen = failing == len(self._ways) if there else failing > 0
        return Sighting(seen, f"{'; '.join(words)}; {policy}")


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector matches; an empty one does."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for rule in selector.get("matchExpressions") or ():
        value, values = labels.get(rule["key"]), rule.get("values") or ()
        matches = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[rule["operator"]]
        if not matches:
            return False
    return True
