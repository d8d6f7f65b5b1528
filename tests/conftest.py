"""Which tests run real systems in real time: they are run apart from those that compute (see the Makefile)."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

HERE = Path(__file__).parent
REAL_TIME = ("demo", "docs/test_your_own_system.py", "faults", "metrics", "platforms", "safety", "traffic")
"""Folders and files, from this one."""
LONG = (
    "safety/test_killed.py::test_a_run_killed_at_any_moment_leaves_nothing",
    "demo/test_demo.py::test_the_demo_finds_near_misses_and_the_repaired_shop_verifies_one_of_them",
    "docs/test_your_own_system.py::test_the_page_leads_from_nothing_to_a_verified_fix",
    "safety/test_killed.py::test_a_run_killed_after_any_kind_of_event_leaves_nothing",
    "gates/test_the_shop.py",
    "secrecy/test_full_run.py",
    "docs/test_newcomer.py",
    "news/test_a_whole_run.py",
    "safety/test_asked_to_stop.py",
    "docs/test_site.py",
    "alerts/test_real_runs.py",
    "register/test_crowd.py::test_eight_processes",
    "metrics/test_openslo_run.py",
)
"""Begun first, so that the others fill the time that they wait; the longest first."""
ELSEWHERE = ("cluster", "injector_pod", "netem", "netem_cluster")
"""Folders without a test that only computes."""

# Certificates of the world are read for each HTTP client, which takes longer than most tests; none is asked for here.
os.environ["SSL_CERT_FILE"] = os.devnull


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, object, object]:
    for item in items:
        if _in_real_time(item.path):
            item.add_marker(pytest.mark.real_time)
        for word in ("real_time", "cluster"):
            if item.get_closest_marker(word) and not _may_have(item.path, word):
                raise pytest.UsageError(
                    f"{item.path}: has tests marked {word} and does not say so: they would never run"
                )
    outcome = yield  # those that are not asked for are gone after this
    if config.option.markexpr == "real_time":
        items[:] = long_first(items, int(getattr(config, "workerinput", {}).get("workercount", 1)))
    return outcome


def long_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The long ones at the heads of the equal stretches that workers begin with: what others steal is the tails.
    Those of one file stay together, as they share what it starts.
    """
    names = {item: f"{item.path.relative_to(HERE).as_posix()}::{item.name}" for item in items}
    heads = [[item for item in items if names[item].startswith(long)] for long in LONG]
    known = {item for head in heads for item in head}
    others = [item for item in items if item not in known]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        mine = [item for head in heads[worker::workers] for item in head]
        more = max(0, (len(items) - len(ordered)) // (workers - worker) - len(mine))
        ordered += mine + others[:more]
        del others[:more]
    return ordered + others


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported stays until the end: to look for garbage among it would take a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What is imported by now stays until the end: looking through it for garbage, again and again, was a seventh of
    all processor time. What tests leave behind is still collected, in larger portions.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A process beside others says of each test how it ended, and of setting up and tearing down only what went wrong:
    to pass on and read the rest takes seconds, as there are thousands. Who asks for more is told all.
    """
    option = item.config.option
    more = option.verbose > 0 or option.durations is not None or getattr(option, "xmlpath", None) is not None
    if more or not hasattr(item.config, "workerinput"):
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only tests in real time, or on a cluster, are asked for, files without any are not even imported; where
    none of these is asked for, folders of nothing else are not.
    """
    asked = str(config.option.markexpr)
    if asked == "not real_time and not cluster":
        place = collection_path.relative_to(HERE).as_posix() if collection_path.is_relative_to(HERE) else ""
        return True if place in ELSEWHERE or place in REAL_TIME else None
    word = "real_time" if asked == "real_time" else "cluster" if asked.startswith("cluster and") else ""
    if not word or not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    return None if _may_have(collection_path, word) else True


@cache
def _in_real_time(file: Path) -> bool:
    return file.relative_to(HERE).as_posix().startswith(REAL_TIME)


@cache
def _may_have(file: Path, word: str) -> bool:
    """Whether a file, or a conftest.py above it, speaks of such tests."""
    if word == "real_time" and _in_real_time(file):
        return True
    folders = [folder for folder in file.parents if folder != HERE and folder.is_relative_to(HERE)]
    said = [file, *(folder / "conftest.py" for folder in folders)]
    return any(each.is_file() and word in each.read_text() for each in said)
