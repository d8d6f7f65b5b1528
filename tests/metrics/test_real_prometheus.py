"""The prometheus probe against a real Prometheus: counters as they really are, and a server in trouble."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import NoReading
from tests import loopback
from tests.metrics.prometheus_server import History, PrometheusServer, every

STEP = 5.0
RATIO = {"bad": 'r{code="500"}', "total": "r", "over": "60s"}


def grown(times: list[float], start: float, step: float) -> list[tuple[float, float]]:
    return [(at, start + step * index) for index, at in enumerate(times)]


def up(now: float, since: float = 300.0, until: float = 0.0) -> dict[str, list[tuple[float, float]]]:
    return {'up{job="shop",instance="a"}': [(at, 1.0) for at in every(STEP, since, until, now)]}


def labels(code: str, instance: str = "a") -> str:
    return f'r{{job="shop",instance="{instance}",code="{code}"}}'


def restarted(now: float) -> History:
    """Counters of 90 good and 10 bad events a scrape, whose process starts again half a minute ago."""
    times = every(STEP, 300, 0, now)
    cut = len(times) - 6
    codes = {
        code: grown(times[:cut], 1e6, pace) + grown(times[cut:], pace, pace)
        for code, pace in ((labels("200"), 90), (labels("500"), 10))
    }
    return {**codes, **up(now)}


def joined_by(old: str, young: str, now: float, **more: list[tuple[float, float]]) -> History:
    """Another counter has been there for long; this one is first scraped 10 s ago, and is at 120 already."""
    return {
        old: grown(every(STEP, 300, 0, now), 1000, 100),
        young: grown(every(STEP, 10, 0, now), 120, 0),
        **up(now),
        **more,
    }


def begun(at: float, now: float) -> dict[str, list[tuple[float, float]]]:
    """What instance b says of when it began."""
    return {'process_start_time_seconds{job="shop",instance="b"}': [(t, at) for t in every(STEP, 10, 0, now)]}


@pytest.fixture
def read(probe, tmp_path):
    """Read once from a Prometheus with this past."""

    async def read(history: History, **params: Any) -> Any:
        async with PrometheusServer(tmp_path, history=history) as prometheus:
            return await probe("prometheus", url=prometheus.url, **params).read()

    return read


async def test_a_ratio_of_steady_counters(read):
    now = time.time()
    times = every(STEP, 300, 0, now)
    past = {labels("200"): grown(times, 1e6, 95), labels("500"): grown(times, 7, 5), **up(now)}
    assert await read(past, ratio=RATIO) == pytest.approx(0.05)


async def test_counters_that_restart_with_their_process_lose_nothing(read):
    assert await read(restarted(time.time()), ratio=RATIO) == pytest.approx(0.1, rel=0.02)


GOOD = {"good": 'r{code="200"}', "total": "r", "over": "60s"}


async def test_good_events_in_place_of_bad_ones_with_restarts_too(read):
    assert await read(restarted(time.time()), ratio=GOOD) == pytest.approx(0.1, rel=0.02)


async def test_where_all_events_are_bad_the_good_ones_are_none(read):
    now = time.time()
    times = every(STEP, 300, 0, now)
    assert await read({labels("500"): grown(times, 1e6, 95), **up(now)}, ratio=GOOD) == 1.0


async def test_good_events_of_a_counter_that_appears_are_counted(read):
    past = joined_by(labels("500"), labels("200"), time.time())
    assert await read(past, ratio=GOOD) == pytest.approx(1200 / 1320, rel=0.1)


async def test_a_first_scrape_that_is_already_high_counts_where_its_target_was_scraped_before(read):
    past = joined_by(labels("200"), labels("500"), time.time())
    assert await read(past, ratio=RATIO) == pytest.approx(120 / 1320, rel=0.1)


async def test_a_first_scrape_that_is_already_high_counts_where_its_process_is_young(read):
    now = time.time()
    past = joined_by(labels("200"), labels("500", "b"), now, **begun(now - 20, now))
    assert await read(past, ratio=RATIO) == pytest.approx(120 / 1320, rel=0.1)


async def test_a_first_scrape_that_is_already_high_of_a_target_nobody_knew_is_no_reading(read):
    now = time.time()
    past = joined_by(labels("200"), labels("500", "b"), now, **begun(now - 7200, now))
    with pytest.raises(NoReading, match="with 120 bad and 0 good events already counted, and nobody knows when"):
        await read(past, ratio=RATIO)


async def test_a_ratio_without_events_is_no_reading(read):
    now = time.time()
    times = every(STEP, 300, 0, now)
    past = {labels("200"): grown(times, 1e6, 0), labels("500"): grown(times, 7, 0), **up(now)}
    with pytest.raises(NoReading, match="0 events over 1m, at least 1 are needed"):
        await read(past, ratio=RATIO)
    with pytest.raises(NoReading, match=r"the value is NaN \(0 divided by 0, perhaps\)"):
        await read(past, query="sum(rate(r[1m])) / sum(rate(r[1m]))")


async def test_a_scrape_interval_longer_than_the_range_is_no_reading(read):
    now = time.time()
    past = {labels("200"): grown(every(90, 900, 5, now), 1e6, 100), labels("500"): grown(every(90, 900, 5, now), 7, 5)}
    with pytest.raises(NoReading, match=r"no data for r over 1m \(at least two scrapes are needed\)"):
        await read(past, ratio=RATIO)
    with pytest.raises(NoReading, match="no data"):
        await read(past, query="sum(rate(r[1m]))")


async def test_samples_of_a_dead_source_are_no_reading_where_prometheus_repeats_them(read, tmp_path):
    now = time.time()
    past = {"depth": grown(every(STEP, 300, 100, now), 4, 0), **up(now, until=-5)}
    with pytest.raises(NoReading, match=r"the newest sample of depth is \d+ s old, at most 15 s are allowed"):
        await read(past, query="depth")
    with pytest.raises(NoReading, match=r"it repeats samples for 5 minutes|no data"):
        await read(past, query="sum(depth)")
    with pytest.raises(NoReading, match="no data"):
        await read(past, query="sum(last_over_time(depth[15s]))")


async def test_queries_that_do_not_give_one_number_are_no_reading_in_its_own_words(read):
    now = time.time()
    times = every(STEP, 60, 0, now)
    past = {labels("200"): grown(times, 1, 1), labels("500"): grown(times, 1, 1)}
    for query, words in (
        ("sum(rate(r[1m])", "refused the query .bad_data.: .*unclosed left parenthesis"),
        ("r", "gives 2 series"),
        ("sum by (code) (rate(r[1m]))", "gives 2 series"),
        ("r[1m]", "gives a matrix, expected one number"),
        ('r{code="404"}', "no data for"),
        ("1 / 0 + sum(rate(r[1m]))", r"the value is \+Inf"),
        ("r * on (job) r", "refused the query .execution.: .*many-to-many"),
    ):
        with pytest.raises(NoReading, match=words):
            await read(past, query=query)


async def test_a_range_is_read_over_its_moments_and_refused_with_holes(read):
    now = time.time()
    past = {"depth": grown(every(1, 120, 0, now), 0, 1), "holes": grown(every(1, 25, 0, now), 0, 1)}
    highest = await read(past, query="last_over_time(depth[2s])", over="60s", step="1s", take="max")
    assert highest == pytest.approx(120, abs=3)
    middle = await read(past, query="last_over_time(depth[2s])", over="60s", step="1s", take="p50")
    assert middle == pytest.approx(90, abs=3)
    with pytest.raises(NoReading, match=r"\d+ of 61 moments within 1m have a number"):
        await read(past, query="last_over_time(holes[2s])", over="60s", step="1s", take="max")


# -- in trouble


async def test_a_prometheus_that_hangs_restarts_or_is_gone_is_no_reading_and_then_reads_again(probe, tmp_path):
    now = time.time()
    past = {"depth": grown(every(STEP, 60, -60, now), 4, 0)}
    async with PrometheusServer(tmp_path, history=past) as prometheus:
        reader = probe("prometheus", url=prometheus.url, query="depth", timeout="2s")
        assert await reader.read() == 4
        prometheus.hang()
        with pytest.raises(NoReading, match=r"no answer within 2 s"):
            await reader.read()
        prometheus.go_on()
        assert await reader.read() == 4
        await prometheus.stop()
        with pytest.raises(NoReading, match="connection refused"):
            await reader.read()
        await prometheus.start()
        assert await reader.read() == 4


async def test_a_proxy_that_answers_503_for_prometheus_is_left_alone_for_as_long_as_it_asks(probe, server):
    page = loopback.raw(loopback.page(b"<h1>Overloaded</h1>", 503, "text/html", Retry_After="30"))
    server.on("/api/v1/query", page)
    with pytest.raises(NoReading, match=r"asks for 30 s of patience \(503\): Overloaded"):
        await probe("prometheus", url=server.url(), query="up").read()
    with pytest.raises(NoReading, match="asked for patience, it is asked again in 30 s"):
        await probe("prometheus", url=server.url(), query="down").read()
    assert len(server.met) == 1


async def test_a_prometheus_that_lags_behind_its_target_is_no_reading(probe, server, tmp_path):
    """The target stops answering, so that what Prometheus knows grows old."""
    server.on("/metrics", loopback.text("depth 4\n"))
    config = (
        "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\n"
        f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]}}]\n"
    )
    async with PrometheusServer(tmp_path, config) as prometheus:
        reader = probe("prometheus", url=prometheus.url, query="depth", maxAge="1s")
        assert await until_read(reader) == 4
        server.on("/metrics", loopback.hang)
        with pytest.raises(NoReading, match=r"no data for depth|is . s old"):
            async with asyncio.timeout(10):
                while True:
                    await reader.read()
                    await asyncio.sleep(0.05)


async def until_read(reader: Any) -> Any:
    """The first reading that there is."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await reader.read()
            except NoReading:
                await asyncio.sleep(0.05)


def test_the_package_is_named_where_the_program_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tests.debian import program

    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        program("no-such-program", "nothing")
