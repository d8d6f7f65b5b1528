"""A fake API server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chaosrunner.platforms.kubernetes.client import Cluster
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    """It has the namespaces kube-system, default and shop."""
    async with FakeApi() as server:
        server.add(shapes.namespace("shop"))
        yield server


@pytest.fixture
async def cluster(api: FakeApi) -> AsyncIterator[Cluster]:
    """A client whose waits between tries take no time."""
    client = api.cluster()
    yield client
    await client.close()
