"""Targets taken in the cluster, so that runs from two machines never act on one at once.

Each namespace that has targets keeps one ConfigMap, `chaosrunner-claims`: run -> who it is, and hashes of its targets'
leases. It is changed by replacing the very version that was read, so that of two runs that come at once one sees the
other, and any number of targets takes two requests. Nodes are claimed in the ledger's namespace: environments that
share nodes should share that.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.errors import Busy
from chaosrunner.injector.operations import short
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY
from chaosrunner.platforms.kubernetes.ledger import Author
from chaosrunner.platforms.kubernetes.operations import US

NAME = "chaosrunner-claims"
ATTEMPTS = 20
"""Times that claims are written when others write theirs at the same moment."""

Over = Callable[[str, str, str], Awaitable[bool]]
"""(namespace, Lease's name, run) -> whether that run is dead and has left nothing in force."""


class Claims:
    """What a run has claimed."""

    def __init__(self, cluster: Cluster, clock: Clock, author: Author, ledger_namespace: str, over: Over) -> None:
        self._cluster = cluster
        self._clock = clock
        self._author = author
        self._ledger_namespace = ledger_namespace
        self._over = over
        self._spaces: list[str] = []

    async def take(self, wanted: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """`wanted`: namespace -> (lease, name for people) of each target; those of an earlier call are let go unless
        they are among them. What was taken when it fails is let go with the rest.

        Raises `Busy` with who holds which.
        """
        for space in sorted(wanted):
            await self._take(space, dict(wanted[space]))
            if space not in self._spaces:
                self._spaces.append(space)

    async def _take(self, space: str, wanted: Mapping[str, str]) -> None:
        hashes = {short(lease): name for lease, name in wanted.items()}
        mine = json.dumps(
            {
                "lease": f"{self._ledger_namespace}/{self._author.lease}",
                "by": self._author.by,
                "targets": sorted(hashes),
            }
        )

        async def change(data: dict[str, str]) -> None:
            for run, text in list(data.items()):
                if run == self._author.run:
                    continue
                held = _claim(text)
                both = sorted(set(held.get("targets", ())) & set(hashes))
                if not both:
                    continue
                home, _, lease = str(held.get("lease", "")).partition("/")
                if not await self._over(home, lease, run):
                    more = f" and {len(both) - 1} more" if len(both) > 1 else ""
                    first, by = min(hashes[each] for each in both), held.get("by", "somebody")
                    raise Busy(f"{first}{more} is in the hands of run {run} of {by}")
                del data[run]
            data[self._author.run] = mine

        await self._change(space, change)

    async def let_go(self) -> None:
        """Drop all; idempotent."""
        while self._spaces:

            async def change(data: dict[str, str]) -> None:
                data.pop(self._author.run, None)

            await self._change(self._spaces[-1], change)
            self._spaces.pop()

    async def _change(self, space: str, change: Callable[[dict[str, str]], Awaitable[None]]) -> None:
        """Read, change, replace, until nobody came in between."""
        where = path("v1", "configmaps", space, NAME)
        for attempt in range(ATTEMPTS):
            found = await self._cluster.find(where)
            data = dict((found or {}).get("data") or {})
            before = dict(data)
            await change(data)
            if data == before:
                return
            try:
                await self._write(space, where, found, data)
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
                await self._clock.sleep(0.05 * (attempt + 1))
            else:
                return
        raise Busy(f"the claims of the namespace {space} are being changed by others all the time; try again")

    async def _write(self, space: str, where: str, found: Object | None, data: dict[str, str]) -> None:
        if found is None:
            metadata = {"name": NAME, "labels": {MANAGED_BY: US}}
            await self._cluster.create(path("v1", "configmaps", space), {"metadata": metadata, "data": data})
        elif data:
            await self._cluster.replace(where, found | {"data": data})
        else:
            seen = {key: found["metadata"][key] for key in ("uid", "resourceVersion")}
            await self._cluster.delete(where, {"preconditions": seen})


def _claim(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
