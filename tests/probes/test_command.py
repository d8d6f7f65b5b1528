"""The command probe: what it reads, that nothing outlives it, and that secrets stay out of sight."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosrunner import catalog
from chaosrunner.errors import NoReading, UsageError


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def until_gone(pid: int) -> None:
    for _ in range(500):
        if not alive(pid):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"process {pid} is still there")


@pytest.mark.parametrize("code", [0, 3])
async def test_it_reads_the_exit_code(probe, code):
    assert await probe("command", run=python(f"raise SystemExit({code})")).read() == code


@pytest.mark.parametrize(
    ("read", "printed", "value"),
    [
        ("stdout", "  all well\n", "all well"),
        ("stdout", "", ""),
        ("number", " 42.5\n", 42.5),
        ("json", "true", True),
        ("json", '"mode"', "mode"),
        ("json", "7", 7.0),
    ],
)
async def test_it_reads_what_is_printed(probe, read, printed, value):
    result = await probe("command", run=python("import sys; print(end=sys.argv[1])", printed), read=read).read()
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("read", "code", "words"),
    [
        ("number", "print('many')", "printed 'many', expected one number"),
        ("number", "print('nan')", "printed 'nan', expected one number"),
        ("number", "print('1e999')", "expected one number"),
        ("number", "pass", "printed '', expected one number"),
        ("json", "print({})", "expected a JSON number, text, or true/false"),
        ("json", "print('null')", "expected a JSON number"),
        ("json", "print('[' * 50000)", "expected a JSON number"),
        ("json", "print('1' + '0' * 400)", "expected a JSON number"),
        ("stdout", "print('x' * 20000)", "printed 20000 characters, more than 10000"),
        ("stdout", "print('x' * 5_000_000)", "printed more than 65536 bytes"),
        ("stdout", "import sys; sys.exit('disk is on fire')", "exited with 1: disk is on fire"),
        ("exitCode", "import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    ],
)
async def test_a_command_that_does_not_give_what_was_asked_for_is_no_reading(probe, read, code, words):
    with pytest.raises(NoReading, match=words):
        await probe("command", run=python(code), read=read).read()


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (["/nowhere/at-all"], "/nowhere/at-all: cannot be started: no such program"),
        (["/etc/passwd"], "/etc/passwd: cannot be started: Permission denied"),
    ],
)
async def test_a_program_that_cannot_be_started_is_no_reading(probe, run, words):
    with pytest.raises(NoReading, match=words):
        await probe("command", run=run).read()


async def test_no_shell_takes_part(probe):
    result = await probe("command", run=["/bin/echo", "$HOME;", "ls", "*"], read="stdout").read()
    assert result == "$HOME; ls *"


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1] + ".new", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(float(sys.argv[2]))
"""


async def test_one_that_takes_too_long_is_killed_with_all_that_it_started(probe, tmp_path):
    noted = tmp_path / "pids"
    with pytest.raises(NoReading, match="did not end within 1 s and was killed"):
        await probe("command", run=python(STUBBORN, str(noted), "600"), timeout="1s").read()
    for pid in noted.read_text().split():
        await until_gone(int(pid))


async def test_one_that_ends_leaves_nothing_running_behind(probe, tmp_path):
    noted = tmp_path / "pids"
    began = time.monotonic()
    assert await probe("command", run=python(STUBBORN, str(noted), "0"), timeout="60s").read() == 0
    assert time.monotonic() - began < 30  # its child holds the pipes, and is not waited for
    for pid in noted.read_text().split():
        await until_gone(int(pid))


async def test_one_that_is_cancelled_is_killed(probe, tmp_path):
    noted = tmp_path / "pids"
    task = asyncio.create_task(probe("command", run=python(STUBBORN, str(noted), "600"), timeout="60s").read())
    for _ in range(1000):
        if noted.exists():
            break
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in noted.read_text().split():
        await until_gone(int(pid))


@pytest.mark.parametrize("steps", [0, 2, 4, 6])
async def test_one_that_is_cancelled_while_it_is_started_is_killed_too(probe, tmp_path, steps):
    noted = tmp_path / "pids"
    task = asyncio.create_task(probe("command", run=python(STUBBORN, str(noted), "600"), timeout="60s").read())
    for _ in range(steps):
        await asyncio.sleep(0)
    await_in_this_thread(lambda: noted.exists() or steps == 0)  # this process was slow, and the command was not
    task.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await task
    for pid in noted.read_text().split() if steps else ():
        await until_gone(int(pid))


def await_in_this_thread(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not true() and time.monotonic() < ends:
        time.sleep(0.01)


async def test_secrets_go_through_the_environment_and_never_into_messages(probe):
    code = "import os, sys; sys.exit('ok' if os.environ['KEY'] == 's3' + 'cr3t' else 'wrong')"
    asked = probe("command", run=python(code), env={"KEY": {"env": "TOKEN"}}, read="stdout")
    with pytest.raises(NoReading, match="exited with 1: ok") as caught:
        await asked.read()
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(UsageError, match="ABSENT is not set"):
        await probe("command", run=["true"], env={"KEY": {"env": "ABSENT"}}).open()


async def test_it_runs_in_the_experiments_folder_or_the_one_named(probe, tmp_path):
    (tmp_path / "inner").mkdir()
    code = "import os; print(os.path.realpath('.'))"
    real = os.path.realpath(tmp_path)  # noqa: ASYNC240  what the command says, too
    assert await probe("command", run=python(code), read="stdout").read() == real
    assert await probe("command", run=python(code), read="stdout", folder="inner").read() == f"{real}/inner"


def test_an_empty_command_is_refused():
    with pytest.raises(ValueError, match="at least 1 item"):
        catalog.find("probes", "command").Params.model_validate({"run": []})
