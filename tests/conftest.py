"""Which tests run real systems in real time: they are run apart from those that compute (see the Makefile)."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
REAL_TIME = ("demo", "docs/test_your_own_system.py", "faults", "metrics", "platforms", "safety", "traffic")
"""Folders and files, from this one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(HERE).as_posix().startswith(REAL_TIME):
            item.add_marker(pytest.mark.real_time)
