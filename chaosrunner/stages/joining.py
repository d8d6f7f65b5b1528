"""joining: whether a step under `follow` may also act on a target that appeared while it is in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaosrunner.engine.leash import Leash, Overdue
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.plan import Plan, PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Hold, Platform
from chaosrunner.records.light import dataclass
from chaosrunner.stages.guard import Circumstances, ask_how_much
from chaosrunner.stages.plan import CHECKING


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked."""

    plugin: type[Fault[Any]]
    platform: Platform
    circumstances: Circumstances


async def may_join(plan: Plan, planned: PlannedFault, in_force: Sequence[Target], new: Target, asked: Asked) -> str:
    """Why it must be left alone: the fault cannot act there, or more would be hit than `maxAffected` allows. Empty: it
    may be acted on. What cannot be answered is a reason."""
    hold = Hold(id=f"plan.{planned.id}", run="plan", deadline=0.0, seconds=planned.lasts)
    fault = asked.plugin(asked.plugin.Params.model_validate(planned.params), new, asked.platform, hold)
    try:
        await Leash().call(fault.check(), CHECKING)
    except ChaosrunnerError as reason:
        return str(reason)
    except Overdue:
        return f"{new.name}: could not be checked within {CHECKING:g} s"
    hit = (*in_force, new)
    enlarged = planned.model_copy(update={"targets": hit, "candidates": max(planned.candidates, len(hit))})
    answers = await ask_how_much(plan, enlarged, asked.circumstances)
    return next((answer.reason for answer in answers if not answer.go), "")
