"""Which tests run real systems in real time: they are run apart from those that compute (see the Makefile)."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REAL_TIME = ("demo", "docs/test_your_own_system.py", "faults", "metrics", "platforms", "safety", "traffic")
"""Folders and files, from this one."""
LONG = ("safety", "demo/test_demo.py", "alerts/test_real_runs.py", "docs/test_your_own_system.py", "secrecy", "news")
"""Begun first, so that the others fill the time that they wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(HERE).as_posix().startswith(REAL_TIME):
            item.add_marker(pytest.mark.real_time)
        for word in ("real_time", "cluster"):
            if item.get_closest_marker(word) and not _may_have(item.path, word):
                raise pytest.UsageError(
                    f"{item.path}: has tests marked {word} and does not say so: they would never run"
                )


def pytest_collection_finish() -> None:
    """What is imported by now stays until the end: looking through it for garbage, again and again, was a seventh of
    all processor time. What tests leave behind is still collected, in larger portions.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only tests in real time, or on a cluster, are asked for, files without any are not even imported."""
    asked = str(config.option.markexpr)
    word = "real_time" if asked == "real_time" else "cluster" if asked.startswith("cluster and") else ""
    if not word or not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    return None if _may_have(collection_path, word) else True


def _may_have(file: Path, word: str) -> bool:
    """Whether a file, or a conftest.py above it, speaks of such tests."""
    if word == "real_time" and file.relative_to(HERE).as_posix().startswith(REAL_TIME):
        return True
    folders = [folder for folder in file.parents if folder != HERE and folder.is_relative_to(HERE)]
    said = [file, *(folder / "conftest.py" for folder in folders)]
    return any(each.is_file() and word in each.read_text() for each in said)
