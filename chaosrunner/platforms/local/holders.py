"""The local platform's holders: a process of our own for each load and each pause."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.injector import processes
from chaosrunner.injector.calls import ControlError, call_async
from chaosrunner.model.quantities import number, write_size
from chaosrunner.model.target import Target
from chaosrunner.platforms.local import daemons
from chaosrunner.platforms.local.daemons import Daemon, DidNotStart
from chaosrunner.platforms.local.ground import Ground, beginning, instance_of
from chaosrunner.platforms.local.machine import daemons_folder, short_name
from chaosrunner.ports import Files, Hold, Holders, StressEffect

if TYPE_CHECKING:
    import psutil

MEMORY_RESERVE = 256 * 2**20
"""Bytes of memory that no load takes: the machine runs the runner too."""
DISK_RESERVE = 512 * 2**20
"""Bytes that a load leaves on a disk that chaosrunner itself writes to."""
A_MOMENT = 0.15
"""Seconds over which processor time is measured."""


class LocalHolders(Ground, Holders, Files):
    """Loads act on the machine that the target runs on; only a pause acts on the target's own processes."""

    async def why_not(self, target: Target, effect: StressEffect) -> str:
        if effect.what == "cpu":
            cores = os.cpu_count() or 1
            return "" if effect.cores <= cores else f"this machine has {cores} processors, not {number(effect.cores)}"
        if effect.what == "memory":
            free = _free_memory()
            if effect.size + MEMORY_RESERVE <= free:
                return ""
            return (
                f"{_mib(effect.size)} do not fit: {_mib(free)} of memory are free, and {_mib(MEMORY_RESERVE)} stay free"
            )
        left, _ = await self.free(target, effect.folder)
        reserve = self._disk_reserve(effect.folder)
        if effect.size + reserve <= left:
            return ""
        why = f", of which {write_size(reserve)} stay free because chaosrunner writes its own files there"
        return f"{_mib(effect.size)} do not fit: {_mib(left)} are free in {effect.folder}{why if reserve else ''}"

    def _disk_reserve(self, folder: str) -> int:
        """A full disk must never be the one that the journal is written to."""
        ours = (Path.cwd(), Path(os.environ.get("CHAOSRUNNER_STATE", ".")), self.system.machine)
        here = Path(folder).stat().st_dev
        return DISK_RESERVE if any(mine.exists() and mine.stat().st_dev == here for mine in ours) else 0

    async def stress(self, target: Target, effect: StressEffect, hold: Hold) -> None:
        if why := await self.why_not(target, effect):
            raise FaultFailed(why)
        request: dict[str, Any] = {"what": effect.what}
        if effect.what == "cpu":
            request |= {"cores": effect.cores, "beside": target.details.get("pid", 0)}
        elif effect.what == "memory":
            request |= {"size": int(effect.size), "reserve": MEMORY_RESERVE}
        else:
            reserve = self._disk_reserve(effect.folder)
            request |= {"size": int(effect.size), "folder": effect.folder, "reserve": reserve}
        await self._hold(request, hold)

    async def pause(self, target: Target, hold: Hold) -> None:
        instance = instance_of(target)
        await self._hold({"what": "pause", "processes": [[instance.pid, instance.started]]}, hold)

    async def _hold(self, request: dict[str, Any], hold: Hold) -> None:
        socket, note = self._files(hold)
        record = _read(note)
        if record is not None and processes.state(record["pid"], record["started"]) != "gone":
            raise FaultFailed(f"{hold.id} is in force already: one hold carries one effect, end it first")
        self.reach(socket)
        request |= beginning(hold.id, hold.run, hold.seconds, control=str(socket), record=str(note))
        try:
            await daemons.start("holder", request, within=9.0)
        except DidNotStart as problem:
            raise FaultFailed(str(problem)) from None

    def _files(self, hold: Hold) -> tuple[Path, Path]:
        """The control socket and the record of what holds this."""
        stem = daemons_folder(self.system.machine) / f"h{short_name(hold.id)}"
        return stem.with_suffix(".sock"), stem.with_suffix(".json")

    async def let_go(self, target: Target, hold: Hold) -> None:
        socket, note = self._files(hold)
        record = _read(note)
        with suppress(ControlError):
            await call_async(socket, {"do": "end", "id": hold.id}, 2.0)
        self.leave(socket)
        if record is None:
            return
        daemon = Daemon(record["pid"], record["started"])
        asked = await daemons.gone_within(daemon, self.clock, 1.0)
        if not asked and not await daemons.end(daemon, self.clock):
            raise UndoFailed(f"the holder of {hold.id} does not end", [f"kill -KILL {daemon.pid}"])
        record = _read(note) or record
        stuck = [pid for pid, begun in record.get("stopped", ()) if not await self._continued(pid, begun)]
        if stuck:
            raise UndoFailed(
                f"processes {stuck} of {target.name} could not be continued", [f"kill -CONT {pid}" for pid in stuck]
            )
        note.unlink(missing_ok=True)
        socket.unlink(missing_ok=True)

    async def _continued(self, pid: int, begun: str) -> bool:
        """Whether it runs, or is gone, after being continued if need be."""
        for _ in range(20):
            if processes.state(pid, begun) != "stopped":
                return True
            with suppress(PermissionError):
                processes.send(pid, begun, signal.SIGCONT)
            await self.clock.sleep(0.01)
        return False

    async def usage(self, target: Target, hold: Hold) -> Mapping[str, float]:
        record = _read(self._files(hold)[1])
        if record is None or processes.state(record["pid"], record["started"]) == "gone":
            return {}
        import psutil

        try:
            top = psutil.Process(record["pid"])
            members = [top, *top.children(recursive=True)]
            (busy, waited), began = _processor_time(members), self.clock.monotonic()
            await self.clock.sleep(A_MOMENT)
            busy_now, waited_now = _processor_time(members)
            passed = max(self.clock.monotonic() - began, 1e-3)
            memory = float(top.memory_info().rss)
        except psutil.NoSuchProcess:
            return {}
        used = {"cores": (busy_now - busy) / passed, "waited": (waited_now - waited) / passed, "memory": memory}
        disk = _disk_taken(record["pid"])
        return used if disk is None else used | {"disk": disk}

    async def free(self, target: Target, folder: str) -> tuple[float, float]:
        if not Path(folder).is_absolute():
            raise CannotDoHonestly(f"the folder {folder!r} is not an absolute path")
        try:
            import shutil

            seen = shutil.disk_usage(folder)
        except OSError as problem:
            raise CannotDoHonestly(f"{folder}: {problem.strerror}") from None
        if not os.access(folder, os.W_OK):
            raise CannotDoHonestly(f"{folder} may not be written to by this user")
        return float(seen.free), float(seen.total)


def _read(note: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"pid", "started"} <= set(found) else None


def _free_memory() -> int:
    """Of the machine, or of the control group if that is less."""
    import psutil

    from chaosrunner.injector.holder import available_memory

    available = available_memory()
    return int(psutil.virtual_memory().available) if available is None else available


def _processor_time(members: list[psutil.Process]) -> tuple[float, float]:
    """Seconds that they have computed, and seconds that they were ready to and waited for others (0 where the system
    does not say it)."""
    import psutil

    computed = waited = 0.0
    for member in members:
        with suppress(OSError, ValueError, IndexError):
            words = Path(f"/proc/{member.pid}/schedstat").read_text().split()
            if words[0] != "0":
                computed += int(words[0]) / 1e9
                waited += int(words[1]) / 1e9
                continue
        with suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            computed += times.user + times.system
    return computed, waited


def _disk_taken(pid: int) -> float | None:
    """Bytes of files without a name that the process has open; None where the system does not show them."""
    folder = Path(f"/proc/{pid}/fd")
    if not folder.exists():
        return None
    taken = 0.0
    with suppress(OSError):
        for entry in folder.iterdir():
            with suppress(OSError):
                seen = entry.stat()
                if seen.st_nlink == 0:
                    taken += seen.st_blocks * 512
    return taken


def _mib(amount: float) -> str:
    return f"{amount / 2**20:.0f} MiB"
