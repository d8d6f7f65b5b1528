"""What people add to a near miss: how it failed, which defences there were, what contributed. Pure."""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.life_cycle import with_due_date
from chaosrunner.model.near_miss import Barrier, Factor, NearMiss
from chaosrunner.model.priority import score
from chaosrunner.model.words import DetectedBy, FailureMode


class Description(Frozen):
    """What is not given stays as it is."""

    failure_mode: FailureMode | None = None
    detected_by: DetectedBy | None = None
    effect: Literal["loss", "degraded", "weakness"] | None = None
    """What it would do to production."""
    barriers: tuple[Barrier, ...] = ()
    factors: tuple[Factor, ...] = ()


def described(near_miss: NearMiss, what: Description) -> NearMiss:
    """The near miss with it, and the priority that follows. A defence that held counts as one that stood."""
    barriers = {each.name: each for each in (*near_miss.barriers, *what.barriers)}
    factors = {each.factor: each for each in (*near_miss.factors, *what.factors)}
    inputs = near_miss.scoring.inputs
    update: dict[str, object] = {
        "failure_mode": what.failure_mode or inputs.failure_mode,
        "effect": what.effect or inputs.effect,
    }
    if what.detected_by is not None:
        update["undetected"] = what.detected_by in (DetectedBy.USER, DetectedBy.CHAOSRUNNER)
    if what.barriers:
        standing = sum(each.state == "held" for each in barriers.values())
        update["standing"] = standing
        if standing:
            update["stopped_by"] = "system-barrier"
        elif inputs.stopped_by == "system-barrier":
            update["stopped_by"] = "unknown"
    after = near_miss.model_copy(
        update={
            "failure_mode": what.failure_mode or near_miss.failure_mode,
            "detected_by": what.detected_by or near_miss.detected_by,
            "barriers": tuple(barriers.values()),
            "factors": tuple(factors.values()),
            "scoring": score(inputs.model_copy(update=update)),
        }
    )
    return with_due_date(after)
