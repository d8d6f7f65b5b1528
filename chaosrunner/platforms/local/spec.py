"""The local platform's settings in an environment file: services, how to find or start them, and the links between."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from chaosrunner.model.frozen import Frozen, Parameters
from chaosrunner.model.marks import BeforeValidator, Field, model_validator
from chaosrunner.model.quantities import Duration, Name
from chaosrunner.records.patterns import pattern

_ADDRESS = pattern(r"(\[[0-9A-Fa-f:]+\]|[^:\s]+):(\d{1,5})")


def _parse_address(value: Any) -> Any:
    if isinstance(value, str) and (match := _ADDRESS.fullmatch(value.strip())) and 1 <= int(match[2]) <= 65535:
        return value.strip()
    raise ValueError(f'expected an address such as "127.0.0.1:8003", found {value!r}')


def _parse_listens(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= 65535:
            raise ValueError(f"expected a port from 1 to 65535, found {value}")
        return f"*:{value}"
    try:
        return _parse_address(value)
    except ValueError:
        raise ValueError(
            f'expected a port such as 5432, or an address such as "127.0.0.1:8003", found {value!r}'
        ) from None


def _parse_url(value: Any) -> Any:
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
            if parts.scheme == "http" and parts.hostname and parts.port != 0:
                return value
        except ValueError:
            pass
    raise ValueError(f'expected a URL such as "http://127.0.0.1:7001/healthz", found {value!r}')


Address = Annotated[str, BeforeValidator(_parse_address)]
"""`host:port`; IPv6 in brackets."""
Port = Annotated[str, BeforeValidator(_parse_listens, json_schema_input_type=int | str)]
"""A port, or `host:port`; held as `host:port`, with the host `*` for any."""
Url = Annotated[str, BeforeValidator(_parse_url)]
"""A plain HTTP URL."""


def split_address(address: str) -> tuple[str, int]:
    """Host (without brackets) and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Ready(Frozen):
    """When a service counts as ready: one of the two."""

    http: Url | None = None
    """This URL answers with a status below 400. Also used to measure through links to the service."""
    tcp: Address | None = None
    """Something accepts connections here."""
    within: Duration = 30.0
    """How long that may take after its start; default 30s."""

    @model_validator(mode="after")
    def _one(self) -> Ready:
        if (self.http is None) == (self.tcp is None):
            raise ValueError("expected one of http or tcp")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are asked."""
        if self.tcp is not None:
            return split_address(self.tcp)
        parts = urlsplit(self.http or "")
        return parts.hostname or "", parts.port or 80

    @property
    def path(self) -> str | None:
        """Path and query of the URL; None for TCP."""
        if self.http is None:
            return None
        parts = urlsplit(self.http)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def __str__(self) -> str:
        return self.http or self.tcp or ""


class RestartAfter(Frozen):
    """Start it again when it exited, however often."""

    after: Duration
    """Seconds between its end and its next start."""


class Service(Frozen):
    """A service of this machine: started by chaosrunner (`start`), or already running and found by its port, its pid
    file or its command line."""

    start: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Program and arguments; it must stay in the foreground. `chaosrunner local up` starts it."""
    cwd: str | None = None
    """The folder that it is started in, from the environment file's folder; default: that folder."""
    env: dict[str, str] = {}
    """Added to the environment variables that `local up` was called with."""
    ready: Ready | None = None
    """When it counts as ready; default: as soon as it runs."""
    restart: Literal["never"] | RestartAfter = "never"
    """What chaosrunner does when it exits by itself; default: nothing."""
    listens: Port | None = None
    """Found by its listening port."""
    pid_file: str | None = None
    """Found by the process number in this file."""
    command: str | tuple[str, ...] | None = None
    """Found by its command line: a regular expression, or words that must all be in it."""

    @model_validator(mode="after")
    def _findable(self) -> Service:
        if not (self.start or self.listens or self.pid_file or self.command):
            raise ValueError("expected a way to start or find it: start, listens, pidFile or command")
        if self.start is None:
            given = {"cwd": self.cwd, "env": self.env, "restart": self.restart != "never"}
            idle = [name for name, value in given.items() if value]
            if idle:
                raise ValueError(f"{', '.join(idle)} only mean something together with start")
        if isinstance(self.command, str):
            try:
                re.compile(self.command)
            except re.error as error:
                raise ValueError(f"command is not a regular expression: {error}") from None
        return self

    @property
    def restart_after(self) -> float | None:
        """Seconds, or None for never."""
        return None if self.restart == "never" else self.restart.after


class Link(Frozen):
    """A TCP connection path that chaosrunner's proxy carries, so that faults can act on it: the calling service is
    set up to connect to `listen`."""

    from_: str
    """The service that calls."""
    to: str
    """The service that is called."""
    listen: Address
    """Where the caller connects to."""
    connect: Address
    """Where the called service listens."""


def meant(word: str, known: list[str]) -> str:
    """A hint: the known word that is nearest, or all of them."""
    from difflib import get_close_matches

    nearest = next(iter(get_close_matches(word, known, n=1)), "")
    return f"did you mean {nearest!r}?" if nearest else f"known are {', '.join(sorted(known)) or 'none'}"


class Spec(Parameters):
    """`platform: {local: …}`: services of this machine and the TCP links between them."""

    services: dict[Name, Service] = Field(min_length=1)
    """By the name that experiments use."""
    links: dict[Name, Link] = {}
    """By the name that experiments use."""

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        taken: dict[str, str] = {}
        for name, link in self.links.items():
            for role, service in (("from", link.from_), ("to", link.to)):
                if service not in self.services:
                    hint = meant(service, list(self.services))
                    raise ValueError(f"links.{name}.{role} names the unknown service {service!r}, {hint}")
            if link.listen == link.connect:
                raise ValueError(f"links.{name} listens where it connects to, {link.listen}")
            if link.listen in taken:
                raise ValueError(f"links.{name} listens on {link.listen}, and so does {taken[link.listen]}")
            taken[link.listen] = f"links.{name}"
        return self
