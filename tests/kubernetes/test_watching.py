"""One watch per namespace: which pods are gone, and which are new, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.model.experiment import Selector
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.platforms.kubernetes.watching import ENOUGH, Watches
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi

CART = {"app": "cart"}
PODS = "/namespaces/shop/pods"


async def until(look: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(5):
        while not look():
            await asyncio.sleep(0.005)
    assert look(), what


def target(pod: dict[str, Any]) -> Target:
    metadata = pod["metadata"]
    name = f"shop/{metadata['name']}"
    details = {"namespace": "shop", "pod": metadata["name"], "uid": metadata["uid"]}
    return Target(kind="pod", id=f"pod:{name}", name=name, details=details)


@pytest.fixture
async def platform(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    spec = KubernetesPlatform.Spec.model_validate(
        {"namespaces": ["shop"], "services": {"cart": {"selector": CART}}},
    )
    made = KubernetesPlatform(spec, "test", tmp_path, SystemClock(), api.cluster())
    made._watches.open()
    yield made
    await made.close()


def many(api: FakeApi, count: int = ENOUGH + 4) -> list[dict[str, Any]]:
    return [api.add(shapes.pod(f"cart-{number}", labels=CART)) for number in range(count)]


def appears(api: FakeApi, name: str) -> dict[str, Any]:
    """A pod that runs comes to be, and whoever watches is told."""
    return api.change(api.add(shapes.pod(name, labels=CART)), {"metadata": {"annotations": {"told": "yes"}}})


async def all_there(platform: KubernetesPlatform, pods: list[dict[str, Any]]) -> None:
    assert [await platform.gone(target(pod)) for pod in pods] == [""] * len(pods)


# -- gone


async def test_of_few_pods_each_is_asked_for_itself(api: FakeApi, platform: KubernetesPlatform) -> None:
    pods = many(api, 3)
    await all_there(platform, pods)
    assert api.watching == 0
    assert len(api.requests("GET", "/pods/cart-")) == 3


async def test_of_many_pods_one_watch_tells(api: FakeApi, platform: KubernetesPlatform) -> None:
    pods = many(api, 40)
    await all_there(platform, pods)
    await all_there(platform, pods)
    assert len(api.requests("GET", "/pods/cart-")) == ENOUGH
    await until(lambda: api.watching == 1, "it watches")
    asked = len(api.asked)
    api.change(pods[0], {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/wait"]}})
    api.remove(pods[1])
    api.remove(pods[2])
    anew = appears(api, "cart-2")
    watch = platform._watches.of("shop")
    await until(lambda: anew["metadata"]["uid"] in watch._leaving, "the watch has told it")
    assert await platform.gone(target(pods[0])) == "shop/cart-0 is being deleted"
    assert await platform.gone(target(pods[1])) == "shop/cart-1 was deleted"
    assert await platform.gone(target(pods[2])) == "shop/cart-2 was deleted"
    assert await platform.gone(target(anew)) == ""
    assert len(api.asked) == asked


async def test_while_the_watch_is_broken_the_server_itself_is_asked(api: FakeApi, platform: KubernetesPlatform) -> None:
    pods = many(api)
    await all_there(platform, pods)
    api.answer(503, path=f"{PODS}$", times=1000)
    api.break_watches()
    await until(lambda: not platform._watches.of("shop")._current.is_set(), "the watch is broken")
    api.remove(pods[0])
    assert await platform.gone(target(pods[0])) == "shop/cart-0 was deleted"
    assert await platform.gone(target(pods[1])) == ""


@pytest.mark.parametrize("forgotten", [False, True], ids=["broken", "broken, and its version forgotten"])
async def test_what_happened_while_it_was_broken_is_known_afterwards(
    api: FakeApi, platform: KubernetesPlatform, forgotten: bool
) -> None:
    pods = many(api)
    await all_there(platform, pods)
    await until(lambda: api.watching == 1, "it watches")
    api.break_watches()
    api.remove(pods[0])
    if forgotten:
        api.forget()
    uid = pods[0]["metadata"]["uid"]
    watch = platform._watches.of("shop")
    await until(lambda: uid not in watch._leaving and watch._current.is_set(), "it is known again")
    asked = len(api.requests("GET", "/pods/cart-"))
    assert await platform.gone(target(pods[0])) == "shop/cart-0 was deleted"
    assert await platform.gone(target(pods[1])) == ""
    assert len(api.requests("GET", "/pods/cart-")) == asked


async def test_without_the_right_to_list_everything_is_asked_for_itself(
    api: FakeApi, platform: KubernetesPlatform
) -> None:
    api.deny("list pods")
    pods = many(api)
    await all_there(platform, pods)
    api.remove(pods[0])
    assert await platform.gone(target(pods[0])) == "shop/cart-0 was deleted"


async def test_at_the_end_no_watch_is_left(api: FakeApi, platform: KubernetesPlatform) -> None:
    await all_there(platform, many(api))
    await until(lambda: api.watching == 1, "it watches")
    await platform.close()
    await until(lambda: api.watching == 0, "nothing is watched any more")


async def test_before_a_run_and_after_it_there_is_no_watch(api: FakeApi) -> None:
    cluster = api.cluster()
    watches = Watches(cluster, SystemClock())
    pods = many(api)
    assert [await watches.fate(target(pod)) for pod in pods] == [None] * len(pods)
    await cluster.close()


# -- appearing

SELECTOR = Selector(service="cart", take="all", follow=True)


class Listener:
    """Takes down what appears."""

    def __init__(self, platform: KubernetesPlatform, besides: list[Target] | None = None) -> None:
        self.names: list[str] = []
        self.ended: BaseException | None = None
        self._stream = platform.appearing(SELECTOR, frozenset({"pod"}), besides)
        self._task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        try:
            async for target in self._stream:
                self.names.append(target.details["pod"])
        except ApiError as error:
            self.ended = error

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()


@pytest.fixture
async def listener(api: FakeApi, platform: KubernetesPlatform) -> AsyncIterator[Listener]:
    """One that knows `cart-old`."""
    api.add(shapes.pod("cart-old", labels=CART))
    made = Listener(platform)
    await until(lambda: api.watching == 1, "it watches")
    yield made
    await made.close()


async def test_a_pod_that_appears_is_told_once_it_can_be_acted_on(api: FakeApi, listener: Listener) -> None:
    pod = api.add(shapes.pod("cart-new", labels=CART, phase="Pending", waiting="ContainerCreating", ready=False))
    api.add(shapes.pod("other", labels={"app": "other"}))
    await asyncio.sleep(0.5)
    assert listener.names == []
    api.change(pod, shapes.pod("cart-new", labels=CART))
    await until(lambda: listener.names == ["cart-new"], "it is told")
    api.change(pod, {"metadata": {"annotations": {"touched": "yes"}}})
    await asyncio.sleep(0.5)
    assert listener.names == ["cart-new"]


async def test_what_appears_while_the_watch_is_broken_is_not_missed(api: FakeApi, listener: Listener) -> None:
    api.answer(503, path=f"{PODS}$", times=8)
    api.break_watches()
    appears(api, "cart-new")
    await until(lambda: listener.names == ["cart-new"], "it is told")


async def test_an_api_server_that_stops_and_starts_is_no_end_of_it(api: FakeApi, listener: Listener) -> None:
    await api.down()
    await asyncio.sleep(0.3)
    appears(api, "cart-new")
    await api.up()
    await until(lambda: listener.names == ["cart-new"], "it is told")


async def test_a_version_that_the_server_has_forgotten_is_no_end_of_it(api: FakeApi, listener: Listener) -> None:
    api.break_watches()
    appears(api, "cart-new")
    api.forget()
    await until(lambda: listener.names == ["cart-new"], "it is told")
    await until(lambda: api.watching == 1, "it watches again")
    appears(api, "cart-newer")
    await until(lambda: listener.names == ["cart-new", "cart-newer"], "that, too")


async def test_a_pod_made_anew_under_its_old_name_is_another_one(api: FakeApi, listener: Listener) -> None:
    old = api.object("v1", "pods", "shop", "cart-old")
    assert old is not None
    api.remove(old)
    appears(api, "cart-old")
    await until(lambda: listener.names == ["cart-old"], "it is told")


async def test_all_but_what_is_known_already_is_told_at_once(api: FakeApi, platform: KubernetesPlatform) -> None:
    pods = many(api, 3)
    made = Listener(platform, [target(pods[0])])
    await until(lambda: sorted(made.names) == ["cart-1", "cart-2"], "the other two are told")
    await made.close()


async def test_where_pods_may_not_be_watched_it_says_so(api: FakeApi, platform: KubernetesPlatform) -> None:
    api.add(shapes.pod("cart-old", labels=CART))
    api.deny("watch pods")
    made = Listener(platform)
    await until(lambda: made.ended is not None, "it ends")
    assert "watch" in str(made.ended) and "403" in str(made.ended)
    await made.close()
