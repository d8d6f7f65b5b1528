"""Beginning of what must not be cut in two by a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["begun"]

T = TypeVar("T")


async def begun(beginning: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """Await a beginning that takes milliseconds to its end, even if the caller is cancelled meanwhile. Whether it was
    is told: then it is to be ended again, and `asyncio.CancelledError` raised. Raises what the beginning raises.

    A program's start is one: cancelled between its fork and the connection of its pipes, asyncio waits without end for
    pipes that will never be there, and what the program has started goes on.
    """
    task = asyncio.ensure_future(beginning)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    return task.result(), cancelled
