"""Let Chaos Mesh, where a cluster has it, break a pod."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Literal, get_args

from chaosrunner.errors import CannotDoHonestly, UndoFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.objects import ObjectFault
from chaosrunner.ports import Parameters, Sighting, Target

GROUP = "chaos-mesh.org"
API = f"/apis/{GROUP}/v1alpha1"
Kind = Literal[
    "PodChaos",
    "NetworkChaos",
    "StressChaos",
    "HTTPChaos",
    "DNSChaos",
    "IOChaos",
    "TimeChaos",
    "KernelChaos",
    "JVMChaos",
    "BlockChaos",
]
KINDS: tuple[str, ...] = get_args(Kind)
"""Those that act on pods."""
VERBS = ("get", "create", "patch", "delete")
PAUSE = "experiment.chaos-mesh.org/pause"
"""With `true`, Chaos Mesh takes a fault back and keeps the object, so that it can be seen that all is recovered."""
OURS = {
    "selector": "the step's `target` says which pods",
    "mode": "the step's `target` says how many, by `take`",
    "value": "the step's `target` says how many, by `take`",
    "duration": "the step's `for` says how long",
    "scheduler": "chaosrunner says when",
    "remoteCluster": "its pods are not this environment's",
}
"""Fields of a spec that chaosrunner sets itself, or that have no place here, and why."""
AT_ONCE = {"pod-kill": "pod-kill", "container-kill": "container-kill"}
"""Actions of a PodChaos that nothing takes back, and our fault that does the same."""
RECOVERS = 5.0
"""Seconds that Chaos Mesh has to take a fault back before the object is deleted all the same."""
LEAVES = 3.0
"""Seconds after that until the object is gone; both together are less than an undo is given."""


class Params(Parameters):
    """What Chaos Mesh is to do."""

    kind: Kind
    """The kind of its resource; those that act on pods."""
    spec: JsonObject
    """The resource's `spec` in Chaos Mesh's words, without `selector`, `mode`, `value` and `duration`: which pods and
    how long is said by the step."""
    within: Duration = 20.0
    """How long Chaos Mesh may take until it is in force; default 20s."""

    @model_validator(mode="after")
    def _possible(self) -> Params:
        for name, why in OURS.items():
            if name in self.spec:
                raise ValueError(f"spec has `{name}`, which is not set here: {why}")
        action = str(self.spec.get("action", ""))
        if self.kind == "PodChaos" and action in AT_ONCE:
            raise ValueError(f"nothing takes a PodChaos `{action}` back: use the fault {AT_ONCE[action]}")
        if self.kind == "NetworkChaos" and "target" in self.spec and self.spec.get("direction", "to") != "to":
            raise ValueError(
                "a NetworkChaos with a `target` and another direction than `to` also acts on pods that are no targets "
                "of the step: turn both round"
            )
        return self

    @property
    def words(self) -> str:
        """`NetworkChaos (delay)`."""
        return f"{self.kind} ({self.spec['action']})" if "action" in self.spec else self.kind


class ChaosMesh(ObjectFault[Params]):
    """Makes a resource of Chaos Mesh for one pod, by its name, and leaves the breaking to Chaos Mesh, which must be
    installed in the cluster: for what chaosrunner cannot do itself, such as clocks, file errors and JVM methods, and
    for what a team has resources for already. Its `duration` is always set, so that Chaos Mesh ends it even if nobody
    else does: to the step's time and what setting it up may take.

    It is seen in force by the resource's conditions, AllInjected, for this very pod. At the end the resource is paused
    until Chaos Mesh says AllRecovered, then deleted, and is gone when Chaos Mesh's finalizer has let it go. A pod-kill
    or container-kill is refused: chaosrunner has its own. Tried against a stand-in of Chaos Mesh's controller; the real
    one was not tried.
    """

    acts_on = frozenset({"pod"})
    fault_class = "extension"
    needs = (
        *(f"{verb} {kind.lower()}.{GROUP}" for kind in KINDS for verb in VERBS),
        "get pods",
    )
    reports: ClassVar[Mapping[str, str]] = {"object": "the name of the object that Chaos Mesh acts by"}
    example = """\
- fault: chaos-mesh
  target: {service: orders}
  with:
    kind: TimeChaos
    spec: {timeOffset: -10m, clockIds: [CLOCK_REALTIME]}
  for: 60s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"chaos": params.words}

    @classmethod
    def does(cls, params: Params) -> str:
        return f"Chaos Mesh carries out a {params.words} on the pod, for the step's time."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return f"The {params.kind} is paused until Chaos Mesh says that all is recovered, and deleted."

    @classmethod
    def patience(cls, params: Params) -> float:
        return params.within

    @property
    def _all(self) -> str:
        return f"{API}/namespaces/{self.target.details['namespace']}/{self.params.kind.lower()}"

    @property
    def _name(self) -> str:
        return f"chaosrunner-{self.objects.tag(self.hold)}"

    @property
    def _where(self) -> str:
        return f"{self._all}/{self._name}"

    @property
    def _pod(self) -> str:
        return f"/api/v1/namespaces/{self.target.details['namespace']}/pods/{self.target.details['pod']}"

    async def check(self) -> None:
        await self.objects.ready()
        known = await self.objects.read(API)
        resource = self.params.kind.lower()
        if known is None:
            raise CannotDoHonestly(
                f"this cluster has no Chaos Mesh (its API has no {GROUP}/v1alpha1): install it, or use one of "
                "chaosrunner's own faults (`chaosrunner catalog faults`)"
            )
        if resource not in [each.get("name") for each in known.get("resources") or ()]:
            raise CannotDoHonestly(
                f"the Chaos Mesh of this cluster knows no {self.params.kind} (there is no {resource}.{GROUP}): install "
                "a version that does"
            )

    async def prepare(self) -> JsonObject:
        undo = self.objects.unmake(self._where, self.hold)
        body = {"metadata": {"annotations": {PAUSE: "true"}}}
        # Bound to the mark as the deletion is: what somebody else made in its place is left alone.
        pause = {**self.objects.patch(self._where, body, self.hold), "if": undo["if"]}
        return self.keep([undo], pause=pause, where=self._where)

    async def report(self, prepared: JsonObject) -> JsonObject:
        return {"object": self._name}

    async def inject(self) -> None:
        space, pod = str(self.target.details["namespace"]), str(self.target.details["pod"])
        spec: JsonObject = {
            **self.params.spec,
            "mode": "all",
            "selector": {"pods": {space: [pod]}},
            "duration": f"{max(1, round(self.hold.seconds))}s",
        }
        kind = {"apiVersion": f"{GROUP}/v1alpha1", "kind": self.params.kind}
        body = {**kind, "metadata": {"name": self._name, "namespace": space}, "spec": spec}
        await self.act(self.objects.make(self._all, body, self.hold))

    async def confirm(self, prepared: JsonObject) -> Sighting:
        found = await self.objects.read(str(prepared["where"]))
        named = f"the {self.params.kind} of {self.target.name}"
        if found is None:
            return Sighting(False, f"{named} is not there")
        if not self.objects.held(found, self.hold):
            return Sighting(False, f"{named} is not this fault's")
        if not condition(found, "AllInjected"):
            return Sighting(False, f"Chaos Mesh does not say that {named} is in force: {_said(found)}")
        hit = [each for each in _records(found) if each.get("phase") == "Injected"]
        if not any(self._is_ours(str(each.get("id", ""))) for each in hit):
            return Sighting(False, f"Chaos Mesh has injected {named} into something else: {_said(found)}")
        pod = await self.objects.read(self._pod)
        if pod is None or pod["metadata"]["uid"] != self.target.details["uid"]:
            return Sighting(False, f"{self.target.name} is not there any more")
        return Sighting(True, f"Chaos Mesh says that {named} is in force (AllInjected), {len(hit)} places injected")

    def _is_ours(self, record: str) -> bool:
        """Whether a record (`NAMESPACE/POD` or `NAMESPACE/POD/CONTAINER`) is about the target."""
        return record.split("/")[:2] == [self.target.details["namespace"], self.target.details["pod"]]

    async def undo(self, prepared: JsonObject) -> None:
        where, pause = str(prepared["where"]), prepared["pause"]
        # What cannot be paused is deleted all the same: then Chaos Mesh's finalizer alone says that it is recovered.
        with suppress(UndoFailed):
            await self.objects.take_back(self.hold, [pause], last=False)
        await self.objects.seen_until(where, self._recovered, RECOVERS)
        await super().undo(prepared)
        left = await self.objects.seen_until(where, lambda found: not self.objects.held(found, self.hold), LEAVES)
        if self.objects.held(left, self.hold):
            raise UndoFailed(
                f"Chaos Mesh has not let go of the {self.params.kind} of {self.target.name} ({_said(left)}): do its "
                "controller, and its daemon on the pod's node, run?",
                self.by_hand(prepared),
            )

    def _recovered(self, found: Mapping[str, Any]) -> bool:
        """Or nobody waits for it, as it is not ours or never was in force."""
        return condition(found, "AllRecovered") or not self.objects.held(found, self.hold)


def condition(found: Mapping[str, Any] | None, name: str) -> bool:
    """Whether a resource's status says so."""
    told = ((found or {}).get("status") or {}).get("conditions") or ()
    return any(each.get("type") == name and each.get("status") == "True" for each in told)


def _records(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    experiment = (found.get("status") or {}).get("experiment") or {}
    return [each for each in experiment.get("containerRecords") or () if isinstance(each, dict)]


def _said(found: Mapping[str, Any] | None) -> str:
    """What a resource says about itself: its conditions, and the last thing that went wrong with a pod."""
    names = [name for name in ("Selected", "AllInjected", "AllRecovered", "Paused") if found and condition(found, name)]
    wrong = [
        str(event["message"])
        for record in _records(found or {})
        for event in record.get("events") or ()
        if event.get("type") == "Failed" and event.get("message")
    ]
    said = ", ".join(names) if names else "none of its conditions is true"
    return f"{said}; {wrong[-1]}" if wrong else said
