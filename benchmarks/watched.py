"""Watches a running process: its CPU time and its memory over the middle part of its life."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measuring import NotMeasured, environment


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen in the middle of its life."""

    share: float
    """CPU seconds per second."""
    peak: float
    """Megabytes resident, over the whole life."""
    grown: float
    """Megabytes resident at the end more than after a third."""
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the process."""

    at: float
    cpu: float
    resident: float


def summary(looks: Sequence[Look], after: float, before: float = 1.0) -> Watched:
    """Of the looks from `after` seconds on until `before` seconds before the end, where a run judges and reports; the
    peak is of the whole life."""
    first, last = looks[0].at, looks[-1].at
    middle = [look for look in looks if first + after <= look.at <= last - before]
    if len(middle) < 3:
        raise NotMeasured("it was over too soon to be watched")
    seconds, cpu = middle[-1].at - middle[0].at, middle[-1].cpu - middle[0].cpu
    third = middle[len(middle) // 3]
    return Watched(
        cpu / seconds, max(look.resident for look in looks), middle[-1].resident - third.resident, seconds, cpu
    )


def watch(words: Sequence[str], folder: Path, *, after: float, within: float, before: float = 1.0) -> Watched:
    """Run it to its end and watch it four times a second. It may also be inconclusive (3): on a machine that stands
    still for some tenths of a second readings are missing, which changes nothing about what the others cost."""
    with (folder / "output.txt").open("wb") as output:
        child = subprocess.Popen(
            words, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    looks: list[Look] = []
    process = psutil.Process(child.pid)
    give_up = time.monotonic() + within
    try:
        while child.poll() is None and time.monotonic() < give_up:
            try:
                with process.oneshot():
                    times, resident = process.cpu_times(), process.memory_info().rss
            except psutil.Error:
                break
            looks.append(Look(time.monotonic(), times.user + times.system, resident / 1e6))
            time.sleep(0.25)
        code = child.wait(timeout=10)
    finally:
        child.kill()
        child.wait()
    if code not in (0, 3):
        raise NotMeasured(f"{' '.join(words)} exited {code}: {(folder / 'output.txt').read_text()[-300:]}")
    return summary([look for look in looks if look.resident > 0], after, before)


def side_by_side(*works: Callable[[], Watched]) -> list[Watched]:
    """All of them at the same time, so that what else the machine does hits all alike."""
    results: dict[int, Watched | BaseException] = {}

    def one(number: int, work: Callable[[], Watched]) -> None:
        try:
            results[number] = work()
        except BaseException as problem:  # noqa: BLE001  it is raised again below, in the caller's thread
            results[number] = problem

    threads = [threading.Thread(target=one, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [results[number] for number in range(len(works))]
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if isinstance(each, Watched)]
