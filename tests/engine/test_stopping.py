"""What ends a run before its time, and that everything is undone at once then."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import NoReading
from chaosrunner.model.experiment import BaselineSpec
from chaosrunner.model.journal import (
    FaultUndone,
    GuardAnswered,
    HaltRequested,
    LimitReached,
    PhaseBegan,
    RunEnded,
)
from chaosrunner.model.plan import GuardAnswer, PlannedItem
from chaosrunner.model.tolerance import Tolerance
from chaosrunner.model.words import Ending
from chaosrunner.store.journal import Journal
from tests.engine.world import World, fault, journal_without_threads, measure, plan

OBSERVED = Tolerance.model_validate({"baseline": {"atMost": "300ms"}, "recovery": {"atMost": "300ms"}})

ABORTING = {"abort_at": {"atMost": "400ms", "for": "1s"}}


def aborting(tmp_path: Path, **changes: Any) -> World:
    world = World(tmp_path)
    world.plan = plan(measures=[measure(**(ABORTING | changes))])
    return world


def test_an_abort_limit_takes_the_fault_back_at_once(tmp_path: Path) -> None:
    world = aborting(tmp_path)
    assert world.go().ending is Ending.ABORTED
    limit = world.of(LimitReached)[0]
    undone = world.t_of(FaultUndone)
    assert undone - limit.reading_ended < 0.2
    assert world.of(FaultUndone)[0].because == "aborted"
    assert world.verdict().exit_code == 1
    assert world.verdict().abort.undone_after < 0.2


def test_an_abort_does_not_wait_for_an_injection_under_way(tmp_path: Path) -> None:
    world = aborting(tmp_path)

    async def half_and_hang(fault: Any) -> None:
        world.system.slow[fault.hold.id] = 0.5
        await asyncio.sleep(60)

    world.hooks["inject"] = half_and_hang
    world.go()
    assert world.t_of(FaultUndone) - world.of(LimitReached)[0].reading_ended < 0.5
    assert world.system.slow == {}


def test_the_recovery_is_watched_after_an_abort(tmp_path: Path) -> None:
    world = aborting(tmp_path)
    world.go()
    assert [event.phase.value for event in world.of(PhaseBegan)] == ["baseline", "fault", "recovery"]
    assert world.verdict().recovery.seconds is not None


def test_a_limit_that_is_passed_for_less_than_its_time_does_not_abort(tmp_path: Path) -> None:
    world = aborting(tmp_path, abort_at={"atMost": "400ms", "for": "20s"})
    assert world.go().ending is Ending.FINISHED


def test_flying_blind_aborts(tmp_path: Path) -> None:
    world = aborting(tmp_path, blind="3s", abort_at={"atMost": "5s"})

    def blind() -> None:
        if world.system.slow:
            raise NoReading("the metrics server is down")

    world.probe = blind
    assert world.go().ending is Ending.ABORTED
    assert world.of(LimitReached)[0].blind
    assert world.of(RunEnded)[0].reason == "shop-slo/latency: no reading for 3 s"


@pytest.mark.parametrize("when", [1.0, 2.08, 6.0, 12.5])
def test_a_halt_at_any_moment_undoes_everything(tmp_path: Path, when: float) -> None:
    world = World(tmp_path)
    world.at[when] = lambda world: world.stop.now(Ending.HALTED, "SIGINT")
    assert world.go().ending in (Ending.HALTED, Ending.FINISHED)
    assert world.of(HaltRequested)[0].by == "SIGINT"
    assert world.system.slow == {}
    assert list(world.machine.runs()) == []


def test_a_halted_run_that_found_nothing_exits_6(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.at[1.0] = lambda world: world.stop.now(Ending.HALTED, "SIGINT")
    world.go()
    assert world.verdict().exit_code == 6


def test_a_halt_of_a_run_that_was_going_wrong_already_is_a_halt(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.plan = plan(measures=[measure(tolerance=OBSERVED)])
    world.at[6.0] = lambda world: world.system.slow.clear()
    world.at[7.2] = lambda world: world.stop.now(Ending.HALTED, "SIGINT")
    assert world.go().ending is Ending.FAULT_FAILED
    assert world.of(HaltRequested)
    assert world.verdict().exit_code == 6


def test_a_halt_of_the_environment_stops_the_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.at[6.0] = lambda world: world.machine.halt("ben", "the shop burns", environment="test")
    assert world.go().ending is Ending.HALTED
    assert (world.of(HaltRequested)[0].by, world.of(HaltRequested)[0].reason) == ("ben", "the shop burns")


def test_a_halt_of_another_environment_does_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.at[6.0] = lambda world: world.machine.halt("ben", "", environment="other")
    assert world.go().ending is Ending.FINISHED


def test_a_halt_from_before_the_start_does_not_stop_the_next_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.machine.halt("ben", "yesterday", environment="test")
    assert world.go().ending is Ending.FINISHED


def test_a_halt_file_stops_the_run(tmp_path: Path) -> None:
    world = World(tmp_path, halt_file=tmp_path / "STOP")
    world.at[6.0] = lambda world: (tmp_path / "STOP").touch()
    assert world.go().ending is Ending.HALTED
    assert world.of(HaltRequested)[0].by == "halt file"


def test_a_halt_file_that_cannot_be_looked_at_stops_the_run(tmp_path: Path) -> None:
    class Forbidden(type(tmp_path)):  # type: ignore[misc]
        def exists(self, **_: Any) -> bool:
            raise PermissionError(errno.EACCES, "Permission denied")

    world = World(tmp_path, halt_file=Forbidden(tmp_path / "STOP"))
    assert world.go().ending is Ending.HALTED
    assert "cannot be looked at: Permission denied" in world.of(HaltRequested)[0].reason
    assert world.system.log == []


def test_a_halt_that_came_as_soon_as_the_run_was_on_the_list_is_heard(tmp_path: Path) -> None:
    world = World(tmp_path)

    def halted(path: Path, clock: Any) -> Journal:
        assert [run.run for run in world.machine.runs()] == [world.run_id]
        world.machine.halt("ben", "too soon", run=world.run_id)
        return journal_without_threads(path, clock)

    world.make_journal = halted
    assert world.go().ending is Ending.HALTED
    assert world.system.log == []


def test_a_halt_that_cannot_be_read_is_a_halt(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.at[6.0] = lambda world: (tmp_path / "machine" / "halts" / "all").mkdir(parents=True)
    assert world.go().ending is Ending.HALTED
    assert world.system.slow == {}


def test_a_run_that_nobody_listens_for_any_more_is_stopped(tmp_path: Path) -> None:
    class Failing(type(tmp_path)):  # type: ignore[misc]
        def exists(self, **_: Any) -> bool:
            if world.system.slow:
                raise ValueError("embedded null byte")
            return False

    world = World(tmp_path, halt_file=Failing(tmp_path / "STOP"))
    with pytest.raises(ValueError, match="embedded"):
        world.go()
    assert world.system.slow == {}
    assert world.of(RunEnded)[0].ending is Ending.DEFECT


def test_a_second_halt_does_not_cut_off_the_undo(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def slowly(fault: Any) -> None:
        await asyncio.sleep(2)

    world.hooks["undo"] = slowly
    world.at[6.0] = lambda world: world.stop.now(Ending.HALTED, "SIGINT")
    world.at[6.5] = lambda world: world.stop.now(Ending.HALTED, "SIGINT")
    world.go()
    assert world.system.slow == {}
    assert world.of(FaultUndone)[0].because == "halted"


def test_an_unsteady_baseline_injects_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.system.latency = 0.4
    assert world.go().ending is Ending.NOT_STEADY
    assert world.system.log == []
    assert world.verdict().exit_code == 5


def test_an_unreadable_baseline_injects_nothing(tmp_path: Path) -> None:
    def down() -> None:
        raise NoReading("down")

    world = World(tmp_path, probe=down)
    assert world.go().ending is Ending.NOT_READABLE
    assert world.system.log == []
    assert world.verdict().exit_code == 3


def test_a_refusal_by_a_guard_touches_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    no = GuardAnswer(guard="windows", go=False, reason="outside of Mon-Fri 09:00-16:00")
    world.plan = plan(guards=(no,))
    assert world.go().ending is Ending.REFUSED
    assert no in [event.answer for event in world.of(GuardAnswered)]
    assert world.platform.opened == 0
    assert world.verdict().exit_code == 4


def asked_again(world: World, refuses: Callable[[], bool]) -> None:
    async def ask() -> tuple[GuardAnswer, ...]:
        return (GuardAnswer(guard="refuseWhileFiring", go=not refuses(), reason="firing: Burning"),)

    world.ask_again = ask


def test_a_guard_that_is_always_asked_stops_a_run_with_a_fault_in_force(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.plan = plan(method=[PlannedItem(faults=(fault(lasts="60s"),))], measures=[measure(tolerance=OBSERVED)])
    asked_again(world, lambda: bool(world.system.slow))
    assert world.go().ending is Ending.HALTED
    assert world.t_of(FaultUndone) < 15
    assert (world.of(HaltRequested)[0].by, world.of(HaltRequested)[0].reason) == (
        "guard refuseWhileFiring",
        "firing: Burning",
    )
    assert [event.answer.go for event in world.of(GuardAnswered)][-1] is False
    assert world.verdict().exit_code == 6


def test_a_guard_that_refuses_while_the_baseline_is_taken_refuses_the_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.plan = plan(baseline=BaselineSpec.model_validate({"for": "20s"}))
    asked_again(world, lambda: True)
    assert world.go().ending is Ending.REFUSED
    assert world.system.log == []
    assert world.verdict().exit_code == 4


def test_a_guard_that_cannot_be_asked_again_refuses(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.plan = plan(method=[PlannedItem(faults=(fault(lasts="60s"),))])

    async def hangs() -> tuple[GuardAnswer, ...]:
        await asyncio.sleep(1000)
        return ()

    world.ask_again = hangs
    assert world.go().ending is Ending.HALTED
    assert world.t_of(FaultUndone) < 20


def test_guards_that_go_on_saying_yes_change_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked_again(world, lambda: False)
    assert world.go().ending is Ending.FINISHED


def test_a_failed_fault_stops_what_runs_beside_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    later = PlannedItem(faults=(fault(id="later"),))
    world.plan = plan(method=[PlannedItem(faults=(fault(),)), later])
    world.system.gone.add("fake:1")
    world.go()
    assert world.system.log == []


def test_a_defect_in_the_engine_still_undoes_what_is_in_force(tmp_path: Path) -> None:
    world = World(tmp_path)
    together = PlannedItem(faults=(fault(lasts="30s"), fault(id="later", fault="unknown", after="2s")))
    world.plan = plan(method=[together])
    with pytest.raises(KeyError, match="unknown"):
        world.go()
    assert world.system.slow == {}
    assert world.of(FaultUndone)[0].fault == "slow/1"
    assert world.of(RunEnded)[0].ending is Ending.DEFECT
    assert world.verdict().exit_code == 70


def test_a_view_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    world = World(tmp_path)

    def broken(entry: Any) -> None:
        raise BrokenPipeError

    world.on_entry = broken
    assert world.go().ending is Ending.FINISHED
    assert "the live view ended" in world.journal.read_text()
