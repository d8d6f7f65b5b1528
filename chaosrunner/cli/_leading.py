"""A game day in its facilitator's terminal: what is next, what is asked, what was decided."""

from __future__ import annotations

import os
import select
import signal
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress

from chaosrunner.app.gameday_telling import When
from chaosrunner.app.leading import Leading
from chaosrunner.cli import terms
from chaosrunner.cli._following import painted, written
from chaosrunner.cli._showing import view
from chaosrunner.errors import NotPossibleNow
from chaosrunner.model import gameday_log as log
from chaosrunner.model.gameday import AgendaItem
from chaosrunner.person import who
from chaosrunner.reports.gameday_words import WORD_TONES, Teller, agenda_text
from chaosrunner.reports.words import SIGNS, Tone, lasting
from chaosrunner.stages.gameday import Move, Step, repeatable

LOOK = 0.3
"""Seconds between two looks at what others wrote, while a question waits."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OTHERS = (log.NoteTaken, log.Joined, log.HaltAsked)
"""What of others is shown to the facilitator at once."""


class Gone(Exception):
    """Nobody is there any more who could answer."""


class _Elsewhere(Exception):
    """Somebody else decided: what is next must be asked anew."""


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


class Terminal:
    """Leads through one game day. `run` returns its exit code; 6 where it waits to be gone on with."""

    def __init__(self, leading: Leading, *, plain: bool) -> None:
        self._leading = leading
        self._plain = plain
        self._teller = Teller()
        self._typed = _Typed()
        self._steps: Mapping[Step, Callable[[Move], None]] = {
            Step.CHECK: self._check,
            Step.BEGIN: self._begin,
            Step.CUT: self._cut,
            Step.ASK: self._ask,
            Step.PAUSED: self._paused,
            Step.STOPPED: self._stopped,
            Step.END: self._end,
        }

    def run(self) -> int:
        """Until it is over, or nobody is there any more."""
        went_on = self._leading.begin()
        self._head(went_on)
        if went_on:
            self._take_back()
        try:
            while (move := self._leading.move()).step is not Step.OVER:
                with suppress(_Elsewhere):
                    self._steps[move.step](move)
        except (Gone, KeyboardInterrupt):
            if not self._leading.left_by:
                self._wait()
            return 6
        return self._leading.standing.exit_code

    def _take_back(self) -> None:
        """Nothing goes on while what a dead run left may still be in force."""
        try:
            terms.wait_for(self._leading.take_back())
        except NotPossibleNow as error:
            self._say(Tone.BAD, f"what was left in force cannot be told: {error}")

    def _wait(self) -> None:
        path = self._leading.loaded.source.path
        terms.say()
        terms.say(f"The game day waits. It goes on where it is with: chaosrunner gameday run {path}")

    # -- showing

    def _head(self, went_on: bool) -> None:
        day, book = self._leading.loaded.day, self._leading.book
        terms.say(painted(day.spec.title, Tone.INFO, bold=True))
        terms.say(f"{day.name} on {self._leading.loaded.environment.name}, meant to take {lasting(day.spec.lasts)}")
        terms.say("everybody else: chaosrunner gameday watch · chaosrunner gameday note TEXT")
        terms.say(f"log: {book.id}; at any question `note TEXT` writes a note, Ctrl-C leaves it where it is")
        standing = self._leading.standing
        if went_on and standing.go:
            done = sum(each.state in ("done", "skipped") for each in standing.items)
            terms.say(f"going on: {done} of {len(standing.items)} items are through")
        terms.say()

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
        """What the facilitator types; what others write meanwhile is shown above. Raises `Gone`, and `_Elsewhere` where
        somebody asked for a halt."""
        self._others()
        terms.write(f"{prompt} ")
        sys.stdout.flush()
        while True:
            said = self._typed.line(LOOK)
            if said is None:
                if self._others(above=True):
                    terms.write(f"{prompt} ")
                    sys.stdout.flush()
                continue
            if not said.lower().startswith("note "):
                return said
            self._leading.write(log.NoteTaken(text=said[5:].strip()))
            terms.write(f"noted. {prompt} ")
            sys.stdout.flush()

    def _others(self, *, above: bool = False) -> bool:
        """Show what others wrote; whether there was anything."""
        halted = self._leading.standing.halted
        shown = False
        for entry in self._leading.look():
            line = self._teller.tell(entry)
            if line is not None and entry.who != who() and isinstance(entry.told, _OTHERS):
                terms.say(("\n" if above and not shown else "") + written(line))
                shown = True
        if self._leading.standing.halted and not halted:
            raise _Elsewhere
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

    # -- go or no-go

    def _check(self, _: Move) -> None:
        self._title("Go or no-go")
        for number, line in enumerate(self._agenda(), 1):
            terms.say(f"  {agenda_text(number, line)}{'  (only you see what it is)' if line.blind else ''}")
        terms.say()
        found = terms.wait_for(self._leading.check())
        found += self._people() + self._room()
        for checked in found:
            self._say(Tone.GOOD if checked.go else Tone.BAD, f"{checked.check}: {checked.reason}")
        against = [checked.check for checked in found if not checked.go]
        terms.say()
        if not against:
            chosen = self._choose("All say go. Go?", {"g": "go", "n": "no-go", "a": "ask again"})
        else:
            self._say(Tone.WARN, f"{len(against)} of {len(found)} say no-go")
            chosen = self._choose("Go?", {"a": "ask again", "n": "no-go", "g": "go all the same"})
        if chosen == "a":
            return
        reason = self._line("Why?") if chosen == "n" or against else ""
        if chosen == "n":
            self._leading.write(log.Decided(go=False, reason=reason or "; ".join(against)))
            return
        self._go(reason)

    def _go(self, reason: str) -> None:
        spec = self._leading.loaded.day.spec
        try:
            terms.wait_for(self._leading.silence())
        except NotPossibleNow as error:
            self._say(Tone.BAD, str(error))
            return
        self._leading.write(log.Decided(go=True, reason=reason))
        self._announce("before", f"Game day on {self._leading.loaded.environment.name}: {spec.title}")

    def _agenda(self) -> tuple[log.AgendaLine, ...]:
        began = self._leading.standing.began
        return began.agenda if began is not None else ()

    def _people(self) -> list[log.Checked]:
        found = []
        for role, people in self._leading.missing():
            named = ", ".join(people)
            here = self._yes(f"Is {named} ({role.value}) here?")
            if here:
                self._leading.write(*(log.Joined(person=person, role=role) for person in people))
            found.append(log.Checked(check=role.value, go=here, reason=f"{named} is {'' if here else 'not '}here"))
        if found:
            self._leading.write(*found)
        return found

    def _room(self) -> list[log.Checked]:
        found = []
        for question in self._leading.loaded.day.spec.go_no_go.ask:
            go = self._yes(question)
            found.append(log.Checked(check=question, go=go, reason="yes" if go else "no"))
        if found:
            self._leading.write(*found)
        return found

    # -- the agenda

    def _item(self, number: int) -> AgendaItem:
        return self._leading.loaded.day.spec.agenda[number - 1]

    def _shown(self, number: int) -> str:
        """The item as the facilitator sees it."""
        item, loaded = self._item(number), self._leading.loaded.items[number - 1]
        title = item.title or loaded.title or "a pause"
        return f"{number}. {title}{' (a surprise: only you see this)' if item.blind else ''}"

    def _begin(self, move: Move) -> None:
        item = self._item(move.item)
        self._title(self._shown(move.item))
        if item.briefing:
            self._say(Tone.INFO, item.briefing.strip())
        if item.pause is not None:
            self._pause(move.item, item.pause)
            return
        again = repeatable(self._leading.standing, self._leading.loaded.day.spec.agenda)
        choices = {"b": "begin", "s": "skip", "p": "pause"}
        choices |= {"r": f"repeat {again}"} if again else {}
        self._chosen(self._choose("Begin?", {**choices, "e": "end the game day"}), move.item, again)

    def _cut(self, move: Move) -> None:
        self._title(self._shown(move.item))
        self._say(Tone.WARN, "It was broken off. Its fault is taken back.")
        chosen = self._choose("Once more?", {"b": "begin it again", "s": "skip", "p": "pause", "e": "end the game day"})
        self._chosen(chosen, move.item, 0)

    def _chosen(self, chosen: str, number: int, again: int) -> None:
        if chosen == "b":
            self._experiment(number)
        elif chosen == "r":
            self._experiment(again)
        elif chosen == "s":
            self._leading.write(log.ItemSkipped(item=number, reason=self._line("Why?")))
        elif chosen == "p":
            self._leading.write(log.Paused(reason=self._line("Why?")))
        else:
            self._close(log.Ended(ending="broken-off", reason=self._line("Why?")))

    def _pause(self, number: int, seconds: float) -> None:
        self._leading.write(log.ItemBegan(item=number))
        self._line(f"A pause of {lasting(seconds)}. [Enter goes on]")
        self._leading.write(log.ItemEnded(item=number))

    def _paused(self, _: Move) -> None:
        self._line("Paused. [Enter goes on]")
        self._leading.write(log.WentOn())

    def _experiment(self, number: int) -> None:
        during = self._leading.loaded.day.spec.communications.during
        if during:
            blind = self._item(number).blind
            self._announce("during", during if blind else f"{during} {self._leading.loaded.items[number - 1].title}")
        before = {each: signal.getsignal(each) for each in _SIGNALS}
        try:
            with view(plain=self._plain) as observe:
                ended = terms.wait_for_run(self._leading.run_item(number, observe))
        except (OSError, NotPossibleNow):  # nobody sees the last picture any more
            if not self._leading.left_by:
                raise
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        if self._leading.left_by:
            raise Gone
        self._show(ended)
        met = terms.wait_for(self._leading.stop_after(ended))
        if met is not None:
            self._say(Tone.BAD, f"It should stop: {met.text}")

    def _show(self, ended: log.ItemEnded) -> None:
        facts = ended.facts
        terms.say()
        if facts is None:
            self._say(Tone.WARN, ended.reason or "it came to nothing")
            return
        self._say(WORD_TONES.get(facts.word, Tone.WARN), f"{facts.word}. {facts.summary}")
        for near_miss in facts.near_misses:
            named = f"{near_miss.id} {near_miss.priority}, {near_miss.news}".rstrip(", ")
            self._say(Tone.WARN, f"{named}: {near_miss.title}")
        terms.say(f"    its report: {facts.report}")

    def _ask(self, move: Move) -> None:
        asked = self._item(move.item).questions[move.question - 1]
        if move.question == 1:
            terms.say()
        answer = self._line(f"  ? {asked}\n   >")
        self._leading.write(log.Answered(item=move.item, question=move.question, asked=asked, answer=answer))

    def _stopped(self, _: Move) -> None:
        stop = self._leading.standing.stop
        assert stop is not None
        self._title("A condition is met under which it should stop")
        self._say(Tone.BAD, stop.text)
        chosen = self._choose("End it?", {"e": "end the game day", "g": "go on all the same"})
        reason = self._line("Why?") if chosen == "g" else stop.text
        if chosen == "g" and reason:
            self._leading.write(log.Decided(go=True, reason=reason))
        elif chosen == "e":
            self._close(log.Ended(ending="stopped", reason=reason))

    # -- the end

    def _end(self, _: Move) -> None:
        standing = self._leading.standing
        if standing.go is False:
            self._close(log.Ended(ending="no-go"))
        else:
            self._close(log.Ended(ending="halted" if standing.halted else "finished"))

    def _close(self, end: log.Ended) -> None:
        """The end, however it came: silences end, people are told, and only then it is written down as over, so that
        whoever is cut off before that comes back to it."""
        from chaosrunner.app.after_action import write_report

        standing = self._leading.standing
        terms.wait_for(self._leading.end_silence())
        if standing.decided_at is not None:
            self._announce("after", f"The game day on {self._leading.loaded.environment.name} is over")
        self._leading.write(end)
        written_to = write_report(self._leading.book, self._leading.office.shelf, self._leading.folder)
        self._title("The game day is over")
        for path in written_to:
            terms.say(f"  {path}")

    def _announce(self, when: When, headline: str) -> None:
        text = getattr(self._leading.loaded.day.spec.communications, when)
        told = terms.wait_for(self._leading.announce(when, headline, text or headline))
        if told:
            self._say(Tone.INFO, f"told: {', '.join(told)}")
