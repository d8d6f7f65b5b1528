"""What a game day would do, and whether it would go now. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chaosrunner.app.desk import Desk, Tell
from chaosrunner.app.go_no_go import answers, look_at, orders_of
from chaosrunner.clock import SystemClock
from chaosrunner.engine.silencing import longest_from_fault
from chaosrunner.http import Http
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.gameday import Role
from chaosrunner.model.gameday_log import Checked
from chaosrunner.model.plan import Plan
from chaosrunner.records.light import dataclass
from chaosrunner.stages.gameday import agenda_lines
from chaosrunner.stages.gameday_file import LoadedDay


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """A game day with what could be found out about it beforehand."""

    loaded: LoadedDay
    asked: bool
    """Whether guards, alerts and measures were asked."""
    checks: tuple[Checked, ...]
    seconds: Mapping[int, float]
    """How long each experiment may take, by item; of those that could be planned."""

    @property
    def takes(self) -> float:
        """Seconds of all experiments together, at most; 0: not known."""
        return sum(self.seconds.values())

    def as_json(self, *, reveal: bool) -> JsonObject:
        """The plan for tools. Surprises are left out unless `reveal`."""
        day = self.loaded.day
        lines = agenda_lines(day, [(item.experiment, item.title) for item in self.loaded.items])
        agenda: list[JsonObject] = []
        for number, (item, line) in enumerate(zip(day.spec.agenda, lines, strict=True), 1):
            shown = line.as_json() | {"item": number, "questions": list(item.questions)}
            if item.blind and reveal:
                shown |= {"title": item.title or self.loaded.items[number - 1].title}
                shown |= {"experiment": self.loaded.items[number - 1].experiment}
            if parameters := self.loaded.items[number - 1].parameters if reveal or not item.blind else {}:
                shown |= {"parameters": parameters}
            if number in self.seconds and (reveal or not item.blind):
                shown |= {"seconds": self.seconds[number]}
            shown.pop("mark", None)
            agenda.append(shown | ({"questions": []} if item.blind and not reveal else {}))
        return {
            "name": day.name,
            "title": day.spec.title,
            "when": day.spec.when,
            "lasts": day.spec.lasts,
            "environment": self.loaded.environment.name,
            "roles": {role.value: list(day.spec.roles.of(role)) for role in Role},
            "agenda": list(agenda),
            "checks": [checked.as_json() for checked in self.checks],
            "questions": list(day.spec.go_no_go.ask),
        }


async def plan_day(loaded: LoadedDay, state: Path, tell: Tell, *, ask: bool) -> PlannedDay:
    """The plan. With `ask` every guard is asked, and a reading of each measure is taken."""
    if not ask:
        return PlannedDay(loaded, False, (), {})
    clock = SystemClock()
    orders = [(item, name, order) for item, name, order in orders_of(loaded, state)]
    looked = await look_at(orders, read=loaded.day.spec.go_no_go.steady_state)
    async with Http(clock, folder=loaded.environment_folder) as http:
        found = await answers(loaded, looked, Desk(state, clock, http, tell))
    seconds = {each.item: _seconds(each.plan) for each in looked if each.plan is not None}
    return PlannedDay(loaded, True, tuple(found), seconds)


def _seconds(plan: Plan) -> float:
    """From the baseline to the end, as planned."""
    return plan.baseline.for_ + longest_from_fault(plan)
