"""Faults on look-ups and on single requests of real pods: seen from the pod that suffers them, and seen gone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.lab import Object, Space, eventually

BACK = "http://back/pay"


def step(fault: str, lasts: str = "6s", **params: Any) -> Object:
    """One pod of `front` and its way to `back`."""
    return {"fault": fault, "target": {"service": "front", "to": "back"}, "with": params, "for": lasts}


async def seen_by_both(shop: Space, url: str = BACK, limit: float = 2.0) -> list[dict[str, Any]]:
    return [await shop.seen_from("front", url, limit, index=index) for index in (0, 1)]


NAMES = [
    ({"answer": "nxdomain"}, "unknown host"),
    ({"answer": "servfail"}, "unknown host"),
    ({"answer": "wrong", "address": "127.0.0.9"}, "refused"),
]


@pytest.mark.parametrize(("params", "outcome"), NAMES)
async def test_one_pod_resolves_a_name_badly(shop: Space, params: dict[str, Any], outcome: str) -> None:
    async with shop.running(shop.write(step("dns-fault", **params))) as run:
        await run.in_force()
        seen = await seen_by_both(shop)
        assert sorted(one["outcome"] for one in seen) == sorted(["answered", outcome])
        assert all(
            [(await shop.seen_from("front", "http://outside/", index=i))["outcome"] == "answered" for i in (0, 1)]
        )
        code, output = await run.ended()
    assert code == 0, output
    await eventually(lambda: _all_answered(shop), 5, "names resolve again")


async def test_look_ups_that_are_late(shop: Space) -> None:
    async with shop.running(shop.write(step("dns-fault", delay="700ms"))) as run:
        await run.in_force()
        seen = await seen_by_both(shop, limit=4)
        assert [one["outcome"] for one in seen] == ["answered", "answered"]
        assert max(one["seconds"] for one in seen) > 0.7 > min(one["seconds"] for one in seen)
        code, output = await run.ended()
    assert code == 0, output


REQUESTS = [
    ({"status": 503, "path": "/pay*"}, lambda seen: seen.get("status") == 503),
    ({"abort": True, "path": "/pay*"}, lambda seen: seen["outcome"] == "reset"),
    ({"delay": "600ms", "path": "/pay*"}, lambda seen: seen["seconds"] > 0.6),
]


@pytest.mark.parametrize(("params", "hit"), REQUESTS)
async def test_single_requests_are_hit_by_their_path(shop: Space, params: dict[str, Any], hit: Any) -> None:
    async with shop.running(shop.write(step("http-fault", **params))) as run:
        await run.in_force()
        assert [hit(seen) for seen in await seen_by_both(shop)].count(True) == 1
        assert not any(hit(seen) for seen in await seen_by_both(shop, "http://back/else"))
        code, output = await run.ended()
    assert code == 0, output
    assert not any(hit(seen) for seen in await seen_by_both(shop))


async def _all_answered(shop: Space) -> bool:
    return all(seen["outcome"] == "answered" for seen in await seen_by_both(shop))
