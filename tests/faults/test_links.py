"""The faults on links, on real connections, each seen by a client of the test's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from statistics import median

import pytest

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.platforms.local import LocalPlatform
from tests.local_stage import RUN, Stage, ask, until


async def opened(stage: Stage) -> LocalPlatform:
    platform = stage.platform()
    await platform.system.up()
    await platform.open(RUN, lambda: True)
    return platform


async def seconds(stage: Stage, count: int = 3) -> float:
    """Of a round trip through the link, by the test itself."""
    asked = [await ask(stage.link_port) for _ in range(count)]
    assert all(answer.isdigit() for answer, _ in asked), asked
    return median(took for _, took in asked)


async def outcome(stage: Stage, patience: float = 0.4) -> str:
    answer, _ = await ask(stage.link_port, patience=patience)
    return "answered" if answer.isdigit() else answer


@pytest.mark.parametrize(("direction", "adds"), [("both", 0.6), ("request", 0.3), ("response", 0.3)])
async def test_latency_is_there_for_clients_until_the_undo(shared: Stage, direction: str, adds: float) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "network-latency", delay="300ms", direction=direction)
    await fault.check()
    prepared = await fault.prepare()
    assert not await fault.confirm(prepared)
    await fault.inject()
    assert adds - 0.005 <= await seconds(shared) < adds + 0.29
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    assert await fault.touched() == 3, "the test's own, not chaosrunner's looks"
    await fault.undo(prepared)
    assert await seconds(shared) < 0.2
    sighting = await fault.confirm(prepared)
    assert not sighting, sighting.how
    await platform.close()


async def test_jitter_varies_the_delay(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "network-latency", delay="50ms", jitter="50ms")
    prepared = await fault.prepare()
    await fault.inject()
    times = [took for _, took in await asyncio.gather(*(ask(shared.link_port) for _ in range(20)))]
    assert max(times) - min(times) > 0.05
    await fault.undo(prepared)
    await platform.close()


async def test_a_delay_that_is_longer_than_any_look_is_still_seen(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "network-latency", delay="30s")
    prepared = await fault.prepare()
    await fault.inject()
    sighting = await fault.confirm(prepared)
    assert sighting
    assert "no answer for" in sighting.how
    await fault.undo(prepared)
    assert not await fault.confirm(prepared)
    await platform.close()


async def test_a_slow_other_end_is_not_taken_for_the_delay(stage: Stage) -> None:
    """An injector that lies: nothing is in force, and the dependency is hung by somebody else."""
    platform = await opened(stage)
    fault = await stage.fault(platform, "network-latency", delay="100ms")
    prepared = await fault.prepare()
    target = await stage.target(platform, service="back")
    os.kill(int(str(target.details["pid"])), signal.SIGSTOP)
    sighting = await fault.confirm(prepared)
    assert not sighting
    assert "the other end itself is silent" in sighting.how
    os.kill(int(str(target.details["pid"])), signal.SIGCONT)
    await platform.close()


async def test_a_link_whose_other_end_does_not_answer_is_refused_while_planning(stage: Stage) -> None:
    platform = await opened(stage)
    target = await stage.target(platform, service="back")
    faults = [
        await stage.fault(platform, "network-latency", delay="100ms"),
        await stage.fault(platform, "dependency-loss"),
        await stage.fault(platform, "connection-reset"),
        await stage.fault(platform, "network-bandwidth", rate="10kB/s"),
    ]
    os.kill(int(str(target.details["pid"])), signal.SIGKILL)
    await until(lambda: not (stage.machine / "x").exists())
    for fault in faults:
        with pytest.raises(CannotDoHonestly):
            await fault.check()
    await platform.close()


async def test_a_delay_below_the_links_own_unrest_is_refused(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "network-latency", delay="1us")
    with pytest.raises(CannotDoHonestly, match="use a longer delay"):
        await fault.check()
    await platform.close()


async def test_bandwidth_is_narrow_for_clients_until_the_undo(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "network-bandwidth", rate="20kB/s")
    await fault.check()
    prepared = await fault.prepare()
    assert not await fault.confirm(prepared)
    await fault.inject()
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    _, took = await ask(shared.link_port, "/big/10000")
    assert 0.4 < took < 2
    await fault.undo(prepared)
    assert (await ask(shared.link_port, "/big/10000"))[1] < 0.3
    sighting = await fault.confirm(prepared)
    assert not sighting, sighting.how
    await platform.close()


async def test_a_bandwidth_that_cannot_be_told_from_none_is_refused_with_what_would_work(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "network-bandwidth", rate="10GB/s")
    with pytest.raises(CannotDoHonestly, match=r"could not be told from none; use at most [\d.]+ [MkG]?B/s"):
        await fault.check()
    await platform.close()


async def test_bandwidth_without_http_at_the_other_end_is_refused(stage: Stage) -> None:
    stage.back = {"ready": {"tcp": f"127.0.0.1:{stage.port}"}}
    platform = await opened(stage)
    fault = await stage.fault(platform, "network-bandwidth", rate="10kB/s")
    with pytest.raises(CannotDoHonestly, match=r"ready: \{http: URL\}"):
        await fault.check()
    await platform.close()


async def test_latency_is_seen_on_plain_tcp_too(stage: Stage) -> None:
    stage.back = {"ready": {"tcp": f"127.0.0.1:{stage.port}"}}
    platform = await opened(stage)
    fault = await stage.fault(platform, "network-latency", delay="100ms")
    await fault.check()
    prepared = await fault.prepare()
    await fault.inject()
    assert await fault.confirm(prepared)
    await fault.undo(prepared)
    assert not await fault.confirm(prepared)
    await platform.close()


@pytest.mark.parametrize(("mode", "sign"), [("refuse", "refused"), ("hang", "silent"), ("reset", "reset")])
async def test_a_lost_dependency_is_lost_in_its_way_until_the_undo(shared: Stage, mode: str, sign: str) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "dependency-loss", mode=mode)
    await fault.check()
    prepared = await fault.prepare()
    assert not await fault.confirm(prepared)
    await fault.inject()
    assert await outcome(shared) == sign
    assert (await ask(shared.port))[0].isdigit(), "others still reach it"
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    assert await fault.touched() == (None if mode == "refuse" else 1)
    await fault.undo(prepared)
    assert await outcome(shared, 2.0) == "answered"
    assert not await fault.confirm(prepared)
    await platform.close()


async def test_a_share_of_connections_is_reset_and_the_rest_is_not(shared: Stage) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "dependency-loss", mode="reset", share="50%")
    prepared = await fault.prepare()
    await fault.inject()
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    outcomes = await asyncio.gather(*(outcome(shared, 3.0) for _ in range(30)))
    assert {"answered", "reset"} == set(outcomes)
    assert await fault.touched() == outcomes.count("reset")
    await fault.undo(prepared)
    await platform.close()


def test_a_share_of_connections_cannot_be_refused() -> None:
    from chaosrunner import catalog

    with pytest.raises(ValueError, match="a port is open or closed for all: use mode: reset"):
        catalog.find("faults", "dependency-loss").Params.model_validate({"mode": "refuse", "share": "50%"})


@pytest.mark.parametrize("after", ["0s", "300ms"])
async def test_connections_are_reset_after_their_time_until_the_undo(shared: Stage, after: str) -> None:
    platform = await opened(shared)
    fault = await shared.fault(platform, "connection-reset", after=after)
    await fault.check()
    prepared = await fault.prepare()
    assert not await fault.confirm(prepared)
    await fault.inject()

    def idle() -> str:
        """Connects and says nothing for a second."""
        with socket.create_connection(("127.0.0.1", shared.link_port)) as connection:
            connection.settimeout(1.0)
            try:
                return "closed" if connection.recv(1) == b"" else "data"
            except TimeoutError:
                return "open"
            except ConnectionResetError:
                return "reset"

    assert await asyncio.to_thread(idle) == "reset"
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    await fault.undo(prepared)
    assert await asyncio.to_thread(idle) == "open"
    assert not await fault.confirm(prepared)
    await platform.close()


@pytest.mark.parametrize("kind", ["network-latency", "dependency-loss"])
async def test_without_a_heartbeat_a_link_is_whole_again_by_itself(shared: Stage, kind: str) -> None:
    platform = await opened(shared)
    params = {"delay": "5s"} if kind == "network-latency" else {}
    fault = await shared.fault(platform, kind, **params)
    await fault.inject()
    assert await outcome(shared) != "answered"
    await platform.close()

    async def whole() -> bool:
        return await outcome(shared) == "answered"

    await until(whole)


async def test_a_proxy_that_dies_is_a_target_that_is_gone_and_its_undo_is_harmless(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "network-latency", delay="100ms")
    prepared = await fault.prepare()
    await fault.inject()
    os.kill(int(str(fault.target.details["pid"])), signal.SIGKILL)

    async def gone() -> bool:
        return bool(await platform.gone(fault.target))

    await until(gone)
    assert "the proxy of way" in await platform.gone(fault.target)
    assert not await fault.confirm(prepared)
    await fault.undo(prepared)
    with pytest.raises(FaultFailed, match="local up"):
        await fault.inject()
    await platform.close()
