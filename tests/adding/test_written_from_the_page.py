"""A probe and a fault that were written from docs/adding.md alone: they do what they say."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from chaosrunner.errors import NoReading
from chaosrunner.ports import ProbeContext
from tests.adding.contract import keeps_its_contract, on_the_link, opened
from tests.adding.dependency_limp import DependencyLimp
from tests.adding.dependency_limp import Params as Limp
from tests.adding.folder_count import FolderCount
from tests.adding.folder_count import Params as Folder
from tests.local_stage import Stage, ask


def test_both_keep_their_contract() -> None:
    keeps_its_contract("probes", "folder-count", FolderCount)
    keeps_its_contract("faults", "dependency-limp", DependencyLimp)


@pytest.mark.parametrize(("pattern", "count"), [({}, 3), ({"pattern": "*.json"}, 2), ({"pattern": "?.txt"}, 1)])
async def test_the_probe_counts_files_and_no_folders(
    context: ProbeContext, pattern: dict[str, str], count: int
) -> None:
    queue = context.folder / "out" / "queue"
    (queue / "deeper.json").mkdir(parents=True)
    (queue / "deeper.json" / "4.json").touch()
    for name in ("1.json", "2.json", "3.txt"):
        (queue / name).touch()
    assert await FolderCount(Folder.model_validate({"path": "out/queue", **pattern}), context).read() == count


async def test_an_empty_folder_is_a_reading_and_none_is_not(context: ProbeContext) -> None:
    probe = FolderCount(Folder(path="queue"), context)
    with pytest.raises(NoReading, match="queue: No such file or directory"):
        await probe.read()
    (context.folder / "queue").mkdir()
    assert await probe.read() == 0
    (context.folder / "queue").rmdir()
    (context.folder / "queue").touch()
    with pytest.raises(NoReading, match="queue: Not a directory"):
        await probe.read()


async def slow_ones(stage: Stage, count: int = 10) -> int:
    """How many of the test's own connections, one after the other, take as long as a delay of 100 ms each way does."""
    asked = [await ask(stage.link_port) for _ in range(count)]
    assert all(answer.isdigit() for answer, _ in asked), asked
    return sum(took >= 0.199 for _, took in asked)


@pytest.mark.real_time
async def test_some_connections_limp_until_the_undo(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await on_the_link(shared, platform, DependencyLimp, delay="100ms", share="50%")
    prepared = json.loads(json.dumps(await fault.prepare()))
    assert not await fault.confirm(prepared)
    assert await slow_ones(shared) == 0
    await fault.inject()
    slow = await slow_ones(shared)
    assert 0 < slow < 10
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    assert await fault.touched() == slow, "the test's own, not the looks"
    await fault.undo(prepared)
    await fault.undo(prepared)
    assert await slow_ones(shared) == 0
    sighting = await fault.confirm(prepared)
    assert not sighting, sighting.how
    await platform.close()


@pytest.mark.real_time
async def test_another_process_takes_it_back(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await on_the_link(shared, platform, DependencyLimp, delay="100ms", share="80%")
    prepared = json.loads(json.dumps(await fault.prepare()))
    await fault.inject()
    assert await fault.confirm(prepared)
    await platform.close()
    healing = shared.from_ledger(fault)
    await healing.undo(prepared)
    assert await slow_ones(shared, 8) == 0
    assert not await healing.confirm(prepared)
    assert healing.by_hand(prepared)


@pytest.mark.real_time
async def test_a_dependency_that_hangs_by_itself_is_not_taken_for_the_fault(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await on_the_link(stage, platform, DependencyLimp, delay="100ms")
    prepared = await fault.prepare()
    pid = int(str((await stage.target(platform, service="back")).details["pid"]))
    os.kill(pid, signal.SIGSTOP)
    try:
        sighting = await fault.confirm(prepared)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert not sighting
    assert "the other end itself is silent" in sighting.how
    await platform.close()


@pytest.mark.parametrize("wrong", [{"delay": "2s"}, {"delay": "1s", "share": "10%"}, {"delay": "0s"}, {"share": "50%"}])
def test_what_could_not_be_seen_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"delay|share"):
        Limp.model_validate(wrong)


def test_they_are_not_in_the_product() -> None:
    product = Path(__file__).parents[2] / "chaosrunner"
    assert not list(product.rglob("folder_count.py"))
    assert not list(product.rglob("dependency_limp.py"))
