"""A probe that runs a command and reads its exit code or what it prints."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from chaosrunner.errors import NoReading
from chaosrunner.model.marks import Field, JsonValue
from chaosrunner.model.quantities import Duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Probe, Value
from chaosrunner.uncut import begun

_LONGEST = 64 * 1024
_LONGEST_TEXT = 10_000
_SHOWN = 200


class Params(Parameters):
    """What to run, and what to read of it."""

    run: tuple[str, ...] = Field(min_length=1)
    """Program and arguments, as a list; no shell takes part. Arguments are shown in messages: secrets go in `env`."""
    read: Literal["exitCode", "stdout", "number", "json"] = "exitCode"
    """`exitCode`; or of a command that exits with 0: `stdout` as text without the blanks around it (at most 10 000
    characters), or as one `number`, or as a `json` number, text, or true/false. Default exitCode."""
    timeout: Duration = Field(default=10.0, gt=0)
    """Then it is killed with everything that it started, and there is no reading. Default 10s."""
    env: dict[str, str | SecretRef] = {}
    """Variables added to chaosrunner's own; a value is text, or where a secret is: `{env: NAME}`."""
    folder: str | None = None
    """Where it runs; default: the experiment's folder."""


class Command(Probe[Params]):
    """Runs a program and reads its exit code or its output. Nothing of it outlives the reading.

    A program that is not there, is killed by a signal, takes too long, exits with another code than 0 (unless that
    is what is read), or prints what is not asked for is *no reading*: the instrument failed, nobody knows about the
    system. A check that tells good from bad by its exit code is read as `exitCode`.
    """

    late: ClassVar[Mapping[str, JsonValue]] = {"run": "known later"}
    example = "command: {run: [pg_isready, -h, 127.0.0.1], read: exitCode, timeout: 3s}"

    _environment: Mapping[str, str] | None = None

    @classmethod
    def reads_text(cls, params: Params) -> bool:
        return params.read in ("stdout", "json")

    async def open(self) -> None:
        words = shlex.join(self.params.run)
        self._words = words if len(words) <= _SHOWN else f"{words[: _SHOWN - 1]}…"
        self._folder = _place(self.context.folder, self.params.folder)
        secret = self.context.http.secret
        given = {
            name: secret(value).reveal() if isinstance(value, SecretRef) else value
            for name, value in self.params.env.items()
        }
        self._environment = {**os.environ, **given}

    async def read(self) -> Value:
        if self._environment is None:
            await self.open()
        code, output, complaint = await self._run()
        if code < 0:
            raise NoReading(f"{self._words}: killed by {_signal_name(-code)}{_quoted(complaint)}")
        if self.params.read == "exitCode":
            return float(code)
        if code != 0:
            raise NoReading(f"{self._words}: exited with {code}{_quoted(complaint)}")
        if len(output) > _LONGEST:
            raise NoReading(f"{self._words}: printed more than {_LONGEST} bytes")
        return self._value(output.decode(errors="replace").strip())

    def _value(self, text: str) -> Value:
        if self.params.read == "stdout":
            if len(text) > _LONGEST_TEXT:
                raise NoReading(f"{self._words}: printed {len(text)} characters, more than {_LONGEST_TEXT}")
            return text
        expected = "one number" if self.params.read == "number" else "a JSON number, text, or true/false"
        try:
            value = float(text) if self.params.read == "number" else json.loads(text)
            if isinstance(value, bool | str):
                return value
            if isinstance(value, int | float) and math.isfinite(float(value)):
                return float(value)
        except (ValueError, OverflowError, RecursionError):
            pass
        raise NoReading(f"{self._words}: printed {text[:80]!r}, expected {expected}")

    async def _run(self) -> tuple[int, bytes, bytes]:
        loop = asyncio.get_running_loop()
        try:
            transport, running = await begun(
                loop.subprocess_exec(
                    _Running,
                    *self.params.run,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=self._environment,
                    cwd=self._folder,
                    start_new_session=True,
                ),
                _end,
            )
        except OSError as error:
            reason = "no such program or folder" if isinstance(error, FileNotFoundError) else error.strerror
            raise NoReading(f"{self._words}: cannot be started: {reason}") from error
        pid = transport.get_pid()
        try:
            async with asyncio.timeout(self.params.timeout):
                await running.exited.wait()
                _kill_group(pid)  # what it left behind would hold the pipes open
                await running.ended.wait()
        except TimeoutError:
            raise NoReading(f"{self._words}: did not end within {self.params.timeout:g} s and was killed") from None
        finally:
            await _end((transport, running))
        code = transport.get_returncode()
        assert code is not None
        return code, bytes(running.output[1]), bytes(running.output[2])


def _place(folder: Path, inner: str | None) -> Path:
    return folder / Path(inner or "").expanduser()


class _Running(asyncio.SubprocessProtocol):
    """Collects the beginning of what it prints; the rest is read and dropped, so that it never blocks."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()
        self.output = {1: bytearray(), 2: bytearray()}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        room = _LONGEST + 1 - len(self.output[fd])
        self.output[fd] += data[: max(0, room)]

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def _end(started: tuple[asyncio.SubprocessTransport, _Running]) -> None:
    transport, running = started
    if not running.exited.is_set():
        _kill_group(transport.get_pid())
        await running.exited.wait()
    transport.close()


def _kill_group(pid: int) -> None:
    """Kill the whole session that the command leads. Its number stays taken while anyone of it lives."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # gone; macOS says "not permitted" for a group of zombies
        return


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _quoted(complaint: bytes) -> str:
    """The last line that it complained with."""
    lines = complaint.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[:200]}" if last else ""
