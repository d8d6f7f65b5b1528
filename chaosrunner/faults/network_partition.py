"""Cut a pod off."""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.quantities import show
from chaosrunner.network import PacketFault
from chaosrunner.ports import Parameters, Sighting


class Params(Parameters):
    """Which way."""

    direction: Literal["both", "out", "in"] = "both"
    """Which packets are lost: both ways, only those that the pod sends, or only those that it gets; default both."""
    include_control: bool = False
    """Whether the kubelet's probes and metric scrapes of the pod are hit, too; default false."""


class NetworkPartition(PacketFault[Params]):
    """Loses every packet between a pod and one dependency, or between a pod and everything, whoever opened the
    connection and whatever the protocol: as if a switch between them had failed. Nobody is told; connections hang.

    The kubelet's probes and metric scrapes pass unless `includeControl: true`, so the pod stays ready. At the end
    packets pass again; connections that hung go on when TCP tries again, which may take seconds.
    """

    fault_class = "dependency-gone"
    example = """\
- fault: network-partition
  target: {service: checkout, to: payments}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        which = {"both": "No packet passes, either way", "out": "No packet leaves", "in": "No packet arrives"}
        return f"{which[params.direction]}; nobody is told, connections hang."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "Packets pass again; what hung goes on when TCP tries again."

    def packets(self) -> JsonObject:
        return {"partition": True, "direction": self.params.direction}

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Connects as the pod does, and past the fault: an end that is gone itself is not our doing."""
        through, around = await self.through_and_around()
        if around.outcome != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {around.outcome}")
        words = f"a connection is {through.outcome} after {show(through.seconds, 's')}"
        return Sighting(through.outcome == "silent", f"{words}; past it answered in {show(around.seconds, 's')}")
