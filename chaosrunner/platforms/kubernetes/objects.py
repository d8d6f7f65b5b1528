"""Changes of the cluster's objects for faults: the ledger first, then the guardian's word, then the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.errors import FaultFailed, UndoFailed
from chaosrunner.injector import operations as data
from chaosrunner.injector.operations import Outcome
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes import operations
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object
from chaosrunner.platforms.kubernetes.ledger import entry_name
from chaosrunner.platforms.kubernetes.operations import US, perform
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.ports import Hold, Objects

FRESH = 2.0
"""Seconds after the guardian's word in which the change must begin: a runner that stood still meanwhile may have been
taken for dead, and its ledger entry with it."""
AGAIN_AFTER = 0.3
"""Seconds between two tries while the API server does not answer."""


class ClusterObjects(Objects):
    """With the run's presence in the cluster."""

    def __init__(self, cluster: Cluster, presence: Presence, namespaces: Sequence[str], clock: Clock) -> None:
        self.namespaces = namespaces
        self._cluster = cluster
        self._presence = presence
        self._clock = clock

    async def read(self, path: str) -> Object | None:
        """As it is now."""
        return await self._cluster.find(path)

    async def items(self, path: str, **query: str) -> Sequence[Object]:
        """Whole objects."""
        found: dict[str, Object] = {}
        async for page in self._cluster.pages(path, accept="application/json", **query):
            found |= {str(item["metadata"]["uid"]): item for item in page.get("items") or ()}
        return list(found.values())

    async def ready(self) -> None:
        """From now on the run is given a guardian before it begins."""
        self._presence.needs_guardian = True
        await self._presence.guardian.check()

    async def change(self, target: Target, hold: Hold, do: Sequence[JsonObject], undo: Sequence[JsonObject]) -> None:
        """In this order; the entry stays if a change fails, as an earlier one may be in force."""
        author = await self._presence.brace()
        await self._presence.ledger.write(author, hold, target, undo)
        await self._presence.ledger.guarded(hold)
        guarded = self._clock.monotonic()
        for operation in do:
            if self._clock.monotonic() - guarded > FRESH:
                await self._presence.ledger.guarded(hold)
                guarded = self._clock.monotonic()
            outcome = await perform(self._cluster, operation)
            if outcome.state != "done":
                raise FaultFailed(f"{target.name}: {outcome.words}")

    async def take_back(self, hold: Hold, undo: Any, *, last: bool = True) -> None:
        """All operations are tried, also when one fails; the entry goes when none did."""
        failed = [outcome.words for each in undo if (outcome := await self._undo(each)).state == "failed"]
        if failed:
            raise UndoFailed("; ".join(failed), self.by_hand(undo))
        if not last:
            return
        try:
            await self._presence.ledger.remove(entry_name(hold.id))
        except ApiError as error:
            raise UndoFailed(
                f"it is undone, but its ledger entry is still there: {error}", self.by_hand(undo)
            ) from None

    async def seen_until(self, path: str, enough: Callable[[Object], bool], seconds: float) -> Object | None:
        """Every third of a second; a server that does not answer is asked again."""
        ends, found = self._clock.monotonic() + seconds, None
        while True:
            try:
                found = await self._cluster.find(path)
            except ApiError as error:
                if not error.passing or self._clock.monotonic() >= ends:
                    raise
            else:
                if found is None or enough(found) or self._clock.monotonic() >= ends:
                    return found
            await self._clock.sleep(AGAIN_AFTER)

    async def _undo(self, operation: Mapping[str, Any]) -> Outcome:
        """Tried until the API server has answered; the engine's limit ends it."""
        while (outcome := await perform(self._cluster, operation)).passing:
            await self._clock.sleep(AGAIN_AFTER)
        return outcome

    def tag(self, hold: Hold) -> str:
        """As in the mark."""
        return data.short(hold.id)

    def held(self, found: Mapping[str, Any] | None, hold: Hold) -> bool:
        """By its annotation."""
        return found is not None and data.at(found, data.still(hold.id)["pointer"]) == hold.id

    def patch(self, path: str, body: Mapping[str, Any], hold: Hold, **more: Any) -> JsonObject:
        """See `operations`."""
        return operations.patch(path, body, hold.id, **more)

    def back(self, path: str, body: Mapping[str, Any], hold: Hold, **more: Any) -> JsonObject:
        """See `operations`."""
        return operations.back(path, body, hold.id, **more)

    def make(self, path: str, body: Mapping[str, Any], hold: Hold) -> JsonObject:
        """See `operations`."""
        return operations.make(path, body, hold.id)

    def unmake(self, path: str, hold: Hold) -> JsonObject:
        """See `operations`."""
        return operations.unmake(path, hold.id)

    def by_hand(self, undo: Any) -> Sequence[str]:
        """With the values that the undo has."""
        return data.by_hand(undo)

    def changed_by(self, found: Mapping[str, Any], field: str) -> str:
        """The latest of those that own the field."""
        keys = [f"f:{part}" for part in field.split(".")]
        owners = []
        for each in found.get("metadata", {}).get("managedFields") or ():
            owned: Any = each.get("fieldsV1") or {}
            for key in keys:
                owned = owned.get(key) if isinstance(owned, dict) else None
            if owned is not None and each.get("manager") != US:
                through = f" (through /{each['subresource']})" if each.get("subresource") else ""
                owners.append((str(each.get("time", "")), f"{each.get('manager')}{through}"))
        return max(owners)[1] if owners else ""
