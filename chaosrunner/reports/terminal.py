"""The live terminal view: what is going on now, drawn again a few times a second; and what is left when it is over.

`rich` is imported only when a view is started.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, TextIO

from chaosrunner.clock import Clock
from chaosrunner.model.journal import Entry
from chaosrunner.reports.scene import Scene

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

REFRESH = 8
"""Pictures a second."""


class LiveView:
    """Shows a run on a terminal. `observe` only takes note; a thread of its own draws."""

    def __init__(self, out: TextIO, clock: Clock, console: Console | None = None) -> None:
        """`out` is the terminal; a given console (of a test) is used instead of one for it."""
        self._out = out
        self._clock = clock
        self._console = console
        self._live: Live | None = None
        self._scene = Scene()
        self._lock = threading.Lock()
        self._zero: float | None = None

    def start(self) -> None:
        """Begin to draw."""
        from rich.console import Console
        from rich.live import Live

        self._console = self._console or Console(file=self._out)
        self._live = Live(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=REFRESH,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),  # otherwise warnings would be drawn into the picture
        )
        self._live.start()

    def stop(self) -> None:
        """Take the picture away and leave the terminal as it was; idempotent."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def observe(self, entry: Entry) -> None:
        """Take note of one journal entry; a few microseconds, never raises."""
        with self._lock:
            self._scene.take(entry)
            self._zero = self._clock.monotonic() - entry.t

    def render(self) -> RenderableType:
        """The picture of this moment."""
        from chaosrunner.reports.picture import picture

        with self._lock:
            scene = self._scene.copy()
            zero = self._zero
        now = scene.t if zero is None or scene.over else max(scene.t, self._clock.monotonic() - zero)
        width, height = (self._console.size.width, self._console.size.height) if self._console else (100, 40)
        return picture(scene, now, width, height)
