"""A step on more targets than are acted on at the same time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chaosrunner.engine.means import AT_ONCE
from chaosrunner.engine.muster import Muster
from chaosrunner.engine.turns import BEGINS
from chaosrunner.model.journal import FaultInForce, FaultPrepared, FaultSeen, FaultUndone, UndoBegan
from chaosrunner.model.plan import PlannedItem
from chaosrunner.model.words import Ending
from chaosrunner.reports.narrator import Narrator
from chaosrunner.reports.plan import plan_text
from chaosrunner.reports.words import MANY, statements
from chaosrunner.store.journal import Journal, read_journal
from tests.engine.world import World, fault, plan, target
from tests.virtual_time import VirtualClock

MANY_TARGETS = AT_ONCE + 100


def _world(folder: Path) -> World:
    targets = tuple(target(number) for number in range(1, MANY_TARGETS + 1))
    step = fault(targets=targets, candidates=MANY_TARGETS, params={"delay": 0.0})
    world = World(folder, plan(method=[PlannedItem(faults=(step,))]))

    async def takes_a_second(fault: object) -> None:
        await asyncio.sleep(1.0)

    world.hooks["inject"] = takes_a_second
    return world


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One that ran to its end, in which nothing special happened: for all that only look at it."""
    world = _world(tmp_path_factory.mktemp("many"))
    assert world.go().ending is Ending.FINISHED
    return world


def test_no_more_than_so_many_are_injected_at_the_same_time(tmp_path: Path) -> None:
    world, under_way = _world(tmp_path), [0, 0]

    async def counted(fault: object) -> None:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(1.0)
        under_way[0] -= 1

    world.hooks["inject"] = counted
    assert world.go().ending is Ending.FINISHED
    assert under_way[0] == 0 and BEGINS < under_way[1] <= AT_ONCE


def test_the_time_of_a_large_step_begins_when_its_last_target_is_hit(finished: World) -> None:
    world = finished
    in_force = [entry.t for entry in world.entries if isinstance(entry.event, FaultInForce)]
    ends = [entry.t for entry in world.entries if isinstance(entry.event, UndoBegan)]
    assert len(in_force) == len(ends) == MANY_TARGETS
    assert max(in_force) - min(in_force) >= 1.0
    assert min(ends) - max(in_force) >= 9.9
    assert all(one.share_in_force == 1.0 for one in world.verdict().faults)
    deadlines = [entry.event.deadline - entry.at for entry in world.entries if isinstance(entry.event, FaultPrepared)]
    assert min(deadlines) > 10.0 + max(in_force) - min(in_force)


def test_one_that_cannot_be_hit_does_not_hold_up_the_others(tmp_path: Path) -> None:
    world = _world(tmp_path)

    def fails(fault: object) -> None:
        if fault.target.name == "shop-3":  # type: ignore[attr-defined]
            raise ValueError("no")

    world.hooks["inject"] = fails
    outcome = world.go()
    assert outcome.ending is Ending.FAULT_FAILED
    assert len(world.of(FaultUndone)) == MANY_TARGETS


def test_those_that_still_wait_are_not_hit_after_a_stop(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.at = {2.7: lambda world: world.stop.now(Ending.HALTED, "ana")}
    assert world.go().ending is Ending.HALTED
    assert 0 < len(world.of(FaultPrepared)) <= AT_ONCE
    assert {one.fault for one in world.of(FaultPrepared)} == {one.fault for one in world.of(FaultUndone)}


def test_very_many_are_looked_at_more_rarely(finished: World) -> None:
    looks = len(finished.of(FaultSeen)) / MANY_TARGETS
    assert looks <= 12  # each once a second, and the first
    assert Muster(6000).many == 6000


def test_a_run_on_very_many_targets_is_told_in_few_words(finished: World) -> None:
    world = finished
    narrator = Narrator()
    told = [one.text for entry in read_journal(world.journal) if (one := narrator.tell(entry)) is not None]
    assert len(told) < 40
    assert f"slow: IN FORCE on {MANY_TARGETS} of {MANY_TARGETS} targets" in told
    assert f"slow: undone on {MANY_TARGETS} of {MANY_TARGETS} targets" in told
    assert len(statements(world.verdict())[0].details) == MANY + 1
    shown = list(plan_text(world.plan, {}))
    assert sum("that match" in line for line in shown) == MANY
    assert f"and {MANY_TARGETS - MANY} more" in shown


async def test_many_who_ask_for_durability_at_once_share_an_fsync(tmp_path: Path) -> None:
    asked, free = [], asyncio.Event()

    async def slow(descriptor: int) -> None:
        asked.append(descriptor)
        await free.wait()

    world = _world(tmp_path)
    journal = Journal(tmp_path / "journal.jsonl", VirtualClock(), fsync=slow)
    journal.append(world._identity())
    first = asyncio.ensure_future(journal.durable())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = []
    for _ in range(50):
        journal.append(world._identity())
        others.append(asyncio.ensure_future(journal.durable()))
    await asyncio.sleep(0)
    assert len(asked) == 1
    free.set()
    await asyncio.gather(first, *others)
    assert len(asked) == 2, "what was written after the first fsync began needs another, and one is enough"
    journal.close()
