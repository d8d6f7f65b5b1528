"""The ledger in the cluster: one ConfigMap for each fault in the cluster's API, written before the fault acts and
removed when it is taken back. It is all that the guardian, and `chaosrunner heal` on any machine, need for that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from chaosrunner.clock import Clock, iso
from chaosrunner.errors import FaultFailed, NotPossibleNow
from chaosrunner.injector.guardian import FINALIZER, GUARDED, LEDGER, RUN
from chaosrunner.injector.operations import short
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY
from chaosrunner.platforms.kubernetes.operations import US
from chaosrunner.ports import Hold

ENVIRONMENT = "chaosrunner.dev/environment"
LONGEST_UNDO = 256 * 1024
"""Bytes: an object of the API takes at most 1.5 MB, and a ledger is read often."""
ANSWER_WITHIN = 6.0
"""Seconds that the guardian has to say whether it could undo an entry."""
LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of one fault."""

    name: str
    """Of the ConfigMap."""
    uid: str
    hold: str
    run: str
    lease: str
    """Name of the run's Lease, in the same namespace."""
    environment: str
    step: str
    target: str
    by: str
    undo: Sequence[JsonObject]


def entry_name(hold: str) -> str:
    """Of the ConfigMap for a hold."""
    return f"chaosrunner-fault-{short(hold)}"


@dataclass(frozen=True, slots=True)
class Author:
    """The run that writes."""

    run: str
    lease: str
    environment: str
    by: str


class Ledger:
    """The ledger of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._clock = clock
        self._all = path("v1", "configmaps", namespace)

    async def write(self, author: Author, hold: Hold, target: Target, undo: Sequence[JsonObject]) -> None:
        """Returns when the entry is kept. Raises `FaultFailed`."""
        text = json.dumps(list(undo), separators=(",", ":"))
        if len(text) > LONGEST_UNDO:
            raise FaultFailed(f"{target.name}: its undo takes {len(text)} bytes, the ledger at most {LONGEST_UNDO}")
        labels = {MANAGED_BY: US, LEDGER: "fault", RUN: author.run, ENVIRONMENT: author.environment}
        data = {
            "hold": hold.id,
            "run": author.run,
            "lease": author.lease,
            "environment": author.environment,
            "step": hold.id.removeprefix(f"{hold.run}.").rpartition(".")[0],
            "target": target.name,
            "by": author.by,
            "deadline": iso(hold.deadline),
            "seconds": f"{hold.seconds:g}",
            "undo": text,
            "words": "A fault that chaosrunner holds; `undo` takes it back. Removed when it is taken back.",
        }
        metadata = {"name": entry_name(hold.id), "labels": labels, "finalizers": [FINALIZER]}
        body = {"metadata": metadata, "data": data}
        try:
            await self._cluster.create(self._all, body, again=True)
        except ApiError as error:
            if error.code == 409 and (await self._read(hold.id)) is not None:
                return  # an earlier try, whose answer was lost
            raise FaultFailed(f"the ledger entry could not be written, so nothing was changed: {error}") from None

    async def guarded(self, hold: Hold) -> None:
        """Wait for the guardian's word that it could take the fault back. Raises `FaultFailed` with why not."""
        ends = self._clock.monotonic() + ANSWER_WITHIN
        while self._clock.monotonic() < ends:
            found = await self._read(hold.id)
            if found is None:
                raise FaultFailed("the guardian has taken the run for dead and removed the ledger entry")
            said = (found["metadata"].get("annotations") or {}).get(GUARDED, "")
            if said == "yes":
                return
            if said:
                raise FaultFailed(f"the guardian could not take it back: {said} (see k8s/)")
            await self._clock.sleep(LOOK_EVERY)
        raise FaultFailed(f"no guardian has looked at the ledger entry within {ANSWER_WITHIN:g} s")

    async def _read(self, hold: str) -> Object | None:
        return await self._cluster.find(f"{self._all}/{entry_name(hold)}")

    async def remove(self, name: str) -> None:
        """An entry, by the name of its ConfigMap; nothing happens if it is gone."""
        try:
            await self._cluster.patch(f"{self._all}/{name}", {"metadata": {"finalizers": None}})
            await self._cluster.delete(f"{self._all}/{name}")
        except ApiError as error:
            if not error.not_found:
                raise

    async def entries(self, run: str | None = None) -> list[Entry]:
        """All of them, or a run's, oldest first. Raises `NotPossibleNow` for what cannot be read: it must not be
        overlooked."""
        found = [_entry(item) async for item in self._items(run)]
        return [entry for _, entry in sorted(found, key=lambda each: (each[0], each[1].hold))]

    async def _items(self, run: str | None) -> AsyncIterator[Object]:
        labels = f"{LEDGER}=fault" + (f",{RUN}={run}" if run else "")
        async for page in self._cluster.pages(self._all, accept="application/json", labelSelector=labels):
            for item in page.get("items") or ():
                yield item


def _entry(item: Object) -> tuple[str, Entry]:
    metadata, data = item["metadata"], item.get("data") or {}
    try:
        undo = json.loads(data["undo"])
        entry = Entry(
            name=metadata["name"],
            uid=metadata["uid"],
            hold=data["hold"],
            run=data["run"],
            lease=data["lease"],
            environment=data["environment"],
            step=data["step"],
            target=data["target"],
            by=data["by"],
            undo=undo,
        )
    except (KeyError, ValueError) as error:
        place = f"{metadata['namespace']}/{metadata['name']}"
        raise NotPossibleNow(f"the ledger entry (ConfigMap) {place} cannot be read: {error!r}") from None
    return str(metadata.get("creationTimestamp")), entry
