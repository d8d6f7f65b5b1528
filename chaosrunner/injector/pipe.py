"""One direction of one connection through the proxy.

With no effect in force a pipe reads into one buffer that all share and writes straight to the other side: no copy, no
queue. Raw sockets on the event loop's readers and writers, not transports, because a fault injector must tell a reset
from an end, close one half, stop reading at any moment, and close with a reset; measured, they are also the faster
way.

With effects, what was read waits in the pipe's queue, with the time that it came. A chunk's time to go is when it came
plus the delays in force, never before the one ahead of it: chunks wait at the same time, so delay costs no throughput,
and order is kept. A side's end or reset goes through the same queue. A queue is bounded; when it is full the pipe
stops reading, and TCP itself tells the sender to wait.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chaosrunner.injector.effects import Shaping, Throttle

if TYPE_CHECKING:
    from chaosrunner.injector.connection import Connection

__all__ = ["Pipe"]

_BUFFER = memoryview(bytearray(256 * 1024))
"""Where all pipes read to; what cannot be passed on at once is copied out of it."""
DELAY_WINDOW = 8 * 2**20
"""Bytes that may be under way in one delayed pipe, as a long line would hold them: 80 MB/s at 100 ms."""
ALL_WINDOWS = 256 * 2**20
"""Bytes under way in all delayed pipes together; beyond, each has room for `HELD_BACK` only."""
HELD_BACK = 64 * 1024
"""Bytes that a pipe takes in while nothing may pass; the rest stays with the sender."""
CHUNK_COST = 128
"""Bytes of memory that a waiting chunk takes beside its own."""


class Pipe:
    """The bytes of one direction of one connection: reads from its source, writes to its sink, and says when the
    source has ended or was reset. `back` is the pipe of the other direction."""

    __slots__ = (
        "_broken_at", "_broken_due", "_connection", "_delays", "_fd", "_held", "_last_due", "_loop", "_plain",
        "_queue", "_reading", "_recv_into", "_reset_seen", "_send", "_sink", "_sink_fd", "_throttle", "_timer",
        "_timer_at", "_turn", "_unmet", "_writing", "back", "direction", "ended", "finished", "hung", "passed",
    )  # fmt: skip

    back: Pipe

    def __init__(self, connection: Connection, direction: str) -> None:
        self._connection = connection
        self._loop = connection.proxy.loop
        self.direction = direction
        self.passed = 0
        """Bytes written to the other side."""
        self.ended = False
        """Nothing more will be read: the source ended or was reset, or the sink is gone."""
        self.finished = False
        """The source's end has been passed on."""
        self.hung = False
        """Nothing may pass."""
        self._fd = self._sink_fd = -1
        self._sink: socket.socket | None = None
        self._queue: deque[tuple[float, float, bytes | memoryview]] = deque()  # came, due, bytes; no bytes: the end
        self._held = 0
        self._last_due = 0.0
        self._broken_at: float | None = None
        self._broken_due = 0.0
        self._reset_seen = False
        self._plain = True
        self._reading = self._writing = self._turn = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._throttle: Throttle | None = None
        self._delays: Sequence[Shaping] = ()
        self._unmet: Sequence[Shaping] = ()

    # --------------------------------------------------------------------------------------------- from the connection

    def read_from(self, source: socket.socket) -> None:
        """Its source; reading starts when there is a sink, or at once if nothing may pass anyway."""
        self._fd = source.fileno()
        self._recv_into = source.recv_into
        self.watch()

    def write_to(self, sink: socket.socket) -> None:
        """Its sink."""
        self._sink = sink
        self._sink_fd = sink.fileno()
        self._send = sink.send
        self._flush()

    def shape(self, shapings: Sequence[Shaping]) -> None:
        """From now on these effects are in force. What is waiting is held against them anew: with none left, it goes
        at once."""
        mine = [shaping for shaping in shapings if shaping.effect.acts_on(self.direction)]
        delays = [shaping for shaping in mine if shaping.effect.delay or shaping.effect.jitter]
        hangs = [shaping for shaping in mine if shaping.effect.loss == "hang"]
        slow = [shaping for shaping in mine if shaping.effect.bandwidth is not None]
        lines = [shaping.throttles[self.direction] for shaping in slow]
        self._change_line(min(lines, key=lambda line: line.rate, default=None))
        self._unmet = [*delays, *hangs, *slow]
        self.hung = bool(hangs)
        if self.hung:
            if self._queue:
                self._meet()
            self._stop_writing()
        if delays != self._delays:
            self._delays = delays
            self._reckon_dues()
        self._flush()

    def release(self) -> None:
        """Let go of everything, before the sockets are closed."""
        self._drop()
        self._change_line(None)

    def broke(self) -> None:
        """The source was reset: pass that on, after what came before it and as late as all else."""
        if self._broken_at is not None:
            return
        self._meet()
        self._broken_at = self._loop.time()
        self._broken_due = self._due(self._broken_at)
        self.ended = True
        self._stop_reading()
        self.back.deafen()
        if self._connection.reset_if_alone():
            return
        self._flush()

    def deafen(self) -> None:
        """The sink is gone: there is nobody to pass anything to."""
        self._drop()

    # ---------------------------------------------------------------------------------------------------------- reading

    def watch(self) -> None:
        """Read if there is somewhere to put it, and do not if there is not."""
        wanted = not self.ended and not self._turn and self._fd >= 0 and self._has_room()
        if wanted and not self._reading:
            self._reading = True
            self._loop.add_reader(self._fd, self._readable)
        elif not wanted:
            self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _has_room(self) -> bool:
        if self.hung:
            return self._held < HELD_BACK
        if self._sink is None or self._writing:
            return False
        if self._delays:
            return self._held < (DELAY_WINDOW if self._connection.proxy.held < ALL_WINDOWS else HELD_BACK)
        return not self._queue

    def _readable(self) -> None:
        if not self._plain:
            self._readable_shaped()
            return
        try:
            count = self._recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.broke()
            return
        if not count:
            self._end()
            return
        try:
            sent = self._send(_BUFFER[:count])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._sink_broke()
            return
        self.passed += sent
        if sent != count:
            self._wait_for(bytes(_BUFFER[sent:count]))
            self._start_writing()

    def _readable_shaped(self) -> None:
        if self._throttle is None or self.hung:
            self.take(HELD_BACK if self.hung else len(_BUFFER))
            return
        self._turn = True
        self._stop_reading()
        self._throttle.ask(self)

    def take(self, most: int) -> int:
        """Read at most so many bytes and put them on their way; how many there were. `Throttle` says when."""
        self._turn = False
        count = 0
        if not self.ended and self._has_room():
            try:
                count = self._recv_into(_BUFFER, min(most, len(_BUFFER)))
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.broke()
                return 0
            else:
                self._arrived(_BUFFER[:count]) if count else self._end()
        self.watch()
        return count

    def _arrived(self, data: memoryview) -> None:
        self._meet()
        self._wait_for(bytes(data))
        self._flush()

    def _end(self) -> None:
        if self._reset_seen:
            self.broke()
            return
        self._meet()
        self.ended = True
        self._stop_reading()
        self._wait_for(b"")
        self._flush()

    def _meet(self) -> None:
        for shaping in self._unmet:
            self._connection.meet(shaping)
        self._unmet = ()

    # ---------------------------------------------------------------------------------------------------------- waiting

    def _wait_for(self, data: bytes) -> None:
        now = self._loop.time()
        self._queue.append((now, self._due(now), data))
        self._count(len(data) + CHUNK_COST)
        self._plain = False

    def _due(self, came: float) -> float:
        due = came
        for shaping in self._delays:
            due += shaping.wait()
        self._last_due = due = max(due, self._last_due)
        return due

    def _reckon_dues(self) -> None:
        self._last_due = 0.0
        self._queue = deque((came, self._due(came), data) for came, _, data in self._queue)
        if self._broken_at is not None:
            self._broken_due = self._due(self._broken_at)

    def _count(self, more: int) -> None:
        self._held += more
        self._connection.proxy.held += more

    def _change_line(self, line: Throttle | None) -> None:
        if self._throttle is not line and self._throttle is not None:
            self._throttle.forget(self)
            self._turn = False
        self._throttle = line

    # ---------------------------------------------------------------------------------------------------------- writing

    def _flush(self) -> None:
        """Pass on what is due, and see to it that the rest will be."""
        if self._timer is not None and (self.hung or not self._queue):
            self._timer.cancel()
            self._timer = None
        if not self.hung and self._sink is not None:
            self._pass_on()
        self._plain = not (self._queue or self._delays or self.hung or self._throttle or self._broken_at is not None)
        self.watch()

    def _pass_on(self) -> None:
        now = self._loop.time()
        queue = self._queue
        while queue and not self._writing and queue[0][1] <= now:
            came, due, data = queue[0]
            if not data:
                queue.popleft()
                self._count(-CHUNK_COST)
                self._pass_end()
                break
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._sink_broke()
                return
            self.passed += sent
            if sent < len(data):
                queue[0] = (came, due, memoryview(data)[sent:])
                self._count(-sent)
                self._start_writing()
                break
            queue.popleft()
            self._count(-sent - CHUNK_COST)
        if self._broken_at is not None and self._broken_due <= now:
            self._connection.reset()
        else:
            self._set_timer()

    def _set_timer(self) -> None:
        when = self._queue[0][1] if self._queue and not self._writing else None
        if self._broken_at is not None:
            when = self._broken_due if when is None else min(when, self._broken_due)
        if self._timer is not None and when == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when is not None:
            self._timer_at = when
            self._timer = self._loop.call_at(when, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._flush()

    def _start_writing(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._sink_fd, self._writable)
            self.watch()

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._sink_fd)

    def _writable(self) -> None:
        self._stop_writing()
        self._flush()

    def _pass_end(self) -> None:
        assert self._sink is not None
        self.finished = True
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._sink_broke()
            return
        self._connection.half_done()

    def _sink_broke(self) -> None:
        """The sink was reset. What it said before that still counts: it is read to its end first."""
        self._drop()
        self.back._reset_seen = True
        if self.back.ended:
            self.back.broke()

    def _drop(self) -> None:
        self.ended = True
        self._stop_reading()
        self._stop_writing()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        self._count(-self._held)
