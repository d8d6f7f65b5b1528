"""Restart a workload, pod by pod."""

from __future__ import annotations

from datetime import UTC, datetime

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Fault, Parameters, Sighting, Workloads


class Params(Parameters):
    """None: a rollout goes as the workload's own strategy says."""


class RolloutRestart(Fault[Params]):
    """Restarts a deployment, stateful set or daemon set as `kubectl rollout restart` does: its pods are replaced one
    after the other, as its own strategy says.

    A rollout cannot be taken back, only gone through: the new pods are as the old ones were. It is over when its
    controller says so, maybe later than the step; how far it is at the end of `observe` is said. What the pods had in
    memory and in `emptyDir` volumes is lost.
    """

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"workload"})
    fault_class = "instance-loss"
    instant = True
    looks_again = True
    needs = (
        "list pods",
        "get deployments.apps",
        "patch deployments.apps",
        "get statefulsets.apps",
        "patch statefulsets.apps",
        "get daemonsets.apps",
        "patch daemonsets.apps",
    )
    example = """\
- fault: rollout-restart
  target: {workload: deployment/cart}
  observe: 60s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return "The workload's pods are replaced one after the other, as its own rollout strategy says."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return (
            "A rollout cannot be taken back: it goes on to its end, and how far it is by then is said. What was in the "
            "pods' memory and scratch volumes is lost."
        )

    @property
    def _workloads(self) -> Workloads:
        return self.platform.ability(Workloads)

    @property
    def _mark(self) -> str:
        """The hold's beginning, as kubectl writes it but to the microsecond: two restarts never say the same."""
        return datetime.fromtimestamp(self.hold.deadline - self.hold.seconds, UTC).isoformat()

    async def check(self) -> None:
        state = await self._workloads.state(self.target)
        if state.gone:
            raise CannotDoHonestly(f"{state.gone}: there is nothing to restart")
        if state.why_no_rollout:
            raise CannotDoHonestly(f"{self.target.name}: {state.why_no_rollout}")

    async def prepare(self) -> JsonObject:
        state = await self._workloads.state(self.target)
        if state.gone:
            raise FaultFailed(f"{state.gone}: there is nothing to restart")
        if not state.settled:
            raise FaultFailed(
                f"{self.target.name} is in the middle of a rollout ({state.ready} of {state.wanted} ready, "
                f"{state.updated} of the newest revision): what this one does could not be told from it"
            )
        return {"mark": self._mark}

    async def inject(self) -> None:
        await self._workloads.restart(self.target, self._mark)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        made = await self._workloads.marked(self.target, str(prepared["mark"]))
        if made:
            return Sighting(True, f"{made} of its pods {'is' if made == 1 else 'are'} new")
        return Sighting(False, f"no new pod of {self.target.name}")

    async def undo(self, prepared: JsonObject) -> None:
        return None

    async def afterwards(self, prepared: JsonObject) -> str:
        state = await self._workloads.state(self.target)
        if state.gone:
            return state.gone
        made = await self._workloads.marked(self.target, str(prepared["mark"]))
        if state.settled:
            return f"the rollout is through: {state.ready} of {state.wanted} ready, all of them new"
        return f"the rollout is still under way: {made} of {state.wanted} are new, {state.ready} ready"

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        details = self.target.details
        what = f"{details.get('resource')}/{details.get('name')} --namespace {details.get('namespace')}"
        return (f"kubectl rollout status {what}", f"kubectl rollout undo {what}   # if it does not get through")
