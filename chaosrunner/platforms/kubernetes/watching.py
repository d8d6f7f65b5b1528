"""The pods of a namespace, kept up to date by one watch of their metadata: which are still there, and what is new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence, Set
from contextlib import contextmanager

from chaosrunner.clock import Clock
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import METADATA_ONLY, ApiError, Cluster, WatchEvent, path

ENOUGH = 8
"""Pods of a namespace that are asked for one by one before a watch is made for all: a few requests cost less."""
SILENCE = 100.0
"""Seconds without a word after which a watch is taken for dead; the server sends a bookmark about once a minute."""
AGAIN = 0.25
"""Seconds before a broken watch is made anew; doubled each time, up to `AGAIN_AT_MOST`."""
AGAIN_AT_MOST = 4.0
LISTED = 3.0
"""Seconds that the first list may take for whoever asks about one pod; then that pod is asked for itself."""
SETTLES = 0.3
"""Seconds that changes are collected before it is looked what they mean."""
_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class PodWatch:
    """One namespace. Only uids are kept: ten thousand pods take a megabyte."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock) -> None:
        self.refused = ""
        """Why the API server does not let us watch; empty: it does."""
        self._cluster = cluster
        self._where = path("v1", "pods", namespace)
        self._clock = clock
        self._leaving: dict[str, bool] = {}
        self._version: str | None = None
        self._current = asyncio.Event()
        self._listed = False
        self._listeners: dict[asyncio.Event, Set[str]] = {}
        self._task = asyncio.ensure_future(self._keep())

    async def close(self) -> None:
        """End the watch; idempotent."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._current.clear()

    async def fate(self, uid: str) -> str | None:
        """`there`, `leaving` or `gone`; None: the watch is broken just now, ask the API server itself."""
        if self.refused or self._task.done():
            return None
        if not self._listed:
            try:
                async with asyncio.timeout(LISTED):
                    await self._current.wait()
            except TimeoutError:
                return None
        if self.refused or not self._current.is_set():
            return None
        if uid not in self._leaving:
            return "gone"
        return "leaving" if self._leaving[uid] else "there"

    def join(self, event: asyncio.Event, quiet: Set[str]) -> None:
        """Have an event set whenever a pod is new or has changed, but those whose uids are in `quiet`."""
        self._listeners[event] = quiet

    def leave(self, event: asyncio.Event) -> None:
        """No more."""
        self._listeners.pop(event, None)

    # -- underneath

    async def _keep(self) -> None:
        """List, watch, and again whenever the watch breaks; until closed, or refused for good."""
        pause = AGAIN
        while True:
            try:
                if self._version is None:
                    await self._list()
                pause = AGAIN
                await self._follow()
            except ApiError as error:
                self._current.clear()
                self._version = None
                if error.code in (401, 403):
                    self.refused = error.message
                    self._current.set()  # whoever waits for the list learns that there is none
                    self._tell("")
                    return
                if error.code != 410:
                    await self._clock.sleep(pause)
                    pause = min(pause * 2, AGAIN_AT_MOST)

    async def _list(self) -> None:
        found: dict[str, bool] = {}
        version = ""
        async for page in self._cluster.pages(self._where, accept=METADATA_ONLY):
            version = str(page["metadata"]["resourceVersion"])
            for item in page.get("items") or ():
                metadata = item["metadata"]
                found[str(metadata["uid"])] = "deletionTimestamp" in metadata
        self._leaving, self._version, self._listed = found, version, True
        self._current.set()
        self._tell("")

    async def _follow(self) -> None:
        """Until the server ends the watch; it is gone on with from where it was."""
        assert self._version is not None
        async for change in self._cluster.watch(
            self._where, resource_version=self._version, accept=_ONE, silence=SILENCE
        ):
            self._take(change)

    def _take(self, change: WatchEvent) -> None:
        metadata = change.object["metadata"]
        self._version = str(metadata["resourceVersion"])
        if change.type == "BOOKMARK":
            return
        uid = str(metadata["uid"])
        if change.type == "DELETED":
            self._leaving.pop(uid, None)
            return
        self._leaving[uid] = "deletionTimestamp" in metadata
        self._tell(uid)

    def _tell(self, uid: str) -> None:
        for event, quiet in self._listeners.items():
            if uid not in quiet:
                event.set()


class Watches:
    """The watches of a run, made when they are needed."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._open = False
        self._by_space: dict[str, PodWatch] = {}
        self._asked: dict[str, set[str]] = {}

    def open(self) -> None:
        """From now on there may be some."""
        self._open = True

    async def close(self) -> None:
        """End all; idempotent."""
        self._open = False
        watches = list(self._by_space.values())
        self._by_space.clear()
        self._asked.clear()
        await asyncio.gather(*(watch.close() for watch in watches))

    def of(self, namespace: str) -> PodWatch:
        """A namespace's watch."""
        if namespace not in self._by_space:
            self._by_space[namespace] = PodWatch(self._cluster, namespace, self._clock)
        return self._by_space[namespace]

    async def fate(self, target: Target) -> str | None:
        """Of a pod; None: ask the API server itself, as there are few of them, or the watch is broken."""
        space, uid = str(target.details.get("namespace")), str(target.details.get("uid"))
        if not self._open:
            return None
        if space not in self._by_space:
            asked = self._asked.setdefault(space, set())
            asked.add(uid)
            if len(asked) <= ENOUGH:
                return None
        return await self.of(space).fate(uid)


async def appearing(
    watches: Sequence[PodWatch],
    find: Callable[[], Awaitable[Sequence[Target]]],
    known: Sequence[Target],
    clock: Clock,
) -> AsyncIterator[Target]:
    """Targets that `find` gives and that are not known, whenever other pods are new or change. By id and uid: a pod
    that is made anew under its old name is another one.

    Raises `ApiError` with code 403 if the pods may not be watched.
    """
    quiet = {str(target.details.get("uid")) for target in known}
    seen = {_key(target) for target in known}
    with _any_change(watches, quiet) as changed:
        changed.set()  # what came between the look at what is known and this
        while True:
            await changed.wait()
            changed.clear()
            for watch in watches:
                if watch.refused:
                    raise ApiError("watch pods", 403, watch.refused)
            await clock.sleep(SETTLES)
            try:
                found = await find()
            except ApiError as error:
                if not error.passing:
                    raise
                changed.set()  # looked for again after a moment
                await clock.sleep(AGAIN_AT_MOST)
                continue
            for target in found:
                if _key(target) not in seen:
                    seen.add(_key(target))
                    quiet.add(str(target.details.get("uid")))
                    yield target


def _key(target: Target) -> tuple[str, object]:
    return target.id, target.details.get("uid")


@contextmanager
def _any_change(watches: Sequence[PodWatch], quiet: Set[str]) -> Iterator[asyncio.Event]:
    event = asyncio.Event()
    for watch in watches:
        watch.join(event, quiet)
    try:
        yield event
    finally:
        for watch in watches:
            watch.leave(event)
