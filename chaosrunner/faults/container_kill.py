"""Signal a container's process."""

from __future__ import annotations

import signal
from typing import Literal

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.quantities import Duration
from chaosrunner.needs import INJECTOR
from chaosrunner.ports import Containers, Fault, Parameters, Sighting


class Params(Parameters):
    """Which container, and how."""

    container: str | None = None
    """Its name; default: the pod's only one."""
    signal: Literal["TERM", "INT", "QUIT", "HUP", "ABRT", "SEGV", "KILL"] = "TERM"
    """What its process is sent. Process 1 of a container hears only what it has a handler for, and never KILL, unless
    the pod's containers share their processes (`shareProcessNamespace`)."""
    within: Duration = 10.0
    """How long it may take to end; default 10s."""


class ContainerKill(Fault[Params]):
    """Ends a container inside its pod, as a crash of the program does: the pod stays, with its name and address, and
    its node starts the container again, later each time (a back-off of 10 s, doubling up to 5 min, after the first).

    The signal is sent from an ephemeral container of the pod, which sees the processes of the one that is meant; its
    entry stays in the pod's description until the pod goes. What the program had in memory is lost; volumes are kept.
    """

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"pod"})
    fault_class = "instance-loss"
    instant = True
    needs = ("get pods", *INJECTOR)
    example = """\
- fault: container-kill
  target: {service: cart}
  with: {container: main, signal: TERM}
  observe: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        which = f"container {params.container}" if params.container else "only container"
        return f"The process of the pod's {which} is sent SIG{params.signal}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return (
            "There is nothing to take back: the pod's node starts the container again, which is looked at at the end. "
            "What the program had in memory is lost; the entry of the ephemeral container stays until the pod goes."
        )

    @classmethod
    def patience(cls, params: Params) -> float:
        return params.within

    @property
    def _containers(self) -> Containers:
        return self.platform.ability(Containers)

    @property
    def _number(self) -> int:
        return int(signal.Signals[f"SIG{self.params.signal}"])

    async def check(self) -> None:
        try:
            await self._containers.check(self.target, self.params.container, self._number)
        except FaultFailed as gone:
            raise CannotDoHonestly(str(gone)) from None

    async def ready(self) -> None:
        found = await self._containers.container(self.target, self.params.container)
        await self._containers.ready(self.target, found.name, self.hold)

    async def prepare(self) -> JsonObject:
        found = await self._containers.container(self.target, self.params.container)
        if not found.running:
            raise FaultFailed(
                f"the container {found.name} of {self.target.name} does not run: nothing can be signalled"
            )
        return {"container": found.name, "id": found.id, "restarts": found.restarts}

    async def inject(self) -> None:
        found = await self._containers.container(self.target, self.params.container)
        await self._containers.signal(self.target, found.name, self._number, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        name = str(prepared["container"])
        found = await self._containers.container(self.target, name)
        where = f"the container {name} of {self.target.name}"
        if found.id != prepared["id"] and found.running:
            return Sighting(True, f"{where} was started again ({found.restarts} restarts)")
        if not found.running or found.restarts != prepared["restarts"]:
            return Sighting(True, f"{where} has ended")
        return Sighting(False, f"{where} still runs, the same one as before SIG{self.params.signal}")

    async def undo(self, prepared: JsonObject) -> None:
        return None

    async def afterwards(self, prepared: JsonObject) -> str:
        found = await self._containers.container(self.target, str(prepared["container"]))
        runs = "runs" if found.running else "does not run"
        times = found.restarts - int(str(prepared["restarts"]))
        return f"the container {found.name} {runs}, restarted {times} {'time' if times == 1 else 'times'} since"

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        details = self.target.details
        return (
            f"kubectl get pod {details.get('pod')} --namespace {details.get('namespace')}   # its node restarts it",
        )
