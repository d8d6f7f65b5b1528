"""Services asked through an API server: whose silence it is, and whose words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoAnswer, NoReading, UsageError
from chaosrunner.http import Request
from chaosrunner.model.secret import SecretRef
from chaosrunner.platforms.kubernetes.calling import Calling
from chaosrunner.platforms.kubernetes.client import Cluster
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import Sending
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi

Proxy = Callable[[web.Request], Awaitable[web.StreamResponse]]
SERVICES = {
    "cart": {"workload": "deployment/cart", "service": "cart"},
    "two": {"service": "two"},
    "gone": {"service": "gone"},
    "stripe": {"host": "api.stripe.example", "port": 443},
}


class Front(FakeApi):
    """The fake API server, with a `proxy` that a test writes."""

    def __init__(self) -> None:
        super().__init__()
        self.proxied: list[web.Request] = []
        self.proxy: Proxy | None = None
        self.silent = False

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.silent:
            await SystemClock().sleep(5)
        if "/proxy" in request.path and self.proxy is not None:
            self.proxied.append(request)
            return await self.proxy(request)
        return await super()._handle(request)


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with Front() as server:
        server.add(shapes.namespace("shop"))
        named = shapes.service("cart")
        named["spec"]["ports"][0]["name"] = "http"
        named["spec"]["ports"] += [{"name": "statsd", "port": 8125, "protocol": "UDP"}]
        server.add(named)
        both = shapes.service("two")
        both["spec"]["ports"] = [{"name": "web", "port": 80}, {"name": "https", "port": 8443}]
        both["spec"]["ports"] += [{"name": "names", "port": 53, "protocol": "UDP"}]
        server.add(both)
        yield server


@pytest.fixture
async def cluster(front: Front) -> AsyncIterator[Cluster]:
    made = front.cluster()
    yield made
    await made.close()


@pytest.fixture
def ask(cluster: Cluster) -> Callable[..., Sending]:
    calls = Calling(Spec.model_validate({"namespaces": ["shop"], "services": SERVICES}), cluster, SystemClock())

    def prepare(service: str = "cart", url: str = "/", port: str | None = None, **more: Any) -> Sending:
        return calls.prepare(service, port, Request(url, **{"timeout": 2.0, "keep": 100, **more}))

    return prepare


def status(code: int, message: str) -> web.Response:
    """As the API server itself says it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return web.json_response(body, status=code)


async def test_what_the_service_answers_comes_back_as_it_is(front, ask):
    async def answer(request: web.Request) -> web.Response:
        said = {"path": request.path_qs, "header": request.headers["X-Tenant"], "body": (await request.text())}
        return web.json_response(said, status=418)

    front.proxy = answer
    reply = await ask(url="/a?b=c", method="POST", body=b"goods", headers={"X-Tenant": "acme"}).send()
    path = "/api/v1/namespaces/shop/services/cart:80/proxy/a?b=c"
    assert (reply.status, reply.json()) == (418, {"path": path, "header": "acme", "body": "goods"})
    assert reply.seconds > 0
    assert not reply.cut


async def test_a_long_body_is_cut_and_an_unwanted_one_dropped(front, ask):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="x" * 20_000)

    front.proxy = answer
    reply = await ask().send()
    assert (len(reply.body), reply.cut) == (100, True)
    assert (await ask(keep=0).send()).body == b""


@pytest.mark.parametrize("message", ['no endpoints available for service "cart"', "error trying to reach service: EOF"])
async def test_a_service_that_cannot_be_reached_does_not_answer(front, ask, message):
    async def answer(_: web.Request) -> web.Response:
        return status(503, message)

    front.proxy = answer
    with pytest.raises(NoAnswer, match=message.removeprefix("error trying to reach service: ")):
        await ask().send()


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (403, "User cannot", "the right `get services/proxy` is missing"),
        (429, "too many requests", "the API server answers 429: too many requests"),
        (500, "etcd is gone", "the API server answers 500: etcd is gone"),
        (503, 'no service port "81" found', "the API server answers 503: no service port"),
    ],
)
async def test_an_api_server_in_trouble_is_no_reading(front, ask, code, message, words):
    async def answer(_: web.Request) -> web.Response:
        return status(code, message)

    front.proxy = answer
    with pytest.raises(NoReading, match=words):
        await ask().send()


async def test_a_503_of_the_service_itself_is_its_answer(front, ask):
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"error": "busy"}, status=503)

    front.proxy = answer
    assert (await ask().send()).status == 503


async def test_silence_is_the_services_while_the_api_server_answers_others(front, ask):
    async def answer(_: web.Request) -> web.Response:
        await SystemClock().sleep(5)
        return web.Response()

    front.proxy = answer
    call = ask(timeout=1.0)
    with pytest.raises(NoAnswer, match="GET / of cart: no answer within 1 s"):
        await call.send()
    front.silent = True
    with pytest.raises(NoReading, match="the API server does not answer"):
        await call.send()


async def test_an_api_server_that_is_away_is_no_reading(front, ask):
    await front.down()
    with pytest.raises(NoReading, match="the API server"):
        await ask(timeout=0.3).send()


async def test_the_port_is_looked_up_and_https_told_by_its_name(front, ask):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    front.proxy = answer
    with pytest.raises(UsageError, match="the Service two has the ports 80 web, 8443 https: say which with `port`"):
        await ask("two").send()
    await ask("two", port="https").send()
    await ask("two", port="80").send()
    asked = [request.path.removeprefix("/api/v1/namespaces/shop/services/") for request in front.proxied]
    assert asked == ["https:two:8443/proxy/", "two:80/proxy/"]
    with pytest.raises(NoAnswer, match="there is no Service gone in the namespace shop"):
        await ask("gone").send()


async def test_without_the_right_to_read_services_a_given_port_is_taken_as_it_is(front, ask):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    front.proxy = answer
    front.deny("get services")
    await ask(port="80").send()
    with pytest.raises(NoReading, match="cannot get resource"):
        await ask().send()


def test_what_cannot_be_sent_this_way_is_said_at_once(ask):
    with pytest.raises(UsageError, match="the environment names no service 'basket'; known are cart"):
        ask("basket")
    with pytest.raises(UsageError, match=r"stripe is the outside host api\.stripe\.example: give its whole `url`"):
        ask("stripe")
    for more in ({"headers": {"authorization": "Bearer x"}}, {"bearer": SecretRef(env="TOKEN")}):
        with pytest.raises(UsageError, match="takes every Authorization for itself"):
            ask(**more)
