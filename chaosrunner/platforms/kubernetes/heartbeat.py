"""A run's Lease in the cluster, and the thread that renews it every second while the runner lives."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from chaosrunner.clock import Clock
from chaosrunner.injector.guardian import LEASE, RUN, SEEN_BY, STALE
from chaosrunner.injector.operations import short
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY
from chaosrunner.platforms.kubernetes.ledger import ENVIRONMENT, Author
from chaosrunner.platforms.kubernetes.operations import US
from chaosrunner.ports import StopAsked

HALT = "chaosrunner.dev/halt"
"""Annotation of a run's Lease that asks the run to stop: `{"by": …, "reason": …}`."""
BEAT_EVERY = 1.0
BEAT_TAKES = 2.0
"""Seconds that one renewal may take."""
AGAIN_AFTER = 0.3
"""Seconds after one that failed: when the API server is back, the guardian does not wait long."""
GUARDIAN_SILENT = 6.0
"""Seconds of beats in which the guardian has said nothing, after which it is gone; it says something each second."""
_WIDTH = 63


def lease_name(run: str) -> str:
    """Of a run's Lease."""
    name = f"chaosrunner-run-{run}".lower()
    fits = len(name) <= _WIDTH and name.replace("-", "").isalnum()
    return name if fits else f"chaosrunner-run-{short(run)}"


def lease_object(author: Author, now: float) -> Object:
    """The Lease as it is made."""
    labels = {MANAGED_BY: US, LEASE: "run", RUN: author.run, ENVIRONMENT: author.environment}
    return {
        "metadata": {"name": author.lease, "labels": labels},
        "spec": {
            "holderIdentity": author.by,
            "leaseDurationSeconds": int(STALE),
            "acquireTime": micro_time(now),
            "renewTime": micro_time(now),
        },
    }


def micro_time(epoch: float) -> str:
    """As Leases have it."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Heartbeat:
    """Renews the Lease from a thread with an event loop and connections of its own, so that a busy runner misses no
    beat, while a dead or stopped one misses all. It pauses while `alive()` is false.

    Each answer is the Lease as it is now, which also tells whether somebody asked for a halt, and whether the guardian
    lives.
    """

    def __init__(self, connect: Callable[[], Cluster], where: str, alive: Callable[[], bool], clock: Clock) -> None:
        self._connect = connect
        self._where = where
        self._alive = alive
        self._clock = clock
        self._guarded = False
        self._guardian = ""
        self._guardian_seen = 0.0
        self._asked: StopAsked | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def guardian(self) -> str:
        """What the guardian last said on the Lease; empty: none has."""
        return self._guardian

    def expect_guardian(self) -> None:
        """From now on the run stops if the guardian falls silent."""
        self._guardian_seen = self._clock.monotonic()
        self._guarded = True

    def stop_asked(self) -> StopAsked | None:
        """Why the run must stop; the first reason stays."""
        return self._asked

    def stop(self) -> None:
        """No beat will follow when this returns; idempotent."""
        self._over.set()
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join(timeout=2 * BEAT_TAKES)

    def _go(self) -> None:
        with suppress(asyncio.CancelledError):  # by `stop`, in another thread
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        cluster = self._connect()
        try:
            while not self._over.is_set():
                beaten = not self._alive() or await self._beat(cluster)
                await self._clock.sleep(BEAT_EVERY if beaten else AGAIN_AFTER)
        finally:
            await cluster.close()

    async def _beat(self, cluster: Cluster) -> bool:
        """Whether the API server has answered."""
        renewed = {"spec": {"renewTime": micro_time(self._clock.now())}}
        try:
            async with asyncio.timeout(BEAT_TAKES):
                self._read(await cluster.patch(self._where, renewed))
        except (ApiError, TimeoutError) as error:
            self._guardian_seen = self._clock.monotonic()  # it cannot speak through a server that does not answer
            if isinstance(error, ApiError) and error.not_found:
                reason = (
                    "the run's Lease is gone from the cluster: the run was taken for dead, and its faults taken back"
                )
                self._asked = self._asked or StopAsked("the cluster", reason, lost=True)
            return False
        return True

    def _read(self, lease: Object) -> None:
        notes = lease["metadata"].get("annotations") or {}
        if HALT in notes and self._asked is None:
            self._asked = _halt(notes[HALT])
        now = self._clock.monotonic()
        if notes.get(SEEN_BY, "") != self._guardian:
            self._guardian, self._guardian_seen = notes[SEEN_BY], now
        if self._guarded and now - self._guardian_seen > GUARDIAN_SILENT and self._asked is None:
            who = self._guardian.split(" ")[0] or "the guardian"
            reason = f"the guardian ({who}) has been silent for {now - self._guardian_seen:.0f} s"
            self._asked = StopAsked("the guardian", reason, lost=True)


def _halt(text: str) -> StopAsked:
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    words = found if isinstance(found, dict) else {}
    return StopAsked(str(words.get("by", "somebody")), str(words.get("reason", "")))


def leases_path(namespace: str, name: str | None = None) -> str:
    """Of Leases."""
    return path("coordination.k8s.io/v1", "leases", namespace, name)
