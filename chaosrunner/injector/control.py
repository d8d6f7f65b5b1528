"""How the processes that hold faults are told what to do: a Unix socket, and holds that end by themselves.

One line of JSON in, one line of JSON out, several on one connection:

    {"do": "begin", "id": "R1.slow.0", "run": "R1", "seconds": 60, "effect": {"delay": 0.3}}
    {"ok": true, "again": false}
    {"do": "end", "id": "R1.slow.0"}
    {"ok": true, "why": "ended"}
    {"do": "nonsense"}
    {"ok": false, "error": "unknown request 'nonsense'; known: beat, begin, end, holds"}

`Control` is the server, `Holds` what it keeps, `call` and `call_async` are the client. The socket's file can be used
by its owner only (mode 0600); that is the whole of the access control.

Standard library only: this runs in processes of its own, which must start fast and depend on nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import inspect
import json
import math
import os
import socket
import stat
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "BEAT_LIMIT",
    "Control",
    "ControlError",
    "Holds",
    "NobodyThere",
    "RequestRefused",
    "Why",
    "call",
    "call_async",
    "uptime",
]

Message = dict[str, Any]
"""A request or a reply, as it stands in JSON."""
Handler = Callable[[Message], "Message | Awaitable[Message]"]
Why = Literal["deadline", "heartbeat", "ended"]
"""Why a hold is over: its seconds were, nobody beat for it any more, or it was asked to end."""

BEAT_LIMIT = 5.0
"""Seconds without a heartbeat after which a hold ends: what DESIGN promises for a runner that died."""
LONGEST_LINE = 64 * 1024
"""Bytes of one request or reply."""
LONGEST_PATH = 103
"""Bytes of a Unix socket's path: macOS has room for 103 and a zero, Linux for 107."""
TICK = 0.25
"""Seconds between two looks at the holds. A timer does not run while the machine is suspended, the holds' clock does:
so a hold that ran out meanwhile ends so soon after the machine wakes."""
REMEMBERED = 1000
"""Holds that are over and whose id is still known, so that a late `begin` of one of them does no harm."""


class ControlError(OSError):
    """A request was not done: nobody was there, no answer came in time, or the answer was no. `str()` says which."""


class NobodyThere(ControlError):
    """There is no socket at the path, or nobody listens on it: the process that held it is gone."""


class RequestRefused(ControlError):
    """The process answered, and said no; `str()` is its reason. Handlers raise it to refuse."""


def uptime() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine is suspended, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # macOS: counts while suspended, unlike time.monotonic() there


# ------------------------------------------------------------------------------------------------------------ holds


@dataclass(slots=True)
class _Held:
    id: str
    run: str
    effect: Message
    ends: float
    beat: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Beginning and ending of one hold never overlap."""
    began: bool = False


class Holds:
    """The faults that a process holds, each until its deadline, until the heartbeat stops, or until `end`.

    `on_begin(id, effect)` puts an effect in force; it refuses by raising `RequestRefused`, and must then have changed
    nothing. `on_end(id, effect, why)` takes it back and is called exactly once for each hold that began. Both may be
    coroutines; `begin` and `end` answer when they are through, and for one hold they never overlap.

    An id has one life: once over, however it ended, it cannot begin again. That also goes for an `end` that came
    before its `begin`, since a request that was given up by the asker may still be under way.

    `clock` counts seconds (default: `uptime`), `beat_limit` is what `BEAT_LIMIT` is by default; both for tests.
    """

    def __init__(
        self,
        on_begin: Callable[[str, Message], Awaitable[None] | None],
        on_end: Callable[[str, Message, Why], Awaitable[None] | None],
        *,
        clock: Callable[[], float] = uptime,
        beat_limit: float = BEAT_LIMIT,
    ) -> None:
        self._on_begin = on_begin
        self._on_end = on_end
        self._clock = clock
        self._beat_limit = beat_limit
        self._held: dict[str, _Held] = {}
        self._over: OrderedDict[str, tuple[Why, asyncio.Task[None] | None]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def verbs(self) -> dict[str, Handler]:
        """For `Control`: `begin`, `beat`, `end`, `holds`."""
        return {"begin": self.begin, "beat": self.beat, "end": self.end, "holds": self.holds}

    @property
    def empty(self) -> bool:
        """Nothing is held, and nothing is still being taken back."""
        return not self._held and all(task is None or task.done() for _, task in self._over.values())

    async def begin(self, request: Message) -> Message:
        """`{id, run, seconds, effect}` -> `{again}`. The same id again changes nothing but counts as a heartbeat
        (`again` is true); with another effect or run it is refused."""
        key, run = _text(request, "id"), _text(request, "run")
        seconds, effect = _seconds(request), request.get("effect", {})
        if not isinstance(effect, dict):
            raise RequestRefused(f"`effect` is an object, not {effect!r:.60}")
        if key in self._over:
            raise RequestRefused(f"{key} is over ({self._over[key][0]}) and cannot begin again")
        now = self._clock()
        held = self._held.get(key)
        if held is not None and (held.effect, held.run) != (effect, run):
            raise RequestRefused(f"{key} is in force already, with another effect or run")
        if held is None:
            held = self._held[key] = _Held(key, run, effect, now + seconds, now)
            self._watch()
        held.beat = now
        return {"again": not await self._put_in_force(held)}

    async def _put_in_force(self, held: _Held) -> bool:
        async with held.turn:
            if held.began:
                return False
            if self._held.get(held.id) is not held:
                raise RequestRefused(f"{held.id} ended before it began")
            try:
                await _through(self._on_begin(held.id, held.effect))
            except BaseException:
                self._held.pop(held.id, None)
                raise
            held.began = True
            return True

    async def beat(self, request: Message) -> Message:
        """`{run}` -> `{count}`: how many holds of this run are in force, each of them refreshed."""
        run, now, count = _text(request, "run"), self._clock(), 0
        self.expire()  # what is overdue stays over, even if the beat came before the look
        for held in self._held.values():
            if held.run == run:
                held.beat = now
                count += 1
        return {"count": count}

    async def end(self, request: Message) -> Message:
        """`{id}` -> `{why}`: it is over and taken back when this answers; `why` tells how it ended the first time.
        An id that never began is answered the same way."""
        key = _text(request, "id")
        self._finish(key, "ended")
        why, task = self._over[key]
        if task is not None:
            await asyncio.shield(task)
        return {"why": why}

    async def holds(self, request: Message) -> Message:
        """`{}` -> `{holds: [{id, run, effect, seconds_left, seconds_since_beat}], over: {id: why}}`."""
        now = self._clock()
        listed = [
            {
                "id": held.id,
                "run": held.run,
                "effect": held.effect,
                "seconds_left": round(held.ends - now, 3),
                "seconds_since_beat": round(now - held.beat, 3),
            }
            for held in self._held.values()
        ]
        lately = list(self._over.items())[-100:]
        return {"holds": listed, "over": {key: why for key, (why, _) in lately}}

    def expire(self) -> None:
        """End what is over by the clock. Called every `TICK` while anything is held."""
        now = self._clock()
        for held in list(self._held.values()):
            if now >= held.ends:
                self._finish(held.id, "deadline")
            elif now - held.beat >= self._beat_limit:
                self._finish(held.id, "heartbeat")

    async def settled(self) -> None:
        """Wait until everything that has ended has been taken back; raises what `on_end` raised."""
        for _, task in list(self._over.values()):
            if task is not None:
                await asyncio.shield(task)

    async def close(self) -> None:
        """End everything, as by `end`, and wait until it is taken back."""
        for key in list(self._held):
            self._finish(key, "ended")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.settled()

    def _finish(self, key: str, why: Why) -> None:
        if key in self._over:
            return
        held = self._held.pop(key, None)
        task = None if held is None else asyncio.get_running_loop().create_task(self._take_back(held, why))
        self._over[key] = (why, task)
        while len(self._over) > REMEMBERED:
            oldest = next(iter(self._over.values()))[1]
            if oldest is not None and not oldest.done():
                break
            self._over.popitem(last=False)

    async def _take_back(self, held: _Held, why: Why) -> None:
        async with held.turn:
            if held.began:
                await _through(self._on_end(held.id, held.effect, why))

    def _watch(self) -> None:
        if self._timer is None:
            self._look()

    def _look(self) -> None:
        self._timer = None
        self.expire()
        if self._held:
            now = self._clock()
            due = min(min(held.ends, held.beat + self._beat_limit) for held in self._held.values())
            wait = min(TICK, max(0.001, due - now))
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)


async def _through(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result


def _text(request: Message, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 500:
        raise RequestRefused(f"`{key}` is a text of 1 to 500 characters, not {value!r:.60}")
    return value


def _seconds(request: Message) -> float:
    value = request.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise RequestRefused(f"`seconds` is a number above 0, not {value!r:.60}")
    return float(min(value, 1e9))


# ----------------------------------------------------------------------------------------------------------- server


class Control:
    """A server on a Unix socket that calls a handler for each request by its `do`.

    A handler gets the whole request and returns the fields of the reply, `ok` apart; it refuses by raising
    `RequestRefused` (or `ValueError`, `LookupError`, `TypeError`, `OSError`), whose words the asker gets.

        control = Control(path, {**holds.verbs(), "stats": stats})
        await control.open()      # ControlError: the path is too long, taken, or cannot be used
        ...
        await control.close()     # removes the socket's file, unless somebody else has put theirs there
    """

    def __init__(self, path: str | os.PathLike[str], verbs: Mapping[str, Handler]) -> None:
        self.path = Path(path)
        self._verbs = dict(verbs)
        self._server: asyncio.Server | None = None
        self._inode: tuple[int, int] | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. A socket file that nobody answers on is replaced; one that is in use, or another file, is not."""
        listening, self._inode = _listen(self.path)
        self._server = await asyncio.start_unix_server(self._talk, sock=listening, limit=LONGEST_LINE)

    async def close(self) -> None:
        """Stop listening, end the talks, remove the file. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._inode == _inode_of(self.path):
            self.path.unlink(missing_ok=True)
        for task in list(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except ConnectionError:
            pass  # the asker is gone: nobody to tell
        except asyncio.CancelledError:
            if self._server is not None:  # not from close(), so it is not ours to end here
                raise
        finally:
            self._talks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; false when the talk is over."""
        try:
            line = await reader.readline()
        except ValueError:  # what came is no line any more, so that the rest cannot be understood either
            writer.write(_line({"ok": False, "error": f"a request is one line of at most {LONGEST_LINE} bytes"}))
            await writer.drain()
            return False
        if not line:
            return False
        if line.strip():
            writer.write(_line(await self._answer(line)))
            await writer.drain()
        return True

    async def _answer(self, line: bytes) -> Message:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"ok": False, "error": "a request is one line of JSON"}
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return {"ok": False, "error": 'a request is an object with a text `do`, such as {"do": "holds"}'}
        handler = self._verbs.get(request["do"])
        if handler is None:
            known = ", ".join(sorted(self._verbs))
            return {"ok": False, "error": f"unknown request {request['do']!r:.60}; known: {known}"}
        try:
            reply = handler(request)
            if inspect.isawaitable(reply):
                reply = await reply
        except ControlError as refusal:
            return {"ok": False, "error": str(refusal)}
        except (ValueError, LookupError, TypeError, ArithmeticError, OSError) as problem:
            return {"ok": False, "error": f"{type(problem).__name__}: {problem}"}
        return {"ok": True, **reply}


def _line(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _listen(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    _short_enough(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone_in(path.parent):
            _clear(path)
            bound.bind(str(path))
            path.chmod(0o600)  # before listen(), so that nobody can be in before it
            bound.listen(64)
            inode = _inode_of(path)
        assert inode is not None
    except ControlError:
        bound.close()
        raise
    except OSError as problem:
        bound.close()
        raise ControlError(f"cannot listen on {path}: {problem.strerror or problem}") from problem
    bound.setblocking(False)
    return bound, inode


@contextlib.contextmanager
def _alone_in(folder: Path, patience: float = 5.0) -> Any:
    """Only one process at a time looks whether a socket is stale and puts its own there. The lock is on the folder
    itself: it leaves no file behind, and goes with the process."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        give_up = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise ControlError(f"somebody else has had the folder {folder} locked for {patience:g} s") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(f"{path} is there already and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(1.0)
        try:
            asker.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # too busy to take us is an answer too
    raise ControlError(f"{path} is in use: another process answers on it")


def _inode_of(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.lstat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def _short_enough(path: str | os.PathLike[str]) -> None:
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise ControlError(
            f"the socket path {os.fspath(path)} has {length} bytes and may have {LONGEST_PATH}: use a shorter folder"
        )


# ----------------------------------------------------------------------------------------------------------- client


def call(path: str | os.PathLike[str], request: Message, timeout: float = 2.0) -> Message:
    """Ask once, over a connection of its own, and wait for the reply; for threads and scripts.

    Returns the reply, whose `ok` is true. Raises `NobodyThere`, `RequestRefused` (`ok` was false), or `ControlError`
    when there was no whole answer within `timeout` seconds.
    """
    _short_enough(path)
    over = time.monotonic() + timeout
    reply = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        try:
            asker.settimeout(timeout)
            asker.connect(os.fspath(path))
            asker.sendall(_line(request))
            while not reply.endswith(b"\n"):
                asker.settimeout(max(0.001, over - time.monotonic()))
                data = asker.recv(65536)
                if not data or len(reply) > 16 * LONGEST_LINE:
                    break
                reply += data
        except OSError as problem:
            raise _no_answer(path, problem, timeout) from problem
    return _read(path, bytes(reply))


async def call_async(path: str | os.PathLike[str], request: Message, timeout: float = 2.0) -> Message:  # noqa: ASYNC109
    """The same as `call`, without blocking the event loop."""
    _short_enough(path)
    writer = None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(os.fspath(path), limit=16 * LONGEST_LINE)
            writer.write(_line(request))
            reply = await reader.readline()
    except ValueError:
        reply = b""
    except OSError as problem:
        raise _no_answer(path, problem, timeout) from problem
    finally:
        if writer is not None:
            writer.close()
    return _read(path, reply)


def _no_answer(path: str | os.PathLike[str], problem: OSError, timeout: float) -> ControlError:
    if isinstance(problem, FileNotFoundError | ConnectionRefusedError):
        return NobodyThere(f"nobody is there: {os.fspath(path)}")
    if isinstance(problem, TimeoutError) or problem.errno == errno.EAGAIN:
        return ControlError(f"no answer within {timeout:g} s: {os.fspath(path)}")
    return ControlError(f"no answer: {os.fspath(path)}: {problem.strerror or problem}")


def _read(path: str | os.PathLike[str], reply: bytes) -> Message:
    try:
        answer = json.loads(reply) if reply.endswith(b"\n") else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ControlError(f"no answer: {os.fspath(path)} closed the connection, or what it said is no reply")
    if answer.get("ok") is not True:
        raise RequestRefused(str(answer.get("error", "refused without a reason")))
    return answer
