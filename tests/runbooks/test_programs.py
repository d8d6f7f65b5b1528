"""Programs of other people, run to their end, and stopped with everything that they started."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from chaosrunner import programs
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotPossibleNow, RunbookFailed
from chaosrunner.programs import Ended, Program
from tests.local_stage import until


def shell(folder: Path, script: str, timeout: float = 20.0, **env: str) -> Program:
    return Program(["sh", "-c", script], folder, env, timeout, grace=1.0)


async def run(program: Program) -> Ended:
    return await programs.run(program, SystemClock())


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_its_code_and_all_that_it_says_are_kept(tmp_path: Path) -> None:
    ended = await run(shell(tmp_path, "echo $WORD; pwd -L; echo worse >&2; exit 3", WORD="well", PWD=str(tmp_path)))
    assert ended == Ended(3, f"well\n{tmp_path}\nworse\n")


async def test_of_much_output_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    ended = await run(shell(tmp_path, "echo first; head -c 2000000 /dev/zero | tr '\\0' x; echo; echo last"))
    assert ended.output.startswith("first\n") and ended.output.endswith("\nlast\n")
    assert "bytes are left out" in ended.output and len(ended.output) < programs.KEPT + 100


async def test_a_service_that_it_leaves_running_goes_on_and_may_write(tmp_path: Path) -> None:
    script = "( while [ ! -e go ]; do sleep 0.02; done; echo hello && touch wrote ) & echo $! >pid"
    assert (await run(shell(tmp_path, script))).code == 0
    (tmp_path / "go").touch()
    await until((tmp_path / "wrote").exists)


async def test_out_of_time_everything_that_it_started_ends_with_it(tmp_path: Path) -> None:
    """Also what made itself a session of its own, as Ansible's workers do, and what does not listen to SIGTERM."""
    script = "setsid sh -c 'trap : TERM; echo $$ >child; while :; do sleep 0.1; done' & echo begun; wait"
    with pytest.raises(RunbookFailed, match=r"sh did not end within 0\.8 s and was stopped") as failed:
        await asyncio.wait_for(run(shell(tmp_path, script, timeout=0.8)), 15)
    assert failed.value.output.startswith("begun\n")
    await until(lambda: gone(int((tmp_path / "child").read_text())))


async def test_cancelled_it_may_end_in_its_own_way_and_nothing_of_it_goes_on(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! >child; trap 'echo tidied >how; exit' TERM; echo >ready; while :; do sleep 0.05; done"
    task = asyncio.ensure_future(run(shell(tmp_path, script)))
    await until((tmp_path / "ready").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "how").read_text() == "tidied\n"
    await until(lambda: gone(int((tmp_path / "child").read_text())))


async def test_one_that_prints_without_end_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(RunbookFailed, match="printed more than 64 MiB and was stopped"):
        await run(shell(tmp_path, "head -c 68000000 /dev/zero; sleep 60"))


async def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunbookFailed, match=r"no-such cannot be started in .*: no such program or folder"):
        await run(Program(["no-such"], tmp_path, {}, 5.0))


def test_a_tool_that_is_not_installed_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert programs.found(["no-such", "sh"], "")[-3:] == "/sh"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotPossibleNow, match="frob or frobnicate is not installed: buy it"):
        programs.found(["frob", "frobnicate"], "buy it")
    assert os.access(programs.found(["python3", "python"], ""), os.X_OK)  # beside the Python that runs chaosrunner
