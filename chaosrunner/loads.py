"""The seam of faults that put a load beside a target: what they share; each file says only in what it differs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import BeforeValidator
from chaosrunner.needs import INJECTOR
from chaosrunner.ports import Fault, Holders, P, StressEffect

__all__ = ["RIGHTS", "Folder", "LoadFault"]

RIGHTS = ("get pods", *INJECTOR)
"""What a load in a pod takes on Kubernetes: its injector, and looks from inside the pod."""


def _parse_folder(value: Any) -> Any:
    if isinstance(value, str) and PurePosixPath(value).is_absolute():
        return value
    raise ValueError(f"expected an absolute path such as /var/lib/app, found {value!r}")


Folder = Annotated[str, BeforeValidator(_parse_folder)]
"""An absolute path."""


class LoadFault(Fault[P]):
    """A load that holders put on and take off. What must be looked at first is looked at while planning where that can
    be done without touching anything, otherwise in the run, before it injects."""

    platforms: ClassVar[frozenset[str]] = frozenset({"local", "kubernetes"})
    acts_on: ClassVar[frozenset[str]] = frozenset({"process", "pod"})
    fault_class: ClassVar[str] = "capacity"
    needs: ClassVar[Sequence[str]] = RIGHTS

    @abstractmethod
    async def effect(self) -> StressEffect:
        """The load; may look at the target."""

    @property
    def holders(self) -> Holders:
        """What puts it on."""
        return self.platform.ability(Holders)

    async def suits(self) -> None:
        """Whether it can be put on with what is there; looks, raises `CannotDoHonestly`."""
        if why := await self.holders.why_not(self.target, await self.effect()):
            raise CannotDoHonestly(why)

    async def check(self) -> None:
        await self.holders.may_hold(self.target, self.folder)
        if self.holders.looks_before:
            await self.suits()

    async def ready(self) -> None:
        await self.holders.bring_up(self.target, self.folder, self.hold)

    async def prepare(self) -> JsonObject:
        if not self.holders.looks_before:
            await self.suits()
        return await self.before()

    async def before(self) -> JsonObject:
        """What `confirm` must know of the time before; looks."""
        return {}

    @property
    def folder(self) -> str:
        """The folder whose disk is loaded; empty: none is."""
        return ""

    async def inject(self) -> None:
        await self.holders.stress(self.target, await self.effect(), self.hold)

    async def undo(self, prepared: JsonObject) -> None:
        await self.holders.let_go(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return (f"chaosrunner heal {self.hold.run}",)
