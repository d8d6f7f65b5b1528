"""Notifiers are told of a run in its order, and nothing that they do changes it or holds it up."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.announcing import Announcer, announce_dead
from chaosrunner.app.desk import Desk
from chaosrunner.app.orders import Order
from chaosrunner.app.running import run_experiment
from chaosrunner.app.telling import Marker, deliver
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotAccepted, NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.model.environment import Environment
from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Notifier, Parameters, ProbeContext
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.stages.detect import detect
from chaosrunner.stages.judge import judge
from chaosrunner.store.outbox import Outbox
from tests import loopback
from tests.notifiers.services import Grafana, serve
from tests.reports.journals import payments_are_slow


class Nothing(Parameters):
    pass


class Listens(Notifier[Nothing]):
    """Keeps what it is told."""

    def __init__(self, context: ProbeContext) -> None:
        super().__init__(Nothing(), context)
        self.told: list[JsonObject] = []

    async def send(self, event: JsonObject) -> None:
        json.dumps(event)
        self.told.append(event)


class Refuses(Listens):
    """Cannot be told anything."""

    async def send(self, event: JsonObject) -> None:
        raise NotPossibleNow("it is shut")


class Picky(Listens):
    """Never takes what begins."""

    async def send(self, event: JsonObject) -> None:
        if event["event"] == "fault-began":
            raise NotAccepted("it has no word for that")
        await super().send(event)


class MovingClock(SystemClock):
    """Of another time."""

    def __init__(self, at: float) -> None:
        self._at = at

    def now(self) -> float:
        return self._at


class Blocks(Listens):
    """Holds its whole thread up until it is let go."""

    go = threading.Event()

    async def send(self, event: JsonObject) -> None:
        self.go.wait(20)


ENTRIES = payments_are_slow(broken=True)
PLAN = ENTRIES[0].event.plan  # type: ignore[union-attr]


def desk(folder: Path, said: list[str]) -> Desk:
    return Desk(folder, SystemClock(), Http(SystemClock()), said.append)


async def told_by(folder: Path, makers: Any, grace: float = 10.0) -> list[str]:
    """Tell of a whole run; what was said to people."""
    said: list[str] = []
    announcer = Announcer(PLAN, desk(folder, said), makers, grace)
    for entry in ENTRIES:
        announcer.observe(entry)
    verdict = judge(ENTRIES)
    gaps = detect(verdict, PLAN)
    announcer.conclude(verdict, gaps, [ShownGap(gap) for gap in gaps], ENTRIES[0].at)
    await announcer.close()
    return said


async def test_a_run_is_told_in_its_order(tmp_path: Path) -> None:
    made: list[Listens] = []
    said = await told_by(tmp_path, {"listens": lambda context: made.append(Listens(context)) or made[-1]})
    events = made[0].told
    assert [one["event"] for one in events] == ["fault-began", "fault-ended", "near-miss", "run-ended"]
    assert len({one["id"] for one in events}) == 4
    began, ended, near_miss, end = events
    assert began["at"] < ended["at"] <= end["at"]  # type: ignore[operator]
    assert end["faultBegan"] == began["at"]
    assert near_miss["nearMiss"]["kind"] == "impact"  # type: ignore[call-overload,index]
    assert (end["word"], end["exitCode"], end["nearMisses"]) == ("BROKEN", 1, [])
    assert end["figures"]["gaps"] == ["impact"]  # type: ignore[call-overload,index]
    assert said == []


async def test_one_that_fails_is_said_once_and_hides_nothing_from_the_others(tmp_path: Path) -> None:
    made: list[Listens] = []
    makers = {"refuses": Refuses, "listens": lambda context: made.append(Listens(context)) or made[-1]}
    said = await told_by(tmp_path, makers)
    later = "4 to be told by the next run, or by `chaosrunner notify`"
    assert said == [f"the notifier refuses was not told of everything: it is shut; {later}"]
    assert len(made[0].told) == 4


async def test_what_could_not_be_told_is_told_later_in_its_order_and_with_its_own_time(tmp_path: Path) -> None:
    await told_by(tmp_path, {"listens": Refuses})
    made: list[Listens] = []
    clock = MovingClock(SystemClock().now() + 60)
    marker = Marker("laptop/listens", Listens(ProbeContext(clock, Http(clock), tmp_path)))
    made.append(marker.messenger)  # type: ignore[arg-type]
    told = await deliver([marker], Desk(tmp_path, clock, Http(clock), pytest.fail))
    assert told == 4
    assert [one["event"] for one in made[0].told] == ["fault-began", "fault-ended", "near-miss", "run-ended"]
    began = next(entry.at for entry in ENTRIES if entry.event.type == "phase-began" and entry.event.phase == "fault")
    assert made[0].told[0]["at"] == began
    assert await deliver([marker], Desk(tmp_path, clock, Http(clock), pytest.fail)) == 0


async def test_what_is_refused_for_good_is_not_told_again_and_holds_up_nothing(tmp_path: Path) -> None:
    made: list[Picky] = []
    said = await told_by(tmp_path, {"picky": lambda context: made.append(Picky(context)) or made[-1]})
    assert said == ["the notifier picky was not told of everything: it has no word for that"]
    assert [one["event"] for one in made[0].told] == ["fault-ended", "near-miss", "run-ended"]


async def test_what_was_begun_by_a_process_that_died_is_told_again(tmp_path: Path) -> None:
    clock = SystemClock()
    outbox = Outbox(tmp_path, clock)
    outbox.put(
        "laptop/listens", "run:fault-began", "run:fault-began", {"event": "fault-began", "id": "run:fault-began"}
    )
    assert outbox.take("laptop/listens", 600) is not None
    later = MovingClock(clock.now() + 120)
    listens = Listens(ProbeContext(later, Http(later), tmp_path))
    assert await deliver([Marker("laptop/listens", listens)], Desk(tmp_path, later, Http(later), pytest.fail)) == 1
    assert len(listens.told) == 1


async def test_one_that_blocks_its_thread_holds_nobody_up_for_longer_than_the_grace(tmp_path: Path) -> None:
    began = time.monotonic()
    try:
        said = await told_by(tmp_path, {"blocks": Blocks}, grace=0.2)
    finally:
        Blocks.go.set()
    assert time.monotonic() - began < 5
    assert said == [
        "notifiers were still being told after 0.2 s; what is left is told by the next run, or by `chaosrunner notify`"
    ]


async def test_a_run_that_died_is_told_to_its_end_by_whoever_heals_it(tmp_path: Path) -> None:
    stand_in = Grafana(token="")
    async with loopback.HttpServer() as server:
        url = serve(server, stand_in, "/api/annotations", "/api/annotations/60")
        stand_in.token = "x"
        environment = PLAN.environment.as_json()
        (tmp_path / "token").write_text("x")
        environment["spec"]["notify"] = [{"grafana": {"url": url, "bearerToken": {"file": str(tmp_path / "token")}}}]  # type: ignore[call-overload,index]
        plan = PLAN.model_copy(update={"environment": Environment.model_validate(environment)})
        dead = [entry for entry in ENTRIES if entry.t < 20]
        said: list[str] = []
        live = Announcer(plan, desk(tmp_path, said))
        for entry in dead:
            live.observe(entry)
        await live.close()
        assert [one["timeEnd"] - one["time"] for one in stand_in.annotations.values()] == [0]
        await announce_dead(plan, dead, judge(dead), [], desk(tmp_path, said))
        assert said == []
        (region,) = stand_in.annotations.values()
        assert region["timeEnd"] > region["time"]
        assert region["text"].startswith("BROKEN: checkout-when-payments-is-slow on laptop")
        await announce_dead(plan, ENTRIES, judge(ENTRIES), [], desk(tmp_path, said))
        assert len(stand_in.annotations) == 1, "one that ended by itself has told it all"


ENVIRONMENT = """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {{name: told}}
spec:
  platform: {{local: {{services: {{web: {{listens: 9}}}}}}}}
  notify:
    - grafana: {{url: "{grafana}", bearerToken: {{file: token}}}}
    - pushgateway: {{url: "{hanging}", timeout: 300ms}}
---
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: nothing}}
spec:
  title: Nothing happens
  environment: told
  hypotheses:
    - {{name: ok, title: It is, measures: [{{name: one, noop: {{}}, tolerance: {{equals: 1}}, every: 100ms}}]}}
  baseline: 1s
  method: [{{fault: noop, for: 1s}}]
  recovery: {{within: 10s, holds: 300ms}}
"""


@pytest.mark.real_time
async def test_a_whole_run_is_marked_and_its_verdict_is_its_own(tmp_path: Path, machine: Path) -> None:
    stand_in, said = Grafana(), list[str]()
    (tmp_path / "token").write_text("s3cr3t\n")
    async with loopback.HttpServer() as server, loopback.HttpServer() as hanging:
        hanging.on("/metrics/job/chaosrunner/experiment/nothing/environment/told", loopback.hang)
        url = serve(server, stand_in, "/api/annotations", "/api/annotations/60")
        (tmp_path / "all.yaml").write_text(ENVIRONMENT.format(grafana=url, hanging=hanging.url("")))
        order = Order("all.yaml", folder=tmp_path, state=tmp_path / "state")
        report = await run_experiment(order, tell=said.append)
    assert report.verdict.exit_code == 0
    (region,) = stand_in.annotations.values()
    assert region["timeEnd"] - region["time"] >= 1000
    assert region["text"].startswith("HELD: nothing on told")
    assert any(one.startswith("the notifier pushgateway was not told of everything: ") for one in said)
