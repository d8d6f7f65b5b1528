"""More pods than are attached to: orders in the injectors' arguments, heartbeats as datagrams from the guardian's pod.

Here two are more than are attached to.
"""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from tests.cluster import rights
from tests.cluster.lab import IMAGE, Object, Space, eventually

BACK = "http://back/"
STEP = {"fault": "dependency-loss", "target": {"service": "front", "to": "back", "take": "all"}, "id": "it"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def guardians(shop: Space) -> None:
    """The guardian's pod may run here."""
    await rights.guardian_account(shop)


def environment(shop: Space) -> Object:
    return shop.environment(kubernetes={"injector": {"image": IMAGE, "pullPolicy": "Never", "attachUpTo": 1}})


async def outcomes(shop: Space) -> set[str]:
    """How the dependency looks from both pods."""
    return {str((await shop.seen_from("front", BACK, index=index))["outcome"]) for index in range(2)}


async def all_are(shop: Space, outcome: str) -> bool:
    return await outcomes(shop) == {outcome}


async def test_all_pods_lose_the_dependency_and_have_it_back_after_the_undo(shop: Space) -> None:
    file = shop.write(STEP | {"for": "12s"}, environment=environment(shop))
    async with shop.running(file) as run:
        await run.in_force()
        await eventually(lambda: all_are(shop, "refused"), 20, "both pods are refused")
        code, said = await run.ended()
        assert code == 0, said
    assert await all_are(shop, "answered")
    told: list[Any] = [event.get("how", "") for event in run.journal if event["type"] == "fault-seen"]
    assert any("of 2 pods 1 are looked at from inside" in how for how in told)


async def test_all_is_gone_soon_after_the_runner_was_killed(shop: Space) -> None:
    file = shop.write(STEP | {"for": "120s"}, environment=environment(shop))
    async with shop.running(file) as run:
        await run.in_force()
        await eventually(lambda: all_are(shop, "refused"), 20, "both pods are refused")
        await run.kill()
        await eventually(lambda: all_are(shop, "answered"), 12, "both pods have it back")
