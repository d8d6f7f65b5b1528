"""The demo as a newcomer runs it: real processes, real faults, near misses found, and a fix that is verified."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PAGE = "page-when-recommendations-are-gone"
BROKEN = {
    "checkout-when-inventory-is-slow",
    "checkout-when-payments-hangs",
    "checkout-when-payments-is-slow",
    PAGE,
}
HELD = {"checkout-when-connections-break", "page-when-prices-is-killed"}

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(machine: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `chaosrunner WORDS`; in the end nothing of it may be left."""
    started = []

    def chaosrunner(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaosrunner", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield chaosrunner
    for process in started:
        process.kill()
        process.communicate()
    assert gone_within(20, machine), f"left running: {left_of(machine)}"


def left_of(machine: Path) -> list[str]:
    """Processes that were started with this machine folder, other than the test itself."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if process.environ().get("CHAOSRUNNER_MACHINE") == str(machine) or str(machine) in " ".join(
                process.cmdline()
            ):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def gone_within(seconds: float, machine: Path) -> bool:
    give_up = time.monotonic() + seconds
    while left_of(machine):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.1)
    return True


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=100)
    return process.returncode, said


def listed(start: Start) -> dict[str, str]:
    """Near misses by the experiment that showed them, with their states."""
    code, said = outcome(start("near-miss", "list", "--all", "--json"))
    assert code == 0, said
    found = json.loads(said)
    near_misses = found["nearMisses"] if isinstance(found, dict) else found
    return {near_miss["experiments"][0]: near_miss["state"] for near_miss in near_misses}


def wait_for(words: str, process: subprocess.Popen[str]) -> None:
    """Read what it says until these words come."""
    assert process.stdout is not None
    said = ""
    while words not in said:
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready, f"nothing more came after:\n{said}"
        more = os.read(process.stdout.fileno(), 4096).decode()
        assert more, f"it ended after:\n{said}"
        said += more


def test_the_demo_finds_near_misses_and_the_repaired_shop_verifies_one_of_them(
    start: Start, machine: Path, tmp_path: Path
) -> None:
    code, said = outcome(start("demo", "--plain"))
    assert code == 0, said
    assert not left_of(machine)
    assert set(listed(start)) == BROKEN
    for name in BROKEN | HELD:
        assert name in said
    items = re.findall(r"to do +(\S+)", said)
    pages = re.findall(r"report +(\S+)", said)
    assert len(items) == len(pages) == len(BROKEN)
    for path in (*items, *pages):
        assert (tmp_path / path).is_file(), path
    shown = [(tmp_path / page).read_text() for page in pages]
    assert all("What else changed while the fault was in force" in text for text in shown)
    assert any("new: “ERROR GET / &lt;n&gt;: recommendations is not there" in text for text in shown)
    assert "what else changed meanwhile" not in said  # the demo's own words stay short

    code, said = outcome(start("demo", "--plain", "--fixed", PAGE))
    assert code == 0, said
    assert not left_of(machine)
    assert "1 near miss is fix-ready now" in said
    assert listed(start) == {name: "verified" if name == PAGE else "open" for name in BROKEN}


def test_an_unknown_experiment_is_a_mistake_and_nothing_is_started(start: Start, tmp_path: Path) -> None:
    code, said = outcome(start("demo", "page-when-recommendations-are-gon"))
    assert code == 2
    assert f"did you mean '{PAGE}'?" in said
    assert not (tmp_path / ".chaosrunner").exists()


@pytest.mark.parametrize("words", ["The demo:", "IN FORCE"])
def test_an_interrupted_demo_ends_everything(words: str, start: Start, machine: Path) -> None:
    demo = start("demo", "--plain", PAGE)
    wait_for(words, demo)
    os.killpg(demo.pid, signal.SIGINT)
    os.killpg(demo.pid, signal.SIGINT)
    code, said = outcome(demo)
    assert code == 6, said
    assert "Traceback" not in said and "nothing is left running" in said
    assert not left_of(machine)


def test_a_killed_demo_is_cleared_up_after_without_anybodys_help(start: Start, machine: Path) -> None:
    demo = start("demo", "--plain", PAGE)
    wait_for("IN FORCE", demo)
    os.killpg(demo.pid, signal.SIGKILL)
    assert gone_within(20, machine), left_of(machine)
    code, said = outcome(start("heal", "--json"))
    assert code == 0, said
