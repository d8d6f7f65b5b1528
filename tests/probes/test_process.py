"""The process probe, on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys

import pytest

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer, NoReading, NotPossibleNow, UsageError
from chaosrunner.model.frozen import Parameters
from chaosrunner.ports import Platform, Selection, Target

IDLE = "import time; time.sleep(600)"
BUSY = "while True: pass"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"


class OneService(Platform):
    """A platform whose one service runs as whatever processes it is told."""

    kind = "one"
    Spec = Parameters

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.broken: Exception | None = None

    async def find(self, selector):
        if self.broken is not None:
            raise self.broken
        if selector.service != "payments":
            raise UsageError(f"there is no service {selector.service}")
        assert selector.take == "all"
        found = [Target(kind="process", id=f"process:{pid}", name="p", details={"pid": pid}) for pid in self.pids]
        return Selection(found, "" if found else "nothing listens")

    async def gone(self, target):
        return ""

    async def open(self, run, alive):
        return None

    async def close(self):
        return None


@pytest.fixture
async def start():
    started = []

    async def begin(code: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, start_new_session=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.fixture
def platform():
    return OneService()


@pytest.fixture
def service(probe, context, platform):
    within = dataclasses.replace(context, platform=platform)
    return lambda read, **more: probe("process", within=within, service="payments", read=read, **more)


async def test_it_counts_what_runs(service, platform, start):
    assert (await service("running").read(), await service("count").read()) == (False, 0)
    processes = [await start(IDLE), await start(IDLE)]
    platform.pids = [process.pid for process in processes]
    assert (await service("running").read(), await service("count").read()) == (True, 2)
    processes[0].kill()
    await processes[0].wait()
    assert (await service("running").read(), await service("count").read()) == (True, 1)


async def test_a_stopped_process_is_there_but_does_not_run(service, platform, start):
    process = await start(IDLE)
    platform.pids = [process.pid]
    process.send_signal(signal.SIGSTOP)
    await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert (await service("running").read(), await service("count").read()) == (False, 1)
    process.send_signal(signal.SIGCONT)


async def test_memory_is_the_resident_bytes_of_the_whole_family(service, platform, start):
    alone = await start(IDLE)
    parent = await start(PARENT)
    platform.pids = [alone.pid]
    one = await service("memory").read()
    assert 1e6 < one < 1e9
    platform.pids = [parent.pid]
    memory = service("memory")
    for _ in range(500):  # until its child is there
        if await memory.read() > 1.5 * one:
            break
        await asyncio.sleep(0.01)
    assert await memory.read() > 1.5 * one
    assert type(memory).unit(memory.params) == "B"


async def test_cpu_is_of_the_whole_family_and_of_an_idle_one_nothing(service, platform, start):
    parent, idle = await start(PARENT), await start(IDLE)
    platform.pids = [parent.pid]
    busy = service("cpu", over="300ms")
    for _ in range(50):
        if await busy.read() > 0.1:
            break
    platform.pids = [idle.pid]
    await asyncio.sleep(0.3)  # its own start costs something
    assert await service("cpu", over="200ms").read() < await _cpu_of(service, platform, parent.pid)


async def _cpu_of(service, platform, pid):
    platform.pids = [pid]
    return await service("cpu", over="300ms").read()


async def test_restarts_are_instances_that_appeared_since_the_run_began(service, platform, start):
    first = await start(IDLE)
    platform.pids = [first.pid]
    restarts = service("restarts")
    await restarts.open()
    assert await restarts.read() == 0
    first.kill()
    await first.wait()
    assert await restarts.read() == 0
    platform.pids = [(await start(IDLE)).pid]
    assert await restarts.read() == 1
    assert await restarts.read() == 1


@pytest.mark.parametrize("read", ["cpu", "memory"])
async def test_what_is_not_there_uses_nothing_that_could_be_read(service, read):
    with pytest.raises(NoAnswer, match="payments is not running"):
        await service(read).read()


async def test_a_platform_that_cannot_be_asked_is_no_reading(service, platform):
    platform.broken = NotPossibleNow("it is asleep")
    with pytest.raises(NoReading, match="payments cannot be looked for: it is asleep"):
        await service("running").read()


async def test_without_an_environment_a_service_is_no_reading(probe):
    with pytest.raises(NoReading, match="no environment says what runs payments"):
        await probe("process", service="payments").read()


async def test_a_process_is_found_by_number_or_by_name(probe, start):
    process = await start(IDLE)
    assert await probe("process", pid=process.pid).read() is True
    assert await probe("process", name="no-such-program-anywhere").read() is False
    import psutil

    assert await probe("process", name=psutil.Process(process.pid).name(), read="count").read() >= 1


@pytest.mark.parametrize("params", [{}, {"pid": 1, "name": "a"}, {"service": "a", "pid": 1}])
def test_exactly_one_way_to_name_it(params):
    with pytest.raises(ValueError, match="expected one of service, pid or name"):
        catalog.find("probes", "process").Params.model_validate(params)
