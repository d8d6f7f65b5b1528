"""Starts the processes of `injector/` so that they outlive the command, and ends them, touching nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import chaosrunner
from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.injector import processes
from chaosrunner.records.light import dataclass

_HOME = str(Path(chaosrunner.__file__).parent.parent)
"""What must be on the path of an interpreter that was started without site packages."""


class DidNotStart(NotPossibleNow):
    """A process of `injector/` said why it cannot do what it was asked, or said nothing in time."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process that was started here, known by its pid and its start."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        return processes.state(self.pid, self.started) != "gone"


async def start(
    module: str,
    request: dict[str, Any] | None = None,
    *,
    arguments: Sequence[str] = (),
    errors: Path | None = None,
    within: float = 10.0,
) -> Daemon:
    """Run `chaosrunner.injector.MODULE` in a session of its own, without site packages (a third of the start-up).

    It is given the request on its standard input, and says `ready`, or what is wrong, in one line on its standard
    output; without a request it is given `--ready-fd N`, and writes `1` there. Raises `DidNotStart`; then it is not
    running. A caller that is cancelled meanwhile leaves no process behind.
    """
    reading, writing = os.pipe()
    try:
        try:
            process = _popen(module, request, arguments, errors, writing)
        finally:
            os.close(writing)
        _collect(process)
        begun = processes.started(process.pid)
        said = await _asked(process, request, reading, within)
    finally:
        os.close(reading)
    if said not in ("ready", "1"):
        raise DidNotStart(said or _last_lines(errors) or f"the {module} ended without a word")
    return Daemon(process.pid, begun)


async def _asked(process: subprocess.Popen[bytes], request: dict[str, Any] | None, reading: int, within: float) -> str:
    try:
        if request is not None:
            await asyncio.to_thread(_tell, process, request)
        async with asyncio.timeout(within):
            return await _line(reading)
    except BaseException as problem:
        with suppress(ProcessLookupError):
            process.terminate()
        if isinstance(problem, TimeoutError):
            raise DidNotStart(f"{process.args!r:.200} said nothing within {within:g} s") from None
        raise


def _popen(
    module: str, request: dict[str, Any] | None, arguments: Sequence[str], errors: Path | None, writing: int
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-S", "-P", "-m", f"chaosrunner.injector.{module}", *arguments]
    if request is None:
        command += ["--ready-fd", str(writing)]
    environment = {key: os.environ[key] for key in ("PATH", "TMPDIR", "CHAOSRUNNER_BEAT_LIMIT") if key in os.environ}
    with (errors or Path(os.devnull)).open("ab") as log:
        return subprocess.Popen(
            command,
            cwd="/",
            env=environment | {"PYTHONPATH": _HOME, "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL if request is None else subprocess.PIPE,
            stdout=log if request is None else writing,
            stderr=log,
            pass_fds=(writing,) if request is None else (),
            start_new_session=True,
        )


def _collect(process: subprocess.Popen[bytes]) -> None:
    """Take note of its end, whenever that is, so that no remains of it are left while this process lives on."""
    threading.Thread(target=process.wait, name=f"collects {process.pid}", daemon=True).start()


def _tell(process: subprocess.Popen[bytes], request: dict[str, Any]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(json.dumps(request).encode())


async def _line(answers: int) -> str:
    """What is written to the pipe until a line or the pipe ends."""
    loop, said, over = asyncio.get_running_loop(), bytearray(), asyncio.Event()

    def more() -> None:
        piece = os.read(answers, 4096)
        said.extend(piece)
        if not piece or b"\n" in piece:
            over.set()

    os.set_blocking(answers, False)
    loop.add_reader(answers, more)
    try:
        await over.wait()
    finally:
        loop.remove_reader(answers)
    return said.decode(errors="replace").partition("\n")[0].strip()


def _last_lines(log: Path | None, count: int = 1) -> str:
    return "\n".join(last_lines(log, count)) if log is not None else ""


def last_lines(log: Path, count: int) -> list[str]:
    """The end of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]


async def end(daemon: Daemon, clock: Clock, grace: float = 2.0) -> bool:
    """SIGTERM, and SIGKILL after the grace; whether it is gone. Never another process than this one."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 2.0)):
        if not processes.send(daemon.pid, daemon.started, number):
            return True
        if number == signal.SIGTERM:
            processes.send(daemon.pid, daemon.started, signal.SIGCONT)  # what is stopped cannot end
        if await gone_within(daemon, clock, patience):
            return True
    return False


async def gone_within(daemon: Daemon, clock: Clock, seconds: float) -> bool:
    """Wait for its end; False if it is still there."""
    give_up = clock.monotonic() + seconds
    while daemon.alive:
        if clock.monotonic() >= give_up:
            return False
        await clock.sleep(0.01)
    return True
