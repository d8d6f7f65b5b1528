"""Keep pods off a node by a taint."""

from __future__ import annotations

from typing import Any, Literal

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.objects import ChangedTarget
from chaosrunner.ports import Parameters, Sighting, Target

SETTLES = 10.0
LEAVES = 30.0
"""Seconds that evicted pods may take to be told to go."""
SHOWN = 3


class Params(Parameters):
    """The taint."""

    key: str = Field(default="chaosrunner.dev/taint", pattern=r"^[A-Za-z0-9][-A-Za-z0-9_./]{0,251}[A-Za-z0-9]$")
    """Its key; pods that tolerate it are left alone."""
    value: str = ""
    """Its value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"
    """`NoSchedule`: no new pods; `PreferNoSchedule`: only if there is no other place; `NoExecute`: those that run there
    are evicted, too."""


class NodeTaint(ChangedTarget[Params]):
    """Puts a taint on a node: pods that do not tolerate it are not put there any more and, with `NoExecute`, those that
    run there are evicted at once, disruption budgets or not.

    `NoExecute` is refused while a pod outside of the environment's namespaces would be evicted. At the end the taint is
    taken off; what was evicted stays where it is by then. A node that has the taint already is refused.
    """

    acts_on = frozenset({"node"})
    fault_class = "capacity"
    needs = ("get nodes", "patch nodes", "list pods")
    example = """\
- fault: node-taint
  target: {node: node-2}
  with: {key: maintenance, effect: NoSchedule}
  for: 60s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"evicts": "yes"} if params.effect == "NoExecute" else {}

    @classmethod
    def does(cls, params: Params) -> str:
        taint = f"{params.key}={params.value}:{params.effect}" if params.value else f"{params.key}:{params.effect}"
        what = {
            "NoSchedule": "pods that do not tolerate it are not put there",
            "PreferNoSchedule": "pods that do not tolerate it are put elsewhere if there is room",
            "NoExecute": "pods that do not tolerate it are evicted, and none is put there",
        }[params.effect]
        return f"The node has the taint {taint}: {what}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        gone = " What was evicted stays where it is by then." if params.effect == "NoExecute" else ""
        return f"The taint is taken off.{gone}"

    @classmethod
    def patience(cls, params: Params) -> float:
        return LEAVES if params.effect == "NoExecute" else SETTLES

    @property
    def where(self) -> str:
        return f"/api/v1/nodes/{self.target.details['node']}"

    @property
    def _taint(self) -> dict[str, Any]:
        return {"key": self.params.key, "effect": self.params.effect}

    def _has(self, node: dict[str, Any]) -> bool:
        taints = node["spec"].get("taints") or ()
        return any(all(each.get(key) == value for key, value in self._taint.items()) for each in taints)

    async def check(self) -> None:
        await self.objects.ready()
        found = await self.found()
        if found is not None and self._has(found):
            raise CannotDoHonestly(f"{self.target.name} has a taint {self.params.key}:{self.params.effect} already")
        if self.params.effect == "NoExecute":
            await self._check_others()

    async def _check_others(self) -> None:
        ours = self.objects.namespaces
        others = [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in await self._evicted()
            if pod["metadata"]["namespace"] not in ours
        ]
        if others:
            shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else "")
            raise CannotDoHonestly(
                f"a taint {self.params.key}:NoExecute on {self.target.name} would evict pods outside of the "
                f"environment's namespaces: {shown}; node-drain evicts only the environment's"
            )

    async def _evicted(self) -> list[dict[str, Any]]:
        """Pods on the node that do not tolerate it; those that are on their way out are left out."""
        fields = f"spec.nodeName={self.target.details['node']}"
        pods = await self.objects.items("/api/v1/pods", fieldSelector=fields)
        return [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
            and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            and not any(self._tolerates(each) for each in pod["spec"].get("tolerations") or ())
        ]

    def _tolerates(self, toleration: dict[str, Any]) -> bool:
        """As the scheduler says it; one that ends after some seconds does not count."""
        if toleration.get("effect") not in (None, "", self.params.effect) or "tolerationSeconds" in toleration:
            return False
        if toleration.get("operator", "Equal") == "Exists":
            return toleration.get("key") in (None, "", self.params.key)
        return toleration.get("key") == self.params.key and toleration.get("value", "") == self.params.value

    async def prepare(self) -> JsonObject:
        away = {"pointer": "/spec/taints", "items": [self._taint]}
        return self.keep([self.back({}, without=away)])

    async def inject(self) -> None:
        item = self._taint | ({"value": self.params.value} if self.params.value else {})
        there = {"with": {"pointer": "/spec/taints", "items": [item]}}
        await self.act(self.patch({}, **there))

    async def confirm(self, prepared: JsonObject) -> Sighting:
        found = await self.found()
        if found is None:
            return Sighting(False, f"{self.target.name} is not there")
        held, has = self.objects.held(found, self.hold), self._has(found)
        if not (held and has):
            who = self.objects.changed_by(found, "spec.taints") or "somebody"
            by = f": {who} has taken it off" if held else ""
            return Sighting(False, f"{self.target.name} has no taint {self.params.key} of this fault{by}")
        if self.params.effect == "NoExecute" and (left := await self._evicted()):
            return Sighting(False, f"{len(left)} pods that do not tolerate the taint still run on {self.target.name}")
        return Sighting(True, f"{self.target.name} has the taint {self.params.key}:{self.params.effect}")
