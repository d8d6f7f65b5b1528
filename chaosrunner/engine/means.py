"""What carrying out the faults of a run takes, and how long everything may take."""

from __future__ import annotations

from dataclasses import field

from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.recorder import Recorder
from chaosrunner.engine.stop import Stop
from chaosrunner.engine.turns import Turns
from chaosrunner.ports import Platform
from chaosrunner.records.light import dataclass

__all__ = ["AT_ONCE", "Limits", "Means"]

AT_ONCE = 200
"""Faults of a run that are brought into force at the same time; the others wait for their turn, so that the time limits
of each are about itself. Undos never wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds; the defaults suit real systems, tests shorten them."""

    ready: float = 90.0
    """For what must be started beside the target; the platform's own limit is shorter."""
    prepare: float = 10.0
    inject: float = 10.0
    confirm: float = 5.0
    """Of one look."""
    seen_within: float = 5.0
    """A fault that was not seen in force so long after its injection has failed."""
    look_every: float = 1.0
    look_late: float = 2.0
    """After the last look before the planned end; later than that it is looked at once more."""
    touched: float = 0.3
    undo: float = 10.0
    """Of one attempt."""
    undo_attempts: int = 4
    gone_within: float = 3.0
    """After the undo returned, it must be seen gone within so long."""
    retry_after: float = 0.2
    """Before the second undo; doubled for each further one."""
    spare: float = 10.0
    """How much later than planned a fault ends by itself."""


@dataclass(frozen=True)
class Means:
    """What carrying out faults takes; one for each run."""

    run: str
    platform: Platform
    recorder: Recorder
    stop: Stop
    leash: Leash
    clock: Clock
    limits: Limits = Limits()
    turns: Turns = field(default_factory=lambda: Turns(AT_ONCE))
