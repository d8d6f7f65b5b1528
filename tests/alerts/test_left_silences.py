"""Silences of runs whose journals are elsewhere: found by their words in a real Alertmanager, and ended if nobody needs
them any more (real_time: Alertmanager is started).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from chaosrunner.alerts import Alertmanager
from chaosrunner.clock import SystemClock
from chaosrunner.engine.silencing import SPARE, end_left
from chaosrunner.http import Http
from chaosrunner.model.alerts import SilenceFound, comment_of
from chaosrunner.model.environment import AlertmanagerSource
from chaosrunner.model.journal import SilencePrepared
from tests.alerts.monitoring import Monitored

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """Only its Alertmanager runs: Prometheus takes seconds to find its targets, and is not asked here."""
    made = Monitored(tmp_path_factory.mktemp("silenced"))
    try:
        made.alertmanager.start()
        yield made
    finally:
        made.end()


@pytest.fixture
async def silences(system: Monitored) -> AsyncIterator[Alertmanager]:
    async with Http(CLOCK) as http:
        yield Alertmanager(AlertmanagerSource.model_validate({"url": system.alertmanager.url}), http)


async def made(silences: Alertmanager, comment: str, lasts: float = 3600.0) -> str:
    now = CLOCK.now()
    order = SilencePrepared(matchers=(f'run="{comment}"',), starts_at=now, ends_at=now + lasts, comment=comment)
    return await silences.make(order)


async def left(silences: Alertmanager) -> set[str]:
    return {each.id for each in await silences.ours()}


@pytest.mark.real_time
async def test_those_of_dead_runs_are_ended_and_those_of_living_ones_and_others_are_not(silences: Alertmanager) -> None:
    dead = await made(silences, comment_of("20261122-dead", "slow", "staging"))
    alive = await made(silences, comment_of("20261122-alive", "slow", "staging"))
    elsewhere = await made(silences, comment_of("20261122-other", "slow", "production"))
    day = await made(silences, "chaosrunner game day 20261122-day")
    earlier = await made(silences, "chaosrunner run 20261122-old: experiment slow")

    async def living() -> frozenset[str]:
        return frozenset({"20261122-alive"})

    ended = await end_left(silences, "staging", living, CLOCK.now())
    assert {run: (one.ids, one.trouble) for run, one in ended.items()} == {"20261122-dead": ((dead,), "")}
    assert await left(silences) == {alive, elsewhere, day, earlier}
    for each in (alive, elsewhere, day, earlier):
        await silences.end(each)


@pytest.mark.real_time
async def test_where_nobody_can_tell_who_lives_only_what_is_over_is_ended(silences: Alertmanager) -> None:
    over = await made(silences, comment_of("20261122-over", "slow", "laptop"), lasts=SPARE - 1)
    perhaps = await made(silences, comment_of("20261122-perhaps", "slow", "laptop"))

    async def nobody_knows() -> None:
        return None

    ended = await end_left(silences, "laptop", nobody_knows, CLOCK.now())
    assert ended["20261122-over"].ids == (over,)
    assert (ended["20261122-perhaps"].ids, ended["20261122-perhaps"].trouble) == (
        (),
        "whether its run is under way cannot be told from here",
    )
    assert await left(silences) == {perhaps}
    await silences.end(perhaps)


@pytest.mark.real_time
def test_heal_of_an_environment_looks_for_them(system: Monitored) -> None:
    import asyncio

    async def plant() -> None:
        async with Http(CLOCK) as http:
            there = Alertmanager(AlertmanagerSource.model_validate({"url": system.alertmanager.url}), http)
            await made(there, comment_of("20261122-elsewhere", "slow", "watched"), lasts=SPARE - 1)

    asyncio.run(plant())
    code, output = system.command("heal", "-e", "environment.yaml")
    assert "of the dead run 20261122-elsewhere" in output, output
    assert code == 0
    assert system.silences() == []


def test_what_is_not_a_runs_has_no_run() -> None:
    found = SilenceFound("1", "chaosrunner game day 7", 0.0)
    assert (found.run, found.environment) == ("", "")
