"""Looks through a link: light, over in time, and never a fault where there is none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.target import Target
from chaosrunner.platforms.local import LocalPlatform, sampling
from chaosrunner.platforms.local.links import SILENT_AFTER
from chaosrunner.ports import Fault, Hold, Links, LinkSample, NetworkEffect, Platform
from tests.local_stage import RUN, Stage, ask, until
from tests.virtual_time import run_virtually

LOOK = 5.0
"""Seconds that the engine gives a look."""


class Line(Links):
    """A link of which a test says what becomes of each connection; it counts how many there are at once."""

    def __init__(
        self,
        through: Callable[[int], LinkSample] = lambda number: LinkSample("answered", 0.003),
        around: Callable[[int], LinkSample] = lambda number: LinkSample("answered", 0.003),
    ) -> None:
        self.through, self.around = through, around
        self.passed = self.past = self.open = self.most = 0

    def ability(self, kind: type) -> Line:
        return self

    async def shape(self, target: Target, effect: NetworkEffect, hold: Hold) -> None:
        """What becomes of connections is for the test to say."""

    async def release(self, target: Target, hold: Hold) -> None:
        """There is nothing to take back."""

    async def met(self, target: Target, hold: Hold) -> int | None:
        return None

    async def sample(self, target: Target, payload: int = 0, *, stay: float = 0.0, around: bool = False) -> LinkSample:
        if around:
            self.past += 1
            sample = self.around(self.past)
        else:
            self.passed += 1
            sample = self.through(self.passed)
        seconds = sample.seconds + (0.0 if sample.outcome in ("reset", "refused") else stay)
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(seconds)
        self.open -= 1
        return LinkSample(sample.outcome, seconds)

    def fault(self, kind: str, **params: Any) -> Fault[Any]:
        plugin = catalog.find("faults", kind)
        target = Target(kind="link", id="way", name="way")
        hold = Hold(f"{RUN}.step.1", RUN, 0.0, 30)
        made: Fault[Any] = plugin(plugin.Params.model_validate(params), target, cast(Platform, self), hold)
        return made


def quick(number: int) -> LinkSample:
    return LinkSample("answered", 0.003)


def silent(number: int) -> LinkSample:
    return LinkSample("silent", 1.4)


def only(number: int, then: LinkSample) -> Callable[[int], LinkSample]:
    """Each connection is answered at once but one."""
    return lambda count: then if count == number else quick(count)


SHARES = [
    ("dependency-loss", {"mode": "hang", "share": "20%"}),
    ("dependency-loss", {"mode": "reset", "share": "18%"}),
    ("connection-reset", {"share": "18%"}),
    ("connection-reset", {"after": "200ms", "share": "30%"}),
]
ALL = [
    *SHARES,
    ("dependency-loss", {"mode": "refuse"}),
    ("dependency-loss", {"mode": "hang"}),
    ("connection-reset", {"after": "2s"}),
    ("network-latency", {"delay": "100ms"}),
    ("network-latency", {"delay": "1s", "jitter": "1s"}),
    ("network-latency", {"delay": "30s"}),
]


@pytest.mark.parametrize(("kind", "params"), ALL)
def test_looks_that_see_nothing_are_few_connections_and_few_at_once(kind: str, params: dict[str, str]) -> None:
    line = Line()
    fault = line.fault(kind, **params)
    run_virtually(fault.check())
    prepared = run_virtually(fault.prepare())
    assert line.most <= 4
    line.passed = line.past = 0
    assert not run_virtually(fault.confirm(prepared))
    assert line.most <= 4
    assert line.passed + line.past <= 34


@pytest.mark.parametrize(("kind", "params"), SHARES)
def test_a_look_is_over_as_soon_as_one_connection_is_hit(kind: str, params: dict[str, str]) -> None:
    sign = "silent" if params.get("mode") == "hang" else "reset"
    line = Line(through=only(2, LinkSample(sign, 1.4 if sign == "silent" else 0.2)))  # type: ignore[arg-type]
    sighting = run_virtually(line.fault(kind, **params).confirm({}))
    assert sighting, sighting.how
    assert line.passed <= 3


@pytest.mark.parametrize(("kind", "params"), ALL)
@pytest.mark.parametrize("answers", [0.003, 0.05, 0.3, 0.9, 1.3])
def test_a_look_ends_in_time_however_slow_and_whatever_it_meets(
    kind: str, params: dict[str, str], answers: float
) -> None:
    def slow(number: int) -> LinkSample:
        return LinkSample("answered", answers)

    async def takes(line: Line) -> float:
        began = asyncio.get_running_loop().time()
        await line.fault(kind, **params).confirm({"before": answers})
        return asyncio.get_running_loop().time() - began

    for through in (slow, silent, *(lambda n, last=last: silent(n) if n >= last else slow(n) for last in range(2, 30))):
        for around in (slow, silent):
            assert run_virtually(takes(Line(through, around))) < LOOK


@pytest.mark.parametrize(
    ("kind", "params"),
    [("dependency-loss", {"mode": "hang", "share": "1%"}), ("connection-reset", {"share": "17%"})],
)
def test_a_share_that_takes_too_many_connections_to_see_is_refused(kind: str, params: dict[str, str]) -> None:
    line = Line()
    with pytest.raises(CannotDoHonestly, match=r"at most 30 are made: use `share: 18%` or more"):
        run_virtually(line.fault(kind, **params).check())
    assert line.passed == 0


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("dependency-loss", {"mode": "hang", "share": "20%"}, r"takes 300 ms to answer.* use `share: 34%` or more"),
        (
            "connection-reset",
            {"after": "1s", "share": "30%"},
            r"time for 3.*`share: 86%` or more, or a shorter `after`",
        ),
    ],
)
def test_a_share_that_takes_too_long_to_see_is_refused_with_what_would_work(
    kind: str, params: dict[str, str], words: str
) -> None:
    def slow(number: int) -> LinkSample:
        return LinkSample("answered", 0.3)

    with pytest.raises(CannotDoHonestly, match=words) as refusal:
        run_virtually(Line(slow, slow).fault(kind, **params).check())
    found = str(refusal.value).partition("use `share: ")[2].partition("`")[0]
    run_virtually(Line(slow, slow).fault(kind, **{**params, "share": found}).check())


@pytest.mark.parametrize(
    ("around", "words"),
    [
        (only(2, LinkSample("silent", 1.4)), "past it silent"),
        (only(2, LinkSample("refused", 0.001)), "past it refused"),
        (only(1, LinkSample("answered", 0.9)), "past it answered in 900 ms"),
    ],
)
@pytest.mark.parametrize("share", ["100%", "20%"])
def test_silence_while_the_other_end_is_in_trouble_says_nothing_about_the_fault(
    around: Callable[[int], LinkSample], words: str, share: str
) -> None:
    sighting = run_virtually(Line(silent, around).fault("dependency-loss", mode="hang", share=share).confirm({}))
    assert not sighting
    assert "nothing can be said" in sighting.how
    assert words in sighting.how
    assert run_virtually(Line(silent).fault("dependency-loss", mode="hang", share=share).confirm({}))


@pytest.mark.parametrize(
    ("seconds", "jitter", "seen"),
    [
        ((0.2, 0.2), "0s", True),
        ((0.2, 0.003), "0s", False),
        ((0.003, 0.2, 0.2, 0.003), "100ms", True),
        ((0.003, 0.2, 0.003, 0.003), "100ms", False),
    ],
)
def test_one_connection_alone_does_not_make_a_delay(seconds: tuple[float, ...], jitter: str, seen: bool) -> None:
    line = Line(lambda number: LinkSample("answered", seconds[number - 1]))
    sighting = run_virtually(line.fault("network-latency", delay="100ms", jitter=jitter).confirm({"before": 0.003}))
    assert sighting.seen == seen
    assert line.passed == len(seconds)


# -- on real connections


async def opened(stage: Stage) -> LocalPlatform:
    platform = stage.platform()
    await platform.system.up()
    await platform.open(RUN, lambda: True)
    return platform


@pytest.mark.parametrize("queue", ["1", "5"])
async def test_a_hang_is_seen_gone_where_its_end_overruns_a_small_accept_queue(stage: Stage, queue: str) -> None:
    stage.options = ("--queue", queue)
    platform = await opened(stage)
    fault = await stage.fault(platform, "dependency-loss", mode="hang", share="50%")
    await fault.check()
    prepared = await fault.prepare()
    await fault.inject()
    callers = [asyncio.create_task(ask(stage.link_port, patience=20.0)) for _ in range(60)]

    async def in_force() -> bool:
        return bool(await fault.confirm(prepared))

    await until(in_force)  # a look may fall into the rush of the callers; the engine, too, looks again
    await fault.undo(prepared)
    sighting = await fault.confirm(prepared)
    assert not sighting, sighting.how
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await platform.close()


async def test_a_server_that_serves_one_at_a_time_is_not_held_up_by_looks(stage: Stage) -> None:
    stage.options = ("--serial", "--queue", "5")
    platform = await opened(stage)
    fault = await stage.fault(platform, "connection-reset", after="500ms")
    with pytest.raises(CannotDoHonestly, match=r"serves one connection at a time.*use `after: 0s`"):
        await fault.check()
    await (await stage.fault(platform, "connection-reset")).check()
    await platform.close()


async def test_a_slow_server_is_not_taken_for_one_that_serves_one_at_a_time(stage: Stage) -> None:
    stage.options = ("--slow", "0.5")
    platform = await opened(stage)
    await (await stage.fault(platform, "connection-reset", after="200ms")).check()
    await platform.close()


async def test_a_connection_that_was_given_up_on_leaves_nothing_behind() -> None:
    ends: list[str] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.settimeout(10)
            try:
                ends.append("closed" if connection.recv(1) == b"" else "data")
            except ConnectionResetError:
                ends.append("reset")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        path = sampling.Path("127.0.0.1", listening.getsockname()[1], "/")
        _, sample = await asyncio.gather(asyncio.to_thread(serve), sampling.sample(path, SystemClock(), 0.1))
    assert sample.outcome == "silent"
    assert ends == ["reset"]


async def test_a_request_to_connect_that_a_full_queue_dropped_once_is_no_silence() -> None:
    """TCP asks again after a second."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        filling = [socket.socket() for _ in range(3)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        looked = asyncio.create_task(
            sampling.sample(sampling.Path("127.0.0.1", listening.getsockname()[1], None), SystemClock(), SILENT_AFTER)
        )
        await asyncio.sleep(0.2)
        for one in filling:
            one.close()
        listening.setblocking(False)
        while not looked.done():
            with suppress(BlockingIOError):
                listening.accept()[0].close()
            await asyncio.sleep(0.01)
    sample = await looked
    assert sample.outcome == "answered"
    assert sample.seconds > 0.9, "it was not dropped, so that this says nothing"
