"""Alerts are watched and silences made while a run goes on, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from chaosrunner.clock import SystemClock
from chaosrunner.engine.silencing import longest_from_fault
from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.alerts import ActiveAlert, AlertsLook, RulesCount, RuleState, SilenceFound
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import ExpectAlert, Silence
from chaosrunner.model.journal import (
    AlertSeen,
    AlertsRead,
    FaultInForce,
    FaultPrepared,
    FaultUndone,
    Noted,
    RunEnded,
    SilenceEnded,
    SilenceMade,
    SilencePrepared,
)
from chaosrunner.model.plan import PlannedItem
from chaosrunner.model.words import Answer, Ending
from chaosrunner.records.light import replace
from chaosrunner.stages.heal import Healed, Tools, heal, read_ledger
from chaosrunner.stages.run import Setting
from tests.engine.world import ENVIRONMENT, World, fault, plan


class FixedClock(SystemClock):
    """It is always now."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


@dataclass
class Source:
    """Alerts that fire some time after the system became slow, as long as the source is well."""

    world: World
    name: Literal["prometheus", "alertmanager"] = "prometheus"
    patience: float = 1.0
    after: float = 3.0
    """Seconds from slow to firing."""
    others: Sequence[ActiveAlert] = ()
    hangs: tuple[float, float] = (1e9, 1e9)
    down: tuple[float, float] = (1e9, 1e9)
    slow_since: float | None = None
    looks: int = 0

    async def look(self, expected: Sequence[str]) -> AlertsLook:
        now = self.world.clock.monotonic()
        began = self.world.began
        if self.hangs[0] <= now - began < self.hangs[1]:
            await asyncio.sleep(1e6)
        if self.down[0] <= now - began < self.down[1]:
            raise NotPossibleNow("HTTP 503: starting")
        self.looks += 1
        if not self.world.system.slow:
            self.slow_since = None
        elif self.slow_since is None:
            self.slow_since = now
        fires = self.slow_since is not None and now - self.slow_since >= self.after
        slow = [ActiveAlert("Slow", {"alertname": "Slow"}, "firing")] if fires else []
        rules = [RuleState(name, 0.0, 1.0) for name in expected]
        return AlertsLook([*slow, *self.others], rules)

    async def count(self) -> RulesCount | None:
        return RulesCount(3, 2.0)


@dataclass
class Desk:
    """Silences, as an Alertmanager keeps them."""

    made: dict[str, SilencePrepared] = field(default_factory=dict)
    refuses: str = ""
    keeps: str = ""
    """Why none can be ended."""
    forgets_to_answer: bool = False

    async def make(self, order: SilencePrepared) -> str:
        if self.refuses:
            raise NotPossibleNow(self.refuses)
        self.made[f"id-{len(self.made) + 1}"] = order
        if self.forgets_to_answer:
            await asyncio.sleep(1e6)
        return f"id-{len(self.made)}"

    async def found(self, comment: str) -> Sequence[str]:
        return [id for id, order in self.made.items() if order.comment == comment]

    async def ours(self) -> Sequence[SilenceFound]:
        return [SilenceFound(id, order.comment, order.ends_at) for id, order in self.made.items()]

    async def end(self, id: str) -> None:
        if self.keeps:
            raise NotPossibleNow(self.keeps)
        self.made.pop(id, None)


class Watched(World):
    """A world with alerts and silences."""

    sources: Sequence[Any] = ()
    silences: Desk | None = None
    began = 0.0

    def _setting(self) -> Setting:
        self.began = self.clock.monotonic()
        return replace(super()._setting(), alerts=self.sources, silences=self.silences)


def watched(folder: Path, within: str = "20s", silence: bool = False, **source: Any) -> Watched:
    expected = ExpectAlert.model_validate({"name": "Slow", "within": within})
    environment = ENVIRONMENT.as_json()
    environment["spec"] |= {"prometheus": {"url": "http://p"}, "alertmanager": {"url": "http://a"}}  # type: ignore[operator]
    made = plan(
        method=[PlannedItem(faults=(fault(expect_alert=expected),))],
        environment=Environment.model_validate(environment),
    )
    world = Watched(folder, made)
    world.hooks["inject"] = lambda each: world.system.slow.update({each.hold.id: 0.05})
    world.system.latency = 0.01
    world.sources = [Source(world, **source)]
    if silence:
        world.plan = world.plan.model_copy(update={"silence": Silence.model_validate({"matchers": ["service=shop"]})})
        world.silences = Desk()
    return world


def test_only_changes_are_written_and_the_first_and_last_look(tmp_path: Path) -> None:
    dog = ActiveAlert("Watchdog", {"alertname": "Watchdog", "severity": "none"}, "firing")
    world = watched(tmp_path, others=[dog])
    assert world.go().ending is Ending.FINISHED
    assert [(one.alert, one.state) for one in world.of(AlertSeen)] == [
        ("Watchdog", "firing"),
        ("Slow", "firing"),
        ("Slow", "gone"),
    ]
    assert world.of(AlertSeen)[0].after is None
    first, last = world.of(AlertsRead)
    assert (first.trouble, last.trouble, first.rules, first.quickest) == ("", "", 3, 2.0)
    assert last.ended > world.t_of(FaultUndone)
    assert world.sources[0].looks > 10
    (verdict,) = world.verdict().alerts
    assert verdict.answer is Answer.HELD
    assert verdict.detected_after is not None and 3 <= verdict.detected_after <= 4.1


def test_a_run_waits_for_an_alert_that_is_still_allowed_to_come(tmp_path: Path) -> None:
    world = watched(tmp_path, within="40s", after=1e6)
    world.go()
    assert world.t_of(RunEnded) - world.t_of(FaultInForce) > 40
    (verdict,) = world.verdict().alerts
    assert (verdict.answer, world.verdict().exit_code) == (Answer.BROKEN, 1)


def test_a_halt_ends_the_wait(tmp_path: Path) -> None:
    world = watched(tmp_path, within="500s", after=1e6)
    world.at[60.0] = lambda world: world.stop.now(Ending.HALTED, "ana")
    world.go()
    assert world.t_of(RunEnded) < 62
    assert world.verdict().alerts[0].answer is Answer.INCONCLUSIVE


def test_a_run_that_was_stopped_waits_for_nothing(tmp_path: Path) -> None:
    world = watched(tmp_path, within="500s", after=1e6)
    world.at[8.0] = lambda world: world.stop.now(Ending.ABORTED, "a limit")
    world.go()
    assert world.t_of(RunEnded) < 30


def test_a_source_that_hangs_or_is_down_is_said_once_and_never_taken_for_quiet(tmp_path: Path) -> None:
    for trouble in ({"hangs": (5.0, 30.0)}, {"down": (5.0, 30.0)}):
        world = watched(tmp_path / next(iter(trouble)), **trouble)
        world.go()
        troubles = [one.trouble for one in world.of(AlertsRead)]
        assert len([one for one in troubles if one]) == 1
        assert world.verdict().alerts[0].answer is Answer.INCONCLUSIVE


def test_a_source_that_comes_back_in_time_is_believed(tmp_path: Path) -> None:
    world = watched(tmp_path, down=(4.0, 8.0), after=2.0)
    world.go()
    assert [bool(one.trouble) for one in world.of(AlertsRead)] == [False, False, True, False, False]
    assert world.verdict().alerts[0].answer is Answer.HELD


def test_one_source_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    world = watched(tmp_path)
    world.sources = [*world.sources, Source(world, name="alertmanager", hangs=(0.0, 1e9))]
    world.go()
    assert world.verdict().alerts[0].answer is Answer.HELD
    assert {one.source for one in world.of(AlertsRead) if one.trouble} == {"alertmanager"}


def test_of_very_many_alerts_only_the_expected_ones_are_written(tmp_path: Path) -> None:
    many = [ActiveAlert("Loud", {"alertname": "Loud", "pod": str(number)}, "firing") for number in range(1000)]
    world = watched(tmp_path, others=many)
    world.go()
    assert {one.alert for one in world.of(AlertSeen)} == {"Slow"}
    assert [one.text for one in world.of(Noted)] == [
        "prometheus has very many alerts: only those that are expected are written down"
    ]


# -- silences


def test_a_silence_is_on_disk_before_it_is_made_and_outlasts_the_fault_only(tmp_path: Path) -> None:
    world = watched(tmp_path, silence=True)
    assert world.silences is not None
    there: list[int] = []
    world.hooks["undo"] = lambda _: there.append(len(world.silences.made))  # type: ignore[union-attr]
    outcome = world.go()
    assert (outcome.ending, outcome.silence_left) == (Ending.FINISHED, "")
    assert there[0] == 1
    times = [world.t_of(kind) for kind in (SilencePrepared, SilenceMade, FaultPrepared, FaultUndone, SilenceEnded)]
    assert times == sorted(times)
    assert world.of(SilenceEnded)[0].ids == ("id-1",)
    assert world.silences.made == {}
    (order,) = world.of(SilencePrepared)
    assert order.ends_at - order.starts_at <= longest_from_fault(world.plan) + 600, (
        "the run, and ten minutes at the most"
    )
    assert world.run_id in order.comment


def test_a_silence_that_cannot_be_made_refuses_the_run(tmp_path: Path) -> None:
    world = watched(tmp_path, silence=True)
    assert world.silences is not None
    world.silences.refuses = "HTTP 400: no"
    assert world.go().ending is Ending.REFUSED
    verdict = world.verdict()
    assert (verdict.exit_code, world.of(FaultPrepared)) == (4, [])
    assert "the silence cannot be made: HTTP 400: no" in verdict.inconclusive_because[0]


def test_one_that_was_made_although_nobody_said_so_is_found_and_ended(tmp_path: Path) -> None:
    world = watched(tmp_path, silence=True)
    assert world.silences is not None
    world.silences.forgets_to_answer = True
    assert world.go().ending is Ending.REFUSED
    assert world.of(SilenceMade) == []
    assert world.silences.made == {}


def test_one_that_cannot_be_ended_changes_no_verdict_and_is_left_for_heal(tmp_path: Path) -> None:
    world = watched(tmp_path, silence=True)
    assert world.silences is not None
    world.silences.keeps = "HTTP 503"
    outcome = world.go()
    assert (outcome.ending, outcome.silence_left) == (Ending.FINISHED, "id-1: HTTP 503")
    assert world.verdict().exit_code == 0
    assert [each.run for each in world.machine.runs()] == [world.run_id]


def test_a_halted_run_ends_its_silence_too(tmp_path: Path) -> None:
    world = watched(tmp_path, silence=True)
    assert world.silences is not None
    world.at[6.0] = lambda world: world.stop.now(Ending.HALTED, "ana")
    assert world.go().ending is Ending.HALTED
    assert world.silences.made == {}


async def test_heal_ends_what_was_left_and_says_what_it_cannot_end(tmp_path: Path) -> None:
    world = watched(tmp_path, silence=True)
    assert world.silences is not None
    world.silences.keeps = "HTTP 503"
    await asyncio.to_thread(world.go)
    (order,) = world.of(SilencePrepared)

    async def healed(clock: FixedClock, silences: Desk | None) -> Healed:
        tools = Tools(world.platform, lambda kind: world.fault_plugin, clock, "ana", silences)
        return await heal(read_ledger(world.journal), world.journal, tools)

    soon = FixedClock(order.ends_at - 60)
    assert (await healed(soon, world.silences)).silence_left == "id-1: HTTP 503"
    assert (await healed(soon, None)).silence_left == "the environment named no Alertmanager"
    found = await healed(soon, world.silences)
    assert found.whole and found.silences == ()
    late = await healed(FixedClock(order.ends_at + 1), world.silences)
    assert late.silence_left == "", "it has ended by itself"
    world.silences.keeps = ""
    assert read_ledger(world.journal).silence is None


async def test_heal_ends_a_silence_once(tmp_path: Path) -> None:
    world = watched(tmp_path, silence=True)
    assert world.silences is not None
    world.silences.keeps = "HTTP 503"
    await asyncio.to_thread(world.go)
    world.silences.keeps = ""
    clock = FixedClock(world.of(SilencePrepared)[0].starts_at)
    tools = Tools(world.platform, lambda kind: world.fault_plugin, clock, "ana", world.silences)
    first = await heal(read_ledger(world.journal), world.journal, tools)
    assert (first.silences, first.silence_left, world.silences.made) == (("id-1",), "", {})
    again = await heal(read_ledger(world.journal), world.journal, tools)
    assert (again.silences, again.silence_left) == ((), "")
    assert world.verdict().exit_code == 0, "what healing wrote says nothing of the run"
