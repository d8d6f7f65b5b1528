"""gameday: a game day's log -> where it stands, and what is to be done next. Pure: no terminal, no clock, no files.

The log is the truth. What the facilitator decides becomes an entry; where the game day stands is what all entries make
of it, so that a facilitator who comes back, on whatever terminal, goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Literal

from chaosrunner.judging.during import rule_in
from chaosrunner.judging.hold import resolve, say
from chaosrunner.judging.reading import Reading
from chaosrunner.model import gameday_log as log
from chaosrunner.model.exit_codes import UNDO_FAILED, gravest
from chaosrunner.model.gameday import AgendaItem, GameDay, Role, StopWhen, is_same
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import write_duration
from chaosrunner.model.words import Phase
from chaosrunner.records.light import dataclass, replace

SURPRISE = "a surprise"
"""What everybody but the facilitator is shown of one, until it is over."""


class Step(StrEnum):
    """What is to be done next."""

    CHECK = "check"
    """Ask whether it may go."""
    BEGIN = "begin"
    """Brief, and begin the item."""
    WAIT = "wait"
    """An item is under way."""
    CUT = "cut"
    """The item was broken off: once more, or on to the next?"""
    ASK = "ask"
    """Ask one of the item's questions."""
    PAUSED = "paused"
    """Wait until somebody says that it goes on."""
    STOPPED = "stopped"
    """A condition is met under which it should stop: end it, or go on all the same?"""
    END = "end"
    """Say goodbye: the agenda is through, or somebody ended it."""
    OVER = "over"
    """Nothing: it has ended."""


@dataclass(frozen=True, slots=True)
class Move:
    """The next step; `item` and `question` count from 1, 0 where there is none."""

    step: Step
    item: int = 0
    question: int = 0


@dataclass(frozen=True, slots=True)
class ItemStands:
    """Where one item of the agenda stands."""

    state: Literal["waiting", "running", "cut", "done", "skipped"] = "waiting"
    attempts: int = 0
    run: str = ""
    """Of the last attempt."""
    facts: tuple[log.Facts, ...] = ()
    """One for each attempt that came to something."""
    answered: frozenset[int] = frozenset()
    """Questions, counted from 1."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a game day stands."""

    began: log.Began | None = None
    began_at: float = 0.0
    decided_at: float | None = None
    """When it was said that it goes."""
    go: bool | None = None
    """None: nobody has decided."""
    items: tuple[ItemStands, ...] = ()
    here: tuple[tuple[str, Role | None], ...] = ()
    """Who is there."""
    paused: bool = False
    stop: log.StopReached | None = None
    """Met, and nobody has decided to go on."""
    wanted_by: str = ""
    """Who asked to take the lead over and has not got it yet; empty: nobody."""
    halted: bool = False
    silence: log.SilenceOrdered | None = None
    """One that may still be there."""
    codes: frozenset[int] = frozenset()
    """Exit codes of the runs."""
    ended: log.Ended | None = None

    @property
    def running(self) -> int:
        """The item that is under way; 0: none."""
        return next((number for number, each in enumerate(self.items, 1) if each.state == "running"), 0)

    @property
    def current(self) -> int:
        """The item that is under way or comes next; 0: all are through."""
        waiting = ("waiting", "running", "cut")
        return next((number for number, each in enumerate(self.items, 1) if each.state in waiting), 0)

    def is_here(self, named: Sequence[str]) -> bool:
        """Whether one of these people is there."""
        return any(is_same(name, person) for name in named for person, _ in self.here)

    @property
    def exit_code(self) -> int:
        """Of the whole game day: the worst of its runs; 4 for a no-go, 6 where it was halted or broken off."""
        codes = set(self.codes)
        if self.go is False:
            codes.add(4)
        cut = any(each.state == "cut" for each in self.items)
        if self.halted or cut or (self.ended is not None and self.ended.ending in ("halted", "broken-off")):
            codes.add(6)
        return gravest(codes)


def stands(entries: Iterable[log.GameDayEntry]) -> Standing:
    """Where a game day stands after these entries. Lines of newer versions, and damaged ones, change nothing."""
    standing = Standing()
    for entry in entries:
        standing = after(standing, entry)
    return standing


def after(standing: Standing, entry: log.GameDayEntry) -> Standing:
    """Where it stands after one more."""
    try:
        event = entry.told
    except ValueError:
        return standing
    match event:
        case log.Began():
            items = tuple(ItemStands() for _ in event.agenda)
            return replace(standing, began=event, began_at=entry.at, items=items)
        case log.HandOverAsked():
            return replace(standing, wanted_by=entry.who)
        case log.Resumed() | log.HandedOver():
            return replace(standing, wanted_by="")
        case log.Joined():
            others = tuple(one for one in standing.here if one[0] != event.person)
            return replace(standing, here=(*others, (event.person, event.role)) if event.here else others)
        case log.Decided():
            return replace(
                standing,
                go=event.go,
                stop=None,
                decided_at=entry.at if event.go and standing.decided_at is None else standing.decided_at,
            )
        case log.Paused():
            return replace(standing, paused=True)
        case log.WentOn():
            return replace(standing, paused=False)
        case log.StopReached():
            return replace(standing, stop=event)
        case log.HaltAsked():
            return replace(standing, halted=True)
        case log.SilenceOrdered():
            return replace(standing, silence=event)
        case log.SilenceOver():
            return replace(standing, silence=standing.silence if event.trouble else None)
        case log.Ended():
            return replace(standing, ended=event)
    return _of_item(standing, event)


def _of_item(standing: Standing, event: log.GameDayEvent) -> Standing:
    number = getattr(event, "item", 0)
    if not 1 <= number <= len(standing.items):
        return standing
    item = standing.items[number - 1]
    codes = standing.codes
    match event:
        case log.ItemBegan():
            item = replace(item, state="running", attempts=event.attempt, run="")
        case log.RunBegan():
            item = replace(item, run=event.run)
        case log.ItemEnded():
            if event.attempt >= item.attempts:  # else: of a terminal whose place somebody has taken meanwhile
                item = replace(item, state="cut" if event.cut else "done")
            if event.facts is not None:
                item = replace(item, facts=(*item.facts, event.facts))
                # That it was halted says nothing once it is done again, or left out; what it had found does.
                codes = codes | ({event.facts.exit_code} - ({6} if event.cut else set()))
        case log.ItemSkipped():
            item = replace(item, state="skipped")
        case log.Answered():
            item = replace(item, answered=item.answered | {event.question})
    items = (*standing.items[: number - 1], item, *standing.items[number:])
    return replace(standing, items=items, codes=codes)


def next_move(standing: Standing, agenda: Sequence[AgendaItem]) -> Move:
    """What is to be done next."""
    if standing.ended is not None:
        return Move(Step.OVER)
    if standing.running:
        return Move(Step.WAIT, standing.running)
    if standing.halted or standing.go is False:
        return Move(Step.END)
    if standing.go is None:
        return Move(Step.CHECK)
    if (question := _unanswered(standing, agenda)) is not None:
        return question
    if standing.stop is not None:
        return Move(Step.STOPPED, standing.current)
    if standing.paused:
        return Move(Step.PAUSED, standing.current)
    if not standing.current:
        return Move(Step.END)
    cut = standing.items[standing.current - 1].state == "cut"
    return Move(Step.CUT if cut else Step.BEGIN, standing.current)


def _unanswered(standing: Standing, agenda: Sequence[AgendaItem]) -> Move | None:
    for number, (item, stands) in enumerate(zip(agenda, standing.items, strict=False), 1):
        if stands.state != "done":
            continue
        for question in range(1, len(item.questions) + 1):
            if question not in stands.answered:
                return Move(Step.ASK, number, question)
    return None


def repeatable(standing: Standing, agenda: Sequence[AgendaItem]) -> int:
    """The experiment that was done last and can be done once more; 0: none."""
    before = standing.current - 1 if standing.current else len(standing.items)
    done = [n for n in range(1, before + 1) if standing.items[n - 1].state == "done" and agenda[n - 1].experiment]
    return done[-1] if done else 0


# ------------------------------------------------------------------------------------------------------------- agenda


def mark_of(item: AgendaItem) -> str:
    """Tells whether an item is still the same; tells nothing of what it is."""
    return hashlib.sha256(json.dumps(item.as_json(), sort_keys=True).encode()).hexdigest()[:12]


def agenda_lines(day: GameDay, experiments: Sequence[tuple[str, str]]) -> tuple[log.AgendaLine, ...]:
    """The agenda as everybody may see it. `experiments`: name and title for each item, empty for pauses."""
    lines = []
    for item, (name, title) in zip(day.spec.agenda, experiments, strict=True):
        if item.pause is not None:
            shown, name = item.title or f"a pause of {write_duration(item.pause)}", ""
        elif item.blind:
            shown, name = SURPRISE, ""
        else:
            shown = item.title or title
        lines.append(
            log.AgendaLine(title=shown, experiment=name, pause=item.pause, blind=item.blind, mark=mark_of(item))
        )
    return tuple(lines)


def changed_items(standing: Standing, agenda: Sequence[AgendaItem]) -> list[int]:
    """Items that the file says otherwise than when the game day began, or has no more, or has new; from 1."""
    known = standing.began.agenda if standing.began is not None else ()
    most = max(len(known), len(agenda))
    return [
        number
        for number in range(1, most + 1)
        if number > len(known) or number > len(agenda) or known[number - 1].mark != mark_of(agenda[number - 1])
    ]


# ------------------------------------------------------------------------------------------------------------ to stop


def stop_reached(
    rules: StopWhen, facts: log.Facts | None, lasted: float, firing: Sequence[str]
) -> log.StopReached | None:
    """The first condition that is met after an item. `lasted`: seconds since the go; `firing`: what fires of
    `stopWhen.firing`."""
    if facts is not None:
        if facts.exit_code == UNDO_FAILED:
            return log.StopReached(condition="undo-failed", text="an undo failed: a fault may still be in force")
        if rules.incident and facts.incident:
            return log.StopReached(condition="incident", text="something broke that was not meant to be hit")
        if rules.aborted and facts.aborted:
            return log.StopReached(condition="aborted", text=f"{facts.experiment} reached an abort limit")
        if rules.broken and facts.answer == "broken":
            return log.StopReached(condition="broken", text=f"{facts.experiment} broke a hypothesis")
    if firing:
        return log.StopReached(condition="firing", text=f"{', '.join(firing)} fires")
    if rules.after is not None and lasted >= rules.after:
        text = f"it lasts longer than {write_duration(rules.after)}"
        return log.StopReached(condition="after", text=text)
    return None


def fires(rules: Sequence[str], firing: Iterable[Mapping[str, str]]) -> list[str]:
    """Names of the alerts that fire and that a rule means: `severity=critical` by label, or an alert's name."""
    found = []
    for labels in firing:
        name = labels.get("alertname", "an alert without a name")
        for rule in rules:
            label, equals, value = rule.partition("=")
            if (labels.get(label) == value) if equals else (name == rule):
                found.append(name)
    return list(dict.fromkeys(found))


# ------------------------------------------------------------------------------------------------------- steady state


def steadiness(
    measures: Sequence[PlannedMeasure], readings: Mapping[str, Reading], *, own_load: bool = False
) -> tuple[bool, str]:
    """Whether one reading of each measure is inside its tolerance for the baseline, and why, in words. Measures without
    a reading here read an experiment's own load: its baseline sees to them. What is relative to a baseline is only
    looked at whether it can be read; and so is everything of an experiment with its `own_load`, which there is not
    now."""
    wrong, inside, left = [], 0, 0
    for measure in measures:
        reading = readings.get(measure.key)
        rule = rule_in(measure, Phase.BASELINE)
        if reading is None:
            left += 1
        elif reading.missing is not None:
            wrong.append(f"{measure.key} cannot be read: {reading.missing}")
        elif reading.no_answer is not None and rule is not None:
            wrong.append(f"{measure.key}: no answer, {reading.no_answer}")
        elif rule is not None and not rule.relative and rule.like is None and not own_load:
            resolved = resolve(rule, measure.unit, None)
            fitting = resolved.fits(reading)
            if fitting.missing is not None or not resolved.inside(fitting):
                said = fitting.missing or f"is {say(reading.value, measure.unit)}, should be {resolved.text}"
                wrong.append(f"{measure.key} {said}")
            else:
                inside += 1
        else:
            inside += 1
    if wrong:
        return False, "; ".join(wrong)
    if own_load:
        return True, f"{inside} can be read; judged in its baseline, under its own load"
    words = f"{inside} of {inside} readings in order" if inside else "nothing is read"
    return True, f"{words}, {left} are read in its baseline" if left else words
