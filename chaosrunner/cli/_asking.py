"""What a facilitator's terminal says and asks; while a question waits, what others write is shown above it."""

from __future__ import annotations

import os
import select
import sys
import textwrap
from collections.abc import Mapping

from chaosrunner.app.leading import Leading
from chaosrunner.cli import terms
from chaosrunner.cli._following import painted, written
from chaosrunner.model import gameday_log as log
from chaosrunner.person import who
from chaosrunner.reports.gameday_words import Teller
from chaosrunner.reports.words import SIGNS, Tone

LOOK = 0.3
"""Seconds between two looks at what others wrote, while a question waits."""
_OTHERS = (log.NoteTaken, log.Joined, log.HaltAsked)
"""What of others is shown to the facilitator at once."""


class Gone(Exception):
    """Nobody is there any more who could answer."""


class AskAnew(Exception):
    """Somebody else decided: what is next must be asked anew."""


class LeadsNoMore(Exception):
    """Somebody else leads now, or may."""


class _Typed:
    """Lines of standard input, waited for a moment at a time. Past Python's own buffer: what waits in that, nobody can
    be told of."""

    def __init__(self) -> None:
        self._held = b""

    def line(self, seconds: float) -> str | None:
        """The next line without blanks around it; None: there is none yet. Raises `Gone` at the end of the input."""
        file = sys.stdin.fileno()
        if b"\n" not in self._held:
            if not select.select([file], [], [], seconds)[0]:
                return None
            try:
                read = os.read(file, 4096)
            except OSError:  # the terminal is gone
                read = b""
            if not read:
                raise Gone
            self._held += read
        line, end, rest = self._held.partition(b"\n")
        if not end:
            return None
        self._held = rest
        return line.decode(errors="replace").strip()


class Asking:
    """The terminal of one who leads through a game day, as far as it says and asks something."""

    def __init__(self, leading: Leading) -> None:
        self._leading = leading
        self._teller = Teller()
        self._typed = _Typed()
        self._wanted_by = ""
        """Who asked for the lead, as far as the facilitator was told."""

    def _title(self, text: str) -> None:
        terms.say()
        terms.say(painted(f"── {text} {'─' * max(0, 76 - len(text))}", Tone.INFO, bold=True))

    def _say(self, tone: Tone, text: str) -> None:
        for number, line in enumerate(text.splitlines() or [""]):
            sign = SIGNS[tone] if not number else " "
            whole = textwrap.fill(line, 100, initial_indent=f"  {sign} ", subsequent_indent="    ")
            terms.say(painted(whole, tone))

    # -- asking

    def _line(self, prompt: str) -> str:
        """What the facilitator types; what others write meanwhile is shown above. Raises `Gone`, and `AskAnew` where
        somebody asked for a halt."""
        self._others()
        terms.write(f"{prompt} ")
        sys.stdout.flush()
        while True:
            said = self._typed.line(LOOK)
            if said is None:
                if self._leading.lead.trouble:
                    terms.say()
                    raise AskAnew
                if self._others(above=True):
                    terms.write(f"{prompt} ")
                    sys.stdout.flush()
                continue
            if said.lower() == "hand over":
                self._hand_over()
            if not said.lower().startswith("note "):
                return said
            self._leading.write(log.NoteTaken(text=said[5:].strip()))
            terms.write(f"noted. {prompt} ")
            sys.stdout.flush()

    def _hand_over(self) -> None:
        wanted, name = self._leading.standing.wanted_by, self._leading.loaded.day.name
        self._leading.hand_over()
        self._say(Tone.INFO, f"{wanted or 'Somebody else'} may lead now: chaosrunner gameday run {name} --take-over")
        raise LeadsNoMore

    def _others(self, *, above: bool = False) -> bool:
        """Show what others wrote; whether there was anything."""
        halted = self._leading.standing.halted
        shown = False
        for entry in self._leading.look():
            line = self._teller.tell(entry)
            if line is not None and entry.who != who() and isinstance(entry.told, _OTHERS):
                terms.say(("\n" if above and not shown else "") + written(line))
                shown = True
        wanted = self._leading.standing.wanted_by
        if wanted != self._wanted_by:
            self._wanted_by = wanted
            if wanted:
                if above and not shown:
                    terms.say()
                self._say(Tone.WARN, f"{wanted} asks to lead: type `hand over` at a question to leave it to them")
                shown = True
        if self._leading.standing.halted and not halted:
            raise AskAnew
        return shown

    def _choose(self, prompt: str, choices: Mapping[str, str]) -> str:
        """One of the letters; the first is what an empty line means."""
        first = next(iter(choices))
        words = " · ".join(f"{'Enter' if letter == first else letter} {words}" for letter, words in choices.items())
        while True:
            said = self._line(f"{prompt} [{words}]").lower()
            if not said:
                return first
            if said[0] in choices and said in (said[0], *choices[said[0]].split()):
                return said[0]
            terms.say(f"expected one of {', '.join(choices)}")

    def _yes(self, question: str) -> bool:
        while True:
            said = self._line(f"  {question} [y/n]").lower()
            if said in ("y", "yes", "n", "no"):
                return said.startswith("y")
