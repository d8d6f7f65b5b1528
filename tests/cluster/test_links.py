"""Faults on the network of real pods: seen from the pods that suffer them and from others, seen gone, whoever dies.

What is in force is asked of the pods themselves, over their own addresses, so that it can be seen while the cluster's
API is not there.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.lab import Object, Run, Space, eventually, to_back

BACK = "http://back/"
Seen = dict[str, Any]


def link(fault: str, lasts: str = "6s", **params: Any) -> Object:
    """A step: both pods of front lose, or nearly lose, back."""
    return to_back(fault, lasts, **params)


async def address(shop: Space, service: str) -> str:
    return str((await shop.pods(service))[0]["status"]["podIP"])


async def asked(ip: str, path: str) -> Seen:
    def ask() -> Seen:
        with urllib.request.urlopen(f"http://{ip}:8080{path}", timeout=8) as answer:
            seen: Seen = json.loads(answer.read())
            return seen

    return await asyncio.to_thread(ask)


async def call(ip: str, url: str = BACK, limit: float = 2.0) -> Seen:
    """How a URL looks from a pod."""
    return await asked(ip, f"/call?timeout={limit:g}&url={urllib.parse.quote(url)}")


def refused(seen: Seen) -> bool:
    return bool(seen["outcome"] == "refused")


def silent(seen: Seen) -> bool:
    return bool(seen["outcome"] == "silent")


def cut(seen: Seen) -> bool:
    return bool(seen["outcome"] == "reset")


def slow(seen: Seen) -> bool:
    return bool(seen["outcome"] == "answered" and seen["seconds"] > 0.55)


def unknown(seen: Seen) -> bool:
    return bool(seen["outcome"] == "unknown host")


def late(seen: Seen) -> bool:
    return seen["outcome"] == "silent" or bool(seen["seconds"] > 0.9)


def fine(seen: Seen) -> bool:
    return bool(seen["outcome"] == "answered" and seen["seconds"] < 0.5)


FAULTS: list[tuple[str, dict[str, Any], Callable[[Seen], bool]]] = [
    ("dependency-loss", {"mode": "refuse"}, refused),
    ("dependency-loss", {"mode": "hang"}, silent),
    ("dependency-loss", {"mode": "reset"}, cut),
    ("network-latency", {"delay": "300ms"}, slow),
    ("network-bandwidth", {"rate": "300B/s"}, slow),
    ("connection-reset", {"after": "0s"}, cut),
    ("dependency-loss", {"mode": "no-dns"}, unknown),
    ("network-partition", {"direction": "both"}, silent),
    ("network-loss", {"share": "90%"}, late),
]
each_fault = pytest.mark.parametrize(
    ("fault", "params", "hit"), FAULTS, ids=[f"{kind}-{next(iter(params.values()))}" for kind, params, _ in FAULTS]
)


async def in_force(ip: str, hit: Callable[[Seen], bool]) -> None:
    """A call shows it; one in a hundred gets through a link that loses nine packets of ten."""
    seen = [await call(ip)]
    if not hit(seen[0]):
        seen.append(await call(ip))
    assert hit(seen[-1]), seen


async def gone(ip: str, within: float) -> None:
    """Until the pod reaches its dependency as before."""

    async def well() -> bool:
        return fine(await call(ip, limit=1.0))

    await eventually(well, within, "the dependency is reached as before")


def events(run: Run, kind: str) -> list[Object]:
    return [line for line in run.journal if line["type"] == kind]


@each_fault
async def test_only_this_pod_loses_only_this_dependency_until_the_undo(
    shop: Space, fault: str, params: dict[str, Any], hit: Callable[[Seen], bool]
) -> None:
    front, outside = await address(shop, "front"), await address(shop, "outside")
    file = shop.write(link(fault, **params))
    async with shop.running(file) as run:
        await run.in_force()
        await run.in_force()
        await in_force(front, hit)
        assert fine(await call(front, "http://outside/")), "another dependency of the same pod"
        assert fine(await call(outside)), "another pod's way to the same dependency"
        code, output = await run.ended()
    assert fine(await call(front))
    undone = events(run, "fault-undone")
    assert len(undone) == 2, output
    assert all(event["seenGone"] for event in undone), output
    assert any(event.get("count") for event in events(run, "fault-touched")), output
    assert code in (0, 3), output
    assert not events(run, "fault-lost"), output


@each_fault
async def test_it_is_gone_soon_after_the_runner_was_killed(
    shop: Space, fault: str, params: dict[str, Any], hit: Callable[[Seen], bool]
) -> None:
    front = await address(shop, "front")
    file = shop.write(link(fault, "90s", **params))
    async with shop.running(file) as run:
        await run.in_force()
        await run.in_force()
        await in_force(front, hit)
        await run.kill()
        await gone(front, 10.0)
    code, output = await shop.command("heal", folder=file.parent)
    assert code == 0, output
    assert len(events(run, "fault-undone")) == 2, output
    assert fine(await call(front))
