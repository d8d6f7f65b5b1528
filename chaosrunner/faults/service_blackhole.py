"""Leave a Service without endpoints."""

from __future__ import annotations

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.objects import ChangedTarget
from chaosrunner.ports import Parameters, Sighting

KEY = "chaosrunner.dev/blackhole"
"""A label that no pod has."""
SETTLES = 10.0
"""Seconds that the endpoints may take to follow the selector."""


class Params(Parameters):
    """There is nothing to set."""


class ServiceBlackhole(ChangedTarget[Params]):
    """Gives a Kubernetes Service a selector that matches no pod, as a wrong label in a release would: its endpoints
    vanish, and new connections to it are refused (or find no address, where it is headless). The pods themselves go on
    and can still be reached by their addresses; connections that are open go on, too.

    It is seen in force when the Service's EndpointSlices are empty. At the end the selector is as it was; the endpoints
    come back with it.
    """

    acts_on = frozenset({"kube-service"})
    fault_class = "dependency-gone"
    needs = ("get services", "patch services", "list endpointslices.discovery.k8s.io")
    example = """\
- fault: service-blackhole
  target: {service: payments}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return "The Service's selector matches no pod: it has no endpoints, and new connections to it fail."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The selector is as it was, and the endpoints come back."

    @classmethod
    def patience(cls, params: Params) -> float:
        return SETTLES

    @property
    def _space(self) -> str:
        return f"namespaces/{self.target.details['namespace']}"

    @property
    def where(self) -> str:
        return f"/api/v1/{self._space}/services/{self.target.details['name']}"

    async def _endpoints(self) -> int:
        """How many, ready or not."""
        slices = await self.objects.items(
            f"/apis/discovery.k8s.io/v1/{self._space}/endpointslices",
            labelSelector=f"kubernetes.io/service-name={self.target.details['name']}",
        )
        return sum(len(each.get("endpoints") or ()) for each in slices)

    async def check(self) -> None:
        await self.objects.ready()
        found = await self.found()
        if found is not None and not found["spec"].get("selector"):
            raise CannotDoHonestly(
                f"{self.target.name} has no selector (an external name, or endpoints that somebody else keeps)"
            )
        if found is not None and await self._endpoints() == 0:
            raise CannotDoHonestly(f"{self.target.name} has no endpoints already: nothing would change")

    async def prepare(self) -> JsonObject:
        return self.keep([self.back({"spec": {"selector": {KEY: None}}})])

    async def inject(self) -> None:
        await self.act(self.patch({"spec": {"selector": {KEY: "no-pod-has-this"}}}))

    async def confirm(self, prepared: JsonObject) -> Sighting:
        found = await self.found()
        if found is None:
            return Sighting(False, f"{self.target.name} is not there")
        ours = KEY in (found["spec"].get("selector") or {})
        left = await self._endpoints()
        if not ours:
            who = self.objects.changed_by(found, "spec.selector") or "somebody"
            held = self.objects.held(found, self.hold)
            by = f": {who} has set its selector again" if held else ""
            return Sighting(False, f"{self.target.name} has {left} endpoints{by}")
        return Sighting(left == 0, f"{self.target.name} has {left} endpoints")
