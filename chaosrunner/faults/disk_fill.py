"""Fill a disk."""

from __future__ import annotations

from typing import Annotated, Any

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.loads import RIGHTS, Folder, LoadFault
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import BeforeValidator, Field, model_validator
from chaosrunner.model.quantities import Size, parse_ratio, parse_size, write_size
from chaosrunner.model.target import Target
from chaosrunner.ports import Files, Parameters, Sighting, StressEffect

LAST = 64 * 2**20
"""Bytes that stay free unless `toTheBrim` asks for them."""
ENOUGH = 0.9
"""Of what was to be taken."""
LEAST = 2**20
"""Bytes; taking less could not be told from what others write."""


def _parse_leave(value: Any) -> Any:
    try:
        if isinstance(value, str) and not value.strip().endswith("%"):
            return write_size(parse_size(value))
        return f"{parse_ratio(value) * 100:g}%"
    except ValueError:
        raise ValueError(f"expected a size such as 200MiB or a share such as 5%, found {value!r}") from None


class Params(Parameters):
    """Which disk, and how full."""

    folder: Folder
    """A folder on the disk that is filled; absolute."""
    size: Size | None = Field(default=None, ge=LEAST)
    """So much is taken; at least 1MiB. One of size and leave."""
    leave: Annotated[str, BeforeValidator(_parse_leave, json_schema_input_type=str | float)] | None = None
    """So much is left free: a size, or a share of the disk."""
    to_the_brim: bool = False
    """Whether the last 64MiB may be taken too; default false."""

    @model_validator(mode="after")
    def _one(self) -> Params:
        if (self.size is None) == (self.leave is None):
            raise ValueError("expected one of size and leave")
        return self

    def left(self, total: float) -> float:
        """Bytes that `leave` leaves on a disk of this size."""
        leave = self.leave or "0B"
        return parse_ratio(leave) * total if leave.endswith("%") else parse_size(leave)


class DiskFill(LoadFault[Params]):
    """Takes space on the disk that a folder is on, in a file that has no name: really allocated, seen by everybody as
    less free space, and free again as soon as what holds it ends, however it ends.

    The last 64 MiB stay free unless `toTheBrim` is set, and a disk that chaosrunner itself writes to always keeps
    512 MiB, so that the run can be recorded. In a pod the folder must be on a volume that one of its containers mounts
    and may write to, and the load writes as that container's user. At the end the space is free; what could not be
    written meanwhile is not restored.
    """

    harder = {"size": "more"}
    needs = (*RIGHTS, "to write to the folder")
    example = """\
- fault: disk-fill
  target: {service: checkout}
  with: {folder: /var/lib/checkout, leave: 5%}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"resource": "disk", "folder": params.folder}

    @classmethod
    def does(cls, params: Params) -> str:
        if params.size is not None:
            return f"{write_size(params.size)} of the disk of {params.folder} are taken."
        return f"The disk of {params.folder} is filled until {params.leave} of it are free."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The space is free again; what could not be written meanwhile is not restored."

    @property
    def folder(self) -> str:
        return self.params.folder

    async def effect(self) -> StressEffect:
        return (await self._effect())[0]

    async def _effect(self) -> tuple[StressEffect, float]:
        """What is to be taken now, and what is free now."""
        free, total = await self.platform.ability(Files).free(self.target, self.params.folder)
        size = self.params.size if self.params.size is not None else free - self.params.left(total)
        return StressEffect("disk", size=size, folder=self.params.folder), free

    async def suits(self) -> None:
        effect, free = await self._effect()
        if effect.size < LEAST:
            raise CannotDoHonestly(f"{self.params.folder} is that full already: {_mib(free)} are free")
        if free - effect.size < LAST and not self.params.to_the_brim:
            raise CannotDoHonestly(
                f"{_mib(free)} are free in {self.params.folder}; taking {_mib(effect.size)} would leave less than "
                f"{_mib(LAST)}: take less, or set `toTheBrim: true`"
            )
        if why := await self.holders.why_not(self.target, effect):
            raise CannotDoHonestly(why)

    async def before(self) -> JsonObject:
        effect, free = await self._effect()
        return {"free": free, "size": effect.size}

    async def inject(self) -> None:
        try:
            await self.suits()  # others write too: what fitted when it was planned may not fit now
        except CannotDoHonestly as why:
            raise FaultFailed(str(why)) from None
        await super().inject()

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """What the system counts for the holder's file; where it does not say that, how much less is free."""
        usage = await self.holders.usage(self.target, self.hold)
        free, _ = await self.platform.ability(Files).free(self.target, self.params.folder)
        before, wanted = prepared.get("free"), prepared.get("size")
        if not usage or not isinstance(before, int | float) or not isinstance(wanted, int | float):
            return Sighting(False, f"nothing is taken in {self.params.folder}, {_mib(free)} are free")
        taken = usage.get("disk", before - free)
        words = f"{_mib(taken)} of {_mib(wanted)} are taken in {self.params.folder}, {_mib(free)} are free"
        return Sighting(taken >= ENOUGH * wanted, words)


def _mib(amount: float) -> str:
    return f"{amount / 2**20:.0f} MiB"
