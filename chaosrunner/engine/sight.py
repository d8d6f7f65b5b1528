"""What is seen of one fault: whether it is in force, and whether it is gone."""

from __future__ import annotations

from typing import Any

from chaosrunner.engine.leash import Outcome
from chaosrunner.engine.means import Means
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.journal import FaultSeen
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Hold, Sighting

__all__ = ["Sight"]


class Sight:
    """By the platform where it tells by itself, otherwise by the fault's own looks."""

    def __init__(self, id: str, fault: Fault[Any], target: Target, hold: Hold, means: Means) -> None:
        self._id = id
        self._fault = fault
        self._target = target
        self._hold = hold
        self._means = means
        self._limits = means.limits

    async def look(self, prepared: JsonObject, before: Sighting | None = None) -> Sighting | None:
        """One confirmation, recorded if it tells anything else than the one before; a look that fails sees nothing.
        None if the run stops meanwhile."""
        looked = await self._means.leash.ask(self._confirm(prepared), self._limits.confirm, self._means.stop)
        if looked.cut:
            return None
        sighting = _sighting(looked)
        if sighting != before:
            self._means.recorder.record(FaultSeen(fault=self._id, seen=sighting.seen, how=sighting.how))
        return sighting

    async def _confirm(self, prepared: JsonObject) -> Sighting:
        told = self._means.platform.seen(self._target, self._hold)
        return await self._fault.confirm(prepared) if told is None else told

    async def gone(self, prepared: JsonObject, *, instant: bool) -> tuple[bool | None, str]:
        """Whether it was seen gone; None where that cannot be seen (over at once, or the look fails)."""
        if instant:
            after = await self._means.leash.ask(self._fault.afterwards(prepared), self._limits.confirm)
            return None, after.trouble or after.value or ""
        ends = self._means.clock.monotonic() + self._limits.gone_within
        pause = 0.02
        while True:
            looked = await self._means.leash.ask(self._confirm(prepared), self._limits.confirm)
            if looked.error is not None:
                return None, f"could not look: {looked.trouble}"
            sighting = _sighting(looked)
            if not sighting.seen:
                return True, sighting.how
            if self._means.clock.monotonic() >= ends:
                return False, sighting.how
            await self._means.clock.sleep(pause)
            pause = min(pause * 2, 0.5)


def _sighting(looked: Outcome[Sighting]) -> Sighting:
    """A look that failed, or that returned something else, has seen nothing."""
    if looked.error is not None:
        return Sighting(False, f"the look failed: {looked.trouble}")
    if not isinstance(looked.value, Sighting):
        return Sighting(False, f"confirm returned {looked.value!r}, expected a Sighting")
    return looked.value
