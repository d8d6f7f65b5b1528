"""Keep a pod down, in its place, until the fault is taken back."""

from __future__ import annotations

from typing import Any

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.objects import ChangedTarget
from chaosrunner.ports import Parameters, Sighting

IMAGE = "CHAOSRUNNER-KEEPS-THIS-POD-DOWN"
"""No image has capital letters in its name: the node says so at once, asks no registry, and can never start it."""
LONGEST_GRACE = 60.0
"""Seconds that a pod's containers may have to end; for longer ones the step would begin too late."""
SETTLES = 20.0
BY_NAME = "application/strategic-merge-patch+json"
"""A list of containers is merged by their names."""


class Params(Parameters):
    """Which containers."""

    containers: tuple[str, ...] = ()
    """Their names; default: all of the pod's (init and ephemeral ones are never touched)."""


class PodFailure(ChangedTarget[Params]):
    """Takes a pod's containers down and keeps them down, while the pod keeps its name, address, node and volumes: it is
    unready, nothing answers at its address, and its controller makes no other one in its place, as it does after a
    pod-kill. It shows what a hung or half-dead instance costs that nobody replaces.

    The containers' image is replaced by a name that no image can have: the node ends the containers (SIGTERM, then
    SIGKILL when their time is over) and cannot start them again. At the end the old image stands there again, unless
    somebody else has set another one meanwhile, and the node starts them; what was in their memory is lost, scratch
    volumes are kept. Each container counts one restart. An image policy (admission webhook) may refuse the change: then
    nothing happens, and the run says so.
    """

    acts_on = frozenset({"pod"})
    fault_class = "instance-loss"
    needs = ("get pods", "patch pods")
    example = """\
- fault: pod-failure
  target: {service: payments}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        which = (
            f"The containers {', '.join(params.containers)} of the pod" if params.containers else "The pod's containers"
        )
        return f"{which} are ended and cannot start again; the pod keeps its place and is unready."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return (
            "The containers get their image back, unless somebody has set another, and start again, one restart older; "
            "their memory is lost."
        )

    @classmethod
    def patience(cls, params: Params) -> float:
        return LONGEST_GRACE + SETTLES

    @property
    def where(self) -> str:
        return f"/api/v1/namespaces/{self.target.details['namespace']}/pods/{self.target.details['pod']}"

    def _hit(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = self.params.containers
        return [each for each in pod["spec"]["containers"] if not wanted or each["name"] in wanted]

    async def check(self) -> None:
        await self.objects.ready()
        pod = await self.found()
        if pod is None:
            return
        name, spec = self.target.name, pod["spec"]
        known = [each["name"] for each in spec["containers"]]
        if unknown := [each for each in self.params.containers if each not in known]:
            raise CannotDoHonestly(f"{name} has no container {unknown[0]}; it has {', '.join(known)}")
        if spec.get("restartPolicy", "Always") != "Always":
            raise CannotDoHonestly(
                f"{name} has the restart policy {spec['restartPolicy']}: once ended, its containers may not start "
                f"again; use pod-kill"
            )
        if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
            raise CannotDoHonestly(f"{name} comes from a file on its node, which the API cannot change")
        if (grace := float(spec.get("terminationGracePeriodSeconds", 30))) > LONGEST_GRACE:
            raise CannotDoHonestly(
                f"{name} gives its containers {grace:g} s to end, more than {LONGEST_GRACE:g} s: the fault would begin "
                f"too late"
            )

    async def prepare(self) -> JsonObject:
        pod = await self.found()
        hit = [] if pod is None else self._hit(pod)
        places = [] if pod is None else [each["name"] for each in pod["spec"]["containers"]]
        when = [
            {
                "pointer": f"/spec/containers/{places.index(each['name'])}/image",
                "equals": IMAGE,
                "body": {"spec": {"containers": [{"name": each["name"], "image": each["image"]}]}},
            }
            for each in hit
        ]
        return self.keep([self.back({}, type=BY_NAME, when=when)], containers=[str(each["name"]) for each in hit])

    async def inject(self) -> None:
        down = [{"name": name, "image": IMAGE} for name in self.prepared["containers"]]
        await self.act(self.patch({"spec": {"containers": down}}, type=BY_NAME))

    async def confirm(self, prepared: JsonObject) -> Sighting:
        pod = await self.found()
        if pod is None:
            return Sighting(False, f"{self.target.name} is not there")
        names: Any = prepared["containers"]
        if not self.objects.held(pod, self.hold):
            return Sighting(False, f"{self.target.name} has its own images")
        status = pod.get("status", {})
        states = {each["name"]: each.get("state", {}) for each in status.get("containerStatuses") or ()}
        down = [name for name in names if states.get(name) and "running" not in states[name]]
        ready = any(
            each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions") or ()
        )
        words = f"its node keeps {len(down)} of {len(names)} containers down, and it is {'' if ready else 'not '}ready"
        return Sighting(len(down) == len(names) and not ready, f"{self.target.name}: {words}")
