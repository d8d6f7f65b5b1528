"""guard: Plan -> go, or refusals. A guard that cannot be answered refuses.

`ask` answers all guards of the plan's environment; `plan` shows the answers, `run` records them and stops at a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Protocol

from chaosrunner.engine.leash import Leash
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.alerts import naming
from chaosrunner.model.environment import Guards
from chaosrunner.model.plan import GuardAnswer, Plan, PlannedFault, PlannedItem
from chaosrunner.ports import Affected, Intended, Platform
from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PLATFORM_TAKES = 30.0
"""Seconds that a platform may take for all its guards."""


class Alerts(Protocol):
    """Where firing alerts can be read."""

    async def firing(self) -> Sequence[Mapping[str, str]]:
        """Labels of all alerts that fire now. Raises a `ChaosrunnerError` if they cannot be read."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the guards are asked about, beside the plan."""

    now: float
    """Wall time, epoch seconds."""
    who: str
    second: str = ""
    """The second person, for production."""
    production_confirmed: bool = False
    alerts: Alerts | None = None
    platform: Platform | None = None
    """None: there is none to ask."""
    needs: Callable[[str], Sequence[str]] = lambda kind: ()
    """The permissions that a kind of fault needs."""


async def ask(plan: Plan, circumstances: Circumstances) -> tuple[GuardAnswer, ...]:
    """All answers, in a fixed order; those that the environment does not set are left out."""
    guards = plan.environment.spec.guards
    answers = await _passing(guards, plan, circumstances)
    answers += _silence(plan)
    answers += await _how_much(guards, plan, circumstances.platform)
    answers += await _of_the_platform(guards, plan, circumstances)
    return tuple(answers)


async def ask_again(plan: Plan, circumstances: Circumstances) -> tuple[GuardAnswer, ...]:
    """The answers of those guards that the environment names under `always`. What the plan was held against before
    anything was touched (how much is hit, what the platform says) is not asked again: the fault itself changes it."""
    always = set(plan.environment.spec.guards.always)
    answers = await _passing(plan.environment.spec.guards, plan, circumstances)
    return tuple(answer for answer in answers if answer.guard in always)


def ask_to_schedule(guards: Guards, circumstances: Circumstances) -> GuardAnswer:
    """Whether runs on this environment may be scheduled: production takes two who know. All else is asked by each of
    the runs at its time."""
    return _production(guards, circumstances)


def ask_to_change(guards: Guards, circumstances: Circumstances) -> tuple[GuardAnswer, ...]:
    """Those that hold for a change by a runbook too: production, and the hours in which one may be made. How much an
    experiment hits says nothing of what mends it."""
    answers = [_production(guards, circumstances)]
    return (*answers, _windows(guards.windows, circumstances.now)) if guards.windows else tuple(answers)


async def ask_how_much(plan: Plan, fault: PlannedFault, circumstances: Circumstances) -> Sequence[GuardAnswer]:
    """How much a fault hits with these targets, asked anew while it is in force: another one has appeared."""
    asked = await _affected(fault, circumstances.platform)
    guards = plan.environment.spec.guards
    return [asked] if isinstance(asked, GuardAnswer) else [_max_affected(guards, fault, each) for each in asked]


async def _passing(guards: Guards, plan: Plan, circumstances: Circumstances) -> list[GuardAnswer]:
    """Those whose answer changes by itself."""
    answers = [_production(guards, circumstances)]
    answers += [_windows(guards.windows, circumstances.now)] if guards.windows else []
    answers += await _firing(guards, plan, circumstances)
    if guards.error_budget is not None:
        answers.append(_refuse("errorBudget", "the error budget cannot be read yet; take the guard out to go on"))
    return answers


async def _of_the_platform(guards: Guards, plan: Plan, circumstances: Circumstances) -> Sequence[GuardAnswer]:
    platform = circumstances.platform
    if platform is None:
        return ()
    intended = [Intended(fault, tuple(circumstances.needs(fault.fault))) for fault in plan.faults]
    asked = await Leash().ask(platform.guards(guards, intended), PLATFORM_TAKES)
    if asked.value is None:
        return [_refuse(platform.kind, f"the platform's guards cannot be answered: {asked.trouble}")]
    return asked.value


def _go(guard: str, reason: str) -> GuardAnswer:
    return GuardAnswer(guard=guard, go=True, reason=reason)


def _refuse(guard: str, reason: str) -> GuardAnswer:
    return GuardAnswer(guard=guard, go=False, reason=reason)


def _production(guards: Guards, circumstances: Circumstances) -> GuardAnswer:
    if not guards.production:
        return _go("production", "not a production environment")
    if not circumstances.production_confirmed:
        return _refuse("production", "this is production: say --i-know-this-is-production and name a second person")
    if not circumstances.second.strip() or _person(circumstances.second) == _person(circumstances.who):
        return _refuse("production", "this is production: --second NAME must name somebody else who agrees")
    return _go("production", f"{circumstances.who} and {circumstances.second} know that this is production")


def _person(name: str) -> str:
    """Who is meant, however it is written: `ana@laptop` and ` Ana` are one person."""
    return name.strip().casefold().partition("@")[0]


# -- windows

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = pattern(r"(?:(\w{3})(?:-(\w{3}))?\s+)?(\d\d:\d\d)-(\d\d:\d\d)(?:\s+(\S+))?")


@dataclass(frozen=True, slots=True)
class Window:
    """`Mon-Fri 09:00-16:00 Europe/Berlin`; without days every day, without a zone UTC. May pass midnight."""

    days: frozenset[int]
    begins: time
    ends: time
    zone: ZoneInfo

    def contains(self, epoch: float) -> bool:
        """Whether this moment lies inside; a window that passes midnight belongs to the day that it begins on."""
        moment = datetime.fromtimestamp(epoch, UTC).astimezone(self.zone)
        clock, day = moment.time(), moment.weekday()
        if self.begins <= self.ends:
            return day in self.days and self.begins <= clock < self.ends
        return (day in self.days and clock >= self.begins) or ((day - 1) % 7 in self.days and clock < self.ends)


def parse_window(text: str) -> Window:
    """Raises ValueError in words for the author of the file."""
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a window such as `Mon-Fri 09:00-16:00 Europe/Berlin`, found {text!r}")
    first, last, begins, ends, zone = match.groups()
    for day in (first, last):
        if day is not None and day not in _DAYS:
            raise ValueError(f"unknown day {day!r}, expected one of {', '.join(_DAYS)}")
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return Window(_days(first, last), time.fromisoformat(begins), time.fromisoformat(ends), ZoneInfo(zone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"window {text!r}: {error}") from None


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _windows(windows: Sequence[str], now: float) -> GuardAnswer:
    try:
        parsed = [parse_window(window) for window in windows]
    except ValueError as error:
        return _refuse("windows", str(error))
    for text, window in zip(windows, parsed, strict=True):
        if window.contains(now):
            return _go("windows", f"inside {text}")
    return _refuse("windows", f"outside of {' and '.join(windows)}")


# -- how much is affected


async def _how_much(guards: Guards, plan: Plan, platform: Platform | None) -> list[GuardAnswer]:
    """First each fault by itself, then those that are in force together."""
    alone: list[GuardAnswer] = []
    together: list[GuardAnswer] = []
    for item in plan.method:
        hits: dict[str, Sequence[Affected]] = {}
        for fault in item.faults:
            asked = await _affected(fault, platform)
            if isinstance(asked, GuardAnswer):
                alone.append(asked)
            else:
                hits[fault.id] = asked
                alone += [_max_affected(guards, fault, each) for each in asked]
        together += _together(guards, item, hits)
    return [*alone, *together]


async def _affected(fault: PlannedFault, platform: Platform | None) -> Sequence[Affected] | GuardAnswer:
    """What a fault hits, as the platform counts it, or of all that its selector matched; a refusal where it cannot be
    told."""
    if platform is not None:
        asked = await Leash().ask(platform.affected(fault), PLATFORM_TAKES)
        if asked.error is not None:
            return _refuse("maxAffected", f"step {fault.id}: cannot be answered: {asked.trouble}")
        if asked.value is not None:
            return asked.value
    # Shares mean something for instances (processes, pods, nodes), not for connections.
    if not any(target.kind not in ("nothing", "link") for target in fault.targets):
        return ()
    services: dict[str, set[str]] = {}
    for target in fault.targets:
        services.setdefault(target.service or target.id, set()).add(target.id)
    each = [Affected(f"of {name}", frozenset(hit), fault.candidates) for name, hit in services.items()]
    whole = Affected("", frozenset(target.id for target in fault.targets), fault.candidates)
    return each if len(each) == 1 else [whole, *each]


def _together(guards: Guards, item: PlannedItem, hits: Mapping[str, Sequence[Affected]]) -> list[GuardAnswer]:
    """Faults in force at the same time hit what they hit together: one of two and the other of two are all."""
    named: dict[str, dict[str, Affected]] = {}
    for fault in item.faults:
        for each in hits.get(fault.id, ()):
            named.setdefault(each.what, {})[fault.id] = each
    answers = []
    for what, by_fault in named.items():
        hit = frozenset[str]().union(*(each.hit for each in by_fault.values()))
        if len(by_fault) > 1 and all(len(hit) > len(each.hit) for each in by_fault.values()):
            of = max(each.of for each in by_fault.values())
            words = f"steps {' and '.join(by_fault)} together hit {len(hit)} of {of} {what}".rstrip()
            answers.append(_within(guards, words, len(hit), of))
    return answers


def _max_affected(guards: Guards, fault: PlannedFault, affected: Affected) -> GuardAnswer:
    hit, of = len(affected.hit), max(affected.of, 1)
    return _within(guards, f"step {fault.id} hits {hit} of {of} {affected.what}".rstrip(), hit, of)


def _within(guards: Guards, words: str, hit: int, of: int) -> GuardAnswer:
    limit = guards.max_affected
    if hit / max(of, 1) <= limit.share or (hit == 1 and limit.at_least_one):
        return _go("maxAffected", words)
    return _refuse("maxAffected", f"{words}, more than {limit.share:.0%}: take fewer, or raise maxAffected")


# -- alerts


async def _firing(guards: Guards, plan: Plan, circumstances: Circumstances) -> list[GuardAnswer]:
    wanted = [name for name, words in _alert_guards(guards) if words]
    if not wanted:
        return []
    if circumstances.alerts is None:
        nobody = "the environment names no Prometheus or Alertmanager, so alerts cannot be read"
        return [_refuse(name, nobody) for name in wanted]
    try:
        firing = await circumstances.alerts.firing()
    except ChaosrunnerError as error:
        return [_refuse(name, f"cannot be answered: {error}") for name in wanted]
    answers = []
    if guards.refuse_while_firing:
        expected = {fault.expect_alert.name for fault in plan.faults if fault.expect_alert is not None}
        others = [labels for labels in firing if labels.get("alertname") not in expected]
        hits = [_alert(labels) for labels in others for rule in guards.refuse_while_firing if _matches(labels, rule)]
        answers.append(
            _refuse("refuseWhileFiring", f"firing: {', '.join(sorted(set(hits)))}")
            if hits
            else _go("refuseWhileFiring", "none of these alerts fires")
        )
    if guards.require_firing:
        names = {labels.get("alertname", "") for labels in firing}
        absent = [name for name in guards.require_firing if name not in names]
        answers.append(
            _refuse("requireFiring", f"not firing: {', '.join(absent)}; alerting may be broken")
            if absent
            else _go("requireFiring", "all fire")
        )
    return answers


def _alert_guards(guards: Guards) -> Sequence[tuple[str, Sequence[str]]]:
    return (("refuseWhileFiring", guards.refuse_while_firing), ("requireFiring", guards.require_firing))


def _alert(labels: Mapping[str, str]) -> str:
    return labels.get("alertname", "an alert without a name")


def _matches(labels: Mapping[str, str], rule: str) -> bool:
    """`severity=critical` by label, or an alert's name."""
    label, equals, value = rule.partition("=")
    return labels.get(label) == value if equals else labels.get("alertname") == rule


# -- silences


def _silence(plan: Plan) -> list[GuardAnswer]:
    """Whether the silence that the file asks for can be made, and is about what the experiment hits."""
    if plan.silence is None:
        return []
    if plan.environment.spec.alertmanager is None:
        return [_refuse("silence", "the environment names no Alertmanager, so nothing can be silenced there")]
    matchers = ", ".join(plan.silence.matchers)
    names = _blast_radius(plan)
    if naming(plan.silence.matchers, names):
        return [_go("silence", f"{matchers} while the faults are in force")]
    return [
        _refuse(
            "silence",
            f"{matchers} names nothing that this experiment hits, so it could hide other people's alerts: expected a "
            f"matcher for {', '.join(sorted(names)) or 'a target'}",
        )
    ]


def _blast_radius(plan: Plan) -> set[str]:
    """Names of what is tested and hit: services, workloads, namespaces, nodes, and the targets themselves."""
    names = {plan.service}
    for fault in plan.faults:
        if fault.selector is not None:
            workload = fault.selector.workload or ""
            names |= {workload.rpartition("/")[2], fault.selector.namespace or "", fault.selector.node or ""}
        for target in fault.targets:
            names |= {target.service or "", target.to or "", target.name}
    services = plan.environment.spec.platform.with_.get("services")
    known = services if isinstance(services, dict) else {}
    for name in [*names]:
        told = known.get(name)
        if isinstance(told, dict):
            places = [told.get("workload"), told.get("namespace"), told.get("service")]
            names |= {place.rpartition("/")[2] for place in places if isinstance(place, str)}
    return names - {""}
