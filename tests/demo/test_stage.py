"""The demo's ground: one demo at a time in a folder, and a shop that is ended, or kept."""

from __future__ import annotations

import fcntl
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.demo.acts import acts_of
from chaosrunner.demo.layout import PORTS
from chaosrunner.demo.shop.web import Upstream
from chaosrunner.demo.stage import Stage
from chaosrunner.errors import Busy, UsageError


class Hurried(SystemClock):
    """Time that passes as soon as somebody waits."""

    def __init__(self) -> None:
        self._at = 0.0

    def monotonic(self) -> float:
        return self._at

    async def sleep(self, seconds: float) -> None:
        self._at += seconds


async def page(stage: Stage) -> object:
    """What a shopper sees."""
    url = stage.spec.services["storefront"].ready
    assert url is not None
    storefront = Upstream("storefront", f"http://{url.address[0]}:{url.address[1]}")
    try:
        return await storefront.call("GET", "/")
    finally:
        storefront.close()


@pytest.fixture
async def opened(machine: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, fixed=False, clock=SystemClock())
    await stage.open(print)
    yield stage
    await stage.close()


async def test_a_folder_that_another_demo_uses_is_refused(machine: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with (tmp_path / "demo" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stage = Stage(tmp_path, fixed=False, clock=Hurried())
        with pytest.raises(Busy, match="another demo runs in"):
            await stage.open(print)
        await stage.close()


async def test_a_kept_shop_is_ended_by_the_next_demo(opened: Stage, tmp_path: Path) -> None:
    assert await page(opened)
    await opened.close(keep=True)
    said: list[str] = []
    following = Stage(tmp_path, fixed=True, clock=SystemClock())
    await following.open(said.append)
    assert said == ["the shop of an earlier demo was still up, and was ended"]
    assert await page(following)
    assert following.layout.moved == opened.layout.moved
    await following.close()


def test_the_acts_are_all_experiments_in_the_order_of_their_names() -> None:
    names = [act.name for act in acts_of()]
    assert names == sorted(names) and len(names) >= 5
    assert [act.name for act in acts_of(names[2:3])] == names[2:3]


def test_what_breaks_has_a_repair_and_what_holds_has_none() -> None:
    for act in acts_of():
        assert (act.expected == "broken") == bool(act.repair), act.name


def test_an_act_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'checkout-when-payments-hangs'"):
        acts_of(["checkout-when-payment-hangs"])


class Raced(Stage):
    """Somebody takes a port of the shop after it was chosen, and before it is used."""

    taken: socket.socket

    def _engage(self) -> subprocess.Popen[bytes]:
        self.taken = socket.socket()
        self.taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.taken.bind(("127.0.0.1", PORTS[0] + self.layout.moved))
        self.taken.listen()
        return super()._engage()


async def test_a_port_that_is_taken_at_the_last_moment_moves_the_shop(machine: Path, tmp_path: Path) -> None:
    stage = Raced(tmp_path, fixed=False, clock=SystemClock())
    try:
        await stage.open(print)
        assert await page(stage)
    finally:
        await stage.close()
        stage.taken.close()
