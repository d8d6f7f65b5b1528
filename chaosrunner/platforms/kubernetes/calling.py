"""HTTP to a cluster's Services from anywhere: through the API server's own proxy, with the right `get services/proxy`.

What the API server says itself is told from what the service says by its form, a Status object of the API. Of these,
503 (no pod is ready, or the connection to it failed) says that the *service* does not answer, as do 404 (there is no
such Service) and silence while the API server answers others; everything else says that the way to the service failed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from urllib.parse import quote

from chaosrunner.clock import Clock
from chaosrunner.errors import NoAnswer, NoReading, UsageError
from chaosrunner.http import Reply, Request
from chaosrunner.model.secret import SecretRef
from chaosrunner.platforms.kubernetes.client import Answer, ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import Sending, ServiceCalls

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
"""The right that each method takes; others `get`."""
_LEAST = 4096
"""Bytes of an answer that are kept, to tell the API server's own words."""
_ALIVE = 0.4
"""Seconds that the API server has to show that silence is not its own: less than what the engine adds to a probe's own
limit."""


class Calling(ServiceCalls):
    """Calls Services by the names that the environment gives them."""

    def __init__(self, spec: Spec, cluster: Cluster, clock: Clock) -> None:
        self._spec = spec
        self._cluster = cluster
        self._clock = clock

    def prepare(self, service: str, port: str | None, request: Request) -> Sending:
        known = self._spec.services.get(service)
        if known is None:
            names = ", ".join(self._spec.services) or "none"
            raise UsageError(f"the environment names no service {service!r}; known are {names}")
        if known.host is not None:
            raise UsageError(f"the service {service} is the outside host {known.host}: give its whole `url` instead")
        if request.bearer or request.basic or any(name.lower() == "authorization" for name in request.headers):
            raise UsageError(f"{service}: the API server, which passes this on, takes every Authorization for itself")
        end = port or (str(known.port) if known.port is not None else None)
        door = _Door(self._cluster, self._spec.namespace_of(service), known.service or service, end)
        return _Call(self._cluster, self._clock, request, door, service)


class _Door:
    """The way into one Service. Its port must be looked up: left to itself, the API server takes only one that has no
    name, and says of others that there are no endpoints."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, port: str | None) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._port = port
        self._found: str | None = None

    async def path(self) -> str:
        """Up to `/proxy`. Raises `ApiError`, `NoAnswer` where the Service is not there, `UsageError` for its port."""
        if self._found is None:
            self._found = quote(await self._with_port(), safe=":")
        return path("v1", "services", self._namespace, self._found, "proxy")

    async def _with_port(self) -> str:
        try:
            spec = (await self._cluster.get(path("v1", "services", self._namespace, self._name))).get("spec") or {}
        except ApiError as error:
            if error.not_found:
                raise NoAnswer(f"there is no Service {self._name} in the namespace {self._namespace}") from None
            if error.code == 403 and self._port is not None:  # then it is as the file says
                return f"{self._name}:{self._port}"
            raise
        ports: list[Object] = spec.get("ports") or []
        ports = [each for each in ports if each.get("protocol", "TCP") == "TCP"]  # others speak no HTTP
        fit = [each for each in ports if self._port in (None, str(each["port"]), each.get("name"))]
        if len(fit) != 1:
            there = ", ".join(f"{each['port']} {each.get('name', '')}".strip() for each in ports) or "none"
            raise UsageError(f"the Service {self._name} has the ports {there}: say which with `port`")
        scheme = "https:" if _speaks_tls(fit[0]) else ""
        return f"{scheme}{self._name}:{fit[0]['port']}"


def _speaks_tls(port: Object) -> bool:
    protocol = str(port.get("appProtocol") or port.get("name") or "").lower()
    return protocol.startswith("https") or port["port"] == 443


@dataclass(frozen=True)
class _Call(Sending):
    """One request to one Service."""

    cluster: Cluster
    clock: Clock
    asked: Request
    door: _Door
    service: str
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        plain = {name: value for name, value in self.asked.headers.items() if not isinstance(value, SecretRef)}
        object.__setattr__(self, "headers", plain)

    @property
    def request(self) -> Request:
        """What is asked."""
        return self.asked

    async def send(self) -> Reply:
        """Ask once."""
        request = self.asked
        try:
            async with asyncio.timeout(request.timeout):
                where = await self.door.path() + request.url
        except (TimeoutError, ApiError) as error:
            why = str(error) or f"the API server does not answer within {request.timeout:g} s"
            raise NoReading(f"{self}: {why}") from None
        began, keep = self.clock.monotonic(), max(request.keep, _LEAST)
        try:
            answer = await self.cluster.pass_on(
                request.method, where, self.headers, request.body, keep=keep, within=request.timeout
            )
        except TimeoutError:
            await self._api_answers()
            raise NoAnswer(f"{self}: no answer within {request.timeout:g} s") from None
        except ApiError as error:
            raise NoReading(f"{self}: {error}") from None
        seconds = self.clock.monotonic() - began
        self._see_through(answer)
        body = answer.body[: request.keep]
        return Reply(
            answer.status, answer.reason, answer.headers, body, answer.cut or len(answer.body) > request.keep, seconds
        )

    def _see_through(self, answer: Answer) -> None:
        """Raise where it is the API server that speaks."""
        said = _of_the_api(answer)
        if said is None:
            return
        if answer.status == 404 or (answer.status == 503 and not said.startswith("no service port")):
            raise NoAnswer(f"{self}: {said.removeprefix('error trying to reach service: ')}")
        if answer.status == 403:
            said = f"{said} (the right `{_VERBS.get(self.asked.method, 'get')} services/proxy` is missing)"
        raise NoReading(f"{self}: the API server answers {answer.status}: {said}")

    async def _api_answers(self) -> None:
        """Raises `NoReading` if the API server itself is silent too."""
        try:
            await self.cluster.pass_on("GET", "/version", {}, None, keep=0, within=_ALIVE)
        except (TimeoutError, ApiError):
            raise NoReading(f"{self}: the API server does not answer") from None

    def __str__(self) -> str:
        return f"{self.asked.method} {self.asked.url} of {self.service}"


def _of_the_api(answer: Answer) -> str | None:
    """The API server's own words; None: somebody behind it has answered."""
    if answer.status < 400 or "json" not in answer.headers.get("content-type", ""):
        return None
    try:
        read = json.loads(answer.body)
    except ValueError:
        return None
    if not isinstance(read, dict) or (read.get("kind"), read.get("apiVersion")) != ("Status", "v1"):
        return None
    return str(read.get("message") or read.get("reason") or "no reason given")
