"""Serving a state folder over HTTP until somebody ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chaosrunner.clock import SystemClock
from chaosrunner.errors import UsageError
from chaosrunner.model.environment import Environment
from chaosrunner.model.secret import Secret, SecretRef
from chaosrunner.records.light import dataclass
from chaosrunner.register import open_register, register_exists
from chaosrunner.secrets import resolve
from chaosrunner.serve.asking import Door, RouteContext
from chaosrunner.serve.gathering import Gathered
from chaosrunner.serve.routes import all_routes
from chaosrunner.serve.routes.hook_generic import key_of
from chaosrunner.serve.server import Server
from chaosrunner.stages.figures import StateFigures
from chaosrunner.stages.load import load_environment
from chaosrunner.store.machine import Machine, machine_folder

TOKEN = "CHAOSRUNNER_SERVE_TOKEN"


@dataclass(frozen=True)
class Listening:
    """Where to listen, and to whom."""

    host: str
    port: int
    """0: a free one."""
    token_file: Path | None = None
    environments: tuple[str, ...] = ()
    """Whose `incoming` says who may report near misses."""


async def serve(state: Path, where: Listening, ready: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM; `ready` is told each address.

    Raises `UsageError` for a secret that cannot be read, or an address beyond this machine without a token,
    `NotPossibleNow` where it cannot listen.
    """
    token = _token(where.token_file)
    doors = doors_of(where.environments, Path())
    clock = SystemClock()
    if doors and not register_exists(state):
        open_register(state, clock).close()  # runs say in it that they are under way, where there is one
    figures = Gathered(StateFigures(state, Machine(machine_folder()), clock), clock)
    server = Server(all_routes(), RouteContext(state, clock, figures, doors), token)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    host = where.host
    async with server.serving(host, where.port) as bound:
        address = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        for path in ("metrics", *(f"hooks/{kind}" for kind in doors)):
            ready(f"{address}/{path}")
        await over.wait()


def _token(file: Path | None) -> Secret | None:
    if file is not None:
        return resolve(SecretRef(file=str(file)), Path())
    return resolve(SecretRef(env=TOKEN), Path()) if os.environ.get(TOKEN) else None


def doors_of(names: Sequence[str], folder: Path) -> dict[str, list[Door]]:
    """The ways in that these environments name, by kind, with their secrets, which are read once.

    Raises `UsageError` for an environment that names none, or a secret that cannot be read.
    """
    found: dict[str, list[Door]] = {}
    for name in names:
        environment, place, _ = load_environment(name, folder)
        named = list(_doors(environment, place))
        if not named:
            raise UsageError(f"the environment {environment.name} has no `incoming`: nobody may report to it")
        for kind, door in named:
            found.setdefault(kind, []).append(door)
    return found


def _doors(environment: Environment, folder: Path) -> Iterator[tuple[str, Door]]:
    incoming = environment.spec.incoming
    if (alerts := incoming.alertmanager) is not None:
        yield "alertmanager", Door(environment, alerts, resolve(alerts.token, folder))
    if (incidents := incoming.pagerduty) is not None:
        yield "pagerduty", Door(environment, incidents, keys=tuple(resolve(ref, folder) for ref in incidents.secrets))
    if (told := incoming.generic) is not None:
        token, key = (None if ref is None else resolve(ref, folder) for ref in (told.token, told.secret))
        if key is not None:
            key_of(key.reveal())
        yield "generic", Door(environment, told, token, () if key is None else (key,))
