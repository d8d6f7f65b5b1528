"""Runs a program and says what it cost, in turns with the program that it is compared with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = str(Path(sys.executable).with_name("chaosrunner"))
"""The command as it is installed in the environment that runs the benchmarks."""


class NotMeasured(Exception):
    """Why a figure cannot be had here, in words."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much time the figures may take."""

    quick: bool = False
    long: bool = False

    def rounds(self, usual: int) -> int:
        """How often something is repeated."""
        return max(3, usual // 3) if self.quick else usual


@dataclass(frozen=True, slots=True)
class Cost:
    """What one whole process cost, from its start to its end, its children that it waited for included."""

    wall: float
    cpu: float
    """User and system seconds, as the operating system accounts for them."""
    peak: float
    """Megabytes, of the largest process."""
    code: int
    output: str


def environment(folder: Path) -> dict[str, str]:
    """For everything that is started: nothing of this user's own runs and daemons, and compiled modules may be kept."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "CHAOSRUNNER"))}
    return kept | {
        "CHAOSRUNNER_STATE": str(folder / "state"),
        "CHAOSRUNNER_MACHINE": str(folder / "machine"),
        "NO_COLOR": "1",
    }


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder for one benchmark; its path is short, because sockets live in it."""
    with tempfile.TemporaryDirectory(prefix="cr-bench-", ignore_cleanup_errors=True) as folder:
        (Path(folder) / "machine").mkdir(mode=0o700)
        yield Path(folder)


def cost(words: Sequence[str], folder: Path, *, within: float = 60.0, codes: Sequence[int] = (0,)) -> Cost:
    """Run it to its end, with its output kept. Raises `NotMeasured` for other exit codes, or if it takes too long."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            words, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        limit = threading.Timer(within, _kill_group, [child.pid])
        limit.start()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        limit.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if child.returncode not in codes:
        raise NotMeasured(f"{' '.join(words)} exited {child.returncode}: {said[-400:].strip()}")
    return Cost(wall, used.ru_utime + used.ru_stime, _megabytes(used.ru_maxrss), child.returncode, said)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _megabytes(maxrss: int) -> float:
    return maxrss / 1e6 if sys.platform == "darwin" else maxrss * 1024 / 1e6


def in_turns(
    ours: Sequence[str], theirs: Sequence[str], folder: Path, rounds: int, codes: Sequence[int] = (0,)
) -> tuple[list[Cost], list[Cost]]:
    """Both once without counting, then in turns, who goes first changing each time."""
    one: list[Cost] = []
    other: list[Cost] = []
    for number in range(-1, rounds):
        order = (ours, theirs) if number % 2 else (theirs, ours)
        for words in order:
            measured = cost(words, folder, codes=codes)
            if number >= 0:
                (one if words is ours else other).append(measured)
    return one, other
