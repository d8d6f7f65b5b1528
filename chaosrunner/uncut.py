"""Beginnings that must not be cut in two by a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["begun"]

T = TypeVar("T")


async def begun(beginning: Coroutine[Any, Any, T], end: Callable[[T], Awaitable[None]]) -> T:
    """What a beginning that takes milliseconds comes to. Cancelled meanwhile, it is waited for and ended before
    `asyncio.CancelledError` goes on. Raises what the beginning raises.

    A program's start is one: cancelled between its fork and the connection of its pipes, asyncio waits without end for
    pipes that will never be there, and what the program has started goes on.
    """
    task = asyncio.ensure_future(beginning)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if task.exception() is None:
            await end(task.result())
        raise
