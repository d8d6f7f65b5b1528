"""A process that holds one fault beside its target, and takes it back when it ends, however that comes about.

    python -m chaosrunner.injector.holder < request.json

The request is one JSON object on standard input; the answer one line on standard output, `ready` once the fault is in
force, or the reason why not:

    {"control": "/…/h.sock", "record": "/…/h.json", "id": "R1.hang.0", "run": "R1", "seconds": 30,
     "what": "pause", "processes": [[4711, "…start…"]]}          stops the processes and all their descendants
     "what": "cpu", "cores": 1.5, "beside": 4711                  keeps so many processors busy
     "what": "memory", "size": 268435456, "reserve": 134217728    holds so many bytes, leaves the reserve free
     "what": "disk", "size": 1048576, "folder": "/tmp", "reserve": 0

It ends at the deadline, when the heartbeat is missing, when asked to (`end`, SIGTERM), and what it held ends with it:
loads are processes and memory of its own and go even after SIGKILL; stopped processes are named in the record, so that
whoever heals can continue them. Standard library only.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # asyncio does without, and starts faster

import asyncio
import json
import mmap
import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from chaosrunner.injector import processes
from chaosrunner.injector.control import BEAT_LIMIT, Control, ControlError, Holds, Message, RequestRefused, Why

CHUNK = 16 * 2**20
"""Memory and disk grow in steps of so many bytes; between two, others get their turn and the reserve is looked at."""
PERIOD = 0.05
"""Seconds of one round of being busy and idle, for a part of a processor."""


def beat_limit() -> float:
    """Seconds without a heartbeat that end a hold; `CHAOSRUNNER_BEAT_LIMIT` shortens it for tests."""
    return min(BEAT_LIMIT, float(os.environ.get("CHAOSRUNNER_BEAT_LIMIT") or BEAT_LIMIT))


class Load(Protocol):
    """What is held. `begin` refuses with `RequestRefused` and has then changed nothing; `end` never fails."""

    async def begin(self) -> None: ...

    def end(self) -> None: ...


class Record:
    """The note about this holder for those who come after it died; removed when it ends in order."""

    def __init__(self, path: Path, words: Message) -> None:
        self.path = path
        self._words = words | {"pid": os.getpid(), "started": processes.started(os.getpid())}

    def write(self, **more: Any) -> None:
        self._words |= more
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self._words))
        partial.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class Pause:
    """SIGSTOP for processes and all their descendants, SIGCONT at the end."""

    def __init__(self, roots: list[tuple[int, str]], record: Record) -> None:
        self._roots = roots
        self._record = record
        self._stopped: list[tuple[int, str]] = []

    async def begin(self) -> None:
        spared = processes.ancestors(os.getpid())
        for pid, begun in self._roots:
            if pid in spared:
                raise RequestRefused(f"process {pid} is what runs chaosrunner; it cannot stop itself")
            if processes.state(pid, begun) != "running":
                raise RequestRefused(f"process {pid} is {processes.state(pid, begun)}, it cannot be stopped")
        try:
            for pid, begun in self._roots:
                self._stop(pid, begun)
                while any([self._stop(seen.pid, seen.started) for seen in self._fresh(pid)]):
                    pass  # a child may have forked before it was stopped
        except OSError as problem:
            self.end()
            raise RequestRefused(f"a process could not be stopped: {problem}") from problem
        if not self._stopped:
            raise RequestRefused("the process is gone")

    def _fresh(self, root: int) -> list[processes.Seen]:
        known = set(self._stopped)
        return [
            seen
            for seen in processes.family(root)
            if seen.state not in "Tt" and (seen.pid, seen.started) not in known and seen.pid != os.getpid()
        ]

    def _stop(self, pid: int, begun: str) -> bool:
        self._stopped.append((pid, begun))
        self._record.write(stopped=self._stopped)  # before it is stopped: whoever heals must know
        return processes.send(pid, begun, signal.SIGSTOP)

    def end(self) -> None:
        for pid, begun in reversed(self._stopped):
            with suppress(PermissionError):
                processes.send(pid, begun, signal.SIGCONT)


class Cpu:
    """Child processes that compute; they look for their parent all the time and end with it."""

    def __init__(self, cores: float, beside: int) -> None:
        self._shares = [1.0] * int(cores) + ([cores % 1] if cores % 1 > 0.005 else [])
        self._beside = beside
        self._children: list[int] = []

    async def begin(self) -> None:
        if hasattr(os, "sched_setaffinity") and self._beside:
            with suppress(OSError):  # compete for the processors that the target may use
                os.sched_setaffinity(0, os.sched_getaffinity(self._beside))
        parent = os.getpid()
        for share in self._shares:
            child = os.fork()
            if child == 0:
                _compute(share, parent)
            self._children.append(child)

    def end(self) -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for child in self._children:
            with suppress(ChildProcessError):
                os.waitpid(child, 0)
        self._children.clear()


def _compute(share: float, parent: int) -> None:
    """The life of a child; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(0, 256)
        while os.getppid() == parent:
            busy_until = time.monotonic() + PERIOD * share
            while time.monotonic() < busy_until:
                sum(range(500))
            if share < 1:
                time.sleep(PERIOD * (1 - share))
    finally:
        os._exit(0)


class Memory:
    """Anonymous memory, written to page by page, so that it is really there."""

    def __init__(self, size: int, reserve: int) -> None:
        self._size = size
        self._reserve = reserve
        self._pieces: list[mmap.mmap] = []
        self._keeper: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        _go_first()
        left = self._size
        while left > 0:
            step = min(CHUNK, left)
            available = available_memory()
            if available is not None and available - step < self._reserve:
                self.end()
                raise RequestRefused(
                    f"{_mib(self._size)} do not fit: with {_mib(self._size - left)} held, {_mib(available)} are left, "
                    f"and {_mib(self._reserve)} are kept free"
                )
            piece = mmap.mmap(-1, step)
            self._pieces.append(piece)
            _touch(piece)
            left -= step
            await asyncio.sleep(0)
        self._keeper = asyncio.get_running_loop().create_task(self._stay())

    async def _stay(self) -> None:
        while True:  # what nobody uses would be swapped out or compressed
            await asyncio.sleep(2)
            for piece in self._pieces:
                _touch(piece)
                await asyncio.sleep(0)

    def end(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        for piece in self._pieces:
            piece.close()
        self._pieces.clear()


def _go_first() -> None:
    """Should memory run out after all, this process is the one that the kernel ends."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _touch(piece: mmap.mmap) -> None:
    pages = len(range(0, len(piece), mmap.PAGESIZE))
    piece[:: mmap.PAGESIZE] = os.urandom(pages)


def available_memory() -> int | None:
    """Bytes that can be had without swapping, of the machine or of this process's control group, the smaller; None
    where the system does not say it in a file."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024)
    with suppress(OSError, ValueError, IndexError):
        group = Path("/proc/self/cgroup").read_text().partition("0::/")[2].splitlines()[0]
        for folder in (Path("/sys/fs/cgroup") / group, *(Path("/sys/fs/cgroup") / group).parents):
            if (folder / "memory.max").exists() and (limit := (folder / "memory.max").read_text().strip()) != "max":
                found.append(int(limit) - int((folder / "memory.current").read_text()))
    return min(found) if found else None


class Disk:
    """A file that is allocated and has no name, so that its space is free as soon as this process is gone."""

    def __init__(self, folder: str, size: int, reserve: int) -> None:
        self._folder = folder
        self._size = size
        self._reserve = reserve
        self._file = -1

    async def begin(self) -> None:
        try:
            self._file = _nameless(self._folder)
            done = 0
            while done < self._size:
                step = min(4 * CHUNK, self._size - done)
                free = free_bytes(self._folder)
                if free - step < self._reserve:
                    raise RequestRefused(
                        f"{_mib(self._size)} do not fit in {self._folder}: {_mib(free)} are left after "
                        f"{_mib(done)}, and {_mib(self._reserve)} are kept free"
                    )
                self._allocate(done, step)
                done += step
                await asyncio.sleep(0)
        except OSError as problem:
            self.end()
            if isinstance(problem, RequestRefused):
                raise
            raise RequestRefused(f"cannot fill {self._folder}: {problem.strerror or problem}") from problem

    def _allocate(self, start: int, length: int) -> None:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file, start, length)
            return
        piece = os.urandom(2**20)
        while length > 0:
            written = os.write(self._file, piece[:length])
            length -= written

    def end(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _nameless(folder: str) -> int:
    file, name = tempfile.mkstemp(prefix=".chaosrunner-", dir=folder)
    Path(name).unlink()
    return file


def free_bytes(folder: str) -> int:
    """What is left for everybody on the folder's file system (root may have more)."""
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize


def _mib(amount: int) -> str:
    return f"{amount / 2**20:.0f} MiB"


def _load(request: Message, record: Record) -> Load:
    what = request["what"]
    if what == "pause":
        return Pause([(pid, begun) for pid, begun in request["processes"]], record)
    if what == "cpu":
        return Cpu(float(request["cores"]), int(request.get("beside", 0)))
    if what == "memory":
        return Memory(int(request["size"]), int(request["reserve"]))
    if what == "disk":
        return Disk(str(request["folder"]), int(request["size"]), int(request["reserve"]))
    raise RequestRefused(f"unknown load {what!r}; known: cpu, disk, memory, pause")


async def hold(request: Message) -> None:
    """The life of a holder."""
    record = Record(Path(request["record"]), {key: request[key] for key in ("id", "run", "what")})
    load = _load(request, record)
    over = asyncio.Event()

    async def begin(key: str, effect: Message) -> None:
        await load.begin()

    def end(key: str, effect: Message, why: Why) -> None:
        load.end()
        over.set()

    holds = Holds(begin, end, beat_limit=beat_limit())
    control = Control(request["control"], holds.verbs())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    await control.open()
    try:
        record.write()
        await holds.begin({key: request[key] for key in ("id", "run", "seconds")})
        say("ready")
        await over.wait()
    finally:
        await holds.close()
        load.end()
        record.remove()
        await control.close()


def say(line: str) -> None:
    """One line to whoever started this process; it may be gone, which does not matter here."""
    with suppress(OSError):
        os.write(1, line.encode() + b"\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.close(nothing)


def main() -> None:
    """Read the request, hold it until it ends."""
    request = json.loads(sys.stdin.read())
    try:
        asyncio.run(hold(request))
    except (ControlError, KeyError, TypeError, ValueError) as problem:
        say(str(problem) if isinstance(problem, ControlError) else f"not a request: {problem!r}")
        sys.exit(1)


if __name__ == "__main__":
    main()
