"""Ask a process that holds faults: the client's side of the control socket, and what can go wrong with it.

Standard library only: see `chaosrunner.injector.control`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import time
from typing import Any

__all__ = ["ControlError", "Message", "NobodyThere", "RequestRefused", "call", "call_async"]

Message = dict[str, Any]
"""A request or a reply, as it stands in JSON."""

BEAT_LIMIT = 5.0
"""Seconds without a heartbeat after which a hold ends: what DESIGN promises for a runner that died."""
LONGEST_LINE = 64 * 1024
"""Bytes of one request; a reply may have more."""
LONGEST_PATH = 103
"""Bytes of a Unix socket's path: macOS has room for 103 and a zero, Linux for 107."""


class ControlError(OSError):
    """A request was not done: nobody was there, no answer came in time, or the answer was no. `str()` says which."""


class NobodyThere(ControlError):
    """There is no socket at the path, or nobody listens on it: the process that held it is gone."""


class RequestRefused(ControlError):
    """The process answered, and said no; `str()` is its reason. Handlers raise it to refuse."""


def short_enough(path: str | os.PathLike[str]) -> None:
    """Raises `ControlError` for a path that cannot be a socket's."""
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise ControlError(
            f"the socket path {os.fspath(path)} has {length} bytes and may have {LONGEST_PATH}: use a shorter folder"
        )


def as_line(message: Message) -> bytes:
    """A message as it goes over the socket."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def call(path: str | os.PathLike[str], request: Message, timeout: float = 2.0) -> Message:
    """Ask once, over a connection of its own, and wait for the reply; for threads and scripts.

    Returns the reply, whose `ok` is true. Raises `NobodyThere`, `RequestRefused` (`ok` was false), or `ControlError`
    when there was no whole answer within `timeout` seconds.
    """
    short_enough(path)
    over = time.monotonic() + timeout
    reply = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        try:
            asker.settimeout(timeout)
            asker.connect(os.fspath(path))
            asker.sendall(as_line(request))
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
    short_enough(path)
    writer = None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(os.fspath(path), limit=16 * LONGEST_LINE)
            writer.write(as_line(request))
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
