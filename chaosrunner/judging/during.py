"""In which phases a measure is read, and where it is judged.

The modes are Litmus's, in DESIGN's words. In the phases that it names a measure is read on its own schedule:

| `during` | Litmus | read in |
|---|---|---|
| `always` (default), `continuous` | Continuous | baseline, fault, recovery |
| `start` | SOT | baseline |
| `end` | EOT | recovery |
| `edge` | Edge | baseline, recovery |
| `fault` | OnChaos | fault |
"""

from __future__ import annotations

from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.tolerance import Rule
from chaosrunner.model.words import During, Phase

_ALL = frozenset(Phase)
_PHASES = {
    During.ALWAYS: _ALL,
    During.CONTINUOUS: _ALL,
    During.START: frozenset({Phase.BASELINE}),
    During.END: frozenset({Phase.RECOVERY}),
    During.EDGE: frozenset({Phase.BASELINE, Phase.RECOVERY}),
    During.FAULT: frozenset({Phase.FAULT}),
}


def phases_read(during: During) -> frozenset[Phase]:
    """The phases in which a measure is read."""
    return _PHASES[during]


def rule_in(measure: PlannedMeasure, phase: Phase) -> Rule | None:
    """The rule that the measure is held against in a phase; None where it has none there, or is not read there."""
    if measure.tolerance is None or phase not in _PHASES[measure.during]:
        return None
    rule: Rule | None = getattr(measure.tolerance, phase.value)
    return rule


def needs_baseline(measure: PlannedMeasure) -> bool:
    """Whether a later rule, or the abort limit, is relative to the baseline's median."""
    later = [rule_in(measure, Phase.FAULT), rule_in(measure, Phase.RECOVERY), measure.abort_at]
    return any(rule is not None and rule.relative for rule in later)
