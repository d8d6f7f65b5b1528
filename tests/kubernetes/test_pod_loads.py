"""Loads in the pods of a fake cluster: put on by an injector of their own, and taken off whatever became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.ports import Files, Hold, Holders, StressEffect
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.in_pods import Pods
from tests.kubernetes.scene import Object, deploy, platform, targets

RUN = "20261122-105103-4f2a9c"
HOLD = Hold(f"{RUN}.fill.1", RUN, 0.0, 60.0)
DATA = "/var/lib/cart"
FILL = StressEffect("disk", size=2**20, folder=DATA)
BURN = StressEffect("cpu", cores=1.0)


@pytest.fixture
def pods(api: FakeApi) -> Pods:
    (cart,) = deploy(api, "cart", 1)
    containers = [cart["spec"]["containers"][0] | {"volumeMounts": [{"name": "data", "mountPath": DATA}]}]
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "cache", "emptyDir": {}}]
    api.change(cart, {"spec": {"containers": containers, "volumes": volumes}})
    return Pods(api)


async def beside(api: FakeApi, folder: Path) -> KubernetesPlatform:
    made = platform(api, folder, services={"cart": {"workload": "deployment/cart"}})
    await made.injectors.open(lambda: True)
    return made


@pytest.fixture
async def at(api: FakeApi, pods: Pods, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    made = await beside(api, tmp_path)
    yield made
    await made.close()


async def cart(at: KubernetesPlatform) -> Target:
    return (await targets(at, 1, service="cart"))[0]


async def put_on(at: KubernetesPlatform, effect: StressEffect) -> Target:
    target, holders = await cart(at), at.ability(Holders)
    await holders.may_hold(target, effect.folder)
    await holders.bring_up(target, effect.folder, HOLD)
    await holders.stress(target, effect, HOLD)
    return target


def containers(api: FakeApi) -> list[Object]:
    found = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert found is not None
    return list(found["spec"].get("ephemeralContainers") or ())


async def test_a_load_on_a_disk_mounts_the_volume_that_the_folder_is_on(
    api: FakeApi, pods: Pods, at: KubernetesPlatform
) -> None:
    target = await put_on(at, FILL)
    (container,) = containers(api)
    assert container["volumeMounts"] == [{"name": "data", "mountPath": DATA}]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pods.only.effects[HOLD.id] == {"kind": "stress", "what": "disk", "size": 2**20, "folder": DATA}
    await at.ability(Holders).let_go(target, HOLD)
    assert not pods.only.effects


async def test_a_folder_that_is_on_no_volume_is_refused(api: FakeApi, at: KubernetesPlatform) -> None:
    with pytest.raises(CannotDoHonestly, match="/tmp is on no volume of shop/cart-5d9-1"):
        await at.ability(Holders).may_hold(await cart(at), "/tmp")


@pytest.mark.parametrize("effect", [FILL, BURN], ids=["with a volume", "with none"])
async def test_an_undo_starts_no_injector_for_one_that_was_killed(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, effect: StressEffect
) -> None:
    target = await put_on(at, effect)
    (container,) = containers(api)
    await pods.kill(container["name"], 137, "OOMKilled")
    await at.ability(Holders).let_go(target, HOLD)
    assert containers(api) == [container]


@pytest.mark.parametrize("effect", [FILL, BURN], ids=["with a volume", "with none"])
async def test_another_process_takes_a_load_off_through_the_same_injector(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, tmp_path: Path, effect: StressEffect
) -> None:
    target = await put_on(at, effect)
    (container,) = containers(api)
    healer = await beside(api, tmp_path)
    try:
        await healer.ability(Holders).let_go(target, HOLD)
    finally:
        await healer.close()
    assert not pods.only.effects
    assert containers(api) == [container]


async def test_another_process_starts_no_injector_for_one_that_was_killed(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, tmp_path: Path
) -> None:
    target = await put_on(at, FILL)
    (container,) = containers(api)
    await pods.kill(container["name"], 137, "Error")
    healer = await beside(api, tmp_path)
    try:
        await healer.ability(Holders).let_go(target, HOLD)
    finally:
        await healer.close()
    assert containers(api) == [container]


async def test_a_disk_cannot_be_looked_at_before_an_injector_is_there(at: KubernetesPlatform) -> None:
    with pytest.raises(FaultFailed, match="no injector is in the pod"):
        await at.ability(Files).free(await cart(at), DATA)
