"""Let no new pod onto a node."""

from __future__ import annotations

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.objects import ChangedTarget
from chaosrunner.ports import Parameters, Sighting

TAINT = "node.kubernetes.io/unschedulable"
"""What the cluster itself puts on a node that is cordoned: seen, it says that the cluster took note."""
SETTLES = 10.0


class Params(Parameters):
    """There is nothing to set."""


class NodeCordon(ChangedTarget[Params]):
    """Marks a node as unschedulable, as `kubectl cordon` does: no new pod of anybody is put there; those that run there
    go on. It shows what happens when a pod has to go elsewhere, so it is mostly of use together with another fault.

    It is seen in force when the cluster's own taint for such nodes is on it. At the end the node is uncordoned, unless
    somebody else has done so meanwhile. A node that is cordoned already is refused, as it would have to stay so.
    """

    acts_on = frozenset({"node"})
    fault_class = "capacity"
    needs = ("get nodes", "patch nodes")
    example = """\
- fault: node-cordon
  target: {node: node-2}
  for: 60s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return "No new pod is put on the node; those that run there go on."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The node takes new pods again. Pods that were put elsewhere meanwhile stay there."

    @classmethod
    def patience(cls, params: Params) -> float:
        return SETTLES

    @property
    def where(self) -> str:
        return f"/api/v1/nodes/{self.target.details['node']}"

    async def check(self) -> None:
        await self.objects.ready()
        found = await self.found()
        if found is not None and found["spec"].get("unschedulable"):
            raise CannotDoHonestly(f"{self.target.name} is cordoned already: nothing would change")

    async def prepare(self) -> JsonObject:
        return self.keep([self.back({"spec": {"unschedulable": None}})])

    async def inject(self) -> None:
        await self.act(self.patch({"spec": {"unschedulable": True}}))

    async def confirm(self, prepared: JsonObject) -> Sighting:
        found = await self.found()
        if found is None:
            return Sighting(False, f"{self.target.name} is not there")
        if not self.objects.held(found, self.hold):
            return Sighting(False, f"{self.target.name} is not cordoned by this fault")
        if not found["spec"].get("unschedulable"):
            who = self.objects.changed_by(found, "spec.unschedulable") or "somebody"
            return Sighting(False, f"{who} has uncordoned {self.target.name}")
        tainted = any(each.get("key") == TAINT for each in found["spec"].get("taints") or ())
        has = "has" if tainted else "does not have"
        return Sighting(tainted, f"{self.target.name} {has} the cluster's taint {TAINT}")

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return (f"kubectl uncordon {self.target.name}", *super().by_hand(prepared))
