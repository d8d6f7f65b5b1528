"""A failure-mode-and-effects sheet for each service: what was tried, what came of it, what defends, what is to be done;
and what was never tried. Pure: made of the runs that were recorded and the near misses that they found.

Severity first, by the same lookup as priorities; no numbers are multiplied (see `priority`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.near_miss import FaultCondition, NearMiss, RunFacts, day_of
from chaosrunner.model.words import NO_MODE, Answer, FaultClass, Source

NEVER = "never tried"
_ORDER = {"P1": 0, "P2": 1, "P3": 2, "P4": 3, "": 4}


class FmeaRow(Frozen):
    """One failure mode of one service."""

    service: str
    mode: str
    """The class of the fault and what it was about: `dependency-slow to payments`."""
    result: str
    """`gap`, `held`, `inconclusive`, `reported`, or `never tried`."""
    runs: int = 0
    last_tried: date | None = None
    experiments: tuple[str, ...] = ()
    effect: str = ""
    """What failed, and how, in words."""
    failure_mode: str = ""
    defences: str = ""
    """Those that are known, with what they did."""
    detection: str = ""
    """Who noticed, or would have."""
    severity: str = ""
    """S1 to S4."""
    proximity: str = ""
    """C1 to C4: what still stood."""
    priority: str = ""
    near_miss: str = ""
    state: str = ""
    action: str = ""
    """What is to be done, or was."""
    owner: str = ""
    due: date | None = None


COLUMNS = tuple(FmeaRow.model_fields)
"""In the order of the sheet."""


class _Mode:
    """What was tried of one failure mode."""

    def __init__(self) -> None:
        self.runs: list[tuple[RunFacts, str]] = []

    def add(self, facts: RunFacts) -> None:
        self.runs.append((facts, "inconclusive" if facts.trouble else facts.answer))

    @property
    def result(self) -> str:
        """Of the last conclusive run."""
        told = [answer for _, answer in self.runs if answer in (Answer.HELD.value, Answer.BROKEN.value)]
        return {"held": "held", "broken": "gap"}.get(told[-1] if told else "", "inconclusive")


Key = tuple[str, str]


def sheet(near_misses: Iterable[NearMiss], runs: Sequence[RunFacts], services: Iterable[str] = ()) -> list[FmeaRow]:
    """Every failure mode of every service that is known: from near misses, from runs (oldest first), and by name.

    The rows of a service come together, what is most urgent first and what was never tried last.
    """
    modes: dict[Key, _Mode] = {}
    for facts in runs:
        for fault in facts.conditions.faults:
            modes.setdefault((facts.service, _mode(fault)), _Mode()).add(facts)
    found = [each for each in near_misses if each.duplicate_of is None]
    rows = [_of_near_miss(each, modes) for each in found]
    taken = {(row.service, row.mode) for row in rows}
    rows += [_of_mode(key, mode) for key, mode in modes.items() if key not in taken]
    known = {*services, *(row.service for row in rows)}
    rows += list(_never(known, found, modes))
    return sorted(rows, key=_rank)


def _rank(row: FmeaRow) -> tuple[str, bool, int, str, str]:
    return (row.service, row.result == NEVER, _ORDER.get(row.priority, 4), row.mode, row.near_miss)


def _mode(fault: FaultCondition) -> str:
    identity = dict(fault.identity) | ({"to": ",".join(fault.to)} if fault.to else {})
    return _named((fault.fault_class,), identity, fault.services)


def _named(classes: Sequence[str], identity: dict[str, str], targets: Sequence[str]) -> str:
    told = [f"to {identity['to']}"] if "to" in identity else []
    told += [f"{name} {value}" for name, value in sorted(identity.items()) if name != "to"]
    told += [f"on {', '.join(targets)}"] if targets else []
    return " ".join([" and ".join(classes) or "reported", *told])


def _of_near_miss(near_miss: NearMiss, modes: dict[Key, _Mode]) -> FmeaRow:
    mode = _named(near_miss.fault_classes, near_miss.identity, near_miss.target_services)
    tried = modes.get((near_miss.service, mode))
    scoring = near_miss.scoring
    return FmeaRow(
        service=near_miss.service,
        mode=mode if near_miss.fault_classes else f"reported: {near_miss.title}",
        result="reported" if near_miss.source is not Source.RUN else "held" if near_miss.closed else "gap",
        runs=len(tried.runs) if tried else near_miss.occurrences,
        last_tried=day_of(tried.runs[-1][0].ended if tried else near_miss.last_seen),
        experiments=tuple(dict.fromkeys((*near_miss.experiments, *near_miss.links))),
        effect=near_miss.title,
        failure_mode=near_miss.failure_mode.value if near_miss.failure_mode else near_miss.kind.value,
        defences=_defences(near_miss),
        detection=_detection(near_miss),
        severity=scoring.potential,
        proximity=scoring.proximity,
        priority=near_miss.priority.value,
        near_miss=near_miss.id,
        state=near_miss.state.value,
        action=_action(near_miss),
        owner=near_miss.owner or "",
        due=None if near_miss.closed else near_miss.due,
    )


def _defences(near_miss: NearMiss) -> str:
    if near_miss.barriers:
        return "; ".join(f"{each.name}: {each.state}" for each in near_miss.barriers)
    inputs = near_miss.scoring.inputs
    why = "" if inputs.stopped_by == "unknown" else f" ({inputs.stopped_by.replace('-', ' ')})"
    return f"{inputs.standing} held" if inputs.standing else f"none known{why}"


def _detection(near_miss: NearMiss) -> str:
    if near_miss.scoring.inputs.undetected:
        return "nobody would have been alerted"
    return near_miss.detected_by.value if near_miss.detected_by else "not known"


def _action(near_miss: NearMiss) -> str:
    if near_miss.waiver is not None:
        return f"waived until {near_miss.waiver.until}: {near_miss.waiver.reason}"
    if near_miss.fixed_by:
        return f"fixed by {near_miss.fixed_by}"
    if near_miss.closed:
        return f"{near_miss.state.value}: {near_miss.reason}" if near_miss.reason else near_miss.state.value
    return near_miss.item.url or near_miss.item.key if near_miss.item else "none yet"


def _of_mode(key: Key, mode: _Mode) -> FmeaRow:
    latest = mode.runs[-1][0]
    effects = {"held": "held what was promised", "gap": "broke", "inconclusive": "nothing can be said yet"}
    return FmeaRow(
        service=key[0],
        mode=key[1],
        result=mode.result,
        runs=len(mode.runs),
        last_tried=day_of(latest.ended),
        experiments=tuple(sorted({facts.experiment for facts, _ in mode.runs})),
        effect=effects[mode.result],
        defences="held" if mode.result == "held" else "",
    )


def _never(services: set[str], found: Sequence[NearMiss], modes: dict[Key, _Mode]) -> Iterator[FmeaRow]:
    """The classes of faults that no run of a service had."""
    tried: dict[str, set[str]] = {}
    for service, mode in modes:
        tried.setdefault(service, set()).add(mode.split(" ")[0])
    for near_miss in found:
        tried.setdefault(near_miss.service, set()).update(near_miss.fault_classes)
    for service in services:
        for fault_class in FaultClass:
            if fault_class not in NO_MODE and fault_class.value not in tried.get(service, set()):
                yield FmeaRow(service=service, mode=fault_class.value, result=NEVER)
