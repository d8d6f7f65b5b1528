"""What stands in a real Pushgateway after runs."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.ports import Notifier, ProbeContext
from tests.alerts.monitoring import Service
from tests.debian import program
from tests.loopback import free_port
from tests.serve.test_metrics import ABORTED, NOW, Values, near_miss, run, value, values


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Service]:
    port = free_port()
    words = [program("prometheus-pushgateway", "prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}"]
    service = Service(tmp_path, words, f"http://127.0.0.1:{port}")
    await asyncio.to_thread(service.start)
    yield service
    service.stop()


@pytest.fixture
async def push(gateway: Service, tmp_path: Path) -> AsyncIterator[Any]:
    async with Http(SystemClock(), folder=tmp_path, environ={}) as http:
        plugin = catalog.find("notifiers", "pushgateway")

        async def pushed(figures: Any, near_misses: Any, **params: Any) -> None:
            given = plugin.Params.model_validate({"url": gateway.url} | params)
            notifier: Notifier[Any] = plugin(given, ProbeContext(SystemClock(), http, tmp_path))
            await notifier.send(
                {
                    "event": "run-ended",
                    "at": NOW,
                    "service": figures.service,
                    "environmentClass": "demo",
                    "figures": figures.as_json(),
                    "nearMisses": None if near_misses is None else [one.as_json() for one in near_misses],
                }
            )

        yield pushed


def held(gateway: Service) -> Values:
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=5) as answer:
        return values(answer.read())


RUN = {"experiment": "slow", "environment": "staging", "job": "chaosrunner", "instance": ""}
NEAR_MISSES = {"service": "checkout", "environment_class": "demo", "job": "chaosrunner", "instance": ""}


async def test_the_last_run_replaces_the_one_before_and_no_other(gateway: Service, push: Any) -> None:
    await push(run(experiment="other"), None)
    await push(ABORTED, [near_miss(environment_class="demo"), near_miss(environment_class="demo", overdue=True)])
    found = held(gateway)
    assert value(found, "last_run_exit_code", **RUN) == 1
    assert value(found, "last_run_abort_seconds", **RUN) == 0.4
    assert value(found, "last_run_detection_seconds", **RUN, source="prometheus") == 12
    assert value(found, "near_misses", **NEAR_MISSES, state="open", priority="P2") == 2
    assert value(found, "near_misses_overdue", **NEAR_MISSES, priority="P2") == 1
    await push(run(), [])
    found = held(gateway)
    assert value(found, "last_run_exit_code", **RUN) == 0
    assert value(found, "last_run_abort_seconds", **RUN) is None, "what is not so any more is gone"
    assert value(found, "near_misses", **NEAR_MISSES, state="open", priority="P2") is None
    assert value(found, "last_run_exit_code", **(RUN | {"experiment": "other"})) == 0


async def test_a_register_that_cannot_be_read_leaves_what_was_known(gateway: Service, push: Any) -> None:
    await push(run(), [near_miss(environment_class="demo")])
    await push(run(), None)
    assert value(held(gateway), "near_misses", **NEAR_MISSES, state="open", priority="P2") == 1


async def test_a_job_with_a_slash_is_a_job(gateway: Service, push: Any) -> None:
    await push(run(), None, job="team/a b")
    assert value(held(gateway), "last_run_exit_code", **(RUN | {"job": "team/a b"})) == 0


async def test_a_refusal_is_said(gateway: Service, push: Any) -> None:
    with pytest.raises(NotPossibleNow, match=r"the Pushgateway refused the metrics \(404\)"):
        await push(run(), None, url=f"{gateway.url}/elsewhere")
