"""Leave a Service without endpoints."""

from __future__ import annotations

from typing import Any

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Fault, Objects, Parameters, Sighting

KEY = "chaosrunner.dev/blackhole"
"""A label that no pod has."""
SETTLES = 10.0
"""Seconds that the endpoints may take to follow the selector."""


class Params(Parameters):
    """There is nothing to set."""


class ServiceBlackhole(Fault[Params]):
    """Gives a Kubernetes Service a selector that matches no pod, as a wrong label in a release would: its endpoints
    vanish, and new connections to it are refused (or find no address, where it is headless). The pods themselves go on
    and can still be reached by their addresses; connections that are open go on, too.

    It is seen in force when the Service's EndpointSlices are empty. At the end the selector is as it was; the endpoints
    come back with it.
    """

    platforms = frozenset({"kubernetes"})
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
    def _objects(self) -> Objects:
        return self.platform.ability(Objects)

    @property
    def _space(self) -> str:
        return f"namespaces/{self.target.details['namespace']}"

    @property
    def _where(self) -> str:
        return f"/api/v1/{self._space}/services/{self.target.details['name']}"

    async def _service(self) -> dict[str, Any] | None:
        found = await self._objects.read(self._where)
        same = found is not None and found["metadata"]["uid"] == self.target.details["uid"]
        return found if same else None

    async def _endpoints(self) -> int:
        """How many, ready or not."""
        slices = await self._objects.items(
            f"/apis/discovery.k8s.io/v1/{self._space}/endpointslices",
            labelSelector=f"kubernetes.io/service-name={self.target.details['name']}",
        )
        return sum(len(each.get("endpoints") or ()) for each in slices)

    async def check(self) -> None:
        await self._objects.ready()
        found = await self._service()
        if found is not None and not found["spec"].get("selector"):
            raise CannotDoHonestly(
                f"{self.target.name} has no selector (an external name, or endpoints that somebody else keeps)"
            )
        if found is not None and await self._endpoints() == 0:
            raise CannotDoHonestly(f"{self.target.name} has no endpoints already: nothing would change")

    async def prepare(self) -> JsonObject:
        body = {"spec": {"selector": {KEY: None}}}
        undo = self._objects.back(self._where, body, self.hold, uid=self.target.details["uid"])
        self._undo: list[JsonObject] = [undo]
        return {"undo": [undo]}

    async def inject(self) -> None:
        body = {"spec": {"selector": {KEY: "no-pod-has-this"}}}
        do = self._objects.patch(self._where, body, self.hold, uid=self.target.details["uid"])
        await self._objects.change(self.target, self.hold, [do], self._undo)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        found = await self._service()
        if found is None:
            return Sighting(False, f"{self.target.name} is not there")
        ours = KEY in (found["spec"].get("selector") or {})
        left = await self._endpoints()
        if not ours:
            who = self._objects.changed_by(found, "spec.selector") or "somebody"
            held = self._objects.held(found, self.hold)
            by = f": {who} has set its selector again" if held else ""
            return Sighting(False, f"{self.target.name} has {left} endpoints{by}")
        return Sighting(left == 0, f"{self.target.name} has {left} endpoints")

    async def undo(self, prepared: JsonObject) -> None:
        await self._objects.take_back(self.hold, prepared["undo"])

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return tuple(self._objects.by_hand(prepared["undo"]))
