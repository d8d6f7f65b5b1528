"""Ctrl-C, SIGTERM, a closed terminal, a halt from another shell, a closed pipe: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from chaosrunner.model.journal import FaultUndone, HaltRequested
from chaosrunner.store.journal import read_journal
from tests.safety.scene import Scene
from tests.safety.test_killed import scenes


@asynccontextmanager
async def a_run_in_force(scene: Scene, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A run whose fault is in force and would be for half a minute, in a process group of its own."""
    environ = os.environ | {"CHAOSRUNNER_MACHINE": str(scene.machine), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaosrunner", "--state", str(scene.state), "run", "long.yaml", *options),
        cwd=scene.folder,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(20):
            while b"IN FORCE" not in await process.stdout.readline():
                assert process.returncode is None
        assert await scene.trouble(), "the fault is there"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process, scene: Scene) -> tuple[int, str]:
    """Exit code and the rest of the output; the fault is gone by then."""
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    assert await scene.trouble() == "", "undone when the command has ended"
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_everything_that_asks_a_run_to_stop_is_obeyed() -> None:
    async with scenes(1) as (_, (scene,)):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            async with a_run_in_force(scene) as process:
                os.killpg(process.pid, number)
                code, output = await ended(process, scene)
                assert code == 6, output
                assert "halting: taking every fault back" in output
        async with a_run_in_force(scene) as process:
            while process.returncode is None:
                with suppress(ProcessLookupError):  # by its id: `send_signal` would take its exit code from the loop
                    os.kill(process.pid, signal.SIGINT)
                await asyncio.sleep(0.002)
            code, output = await ended(process, scene)
            assert code == 6, "an impatient Ctrl-C cuts short neither the undo nor what is written down after it"
            assert "report" in output
        async with a_run_in_force(scene) as process:
            code, output = await scene.command("local", "down", "environment.yaml")
            assert (code, "is under way on victim: `chaosrunner halt" in output) == (3, True)
            code, output = await scene.command("halt", "--reason", "the shop burns")
            assert (code, output.strip().rpartition(": ")[2]) == (0, "halted")
            assert (await ended(process, scene))[0] == 6
        async with a_run_in_force(scene, "--halt-file", "STOP") as process:
            (scene.folder / "STOP").touch()
            assert (await ended(process, scene))[0] == 6
            (scene.folder / "STOP").unlink()
        asked = [
            next((entry.event for entry in read_journal(path) if isinstance(entry.event, HaltRequested)), None)
            for path in scene.journals()
        ]
        assert [event and event.by for event in asked][:4] == ["SIGINT", "SIGTERM", "SIGHUP", "SIGINT"]
        assert asked[4] is not None
        assert asked[4].reason == "the shop burns"
        for path in scene.journals():
            assert any(isinstance(entry.event, FaultUndone) for entry in read_journal(path))


async def test_nobody_reading_the_output_changes_nothing() -> None:
    async with scenes(1) as (_, (scene,)):
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m chaosrunner --state {scene.state} run latency.yaml | head -1",
            cwd=scene.folder,
            env=os.environ | {"CHAOSRUNNER_MACHINE": str(scene.machine)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(20):
            output, complaints = await process.communicate()
        assert output.count(b"\n") == 1
        assert b"Traceback" not in complaints
        assert b"defect" not in complaints
        last = list(read_journal(scene.journals()[-1]))[-1].event
        assert last.type == "run-ended"
        assert getattr(last, "ending", None) == "finished"


async def test_a_run_that_nobody_knows_cannot_be_healed() -> None:
    async with scenes(1) as (_, (scene,)):
        assert await scene.command("heal", "last") == (2, f"chaosrunner: there are no runs in {scene.state / 'runs'}\n")
        code, output = await scene.command("heal", "nothing")
        assert code == 2
        assert "no run 'nothing'" in output
