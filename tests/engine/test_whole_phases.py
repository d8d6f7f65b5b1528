"""Rules that look at all readings of a phase, decided live and judged afterwards by the same code."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from chaosrunner.model.journal import PhaseEnded
from chaosrunner.model.tolerance import Tolerance
from chaosrunner.model.verdict import PhaseVerdict
from chaosrunner.model.words import Answer, Phase
from tests.engine.world import World, measure, plan


def world(folder: Path, tolerance: object, lingers: float = 0.0) -> World:
    """A shop whose latency is never twice the same; `lingers` is what the fault leaves behind."""
    made = World(folder, plan(measures=[measure(tolerance=Tolerance.model_validate(tolerance))], baseline="4s"))
    random = Random(2)

    def read() -> float:
        left = lingers if "undo" in made.system.log and not made.system.slow else 0.0
        return made.system.reads + left + random.gauss(0, 0.01)

    made.hooks["undo"] = lambda _: made.system.log.append("undo")
    made.probe = read
    return made


def phase(made: World, wanted: Phase) -> PhaseVerdict:
    (found,) = made.verdict().hypotheses[0].measures
    return next(one for one in found.phases if one.phase is wanted)


@pytest.mark.parametrize("rule", ["like baseline", {"atMost": "1.5x baseline", "take": "p90"}])
def test_a_slow_fault_breaks_it_and_the_system_recovers(tmp_path: Path, rule: object) -> None:
    made = world(tmp_path, {"fault": rule, "recovery": rule})
    made.go()
    assert [event.because for event in made.of(PhaseEnded)] == ["steady", "done", "recovered"]
    assert phase(made, Phase.FAULT).answer is Answer.BROKEN
    assert phase(made, Phase.RECOVERY).answer is Answer.HELD


@pytest.mark.parametrize("rule", ["like baseline", {"atMost": "1.5x baseline", "take": "p90"}])
def test_what_lingers_after_the_undo_is_no_recovery(tmp_path: Path, rule: object) -> None:
    made = world(tmp_path, {"recovery": rule}, lingers=0.2)
    made.go()
    assert [event.because for event in made.of(PhaseEnded)] == ["steady", "done", "not recovered"]
    assert phase(made, Phase.RECOVERY).answer is Answer.BROKEN
