"""A small system on a real cluster whose nodes' kernel has netem; skipped elsewhere. `make netem` brings one.

The cluster is that of `KUBECONFIG`, on this machine; pods run on `CHAOSRUNNER_TEST_IMAGE`, which also has Python.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster import lab
from tests.netem.conftest import why_no_netem

HERE = Path(__file__).parent


def why_not() -> str:
    """Why these tests cannot run here; empty if they can."""
    return why_no_netem() or ("" if lab.KUBECONFIG else "CHAOSRUNNER_TEST_KUBECONFIG is not set")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only where it can be, and with time: the kernel runs in an emulator."""
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    reason = why_not() if mine else ""
    for item in mine:
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(600))
        item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[lab.Space]:
    """`front` calls `back`."""
    space = await lab.made_space(tmp_path_factory.mktemp("netem"), "netem")
    try:
        await space.deploy("back", container={"image": lab.IMAGE}, within=300)
        await space.deploy("front", container={"image": lab.IMAGE}, within=300)
        yield space
    finally:
        await lab.remove(space)
