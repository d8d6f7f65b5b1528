"""The states of our containers in very many pods, kept up to date by one watch for each namespace."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chaosrunner.clock import Clock
from chaosrunner.platforms.kubernetes import beside
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path

AGAIN = 0.5
"""Seconds before a watch that broke is made anew."""
SILENCE = 100.0


@dataclass(frozen=True, slots=True)
class State:
    """Of one container, as its node last told."""

    since: float | None = None
    """When it was first seen to run, on the monotonic clock."""
    ended: str = ""
    """How it ended, or its pod did; empty: it has not."""
    waits: str = ""
    """What it waits for."""


_UNKNOWN = State()


class States:
    """By pod's uid and container's name. Only containers of ours are kept."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._known: dict[str, dict[str, State]] = {}
        self._gone: set[str] = set()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._read: dict[str, asyncio.Event] = {}
        self._versions: dict[str, str] = {}
        self._ends: dict[str, dict[str, asyncio.Event]] = {}

    async def begin(self, namespace: str) -> None:
        """Watch from now on. Returns when what there is was read."""
        if namespace not in self._watches:
            self._read[namespace] = asyncio.Event()
            self._watches[namespace] = asyncio.ensure_future(self._keep(namespace))
        await self._read[namespace].wait()

    async def close(self) -> None:
        """End all watches; idempotent."""
        watches = list(self._watches.values())
        self._watches.clear()
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    def of(self, uid: str, container: str) -> State:
        """What is known now."""
        if uid in self._gone:
            return State(ended="its pod was deleted")
        return self._known.get(uid, {}).get(container, _UNKNOWN)

    async def until_ended(self, uid: str, container: str) -> None:
        """Returns when it has ended, or its pod is gone. The caller limits the time."""
        over = self._ends.setdefault(uid, {}).setdefault(container, asyncio.Event())
        if not self.of(uid, container).ended:
            await over.wait()

    async def _keep(self, namespace: str) -> None:
        """Read all there is, watch, and go on from there after a watch that broke; anew where the server forgot."""
        where = path("v1", "pods", namespace)
        while True:
            try:
                if namespace not in self._versions:
                    await self._list(namespace, where)
                version = self._versions[namespace]
                async for change in self._cluster.watch(where, resource_version=version, silence=SILENCE):
                    metadata = change.object["metadata"]
                    self._versions[namespace] = str(metadata["resourceVersion"])
                    if change.type == "DELETED":
                        self._gone.add(str(metadata["uid"]))
                        self._tell(str(metadata["uid"]))
                    elif change.type != "BOOKMARK":
                        self._take(change.object)
            except ApiError as error:  # what is known stays, and nothing is taken for ended
                if error.code == 410:
                    self._versions.pop(namespace, None)
            await self._clock.sleep(AGAIN)

    async def _list(self, namespace: str, where: str) -> None:
        version = ""
        async for page in self._cluster.pages(where, accept="application/json"):
            version = str(page["metadata"]["resourceVersion"])
            for pod in page.get("items") or ():
                self._take(pod)
        self._versions[namespace] = version
        self._read[namespace].set()

    def _take(self, pod: Object) -> None:
        uid = str(pod["metadata"]["uid"])
        for status in pod.get("status", {}).get("ephemeralContainerStatuses") or ():
            name = str(status["name"])
            if not name.startswith("chaosrunner-"):
                continue
            before = self.of(uid, name)
            state = status.get("state") or {}
            if "running" in state and before.since is None:
                self._known.setdefault(uid, {})[name] = State(since=self._clock.monotonic())
            elif "waiting" in state:
                waiting = state["waiting"]
                words = f"{waiting.get('reason') or ''} {waiting.get('message') or ''}".strip()
                self._known.setdefault(uid, {})[name] = State(waits=words)
            elif "terminated" in state and not before.ended:
                self._known.setdefault(uid, {})[name] = State(ended=beside.death(pod, name))
        self._tell(uid)

    def _tell(self, uid: str) -> None:
        for name, over in self._ends.get(uid, {}).items():
            if self.of(uid, name).ended:
                over.set()
