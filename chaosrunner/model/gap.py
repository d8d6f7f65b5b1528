"""A gap: something a run showed that should not be so. `register` makes near misses of gaps."""

from __future__ import annotations

import hashlib
import json

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.words import FindingClass, GapKind

FINGERPRINT_RULE = "nm/1"
_OF_THEIR_OWN = (
    GapKind.UNDETECTED,
    GapKind.SPILL_OVER,
    GapKind.UNDO_FAILED,
    GapKind.NO_REDUNDANCY,
    GapKind.REPORTED,
)
"""Kinds that are not about a hypothesis, and so are told apart by what they are about."""


class Gap(Frozen):
    """One gap of one run. What identifies it lasts; numbers belong to this occurrence."""

    kind: GapKind
    also: tuple[GapKind, ...] = ()
    """Further kinds that the same hypothesis showed in the same run (no recovery, aborted)."""
    finding: FindingClass
    title: str
    """One line, without numbers that change from run to run."""
    story: str
    """What happened, in a few plain sentences with numbers."""
    environment_class: str
    service: str
    fault_classes: tuple[str, ...]
    """Sorted; of the faults that were in force."""
    identity: dict[str, str] = {}
    """Identity parameters, as the faults name them."""
    target_services: tuple[str, ...] = ()
    """Sorted."""
    hypothesis: str | None = None
    subject: str | None = None
    """In place of the hypothesis: the alert, what was hit, or the fault."""
    strength: str = ""
    measures: tuple[JsonObject, ...] = ()
    """The measures that failed: key, rule, worst value, margin, for how long."""

    @property
    def fingerprint(self) -> str:
        """`nm/1`: of what lasts only; see DESIGN section 9. Never of values, thresholds, names of pods or dates."""
        group = "hypothesis"
        if self.kind in _OF_THEIR_OWN:
            group = self.kind.value
        parts = [
            FINGERPRINT_RULE,
            self.environment_class,
            self.service,
            sorted(self.fault_classes),
            dict(sorted(self.identity.items())),
            sorted(self.target_services),
            [group, self.hypothesis or self.subject or ""],
        ]
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
