"""A tracker that keeps nothing: the near misses stay in the register alone."""

from __future__ import annotations

from chaosrunner.ports import Item, ItemSeen, Parameters, Tracker


class Params(Parameters):
    """None."""


class Noop(Tracker[Params]):
    """Makes no item anywhere. For environments whose near misses are followed in the register alone, and for tests."""

    example = "tracker: {noop: {}}"

    async def find(self, fingerprint: str) -> ItemSeen | None:
        return None

    async def create(self, item: Item) -> ItemSeen:
        return ItemSeen(key=item.near_miss, url="", state="open")

    async def look(self, key: str) -> ItemSeen:
        return ItemSeen(key=key, url="", state="open")

    async def update(
        self, key: str, item: Item, comment: str, *, reopen: bool = False, close: bool = False
    ) -> ItemSeen:
        return ItemSeen(key=key, url="", state="closed" if close else "open")
