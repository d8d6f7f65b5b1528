"""Programs of other people that change something, run to their end: what they print is kept, their time is limited, and
where one is stopped nothing of it goes on.

A program's output goes to a file and not to a pipe: a service that it starts may hold on to it, and must not die for
writing there when the program is long gone. What a program leaves running *when it ends by itself* is left alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow, RunbookFailed
from chaosrunner.model.secret import Secret, SecretRef
from chaosrunner.records.light import dataclass
from chaosrunner.uncut import begun

if TYPE_CHECKING:
    import psutil

KEPT = 1024 * 1024
"""Bytes of output that are kept: half of them from its beginning, half from its end."""
LARGEST = 64 * 1024 * 1024
"""Bytes of output at which a program is stopped: it would fill the disk."""
GRACE = 5.0
"""Seconds in which a program that is stopped may end in its own way before it is killed; a package half installed is
worse than a wait."""
_LOOK = 0.1
_SOON = 0.05
_SAME = 0.5
"""Seconds by which a process's beginning may be told differently."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    code: int
    """Its exit code; below 0 the signal that killed it."""
    output: str
    """Standard output and error, as they came."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is run, and within which bounds."""

    words: Sequence[str]
    """Program and arguments; no shell takes part."""
    folder: Path
    """Where it runs."""
    env: Mapping[str, str]
    """Variables added to chaosrunner's own."""
    timeout: float
    """Seconds."""
    grace: float = GRACE
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A program that was started, so that another process can tell whether it goes on."""

    process: int
    began: float
    """As the machine tells it; another one with the same number began at another time."""

    @property
    def goes_on(self) -> bool:
        """Whether it still runs."""
        import psutil

        try:
            found = psutil.Process(self.process)
            return abs(found.create_time() - self.began) < _SAME and found.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


_TELL: ContextVar[Callable[[Begun], None] | None] = ContextVar("_TELL", default=None)


def found(names: Sequence[str], install: str) -> str:
    """The first of these programs that is on the PATH, or lies beside the Python that runs chaosrunner.

    Raises `NotPossibleNow` with how to `install` it.
    """
    for name in names:
        beside = Path(sys.executable).parent / name
        place = shutil.which(name) or (str(beside) if os.access(beside, os.X_OK) else None)
        if place is not None:
            return place
    raise NotPossibleNow(f"{' or '.join(names)} is not installed: {install}")


def place(folder: Path, written: str | None) -> Path:
    """Where a path of a file leads, whole; a relative one starts in this folder, none is the folder itself."""
    return folder.absolute() / Path(written or "").expanduser()


def variables(written: Mapping[str, str | SecretRef], secret: Callable[[SecretRef], Secret]) -> dict[str, str]:
    """Variables of the environment as a file gives them, with the secrets that they refer to."""
    return {name: secret(value).reveal() if isinstance(value, SecretRef) else value for name, value in written.items()}


async def run(program: Program, clock: Clock) -> Ended:
    """Run it to its end. Cancelled, or out of time, it is asked to end (SIGTERM) with everything that it started, and
    killed after its grace.

    Raises `RunbookFailed` where it cannot be started, takes too long, or prints without end.
    """
    with tempfile.TemporaryFile() as output:
        transport, exited = await _started(program, output.fileno(), clock)
        why = ""
        try:
            _told_of(transport.get_pid())
            until = clock.monotonic() + program.timeout
            while not exited.done() and not why:
                left = until - clock.monotonic()
                await asyncio.wait({exited}, timeout=max(0.0, min(_LOOK, left)))
                if left <= 0:
                    why = f"did not end within {program.timeout:g} s and was stopped"
                elif os.fstat(output.fileno()).st_size > LARGEST:
                    why = f"printed more than {LARGEST // 1024 // 1024} MiB and was stopped"
        finally:
            if not exited.done():
                await _stop(transport.get_pid(), exited, clock, program.grace)
            transport.close()
        said = _kept(output.fileno())
        code = transport.get_returncode()
        if why or code is None:
            raise RunbookFailed(f"{Path(program.words[0]).name} {why}", said)
        return Ended(code, said)


@contextmanager
def told_of_each(tell: Callable[[Begun], None]) -> Iterator[None]:
    """Meanwhile each program that is started from here is told: one that outlives chaosrunner, which was killed, is
    then known to the next."""
    before = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(before)


def _told_of(process: int) -> None:
    import psutil

    if (tell := _TELL.get()) is not None:
        with suppress(psutil.Error):  # it has ended
            tell(Begun(process, psutil.Process(process).create_time()))


async def _started(
    program: Program, output: int, clock: Clock
) -> tuple[asyncio.SubprocessTransport, asyncio.Future[None]]:
    """It, and what is done when it has ended."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[None] = loop.create_future()

    async def end(started: tuple[asyncio.SubprocessTransport, asyncio.SubprocessProtocol]) -> None:
        await _stop(started[0].get_pid(), exited, clock, program.grace)
        started[0].close()

    try:
        transport, _ = await begun(
            loop.subprocess_exec(
                lambda: _Watched(exited),
                *program.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, **program.env},
                cwd=program.folder,
                start_new_session=True,
            ),
            end,
        )
    except OSError as error:
        reason = "no such program or folder" if isinstance(error, FileNotFoundError) else error.strerror
        raise RunbookFailed(f"{program.words[0]} cannot be started in {program.folder}: {reason}") from error
    return transport, exited


class _Watched(asyncio.SubprocessProtocol):
    """Notes that it has ended."""

    def __init__(self, exited: asyncio.Future[None]) -> None:
        self._exited = exited

    def process_exited(self) -> None:
        if not self._exited.done():
            self._exited.set_result(None)


def _kept(output: int) -> str:
    size = os.fstat(output).st_size
    if size <= KEPT:
        return os.pread(output, KEPT, 0).decode(errors="replace")
    half = KEPT // 2
    head, tail = os.pread(output, half, 0), os.pread(output, half, size - half)
    left_out = f"\n… {size - 2 * half} bytes are left out …\n"
    return head.decode(errors="replace") + left_out + tail.decode(errors="replace")


# ------------------------------------------------------------------------------------------------------------- stopping


async def _stop(pid: int, exited: asyncio.Future[None], clock: Clock, grace: float) -> None:
    """End it with everything below it. Some tools give each of their workers a session of its own, so the tree counts
    and not only the group; who is below is noted before anybody ends, since orphans have no parent to be found by."""
    tree = _tree(pid)
    _tell(pid, tree, signal.SIGTERM)
    until = clock.monotonic() + grace
    while (not exited.done() or _alive(tree)) and clock.monotonic() < until:
        await clock.sleep(_SOON)
    _tell(pid, [*tree, *(below for each in tree for below in _below(each))], signal.SIGKILL)
    await exited


def _tree(pid: int) -> list[psutil.Process]:
    import psutil

    try:
        leader = psutil.Process(pid)
    except psutil.Error:
        return []
    return [leader, *_below(leader)]


def _below(process: psutil.Process) -> list[psutil.Process]:
    import psutil

    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _alive(tree: Sequence[psutil.Process]) -> bool:
    import psutil

    for each in tree[1:]:  # the leader is waited for
        with suppress(psutil.Error):
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _tell(group: int, tree: Sequence[psutil.Process], number: signal.Signals) -> None:
    import psutil

    with suppress(ProcessLookupError, PermissionError):  # gone; macOS says "not permitted" for a group of zombies
        os.killpg(group, number)
    for each in tree:
        with suppress(psutil.Error):
            each.send_signal(number)
