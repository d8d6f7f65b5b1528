"""Tells the holders of a run's faults, every second, that the runner lives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chaosrunner.injector.calls import BEAT_LIMIT, ControlError, call

PATIENCE = 0.5
"""Seconds that one holder has to answer: one that is stuck must not make the others miss their beat."""


def beat_every() -> float:
    """Seconds between two beats: five in the time after which a hold ends, however tests shorten it."""
    return min(BEAT_LIMIT, float(os.environ.get("CHAOSRUNNER_BEAT_LIMIT") or BEAT_LIMIT)) / 5


class Heartbeat:
    """A thread of its own, so that a busy event loop misses no beat, while a dead or stopped runner misses all.

    It pauses while `alive()` is false: a runner whose event loop hangs for good must not keep its faults in force.
    """

    def __init__(self, run: str, alive: Callable[[], bool]) -> None:
        self.run = run
        self._alive = alive
        self._sockets: dict[Path, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {run}", daemon=True)
        self._thread.start()

    def reach(self, socket: Path) -> None:
        """A hold of this run is about to be held there."""
        self._sockets[socket] = self._sockets.get(socket, 0) + 1

    def leave(self, socket: Path) -> None:
        """One hold fewer is held there."""
        count = self._sockets.get(socket, 0) - 1
        if count > 0:
            self._sockets[socket] = count
        else:
            self._sockets.pop(socket, None)

    def stop(self) -> None:
        """No beat will follow when this returns; idempotent."""
        self._over.set()
        self._thread.join(timeout=2 * PATIENCE)

    def _beat(self) -> None:
        every = beat_every()
        while not self._over.wait(every):
            if not self._alive():
                continue
            for socket in list(self._sockets):
                if self._over.is_set():
                    return
                with suppress(ControlError):  # not there yet, not any more, stuck: whoever looks at the fault sees it
                    call(socket, {"do": "beat", "run": self.run}, PATIENCE)
