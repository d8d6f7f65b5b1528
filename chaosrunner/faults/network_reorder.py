"""Let packets overtake each other."""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration, Ratio, show, write_duration
from chaosrunner.network import NETEM, ShapedPackets
from chaosrunner.ports import Parameters


class Params(Parameters):
    """How many, and by how much."""

    share: Ratio = Field(gt=0, lt=1)
    """Of the packets that the pod sends, drawn one by one: these go at once and overtake the others."""
    delay: Duration = Field(gt=0)
    """How long the others wait."""
    include_control: bool = False
    """Whether the kubelet's probes and metric scrapes of the pod are hit, too; default false."""


class NetworkReorder(ShapedPackets[Params]):
    """Lets a share of the packets that a pod sends overtake the others, to one dependency or everywhere: the others are
    delayed. TCP puts them in order again, at the cost of speed; a receiver of datagrams gets them as they come.

    Only the kernel's netem can do it. At the end packets go in order and without the delay.
    """

    fault_class = "dependency-slow"
    harder = {"delay": "more"}
    word = "reorder"
    example = """\
- fault: network-reorder
  target: {service: checkout, to: payments}
  with: {share: 25%, delay: 50ms}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return (
            f"{show(params.share, 'ratio')} of the packets that it sends overtake the others, which wait "
            f"{write_duration(params.delay)}. {NETEM}"
        )

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "Packets go in order and without the delay; those that wait are sent."

    def packets(self) -> JsonObject:
        return {"reorder": self.params.share, "delay": self.params.delay}
