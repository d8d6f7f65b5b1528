"""The engine from the first line of the journal to the last, on virtual time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from chaosrunner.model.journal import (
    FaultInForce,
    FaultInjected,
    FaultPrepared,
    FaultUndone,
    PhaseBegan,
    PhaseEnded,
    ReadingTaken,
    RunEnded,
    RunStarted,
)
from chaosrunner.model.words import Answer, Ending
from tests.engine.world import World


def test_a_run_goes_through_baseline_fault_and_recovery(tmp_path: Path) -> None:
    world = World(tmp_path)
    outcome = world.go()
    assert outcome.ending is Ending.FINISHED
    assert [event.phase.value for event in world.of(PhaseBegan)] == ["baseline", "fault", "recovery"]
    assert [event.because for event in world.of(PhaseEnded)] == ["steady", "done", "recovered"]
    assert isinstance(world.entries[0].event, RunStarted)
    assert isinstance(world.entries[-1].event, RunEnded)


def test_a_fault_that_hurts_breaks_the_hypothesis(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.go()
    verdict = world.verdict()
    assert (verdict.answer, verdict.exit_code) == (Answer.BROKEN, 1)


def test_a_fault_that_does_not_hurt_leaves_it_held(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.system.latency = 0.01
    world.plan = world.plan.model_copy(update={})
    world.hooks["inject"] = lambda fault: world.system.slow.update({fault.hold.id: 0.05})
    world.go()
    verdict = world.verdict()
    assert (verdict.answer, verdict.exit_code) == (Answer.HELD, 0)


def test_the_undo_is_on_disk_before_the_fault_acts(tmp_path: Path) -> None:
    world = World(tmp_path)
    on_disk = []
    world.hooks["inject"] = lambda fault: on_disk.append("fault-prepared" in world.journal.read_text())
    world.go()
    assert on_disk == [True]


def test_the_system_is_as_before_afterwards(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.go()
    assert world.system.slow == {}
    assert world.platform.closed >= 1
    assert list(world.machine.runs()) == []
    assert world.of(FaultUndone)[0].seen_gone is True


def test_the_fault_is_in_force_for_as_long_as_the_file_says(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.go()
    lasted = world.t_of(FaultUndone) - world.t_of(FaultInForce)
    assert 10.0 <= lasted < 10.2
    assert world.t_of(FaultPrepared) <= world.t_of(FaultInjected) <= world.t_of(FaultInForce)


def test_readings_go_on_in_every_phase_on_their_schedule(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.go()
    began = [event.began for event in world.of(ReadingTaken)]
    gaps = [later - earlier for earlier, later in pairwise(began)]
    assert max(gaps) < 0.11
    assert min(gaps) > 0.09
