"""Injectors in the pods of a fake cluster: started, spoken with, lost, found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaosrunner.engine.means import Limits
from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.beside import NETWORK
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.ports import Hold, Links, NetworkEffect
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.in_pods import Pods
from tests.kubernetes.scene import Object, deploy, platform, targets

RUN = "20261122-105103-4f2a9c"
EPHEMERAL = "ephemeralcontainers"
REFUSE = NetworkEffect(loss="refuse")
SERVICES = {"cart": {"workload": "deployment/cart"}, "pay": {"workload": "deployment/pay", "service": "pay"}}


def hold(name: str = "it", seconds: float = 60.0, run: str = RUN) -> Hold:
    return Hold(f"{run}.{name}.1", run, 0.0, seconds)


@pytest.fixture
def pods(api: FakeApi) -> Pods:
    deploy(api, "cart", 2)
    deploy(api, "pay", 1)
    api.add(shapes.service("pay"))
    return Pods(api)


@pytest.fixture
async def at(api: FakeApi, pods: Pods, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    made = platform(api, tmp_path, services=SERVICES, injector={"image": "chaos:1"})
    await made.injectors.open(lambda: True)
    yield made
    await made.close()


async def link(at: KubernetesPlatform) -> Target:
    return (await targets(at, 1, service="cart", to="pay"))[0]


def containers(api: FakeApi, pod: str = "cart-5d9-1") -> list[Object]:
    found = api.object("v1", "pods", "shop", pod)
    assert found is not None
    return list(found["spec"].get("ephemeralContainers") or ())


async def test_one_container_with_one_capability_serves_all_faults_of_a_run_in_a_pod(
    api: FakeApi, pods: Pods, at: KubernetesPlatform
) -> None:
    target, links = await link(at), at.ability(Links)
    for name in ("one", "two"):
        await links.ready(target, hold(name))
        await links.shape(target, REFUSE, hold(name))
    (container,) = containers(api)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["image"] == "chaos:1" and container["stdin"] and not container["stdinOnce"]
    assert len(pods.only.effects) == 2
    await at.close()
    assert pods.only.ended


async def test_a_link_is_the_services_addresses_and_those_behind_it(
    api: FakeApi, pods: Pods, at: KubernetesPlatform
) -> None:
    target = await link(at)
    await at.ability(Links).shape(target, REFUSE, hold())
    (effect,) = pods.only.effects.values()
    assert {"cidr": "10.96.0.10/32", "port": 80, "protocol": "tcp"} in effect["match"]["to"]
    assert {"gateway": True} in effect["match"]["except"]


async def test_looks_of_one_moment_go_together_and_see_what_is_in_force(pods: Pods, at: KubernetesPlatform) -> None:
    target, links = await link(at), at.ability(Links)
    await links.ready(target, hold())
    assert (await links.sample(target)).outcome == "answered"
    await links.shape(target, REFUSE, hold())
    through, around = await asyncio.gather(links.sample(target), links.sample(target, around=True))
    assert (through.outcome, around.outcome) == ("refused", "answered")
    await links.release(target, hold())
    assert (await links.sample(target)).outcome == "answered"


async def test_a_stream_that_breaks_is_made_again_and_the_fault_stays(pods: Pods, at: KubernetesPlatform) -> None:
    target, links = await link(at), at.ability(Links)
    await links.ready(target, hold())
    await links.shape(target, REFUSE, hold())
    for _ in range(3):
        await pods.break_streams()
        assert (await links.sample(target)).outcome == "refused"
    await links.release(target, hold())
    assert not pods.only.effects
    assert pods.attached > 1


@pytest.mark.real_time
async def test_a_stream_that_dies_without_a_word_is_made_again_before_the_injector_lets_go(
    pods: Pods, at: KubernetesPlatform
) -> None:
    target, links = await link(at), at.ability(Links)
    await links.shape(target, REFUSE, hold())
    pods.stuck = True
    await asyncio.sleep(6.5)
    assert pods.only.effects, "beats came through again within the five seconds"
    assert pods.attached == 2
    await links.release(target, hold())


async def test_the_runner_beats_only_while_it_is_alive(api: FakeApi, pods: Pods, tmp_path: Path) -> None:
    alive = True
    at = platform(api, tmp_path, services=SERVICES)
    await at.injectors.open(lambda: alive)
    await at.ability(Links).shape(await link(at), REFUSE, hold())
    while len(pods.only.did("beat")) < 2:
        await asyncio.sleep(0.05)
    alive = False
    await asyncio.sleep(0.1)
    beats = len(pods.only.did("beat"))
    await asyncio.sleep(1.3)
    assert len(pods.only.did("beat")) <= beats + 1
    await at.close()


@pytest.mark.parametrize(
    ("waiting", "words"),
    [
        ({"reason": "ErrImageNeverPull", "message": "not present"}, "image chaos:1 cannot be had: ErrImageNeverPull"),
        ({"reason": "ImagePullBackOff", "message": "no such host"}, "cannot be had: ImagePullBackOff: no such host"),
        ({"reason": "CreateContainerConfigError", "message": "runAsNonRoot"}, "cannot be started: CreateContainer"),
        (None, "did not start within 0.5 s: its node has said nothing"),
    ],
)
async def test_a_container_that_does_not_start_says_why(
    api: FakeApi, pods: Pods, tmp_path: Path, waiting: Object | None, words: str
) -> None:
    api.ephemeral_state = lambda container: {"waiting": waiting} if waiting else None
    injector = {"image": "chaos:1", "startWithin": "500ms"}
    at = platform(api, tmp_path, services=SERVICES, injector=injector)
    with pytest.raises(FaultFailed, match=words):
        await at.ability(Links).ready(await link(at), hold())
    await at.close()


async def test_planning_tries_without_touching_anything(api: FakeApi, pods: Pods, at: KubernetesPlatform) -> None:
    for target in await targets(at, service="cart", to="pay"):
        await at.ability(Links).check(target)
    assert not containers(api)
    (tried,) = api.requests("PATCH")
    assert tried.query["dryRun"] == "All", "once for the pods of one owner"
    assert {each.method for each in api.asked} == {"GET", "PATCH"}


async def test_a_webhook_that_says_no_is_heard_while_planning(api: FakeApi, pods: Pods, at: KubernetesPlatform) -> None:
    api.refuse_admission("no guests in pods", path=EPHEMERAL)
    with pytest.raises(CannotDoHonestly, match=r"an admission webhook refuses .* no guests in pods"):
        await at.ability(Links).check(await link(at))


async def test_a_missing_right_is_heard_while_planning(api: FakeApi, pods: Pods, at: KubernetesPlatform) -> None:
    api.deny("patch pods/ephemeralcontainers", "shop")
    with pytest.raises(CannotDoHonestly, match="the right to start the injector is missing"):
        await at.ability(Links).check(await link(at))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hostNetwork": True}, "uses its node's network"),
        ({"os": {"name": "windows"}}, "runs on windows"),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, "runs on windows"),
    ],
)
async def test_a_pod_that_can_have_none_is_refused(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, spec: Object, words: str
) -> None:
    pod = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert pod is not None
    api.change(pod, {"spec": spec})
    with pytest.raises(CannotDoHonestly, match=words):
        await at.ability(Links).check(await link(at))


async def test_an_image_of_another_version_is_refused(pods: Pods, at: KubernetesPlatform) -> None:
    pods.version = "0.0.1"
    with pytest.raises(FaultFailed, match=r"chaos:1 is of version 0\.0\.1, this is chaosrunner"):
        await at.ability(Links).ready(await link(at), hold())


async def test_an_injector_that_ran_out_of_memory_is_noticed_and_another_sees_to_what_it_left(
    api: FakeApi, pods: Pods, at: KubernetesPlatform
) -> None:
    target, links = await link(at), at.ability(Links)
    await links.ready(target, hold())
    await links.shape(target, REFUSE, hold())
    (first,) = containers(api)
    await pods.kill(first["name"], 137, "OOMKilled")
    with pytest.raises(FaultFailed, match="ran out of memory"):
        await links.sample(target)
    await links.release(target, hold())
    assert [each["name"] for each in containers(api)] == [first["name"], f"{first['name']}-2"]
    fresh = pods.injectors["shop", "cart-5d9-1", f"{first['name']}-2"]
    assert [request["id"] for request in fresh.did("end")] == [hold().id]
    assert (await links.sample(target)).outcome == "answered"


async def test_another_process_takes_it_back_through_the_same_injector(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, tmp_path: Path
) -> None:
    target = await link(at)
    await at.ability(Links).shape(target, REFUSE, hold())
    other = platform(api, tmp_path, services=SERVICES)
    await other.ability(Links).release(target, hold())
    assert not pods.only.effects
    assert len(containers(api)) == 1
    assert (await other.ability(Links).sample(target)).outcome == "answered"
    await other.close()


@pytest.mark.parametrize("how", ["ended in order", "never started", "pod deleted", "pod made anew"])
async def test_where_nothing_of_ours_can_be_left_an_undo_touches_nothing(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, tmp_path: Path, how: str
) -> None:
    target = await link(at)
    if how == "ended in order":
        await at.ability(Links).ready(target, hold())
        await pods.kill(containers(api)[0]["name"], 0, "Completed")
    pod = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert pod is not None
    if how.startswith("pod"):
        api.remove(pod)
    if how == "pod made anew":
        api.add(shapes.pod("cart-5d9-1", labels={"app": "cart"}))
    api.asked.clear()
    other = platform(api, tmp_path, services=SERVICES)
    await other.ability(Links).release(target, hold())
    assert {each.method for each in api.asked} == {"GET"}
    await other.close()


async def test_an_undo_waits_for_an_api_server_that_comes_back(
    api: FakeApi, pods: Pods, at: KubernetesPlatform
) -> None:
    target, links = await link(at), at.ability(Links)
    await links.shape(target, REFUSE, hold())
    await api.down()
    undo = asyncio.ensure_future(links.release(target, hold()))
    await asyncio.sleep(0.5)
    assert not undo.done()
    await api.up()
    await undo
    assert not pods.only.effects


async def test_an_undo_that_nobody_answers_fails_within_its_time_and_says_what_to_do(
    pods: Pods, at: KubernetesPlatform
) -> None:
    target, links = await link(at), at.ability(Links)
    await links.shape(target, REFUSE, hold())
    pods.only.deaf = True
    began = asyncio.get_running_loop().time()
    with pytest.raises(UndoFailed, match="cannot be told") as failed:
        await links.release(target, hold())
    assert asyncio.get_running_loop().time() - began < Limits().undo
    assert f"chaosrunner heal {RUN}" in failed.value.commands
    pods.only.deaf = False


async def test_addresses_that_change_while_it_is_in_force_are_followed(
    api: FakeApi, pods: Pods, at: KubernetesPlatform
) -> None:
    await at.ability(Links).shape(await link(at), REFUSE, hold())
    while not api.watching:
        await asyncio.sleep(0.02)
    api.add(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "pay-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "pay"}},
            "addressType": "IPv4",
            "ports": [{"port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.1.9.9"], "conditions": {"ready": True}}],
        }
    )
    wanted = {"cidr": "10.1.9.9/32", "port": 8080, "protocol": "tcp"}
    async with asyncio.timeout(5):
        while wanted not in next(iter(pods.only.effects.values()))["match"]["to"]:
            await asyncio.sleep(0.02)


async def test_many_pods_are_started_in_turn(api: FakeApi, pods: Pods, tmp_path: Path) -> None:
    deploy(api, "many", 150)
    services = {**SERVICES, "many": {"workload": "deployment/many"}}
    at = platform(api, tmp_path, services=services)
    found = await targets(at, service="many", to="pay")
    links = at.ability(Links)
    await asyncio.gather(*(links.ready(target, hold()) for target in found))
    await asyncio.gather(*(links.shape(target, REFUSE, hold()) for target in found))
    assert sum(len(injector.effects) for injector in pods.injectors.values()) == 150
    assert len(api.requests("GET", "endpointslices")) < 400, "one watch for all, not one for each"
    assert api.watching <= 1
    await asyncio.gather(*(links.release(target, hold()) for target in found))
    assert not any(injector.effects for injector in pods.injectors.values())
    await at.close()
    assert all(injector.ended for injector in pods.injectors.values())


async def test_there_is_no_injector_at_hand_before_one_was_needed(pods: Pods, at: KubernetesPlatform) -> None:
    assert at.injectors.at_hand(await link(at), RUN, NETWORK) is None
    with pytest.raises(FaultFailed, match="no injector is in the pod"):
        await at.ability(Links).sample(await link(at))
