"""Stop a process without ending it."""

from __future__ import annotations

import signal
from contextlib import suppress

from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Fault, Holders, Parameters, Processes, Sighting


class Params(Parameters):
    """There is nothing to set."""


class ProcessPause(Fault[Params]):
    """Stops one instance of a service, all its processes, as if it hung: connections stay open, the system goes on
    accepting new ones in its name, and nothing answers (SIGSTOP).

    At the end the processes go on where they were (SIGCONT), and find that time has passed: timeouts, leases and
    connections may have run out meanwhile, which is not restored. A supervisor may have killed a hung process.
    """

    platforms = frozenset({"local"})
    acts_on = frozenset({"process"})
    fault_class = "instance-hang"
    needs = ("to signal the process: the same user, or root",)
    example = """\
- fault: process-pause
  target: {service: payments}
  for: 20s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return "The instance's processes are stopped: they keep their connections and answer nothing."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The processes go on where they were; what ran out meanwhile is not restored."

    @property
    def _processes(self) -> Processes:
        return self.platform.ability(Processes)

    async def check(self) -> None:
        state = await self._processes.state(self.target)
        if state != "running":
            raise CannotDoHonestly(f"{self.target.name} is {state} already; it must be running to be paused")

    async def prepare(self) -> JsonObject:
        return {"before": await self._processes.state(self.target)}

    async def inject(self) -> None:
        await self.platform.ability(Holders).pause(self.target, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        state = await self._processes.state(self.target)
        return Sighting(state == "stopped", f"the system says that {self.target.name} is {state}")

    async def undo(self, prepared: JsonObject) -> None:
        await self.platform.ability(Holders).let_go(self.target, self.hold)
        if prepared.get("before") == "stopped" or await self._processes.state(self.target) != "stopped":
            return
        with suppress(FaultFailed):  # gone, or somebody else's: the look below tells
            await self._processes.signal(self.target, int(signal.SIGCONT))
        if await self._processes.state(self.target) == "stopped":
            raise UndoFailed(f"{self.target.name} is still stopped", self.by_hand(prepared))

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        pid = self.target.details.get("pid")
        return (f"kill -CONT {pid}", f"chaosrunner heal {self.hold.run}")
