"""`docs/your-own-system.md` is followed to the letter: its files, its commands, in its order, with its exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Block, commands, fenced, files
from tests.local_stage import free_port

PAGE = DOCS / "your-own-system.md"
PORTS = ("7801", "7802", "8802")
QUICKER = {
    "over: 2s": "over: 1s",
    "every: 1s": "every: 250ms",
    "baseline: 5s": "baseline: 1s",
    "for: 10s": "for: 2500ms",
    "within: 30s": "within: 30s, holds: 500ms",
}
"""The same run in a quarter of the time."""

TOO_BUSY = "this machine is too busy"
"""A run that says so of its load has judged nothing: of a second's requests one late one is too many."""
TRIES = 3

Fitted = Callable[[str], str]
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def fitted() -> Fitted:
    """Fits a file of the page to this machine: free ports, this Python, shorter times."""
    moved = dict(zip(PORTS, (str(free_port()) for _ in PORTS), strict=True))

    def fit(text: str) -> str:
        text = re.sub("|".join(PORTS), lambda found: moved[found[0]], text)
        for said, instead in {**QUICKER, "[python3,": f"[{sys.executable},"}.items():
            text = text.replace(said, instead)
        return text

    return fit


@pytest.fixture
def call(machine: Path, tmp_path: Path) -> Iterator[Call]:
    """Calls `chaosrunner WORDS` in the folder; in the end the system is ended."""

    def chaosrunner(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chaosrunner", *words],
            cwd=tmp_path,
            env={key: value for key, value in os.environ.items() if key != "CHAOSRUNNER_STATE"},
            capture_output=True,
            text=True,
        )

    yield chaosrunner
    chaosrunner("local", "down", "laptop")


def write(block: Block, folder: Path, fit: Fitted) -> None:
    assert block.file is not None
    (folder / block.file).parent.mkdir(exist_ok=True)
    (folder / block.file).write_text(fit(block.text))


def judged(call: Call, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """What a command says; a run that this machine was too busy for is begun again."""
    for _ in range(TRIES):
        done = call(*words)
        if done.returncode != 3 or TOO_BUSY not in done.stdout:
            break
    return done


def test_the_page_leads_from_nothing_to_a_verified_fix(tmp_path: Path, call: Call, fitted: Fitted) -> None:
    said = []
    for block in fenced(PAGE):
        if block.file:
            write(block, tmp_path, fitted)
        for command in commands(block.text) if block.language == "sh" else ():
            done = judged(call, command.words)
            assert done.returncode == command.exits, f"{command.line}\n{done.stdout}{done.stderr}"
            said.append(done.stdout + done.stderr)
    *_, passing, listed, runs, down = said
    assert re.search(r"NM-\d{4}-0001 is verified: orders: orders-answer breaks", passing)
    assert re.search(r"NM-\d{4}-0001 .* verified", listed)
    assert re.search(r"HELD.*\n.*BROKEN", runs)
    assert "service orders: ended" in down


def test_what_shortens_the_page_is_in_the_page() -> None:
    whole = "\n".join(files(PAGE).values())
    for word in (*PORTS, *QUICKER, "[python3,"):
        assert word in whole


def test_a_run_of_a_system_that_is_not_up_says_what_starts_it(tmp_path: Path, call: Call, fitted: Fitted) -> None:
    for block in fenced(PAGE):
        if block.file:
            write(block, tmp_path, fitted)
    done = call("run", "orders-when-stock-is-slow")
    assert done.returncode == 3
    assert "`chaosrunner local up laptop` starts it" in done.stderr
