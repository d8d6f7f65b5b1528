"""What a gate answers by."""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration
from chaosrunner.model.words import Priority

Least = Priority | Literal["none"]
"""A priority: this one and the more urgent ones; `none`: not even P1."""


class GatePolicy(Frozen):
    """`gate`: what says no. Without any of it: a new or regressed P1 or P2, an incident, an expired waiver, an
    inconclusive run and an undo that failed."""

    new: Least = Priority.P2
    """A new near miss of this priority or a more urgent one says no; `none`: none does. Default P2. It is new while no
    one has taken it on, and a gate's run was the first to show it."""
    regressed: Least = Priority.P2
    """The same for one that came back after it had been closed; `P4`: any. Default P2."""
    incidents: bool = True
    """Whether an incident (the effect left the blast radius) says no until its fix is ready. Default true."""
    expired_waivers: bool = True
    """Whether a waiver that has ended says no until somebody decides anew. Default true."""
    inconclusive: Literal["unknown", "no", "ignore"] = "unknown"
    """What a run makes of the answer that was inconclusive, refused, halted, or did not take place. `unknown`: not
    passed, exit code 3; `no`: exit code 1; `ignore`: it is only shown. Default unknown."""
    overdue: Least = "none"
    """A near miss of this priority, or a more urgent one, whose fix is overdue says no. Default none."""
    not_run_for: Duration | None = Field(default=None, gt=0)
    """An experiment without a conclusive run for so long says no. Default: none does."""
    due_after: Duration = 0.0
    """An experiment with a conclusive run that is not older than this is not run again, that run counts. Default 0s:
    every experiment is run for every release."""
    ratchet: str | None = None
    """Path of a baseline, from the suite's file: only what is worse than it says no. `chaosrunner gate SUITE
    --record-baseline` writes it. Default: none."""
    scope: Literal["suite", "environment"] = "suite"
    """Whose near misses count: those of the suite's experiments and their services, or all of the environment's class.
    Default suite."""
