"""A game day's log in plain sentences: for those who watch, for the facilitator, and for the report's timeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from chaosrunner.model import gameday_log as log
from chaosrunner.records.light import dataclass
from chaosrunner.reports.words import Tone, clean, lasting

_ENDINGS = {
    "finished": ("The game day is over: the agenda is through", Tone.GOOD),
    "no-go": ("No-go: nothing was broken", Tone.WARN),
    "halted": ("The game day was halted", Tone.BAD),
    "stopped": ("The game day was stopped", Tone.WARN),
    "broken-off": ("The game day was broken off", Tone.WARN),
}
_BY_SOMEBODY = ("note", "responds", "halt", "lead")
"""Topics of which it matters who said or did it."""
WORD_TONES = {"HELD": Tone.GOOD, "BROKEN": Tone.BAD, "GAP FOUND": Tone.BAD, "UNDO FAILED": Tone.BAD, "DEFECT": Tone.BAD}
"""Of a run's answer in one word; any other is a warning."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what happened."""

    at: float
    who: str
    """Empty: nobody, it happened."""
    tone: Tone
    topic: str
    text: str
    loud: bool = False
    """Whether it is worth being set apart."""

    @property
    def said(self) -> str:
        """The text, with who said it where that matters."""
        return f"{self.who}: {self.text}" if self.who and self.topic in _BY_SOMEBODY else self.text


@dataclass(slots=True)
class Teller:
    """Turns entries into lines, in order. It remembers what later entries only name by number."""

    agenda: tuple[log.AgendaLine, ...] = ()
    _titles: dict[int, str] = field(default_factory=dict)

    def title(self, item: int) -> str:
        """An item of the agenda, as everybody may see it by now."""
        if item in self._titles:
            return self._titles[item]
        return self.agenda[item - 1].title if 1 <= item <= len(self.agenda) else f"item {item}"

    def tell(self, entry: log.GameDayEntry) -> Line | None:
        """The entry as a line; None for what is not worth one."""
        try:
            event = entry.told
        except ValueError:
            return None
        teller = _TELLERS.get(type(event))
        told = teller(self, event) if teller is not None else None
        if told is None:
            return None
        tone, topic, text, loud = told
        at = event.when if isinstance(event, log.Happened) else entry.at
        who = "" if isinstance(event, log.Happened) else clean(entry.who)
        return Line(at, who, tone, topic, clean(text), loud)

    # -- each kind

    def _began(self, event: log.Began) -> _Told:
        self.agenda = event.agenda
        return (Tone.INFO, "game day", f"{event.title} (on {event.environment})", True)

    def _resumed(self, event: log.Resumed) -> _Told:
        if event.instead_of:
            return (Tone.INFO, "lead", f"leads from now on, in place of {event.instead_of}", True)
        return (Tone.INFO, "game day", "The facilitator is back: it goes on where it was", True)

    def _hand_over_asked(self, event: log.HandOverAsked) -> _Told:
        return (Tone.WARN, "lead", "asks to take the lead over", False)

    def _handed_over(self, event: log.HandedOver) -> _Told:
        return (Tone.INFO, "lead", "hands the lead over", True)

    def _joined(self, event: log.Joined) -> _Told:
        role = f" ({event.role.of_one})" if event.role is not None else ""
        return (Tone.INFO, "people", f"{event.person}{role} {'is here' if event.here else 'is not here'}", False)

    def _checked(self, event: log.Checked) -> _Told:
        return (Tone.GOOD if event.go else Tone.BAD, "go/no-go", f"{event.check}: {event.reason}", False)

    def _decided(self, event: log.Decided) -> _Told:
        reason = f": {event.reason}" if event.reason else ""
        return (Tone.GOOD if event.go else Tone.WARN, "go/no-go", f"{'GO' if event.go else 'NO-GO'}{reason}", True)

    def _item_began(self, event: log.ItemBegan) -> _Told:
        again = f", attempt {event.attempt}" if event.attempt > 1 else ""
        return (Tone.INFO, "agenda", f"{event.item}. {self.title(event.item)}{again}", True)

    def _happened(self, event: log.Happened) -> _Told:
        return (Tone(event.tone), event.topic, event.text, False)

    def _item_ended(self, event: log.ItemEnded) -> _Told | None:
        facts = event.facts
        if facts is None and not event.cut and not event.reason:
            return None  # a pause is over when the next item begins
        if facts is None:
            words = f"{event.item}. {self.title(event.item)}: "
            return (Tone.WARN, "agenda", f"{words}{'cut: ' if event.cut else 'over: '}{event.reason or 'over'}", True)
        line = self.agenda[event.item - 1] if 1 <= event.item <= len(self.agenda) else None
        if line is not None and line.blind:
            self._titles[event.item] = f"{event.title or facts.title} (it was a surprise)"
        cut = f", cut: {event.reason}" if event.cut else ""
        tone = WORD_TONES.get(facts.word, Tone.WARN)
        return (tone, "agenda", f"{event.item}. {self.title(event.item)}: {facts.word}{cut}. {facts.summary}", True)

    def _skipped(self, event: log.ItemSkipped) -> _Told:
        reason = f": {event.reason}" if event.reason else ""
        return (Tone.INFO, "agenda", f"{event.item}. {self.title(event.item)}: left out{reason}", False)

    def _answered(self, event: log.Answered) -> _Told:
        return (Tone.INFO, "question", f"{event.asked} {event.answer or '(nobody had an answer)'}", False)

    def _paused(self, event: log.Paused) -> _Told:
        return (Tone.INFO, "agenda", f"a pause{f': {event.reason}' if event.reason else ''}", False)

    def _went_on(self, event: log.WentOn) -> _Told:
        return (Tone.INFO, "agenda", "it goes on", False)

    def _note(self, event: log.NoteTaken) -> _Told:
        return (Tone.WARN if event.respond else Tone.INFO, "responds" if event.respond else "note", event.text, False)

    def _halt(self, event: log.HaltAsked) -> _Told:
        reason = f": {event.reason}" if event.reason else ""
        return (Tone.BAD, "halt", f"HALT: everything is stopped and taken back{reason}", True)

    def _stop(self, event: log.StopReached) -> _Told:
        return (Tone.BAD, "stop", f"it should stop: {event.text}", True)

    def _announced(self, event: log.Announced) -> _Told:
        return (Tone.INFO, "told", f"{', '.join(event.to)}: {event.text}", False)

    def _silenced(self, event: log.SilenceOrdered) -> _Told:
        matchers = event.order.get("matchers")
        named = ", ".join(map(str, matchers)) if isinstance(matchers, list) else ""
        return (Tone.INFO, "alerts", f"silenced: {named}", False)

    def _unsilenced(self, event: log.SilenceOver) -> _Told:
        if event.trouble:
            return (Tone.BAD, "alerts", f"the silence may still be there: {event.trouble}", True)
        return (Tone.INFO, "alerts", "the silence is over", False)

    def _ended(self, event: log.Ended) -> _Told:
        words, tone = _ENDINGS[event.ending]
        return (tone, "game day", f"{words}{f': {event.reason}' if event.reason else ''}", True)


_Told = tuple[Tone, str, str, bool]
_TELLERS: dict[type, Callable[[Teller, Any], _Told | None]] = {
    log.Began: Teller._began,
    log.Resumed: Teller._resumed,
    log.HandOverAsked: Teller._hand_over_asked,
    log.HandedOver: Teller._handed_over,
    log.Joined: Teller._joined,
    log.Checked: Teller._checked,
    log.Decided: Teller._decided,
    log.ItemBegan: Teller._item_began,
    log.Happened: Teller._happened,
    log.ItemEnded: Teller._item_ended,
    log.ItemSkipped: Teller._skipped,
    log.Answered: Teller._answered,
    log.Paused: Teller._paused,
    log.WentOn: Teller._went_on,
    log.NoteTaken: Teller._note,
    log.HaltAsked: Teller._halt,
    log.StopReached: Teller._stop,
    log.Announced: Teller._announced,
    log.SilenceOrdered: Teller._silenced,
    log.SilenceOver: Teller._unsilenced,
    log.Ended: Teller._ended,
}


def agenda_text(item: int, line: log.AgendaLine) -> str:
    """One line of the agenda: `2. Coffee (10 min)`."""
    return f"{item}. {line.title}{f' ({lasting(line.pause)})' if line.pause is not None else ''}"
