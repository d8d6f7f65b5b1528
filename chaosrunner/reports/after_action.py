"""The after-action report of a game day, as values: made of its log alone, so it can be made wherever the log is.

Times are counted from the moment at which a fault was seen in force.
Time to detect: to the first alert that began to fire, or the first note by somebody who did not know (anybody but the
facilitator), whichever came first. Time to respond: to the first note with `--respond`, or without one to the first
note. Time to recover: from the last undo to the system being back, as the run was judged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field
from statistics import median

from chaosrunner.model import gameday_log as log
from chaosrunner.model.gameday import Role, is_same
from chaosrunner.records.light import dataclass
from chaosrunner.reports.gameday_words import Line, Teller
from chaosrunner.reports.words import lasting


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took, and what ended it."""

    seconds: float | None
    """None: it did not happen, or cannot be said."""
    how: str
    """`by the alert PaymentsSlow`; or why there is no time."""

    @property
    def shown(self) -> str:
        """The time for people; a dash where there is none."""
        return "–" if self.seconds is None else lasting(self.seconds)


NOT_SAID = Took(None, "no fault was in force")


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote down."""

    at: float
    who: str
    text: str
    respond: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt at one experiment of the agenda."""

    item: int
    attempt: int
    title: str
    blind: bool
    began: float
    ended: float
    facts: log.Facts | None
    cut: bool
    reason: str
    notes: tuple[Note, ...]
    detect: Took
    respond: Took
    recover: Took
    answers: tuple[tuple[str, str], ...] = ()

    @property
    def word(self) -> str:
        """What it came to, in one word."""
        if self.cut:
            return "CUT"
        return self.facts.word if self.facts is not None else "NOTHING"


@dataclass(slots=True)
class AfterAction:
    """A game day, looked back on."""

    id: str
    began: log.Began
    began_at: float
    ended_at: float
    decided_at: float | None = None
    ended: log.Ended | None = None
    people: dict[str, Role | None] = field(default_factory=dict)
    checks: list[log.Checked] = field(default_factory=list)
    """The last answer to each."""
    decision: log.Decided | None = None
    trials: list[Trial] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Title and reason of what was left out."""
    stops: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    near_misses: list[log.NearMissTold] = field(default_factory=list)
    before: AfterAction | None = None
    """The last one of the same name."""

    @property
    def last_trials(self) -> list[Trial]:
        """Of each experiment the last attempt that came to something, or the last."""
        found: dict[int, Trial] = {}
        for trial in self.trials:
            if trial.item not in found or trial.facts is not None:
                found[trial.item] = trial
        return [found[item] for item in sorted(found)]

    def count(self, answer: str) -> int:
        """Of how many experiments this was the answer: held, broken or inconclusive."""
        return sum(trial.facts is not None and trial.facts.answer == answer for trial in self.last_trials)

    def usual(self, what: Callable[[Trial], Took]) -> float | None:
        """The median of a time over all experiments; None: it is not known of any."""
        known = [took.seconds for trial in self.last_trials if (took := what(trial)).seconds is not None]
        return median(known) if known else None


def after_action(
    id: str,
    entries: Sequence[log.GameDayEntry],
    before: AfterAction | None = None,
) -> AfterAction | None:
    """Look back on a log; None: it does not say what was meant to happen."""
    told = [(entry, event) for entry in entries if (event := _event(entry)) is not None]
    began = next(((entry, event) for entry, event in told if isinstance(event, log.Began)), None)
    if began is None:
        return None
    found = AfterAction(id, began[1], began[0].at, max(entry.at for entry in entries), before=before)
    leaders: dict[str, float] = {}
    for entry, event in told:
        if isinstance(event, log.Began | log.Resumed | log.ItemBegan):
            leaders.setdefault(entry.who, entry.at)
    for entry, event in told:
        _take(found, entry, event)
    found.trials = list(_trials(found, told, leaders))
    teller = Teller()
    lines = [line for entry in entries if (line := teller.tell(entry)) is not None]
    found.lines = sorted(lines, key=lambda line: line.at)
    known: dict[str, log.NearMissTold] = {}
    for trial in found.trials:
        for near_miss in trial.facts.near_misses if trial.facts is not None else ():
            known[near_miss.id] = near_miss
    found.near_misses = sorted(known.values(), key=lambda one: (one.priority or "P9", one.id))
    return found


def _event(entry: log.GameDayEntry) -> log.GameDayEvent | None:
    try:
        return entry.told
    except ValueError:
        return None


def _take(found: AfterAction, entry: log.GameDayEntry, event: log.GameDayEvent) -> None:
    match event:
        case log.Joined(person=person, role=role, here=True):
            if role is Role.FACILITATOR or found.people.get(person) is None:
                found.people[person] = role
        case log.Checked():
            found.checks = [one for one in found.checks if one.check != event.check] + [event]
        case log.Decided():
            if found.decided_at is None:
                found.decision = event
                found.decided_at = entry.at if event.go else None
        case log.ItemSkipped(item=item, reason=reason):
            found.skipped.append((_agenda_title(found, item), reason))
        case log.StopReached(text=text):
            found.stops.append(text)
        case log.NoteTaken(text=text, respond=respond):
            found.notes.append(Note(entry.at, entry.who, text, respond))
            found.people.setdefault(entry.who, found.began.role_of(entry.who))
        case log.Ended():
            found.ended = event


def _agenda_title(found: AfterAction, item: int) -> str:
    return found.began.agenda[item - 1].title if 1 <= item <= len(found.began.agenda) else f"item {item}"


# -------------------------------------------------------------------------------------------------------------- trials


def _trials(
    found: AfterAction, told: Sequence[tuple[log.GameDayEntry, log.GameDayEvent]], leaders: Mapping[str, float]
) -> Iterable[Trial]:
    starts = [(entry.at, event) for entry, event in told if isinstance(event, log.ItemBegan)]
    for number, (at, event) in enumerate(starts):
        line = found.began.agenda[event.item - 1] if event.item <= len(found.began.agenda) else None
        if line is None or line.pause is not None:
            continue
        until = starts[number + 1][0] if number + 1 < len(starts) else found.ended_at
        yield _trial(found, told, leaders, event, (at, until))


def _trial(
    found: AfterAction,
    told: Sequence[tuple[log.GameDayEntry, log.GameDayEvent]],
    leaders: Mapping[str, float],
    began: log.ItemBegan,
    within: tuple[float, float],
) -> Trial:
    ends = [
        (entry.at, event)
        for entry, event in told
        if isinstance(event, log.ItemEnded) and (event.item, event.attempt) == (began.item, began.attempt)
    ]  # two, where a terminal that somebody had taken for dead told what had become of it
    over = max(ends, key=lambda end: end[1].facts is not None, default=None)
    ended = over[1] if over is not None else log.ItemEnded(item=began.item, attempt=began.attempt, cut=True)
    facts, line = ended.facts, found.began.agenda[began.item - 1]
    notes = tuple(note for note in found.notes if within[0] <= note.at <= within[1])
    answers = [event for _, event in told if isinstance(event, log.Answered) and event.item == began.item]
    detect, respond = _noticed(facts, notes, lambda note: _knew(note, leaders, found))
    return Trial(
        item=began.item,
        attempt=began.attempt,
        title=(ended.title or facts.title) if facts is not None and line.blind else line.title,
        blind=line.blind,
        began=within[0],
        ended=over[0] if over is not None else within[1],
        facts=facts,
        cut=ended.cut,
        reason=ended.reason,
        notes=notes,
        detect=detect,
        respond=respond,
        recover=_recovered(facts),
        answers=tuple((one.asked, one.answer) for one in answers),
    )


def _knew(note: Note, leaders: Mapping[str, float], found: AfterAction) -> bool:
    """Whether whoever wrote it led by then, and so knew what would come."""
    named = found.began.roles.get(Role.FACILITATOR, ())
    return leaders.get(note.who, float("inf")) <= note.at or any(is_same(name, note.who) for name in named)


def in_force(facts: log.Facts | None) -> float | None:
    """Wall time at which the first fault was seen in force."""
    began = [fault.began for fault in facts.faults if fault.began is not None] if facts is not None else []
    return min(began, default=None)


def _noticed(facts: log.Facts | None, notes: Sequence[Note], knew: Callable[[Note], bool]) -> tuple[Took, Took]:
    began = in_force(facts)
    if facts is None or began is None:
        return NOT_SAID, NOT_SAID
    alert = next((one for one in sorted(facts.alerts, key=lambda one: one.at) if one.at >= began), None)
    theirs = [note for note in notes if note.at >= began and not knew(note)]
    seen = theirs[0] if theirs else None
    if alert is not None and (seen is None or alert.at <= seen.at):
        detect = Took(alert.at - began, f"by the alert {alert.name}")
    elif seen is not None:
        detect = Took(seen.at - began, f"by {seen.who}, who wrote it down")
    else:
        nothing = "no alert fired" if facts.alerts_read else "nothing here could have alerted"
        detect = Took(None, f"nobody noticed: {nothing}, and nobody wrote anything down")
    answering = next((note for note in theirs if note.respond), seen)
    if answering is None:
        return detect, Took(None, "nobody wrote down that they were on it")
    return detect, Took(answering.at - began, f"{answering.who}: {answering.text}")


def _recovered(facts: log.Facts | None) -> Took:
    if facts is None or in_force(facts) is None:
        return NOT_SAID
    return Took(facts.recovered_after, facts.recovery)


# ---------------------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True, slots=True)
class Compared:
    """One experiment, then and now; None: it was not tried."""

    title: str
    then: Trial | None
    now: Trial | None


def compared(action: AfterAction) -> list[Compared]:
    """Each experiment of this game day and of the last one of the same name, matched by the experiment's name; one that
    was tried several times also by its parameters, and by which of them it was."""
    if action.before is None:
        return []
    several = {name for day in (action, action.before) for name, times in _tried(day).items() if times > 1}
    now, then = _by_key(action, several), _by_key(action.before, several)
    return [
        Compared((now.get(key) or then[key]).title, then.get(key), now.get(key)) for key in dict.fromkeys([*now, *then])
    ]


def _tried(action: AfterAction) -> Counter[str]:
    return Counter(trial.facts.experiment for trial in action.last_trials if trial.facts is not None)


def _by_key(action: AfterAction, several: Collection[str]) -> dict[tuple[str, str, int], Trial]:
    found: dict[tuple[str, str, int], Trial] = {}
    met: Counter[tuple[str, str]] = Counter()
    for trial in action.last_trials:
        if trial.facts is not None:
            name = trial.facts.experiment
            key = (name, json.dumps(trial.facts.parameters, sort_keys=True) if name in several else "")
            met[key] += 1
            found[(*key, met[key])] = trial
    return found


def near_misses_then(action: AfterAction) -> tuple[list[str], list[str], list[str]]:
    """Ids of near misses that were shown (only this time, both times, only the last time)."""
    now = [one.id for one in action.near_misses]
    then = [one.id for one in action.before.near_misses] if action.before is not None else []
    return (
        [id for id in now if id not in then],
        [id for id in now if id in then],
        [id for id in then if id not in now],
    )


def headline(action: AfterAction) -> str:
    """The game day in a few words: `2 of 3 experiments held`."""
    tried = [trial for trial in action.last_trials if trial.facts is not None]
    if not tried:
        return "NO-GO" if action.decision is not None and not action.decision.go else "NOTHING WAS TRIED"
    held, broken = action.count("held"), action.count("broken")
    words = [f"{held} held" if held else "", f"{broken} broken" if broken else ""]
    left = len(tried) - held - broken
    words.append(f"{left} inconclusive" if left else "")
    return ", ".join(word for word in words if word)
