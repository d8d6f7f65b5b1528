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
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from chaosrunner.injector.calls import (
    LONGEST_LINE,
    ControlError,
    Message,
    NobodyThere,
    RequestRefused,
    as_line,
    call,
    call_async,
    short_enough,
)
from chaosrunner.injector.holds import BEAT_LIMIT, Handler, Holds, Why, answered, uptime

__all__ = [
    "BEAT_LIMIT",
    "Control",
    "ControlError",
    "Handler",
    "Holds",
    "Message",
    "NobodyThere",
    "RequestRefused",
    "Why",
    "call",
    "call_async",
    "uptime",
]


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
            writer.write(as_line({"ok": False, "error": f"a request is one line of at most {LONGEST_LINE} bytes"}))
            await writer.drain()
            return False
        if not line:
            return False
        if line.strip():
            writer.write(as_line(await self._answer(line)))
            await writer.drain()
        return True

    async def _answer(self, line: bytes) -> Message:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"ok": False, "error": "a request is one line of JSON"}
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return {"ok": False, "error": 'a request is an object with a text `do`, such as {"do": "holds"}'}
        return await answered(self._verbs, request)


def _listen(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    short_enough(path)
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
def _alone_in(folder: Path, patience: float = 5.0) -> Iterator[None]:
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
