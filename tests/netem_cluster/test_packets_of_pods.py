"""What only netem can do, in force in real pods, seen from a process of the pod that is not chaosrunner's, and gone."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from chaosrunner.platforms.kubernetes.client import Object
from tests.cluster.lab import DATAGRAMS, Space, to_back

MANY = 150
TALK = f"""
import json, socket, time
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
door.connect(("back", {DATAGRAMS}))
door.settimeout(0.0)
sent, got, trips = {{}}, [], []
def hear():
    try:
        while True:
            said = door.recv(100)
            got.append(said.decode(errors="replace"))
            if said.isdigit() and int(said) in sent:
                trips.append(time.monotonic() - sent[int(said)])
    except BlockingIOError:
        pass
for number in range({MANY}):
    sent[number] = time.monotonic()
    door.send(str(number).zfill(6).encode())
    until = time.monotonic() + 0.02
    while time.monotonic() < until:
        hear()
        time.sleep(0.002)
until = time.monotonic() + 3
while time.monotonic() < until:
    hear()
    time.sleep(0.005)
print(json.dumps({{"got": got, "trips": sorted(trips)}}))
"""
Seen = dict[str, Any]


def step(fault: str, **params: object) -> Object:
    return to_back(fault, "25s", **params)


async def talk(shop: Space) -> Seen:
    """Numbered datagrams from front to back, and what came back of them, in which order and after how long."""
    (front,) = await shop.pods("front")
    seen: Seen = json.loads(await shop.inside(front["metadata"]["name"], "python3", "-c", TALK, within=60))
    return seen


def came(seen: Seen) -> set[str]:
    return {each for each in seen["got"] if each.isdigit() and int(each) < MANY}


def median(seen: Seen) -> float:
    return float(seen["trips"][len(seen["trips"]) // 2])


def is_late(seen: Seen) -> bool:
    return 0.3 <= median(seen) < 1.5


def loses(seen: Seen) -> bool:
    return 0.15 * MANY <= MANY - len(came(seen)) <= 0.65 * MANY


def doubles(seen: Seen) -> bool:
    return 0.2 * MANY <= sum(count > 1 for count in Counter(seen["got"]).values()) <= 0.8 * MANY


def overtakes(seen: Seen) -> bool:
    turned = sum(one > other for one, other in zip(seen["got"], seen["got"][1:], strict=False))
    return bool(turned >= 0.05 * MANY)


def is_fine(seen: Seen) -> bool:
    return len(came(seen)) >= 0.97 * MANY and median(seen) < 0.2 and not doubles(seen) and not overtakes(seen)


FAULTS: dict[str, tuple[Object, Callable[[Seen], bool]]] = {
    "latency": (step("network-latency", delay="300ms"), is_late),
    "loss": (step("network-loss", share="40%"), loses),
    "corrupt": (step("network-corrupt", share="40%"), loses),
    "duplicate": (step("network-duplicate", share="50%"), doubles),
    "reorder": (step("network-reorder", share="30%", delay="100ms"), overtakes),
}


def environment(shop: Space) -> Object:
    """With time for a machine that is slow."""
    made = shop.environment()
    made["spec"]["platform"]["kubernetes"]["injector"] |= {"mode": "netem", "startWithin": "60s"}
    return made


@pytest.mark.parametrize("name", FAULTS)
async def test_it_is_in_force_on_datagrams_and_gone_after_the_undo(shop: Space, name: str) -> None:
    method, hit = FAULTS[name]
    before = await talk(shop)
    assert is_fine(before), before
    async with shop.running(shop.write(method, environment=environment(shop))) as run:
        await run.in_force(240)
        during = await talk(shop)
        assert hit(during), during
        code, said = await run.ended(240)
    assert code == 0, said
    after = await talk(shop)
    assert is_fine(after), after


@pytest.mark.parametrize("name", FAULTS)
async def test_it_is_gone_soon_after_the_runner_was_killed(shop: Space, name: str) -> None:
    """The whole process group, by SIGKILL; a talk takes as long as the machine does."""
    method, hit = FAULTS[name]
    async with shop.running(shop.write(method | {"for": "10m"}, environment=environment(shop))) as run:
        await run.in_force(240)
        assert hit(await talk(shop))
        await run.kill()
        killed = time.monotonic()
        while hit(seen := await talk(shop)):
            assert time.monotonic() - killed < 30, f"it is still there: {seen}"
    assert is_fine(await talk(shop))
