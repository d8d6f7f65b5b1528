"""The seam to Chaos Toolkit's extensions: their code runs in a process of its own, which is killed when it does not
answer in time. Nothing of it is imported here.

The other side is `chaosrunner.interop.toolkit_worker`; an order and its answer are one line of JSON each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaosrunner.errors import ChaosrunnerError

WORKER = "chaosrunner.interop.toolkit_worker"
"""The module that is started, by its name alone."""
LONGEST_ANSWER = 256 * 1024 * 1024
"""Bytes: Chaos Toolkit keeps everything that a run returned in memory, and in its answer."""
_SAID = 400


class NoWord(ChaosrunnerError):
    """The process gave no answer: it took too long and was killed, or ended by itself; the text says which."""

    exit_code = 3


class Extensions:
    """One process, started when it is first asked for something; not shared between tasks."""

    def __init__(self, folder: Path, *, shows: bool = False) -> None:
        """`folder`: where it runs. `shows`: whether what it says on standard error is shown as it comes."""
        self._folder = folder
        self._shows = shows
        self._process: asyncio.subprocess.Process | None = None
        self._complaints: asyncio.Task[bytes] | None = None

    async def ask(self, order: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Its answer to one order. Raises `NoWord` where there is none in time; the process is gone then."""
        process = await self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                process.stdin.write(json.dumps(order).encode() + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
        except TimeoutError:
            await self.close()
            raise NoWord(f"it did not end within {seconds:g} s and was killed") from None
        except (ConnectionError, ValueError):
            line = b""
        except BaseException:
            # Whoever stopped waiting does not get the answer to this with the next order.
            self.kill()
            raise
        if not line.endswith(b"\n"):
            raise NoWord(await self._how_it_ended())
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            await self.close()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", WORKER),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=None if self._shows else asyncio.subprocess.PIPE,
                cwd=self._folder,
                start_new_session=True,
                limit=LONGEST_ANSWER,
            )
            if self._process.stderr is not None:
                self._complaints = asyncio.ensure_future(_the_end_of(self._process.stderr))
        return self._process

    async def _how_it_ended(self) -> str:
        process = self._process
        assert process is not None
        self._signal(signal.SIGKILL)
        code = await process.wait()
        said = ""
        if self._complaints is not None:
            lines = (await self._complaints).decode(errors="replace").strip().splitlines()
            said = f": {lines[-1][:_SAID]}" if lines else ""
        self._process = self._complaints = None
        how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
        return f"its process {how} before it answered{said}"

    def interrupt(self, number: int) -> None:
        """Hand a signal on to the process itself; it may have none any more."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """End it now, with everything that it started. Returns before it is gone."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """To the session that it leads. Its number stays taken while anyone of it lives."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def close(self) -> None:
        """End it, and wait until it is gone; idempotent."""
        process, self._process = self._process, None
        complaints, self._complaints = self._complaints, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        if complaints is not None:
            await complaints


async def _the_end_of(stream: asyncio.StreamReader) -> bytes:
    """The last of what is said there; the rest is read and dropped, so that it never blocks who says it."""
    end = b""
    while piece := await stream.read(65536):
        end = (end + piece)[-8192:]
    return end
