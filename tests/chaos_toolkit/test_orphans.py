"""What an extension is at does not outlive a chaosrunner that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

RUNNER = """
import asyncio, sys
from pathlib import Path
from chaosrunner.extensions import Extensions

call = {"do": "call", "module": "os", "func": "system", "arguments": {"command": sys.argv[1]}}
asyncio.run(Extensions(Path(sys.argv[2])).ask(call, 600.0))
"""
WORK = "echo $$ $PPID >began.part; mv began.part began; sleep 600; touch ended"
"""Of the extension: a program that it waits for."""


async def until(what: object, within: float = 20.0) -> None:
    assert callable(what)
    async with asyncio.timeout(within):
        while not what():
            await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    """A zombie does not: whoever takes in orphans here may be slow to bury them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.real_time
async def test_an_extension_ends_with_all_that_it_started_when_its_runner_is_killed(tmp_path: Path) -> None:
    (tmp_path / "work.sh").write_text(WORK)
    command = (sys.executable, "-c", RUNNER, "sh work.sh", str(tmp_path))
    runner = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    processes: list[int] = []
    try:
        await until((tmp_path / "began").exists)
        processes = [int(pid) for pid in (tmp_path / "began").read_text().split()]
        assert all(map(lives, processes))
        os.kill(runner.pid, signal.SIGKILL)
        await runner.wait()
        await until(lambda: not any(map(lives, processes)), 5.0)
        assert not (tmp_path / "ended").exists()
    finally:
        if runner.returncode is None:
            runner.kill()
            await runner.wait()
        for pid in filter(lives, processes):
            os.killpg(os.getpgid(pid), signal.SIGKILL)
