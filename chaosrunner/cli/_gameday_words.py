"""Game days for people: the plan of one, and one in a line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from chaosrunner.app.gameday_plan import PlannedDay
from chaosrunner.app.gamedays import DayBook
from chaosrunner.cli._following import painted
from chaosrunner.clock import iso
from chaosrunner.model.gameday import Role
from chaosrunner.reports.words import SIGNS, Tone, lasting
from chaosrunner.stages.gameday import SURPRISE


def plan_lines(planned: PlannedDay, *, reveal: bool) -> Iterator[str]:
    """The plan as text."""
    day = planned.loaded.day
    spec = day.spec
    yield painted(spec.title, Tone.INFO, bold=True)
    yield f"{day.name} on {planned.loaded.environment.name}" + (f", {spec.when}" if spec.when else "")
    yield f"meant to take {lasting(spec.lasts)}" + (
        f"; the experiments take {lasting(planned.takes)}" if planned.takes else ""
    )
    people = [(role, spec.roles.of(role)) for role in Role if spec.roles.of(role)]
    if people:
        yield ""
        yield from (f"  {role.value:<12} {', '.join(named)}" for role, named in people)
    yield ""
    yield "Agenda"
    for number, (item, found) in enumerate(zip(spec.agenda, planned.loaded.items, strict=True), 1):
        hidden = item.blind and not reveal
        title = SURPRISE if hidden else item.title or found.title or "a pause"
        takes = item.pause if item.pause is not None else planned.seconds.get(number)
        yield f"  {number}. {title}{f'  ({lasting(takes)})' if takes and not hidden else ''}"
        if found.experiment and not hidden:
            yield f"       {found.label}{' (a surprise)' if item.blind else ''}"
        if item.briefing and not hidden:
            yield textwrap.fill(" ".join(item.briefing.split()), 100, initial_indent=" " * 7, subsequent_indent=" " * 7)
        yield from (f"       ? {question}" for question in item.questions if not hidden)
    yield from _stops(planned)
    if planned.asked:
        yield ""
        yield "Would it go now?"
        for checked in planned.checks:
            tone = Tone.GOOD if checked.go else Tone.BAD
            whole = f"  {SIGNS[tone]} {checked.check}: {checked.reason}"
            yield painted(textwrap.fill(whole, 110, subsequent_indent="    "), tone)
        yield from (f"  ? {question}" for question in spec.go_no_go.ask)


def _stops(planned: PlannedDay) -> Iterator[str]:
    rules = planned.loaded.day.spec.stop_when
    words = ["an undo fails"]
    words += ["a hypothesis breaks"] if rules.broken else []
    words += ["an abort limit is reached"] if rules.aborted else []
    words += ["something breaks that was not meant to be hit"] if rules.incident else []
    words += [f"{', '.join(rules.firing)} fires"] if rules.firing else []
    words += [f"it lasts longer than {lasting(rules.after)}"] if rules.after else []
    yield ""
    yield f"It should stop when {', when '.join(words)}."


def brief(id: str, book: DayBook) -> dict[str, Any]:
    """One game day in a line, as JSON."""
    book.news()
    standing = book.standing
    began = standing.began
    last = [each.facts[-1].word for each in standing.items if each.facts]
    words = ", ".join(f"{last.count(word)} {word}" for word in dict.fromkeys(last)) or "nothing tried"
    return {
        "id": id,
        "name": began.name if began is not None else "",
        "title": began.title if began is not None else "",
        "environment": began.environment if began is not None else "",
        "beganAt": iso(standing.began_at),
        "state": standing.ended.ending if standing.ended is not None else "under way",
        "words": words,
    }
