"""A game day in its facilitator's terminal: what is next, what is asked, what was decided."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress

from chaosrunner.app.gameday_telling import When
from chaosrunner.app.lead import PACE
from chaosrunner.app.leading import Leading
from chaosrunner.cli import terms
from chaosrunner.cli._asking import LOOK, AskAnew, Asking, Gone, LeadsNoMore
from chaosrunner.cli._following import painted
from chaosrunner.cli._showing import view
from chaosrunner.errors import NotPossibleNow
from chaosrunner.model import gameday_log as log
from chaosrunner.model.gameday import AgendaItem
from chaosrunner.reports.gameday_words import WORD_TONES, agenda_text
from chaosrunner.reports.words import Tone, lasting
from chaosrunner.stages.gameday import Move, Step, repeatable

TAKES_OVER = 1.0
"""Seconds between two looks at whether the lead is free."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminal(Asking):
    """Leads through one game day. `run` returns its exit code; 6 where it waits to be gone on with."""

    def __init__(self, leading: Leading, *, plain: bool) -> None:
        super().__init__(leading)
        self._plain = plain
        self._steps: Mapping[Step, Callable[[Move], None]] = {
            Step.CHECK: self._check,
            Step.BEGIN: self._begin,
            Step.CUT: self._cut,
            Step.ASK: self._ask,
            Step.PAUSED: self._paused,
            Step.STOPPED: self._stopped,
            Step.END: self._end,
        }

    def run(self, *, take_over: bool = False) -> int:
        """Until it is over, or nobody is there any more. `take_over`: where somebody leads, they are asked to hand it
        over."""
        if take_over and not self._take_over():
            return 6
        went_on = self._leading.begin()
        self._head(went_on)
        if went_on:
            self._take_back()
        try:
            while (move := self._leading.move()).step is not Step.OVER:
                with suppress(AskAnew):
                    self._still_leads()
                    self._steps[move.step](move)
        except LeadsNoMore:
            return 6
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

    def _take_over(self) -> bool:
        """Wait until the lead is free; False: nobody waits any more. It is asked for once; whoever has it hands it
        over, or is not heard of any more."""
        told = False
        try:
            while other := self._leading.ask_for_lead():
                if not told:
                    told = True
                    silent = f"their terminal is silent for {lasting(PACE.counts)}"
                    self._say(Tone.WARN, f"{other} leads through {self._leading.book.id} and is asked to hand it over.")
                    self._say(Tone.INFO, f"You lead as soon as they do, or {silent}. Ctrl-C: do not take over.")
                self._typed.line(TAKES_OVER)
        except (Gone, KeyboardInterrupt):
            return False
        return True

    def _still_leads(self) -> None:
        """Nothing is asked or begun while somebody else may lead. Raises `LeadsNoMore` where somebody does."""
        lead, told = self._leading.lead, False
        while lead.trouble:
            if lead.lost_to:
                self._say(Tone.WARN, f"{lead.trouble}. What was in force here is taken back.")
                terms.say("    follow with: chaosrunner gameday watch")
                raise LeadsNoMore
            if not told:
                told = True
                self._say(Tone.BAD, f"{lead.trouble}: nothing goes on here until it is back. Ctrl-C: leave it.")
            self._typed.line(LOOK)

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
        if before := self._leading.lead.before:
            cut = any(each.state == "cut" for each in standing.items)
            terms.say(
                f"you lead now, in place of {before}{'; what was in force there ended with its process' if cut else ''}"
            )
        if went_on and standing.go:
            done = sum(each.state in ("done", "skipped") for each in standing.items)
            terms.say(f"going on: {done} of {len(standing.items)} items are through")
        terms.say()

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
            if self._leading.lead.trouble:
                raise AskAnew from None
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
