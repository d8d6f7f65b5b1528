"""The traffic probe, on windows as the load tells them."""

from __future__ import annotations

import dataclasses

import pytest

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.ports import TrafficWindow

GOOD = TrafficWindow(seconds=5.0, due=250, answered=245, errors=5, p50=0.01, p95=0.05, p99=0.2)
DEAD = TrafficWindow(
    seconds=5.0, due=250, answered=0, errors=250, p50=None, p95=None, p99=None, why="connection refused"
)
SILENT = TrafficWindow(seconds=5.0, due=250, answered=0, errors=0, p50=None, p95=None, p99=None)


class Told:
    """A load that saw this."""

    def __init__(self, window: TrafficWindow | None) -> None:
        self._window = window
        self.asked: list[float] = []

    def window(self, seconds: float) -> TrafficWindow:
        self.asked.append(seconds)
        if self._window is None:
            raise NoReading("the load generator fell behind its own schedule")
        return self._window


@pytest.fixture
def read(context, probe):
    async def reading(window: TrafficWindow | None, what: str, **more: str) -> object:
        within = dataclasses.replace(context, traffic=Told(window))
        return await probe("traffic", within=within, read=what, **more).read()

    return reading


@pytest.mark.parametrize(
    ("what", "value"), [("errorRatio", 0.02), ("throughput", 49.0), ("p50", 0.01), ("p95", 0.05), ("p99", 0.2)]
)
async def test_it_reads_what_the_load_saw(read, what, value):
    assert await read(GOOD, what) == value


async def test_a_dead_system_has_an_error_ratio_and_a_throughput_but_no_latency(read):
    assert await read(DEAD, "errorRatio") == 1
    assert await read(DEAD, "throughput") == 0
    with pytest.raises(NoAnswer, match=r"none of the 250 requests of the last 5 s was answered: connection refused"):
        await read(DEAD, "p95")


@pytest.mark.parametrize("what", ["errorRatio", "p50", "p95", "p99"])
async def test_a_system_that_hangs_is_no_answer_before_its_requests_time_out(read, what):
    with pytest.raises(NoAnswer, match="none of the 250 requests"):
        await read(SILENT, what)


@pytest.mark.parametrize("what", ["errorRatio", "throughput", "p50", "p95", "p99"])
async def test_a_generator_that_fell_behind_is_no_reading(read, what):
    with pytest.raises(NoReading, match="fell behind"):
        await read(None, what)


@pytest.mark.parametrize(
    ("late", "still_read"),
    [
        (0.004, {"errorRatio", "throughput", "p50", "p95", "p99"}),
        (0.02, {"errorRatio", "throughput", "p50", "p95"}),
        (0.1, {"errorRatio", "throughput", "p50"}),
    ],
)
async def test_what_was_started_late_spoils_the_quantiles_that_it_reaches(read, late, still_read):
    window = dataclasses.replace(GOOD, late=late)
    for what in ("errorRatio", "throughput", "p50", "p95", "p99"):
        if what in still_read:
            await read(window, what)
        else:
            with pytest.raises(NoReading, match=f"started {late:.1%} of its requests late, too many for a {what}"):
                await read(window, what)


async def test_an_experiment_without_traffic_or_a_dry_run_is_no_reading(probe):
    with pytest.raises(NoReading, match="the experiment's `traffic` sends it, and only during a run"):
        await probe("traffic", read="p95").read()


async def test_the_window_is_the_lag_and_what_the_load_is_asked_for(context, probe):
    told = Told(GOOD)
    asked = probe("traffic", within=dataclasses.replace(context, traffic=told), read="p95", over="3s")
    await asked.read()
    assert told.asked == [3.0]
    assert type(asked).lag(asked.params) == 3.0


@pytest.mark.parametrize(
    ("what", "unit", "kind"),
    [("errorRatio", "ratio", "ratio"), ("throughput", "/s", "rate"), ("p95", "s", "latency")],
)
def test_it_knows_its_units(what, unit, kind):
    plugin = catalog.find("probes", "traffic")
    params = plugin.Params.model_validate({"read": what})
    assert (plugin.unit(params), plugin.kind_of(params), plugin.lag(params)) == (unit, kind, 5.0)
