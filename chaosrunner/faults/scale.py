"""Take replicas away from a workload, or add some."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Ratio
from chaosrunner.objects import ChangedTarget
from chaosrunner.ports import Parameters, Sighting, Target

SETTLES = 30.0
"""Seconds that the workload's controller may take to make or end pods."""


class Params(Parameters):
    """To how many; one of both."""

    to: int | None = Field(default=None, ge=0)
    """So many replicas."""
    share: Ratio | None = None
    """So large a share of those that there are now, rounded down: `50%` of 5 is 2."""

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        if (self.to is None) == (self.share is None):
            raise ValueError("expected one of `to` and `share`: how many replicas there shall be")
        return self


class Scale(ChangedTarget[Params]):
    """Sets the number of replicas of a deployment or stateful set, down to none or up; its controller ends pods or
    makes new ones. It is seen in force when the controller reports that number of pods.

    At the end the old number is set again, unless somebody else has changed it meanwhile: then theirs stays. Pods that
    were ended do not come back as they were: new ones take their place, with empty memory and scratch volumes. An
    autoscaler or a GitOps tool may set the number itself while the fault is in force; then the run is inconclusive, and
    says who did it.
    """

    acts_on = frozenset({"workload"})
    fault_class = "capacity"
    needs = (
        "get deployments.apps",
        "patch deployments.apps",
        "get statefulsets.apps",
        "patch statefulsets.apps",
    )
    harder = {"to": "less", "share": "less"}
    reports: ClassVar[Mapping[str, str]] = {
        "before": "how many replicas it had",
        "wanted": "how many it was set to",
    }
    example = """\
- fault: scale
  target: {workload: deployment/cart}
  with: {to: 0}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"left": "none"} if params.to == 0 else {}

    @classmethod
    def does(cls, params: Params) -> str:
        if params.to is not None:
            return f"The workload is set to {params.to} replica{'' if params.to == 1 else 's'}."
        return f"The workload is set to {params.share:.0%} of its replicas."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return (
            "The old number of replicas is set again, unless somebody else changed it meanwhile. The pods are new "
            "ones: what was in the old ones' memory and scratch volumes is lost."
        )

    @classmethod
    def patience(cls, params: Params) -> float:
        return SETTLES

    @property
    def where(self) -> str:
        details = self.target.details
        return f"/apis/{details['api']}/namespaces/{details['namespace']}/{details['resource']}/{details['name']}"

    def _wanted(self, before: int) -> int:
        if self.params.to is not None:
            return self.params.to
        return math.floor(before * (self.params.share or 0.0) + 1e-9)

    async def check(self) -> None:
        if self.target.details.get("resource") not in ("deployments", "statefulsets"):
            raise CannotDoHonestly(f"{self.target.name} has no number of replicas that can be set")
        await self.objects.ready()
        found = await self.found()
        before = 0 if found is None else found["spec"].get("replicas", 1)
        if found is not None and self._wanted(before) == before:
            raise CannotDoHonestly(f"{self.target.name} has {before} replicas already: nothing would change")

    async def prepare(self) -> JsonObject:
        found = await self.found()
        before = 1 if found is None else int(found["spec"].get("replicas", 1))
        wanted = self._wanted(before)
        when = [{"pointer": "/spec/replicas", "equals": wanted, "body": {"spec": {"replicas": before}}}]
        return self.keep([self.back({}, when=when)], before=before, wanted=wanted)

    async def inject(self) -> None:
        await self.act(self.patch({"spec": {"replicas": self.prepared["wanted"]}}))

    async def report(self, prepared: JsonObject) -> JsonObject:
        return {word: prepared[word] for word in self.reports}

    async def confirm(self, prepared: JsonObject) -> Sighting:
        found = await self.found()
        if found is None:
            return Sighting(False, f"{self.target.name} is not there")
        wanted, asked = prepared["wanted"], found["spec"].get("replicas", 1)
        if not self.objects.held(found, self.hold):
            return Sighting(False, f"{self.target.name} is set to {asked} replicas, and not by this fault")
        if asked != wanted:
            who = self.objects.changed_by(found, "spec.replicas") or "somebody"
            return Sighting(False, f"{who} has set {self.target.name} to {asked} replicas")
        status = found.get("status", {})
        there = status.get("replicas", 0)
        reported = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
        if not reported:
            return Sighting(False, f"the controller of {self.target.name} has not seen the change yet")
        return Sighting(
            there == wanted, f"the controller of {self.target.name} reports {there} pods of {wanted} wanted"
        )
