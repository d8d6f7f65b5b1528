"""A probe that asks the operating system about processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from chaosrunner.errors import ChaosrunnerError, NoAnswer, NoReading
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Parameters, Probe, Selector, Value

if TYPE_CHECKING:
    import psutil

Identity = tuple[int, float]
"""Process number and start time: together they name one process for good."""


class Params(Parameters):
    """Which processes, and what to read of them."""

    service: str | None = None
    """A service of the environment; each of its instances counts with all its descendants."""
    pid: int | None = Field(default=None, ge=1)
    """One process by number; it and its descendants."""
    name: str | None = None
    """All processes whose executable has this name; they and their descendants."""
    read: Literal["running", "count", "cpu", "memory", "restarts"] = "running"
    """`running`: whether at least one instance is alive and not stopped; `count`: how many instances are alive; `cpu`:
    processors kept busy over `over` (1.0 is one core); `memory`: resident bytes; `restarts`: instances that appeared
    since the run began (two within one pause between readings count once). Default running."""
    over: Duration = Field(default=0.5, gt=0, le=5)
    """With `read: cpu`: how long it is measured; default 500ms."""

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        if sum(way is not None for way in (self.service, self.pid, self.name)) != 1:
            raise ValueError("expected one of service, pid or name")
        return self


class Process(Probe[Params]):
    """Reads of this machine's operating system whether processes run, how many, and what they use.

    With none of them there, `running` is false, `count` and `restarts` are numbers, and `cpu` and `memory` are *no
    answer*. Where the operating system may not be asked (another user's process), there is *no reading*.
    """

    example = "process: {service: payments, read: memory}"

    _before: frozenset[Identity] | None = None

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return "B" if params.read == "memory" else None

    async def open(self) -> None:
        self._appeared: set[Identity] = set()
        self._before = await self._identities() if self.params.read == "restarts" else frozenset()

    async def read(self) -> Value:
        import psutil

        if self._before is None:
            await self.open()
        try:
            return await self._reading()
        except psutil.AccessDenied as error:
            raise NoReading(f"process {error.pid} may not be looked at: it belongs to another user") from error

    async def _reading(self) -> Value:
        wanted = self.params.read
        if wanted == "restarts":
            assert self._before is not None
            self._appeared |= await self._identities() - self._before
            return float(len(self._appeared))
        found = await self._instances()
        if wanted == "count":
            return float(len(found))
        if wanted == "running":
            return await asyncio.to_thread(lambda: any(_moves(process) for process in found))
        if not found:
            raise NoAnswer(f"{self._who()} is not running")
        if wanted == "memory":
            return await asyncio.to_thread(_memory, found)
        return await self._cpu(found)

    async def _cpu(self, found: list[psutil.Process]) -> float:
        clock = self.context.clock
        began, before = clock.monotonic(), await asyncio.to_thread(_spent, found)
        await clock.sleep(self.params.over)
        after = await asyncio.to_thread(_spent, found)
        passed = clock.monotonic() - began
        # One that went away in between has used nothing that can still be seen; one that came counts from its start.
        used = sum(seconds - before.get(identity, 0.0) for identity, seconds in after.items())
        return max(0.0, used / passed)

    async def _identities(self) -> frozenset[Identity]:
        found = await self._instances()
        return frozenset((process.pid, process.create_time()) for process in found)

    async def _instances(self) -> list[psutil.Process]:
        if self.params.service is not None:
            pids = await self._of_service(self.params.service)
            return await asyncio.to_thread(_alive, pids)
        if self.params.pid is not None:
            return await asyncio.to_thread(_alive, [self.params.pid])
        assert self.params.name is not None
        return await asyncio.to_thread(_named, self.params.name)

    async def _of_service(self, service: str) -> list[int]:
        platform = self.context.platform
        if platform is None:
            raise NoReading(f"no environment says what runs {service}")
        try:
            selection = await platform.find(Selector(service=service, take="all"))
        except ChaosrunnerError as error:
            raise NoReading(f"{service} cannot be looked for: {error}") from error
        pids = [target.details.get("pid") for target in selection.candidates if target.kind == "process"]
        if selection.candidates and not all(isinstance(pid, int) for pid in pids):
            raise NoReading(f"{service} does not run as processes of this machine")
        return [pid for pid in pids if isinstance(pid, int)]

    def _who(self) -> str:
        params = self.params
        return params.service or (f"process {params.pid}" if params.pid else f"a process named {params.name}")


def _alive(pids: list[int]) -> list[psutil.Process]:
    import psutil

    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def _named(name: str) -> list[psutil.Process]:
    import psutil

    pids = [process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == name]
    return _alive(pids)


def _moves(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _families(found: list[psutil.Process]) -> Iterator[psutil.Process]:
    import psutil

    seen = set()
    for process in found:
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for member in family:
            if member.pid not in seen:
                seen.add(member.pid)
                yield member


def _memory(found: list[psutil.Process]) -> float:
    import psutil

    total = 0
    for process in _families(found):
        try:
            total += process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return float(total)


def _spent(found: list[psutil.Process]) -> dict[Identity, float]:
    """Processor seconds that each of them has used so far."""
    import psutil

    spent = {}
    for process in _families(found):
        try:
            times = process.cpu_times()
            spent[process.pid, process.create_time()] = times.user + times.system
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return spent
