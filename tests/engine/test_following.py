"""`follow: true`: targets that appear while a fault is in force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.model.experiment import Selector
from chaosrunner.model.journal import FaultInForce, FaultPrepared, FaultUndone, RunEnded, TargetAppeared
from chaosrunner.model.plan import PlannedFault, PlannedItem
from chaosrunner.model.target import Target
from chaosrunner.model.words import Answer, Ending
from chaosrunner.ports import Sighting
from tests.engine.world import SlowFault, World, fault, plan, target


def follows(take: int | str = 1, targets: Sequence[Target] = (), **changes: Any) -> PlannedFault:
    """Ten seconds on one target, following; the delay is too small to break anything."""
    selector = Selector.model_validate({"service": "shop", "take": take, "follow": True})
    chosen = tuple(targets) or (target(1),)
    return fault(selector=selector, targets=chosen, candidates=2, params={"delay": 0.01}, **changes)


async def while_it_is_there(slow: SlowFault) -> Sighting | None:
    """A target that went away shows no fault; None: as usual."""
    gone = slow.target.id in slow.system.gone
    return Sighting(False, "its process exited") if gone else None


def world(folder: Path, step: PlannedFault, **changes: Any) -> World:
    made = World(folder, plan=plan(method=[PlannedItem(faults=(step,))]), **changes)
    made.hooks["confirm"] = while_it_is_there
    return made


def goes(number: int) -> Any:
    return lambda here: here.system.gone.add(target(number).id)


def comes(number: int) -> Any:
    return lambda here: here.platform.comes(target(number))


def acted_on(here: World) -> list[str]:
    return [event.target.name for event in here.of(FaultPrepared)]


def undone_at(here: World, name: str) -> float:
    fault_id = next(event.fault for event in here.of(FaultPrepared) if event.target.name == name)
    return next(
        entry.t for entry in here.entries if isinstance(entry.event, FaultUndone) and entry.event.fault == fault_id
    )


def test_one_that_appears_takes_the_place_of_one_that_went_away(tmp_path: Path) -> None:
    here = world(tmp_path, follows(), at={5.0: goes(1), 5.3: comes(2)})
    outcome = here.go()
    assert outcome.ending is Ending.FINISHED
    assert acted_on(here) == ["shop-1", "shop-2"]
    assert [(event.fault, event.refused) for event in here.of(TargetAppeared)] == [("slow/2", "")]
    verdict = here.verdict()
    assert verdict.answer is Answer.HELD, verdict.inconclusive_because
    assert [each.target.name for each in verdict.faults] == ["shop-1", "shop-2"]
    assert not here.system.slow


def test_it_ends_with_its_step_also_on_what_came_late(tmp_path: Path) -> None:
    here = world(tmp_path, follows("all"), at={6.0: comes(2)})
    here.go()
    began = here.t_of(FaultInForce)
    assert undone_at(here, "shop-1") == pytest.approx(began + 10, abs=0.5)
    assert undone_at(here, "shop-2") == pytest.approx(began + 10, abs=0.5)
    assert here.verdict().answer is Answer.HELD


def test_as_many_stay_in_force_as_were_chosen(tmp_path: Path) -> None:
    here = world(tmp_path, follows(1), at={4.0: comes(2), 7.0: goes(1)})
    here.go()
    assert acted_on(here) == ["shop-1", "shop-2"]
    second = [entry.t for entry in here.entries if isinstance(entry.event, FaultPrepared)][1]
    assert second > 7.0
    assert here.verdict().answer is Answer.HELD


def test_with_all_everything_that_appears_is_acted_on_each_once(tmp_path: Path) -> None:
    here = world(tmp_path, follows("all"), at={4.0: comes(2), 4.1: comes(3), 5.0: comes(2)})
    here.go()
    assert acted_on(here) == ["shop-1", "shop-2", "shop-3"]


def test_what_appears_in_the_last_moment_is_left_alone(tmp_path: Path) -> None:
    here = world(tmp_path, follows("all"), at={11.5: comes(2)})
    here.go()
    assert acted_on(here) == ["shop-1"]


def test_nobody_takes_over_and_so_the_step_was_not_in_force_long_enough(tmp_path: Path) -> None:
    here = world(tmp_path, follows(), at={5.0: goes(1)})
    here.go()
    verdict = here.verdict()
    assert verdict.answer is Answer.INCONCLUSIVE
    assert any("held needs 95 %" in reason for reason in verdict.inconclusive_because)


def test_one_that_goes_away_again_before_it_was_hit_is_no_failure(tmp_path: Path) -> None:
    def comes_and_goes(here: World) -> None:
        here.platform.comes(target(2))
        here.system.gone.add(target(2).id)

    here = world(tmp_path, follows("all"), at={5.0: comes_and_goes})
    outcome = here.go()
    assert outcome.ending is Ending.FINISHED
    assert "it went away" in here.of(TargetAppeared)[-1].refused
    verdict = here.verdict()
    assert verdict.answer is Answer.HELD, verdict.inconclusive_because
    assert [each.target.name for each in verdict.faults] == ["shop-1"]


def test_a_guard_that_says_no_leaves_it_alone_in_words(tmp_path: Path) -> None:
    asked: list[tuple[list[str], str]] = []

    async def no(planned: PlannedFault, in_force: Sequence[Target], new: Target) -> str:
        asked.append(([each.name for each in in_force], new.name))
        return "step slow hits 2 of 2, more than 50%"

    here = world(tmp_path, follows("all"), at={5.0: comes(2)}, may_join=no)
    outcome = here.go()
    assert outcome.ending is Ending.FINISHED
    assert asked == [(["shop-1"], "shop-2")]
    assert acted_on(here) == ["shop-1"]
    assert [event.refused for event in here.of(TargetAppeared)] == ["step slow hits 2 of 2, more than 50%"]
    assert here.verdict().answer is Answer.HELD


def test_one_in_the_hands_of_another_run_is_left_alone(tmp_path: Path) -> None:
    here = world(tmp_path, follows("all"), at={5.0: comes(2)})
    lock = here.machine.lease(target(2).id)
    assert lock.take({"run": "another"})
    here.go()
    lock.drop()
    assert acted_on(here) == ["shop-1"]
    assert "in the hands of run another" in here.of(TargetAppeared)[0].refused


def test_one_whose_fault_fails_makes_the_run_inconclusive(tmp_path: Path) -> None:
    def fails_on_the_second(slow: SlowFault) -> None:
        if slow.target.name == "shop-2":
            raise RuntimeError("it will not")

    here = world(tmp_path, follows("all"), at={5.0: comes(2)})
    here.hooks["inject"] = fails_on_the_second
    outcome = here.go()
    assert outcome.ending is Ending.FAULT_FAILED
    assert not here.system.slow


def test_a_platform_that_cannot_tell_any_more_stops_the_run(tmp_path: Path) -> None:
    here = world(tmp_path, follows(), at={5.0: lambda here: here.platform.breaks("pods may not be watched")})
    outcome = here.go()
    assert outcome.ending is Ending.FAULT_FAILED
    assert "cannot be followed: pods may not be watched" in here.of(RunEnded)[0].reason
    assert not here.system.slow


def test_a_halt_takes_everything_back_at_once(tmp_path: Path) -> None:
    here = world(
        tmp_path,
        follows("all"),
        at={5.0: comes(2), 7.0: lambda here: here.stop.now(Ending.HALTED, "ana")},
    )
    outcome = here.go()
    assert outcome.ending is Ending.HALTED
    assert acted_on(here) == ["shop-1", "shop-2"]
    assert not here.system.slow
    assert here.t_of(RunEnded) < 7.5
