"""Damage packets."""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Ratio, show
from chaosrunner.network import NETEM, LostPackets
from chaosrunner.ports import Parameters


class Params(Parameters):
    """How many."""

    share: Ratio = Field(gt=0)
    """Of the packets that the pod sends, drawn one by one; in each a single bit is flipped. Less than 6% is refused
    while planning, since seeing it would take too many connections."""
    include_control: bool = False
    """Whether the kubelet's probes and metric scrapes of the pod are hit, too; default false."""


class NetworkCorrupt(LostPackets[Params]):
    """Flips a bit in a share of the packets that a pod sends, to one dependency or everywhere. Checksums find most of
    them, so that they are as good as lost; what a checksum does not cover arrives wrong.

    Only the kernel's netem can do it. At the end packets pass as they are.
    """

    fault_class = "dependency-flaky"
    harder = {"share": "more"}
    needs_netem = True
    example = """\
- fault: network-corrupt
  target: {service: checkout, to: payments}
  with: {share: 10%}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return f"A bit is flipped in {show(params.share, 'ratio')} of the packets that it sends. {NETEM}"

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "Packets pass as they are; what waits for TCP to ask again goes on when it does."

    def packets(self) -> JsonObject:
        return {"corrupt": self.params.share}

    def expected(self) -> float:
        return self.params.share
