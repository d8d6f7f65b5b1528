"""Kill a process."""

from __future__ import annotations

import signal
from typing import Literal

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Fault, Parameters, Processes, Sighting


class Params(Parameters):
    """How it is killed."""

    signal: Literal["KILL", "TERM", "INT"] = "KILL"
    """KILL ends it at once, as a crash or the kernel's out-of-memory killer would; TERM and INT ask it to end."""


class ProcessKill(Fault[Params]):
    """Kills one instance of a service: its topmost process, and with KILL all its descendants.

    Where chaosrunner keeps the service (`start` in the environment), nothing but the service's own restart policy
    starts it again while the step lasts; afterwards chaosrunner starts it if it is down. Any other service must be
    started again by what supervises it, and stays down if nothing does. What the process had in memory, and the work
    that it was at, are lost.
    """

    platforms = frozenset({"local"})
    acts_on = frozenset({"process"})
    fault_class = "instance-loss"
    instant = True
    needs = ("to signal the process: the same user, or root",)
    example = """\
- fault: process-kill
  target: {service: checkout}
  with: {signal: KILL}
  observe: 20s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return f"The process is sent SIG{params.signal}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return (
            "A service that chaosrunner keeps is started if it is down; any other one is left to its own supervisor. "
            "What was in memory is lost."
        )

    @property
    def _processes(self) -> Processes:
        return self.platform.ability(Processes)

    async def check(self) -> None:
        if await self._processes.state(self.target) == "gone":
            raise CannotDoHonestly(f"{self.target.name} is gone already")

    async def prepare(self) -> JsonObject:
        return {"keeper": await self._processes.keeper(self.target)}

    async def inject(self) -> None:
        number = signal.Signals[f"SIG{self.params.signal}"]
        await self._processes.knock_down(self.target, int(number), self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        state = await self._processes.state(self.target)
        if state == "gone":
            return Sighting(True, f"{self.target.name} is gone")
        return Sighting(False, f"{self.target.name} is still {state} after SIG{self.params.signal}")

    async def undo(self, prepared: JsonObject) -> None:
        await self._processes.bring_back(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        if prepared.get("keeper"):
            return (f"chaosrunner heal {self.hold.run}",)
        return (f"start {self.target.service or self.target.name} by whatever supervises it",)
