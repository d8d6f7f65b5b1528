"""What a route is: a question that another program asks over HTTP, and its answer.

A route is one file in `routes/` that has `ROUTES`. It knows nothing of the server's library; what it needs of
chaosrunner stands in the `RouteContext`. Who may ask, how much and for how long is seen to by the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from chaosrunner.clock import Clock
from chaosrunner.model.environment import Environment
from chaosrunner.model.incoming import Hook
from chaosrunner.model.secret import Secret
from chaosrunner.records.light import dataclass
from chaosrunner.serve.gathering import Gathered

MOST_BODY = 256 * 1024
"""Bytes that a route gets, unless it says less."""


@dataclass(frozen=True)
class Door:
    """One way in for those who tell something: what an environment's file says of it, with its secrets."""

    environment: Environment
    hook: Hook
    token: Secret | None = None
    """That the sender must know."""
    keys: tuple[Secret, ...] = ()
    """That the sender signs with: one of them."""


@dataclass(frozen=True)
class RouteContext:
    """What all routes may use."""

    state: Path
    """Where runs and the register are kept."""
    clock: Clock
    figures: Gathered
    """What the metrics are made of."""
    doors: Mapping[str, Sequence[Door]] = field(default_factory=dict)
    """Those of all environments, by kind: `alertmanager`, …"""


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    body: bytes | str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Asked, RouteContext], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """One question."""

    method: Literal["GET", "POST"]
    path: str
    """Of the URL, without anything that changes."""
    answer: Handler
    for_all: bool = False
    """Whether it is answered without the server's token: what says nothing of the system, or knows who asks."""
    most_body: int = MOST_BODY
    """Bytes; more is refused (413)."""
