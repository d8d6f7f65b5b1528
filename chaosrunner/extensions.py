"""The seam to Chaos Toolkit's extensions: their code runs in a process of its own, which is killed when it does not
answer in time. Nothing of it is imported here.

The other side is `chaosrunner.interop.toolkit_worker`; an order and its answer are one line of JSON each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.secret import SecretRef
from chaosrunner.secrets import resolve

__all__ = ["Extensions", "NoWord", "revealed"]

WORKER = "chaosrunner.interop.toolkit_worker"
"""The module that is started, by its name alone."""
IDLE = 75
"""What it exits with when it was asked for nothing for a while."""
_SAID = 400
_KEPT = 1_000_000
"""Bytes of what it says on standard error that are kept."""


class NoWord(NotPossibleNow):
    """The process gave no answer: it took too long and was killed, or ended by itself; the text says which."""


class Extensions:
    """One process, started when it is first asked for something, killed when this goes; not shared between tasks."""

    def __init__(self, folder: Path, *, shows: bool = False) -> None:
        """`folder`: where it runs. `shows`: whether what it says on standard error is shown as it comes."""
        self._folder = folder
        self._shows = shows
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._end: weakref.finalize[Any, Any] | None = None

    async def ask(self, order: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Its answer to one order. Raises `NoWord` where there is none in time; the process is gone then."""
        line = await self._answer(order, seconds)
        if not line and self._process is not None and self._process.poll() == IDLE:
            line = await self._answer(order, seconds)
        if not line.endswith(b"\n"):
            raise NoWord(self._how_it_ended())
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _answer(self, order: Mapping[str, Any], seconds: float) -> bytes:
        """A line; empty where it ended."""
        process = self._started()
        exchange = asyncio.ensure_future(asyncio.to_thread(_exchange, process, json.dumps(order).encode() + b"\n"))
        done = False
        try:
            done = bool((await asyncio.wait({exchange}, timeout=seconds))[0])
        finally:
            # Whoever stopped waiting does not get the answer to this with the next order; killed, it ends at once.
            if not done:
                self.kill()
        if not done:
            await exchange
            raise NoWord(f"it did not end within {seconds:g} s and was killed")
        return await exchange

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        # It lives as long as the process, which `close` ends.
        self._said = None if self._shows else tempfile.TemporaryFile("ab+", buffering=0)  # noqa: SIM115
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", WORKER),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=self._folder,
            start_new_session=True,
        )
        self._end = weakref.finalize(self, _end, self._process, self._said)
        return self._process

    def _how_it_ended(self) -> str:
        process, said = self._process, b""
        assert process is not None
        _kill(process)
        code = process.wait()
        if self._said is not None:
            self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - _KEPT))
            said = self._said.read().strip()
        self.close()
        last = said.decode(errors="replace").splitlines()[-1][:_SAID] if said else ""
        how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
        return f"its process {how} before it answered{f': {last}' if last else ''}"

    def interrupt(self, number: int) -> None:
        """Hand a signal on to the process itself; it may have none any more."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """End it now, with everything that it started."""
        if self._process is not None:
            _kill(self._process)

    def close(self) -> None:
        """End it, and wait until it is gone; idempotent."""
        if self._end is not None:
            self._end()
        self._process = self._said = self._end = None


def _exchange(process: subprocess.Popen[bytes], order: bytes) -> bytes:
    """Ends when it answers, and when it is gone."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(order)
        process.stdin.flush()
        if line := process.stdout.readline():
            return line
    except (OSError, ValueError):
        pass  # it ended before it could be asked
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    return b""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The session that it leads. Its number stays taken while anyone of it lives."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], said: IO[bytes] | None) -> None:
    _kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout, said):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def revealed(given: Mapping[str, str | SecretRef], folder: Path) -> dict[str, str]:
    """Values for an extension: text as it is, secrets from where they are. Raises `UsageError` naming the reference."""
    return {
        name: resolve(value, folder).reveal() if isinstance(value, SecretRef) else value
        for name, value in given.items()
    }
