"""Fixtures of the tests on a real cluster; without `CHAOSRUNNER_TEST_KUBECONFIG` all of them are skipped.

All of a module share one namespace and one event loop: pods take seconds to start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster import lab

HERE = Path(__file__).parent
ALONE = (
    "test_all_at_once",
    "test_fighting",
    "test_experiments",  # a whole shop under load, on its limits where processors are few
    "test_ledger",
    "test_ledger_faults",
    "test_node_faults",
    "test_pod_faults_in_trouble",
)
"""Modules that stop parts of the cluster, change its nodes, or need it for themselves."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests here need a cluster, run apart from the others, and share a loop by module."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        item.add_marker(pytest.mark.cluster)
        if item.path.stem in ALONE:
            item.add_marker(pytest.mark.alone)
        item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
        if not lab.KUBECONFIG:
            item.add_marker(pytest.mark.skip(reason="CHAOSRUNNER_TEST_KUBECONFIG is not set"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def space(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[lab.Space]:
    """A namespace of this module's own, empty, removed at the end."""
    label = request.module.__name__.rpartition("test_")[2].replace("_", "-")[:20].strip("-")
    made = await lab.made_space(tmp_path_factory.mktemp(label), label)
    try:
        await lab.settled(made)
        yield made
    finally:
        await lab.remove(made)


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def well(request: pytest.FixtureRequest) -> None:
    """Before each test the cluster has got over the outages of those before."""
    if lab.disturbed and "space" in request.fixturenames:
        await lab.settled(request.getfixturevalue("space"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(space: lab.Space) -> lab.Space:
    """The same with the services `front` (2 pods), which calls `back` (2 pods), and `outside`, which only looks."""
    await space.deploy("back", 2)
    await space.deploy("front", 2)
    await space.deploy("outside")
    return space
