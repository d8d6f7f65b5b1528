"""A reading taken while chaosrunner itself stood still tells nothing about the system under test."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from chaosrunner.engine.pulse import Pulse
from chaosrunner.model.journal import ReadingTaken
from tests.engine.world import World, measure, plan
from tests.virtual_time import VirtualLoop, run_virtually


def stand_still(seconds: float) -> None:
    """As if nobody had given us a processor for so long: time passes and nothing runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._virtual.passed += seconds


def readings_with_a_stall(folder: Path, **changes: Any) -> list[ReadingTaken]:
    world = World(folder, plan=plan(measures=[measure(**changes)]))
    taken = 0

    def probe() -> None:
        nonlocal taken
        taken += 1
        if taken == 5:
            stand_still(1.5)

    world.probe = probe
    world.go()
    return world.of(ReadingTaken)


def test_a_latency_taken_during_a_stall_is_no_reading(tmp_path: Path) -> None:
    fifth = readings_with_a_stall(tmp_path, room="latency")[4]
    assert fifth.missing == "chaosrunner itself stood still for 1.50 s"


def test_a_state_read_during_a_stall_is_what_it_is(tmp_path: Path) -> None:
    fifth = readings_with_a_stall(tmp_path, room="ratio")[4]
    assert fifth.value == 0.1


def test_readings_before_and_after_a_stall_are_readings(tmp_path: Path) -> None:
    taken = readings_with_a_stall(tmp_path, room="latency")
    assert [reading.missing for reading in taken].count(None) == len(taken) - 1


def test_the_pulse_is_seen_from_outside() -> None:
    async def look() -> tuple[float, float]:
        from tests.virtual_time import VirtualClock

        pulse = Pulse(VirtualClock())
        beating = asyncio.ensure_future(pulse.beat())
        await asyncio.sleep(1.0)
        alive = pulse.since_beat
        stand_still(4.0)
        hung = pulse.since_beat
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        return alive, hung

    alive, hung = run_virtually(look())
    assert alive <= 0.11
    assert hung >= 4.0
