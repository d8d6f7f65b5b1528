"""Faults that are over at once, barriers that hold, and faults that wait for others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import BarrierHeld
from chaosrunner.model.journal import BarrierHeld as BarrierHeldEvent
from chaosrunner.model.journal import FaultFailed, FaultInForce, FaultSeen, FaultUndone
from chaosrunner.model.plan import PlannedItem
from chaosrunner.model.words import Answer, Ending
from chaosrunner.ports import Sighting
from tests.engine.world import SlowFault, World, fault, plan, target

QUICK: dict[str, Any] = {"params": {"delay": 0.01}}


def killing(folder: Path, *targets: int, **methods: Any) -> World:
    """A fault that is over at once, observed for ten seconds."""
    step = fault(instant=True, targets=tuple(target(number) for number in targets or (1,)), candidates=2, **QUICK)
    return World(folder, plan=plan(method=[PlannedItem(faults=(step,))]), fault_methods=methods)


# -- looked at again


def ends_late(slow: SlowFault) -> Sighting:
    """It was told to end, and does not."""
    since = slow.system.log.count("looked")
    slow.system.log.append("looked")
    return Sighting(since == 0, "it still runs" if since else "it was told to end")


def test_what_takes_its_time_is_looked_at_again_at_the_end(tmp_path: Path) -> None:
    here = killing(tmp_path, looks_again=True)
    here.hooks["confirm"] = ends_late
    outcome = here.go()
    assert outcome.ending is Ending.FAULT_FAILED
    assert [event.seen for event in here.of(FaultSeen)] == [True, False]
    assert [event.error for event in here.of(FaultFailed)] == ["it did not happen: it still runs"]
    verdict = here.verdict()
    assert verdict.answer is Answer.INCONCLUSIVE
    assert verdict.faults[0].trouble == "it did not happen: it still runs"


def test_what_is_over_at_once_is_looked_at_once(tmp_path: Path) -> None:
    here = killing(tmp_path)
    here.hooks["confirm"] = ends_late
    assert here.go().ending is Ending.FINISHED
    assert len(here.of(FaultSeen)) == 1


def test_how_it_is_afterwards_stands_with_its_undo(tmp_path: Path) -> None:
    async def afterwards(fault: SlowFault, prepared: Any) -> str:
        return "2 of 2 ready"

    here = killing(tmp_path, afterwards=afterwards)
    here.go()
    assert [event.how for event in here.of(FaultUndone)] == ["2 of 2 ready"]


def test_that_it_cannot_be_said_how_it_is_afterwards_fails_no_undo(tmp_path: Path) -> None:
    async def afterwards(fault: SlowFault, prepared: Any) -> str:
        raise RuntimeError("nobody answers")

    here = killing(tmp_path, afterwards=afterwards)
    assert here.go().ending is Ending.FINISHED
    assert [event.how for event in here.of(FaultUndone)] == ["RuntimeError: nobody answers"]


# -- barriers


def test_a_barrier_that_holds_is_told_as_one_and_learns_nothing(tmp_path: Path) -> None:
    def holds(slow: SlowFault) -> None:
        raise BarrierHeld("the budget keep-shop allows no disruption")

    here = killing(tmp_path)
    here.hooks["inject"] = holds
    outcome = here.go()
    assert outcome.ending is Ending.BARRIER_HELD
    assert [event.how for event in here.of(BarrierHeldEvent)] == ["the budget keep-shop allows no disruption"]
    assert here.of(FaultFailed) == []
    assert [event.because for event in here.of(FaultUndone)] == ["barrier"]
    verdict = here.verdict()
    assert (verdict.answer, verdict.exit_code) == (Answer.INCONCLUSIVE, 3)
    assert any(reason.startswith("a barrier held") for reason in verdict.inconclusive_because)
    assert not any("did not do what it should" in reason for reason in verdict.inconclusive_because)


def test_a_barrier_in_front_of_one_target_takes_the_others_back(tmp_path: Path) -> None:
    def holds_for_the_second(slow: SlowFault) -> None:
        if slow.target.name == "shop-2":
            raise BarrierHeld("not this one")

    step = fault(targets=(target(1), target(2)), candidates=2, **QUICK)
    here = World(tmp_path, plan=plan(method=[PlannedItem(faults=(step,))]))
    here.hooks["inject"] = holds_for_the_second
    assert here.go().ending is Ending.BARRIER_HELD
    assert len(here.of(FaultUndone)) == 2
    assert not here.system.slow


# -- patience


@pytest.mark.parametrize(("patience", "ending"), [(0.0, Ending.FAULT_FAILED), (30.0, Ending.FINISHED)])
def test_a_fault_that_waits_for_others_may_take_so_much_longer(tmp_path: Path, patience: float, ending: Ending) -> None:
    async def slowly(slow: SlowFault) -> None:
        await asyncio.sleep(25)

    here = World(tmp_path, plan=plan(method=[PlannedItem(faults=(fault(**QUICK),))]))
    here.fault_methods["patience"] = classmethod(lambda cls, params: patience)
    here.hooks["inject"] = slowly
    assert here.go().ending is ending
    assert bool(here.of(FaultInForce)) is (ending is Ending.FINISHED)
    assert not here.system.slow
