"""The prometheus-slo probe: its arithmetic against the worked examples of the book, and read from a real Prometheus."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoReading
from chaosrunner.model.error_budget import budget_left, burn_rate
from tests.metrics.prometheus_server import History, PrometheusServer, every

DAY, HOUR = 86400.0, 3600.0
COUNTERS = {"objective": "99.9%", "bad": 'r{code="500"}', "total": "r"}


@pytest.mark.parametrize(
    ("errors", "burning", "gone_after"),
    [(0.001, 1, 30 * DAY), (0.002, 2, 15 * DAY), (0.01, 10, 3 * DAY), (1, 1000, 2592)],
)
def test_burn_rates_and_the_time_until_the_budget_is_gone_are_those_of_the_workbook(errors, burning, gone_after):
    """The Site Reliability Workbook, chapter 5, "Burn rates and time to complete budget exhaustion"; 2592 s are the 43
    minutes that it prints."""
    assert burn_rate(errors, 0.999) == pytest.approx(burning)
    bad_over_the_window = errors * gone_after / (30 * DAY)
    assert budget_left(bad_over_the_window, 0.999) == pytest.approx(0)


@pytest.mark.parametrize(("burning", "seconds", "used"), [(14.4, HOUR, 0.02), (6, 6 * HOUR, 0.05), (1, 3 * DAY, 0.10)])
def test_what_the_workbooks_burn_rates_use_of_the_budget(burning, seconds, used):
    """The same, "Multiple Burn Rate Alerts": the recommended rates for 2 %, 5 % and 10 % of the budget."""
    errors = burning * (1 - 0.999)
    assert burn_rate(errors, 0.999) == pytest.approx(burning)
    assert budget_left(errors * seconds / (30 * DAY), 0.999) == pytest.approx(1 - used)


def test_a_missed_objective_leaves_less_than_nothing():
    assert budget_left(0.002, 0.999) == pytest.approx(-1)


@pytest.fixture
def read(probe, tmp_path):
    async def read(history: History, **params: Any) -> Any:
        async with PrometheusServer(tmp_path, history=history) as prometheus:
            return await probe("prometheus-slo", url=prometheus.url, **{**COUNTERS, **params}).read()

    return read


def traffic(
    now: float, errors: float, *, since: float = HOUR, step: float = 5, burst: float = 0, until: float = 0
) -> History:
    """A thousand requests each step, that share of them bad; in the last `burst` seconds all of them."""
    good, bad = [], []
    sums = [0.0, 0.0]
    for at in every(step, since, until, now):
        share = 1.0 if now - at < burst else errors
        sums = [sums[0] + 1000 * (1 - share), sums[1] + 1000 * share]
        good.append((at, sums[0]))
        bad.append((at, sums[1]))
    return {'r{code="200"}': good, 'r{code="500"}': bad}


async def test_the_burn_rate_is_the_lower_of_a_long_and_a_short_time(read):
    now = time.time()
    steady = await read(traffic(now, 0.0144, since=1.2 * HOUR), long="1h")
    assert steady == pytest.approx(14.4, rel=0.01)


async def test_a_burst_that_is_over_does_not_burn_any_more(read):
    now = time.time()
    past = traffic(now, 0.0, since=1.2 * HOUR)
    hit = traffic(now, 0.0, since=1.2 * HOUR, burst=60)
    assert await read(hit, long="1h", short="5m") > 14.4
    assert await read(past, long="1h", short="5m") == 0


async def test_what_is_left_of_a_budget_over_its_window(read):
    now = time.time()
    past = traffic(now, 0.00025, since=2.1 * DAY, step=300)
    left = await read({**past, **{}}, read="budget", window="2d", maxAge="10m")
    assert left == pytest.approx(0.75, abs=0.01)


async def test_a_window_that_prometheus_does_not_remember_is_no_reading(read):
    now = time.time()
    with pytest.raises(NoReading, match="no data for r from the oldest part of 1d: Prometheus keeps too little"):
        await read(traffic(now, 0.01), read="budget", window="1d")


async def test_no_data_too_few_events_and_a_stale_total_are_no_reading(read):
    now = time.time()
    with pytest.raises(NoReading, match="no sample of r is younger than 15s"):
        await read({}, long="10m")
    with pytest.raises(NoReading, match="no sample of r is younger than 15s"):
        await read(traffic(now, 0.01, until=60), long="10m")
    with pytest.raises(NoReading, match=r"events over 10m, at least 1e\+06 are needed"):
        await read(traffic(now, 0.01), long="10m", minimum=1_000_000)


async def test_no_bad_events_beside_a_live_total_burn_nothing(read):
    past = traffic(time.time(), 0.0)
    assert await read({'r{code="200"}': past['r{code="200"}']}, long="10m") == 0


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "needs long"),
        ({"window": "30d"}, "needs long"),
        ({"read": "budget"}, "needs window"),
        ({"read": "budget", "window": "30d", "long": "1h"}, "neither long nor short"),
        ({"long": "1h", "short": "2h"}, "shorter than the long one"),
        ({"long": "1h", "objective": "100%"}, "less than 1"),
        ({"long": "1h", "bad": "rate(r[5m])"}, "expected a selector"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "prometheus-slo").Params.model_validate({**COUNTERS, **params})


def test_its_lag_is_the_shorter_time_and_the_age_of_samples():
    plugin = catalog.find("probes", "prometheus-slo")
    assert plugin.lag(plugin.Params.model_validate({**COUNTERS, "long": "1h"})) == 315
    assert plugin.lag(plugin.Params.model_validate({**COUNTERS, "long": "10m", "short": "1m"})) == 75
