"""Leads through a game day: carries out what its facilitator decides, and writes down what becomes of it.

Whatever ends the facilitator's process, the log says where the game day stands: an item that is written down as begun
and not as ended was cut. Its fault is taken back by the run itself where it can still act (a closed terminal, Ctrl-C),
otherwise by what holds the fault.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chaosrunner.app.concluding import RunReport
from chaosrunner.app.desk import Desk, Tell
from chaosrunner.app.gameday_telling import When, announce
from chaosrunner.app.gamedays import DayBook, Shelf
from chaosrunner.app.go_no_go import Looked, answers, firing_now, look_at, orders_of
from chaosrunner.app.healing import heal_before
from chaosrunner.app.lead import PACE, Lead, Pace
from chaosrunner.app.orders import Order, make_platform, silences_of
from chaosrunner.app.running import Signals, run_experiment
from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.recorder import Observer
from chaosrunner.engine.silencing import SPARE, TAKES, end_silences
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import ChaosrunnerError, NotPossibleNow, UndoFailed, UsageError
from chaosrunner.http import Http
from chaosrunner.model import gameday_log as log
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.gameday import Role
from chaosrunner.model.journal import Noted, SilencePrepared
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import Ending
from chaosrunner.person import who
from chaosrunner.records.light import dataclass
from chaosrunner.stages.gameday import Move, Standing, agenda_lines, changed_items, next_move, stop_reached
from chaosrunner.stages.gameday_facts import Listener, facts_of
from chaosrunner.stages.gameday_file import LoadedDay
from chaosrunner.store.machine import Machine, machine_folder

LOOK = 0.2
"""Seconds between two looks at what others wrote, while an experiment runs."""
GONE = ("SIGHUP", "SIGTERM")
"""Signals after which nobody is there any more who could be asked."""


@dataclass(frozen=True, slots=True)
class Office:
    """What a game day takes beside its file."""

    state: Path
    clock: Clock
    tell: Tell
    pace: Pace = PACE

    @property
    def shelf(self) -> Shelf:
        """All game days that can be seen from here."""
        return Shelf(self.state, self.clock, self.tell)


class Leading:
    """One game day and its facilitator. Each coroutine may have an event loop of its own."""

    def __init__(
        self, loaded: LoadedDay, book: DayBook, office: Office, second: str = "", *, production: bool = False
    ) -> None:
        self.loaded = loaded
        self.book = book
        self.office = office
        orders = orders_of(loaded, office.state, second, production=production)
        self._orders = {item: order for item, _, order in orders}
        self._unseen: list[log.GameDayEntry] = []
        self.lead = Lead(book, self.folder, office.clock, office.tell, office.pace)
        self.left_by = ""
        """The signal that ended the facilitator's terminal while an experiment ran; empty: none did."""

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """With a way to HTTP, for as long as one coroutine takes."""
        office = self.office
        async with Http(office.clock, folder=self.loaded.environment_folder) as http:
            yield Desk(office.state, office.clock, http, office.tell)

    @property
    def standing(self) -> Standing:
        """Where it stands, after all that was read."""
        return self.book.standing

    def move(self) -> Move:
        """What is to be done next."""
        return next_move(self.standing, self.loaded.day.spec.agenda)

    def write(self, *events: Frozen, person: str = "") -> None:
        """Write down what was decided or happened."""
        self.book.write(*events, person=person)
        self._unseen += self.book.news()

    def look(self) -> list[log.GameDayEntry]:
        """What was written since the last look, by anybody."""
        found, self._unseen = [*self._unseen, *self.book.news()], []
        return found

    # -- beginning, and beginning again

    def begin(self) -> bool:
        """Take the lead, and begin or go on; whether it goes on. Raises `UsageError` where somebody leads already, or
        the file's agenda is another one by now."""
        if other := self.lead.take():
            name = self.loaded.day.name
            raise UsageError(
                f"{other} leads through {self.book.id} in another terminal; follow with `gameday watch`, or ask for "
                f"the lead with `gameday run {name} --take-over`"
            )
        self.look()
        if self.standing.began is None:
            self.write(self._began(), log.Joined(person=who(), role=Role.FACILITATOR))
            return False
        if changed := changed_items(self.standing, self.loaded.day.spec.agenda):
            numbers = ", ".join(map(str, changed))
            why = f"the agenda has changed since {self.book.id} began, in item {numbers}: put it back as it was"
            raise UsageError(f"{why}, or end that game day with `chaosrunner gameday halt {self.book.id}`")
        self.write(log.Resumed(instead_of=self.lead.before), log.Joined(person=who(), role=Role.FACILITATOR))
        if number := self.standing.running:
            attempt = self.standing.items[number - 1].attempts
            reason = f"the terminal of {self.lead.before or 'the facilitator'} died"
            self.write(log.ItemEnded(item=number, attempt=attempt, cut=True, reason=reason))
        return True

    def ask_for_lead(self) -> str:
        """Whether the lead can be had; who has it, and was asked to hand it over, where not. Empty: `begin` may follow.
        Raises `UsageError` where the game day ended meanwhile."""
        other = self.lead.take()
        self.look()
        if other and self.standing.ended is not None:
            raise UsageError(f"{self.book.id} is over; `chaosrunner gameday report` has what came of it")
        if other and self.standing.wanted_by != who():
            self.write(log.HandOverAsked())
        return other

    def hand_over(self) -> None:
        """Let somebody else lead."""
        self.write(log.HandedOver())
        self.leave()

    def _began(self) -> log.Began:
        day = self.loaded.day
        return log.Began(
            name=day.name,
            title=day.spec.title,
            environment=self.loaded.environment.name,
            environment_class=self.loaded.environment.class_name,
            file=self.loaded.source.path,
            agenda=agenda_lines(day, [(item.experiment, item.title) for item in self.loaded.items]),
            roles={role: day.spec.roles.of(role) for role in Role if day.spec.roles.of(role)},
            lasts=day.spec.lasts,
            time_zone=day.spec.time_zone,
        )

    async def take_back(self) -> None:
        """Take back what an experiment left in force whose process died, and keep what it had found. Raises
        `NotPossibleNow`."""
        environment, clock = self.loaded.environment, self.office.clock
        platform = make_platform(environment, self.loaded.environment_folder, clock)
        try:
            await heal_before(environment.name, Machine(machine_folder()), clock, self.office.tell, platform)
        finally:
            await platform.close()

    def leave(self) -> None:
        """Let the lead go; the game day stays where it is. Idempotent."""
        self.book.close()
        self.lead.drop()

    # -- go or no-go

    async def check(self) -> list[log.Checked]:
        """Ask everything that needs nobody in the room, and write the answers down."""
        spec = self.loaded.day.spec
        orders = [(item, self.loaded.items[item - 1].label, order) for item, order in self._orders.items()]
        looked: list[Looked] = await look_at(orders, read=spec.go_no_go.steady_state)
        async with self.desk() as desk:
            found = await answers(self.loaded, looked, desk)
        self.write(*found)
        return found

    def missing(self) -> list[tuple[Role, tuple[str, ...]]]:
        """Roles of which somebody must be there and nobody is, with those who have them."""
        spec = self.loaded.day.spec
        wanted = [(role, spec.roles.of(role)) for role in spec.go_no_go.present]
        return [(role, people) for role, people in wanted if people and not self.standing.is_here(people)]

    # -- one experiment

    async def run_item(self, number: int, view: Observer) -> log.ItemEnded:
        """Run an experiment of the agenda, and write down what it came to. Raises `UndoFailed`, after that is written
        down, and `NotPossibleNow`, before anything begins, where somebody else may lead by now. `left_by` says whether
        there is still a terminal afterwards."""
        await asyncio.to_thread(self.lead.confirm)
        attempt = self.standing.items[number - 1].attempts + 1
        self.write(log.ItemBegan(item=number, attempt=attempt))
        blind = self.loaded.day.spec.agenda[number - 1].blind
        under_way = _UnderWay(self.book, number, blind=blind)
        stop = Stop()
        following = asyncio.ensure_future(under_way.follow(stop, self.office, self.lead))
        try:
            ended = await self._run(self._orders[number], under_way, view, stop, number, attempt)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            under_way.flush(over=True)
        if stop.halt is not None and stop.halt.by in GONE:
            self.left_by = stop.halt.by
        self.write(ended)
        return ended

    async def _run(
        self, order: Order, under_way: _UnderWay, view: Observer, stop: Stop, number: int, attempt: int
    ) -> log.ItemEnded:
        observers = [view, under_way.listener.observe]
        try:
            with Signals(stop, self.office.tell):
                report = await run_experiment(order, observers, self.office.tell, stop, under_way.take_notes)
                facts = self._facts(report, under_way)
        except UndoFailed as error:
            under_way.flush(over=True)
            text = f"an undo failed: {error}"
            self.write(
                log.ItemEnded(item=number, attempt=attempt, cut=True, reason=text),
                log.StopReached(condition="undo-failed", text=text),
            )
            raise
        except ChaosrunnerError as error:
            return log.ItemEnded(item=number, attempt=attempt, cut=True, reason=str(error))
        cut = facts.ending == Ending.HALTED.value
        why = ""
        if cut and stop.halt is not None:
            why = f"halted by {stop.halt.by}{f': {stop.halt.reason}' if stop.halt.reason else ''}"
        item = self.loaded.day.spec.agenda[number - 1]
        title = item.title if item.blind else ""
        return log.ItemEnded(item=number, attempt=attempt, facts=facts, cut=cut, reason=why, title=title)

    def _facts(self, report: RunReport, under_way: _UnderWay) -> log.Facts:
        known: dict[str, NearMiss] = {}
        if wanted := {shown.id for shown in report.found if shown.id}:
            from chaosrunner.register import open_register

            try:
                with open_register(self.office.state, self.office.clock) as register:
                    known = {id: register.get(id) for id in wanted}
            except NotPossibleNow as error:
                self.office.tell(f"owners and due dates are not known: {error}")
        alerts = under_way.listener.alerts
        return facts_of(report.account, report.verdict, report.found, alerts, known.get, str(report.html))

    async def stop_after(self, ended: log.ItemEnded) -> log.StopReached | None:
        """The first condition under which it should stop that is met now; it is written down."""
        rules = self.loaded.day.spec.stop_when
        firing: list[str] = []
        unread = ""
        if rules.firing:
            try:
                async with self.desk() as desk:
                    firing = await firing_now(self.loaded, rules.firing, desk)
            except NotPossibleNow as error:
                unread = f"what fires cannot be read: {error}"
        began = self.standing.decided_at
        lasted = 0.0 if began is None else self.office.clock.now() - began
        met = stop_reached(rules, ended.facts, lasted, firing)
        if met is None and unread:
            met = log.StopReached(condition="firing", text=unread)
        if met is not None:
            self.write(met)
        return met

    # -- people outside

    async def announce(self, when: When, headline: str, text: str) -> tuple[str, ...]:
        """Tell people outside; who is told, now or, where they cannot be reached, later. Empty: nobody is named."""
        async with self.desk() as desk:
            told = await announce(self.loaded, self.book.id, when, headline, text, desk)
        if told:
            self.write(log.Announced(when=when, to=told, text=headline))
        return told

    async def silence(self) -> None:
        """Make the silence that the file asks for; on disk before it is made. Raises `NotPossibleNow`."""
        asked = self.loaded.day.spec.communications.silence
        if asked is None:
            return
        await self.end_silence()  # one of an attempt that failed, which may be there all the same
        now = self.office.clock.now()
        order = SilencePrepared(
            matchers=asked.matchers,
            starts_at=now,
            ends_at=now + self.loaded.day.spec.lasts + SPARE,
            comment=f"chaosrunner game day {self.book.id}",
        )
        self.write(log.SilenceOrdered(order=order.as_json()))
        async with self.desk() as desk:
            silences = silences_of(self.loaded.environment, desk.http)
            assert silences is not None  # the file was held against its environment
            made = await Leash().ask(silences.make(order), TAKES)
        if made.error is not None:
            raise NotPossibleNow(f"the silence cannot be made: {made.trouble}")

    async def end_silence(self) -> None:
        """End what was silenced, whoever made it before."""
        if self.standing.silence is None:
            return
        comment = str(self.standing.silence.order.get("comment", ""))
        async with self.desk() as desk:
            silences = silences_of(self.loaded.environment, desk.http)
            if silences is None:
                return
            ended = await end_silences(silences, comment, (), Leash())
        self.write(log.SilenceOver(trouble=ended.trouble))
        if ended.trouble:
            self.office.tell(f"a silence may still be there: {ended.trouble}")

    @property
    def folder(self) -> Path:
        """Where the game day's files are kept."""
        assert self.book.local is not None
        return self.book.local.path.parent


class _UnderWay:
    """One experiment while it runs: what it says goes into the log, what others say into its journal, and a halt that
    anybody asks for stops it. Nothing here makes the run wait: the log is written beside it."""

    def __init__(self, book: DayBook, item: int, *, blind: bool) -> None:
        self._book = book
        self._blind = blind
        self._said: deque[log.GameDayEntry] = deque()
        self._notes: deque[Noted] = deque()
        self._guard = threading.Lock()
        self.listener = Listener(item, self._put)

    def _put(self, event: Frozen) -> None:
        self._said.append(self._book.entry(event))

    def flush(self, *, over: bool = False) -> None:
        """Write what was said; of a surprise only when it is over."""
        if self._blind and not over:
            return
        with self._guard:  # the last flush may meet one that is under way in a thread
            entries = [self._said.popleft() for _ in range(len(self._said))]
            if entries:
                self._book.keep(entries)

    def take_notes(self) -> list[Noted]:
        """What people said since the last time."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    async def follow(self, stop: Stop, office: Office, lead: Lead) -> None:
        """Until it is cancelled. Whoever leads no more takes back what is in force."""
        while True:
            if lead.trouble:
                stop.now(Ending.HALTED, "chaosrunner", lead.trouble)
            try:
                await asyncio.to_thread(self.flush)
                news = await asyncio.to_thread(self._book.news)
            except ChaosrunnerError as error:  # the experiment goes on; its own journal is another file
                office.tell(f"the game day's log: {error}")
                news = []
            for entry in news:
                self._take(entry, stop)
            await office.clock.sleep(LOOK)

    def _take(self, entry: log.GameDayEntry, stop: Stop) -> None:
        event = entry.told
        if isinstance(event, log.NoteTaken):
            self._notes.append(Noted(who=entry.who, text=event.text))
        elif isinstance(event, log.HaltAsked):
            stop.now(Ending.HALTED, entry.who, event.reason)
