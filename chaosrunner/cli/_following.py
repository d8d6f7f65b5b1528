"""A game day's log on a terminal: lines for those who watch, and for the facilitator what others say."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from chaosrunner.app.gamedays import DayBook, Shelf
from chaosrunner.cli import terms
from chaosrunner.cli._showing import colour
from chaosrunner.model.gameday import Role
from chaosrunner.model.gameday_log import Ended, GameDayEntry, Joined
from chaosrunner.person import who
from chaosrunner.reports.gameday_words import Line, Teller
from chaosrunner.reports.words import SIGNS, Tone

LOOK = 0.25
"""Seconds between two looks at a log."""
_COLOURS = {Tone.GOOD: "32", Tone.BAD: "31", Tone.WARN: "33", Tone.INFO: "0"}
_TOPICS = 9
"""Columns."""


def painted(text: str, tone: Tone, *, bold: bool = False) -> str:
    """Text in a tone's colour, where the terminal wants colours."""
    if not colour():
        return text
    return f"\x1b[{'1;' if bold else ''}{_COLOURS[tone]}m{text}\x1b[0m"


def written(line: Line) -> str:
    """One line of the log: `10:31:05 ! fault     network-latency on …`, wrapped to the terminal."""
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    time = datetime.fromtimestamp(line.at, UTC).astimezone().strftime("%H:%M:%S")
    head = f"{time} {SIGNS[line.tone]} {line.topic:<{_TOPICS}} "
    whole = textwrap.fill(line.said, width, initial_indent=head, subsequent_indent=" " * len(head))
    return painted(whole, line.tone, bold=line.loud)


def say_all(entries: Iterable[GameDayEntry], teller: Teller, *, as_json: bool = False) -> bool:
    """Print entries; whether the last of all was among them."""
    over = False
    for entry in entries:
        line = teller.tell(entry)
        if as_json:
            terms.say(json.dumps(entry.as_json(), ensure_ascii=False))
        elif line is not None:
            terms.say(written(line))
        over = over or entry.event.get("type") == Ended.model_default("type")
    sys.stdout.flush()
    return over


def follow(shelf: Shelf, word: str | None, role: Role | None, *, join: bool, as_json: bool) -> None:
    """Print a game day's log as it grows, until it is over. Waits for one to begin."""
    book = _awaited(shelf, word, as_json=as_json)
    teller, waiting = Teller(), threading.Event()
    over = say_all(book.news(), teller, as_json=as_json)
    if join and not over:
        began = book.standing.began
        mine = began.role_of(who()) if began is not None else None
        book.write(Joined(person=who(), role=role or mine or Role.OBSERVERS))
    while not over:
        over = say_all(book.news(), teller, as_json=as_json)
        waiting.wait(0 if over else LOOK)


def _awaited(shelf: Shelf, word: str | None, *, as_json: bool) -> DayBook:
    book = shelf.under_way(word)
    if book is None and not as_json:
        terms.say("waiting for a game day to begin (Ctrl-C to leave)")
        sys.stdout.flush()
    waiting = threading.Event()
    while book is None:
        waiting.wait(LOOK)
        book = shelf.under_way(word)
    return book
