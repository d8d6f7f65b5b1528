"""What verifies a fix: how many passing runs (`ver/1`), and which runs count.

A run counts when it could have shown the gap again: the same or a harder fault on the same services, expectations that
were not loosened, and nothing inconclusive. Where that cannot be told, it does not count, and why is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from chaosrunner.model.environment import Verification
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.near_miss import Conditions, Expectation, FaultCondition, Progress, day_of
from chaosrunner.model.quantities import convert, number
from chaosrunner.model.tolerance import Amount, Rule
from chaosrunner.model.words import Phase, Priority
from chaosrunner.records.light import dataclass

MISSED = 0.05
"""A gap must not slip through with more than this probability."""
LEAST_RUNS = 2
URGENT = (Priority.P1, Priority.P2)
URGENT_RUNS, URGENT_DAYS = 3, 2


def reproduction(seen: int, comparable: int) -> float:
    """How likely a run shows the gap, of `seen` in `comparable` runs: `(k + 1) / (m + 2)`, the rule of succession,
    so that one sighting does not count as certainty."""
    return (seen + 1) / (comparable + 2)


def runs_needed(seen: int, comparable: int) -> int:
    """The smallest n with `(1 - p)^n < 5 %`, at least 2: 1 of 1 needs 3, 3 of 3 needs 2, 1 of 10 needs 17."""
    chance = 1 - reproduction(seen, comparable)
    needed = 1
    while chance**needed >= MISSED:
        needed += 1
    return max(needed, LEAST_RUNS)


def slip(seen: int, comparable: int, runs: int) -> float:
    """The chance that so many passing runs would have missed a gap that shows as often as this one did."""
    return float((1 - reproduction(seen, comparable)) ** runs)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """How often it was seen, in how many comparable runs, and how urgent it is."""

    seen: int
    comparable: int
    priority: Priority


def required(reproduced: Reproduced, asked: Verification, environment: str) -> Progress:
    """What is asked for before the first passing run: by rule, or by the environment where it says so."""
    runs = runs_needed(reproduced.seen, reproduced.comparable)
    days = 1
    if reproduced.priority in URGENT:
        runs, days = max(runs, URGENT_RUNS), URGENT_DAYS
    by_environment = bool(asked.runs or asked.days)
    runs, days = asked.runs or runs, asked.days or days
    return Progress(
        required_runs=max(runs, days),
        required_days=days,
        asked_by=f"environment {environment}" if by_environment else "ver/1",
        slip=slip(reproduced.seen, reproduced.comparable, max(runs, days)),
    )


def with_run(progress: Progress, run: str, at: float) -> Progress:
    """One more run that counts."""
    days = tuple(sorted({*progress.days, day_of(at)}))
    return progress.model_copy(update={"runs": (*progress.runs, run), "days": days})


# ------------------------------------------------------------------------------------------------- which runs count


@dataclass(frozen=True, slots=True)
class Difference:
    """Why a run cannot be held against the conditions that a gap showed under."""

    what: Literal["weaker", "different"]
    why: str


def exercises(conditions: Conditions, run: Conditions) -> bool:
    """Whether the run had faults of the same classes on the same services at all."""
    return bool(conditions.faults) and all(_counterparts(fault, run) for fault in conditions.faults)


def differences(conditions: Conditions, run: Conditions) -> list[Difference]:
    """Everything for which a passing run with `run` does not count against `conditions`; empty: it counts."""
    found = []
    for fault in conditions.faults:
        each = [list(_fault_differs(fault, other)) for other in _counterparts(fault, run)]
        absent = [Difference("different", f"it had no {fault.fault_class} fault there")]
        found += sorted(each, key=len)[0] if each else absent
    same_place = conditions.environment == run.environment
    now = {expectation.measure: expectation for expectation in run.expectations}
    for expectation in conditions.expectations:
        if expectation.measure not in now:
            found.append(Difference("weaker", f"{expectation.measure} is no longer judged"))
        else:
            found += _loosened(expectation, now[expectation.measure], same_place)
    found += _less_around(conditions, run)
    return found


def _counterparts(fault: FaultCondition, run: Conditions) -> list[FaultCondition]:
    identity = (fault.fault_class, fault.identity, fault.services, fault.to)
    return [other for other in run.faults if (other.fault_class, other.identity, other.services, other.to) == identity]


def _fault_differs(was: FaultCondition, now: FaultCondition) -> Iterator[Difference]:
    if was.kind != now.kind:
        yield Difference("different", f"the fault was {now.kind}, not {was.kind}; which is harder cannot be told")
        return
    for name in sorted({*was.params, *now.params}):
        if was.params.get(name) != now.params.get(name):
            yield Difference(
                "different", f"{was.kind}: {name} is {now.params.get(name)!r}, it was {was.params.get(name)!r}"
            )
    for name in sorted({*was.harder, *now.harder}):
        before, after = was.harder.get(name), now.harder.get(name)
        if before is None or after is None:
            yield Difference("different", f"{was.kind}: {name} was given in only one of the two")
        elif after < before:
            values = f"{number(abs(after))}, it was {number(abs(before))}"
            yield Difference("weaker", f"{was.kind}: {name} is {values}: a weaker fault")
    if now.targets < was.targets:
        yield Difference("weaker", f"{was.kind} hit {now.targets} targets, it was {was.targets}")
    if now.lasts < was.lasts:
        yield Difference("weaker", f"{was.kind} lasted {number(now.lasts)} s, it was {number(was.lasts)} s")
    if now.settle > was.settle:
        yield Difference(
            "weaker", f"{was.kind}: the first {number(now.settle)} s are not judged, it was {number(was.settle)} s"
        )


def _less_around(was: Conditions, now: Conditions) -> Iterator[Difference]:
    if now.recovery_within > was.recovery_within:
        yield Difference(
            "weaker", f"recovery may take {number(now.recovery_within)} s, it was {number(was.recovery_within)} s"
        )
    if (now.recovery_holds or 0) < (was.recovery_holds or 0):
        yield Difference("weaker", "recovery must hold for less long than it had to")
    if was.traffic is not None:
        yield from _less_traffic(was.traffic, now.traffic, was.environment == now.environment)


def _less_traffic(was: TrafficSpec, now: TrafficSpec | None, same_place: bool) -> Iterator[Difference]:
    if now is None:
        yield Difference("weaker", f"the run had no traffic, it was {number(was.rate)} requests a second")
        return
    if now.rate < was.rate:
        yield Difference("weaker", f"{number(now.rate)} requests a second, it was {number(was.rate)}")
    if now.timeout > was.timeout:
        yield Difference("weaker", f"requests may take {number(now.timeout)} s, it was {number(was.timeout)} s")
    if _request(was, same_place) != _request(now, same_place):
        yield Difference("different", "the traffic sends other requests, or expects other answers")


def _request(traffic: TrafficSpec, same_place: bool) -> JsonObject:
    return _placed(traffic.model_copy(update={"rate": 1.0, "timeout": 1.0}).as_json(), same_place)


def _loosened(was: Expectation, now: Expectation, same_place: bool) -> Iterator[Difference]:
    if was.probe != now.probe or _placed(was.params, same_place) != _placed(now.params, same_place):
        yield Difference("different", f"{was.measure} reads something else than it did")
    if (was.during, was.when_missing, was.unit) != (now.during, now.when_missing, now.unit):
        yield Difference(
            "different", f"{was.measure}: its unit, when it is read, or what missing readings mean changed"
        )
        return
    for phase in Phase:
        old: Rule | None = getattr(was.tolerance, phase.value)
        new: Rule | None = getattr(now.tolerance, phase.value)
        if old is None or old == new or phase is Phase.BASELINE:
            continue
        if new is None:
            yield Difference("weaker", f"{was.measure} is no longer judged in the {phase.value} phase")
        elif problem := _looser(old, new, was.unit):
            yield Difference(problem, f"{was.measure}: {new} in the {phase.value} phase, it was {old}")


def _placed(params: JsonObject, same_place: bool) -> JsonObject:
    """Parameters without the host and port of URLs where they say nothing: between environments of one class, and on
    loopback, where ports are wherever they were free."""

    def without_place(value: JsonValue) -> JsonValue:
        if isinstance(value, str) and "://" in value:
            url = urlsplit(value)
            if not same_place or url.hostname in ("127.0.0.1", "localhost", "::1"):
                return url._replace(netloc="").geturl()
        return value

    return {name: without_place(value) for name, value in params.items()}


def _looser(old: Rule, new: Rule, unit: str | None) -> Literal["weaker", "different"] | None:
    """None: `new` is at least as strict. Where that cannot be told they are different."""
    if new.for_ > old.for_:
        return "weaker"
    sides = [(old.at_most, new.at_most, 1), (old.at_least, new.at_least, -1)]
    if old.between and new.between:
        sides += [(old.between[0], new.between[0], -1), (old.between[1], new.between[1], 1)]
    elif old.between or new.between:
        return "different"
    if old.equals != new.equals or old.matches != new.matches or old.take != new.take:
        return "different"
    if old.like or new.like:
        return _less_alike(old, new)
    verdicts = [_side(before, after, direction, unit) for before, after, direction in sides]
    if new.floor != old.floor:
        verdicts.append(_side(old.floor, new.floor, 1, unit) if new.floor else None)
    return "different" if "different" in verdicts else "weaker" if "weaker" in verdicts else None


def _less_alike(old: Rule, new: Rule) -> Literal["weaker", "different"] | None:
    """The same for `like baseline`: a greater difference is passed over, or found less surely."""
    if old.like != new.like:
        return "different"
    if new.side not in (None, "either", old.side):
        return "weaker" if old.side in (None, "either") else "different"
    found = new.found_with < old.found_with or new.detectable > old.detectable
    return "weaker" if found or new.least_effect > old.least_effect or new.alarms < old.alarms else None


def _side(
    old: Amount | None, new: Amount | None, direction: int, unit: str | None
) -> Literal["weaker", "different"] | None:
    if old is None and new is None:
        return None
    if old is None or new is None or old.share != new.share or old.relative != new.relative:
        return "different"
    if old.relative and old.times != new.times and (old.plus or new.plus):
        return "different"
    looser = (_plain(new, unit) - _plain(old, unit)) * direction > 0 or (new.times - old.times) * direction > 0
    return "weaker" if looser else None


def _plain(amount: Amount, unit: str | None) -> float:
    return amount.plus if amount.share or not amount.unit else convert(amount.plus, amount.unit, unit)
