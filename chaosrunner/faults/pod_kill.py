"""Delete a pod."""

from __future__ import annotations

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import model_validator
from chaosrunner.model.quantities import Duration, show
from chaosrunner.ports import Fault, Parameters, Pods, Sighting


class Params(Parameters):
    """How it is deleted."""

    grace: Duration | None = None
    """How long its containers may take to end by themselves (SIGTERM first, SIGKILL then); default: the pod's own
    `terminationGracePeriodSeconds`."""
    force: bool = False
    """Its entry in the API goes at once and the node ends its containers afterwards, as after the loss of a node; what
    replaces it may run beside it for a moment, also in a StatefulSet."""
    bare_too: bool = False
    """Also a pod that nothing owns. Nothing makes it again."""

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        if self.force and self.grace is not None:
            raise ValueError("`force` leaves no time to end: give `grace`, or `force`, not both")
        if self.grace is not None and self.grace < 1:
            raise ValueError("`grace` is at least 1s, as the API counts whole seconds; without any it is `force: true`")
        return self


class PodKill(Fault[Params]):
    """Deletes pods, as a node that is scaled away or a crash of what runs there would take them.

    The pod leaves the endpoints of its Services at once, and its containers are told to end. What owns it makes another
    one, with another name, and maybe elsewhere. What it had in memory and in `emptyDir` volumes is lost. A disruption
    budget does not prevent a deletion; use `pod-evict` to ask it.
    """

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"pod"})
    fault_class = "instance-loss"
    instant = True
    looks_again = True
    needs = (
        "get pods",
        "delete pods",
        "get deployments.apps",
        "get replicasets.apps",
        "get statefulsets.apps",
        "get daemonsets.apps",
        "get jobs.batch",
    )
    example = """\
- fault: pod-kill
  target: {service: cart, take: 1}
  with: {grace: 5s}
  observe: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        if params.force:
            return "The pod is deleted by force: its entry goes at once, the node ends its containers afterwards."
        if params.grace is None:
            return "The pod is deleted, with the time to end that it asks for itself."
        return f"The pod is deleted; its containers have {show(params.grace, 's')} to end by themselves."

    @classmethod
    def undoes(cls, params: Params) -> str:
        bare = " A pod that nothing owns does not come back." if params.bare_too else ""
        return (
            "There is nothing to take back: what owns the pod makes another one, which is looked at at the end. "
            f"What was in its memory and scratch volumes is lost.{bare}"
        )

    @property
    def _pods(self) -> Pods:
        return self.platform.ability(Pods)

    async def check(self) -> None:
        state = await self._pods.state(self.target)
        if state.gone:
            raise CannotDoHonestly(f"{state.gone}: there is nothing to delete")
        if state.mirror:
            raise CannotDoHonestly(
                f"{self.target.name} comes from a file on the node {state.node}: deleting its entry does not end it"
            )
        if not state.owner and not self.params.bare_too:
            raise CannotDoHonestly(
                f"nothing owns the pod {self.target.name}, so that nothing would make it again: let a Deployment run "
                "it, or say `bareToo: true` and make it again yourself"
            )

    async def prepare(self) -> JsonObject:
        state = await self._pods.state(self.target)
        return {"owner": state.owner, "grace": state.grace if self.params.grace is None else self.params.grace}

    async def inject(self) -> None:
        await self._pods.delete(self.target, 0.0 if self.params.force else self.params.grace)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        seen = await self._pods.ending(self.target)
        if seen and self.params.force:
            return Sighting(True, f"{seen.how}; whether its node has ended it by now, the API no longer says")
        return seen

    async def undo(self, prepared: JsonObject) -> None:
        return None

    async def afterwards(self, prepared: JsonObject) -> str:
        return await self._pods.owner(self.target) or "nothing owns the pod: it does not come back by itself"

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        where = f"--namespace {self.target.details.get('namespace')}"
        if prepared.get("owner"):
            return (f"kubectl get {prepared['owner']} {where}",)
        return (f"kubectl create {where} --filename THE-MANIFEST-OF-{self.target.details.get('pod')}",)
