"""The client: what it tries again, what it says, pages, patches, watches, streams."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chaosrunner.errors import UsageError
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, path
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi

PODS = path("v1", "pods", "shop")
CONFIGS = path("v1", "configmaps", "shop")


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": data}


# -- paths


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("v1", "nodes"), "/api/v1/nodes"),
        (("v1", "nodes", None, "n1"), "/api/v1/nodes/n1"),
        (("v1", "pods", "shop", "cart", "eviction"), "/api/v1/namespaces/shop/pods/cart/eviction"),
        (("apps/v1", "deployments", "shop"), "/apis/apps/v1/namespaces/shop/deployments"),
    ],
)
def test_paths_are_those_of_the_api(parts: tuple[Any, ...], expected: str) -> None:
    assert path(*parts) == expected


# -- what is tried again


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
async def test_a_reading_request_is_tried_again_when_the_server_is_in_trouble(
    api: FakeApi, cluster: Cluster, code: int
) -> None:
    api.answer(code, times=2)
    assert (await cluster.get("/api/v1/namespaces/shop"))["metadata"]["name"] == "shop"
    assert len(api.asked) == 3


async def test_it_gives_up_after_four_tries(api: FakeApi, cluster: Cluster) -> None:
    api.answer(500, times=9, message="etcdserver: request timed out")
    with pytest.raises(ApiError, match="answers 500: etcdserver: request timed out"):
        await cluster.get("/api/v1/namespaces/shop")
    assert len(api.asked) == 4


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422])
async def test_an_answer_is_an_answer(api: FakeApi, cluster: Cluster, code: int) -> None:
    api.answer(code, times=9)
    with pytest.raises(ApiError) as caught:
        await cluster.get("/api/v1/namespaces/shop")
    assert (caught.value.code, len(api.asked)) == (code, 1)
    assert caught.value.passing is False


async def test_what_the_server_may_have_made_is_not_made_twice(api: FakeApi, cluster: Cluster) -> None:
    api.answer(500, method="POST")
    with pytest.raises(ApiError):
        await cluster.create(CONFIGS, config("one"))
    assert len(api.asked) == 1


async def test_what_the_server_did_not_do_is_asked_again(api: FakeApi, cluster: Cluster) -> None:
    api.answer(429, method="POST", times=2)
    await cluster.create(CONFIGS, config("one"))
    assert len(api.asked) == 3


async def test_retry_after_is_waited_for_but_never_long(api: FakeApi, tmp_path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    cluster = Cluster(kubeconfig=str(api.kubeconfig(tmp_path)), sleep=sleep)
    api.answer(429, after=1)
    api.answer(429, after=60)
    api.answer(503)
    await cluster.get("/api/v1/namespaces/shop")
    await cluster.close()
    assert waits == [1.0, 2.0, 0.4]


async def test_a_server_that_is_away_is_said_to_be_and_found_again(api: FakeApi, cluster: Cluster) -> None:
    await cluster.get("/api/v1/namespaces/shop")
    await api.down()
    with pytest.raises(ApiError, match="cannot be reached") as caught:
        await cluster.get("/api/v1/namespaces/shop")
    assert caught.value.passing
    await api.up()
    assert (await cluster.get("/api/v1/namespaces/shop"))["metadata"]["name"] == "shop"


async def test_a_server_that_hangs_is_not_waited_for_for_ever(api: FakeApi, tmp_path: Path) -> None:
    api.hang(times=9)
    cluster = Cluster(kubeconfig=str(api.kubeconfig(tmp_path)), timeout=0.05)
    with pytest.raises(ApiError, match=r"no answer within 0\.05 s"):
        await cluster.get("/api/v1/namespaces/shop")
    await cluster.close()


# -- words


async def test_a_refusal_says_what_was_asked_and_what_the_server_said(api: FakeApi, cluster: Cluster) -> None:
    api.deny("delete pods", "shop")
    api.add(shapes.pod("cart-1"))
    with pytest.raises(ApiError) as caught:
        await cluster.delete(f"{PODS}/cart-1")
    assert str(caught.value) == (
        "DELETE /api/v1/namespaces/shop/pods/cart-1: the API server answers 403: "
        'pods "cart-1" is forbidden: User "fake" cannot delete resource "pods" in API group "" in the namespace "shop"'
    )


async def test_an_admission_webhook_is_heard(api: FakeApi, cluster: Cluster) -> None:
    api.refuse_admission("no ephemeral containers here", method="PATCH")
    api.add(shapes.pod("cart-1"))
    with pytest.raises(ApiError, match=r'"policy\.example\.com" denied the request: no ephemeral containers here'):
        await cluster.patch(f"{PODS}/cart-1/ephemeralcontainers", {"spec": {}})


async def test_a_kubeconfig_that_is_not_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    cluster = Cluster(kubeconfig=str(tmp_path / "none"))
    with pytest.raises(UsageError):
        await cluster.get("/api/v1/namespaces/shop")


# -- writing


async def test_each_sort_of_patch_is_sent_as_what_it_is(api: FakeApi, cluster: Cluster) -> None:
    api.add(config("one", a="1", b="2"))
    where = f"{CONFIGS}/one"
    merged = await cluster.patch(where, {"data": {"a": None, "c": "3"}})
    assert merged["data"] == {"b": "2", "c": "3"}
    replace = [{"op": "test", "path": "/data/b", "value": "2"}, {"op": "replace", "path": "/data/b", "value": "9"}]
    changed = await cluster.patch(where, replace, "application/json-patch+json")
    assert changed["data"]["b"] == "9"
    with pytest.raises(ApiError) as caught:
        await cluster.patch(where, replace, "application/json-patch+json")
    assert caught.value.code == 422


async def test_a_deletion_can_insist_on_the_very_object(api: FakeApi, cluster: Cluster) -> None:
    kept = api.add(config("one"))
    with pytest.raises(ApiError) as caught:
        await cluster.delete(f"{CONFIGS}/one", {"preconditions": {"uid": "another"}})
    assert caught.value.code == 409
    await cluster.delete(f"{CONFIGS}/one", {"preconditions": {"uid": kept["metadata"]["uid"]}})
    assert api.objects("v1", "configmaps") == []


async def test_an_old_version_is_not_put_over_a_newer_one(api: FakeApi, cluster: Cluster) -> None:
    old = api.add(config("one", a="1"))
    api.change(old, {"data": {"a": "2"}})
    with pytest.raises(ApiError) as caught:
        await cluster.replace(f"{CONFIGS}/one", old)
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")


# -- pages


def many_pods(api: FakeApi, count: int) -> None:
    for number in range(count):
        api.add(shapes.pod(f"cart-{number:04}", labels={"app": "cart"}))


async def names(cluster: Cluster, **query: Any) -> list[str]:
    return [item["metadata"]["name"] async for page in cluster.pages(PODS, **query) for item in page["items"]]


async def test_a_long_list_comes_in_pages(api: FakeApi, cluster: Cluster) -> None:
    many_pods(api, 25)
    assert await names(cluster, limit=10) == [f"cart-{number:04}" for number in range(25)]
    assert [asked.query["limit"] for asked in api.requests("GET", "/pods$")] == ["10", "10", "10"]


async def test_a_list_whose_token_is_forgotten_begins_anew(api: FakeApi, cluster: Cluster) -> None:
    many_pods(api, 25)
    found: list[str] = []
    forgotten = False
    async for page in cluster.pages(PODS, limit=10):
        found += [item["metadata"]["name"] for item in page["items"]]
        if not forgotten:
            api.forget()
            forgotten = True
    assert found == [f"cart-{number:04}" for number in [*range(10), *range(25)]]


async def test_410_without_a_token_is_an_error(api: FakeApi, cluster: Cluster) -> None:
    api.answer(410)
    with pytest.raises(ApiError):
        await names(cluster)


# -- watches


async def test_a_watch_tells_of_changes_after_a_version(api: FakeApi, cluster: Cluster) -> None:
    version = str(api.store.version)
    one = api.add(shapes.pod("cart-1", labels={"app": "cart"}))
    api.add(shapes.pod("web-1", labels={"app": "web"}))
    seen: list[tuple[str, str]] = []

    async def listen() -> None:
        async for event in cluster.watch(PODS, resource_version=version, labelSelector="app=cart"):
            seen.append((event.type, event.object["metadata"]["name"]))
            if event.type == "ADDED":
                api.change(one, {"status": {"phase": "Failed"}})
            elif event.type == "MODIFIED":
                api.remove(one)
            elif event.type == "DELETED":
                return

    await asyncio.wait_for(listen(), 5)
    assert seen == [("ADDED", "cart-1"), ("MODIFIED", "cart-1"), ("DELETED", "cart-1")]


async def test_a_watch_from_too_old_a_version_says_410(api: FakeApi, cluster: Cluster) -> None:
    many_pods(api, 2)
    api.forget()
    with pytest.raises(ApiError) as caught:
        async for _ in cluster.watch(PODS, resource_version="101"):
            pass
    assert caught.value.code == 410


@pytest.mark.parametrize("how", ["broken", "refused", "away"])
async def test_a_watch_that_breaks_says_so(api: FakeApi, cluster: Cluster, how: str) -> None:
    api.bookmark_every = 0.01
    if how == "refused":
        api.answer(500)
    with pytest.raises(ApiError):
        async for event in cluster.watch(PODS, resource_version=str(api.store.version)):
            assert event.type == "BOOKMARK"
            if how == "away":
                await api.down()
            else:
                api.break_watches()


# -- streams


async def test_a_command_in_a_container_gives_its_output_and_exit_code(api: FakeApi, cluster: Cluster) -> None:
    api.add(shapes.pod("cart-1"))
    commands: list[list[str]] = []

    async def run(namespace: str, pod: str, container: str, command: list[str]) -> tuple[int, str, str]:
        commands.append(command)
        return 3, "out of it", "wrong"

    api.on_exec = run
    done = await cluster.execute("shop", "cart-1", "main", ["ls", "-l"])
    assert (done.code, done.out, done.err, commands) == (3, "out of it", "wrong", [["ls", "-l"]])


async def test_a_command_that_hangs_ends(api: FakeApi, cluster: Cluster) -> None:
    api.add(shapes.pod("cart-1"))

    async def run(*_: Any) -> tuple[int, str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    api.on_exec = run
    with pytest.raises(ApiError, match=r"exec sleep in shop/cart-1.*not through within 0\.1 s"):
        await cluster.execute("shop", "cart-1", "main", ["sleep", "9"], within=0.1)


async def test_a_refused_exec_says_that_the_right_is_missing(api: FakeApi, cluster: Cluster) -> None:
    api.add(shapes.pod("cart-1"))
    api.deny("get pods/exec")
    with pytest.raises(ApiError, match="the right is missing") as caught:
        await cluster.execute("shop", "cart-1", "main", ["ls"])
    assert caught.value.code == 403


async def test_what_is_said_into_a_container_arrives(api: FakeApi, cluster: Cluster) -> None:
    api.add(shapes.pod("cart-1"))

    async def echo(namespace: str, pod: str, container: str, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            assert message.data[:1] == b"\x00"
            await socket.send_bytes(b"\x01" + message.data[1:].upper())

    api.on_attach = echo
    async with cluster.attach("shop", "cart-1", "main") as channel:
        await channel.send(b"hello\n")
        async for number, data in channel:
            assert (number, data) == (1, b"HELLO\n")
            break


# -- rights


async def test_a_right_is_asked_for_where_it_is_needed(api: FakeApi, cluster: Cluster) -> None:
    api.deny("create pods/eviction", "shop")
    denied = await cluster.may("create", "pods", namespace="shop", subresource="eviction")
    assert denied == (False, "no rule allows it")
    assert (await cluster.may("create", "pods", namespace="other", subresource="eviction"))[0]
    assert (await cluster.may("get", "nodes"))[0]


async def test_what_a_server_has_is_discovered(api: FakeApi, cluster: Cluster) -> None:
    assert "poddisruptionbudgets" in await cluster.resources("policy/v1")
    assert await cluster.resources("policy/v9") == frozenset()


async def test_what_is_closed_stays_closed(api: FakeApi, cluster: Cluster) -> None:
    """A task that asks once more after the end must not leave a connection open."""
    await cluster.get("/version")
    await cluster.close()
    asked = len(api.requests("GET", "/version"))
    with pytest.raises(ApiError, match="closed already"):
        await cluster.get("/version")
    assert len(api.requests("GET", "/version")) == asked
    await cluster.close()
