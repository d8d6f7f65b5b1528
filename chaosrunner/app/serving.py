"""Serving a state folder over HTTP until somebody ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from chaosrunner.clock import SystemClock
from chaosrunner.model.secret import SecretRef
from chaosrunner.secrets import resolve
from chaosrunner.serve.asking import RouteContext
from chaosrunner.serve.gathering import Gathered
from chaosrunner.serve.routes import all_routes
from chaosrunner.serve.server import Server
from chaosrunner.stages.figures import StateFigures
from chaosrunner.store.machine import Machine, machine_folder

TOKEN = "CHAOSRUNNER_SERVE_TOKEN"


async def serve(state: Path, host: str, port: int, token_file: Path | None, ready: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM; `ready` is told the address.

    Raises `UsageError` for a token that cannot be read, or an address beyond this machine without one,
    `NotPossibleNow` where it cannot listen.
    """
    token = None
    if token_file is not None:
        token = resolve(SecretRef(file=str(token_file)), Path())
    elif os.environ.get(TOKEN):
        token = resolve(SecretRef(env=TOKEN), Path())
    clock = SystemClock()
    figures = Gathered(StateFigures(state, Machine(machine_folder()), clock), clock)
    server = Server(all_routes(), RouteContext(state, clock, figures), token)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    async with server.serving(host, port) as bound:
        ready(f"http://{f'[{host}]' if ':' in host else host}:{bound}")
        await over.wait()
