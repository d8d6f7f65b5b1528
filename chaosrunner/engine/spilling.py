"""Looks at what is no target before the fault and after it, and writes down what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chaosrunner.engine.means import Means
from chaosrunner.model.journal import Noted, Spilled
from chaosrunner.model.target import Target

__all__ = ["Spilling"]

TAKES = 15.0
"""Seconds that a look may take: after an outage a cluster needs some until its nodes have told how they are."""


class Spilling:
    """One run's looks. `targets` tells what is left out of them."""

    def __init__(self, means: Means, targets: Callable[[], Sequence[Target]]) -> None:
        self._means = means
        self._targets = targets
        self._before: Mapping[str, str] = {}
        self._told: set[tuple[str, str]] = set()

    async def begin(self) -> None:
        """The look that later ones are held against."""
        self._before = await self._others()

    async def look(self) -> None:
        """Record what changed about everything that is not a target."""
        after = await self._others()
        for service, was in self._before.items():
            now = after.get(service, was)
            if now != was and (service, now) not in self._told:
                self._told.add((service, now))
                detail = f"was {was}, is {now}" if was and now else now or f"was {was}"
                self._means.recorder.record(Spilled(what="changed", service=service, detail=detail))

    async def _others(self) -> Mapping[str, str]:
        seen = await self._means.leash.ask(self._means.platform.observe(self._targets()), TAKES)
        if seen.value is None:
            words = f"could not look at what is no target: {seen.trouble}"
            self._means.recorder.record(Noted(who="chaosrunner", text=words))
            return {}
        return seen.value
