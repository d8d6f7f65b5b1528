"""A run whose whole process group is killed with SIGKILL at any moment: everything it broke is whole again by itself or
by `heal`, its journal can be read to its last line, and the next run starts clean.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from chaosrunner.stages.heal import has_begun, read_ledger
from chaosrunner.stages.judge import judge
from chaosrunner.store.journal import read_journal
from chaosrunner.store.machine import ActiveRun, Machine
from tests.safety.scene import STEPS, Scene, Server

MOMENTS = 200
SLOTS = 10
"""Runs at once: most of their time is that in which nobody is told of their death."""

TRIES = 3
"""Where the machine is busy, a run may stop before it comes to the moment of its death."""

SHORT = [name for name in STEPS if name != "long"]

EVENTS = [
    "run-started/1",
    "guard-answered/1",
    "phase-began/1",
    "reading/3",
    "phase-ended/1",
    "phase-began/2",
    "step-began/1",
    "fault-prepared/1",
    "fault-injected/1",
    "fault-seen/1",
    "fault-in-force/1",
    "fault-seen/2",
    "fault-touched/1",
    "undo-began/1",
    "fault-undone/1",
    "step-ended/1",
    "phase-ended/2",
    "phase-began/3",
    "phase-ended/3",
    "run-ended/1",
]


@asynccontextmanager
async def scenes(count: int) -> AsyncIterator[tuple[Server, list[Scene]]]:
    """Systems to break, up and running; in a short path, as sockets live below it."""
    root = Path(tempfile.mkdtemp(prefix="cr-"))
    server = await Server.start()
    made = []
    for number in range(count):
        (root / str(number)).mkdir()
        made.append(Scene(root / str(number), server))
    try:
        await asyncio.gather(*(scene.up() for scene in made))
        yield server, made
    finally:
        await asyncio.gather(*(scene.down() for scene in made))
        await server.stop()
        shutil.rmtree(root)


async def look_after_a_death(scene: Scene, *, by_heal: bool) -> str:
    """Everything that must hold after a killed run; the last event that it wrote."""
    last = ""
    for path in scene.new_journals():
        entries = list(read_journal(path))
        assert [entry.n for entry in entries] == list(range(1, len(entries) + 1))
        last = entries[-1].event.type if entries else "nothing"
        scene.endings[last] += 1
        if entries and last != "run-ended":
            assert judge(entries).exit_code != 0, "a run that died is never held"
    machine = Machine(scene.machine)
    dead = await known_dead(machine)
    if by_heal:
        code, output = await scene.command("heal")
        assert code == 0, output
        await scene.clean_within(1.0)
        code, output = await scene.command("heal")
        assert (code, output.strip()) == (0, "nothing to heal: no dead run is known on this machine")
        for journal in (Path(run.journal) for run in dead):
            assert not has_begun(journal) or read_ledger(journal).open == {}
    else:
        await scene.clean_within(10.0)
    return last


async def known_dead(machine: Machine) -> list[ActiveRun]:
    """A process that a killed run was just starting has its locks until it has become another program; one that kept
    them would have them for as long as a holder waits for its dead runner.
    """
    async with asyncio.timeout(1.5):
        while any(run.alive for run in machine.runs()):
            await asyncio.sleep(0.02)
    return list(machine.runs())


@pytest.mark.timeout(150)
async def test_a_run_killed_after_any_kind_of_event_leaves_nothing() -> None:
    async with scenes(6) as (server, made):
        work = [(event, SHORT[number % len(SHORT)], number) for number, event in enumerate(EVENTS)]
        astray: list[tuple[str, str, str]] = []

        async def slot(scene: Scene) -> None:
            while work:
                event, experiment, number = work.pop()
                for _ in range(TRIES):
                    await server.run(scene, experiment, event=event)
                    died_after = await look_after_a_death(scene, by_heal=number % 2 == 0)
                    if died_after == event.partition("/")[0]:
                        break
                else:
                    astray.append((event, experiment, died_after))

        await asyncio.gather(*(slot(scene) for scene in made))
        assert not astray, "each died where it was meant to"


@pytest.mark.timeout(280)
async def test_a_run_killed_at_any_moment_leaves_nothing() -> None:
    random = Random(20261122)
    work = [(random.choice(SHORT), random.uniform(0.0, 1.6), random.random() < 0.15) for _ in range(MOMENTS)]
    async with scenes(SLOTS) as (server, made):

        async def slot(scene: Scene) -> None:
            while work:
                experiment, after, by_heal = work.pop()
                await server.run(scene, experiment, after=after)
                await look_after_a_death(scene, by_heal=by_heal)

        await asyncio.gather(*(slot(scene) for scene in made))
        endings = sum((scene.endings for scene in made), Counter())
        assert endings.total() == MOMENTS
        assert endings["run-ended"] < MOMENTS / 4, "most died on the way"
        await asyncio.gather(*(server.run(scene, "latency") for scene in made))
        for scene in made:
            last = judge(read_journal(scene.journals()[-1]))
            said = (scene.folder / "output").read_text()
            assert last.ending is not None and last.ending.value == "finished", f"the next run starts clean: {said}"
