"""Asks whether a game day may go: guards, firing alerts, open incidents, the steady state. Touches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaosrunner.app.desk import Desk
from chaosrunner.app.orders import Order, alert_sources, prepared
from chaosrunner.errors import ChaosrunnerError, NotPossibleNow
from chaosrunner.judging.reading import Reading
from chaosrunner.model.gameday_log import Checked
from chaosrunner.model.plan import Plan
from chaosrunner.model.words import FindingClass
from chaosrunner.records.light import dataclass
from chaosrunner.stages.gameday import SURPRISE, fires, steadiness
from chaosrunner.stages.gameday_file import LoadedDay
from chaosrunner.stages.sample import sample

OWN_LOAD = "traffic"
"""The probe that reads an experiment's own load, which there is only in its run."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What planning one experiment of the agenda showed."""

    item: int
    experiment: str
    plan: Plan | None
    trouble: str = ""
    """Why it could not be planned."""
    readings: dict[str, Reading] | None = None
    """Of each measure that can be read without the experiment's own load; None: none was taken."""


async def look_at(orders: Sequence[tuple[int, str, Order]], *, read: bool) -> list[Looked]:
    """Plan each experiment, ask its guards, and take a reading of each measure. What fails is in the answer."""
    found = []
    for item, name, order in orders:
        try:
            async with prepared(order) as ready:
                readings = None
                if read:
                    probes = [each for each in ready.probes(None) if each[0].probe != OWN_LOAD]
                    readings = await sample(probes, ready.clock)
                found.append(Looked(item, name, ready.plan, readings=readings))
                await ready.platform.close()
        except ChaosrunnerError as error:
            found.append(Looked(item, name, None, trouble=str(error)))
    return found


async def answers(loaded: LoadedDay, looked: Sequence[Looked], desk: Desk) -> list[Checked]:
    """Every answer that needs nobody in the room."""
    asked = loaded.day.spec.go_no_go
    found = []
    for each in looked:
        if each.plan is None:
            found.append(_said(loaded, each, "plan", False, each.trouble, desk))
        elif asked.guards:
            found.append(_said(loaded, each, "guards", *_guards(each.plan), desk))
    found += await _alerts(loaded, desk)
    if asked.incidents:
        found.append(_incidents(loaded, desk))
    for each in looked:
        if asked.steady_state and each.plan is not None:
            steady = steadiness(each.plan.measures, each.readings or {}, own_load=each.plan.traffic is not None)
            found.append(_said(loaded, each, "steady", *steady, desk))
    return found


def _said(loaded: LoadedDay, looked: Looked, check: str, go: bool, reason: str, desk: Desk) -> Checked:
    """An answer about one experiment; of a surprise only whether it goes, and the facilitator is told the rest."""
    if not loaded.day.spec.agenda[looked.item - 1].blind:
        return Checked(check=f"{check}: {looked.experiment}", go=go, reason=reason)
    if not go:
        desk.tell(f"item {looked.item}, {looked.experiment}: {reason}")
    said = "in order" if go else "not in order; the facilitator was told why"
    return Checked(check=f"{check}: item {looked.item}, {SURPRISE}", go=go, reason=said)


def _guards(plan: Plan) -> tuple[bool, str]:
    refusals = [answer for answer in plan.guards if not answer.go]
    if refusals:
        return False, "; ".join(f"{answer.guard}: {answer.reason}" for answer in refusals)
    return True, f"all {len(plan.guards)} let it go" if plan.guards else "there are none"


async def _alerts(loaded: LoadedDay, desk: Desk) -> list[Checked]:
    rules = (*loaded.day.spec.go_no_go.alerts, *loaded.environment.spec.guards.refuse_while_firing)
    if not rules:
        return []
    try:
        firing = await firing_now(loaded, rules, desk)
    except NotPossibleNow as error:
        return [Checked(check="alerts", go=False, reason=f"what fires cannot be read: {error}")]
    said = f"{', '.join(firing)} fires" if firing else f"nothing fires of {', '.join(rules)}"
    return [Checked(check="alerts", go=not firing, reason=said)]


async def firing_now(loaded: LoadedDay, rules: Sequence[str], desk: Desk) -> list[str]:
    """Names of the alerts that fire and that a rule means. Raises `NotPossibleNow` where nothing can say so."""
    sources = alert_sources(loaded.environment, desk.http)
    if not sources:
        raise NotPossibleNow(f"the environment {loaded.environment.name} names nothing that knows which alerts fire")
    return fires(rules, await sources[0].firing())


def _incidents(loaded: LoadedDay, desk: Desk) -> Checked:
    try:
        found = open_incidents(desk, loaded.environment.class_name)
    except NotPossibleNow as error:
        return Checked(check="incidents", go=False, reason=f"the register cannot be asked: {error}")
    said = f"open: {', '.join(found)}" if found else "none is open"
    return Checked(check="incidents", go=not found, reason=said)


def open_incidents(desk: Desk, environment_class: str) -> list[str]:
    """Ids of near misses of the class *incident* that are not closed. Raises `NotPossibleNow`."""
    from chaosrunner.register import open_register, register_exists

    if not register_exists(desk.state):
        return []
    from chaosrunner.register.near_misses import Wanted

    with open_register(desk.state, desk.clock) as book:
        known = book.list(Wanted(environment_class=environment_class))
        return [each.id for each in known if each.finding is FindingClass.INCIDENT]


def orders_of(
    loaded: LoadedDay, state: Path, second: str = "", *, production: bool = False
) -> list[tuple[int, str, Order]]:
    """(item, experiment and what sets it apart, what to run) for each experiment of the agenda."""
    return [
        (
            number,
            item.label,
            Order(
                experiment=item.reference,
                environment=loaded.environment_reference,
                folder=item.folder,
                state=state,
                second=second,
                production_confirmed=production,
                parameters=item.parameters,
            ),
        )
        for number, item in enumerate(loaded.items, 1)
        if item.reference
    ]
