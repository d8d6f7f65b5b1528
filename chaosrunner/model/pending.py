"""What an apply of a runbook left undone that did not come to its end: read from the history of its near miss, as that
is all that a process leaves which was killed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.near_miss import HistoryEvent
from chaosrunner.model.runbook import NOTHING

BEGUN, APPLIED, LOST, TRIED = "runbook begun", "runbook applied", "runbook lost", "runbook tried"
"""What the history says of an apply: begun; ended; begun, and its end is not known; the run after it came to its
end."""
_ENDED = ("runbook apply failed", LOST)
_RAN = ("seen again", "run passed", "run not counted", TRIED)
"""What the history says when a run has shown it, or has not."""
_WHILE_APPLIED = "while it was applied"


class PendingApply(Frozen):
    """An apply that began, and did not report its end; or one that ended, and no run has been seen since."""

    by: str
    """Who applied it."""
    at: float
    """When it began, or ended; epoch seconds."""
    does: str
    """The runbook, in a sentence."""
    changed: str = ""
    """What it said that it changed (`1 change on 1 host`, `nothing`); empty: it did not report its end."""

    @property
    def ended(self) -> bool:
        """Whether it came to its end, so that only the run is missing that verifies it."""
        return bool(self.changed)

    @property
    def changed_nothing(self) -> bool:
        """Whether it came to its end, and there was nothing to change."""
        return self.changed.startswith(NOTHING)

    def in_words(self, moment: str) -> str:
        """What happened, where `moment` is its time as people read it."""
        if self.ended:
            return f"its runbook was applied at {moment} by {self.by} ({self.changed}), and no run has tried it since"
        return f"an apply of its runbook was begun at {moment} by {self.by} and did not report its end"


def pending_apply(history: Sequence[HistoryEvent]) -> PendingApply | None:
    """The last apply, where something of it is left to be done; None: nothing is. `history`: oldest first."""
    begun = next((number for number in range(len(history) - 1, -1, -1) if history[number].what == BEGUN), None)
    if begun is None:
        return None
    does, found = history[begun].reason, history[begun]
    for event in history[begun + 1 :]:
        if event.what in _ENDED or (event.what == "runbook stopped" and event.after == _WHILE_APPLIED):
            return None
        if event.what == APPLIED:
            found = event
        elif found.what == APPLIED and _settled(event):
            return None
    changed = (found.after or NOTHING) if found.what == APPLIED else ""
    return PendingApply(by=found.actor, at=found.at, does=does, changed=changed)


def _settled(event: HistoryEvent) -> bool:
    """Whether this says that an apply that ended was tried by a run, or is no longer counted on."""
    taken_back = event.what == "state" and event.before == "fix-ready"
    return taken_back or event.what in _RAN
