"""The guardian's program against an API server with behaviour: what it undoes, when, and what it refuses to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from chaosrunner.injector import operations as data
from chaosrunner.injector.api import Api
from chaosrunner.injector.guardian import FINALIZER, GRACE, GUARDED, SEEN_BY, STALE, Guardian, Unreachable
from chaosrunner.platforms.kubernetes import operations
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi

HOLD, RUN = "20261122-105103-4f2a9c.scale.1", "20261122-105103-4f2a9c"
CART = "/apis/apps/v1/namespaces/shop/deployments/cart"
LEASE = f"chaosrunner-run-{RUN}"


@dataclass
class Stage:
    """A deployment that a run has scaled from 3 to 0, its ledger entry and Lease, and a guardian whose time is ours."""

    api: FakeApi
    now: float = 100.0
    renewals: int = 0
    guardian: Guardian = field(init=False)

    def __post_init__(self) -> None:
        self.guardian = Guardian(Api(self.api.url), "shop", "guardian-1", clock=lambda: self.now)
        cart = shapes.workload("Deployment", "cart", replicas=0)
        cart["metadata"]["annotations"] = data.mark(HOLD)
        self.api.add(cart)
        labels = {"chaosrunner.dev/lease": "run", "chaosrunner.dev/run": RUN}
        self.api.add(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": LEASE, "namespace": "shop", "labels": labels},
                "spec": {"renewTime": "2026-11-22T10:51:03.000000Z"},
            }
        )

    def write(self, *undo: dict[str, Any], seconds: float = 60.0, hold: str = HOLD) -> None:
        """An entry of the ledger; by default the one that scales back to 3."""
        when = [{"pointer": "/spec/replicas", "equals": 0, "body": {"spec": {"replicas": 3}}}]
        back = undo or (operations.back(CART, {}, hold, when=when),)
        labels = {"chaosrunner.dev/ledger": "fault", "chaosrunner.dev/run": RUN}
        body = {"hold": hold, "run": RUN, "lease": LEASE, "seconds": str(seconds), "undo": json.dumps(back)}
        self.api.add(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": f"chaosrunner-fault-{data.short(hold)}",
                    "namespace": "shop",
                    "labels": labels,
                    "finalizers": [FINALIZER],
                },
                "data": body,
            }
        )

    def renew(self) -> None:
        self.renewals += 1
        (lease,) = self.api.objects("coordination.k8s.io/v1", "leases", "shop")
        self.api.change(lease, {"spec": {"renewTime": f"2026-11-22T10:51:{self.renewals:02}.000000Z"}})

    async def look(self, after: float = 0.0) -> None:
        self.now += after
        await asyncio.to_thread(self.guardian.look)

    @property
    def replicas(self) -> int:
        cart = self.api.object("apps/v1", "deployments", "shop", "cart")
        assert cart is not None
        return int(cart["spec"]["replicas"])

    @property
    def entries(self) -> list[dict[str, Any]]:
        found = self.api.objects("v1", "configmaps", "shop")
        return [each for each in found if each["metadata"]["name"].startswith("chaosrunner-fault-")]

    @property
    def leases(self) -> list[dict[str, Any]]:
        return self.api.objects("coordination.k8s.io/v1", "leases", "shop")


@pytest.fixture
async def stage(api: FakeApi) -> AsyncIterator[Stage]:
    made = Stage(api)
    yield made
    made.guardian.api.close()


async def test_a_run_that_renews_its_lease_is_left_alone(stage: Stage) -> None:
    stage.write()
    for _ in range(20):
        stage.renew()
        await stage.look(after=1)
    assert (stage.replicas, len(stage.entries)) == (0, 1)
    (lease,) = stage.leases
    assert lease["metadata"]["annotations"][SEEN_BY] == "guardian-1 20", "and is told that the guardian lives"


async def test_a_run_that_is_silent_is_dead_and_what_it_did_is_undone(stage: Stage) -> None:
    stage.write()
    stage.renew()
    await stage.look()
    await stage.look(after=STALE - 0.1)
    assert stage.replicas == 0
    await stage.look(after=0.2)
    assert (stage.replicas, stage.entries) == (3, [])
    cart = stage.api.object("apps/v1", "deployments", "shop", "cart")
    assert cart is not None
    assert cart["metadata"]["annotations"] == {}, "the mark is gone"
    await stage.look(after=1)
    assert stage.leases == [], "and so is the Lease, with all that it owns"


async def test_while_the_api_server_was_away_nobody_could_renew(stage: Stage) -> None:
    stage.write(seconds=600)
    await stage.look()
    await stage.api.down()
    with pytest.raises(Unreachable):
        await stage.look(after=60)
    stage.guardian.blind()
    await stage.api.up()
    stage.guardian.api = Api(stage.api.url)
    await stage.look(after=GRACE - 0.5)
    assert stage.replicas == 0, "the runner has had no time yet to show that it lives"
    await stage.look(after=2)
    assert stage.replicas == 3


async def test_without_its_lease_a_run_is_dead_at_once(stage: Stage) -> None:
    stage.write()
    await stage.look()
    stage.api.remove(stage.leases[0])
    await stage.look()
    assert (stage.replicas, stage.entries) == (3, [])


async def test_a_fault_whose_time_is_over_is_undone_although_its_run_lives(stage: Stage) -> None:
    stage.write(seconds=2.5)
    for _ in range(3):
        stage.renew()
        await stage.look(after=1)
    assert stage.replicas == 0
    stage.renew()
    await stage.look(after=1)
    assert (stage.replicas, len(stage.leases)) == (3, 1)


async def test_a_ledger_entry_that_somebody_deletes_is_undone_before_it_goes(stage: Stage) -> None:
    stage.write()
    await stage.look()
    stage.renew()
    stage.api.remove(stage.entries[0])
    assert len(stage.entries) == 1, "its finalizer keeps it"
    await stage.look(after=1)
    assert (stage.replicas, stage.entries) == (3, [])


async def test_an_undo_that_fails_is_tried_again_and_stays_in_the_ledger(stage: Stage) -> None:
    stage.write()
    stage.api.answer(500, method="PATCH", path="deployments/cart", times=2)
    await stage.look()
    for _ in range(2):
        await stage.look(after=6)
        assert (stage.replicas, len(stage.entries)) == (0, 1)
    await stage.look(after=1)
    assert (stage.replicas, stage.entries) == (3, [])


async def test_what_somebody_else_changed_meanwhile_stays_theirs(stage: Stage) -> None:
    stage.write()
    await stage.look()
    (cart,) = stage.api.objects("apps/v1", "deployments", "shop")
    stage.api.change(cart, {"spec": {"replicas": 7}})
    await stage.look(after=6)
    assert (stage.replicas, stage.entries) == (7, [])
    (cart,) = stage.api.objects("apps/v1", "deployments", "shop")
    assert cart["metadata"]["annotations"] == {}


async def test_an_object_made_anew_under_the_same_name_is_not_touched(stage: Stage) -> None:
    stage.write()
    await stage.look()
    (cart,) = stage.api.objects("apps/v1", "deployments", "shop")
    stage.api.remove(cart)
    stage.api.add(shapes.workload("Deployment", "cart", replicas=0))
    await stage.look(after=6)
    assert (stage.replicas, stage.entries) == (0, [])


async def test_the_guardian_says_whether_it_could_undo(stage: Stage) -> None:
    stage.write()
    stage.renew()
    await stage.look()
    assert stage.entries[0]["metadata"]["annotations"][GUARDED] == "yes"


async def test_a_missing_right_is_said_before_the_fault(stage: Stage) -> None:
    stage.api.deny("patch deployments.apps", "shop")
    stage.write()
    await stage.look()
    said = stage.entries[0]["metadata"]["annotations"][GUARDED]
    assert said == "the guardian's service account may not patch deployments.apps in shop"


@pytest.mark.parametrize(
    ("undo", "why"),
    [
        ({"method": "POST", "path": "/api/v1/namespaces/shop/pods", "body": {}}, "an undo patches or deletes"),
        ({"method": "PATCH", "path": CART, "body": {"spec": {"replicas": 9}}}, "not bound to objects that carry"),
        ({"method": "DELETE", "path": CART, "if": data.still("another.hold.1")}, "not bound to objects that carry"),
        ({"method": "DELETE", "path": "http://elsewhere/", "if": data.still(HOLD)}, "names no object of the API"),
    ],
)
async def test_who_writes_into_the_ledger_does_not_get_the_guardian_s_rights(
    stage: Stage, undo: dict[str, Any], why: str
) -> None:
    stage.write(undo)
    await stage.look()
    assert why in stage.entries[0]["metadata"]["annotations"][GUARDED]
    await stage.look(after=10)
    assert stage.replicas == 0
    assert len(stage.entries) == 1, "a person must see to it"


async def test_an_entry_that_cannot_be_read_harms_no_other(stage: Stage) -> None:
    stage.write(hold="another.hold.1")
    (broken,) = stage.entries
    stage.api.change(broken, {"data": {"undo": "{"}})
    stage.write()
    await stage.look()
    await stage.look(after=6)
    assert stage.replicas == 3
    assert [each["metadata"]["name"] for each in stage.entries] == [broken["metadata"]["name"]]
