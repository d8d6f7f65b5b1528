"""A weak and a repaired shop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.demo.shops import Shop, open_shop


@pytest.fixture
async def weak() -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await open_shop(stack, fixed=False)


@pytest.fixture
async def repaired() -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await open_shop(stack, fixed=True)
