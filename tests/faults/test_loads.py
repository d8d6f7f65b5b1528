"""cpu-stress, memory-stress and disk-fill, each seen in what the system says of the machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.injector import processes
from chaosrunner.platforms.local import LocalPlatform
from chaosrunner.ports import Fault, StressEffect
from tests.local_stage import ROOT, RUN, Stage, until

MIB = 2**20


async def opened(stage: Stage) -> LocalPlatform:
    platform = stage.platform()
    await platform.system.up()
    await platform.open(RUN, lambda: True)
    return platform


def holder(stage: Stage, fault: Fault[Any]) -> psutil.Process:
    records = [json.loads(note.read_text()) for note in (stage.machine / "local").glob("h*.json")]
    (pid,) = [record["pid"] for record in records if record["id"] == fault.hold.id]
    return psutil.Process(pid)


def hold(request: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    """Run a holder with this request until it ends."""
    command = [sys.executable, "-S", "-m", "chaosrunner.injector.holder"]
    asked = json.dumps(request).encode()
    return subprocess.run(command, input=asked, capture_output=True, cwd=ROOT, check=False, timeout=20)


async def test_processors_are_busy_until_the_undo(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "cpu-stress", cores=1)
    await fault.check()
    prepared = await fault.prepare()
    await fault.inject()
    (child,) = holder(shared, fault).children()

    def used() -> bool:
        times = child.cpu_times()
        return times.user + times.system > 0.1

    await until(used)
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    await fault.undo(prepared)
    assert not child.is_running()
    assert not await fault.confirm(prepared)
    await platform.close()


async def test_a_part_of_a_processor_is_a_part(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "cpu-stress", cores=0.2)
    prepared = await fault.prepare()
    await fault.inject()
    (child,) = holder(shared, fault).children()
    assert child.cpu_percent(1.0) < 60
    await fault.undo(prepared)
    await platform.close()


async def test_the_load_ends_with_a_holder_that_is_killed(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "cpu-stress", cores=0.5)
    prepared = await fault.prepare()
    await fault.inject()
    (child,) = holder(shared, fault).children()
    os.kill(holder(shared, fault).pid, signal.SIGKILL)
    await until(lambda: not child.is_running())
    assert not await fault.confirm(prepared)
    await fault.undo(prepared)
    assert not list((shared.machine / "local").glob("h*"))
    await platform.close()


@pytest.mark.parametrize("kind", ["cpu-stress", "memory-stress", "disk-fill"])
async def test_without_a_heartbeat_the_load_ends_by_itself(shared: Stage, kind: str) -> None:
    params: dict[str, Any] = {
        "cpu-stress": {"cores": 0.1},
        "memory-stress": {"size": "8MiB"},
        "disk-fill": {"size": "8MiB", "folder": str(shared.folder)},
    }[kind]
    platform = await opened(shared)
    fault = await shared.fault(platform, kind, **params)
    await fault.inject()
    process = holder(shared, fault)
    await platform.close()
    await until(lambda: not processes.started(process.pid))
    await until(lambda: not list((shared.machine / "local").glob("h*")))


async def test_more_processors_than_there_are_are_refused(shared: Stage) -> None:
    platform = await opened(shared)
    with pytest.raises(CannotDoHonestly, match=r"this machine has \d+ processors, not 5000"):
        await (await shared.fault(platform, "cpu-stress", cores=5000)).check()
    await platform.close()


async def test_memory_is_resident_until_the_undo(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "memory-stress", size="96MiB")
    await fault.check()
    prepared = await fault.prepare()
    await fault.inject()
    process = holder(shared, fault)
    assert process.memory_info().rss > 90 * MIB
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    await fault.undo(prepared)
    assert not processes.started(process.pid)
    await platform.close()


async def test_memory_that_would_not_fit_is_refused_before_and_while_it_grows(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "memory-stress", size="4TiB")
    with pytest.raises(CannotDoHonestly, match="of memory are free, and 256 MiB stay free"):
        await fault.check()
    with pytest.raises(FaultFailed, match="do not fit"):
        await fault.inject()
    asked = {"control": str(shared.machine / "h.sock"), "record": str(shared.machine / "h.json"), "what": "memory"}
    asked |= {"id": "a", "run": RUN}
    reserve = psutil.virtual_memory().available - 64 * MIB
    holds = {**asked, "seconds": 5, "size": 2**50, "reserve": reserve}
    answer = await asyncio.to_thread(hold, holds)
    assert b"do not fit: with" in answer.stdout
    assert answer.returncode == 1
    assert not (shared.machine / "h.json").exists()
    await platform.close()


async def test_a_disk_is_fuller_until_the_undo_and_no_file_is_to_be_seen(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "disk-fill", size="256MiB", folder=str(shared.folder))
    await fault.check()
    prepared = await fault.prepare()
    before, files = shutil.disk_usage(shared.folder).free, sorted(shared.folder.iterdir())
    await fault.inject()
    assert before - shutil.disk_usage(shared.folder).free > 128 * MIB
    assert sorted(shared.folder.iterdir()) == files
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    await fault.undo(prepared)
    await until(lambda: before - shutil.disk_usage(shared.folder).free < 128 * MIB)
    assert not await fault.confirm(prepared)
    await platform.close()


async def test_the_space_is_free_again_when_the_holder_is_killed(shared: Stage) -> None:
    platform = await opened(shared)
    before = shutil.disk_usage(shared.folder).free
    fault = await shared.fault(platform, "disk-fill", size="256MiB", folder=str(shared.folder))
    prepared = await fault.prepare()
    await fault.inject()
    os.kill(holder(shared, fault).pid, signal.SIGKILL)
    await until(lambda: before - shutil.disk_usage(shared.folder).free < 128 * MIB)
    assert not await fault.confirm(prepared)
    await fault.undo(prepared)
    await platform.close()


async def test_a_disk_that_chaosrunner_writes_to_keeps_enough_for_its_journal(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "disk-fill", leave="100MiB", toTheBrim=True, folder=str(shared.machine))
    with pytest.raises(CannotDoHonestly, match="512MiB stay free because chaosrunner writes its own files there"):
        await fault.check()
    with pytest.raises(FaultFailed, match="512MiB stay free"):
        await fault.inject()
    await platform.close()


async def test_the_last_of_a_disk_is_only_taken_when_asked_for(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "disk-fill", leave="1MiB", folder=str(shared.folder))
    with pytest.raises(CannotDoHonestly, match="toTheBrim"):
        await fault.check()
    await platform.close()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"folder": "/tmp"}, "expected one of size and leave"),
        ({"folder": "/tmp", "size": "2MiB", "leave": "5%"}, "expected one of size and leave"),
        ({"folder": "tmp", "size": "2MiB"}, "expected an absolute path"),
        ({"folder": "/tmp", "leave": "much"}, "expected a size such as 200MiB or a share such as 5%"),
    ],
)
def test_what_a_disk_fill_cannot_mean_is_refused(params: dict[str, str], words: str) -> None:
    from chaosrunner import catalog

    with pytest.raises(ValueError, match=words):
        catalog.find("faults", "disk-fill").Params.model_validate(params)


async def test_a_folder_that_is_not_there_is_refused(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "disk-fill", size="2MiB", folder="/no/such/folder")
    with pytest.raises(CannotDoHonestly, match="/no/such/folder: No such file or directory"):
        await fault.check()
    await platform.close()


@pytest.mark.parametrize("second", ["stress", "pause"])
async def test_a_second_effect_with_the_same_hold_is_refused_and_the_first_stays(shared: Stage, second: str) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "memory-stress", size="2MiB")
    prepared = await fault.prepare()
    await fault.inject()
    with pytest.raises(FaultFailed, match=f"^{fault.hold.id} is in force already: one hold carries one effect"):
        if second == "stress":
            await platform.stress(fault.target, StressEffect("cpu", cores=0.1), fault.hold)
        else:
            await platform.pause(fault.target, fault.hold)
    assert await fault.confirm(prepared)
    await fault.undo(prepared)
    await platform.close()
