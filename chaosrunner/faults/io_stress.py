"""Keep a disk busy."""

from __future__ import annotations

from chaosrunner.loads import RIGHTS, Folder, LoadFault
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Size, write_size
from chaosrunner.model.target import Target
from chaosrunner.ports import Parameters, Sighting, StressEffect


class Params(Parameters):
    """Which disk, and how busy."""

    folder: Folder
    """A folder on the disk that is written to; absolute."""
    workers: int = Field(default=2, ge=1, le=64)
    """How many write at the same time; default 2."""
    size: Size = Field(default=2**20, ge=4096, le=2**20)
    """Of one write, after which the disk is made to keep it; at most 1MiB, which is the default."""


class IoStress(LoadFault[Params]):
    """Writes to the disk that a folder of a pod is on, and makes the disk keep each write before the next (fsync), as
    fast as the disk takes them, in a file without a name that takes 64 MiB for each worker. Everybody on this disk
    waits longer for it; on most clusters that is more than the pod.

    The folder must be on a volume that one of the pod's containers mounts and may write to. At the end nothing is
    written any more, and the space is free.
    """

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"pod"})
    needs = (*RIGHTS, "to write to the folder")
    harder = {"workers": "more"}
    example = """\
- fault: io-stress
  target: {service: orders}
  with: {folder: /var/lib/orders, workers: 4}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"resource": "io", "folder": params.folder}

    @classmethod
    def does(cls, params: Params) -> str:
        one = "1 worker writes" if params.workers == 1 else f"{params.workers} workers write"
        return f"{one} to the disk of {params.folder}, {write_size(params.size)} at a time, each kept by the disk."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "Nothing is written any more; what was written is gone."

    @property
    def folder(self) -> str:
        return self.params.folder

    async def effect(self) -> StressEffect:
        return StressEffect("io", size=self.params.size, folder=self.params.folder, workers=self.params.workers)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """What the system counts as written by the load's process within a moment."""
        written = (await self.holders.usage(self.target, self.hold)).get("written")
        if not written:
            return Sighting(False, f"nothing is written to the disk of {self.params.folder}")
        return Sighting(True, f"{written / 2**20:.1f} MiB a second are written to the disk of {self.params.folder}")
