"""A weak and a repaired shop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.demo.shops import Shop, open_shop
from tests.local_fixtures import machine

__all__ = ["machine", "repaired", "weak"]


@asynccontextmanager
async def _shop(*, fixed: bool) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await open_shop(stack, fixed=fixed)
    for _ in range(5):  # closed transports let go of their sockets a few turns of the loop later
        await asyncio.sleep(0)


@pytest.fixture
async def weak() -> AsyncIterator[Shop]:
    async with _shop(fixed=False) as shop:
        yield shop


@pytest.fixture
async def repaired() -> AsyncIterator[Shop]:
    async with _shop(fixed=True) as shop:
        yield shop
