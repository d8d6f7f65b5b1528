"""Loads inside the injector's container: processors kept busy, memory held, a disk written to or filled.

    {"kind": "stress", "what": "cpu", "cores": 1.5}
    {"kind": "stress", "what": "memory", "size": 268435456, "reserve": 33554432, "over": 20}    `over`: grows so long
    {"kind": "stress", "what": "io", "folder": "/data", "size": 1048576, "workers": 2}            written and fsynced
    {"kind": "stress", "what": "disk", "folder": "/data", "size": 1048576}                        or "leave": bytes left

What is held ends with this process, however it ends: child processes that look for their parent, anonymous memory, and
files that have no name. Nothing begins that would leave less than `reserve` bytes free.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import Protocol

from chaosrunner.injector import holder
from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.fields import number, only

__all__ = ["Stress"]

LARGEST = 2.0**60
WRAP = 64 * 2**20
"""Bytes after which writing begins again at the file's start."""


class Load(Protocol):
    """What is held. `begin` refuses with `RequestRefused` and has then changed nothing."""

    async def begin(self) -> None: ...

    def end(self) -> None: ...


class Growing:
    """Memory that grows evenly to its size, and stays."""

    def __init__(self, size: int, reserve: int, over: float) -> None:
        self._size = size
        self._reserve = reserve
        self._over = over
        self._pieces: list[holder.Memory] = []
        self._task: asyncio.Task[None] | None = None
        self.stopped = ""
        """Why it did not grow to its size."""

    async def begin(self) -> None:
        """Begins with the first piece, so that a refusal comes at once."""
        await self._more(min(self._size, holder.CHUNK))
        self._task = asyncio.get_running_loop().create_task(self._grow())

    async def _more(self, size: int) -> None:
        piece = holder.Memory(size, self._reserve)
        await piece.begin()
        self._pieces.append(piece)

    async def _grow(self) -> None:
        left = self._size - holder.CHUNK
        pause = self._over * holder.CHUNK / self._size
        try:
            while left > 0:
                await asyncio.sleep(pause)
                await self._more(min(holder.CHUNK, left))
                left -= holder.CHUNK
        except RequestRefused as refusal:
            self.stopped = str(refusal)

    def end(self) -> None:
        """Give it back."""
        if self._task is not None:
            self._task.cancel()
        for piece in self._pieces:
            piece.end()
        self._pieces.clear()


class Writing:
    """Threads that write to a file without a name and fsync it, again and again."""

    def __init__(self, folder: str, size: int, workers: int) -> None:
        self._folder = folder
        self._size = size
        self._workers = workers
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._files: list[int] = []
        self.written = 0
        """How often something was written and fsynced."""
        self.stopped = ""

    async def begin(self) -> None:
        """Opens the files first: a folder that cannot be written to is said at once."""
        try:
            self._files = [holder._nameless(self._folder) for _ in range(self._workers)]
            os.pwrite(self._files[0], b"\0", 0)
        except OSError as problem:
            self.end()
            raise RequestRefused(f"cannot write in {self._folder}: {problem.strerror or problem}") from problem
        for file in self._files:
            thread = threading.Thread(target=self._write, args=(file,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _write(self, file: int) -> None:
        piece, place = os.urandom(min(self._size, 2**20)), 0
        try:
            while not self._over.is_set():
                left = self._size
                while left > 0:
                    place = 0 if place >= WRAP else place
                    done = os.pwrite(file, piece[: min(left, len(piece))], place)
                    place, left = place + done, left - done
                os.fsync(file)
                self.written += 1
        except OSError as problem:
            self.stopped = str(problem.strerror or problem)

    def end(self) -> None:
        """Stop; the files are gone with their last writer."""
        self._over.set()
        for thread in self._threads:
            thread.join(5.0)
        self._threads.clear()
        for file in self._files:
            os.close(file)
        self._files.clear()


class Stress:
    """One load as a fault. Raises `RequestRefused` for what is wrong with the order."""

    def __init__(self, asked: Message) -> None:
        known = {"kind", "what", "cores", "size", "reserve", "over", "folder", "workers", "leave"}
        only(asked, known, "a stress effect")
        self.what = str(asked.get("what"))
        self._load = _load(self.what, asked)
        self._in_force = False

    async def begin(self) -> Message:
        """Put it in force."""
        await self._load.begin()
        self._in_force = True
        return {"mode": self.what}

    async def end(self) -> Message:
        """Take it back; idempotent."""
        await asyncio.get_running_loop().run_in_executor(None, self._load.end)
        self._in_force = False
        return self.met()

    def met(self) -> Message:
        """Nobody counts who meets a load; what there is to say about it."""
        about = {key: value for key in ("written", "stopped") if (value := getattr(self._load, key, None))}
        return {"met": None, "unit": "none", **about}

    def there(self) -> bool:
        """Whether it is still held."""
        return self._in_force and not getattr(self._load, "stopped", "")


def _load(what: str, asked: Message) -> Load:
    size, reserve = int(number(asked, "size", 0, LARGEST)), int(number(asked, "reserve", 0, LARGEST))
    folder = str(asked.get("folder") or "/tmp")
    if what == "cpu":
        cores = number(asked, "cores", 0.0, 1024.0)
        if not cores:
            raise RequestRefused("`cores` is above 0: how many processors are kept busy")
        return holder.Cpu(cores, 0)
    if what == "io":
        return Writing(folder, size or 2**20, max(1, int(number(asked, "workers", 1, 64))))
    if what == "disk" and asked.get("leave") is not None:
        with contextlib.suppress(OSError):
            size = holder.free_bytes(folder) - int(number(asked, "leave", 0, LARGEST))
    if what not in ("memory", "disk"):
        raise RequestRefused(f"unknown load {what!r:.60}; known: cpu, disk, io, memory")
    if size <= 0:
        raise RequestRefused("`size` is above 0, in bytes" if asked.get("leave") is None else "less is free already")
    if what == "memory":
        available = holder.available_memory()
        if available is not None and size > available - reserve:
            raise RequestRefused(f"{size} bytes do not fit: {available} are left, and {reserve} are kept free")
        over = number(asked, "over", 0.0, 86_400.0)
        return Growing(size, reserve, over) if over else holder.Memory(size, reserve)
    return holder.Disk(folder, size, reserve)
