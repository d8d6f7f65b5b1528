"""Which services were tested against which failure modes, how long ago, with what answer; what is missing, what expires
next, and one honest number. Pure: made of the runs that were recorded and the near misses that are known.

Nothing counts as passed but what was tested lately and held. What was never tried, tried without an answer, or tried so
long ago that it says nothing of today counts the same as what broke: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import model_validator
from chaosrunner.model.near_miss import FaultCondition, NearMiss, RunFacts
from chaosrunner.model.words import Answer
from chaosrunner.records.light import dataclass

DAY = 86400.0
SCHEMA = "chaosrunner.coverage/1"
Granularity = Literal["class", "kind"]
"""What counts as one failure mode: a class of faults that hurt alike, or each kind of fault by itself."""


class Standing(StrEnum):
    """What is known of one service under one failure mode."""

    HELD = "held"
    """The last conclusive run of each way it was tried held, and is young enough; no near miss of it is open."""
    GAP = "gap"
    """The last conclusive run of some way it was tried broke, or a near miss of it is open. It does not expire."""
    EXPIRED = "expired"
    """It held, too long ago to say anything of today."""
    INCONCLUSIVE = "inconclusive"
    """It was tried, and nothing was learnt."""
    UNTESTED = "untested"
    """It was never tried."""
    NOT_APPLICABLE = "not-applicable"
    """Somebody said, with a reason, that this cannot happen to the service. It is not counted."""


class NamedService(Frozen):
    """What a file of services says of one."""

    not_applicable: dict[str, str] = {}
    """Failure modes that cannot happen to it, each with the reason."""

    @model_validator(mode="after")
    def _reasons(self) -> NamedService:
        if empty := [mode for mode, reason in self.not_applicable.items() if not reason.strip()]:
            raise ValueError(f"{empty[0]}: expected the reason why it cannot happen to this service")
        return self


class NamedServices(Frozen):
    """A file of services that should be tested: a list of names, or a mapping with what cannot happen to each."""

    services: dict[str, NamedService]

    @model_validator(mode="before")
    @classmethod
    def _just_names(cls, value: Any) -> Any:
        listed = value.get("services") if isinstance(value, dict) else None
        if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
            return {**value, "services": {name: {} for name in listed}}
        if isinstance(listed, dict):
            return {**value, "services": {name: {} if told is None else told for name, told in listed.items()}}
        return value


class Cell(Frozen):
    """One service under one failure mode."""

    service: str
    mode: str
    """A class of faults (`dependency-slow`) or a kind (`network-latency`)."""
    standing: Standing
    counted: bool = True
    """Whether it is part of the score: modes that were tried although no fault of the platform has them are not, nor
    what is not applicable."""
    runs: int = 0
    last_tried: float | None = None
    """End of the last run, wall time."""
    answered: float | None = None
    """End of the oldest run that its answer rests on: of each way it was tried, the last conclusive one."""
    expires: float | None = None
    """Wall time at which what held counts no longer."""
    kinds: tuple[str, ...] = ()
    """Of faults that were tried."""
    experiments: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()
    """Open ones."""
    why: str = ""


class Coverage(Frozen):
    """What was tested, and what was not."""

    schema_: Literal["chaosrunner.coverage/1"] = "chaosrunner.coverage/1"
    on: float
    """Wall time."""
    by: Granularity = "class"
    environment: str = ""
    """Empty: all of them."""
    valid_days: float
    soon_days: float
    services: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    """By service, then in the order of the modes."""
    counts: dict[str, int] = {}
    """How many counted cells stand how."""
    score: float | None = None
    """0 to 100; none: there is nothing to count."""
    formula: str = ""
    """How the score is made, with its numbers."""
    expires_next: tuple[Cell, ...] = ()
    """What held and will expire within `soon_days`, the earliest first."""
    only_hit: tuple[str, ...] = ()
    """Services that faults acted on, while no experiment ever tested their own promise."""
    notes: tuple[str, ...] = ()
    """What is not known, for people."""

    @property
    def counted(self) -> int:
        """How many cells the score is of."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Asked:
    """What coverage is asked of."""

    now: float
    modes: tuple[str, ...]
    """That may happen, as the faults of the platform have them."""
    services: Mapping[str, NamedService]
    """Beside those that runs are about."""
    by: Granularity = "class"
    valid: float = 90 * DAY
    """Seconds for which an answer counts."""
    soon: float = 14 * DAY
    environment: str = ""
    notes: tuple[str, ...] = ()


class _Way:
    """One way in which a mode was tried: the same target and identity; its runs from the oldest to the newest."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.at = 0.0

    def add(self, facts: RunFacts) -> None:
        answer = conclusive(facts)
        if answer is not None:
            self.answer, self.at = answer, facts.ended


class _Tried:
    """All runs of one service under one mode."""

    def __init__(self) -> None:
        self.ways: dict[str, _Way] = {}
        self.runs: dict[str, RunFacts] = {}
        self.kinds: set[str] = set()

    def add(self, facts: RunFacts, fault: FaultCondition) -> None:
        way = repr((sorted(fault.identity.items()), fault.to, fault.services))
        self.ways.setdefault(way, _Way()).add(facts)
        self.runs[facts.run] = facts
        self.kinds.add(fault.kind)


def conclusive(facts: RunFacts) -> Answer | None:
    """What a run says about its faults; None: nothing. What broke stays broken, however the run ended."""
    if facts.answer == Answer.BROKEN.value:
        return Answer.BROKEN
    return Answer.HELD if facts.answer == Answer.HELD.value and not facts.trouble else None


def coverage(runs: Iterable[RunFacts], near_misses: Iterable[NearMiss], asked: Asked) -> Coverage:
    """What the runs say. An earlier name of a service is the service."""
    ordered = sorted(runs, key=lambda each: each.ended)
    names = {alias: facts.service for facts in ordered for alias in facts.aliases}
    tried, hit = _tried(ordered, asked.by, names)
    open_ones = [each for each in near_misses if not each.closed and each.duplicate_of is None]
    known = {*asked.services, *(service for service, _ in tried), *hit}
    services = sorted(known | {names.get(each.service, each.service) for each in open_ones})
    cells = [
        _cell(service, mode, tried.get((service, mode)), _about(service, mode, open_ones, names, asked.by), asked)
        for service in services
        for mode in _modes(service, tried, asked.modes)
    ]
    return _whole(asked, services, cells, hit - {service for service, _ in tried})


def _modes(service: str, tried: Mapping[tuple[str, str], _Tried], modes: Sequence[str]) -> list[str]:
    return [*modes, *sorted(mode for one, mode in tried if one == service and mode not in modes)]


def _tried(
    runs: Sequence[RunFacts], by: Granularity, names: Mapping[str, str]
) -> tuple[dict[tuple[str, str], _Tried], set[str]]:
    """What was tried, by service and mode; and the services that faults acted on."""
    tried: dict[tuple[str, str], _Tried] = {}
    hit: set[str] = set()
    for facts in runs:
        service = names.get(facts.service, facts.service)
        for fault in facts.conditions.faults:
            mode = fault.fault_class if by == "class" else fault.kind
            if fault.fault_class != "nothing":
                tried.setdefault((service, mode), _Tried()).add(facts, fault)
                hit |= {names.get(one, one) for one in fault.services}
    return tried, hit


def _about(
    service: str, mode: str, open_ones: Sequence[NearMiss], names: Mapping[str, str], by: Granularity
) -> list[NearMiss]:
    """Open near misses of a service under a class of faults. They do not know the kind of the fault."""
    if by == "kind":
        return []
    return [
        each for each in open_ones if names.get(each.service, each.service) == service and mode in each.fault_classes
    ]


def _cell(service: str, mode: str, tried: _Tried | None, about: Sequence[NearMiss], asked: Asked) -> Cell:
    reason = asked.services[service].not_applicable.get(mode, "") if service in asked.services else ""
    counted = mode in asked.modes
    open_ids = tuple(each.id for each in about)
    if tried is None:
        if about:
            return Cell(
                service=service,
                mode=mode,
                standing=Standing.GAP,
                counted=counted,
                near_misses=open_ids,
                why=_open(about),
            )
        if reason:
            return Cell(service=service, mode=mode, standing=Standing.NOT_APPLICABLE, counted=False, why=reason)
        return Cell(service=service, mode=mode, standing=Standing.UNTESTED, counted=counted, why="never tried")
    runs = list(tried.runs.values())
    known = [way for way in tried.ways.values() if way.answer is not None]
    oldest = min((way.at for way in known), default=None)
    standing, why = _standing(tried, known, about, asked)
    return Cell(
        service=service,
        mode=mode,
        standing=standing,
        counted=counted,
        runs=len(runs),
        last_tried=runs[-1].ended,
        answered=oldest,
        expires=oldest + asked.valid if oldest is not None and standing is Standing.HELD else None,
        kinds=tuple(sorted(tried.kinds)),
        experiments=tuple(sorted({facts.experiment for facts in runs})),
        near_misses=open_ids,
        why=why,
    )


def _standing(tried: _Tried, known: Sequence[_Way], about: Sequence[NearMiss], asked: Asked) -> tuple[Standing, str]:
    if any(way.answer is Answer.BROKEN for way in known):
        broke = sum(way.answer is Answer.BROKEN for way in known)
        return Standing.GAP, f"{broke} of {len(tried.ways)} ways it was tried broke" if len(
            tried.ways
        ) > 1 else "it broke"
    if about:
        return Standing.GAP, _open(about)
    if len(known) < len(tried.ways):
        return Standing.INCONCLUSIVE, f"{len(tried.ways) - len(known)} of {len(tried.ways)} ways gave no answer"
    if asked.now - min(way.at for way in known) >= asked.valid:
        return Standing.EXPIRED, f"it held, longer than {asked.valid / DAY:g} days ago"
    return Standing.HELD, "it held"


def _open(about: Sequence[NearMiss]) -> str:
    return f"open: {', '.join(each.id for each in about)}"


def _whole(asked: Asked, services: Sequence[str], cells: Sequence[Cell], only_hit: set[str]) -> Coverage:
    counts = {each.value: 0 for each in Standing if each is not Standing.NOT_APPLICABLE}
    for cell in cells:
        if cell.counted:
            counts[cell.standing.value] += 1
    total, held = sum(counts.values()), counts[Standing.HELD.value]
    return Coverage(
        on=asked.now,
        by=asked.by,
        environment=asked.environment,
        valid_days=asked.valid / DAY,
        soon_days=asked.soon / DAY,
        services=tuple(services),
        modes=asked.modes,
        cells=tuple(cells),
        counts=counts,
        score=round(100 * held / total, 1) if total else None,
        formula=_formula(counts, total),
        expires_next=tuple(_next(cells, asked)),
        only_hit=tuple(sorted(only_hit)),
        notes=asked.notes,
    )


def _formula(counts: Mapping[str, int], total: int) -> str:
    if not total:
        return "100 × held ÷ all pairs of a service and a failure mode: there is none"
    parts = " + ".join(f"{count} {name}" for name, count in counts.items())
    return f"100 × held ÷ all = 100 × {counts[Standing.HELD.value]} ÷ ({parts})"


def _next(cells: Sequence[Cell], asked: Asked) -> Iterator[Cell]:
    expiring = [cell for cell in cells if cell.expires is not None and cell.expires <= asked.now + asked.soon]
    yield from sorted(expiring, key=lambda cell: (cell.expires or 0.0, cell.service, cell.mode))
