"""Delete a pod."""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration, show
from chaosrunner.needs import OWNERS
from chaosrunner.objects import PodLoss
from chaosrunner.ports import Parameters, Sighting


class Params(Parameters):
    """How it is deleted."""

    grace: Duration | None = Field(default=None, ge=1)
    """How long its containers may take to end by themselves (SIGTERM first, SIGKILL then); default: the pod's own
    `terminationGracePeriodSeconds`. At least 1s, as the API counts whole seconds; for none at all say `force: true`."""
    force: bool = False
    """Its entry in the API goes at once and the node ends its containers afterwards, as after the loss of a node; what
    replaces it may run beside it for a moment, also in a StatefulSet."""
    bare_too: bool = False
    """Also a pod that nothing owns. Nothing makes it again."""

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        if self.force and self.grace is not None:
            raise ValueError("`force` leaves no time to end: give `grace`, or `force`, not both")
        return self


class PodKill(PodLoss[Params]):
    """Deletes pods, as a node that is scaled away or a crash of what runs there would take them.

    The pod leaves the endpoints of its Services at once, and its containers are told to end. What owns it makes another
    one, with another name, and maybe elsewhere. What it had in memory and in `emptyDir` volumes is lost. A disruption
    budget does not prevent a deletion; use `pod-evict` to ask it.
    """

    needs = ("get pods", "delete pods", *OWNERS)
    verb = "delete"
    mirrored = ": deleting its entry does not end it"
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

    async def prepare(self) -> JsonObject:
        state = await self.pods.state(self.target)
        return {"owner": state.owner, "grace": state.grace if self.params.grace is None else self.params.grace}

    async def inject(self) -> None:
        await self.pods.delete(self.target, 0.0 if self.params.force else self.params.grace)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        seen = await self.pods.ending(self.target)
        if seen and self.params.force:
            return Sighting(True, f"{seen.how}; whether its node has ended it by now, the API no longer says")
        return seen
