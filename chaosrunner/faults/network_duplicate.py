"""Send packets twice."""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Ratio, show
from chaosrunner.network import NETEM, ShapedPackets
from chaosrunner.ports import Parameters


class Params(Parameters):
    """How many."""

    share: Ratio = Field(gt=0)
    """Of the packets that the pod sends, drawn one by one; each of them is sent twice."""
    include_control: bool = False
    """Whether the kubelet's probes and metric scrapes of the pod are hit, too; default false."""


class NetworkDuplicate(ShapedPackets[Params]):
    """Sends a share of a pod's packets twice, to one dependency or everywhere. TCP drops the second one; a receiver of
    datagrams gets both.

    Only the kernel's netem can do it. At the end each packet is sent once.
    """

    fault_class = "dependency-flaky"
    harder = {"share": "more"}
    word = "duplicate"
    example = """\
- fault: network-duplicate
  target: {service: checkout, to: payments}
  with: {share: 20%}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return f"{show(params.share, 'ratio')} of the packets that it sends are sent twice. {NETEM}"

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "Each packet is sent once."

    def packets(self) -> JsonObject:
        return {"duplicate": self.params.share}
