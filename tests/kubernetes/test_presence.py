"""What a run keeps in the cluster: claims against other machines' runs, the ledger, the heartbeat; and what heal and
halt see of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import Busy, CannotDoHonestly, FaultFailed, NotPossibleNow, UndoFailed
from chaosrunner.injector.api import Api
from chaosrunner.injector.guardian import GUARDED, SEEN_BY, Guardian
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError
from chaosrunner.platforms.kubernetes.heartbeat import HALT, Heartbeat, lease_name, lease_object, leases_path
from chaosrunner.platforms.kubernetes.ledger import Author
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import Hold, Objects
from tests.kubernetes import scene, shapes
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.scene import HastyClock, QuickClock

CART = "/apis/apps/v1/namespaces/shop/deployments/cart"


def pods(*names: str) -> list[Target]:
    details = {name: {"namespace": "shop", "pod": name, "uid": f"uid-{name}"} for name in names}
    return [Target(kind="pod", id=f"pod:shop/{name}", name=f"shop/{name}", details={**details[name]}) for name in names]


def lease_of(target: Target) -> str:
    return f"kubernetes:{target.details['uid']}"


@pytest.fixture
async def machine(api: FakeApi) -> AsyncIterator[Callable[[], Presence]]:
    """Makes the presence of a run on another machine each time."""
    clients = []

    def made() -> Presence:
        client = api.cluster()
        clients.append(client)
        return Presence(client, api.cluster, Spec.model_validate({"namespaces": ["shop"]}), "lab", QuickClock())

    yield made
    for client in clients:
        await client.close()


def entry(run: str, step: str = "scale") -> dict[str, Any]:
    """A ledger entry, as a run writes it."""
    hold = f"{run}.{step}.1"
    labels = {"chaosrunner.dev/ledger": "fault", "chaosrunner.dev/run": run}
    words = {"hold": hold, "run": run, "lease": lease_name(run), "environment": "lab", "step": step}
    words |= {"target": "shop/deployment/cart", "by": "ana@one", "undo": "[]"}
    metadata = {"name": f"chaosrunner-fault-{run}-{step}", "namespace": "shop", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": words}


# ------------------------------------------------------------------------------------------------------------- claims


async def test_of_two_runs_that_come_at_once_one_is_busy(machine: Callable[[], Presence]) -> None:
    runs = {f"run-{number}": machine() for number in range(6)}
    tries = [one.claim(run, f"ana@{run}", pods("a", f"own-{run}"), lease_of) for run, one in runs.items()]
    # All Leases are renewed meanwhile, as living runs do.
    beating = asyncio.ensure_future(_renewed_for_ever(next(iter(runs.values()))))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    beating.cancel()
    assert [type(each) for each in outcomes if each is not None] == [Busy] * 5
    winner = next(run for run, each in zip(runs, outcomes, strict=True) if each is None)
    said = {str(each) for each in outcomes if each is not None}
    assert said == {f"shop/a is in the hands of run {winner} of ana@{winner}"}


async def _renewed_for_ever(presence: Presence) -> None:
    cluster = presence._cluster
    for number in range(10**9):
        found = await cluster.get(leases_path("shop"))
        for lease in found["items"]:
            renewed = {"spec": {"renewTime": f"2026-11-22T10:51:03.{number:06}Z"}}
            with suppress(ApiError):  # one that has just ended
                await cluster.patch(leases_path("shop", lease["metadata"]["name"]), renewed)


async def test_different_targets_do_not_meet(machine: Callable[[], Presence]) -> None:
    await machine().claim("r1", "ana@one", pods("a", "b"), lease_of)
    await machine().claim("r2", "ben@two", pods("c"), lease_of)


async def test_a_target_that_appears_is_claimed_with_the_others(machine: Callable[[], Presence]) -> None:
    first, second = machine(), machine()
    await first.claim("r1", "ana@one", pods("a"), lease_of)
    await second.claim("r2", "ben@two", pods("b"), lease_of)
    beating = asyncio.ensure_future(_renewed_for_ever(first))
    with pytest.raises(Busy, match="shop/b is in the hands of run r2 of ben@two"):
        await first.claim("r1", "ana@one", pods("a", "b"), lease_of)
    await second.close()
    await first.claim("r1", "ana@one", pods("a", "b"), lease_of)
    with pytest.raises(Busy, match="shop/a and 1 more is in the hands of run r1"):
        await machine().claim("r3", "eve@three", pods("a", "b"), lease_of)
    beating.cancel()


async def test_a_dead_run_s_claims_are_taken_over_once_nothing_of_it_is_in_force(
    api: FakeApi, machine: Callable[[], Presence]
) -> None:
    await machine().claim("r1", "ana@one", pods("a"), lease_of)
    left = api.add(entry("r1"))
    with pytest.raises(Busy, match=r"run r1 of ana@one died and left scale .*`chaosrunner heal -e lab` takes it back"):
        await machine().claim("r2", "ben@two", pods("a"), lease_of)
    api.remove(left)
    await machine().claim("r3", "ben@two", pods("a"), lease_of)
    (claims,) = api.objects("v1", "configmaps", "shop")
    assert list(claims["data"]) == ["r3"]


async def test_a_run_leaves_nothing_behind(api: FakeApi, machine: Callable[[], Presence]) -> None:
    presence = machine()
    await presence.claim("r1", "ana@one", pods("a"), lease_of)
    await presence.close()
    assert api.objects("v1", "configmaps", "shop") == []
    assert api.objects("coordination.k8s.io/v1", "leases", "shop") == []


async def test_a_run_that_could_not_undo_leaves_its_lease_to_end(api: FakeApi, machine: Callable[[], Presence]) -> None:
    presence = machine()
    await presence.claim("r1", "ana@one", pods("a"), lease_of)
    api.add(entry("r1"))
    await presence.close()
    assert len(api.objects("coordination.k8s.io/v1", "leases", "shop")) == 1


# ---------------------------------------------------------------------------------------------------- heal and halt


async def test_what_a_living_run_holds_is_no_leftover(api: FakeApi, machine: Callable[[], Presence]) -> None:
    for run in ("alive", "dead"):
        await machine().claim(run, f"ana@{run}", [], lease_of)
        api.add(entry(run))
    api.add(entry("gone"))
    looking = machine()
    (lease,) = [each for each in api.objects("coordination.k8s.io/v1", "leases") if "alive" in each["metadata"]["name"]]
    beating = asyncio.ensure_future(_renewed(api, lease))
    left = await looking.left()
    assert {each.run: each.alive for each in left} == {"alive": True, "dead": False, "gone": False}
    assert [each.run for each in await looking.runs()] == ["alive"]
    with pytest.raises(Busy, match=r"run alive of ana@one is under way"):
        await looking.heal("alive.scale.1")
    beating.cancel()
    await looking.heal("dead.scale.1")
    assert {each.run for each in await looking.left()} == {"alive", "gone"}
    (still,) = api.objects("coordination.k8s.io/v1", "leases", "shop")
    assert still["metadata"]["name"] == lease["metadata"]["name"], "of a healed run nothing stays"


async def _renewed(api: FakeApi, lease: dict[str, Any]) -> None:
    for number in range(10**9):
        api.change(lease, {"spec": {"renewTime": f"2026-11-22T10:51:03.{number:06}Z"}})
        await asyncio.sleep(0.001)


async def test_a_heal_that_fails_says_what_to_do_by_hand(api: FakeApi, machine: Callable[[], Presence]) -> None:
    body = entry("dead")
    hold = body["data"]["hold"]
    still = {"pointer": "/metadata/name", "equals": "cart"}
    undo = [{"method": "PATCH", "path": CART, "body": {"spec": {"replicas": 3}}, "if": still}]
    api.add(body | {"data": body["data"] | {"undo": json.dumps(undo)}})
    api.add(shapes.workload("Deployment", "cart", replicas=0))
    api.refuse_admission("not today", method="PATCH", path="deployments/cart")
    with pytest.raises(UndoFailed, match="not today") as failed:
        await machine().heal(hold)
    command = """kubectl patch deployments.apps cart -n shop --type merge -p '{"spec": {"replicas": 3}}'"""
    assert failed.value.commands == (command,)


async def test_an_entry_that_cannot_be_read_is_not_overlooked(api: FakeApi, machine: Callable[[], Presence]) -> None:
    body = entry("dead")
    api.add(body | {"data": {"run": "dead"}})
    with pytest.raises(NotPossibleNow, match=r"ledger entry \(ConfigMap\) shop/chaosrunner-fault-dead-scale cannot"):
        await machine().left()


async def test_halt_asks_every_run_of_the_environment(api: FakeApi, machine: Callable[[], Presence]) -> None:
    for run in ("r1", "r2"):
        await machine().claim(run, "ana@one", [], lease_of)
    asked = await machine().halt("", "ben@two", "the shop burns")
    assert [each.run for each in asked] == ["r1", "r2"]
    for lease in api.objects("coordination.k8s.io/v1", "leases", "shop"):
        assert json.loads(lease["metadata"]["annotations"][HALT]) == {"by": "ben@two", "reason": "the shop burns"}


# ------------------------------------------------------------------------------------------------------- the heartbeat


async def until(look: Callable[[], Any], within: float = 10.0) -> Any:
    async with asyncio.timeout(within):
        while not (found := look()):
            await asyncio.sleep(0.02)
    return found


@pytest.fixture
async def lease(api: FakeApi) -> str:
    author = Author("r1", lease_name("r1"), "lab", "ana@one")
    body = lease_object(author, 0.0)
    body["metadata"]["namespace"] = "shop"
    api.add({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"} | body)
    return author.lease


def the_lease(api: FakeApi) -> dict[str, Any]:
    (found,) = api.objects("coordination.k8s.io/v1", "leases", "shop")
    return found


async def test_the_heartbeat_renews_while_the_runner_lives_and_hears_a_halt(api: FakeApi, lease: str) -> None:
    alive = True
    heart = Heartbeat(api.cluster, leases_path("shop", lease), lambda: alive, SystemClock())
    try:
        first = the_lease(api)["spec"]["renewTime"]
        await until(lambda: the_lease(api)["spec"]["renewTime"] != first)
        alive = False
        await asyncio.sleep(0.3)
        stopped = the_lease(api)["spec"]["renewTime"]
        await asyncio.sleep(1.5)
        assert the_lease(api)["spec"]["renewTime"] == stopped, "a runner that hangs keeps nothing in force"
        alive = True
        api.change(the_lease(api), {"metadata": {"annotations": {HALT: json.dumps({"by": "ben", "reason": "enough"})}}})
        asked = await until(heart.stop_asked)
        assert (asked.by, asked.reason, asked.lost) == ("ben", "enough", False)
    finally:
        heart.stop()


async def test_a_run_whose_lease_is_gone_was_taken_for_dead(api: FakeApi, lease: str) -> None:
    heart = Heartbeat(api.cluster, leases_path("shop", lease), lambda: True, SystemClock())
    try:
        await until(lambda: api.requests("PATCH"))
        assert heart.stop_asked() is None
        api.remove(the_lease(api))
        asked = await until(heart.stop_asked)
        assert asked.lost
        assert "taken for dead" in asked.reason
    finally:
        heart.stop()


async def test_a_guardian_that_falls_silent_is_lost(api: FakeApi, lease: str) -> None:
    heart = Heartbeat(api.cluster, leases_path("shop", lease), lambda: True, HastyClock())
    try:
        api.change(the_lease(api), {"metadata": {"annotations": {SEEN_BY: "guardian-1 1"}}})
        assert await until(lambda: heart.guardian) == "guardian-1 1"
        heart.expect_guardian()
        asked = await until(heart.stop_asked, within=15)
        assert (asked.lost, "guardian-1" in asked.reason, "silent" in asked.reason) == (True, True, True)
    finally:
        heart.stop()


# ---------------------------------------------------------------------------------------------------------- objects


@pytest.fixture
async def platform(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    """With a guardian as a Deployment would have it: it looks at the ledger all the time."""
    made = scene.platform(api, tmp_path, guardian={"mode": "deployment"}, kubeconfig=str(api.kubeconfig(tmp_path)))
    api.add(shapes.workload("Deployment", "cart", replicas=3))
    guardian = Guardian(Api(api.url), "shop", "guardian-1")
    over = asyncio.Event()
    looking = asyncio.ensure_future(_looks(guardian, over))
    yield made
    over.set()
    await looking
    guardian.api.close()
    await made.close()


async def _looks(guardian: Guardian, over: asyncio.Event) -> None:
    while not over.is_set():
        await asyncio.to_thread(guardian.look)
        await asyncio.sleep(0.1)


async def opened(platform: KubernetesPlatform) -> tuple[Target, Hold, Objects, list[Any], list[Any]]:
    """A run that is about to scale the cart to none."""
    objects = platform.ability(Objects)
    await objects.ready()
    (target,) = (
        await platform.find_for(scene.selector(workload="deployment/cart"), frozenset({"workload"}))
    ).candidates
    await platform.claim("r1", "ana@one", [target])
    await platform.open("r1", lambda: True)
    hold = Hold("r1.scale.1", "r1", 2_000_000_000.0, 60.0)
    do = [objects.patch(CART, {"spec": {"replicas": 0}}, hold)]
    return target, hold, objects, do, [objects.back(CART, {"spec": {"replicas": 3}}, hold)]


def replicas(api: FakeApi) -> int:
    found = api.object("apps/v1", "deployments", "shop", "cart")
    assert found is not None
    return int(found["spec"]["replicas"])


def entries(api: FakeApi) -> list[Any]:
    return [each for each in api.objects("v1", "configmaps", "shop") if "ledger" in json.dumps(each["metadata"])]


async def test_the_ledger_knows_of_a_change_and_the_guardian_agrees_before_it_is_made(
    api: FakeApi, platform: KubernetesPlatform
) -> None:
    target, hold, objects, do, undo = await opened(platform)
    await objects.change(target, hold, do, undo)
    assert replicas(api) == 0
    assert entries(api)[0]["metadata"]["annotations"][GUARDED] == "yes"
    order = [each.path for each in api.requests() if each.method in ("POST", "PATCH") and "lease" not in each.path]
    words = [where.rpartition("/")[2].partition("-fault")[0] for where in order]
    assert words[-4:] == ["configmaps", "selfsubjectaccessreviews", "selfsubjectaccessreviews", "cart"] or (
        words.index("cart") > words.index("configmaps")
    )
    await objects.take_back(hold, undo)
    assert (replicas(api), entries(api)) == (3, [])
    await objects.take_back(hold, undo)
    assert objects.held(await objects.read(CART), hold) is False


async def test_nothing_is_changed_that_the_guardian_could_not_change_back(
    api: FakeApi, platform: KubernetesPlatform
) -> None:
    target, hold, objects, do, undo = await opened(platform)
    api.deny("patch deployments.apps", "shop")
    with pytest.raises(
        FaultFailed, match=r"guardian could not take it back: .* may not patch deployments\.apps in shop"
    ):
        await objects.change(target, hold, do, undo)
    assert replicas(api) == 3


async def test_an_undo_waits_for_the_api_server(api: FakeApi, platform: KubernetesPlatform) -> None:
    target, hold, objects, do, undo = await opened(platform)
    await objects.change(target, hold, do, undo)
    api.answer(503, method="PATCH", path="deployments/cart", times=9)
    await objects.take_back(hold, undo)
    assert (replicas(api), entries(api)) == (3, [])


async def test_what_an_admission_webhook_forbids_did_not_happen(api: FakeApi, platform: KubernetesPlatform) -> None:
    target, hold, objects, do, undo = await opened(platform)
    api.refuse_admission("hands off the cart", method="PATCH", path="deployments/cart")
    with pytest.raises(FaultFailed, match="hands off the cart"):
        await objects.change(target, hold, do, undo)
    await objects.take_back(hold, undo)
    assert (replicas(api), entries(api)) == (3, [])


async def test_a_plan_says_that_the_guardian_has_no_account(api: FakeApi, tmp_path: Path) -> None:
    made = scene.platform(api, tmp_path)
    with pytest.raises(CannotDoHonestly, match=r"no service account chaosrunner-guardian .*kubectl apply -k k8s/"):
        await made.ability(Objects).ready()
    await made.close()


async def test_who_fights_back_is_named(platform: KubernetesPlatform) -> None:
    objects = platform.ability(Objects)
    fields = {"f:spec": {"f:replicas": {}}}
    found = {
        "metadata": {
            "managedFields": [
                {
                    "manager": "argocd-controller",
                    "time": "2026-11-22T10:00:00Z",
                    "fieldsV1": {"f:spec": {"f:paused": {}}},
                },
                {"manager": "kubectl", "time": "2026-11-22T10:00:00Z", "fieldsV1": fields},
                {"manager": "chaosrunner", "time": "2026-11-22T10:52:00Z", "fieldsV1": fields},
                {
                    "manager": "kube-controller-manager",
                    "subresource": "scale",
                    "time": "2026-11-22T10:51:00Z",
                    "fieldsV1": fields,
                },
            ]
        }
    }
    assert objects.changed_by(found, "spec.replicas") == "kube-controller-manager (through /scale)"
