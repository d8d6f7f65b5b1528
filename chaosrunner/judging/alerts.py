"""Whether alerts fired as they should: the time to detect of each expected one, and what broke with nobody told.

An alert that fired in time is held, whatever else could not be read. That it did *not* fire is only said where its
source answered, its rule was evaluated, the fault lasted longer than the rule waits, and it was quiet before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from chaosrunner.judging.facts import Facts, FaultFacts
from chaosrunner.model.experiment import ExpectAlert
from chaosrunner.model.journal import AlertSeen
from chaosrunner.model.plan import PlannedFault
from chaosrunner.model.quantities import show, write_duration
from chaosrunner.model.verdict import AlertVerdict, HypothesisVerdict
from chaosrunner.model.words import Answer
from chaosrunner.records.light import dataclass

Source = Literal["prometheus", "alertmanager"]
LONGEST_HOLE = 0.25
"""A longer time without an answer, as a share of the time that counts, and nothing is said of what was not seen."""
MOST_HOLES = 0.2
"""The same of all of them together."""
CALLED: Mapping[str, str] = {"prometheus": "Prometheus", "alertmanager": "Alertmanager"}


def alert_verdicts(facts: Facts) -> tuple[AlertVerdict, ...]:
    """One for each alert that the plan expects, in the plan's order."""
    return tuple(_verdict(facts, fault, fault.expect_alert) for fault in facts.plan.faults if fault.expect_alert)


@dataclass(frozen=True, slots=True)
class _Moments:
    """When a step's fault was there, in the journal's `t`: from the first of its targets to the last."""

    injected: float
    in_force: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.in_force


def _moments(facts: Facts, faults: Sequence[FaultFacts]) -> _Moments | None:
    """None: never in force."""
    seen = [fault for fault in faults if fault.in_force_at is not None]
    if not seen:
        return None
    in_force = min(fault.in_force_at for fault in seen if fault.in_force_at is not None)
    injected = [fault.injected_at for fault in seen if fault.injected_at is not None]
    ends = [facts.last if fault.in_force_until is None else fault.in_force_until for fault in seen]
    return _Moments(min([*injected, in_force]), in_force, max(ends))


# ------------------------------------------------------------------------------------------------------ expected alerts


def _source(facts: Facts, expected: ExpectAlert) -> Source:
    spec = facts.plan.environment.spec
    return expected.source or ("prometheus" if spec.prometheus is not None else "alertmanager")


def _verdict(facts: Facts, fault: PlannedFault, expected: ExpectAlert) -> AlertVerdict:
    source = _source(facts, expected)
    moments = _moments(facts, [one for one in facts.faults.values() if one.planned is fault])
    fired = {one: _first(facts, one, expected, moments) for one in CALLED} if moments is not None else {}
    seen = fired.get(source)
    answer, reason = _answer(facts, expected, source, moments, seen)

    def after(one: AlertSeen | None) -> float | None:
        return None if one is None or moments is None else max(0.0, one.ended - moments.in_force)

    return AlertVerdict(
        step=fault.id,
        alert=expected.name,
        source=source,
        within=expected.within,
        answer=answer,
        reason=reason,
        detected_after=after(seen),
        prometheus_after=after(fired.get("prometheus")),
        alertmanager_after=after(fired.get("alertmanager")),
        exact_to=None if seen is None or seen.after is None else seen.ended - seen.after,
        silenced=moments is not None
        and any(one.state == "silenced" and one.ended > moments.injected for one in _of(facts, None, expected)),
    )


def _of(facts: Facts, source: str | None, expected: ExpectAlert) -> Iterator[AlertSeen]:
    """What was seen of an alert, by one source or by all."""
    for one in facts.alerts:
        meant = all(one.labels.get(key) == value for key, value in expected.labels.items())
        if one.alert == expected.name and meant and source in (None, one.source):
            yield one


def _first(facts: Facts, source: str, expected: ExpectAlert, moments: _Moments) -> AlertSeen | None:
    """The first look after the injection that saw it begin to fire."""
    fires = (one for one in _of(facts, source, expected) if one.state in ("firing", "silenced"))
    return next((one for one in fires if one.ended > moments.injected and not _fired_before(facts, one)), None)


def _fired_before(facts: Facts, seen: AlertSeen) -> bool:
    """Whether it only changed from firing to silenced, or back."""
    earlier = [one for one in facts.alerts if _same(one, seen) and one.ended < seen.ended]
    return bool(earlier) and earlier[-1].state in ("firing", "silenced")


def _same(one: AlertSeen, other: AlertSeen) -> bool:
    return (one.source, one.alert, one.labels) == (other.source, other.alert, other.labels)


def _answer(
    facts: Facts, expected: ExpectAlert, source: Source, moments: _Moments | None, seen: AlertSeen | None
) -> tuple[Answer, str]:
    if moments is None:
        return Answer.INCONCLUSIVE, "the fault was never seen in force"
    if why := _not_quiet(list(_of(facts, source, expected)), moments):
        return Answer.INCONCLUSIVE, why
    if seen is not None:
        return _in_time(facts, expected, source, moments, seen)
    if why := _cannot_say(facts, expected, source, moments):
        return Answer.INCONCLUSIVE, why
    return Answer.BROKEN, f"it did not fire within {show(expected.within, 's')} of the fault coming into force" + (
        "; whether there is a rule of this name, Alertmanager cannot say" if source == "alertmanager" else ""
    )


def _not_quiet(seen: Sequence[AlertSeen], moments: _Moments) -> str:
    """Why what it does under the fault says nothing; empty: it was quiet before."""
    before: dict[str, AlertSeen] = {}
    for one in seen:
        if one.ended <= moments.injected:
            before[str(sorted(one.labels.items()))] = one
        elif one.after is not None and one.after < moments.injected and one.state in ("firing", "silenced"):
            return f"it began to fire within {show(one.ended - one.after, 's')} of the injection: before or after it?"
    states = {one.state for one in before.values()}
    if states & {"firing", "silenced"}:
        return "it already fired before the fault was injected"
    return "it was pending already before the fault was injected" if "pending" in states else ""


def _in_time(
    facts: Facts, expected: ExpectAlert, source: Source, moments: _Moments, seen: AlertSeen
) -> tuple[Answer, str]:
    took = max(0.0, seen.ended - moments.in_force)
    least = max(0.0, (seen.after if seen.after is not None else seen.ended) - moments.in_force)
    other = next(one for one in CALLED if one != source)
    by_other = _first(facts, other, expected, moments)
    also = ""
    if by_other is not None:
        also = f" ({CALLED[other]} said so after {show(max(0.0, by_other.ended - moments.in_force), 's')})"
    words = f"{CALLED[source]} saw it fire {show(took, 's')} after the fault came into force{also}"
    limit = show(expected.within, "s")
    if took <= expected.within:
        return Answer.HELD, f"{words}, at most {limit} are allowed"
    if least >= expected.within:
        return Answer.BROKEN, f"{words}, at most {limit} are allowed"
    between = f"between {show(least, 's')} and {show(took, 's')}"
    return Answer.INCONCLUSIVE, f"it fired {between} after the fault came into force, at most {limit} are allowed"


def _cannot_say(facts: Facts, expected: ExpectAlert, source: Source, moments: _Moments) -> str:
    """Why it cannot be said that it did not fire; empty: it can."""
    states = [rule for _, rule in facts.alert_rules if rule.alert == expected.name]
    if source == "prometheus" and states and all(rule.trouble for rule in states):
        return f"Prometheus cannot say: {states[-1].trouble}"
    waits = max((rule.waits for rule in states if not rule.trouble), default=0.0)
    if source == "prometheus" and waits and waits >= moments.seconds:
        lasted = f"the fault was in force for {show(moments.seconds, 's')}"
        return f"its rule waits for {write_duration(waits)} before it fires (`for`), and {lasted} only"
    until = moments.in_force + expected.within
    looks = _answered(facts, source)
    if not looks:
        return f"{CALLED[source]} did not answer: {_trouble(facts, source)}"
    if looks[-1][1] < until and not _trouble(facts, source):
        return f"the run ended before the {show(expected.within, 's')} were over"
    troubled = _rule_troubles(facts, expected.name) if source == "prometheus" else []
    return _holes(looks, troubled, moments.in_force, until, CALLED[source], _trouble(facts, source))


# ------------------------------------------------------------------------------------------------------ what was seen


def _trouble(facts: Facts, source: str) -> str:
    """The latest reason for which a source did not answer; empty: it answered to the end."""
    mine = [look for look in facts.alert_looks if look.source == source]
    return mine[-1].trouble if mine else "it was never asked"


def _answered(facts: Facts, source: str) -> list[tuple[float, float]]:
    """The times in which a source answered, from look to look."""
    spans: list[tuple[float, float]] = []
    going_on = False
    for look in (one for one in facts.alert_looks if one.source == source):
        if look.trouble:
            going_on = False
        elif going_on:
            spans[-1] = (spans[-1][0], look.ended)
        else:
            spans.append((look.began, look.ended))
            going_on = True
    if going_on:  # a journal that was cut off: changes were seen after the last look that was written down
        latest = max((one.ended for one in facts.alerts if one.source == source), default=0.0)
        spans[-1] = (spans[-1][0], max(spans[-1][1], latest))
    return spans


def _rule_troubles(facts: Facts, alert: str) -> list[tuple[float, float]]:
    """The times in which an alert's rule said nothing."""
    spans, since = [], None
    for t, rule in facts.alert_rules:
        if rule.alert != alert:
            continue
        if rule.trouble and since is None:
            since = t
        elif not rule.trouble and since is not None:
            spans.append((since, t))
            since = None
    return [*spans, (since, facts.last)] if since is not None else spans


def _holes(
    looks: Sequence[tuple[float, float]],
    troubled: Sequence[tuple[float, float]],
    start: float,
    end: float,
    name: str,
    trouble: str,
) -> str:
    """Why what was seen between two moments is not enough; empty: it is."""
    holes, at = [], start
    for began, ended in looks:
        if began > at:
            holes.append(min(began, end) - at)
        at = max(at, min(ended, end))
        if at >= end:
            break
    holes.append(max(0.0, end - at))
    holes += [min(until, end) - max(since, start) for since, until in troubled if since < end and until > start]
    length = max(end - start, 1e-9)
    if max(holes) <= LONGEST_HOLE * length and sum(holes) <= MOST_HOLES * length:
        return ""
    missing = show(sum(holes), "s")
    because = f": {trouble}" if trouble else ""
    return f"{name} did not say for {missing} of the {show(length, 's')} that count{because}"


# ------------------------------------------------------------------------------------------------- nobody was told


def told_or_not(
    facts: Facts, hypotheses: Sequence[HypothesisVerdict], alerts: Sequence[AlertVerdict]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Hypotheses that broke under a fault while some alert began to fire, and those that did while none did.

    Neither, where that cannot be said: only Prometheus knows whether any rule could have fired in that time. An
    expected alert that did not fire says it already.
    """
    broken = [one for one in hypotheses if one.broken_during and one.answer is Answer.BROKEN]
    faults = [facts.faults[name] for one in broken for name in one.broken_during if name in facts.faults]
    moments = _moments(facts, faults)
    if moments is None or not facts.alert_looks:
        return (), ()
    names = tuple(one.name for one in broken)
    since = (one for one in facts.alerts if one.ended > moments.injected and one.state != "gone")
    if any(_is_new(facts, one, moments) for one in since):
        return names, ()
    said = any(one.answer is Answer.BROKEN for one in alerts)
    if said or not facts.plan.environment.spec.alerts.unnoticed or not _could_have_fired(facts, moments):
        return (), ()
    return (), names


def _is_new(facts: Facts, seen: AlertSeen, moments: _Moments) -> bool:
    """Whether it was not active when the fault was injected."""
    earlier = [one for one in facts.alerts if _same(one, seen) and one.ended <= moments.injected]
    return not earlier or earlier[-1].state == "gone"


def _could_have_fired(facts: Facts, moments: _Moments) -> bool:
    """Whether Prometheus answered, and has a rule that could have fired while the fault was in force."""
    quickest = [look.quickest for look in facts.alert_looks if look.quickest is not None]
    if not quickest or quickest[-1] > moments.seconds:
        return False
    looks = _answered(facts, "prometheus")
    return bool(looks) and not _holes(looks, [], moments.injected, moments.ended, "", "")
