"""The lab of tests/injector_pod, on a kernel that has netem; skipped on others. `make netem` brings one."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.injector import packets
from chaosrunner.injector.calls import RequestRefused
from tests.injector_pod.conftest import injector, stage, started
from tests.injector_pod.lab import why_not

__all__ = ["injector", "stage", "started"]

HERE = Path(__file__).parent


def why_no_netem() -> str:
    """Why these tests cannot run here; empty if they can."""
    if reason := why_not():
        return reason
    try:
        return "" if packets.kernel_has("netem") else "needs a kernel with netem: `make netem`"
    except RequestRefused as refusal:
        return str(refusal)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only where the kernel can do it."""
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    reason = why_no_netem() if mine else ""
    for item in mine:
        item.add_marker(pytest.mark.real_time)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
