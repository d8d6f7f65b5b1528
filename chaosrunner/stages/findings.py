"""What a run showed, as it is recorded: handed from the judge and the lookout to the register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from chaosrunner.model.gap import Gap
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import Verdict
from chaosrunner.records.light import dataclass
from chaosrunner.reports.account import Account

if TYPE_CHECKING:
    from chaosrunner.model.evidence import Clues


@dataclass(frozen=True, slots=True)
class Findings:
    """Of one run."""

    plan: Plan
    verdict: Verdict
    gaps: Sequence[Gap]
    ended: float
    """Wall time (epoch seconds) of the run's end."""
    clues: Mapping[str, Clues] = field(default_factory=dict)
    """What else changed, by the gap's fingerprint."""
    account: Account | None = None
    """The run's readings, of which the course of what failed is kept; None: they are not kept."""
