"""Lose packets."""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Ratio, show
from chaosrunner.network import LostPackets
from chaosrunner.ports import Parameters


class Params(Parameters):
    """How many, and which way."""

    share: Ratio = Field(gt=0)
    """Of packets, drawn one by one. Less than 6% is refused while planning, since seeing it would take too many
    connections."""
    direction: Literal["out", "in", "both"] = "out"
    """Which packets: those that the pod sends, those that it gets, or both; default out."""
    include_control: bool = False
    """Whether the kubelet's probes and metric scrapes of the pod are hit, too; default false."""


class NetworkLoss(LostPackets[Params]):
    """Loses a share of a pod's packets, to and from one dependency or everywhere, whatever their protocol. TCP sends
    them again, so callers see single requests take a second and more longer, not errors; datagrams are gone.

    At the end all packets pass again. Connections that had waited go on when TCP tries again, which may take seconds.
    """

    fault_class = "dependency-flaky"
    harder = {"share": "more"}
    example = """\
- fault: network-loss
  target: {service: checkout, to: payments}
  with: {share: 10%}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        which = {"out": "that it sends", "in": "that it gets", "both": "each way"}[params.direction]
        return f"{show(params.share, 'ratio')} of the packets {which} are lost."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "All packets pass again; what waits for TCP to ask again goes on when it does."

    def packets(self) -> JsonObject:
        return {"loss": self.params.share, "direction": self.params.direction}

    def expected(self) -> float:
        passes = 1 - self.params.share
        return 1 - (passes**2 if self.params.direction == "both" else passes)
