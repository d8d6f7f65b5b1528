"""Near misses to items of a tracker: made once, kept up to date, followed.

What a person does in the tracker moves a near miss (an item that is closed makes the fix ready, never verified); what
chaosrunner finds out moves the item. A comment is written when something changed, not for each repetition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum

from chaosrunner import catalog
from chaosrunner.clock import Clock, iso
from chaosrunner.errors import ChaosrunnerError, NotPossibleNow, OutcomeUnknown, PluginDefect, UsageError
from chaosrunner.model.environment import Environment
from chaosrunner.model.frozen import Parameters
from chaosrunner.model.life_cycle import Change, Party
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import State
from chaosrunner.ports import Item, ItemSeen, ProbeContext, Tracker
from chaosrunner.records.light import dataclass
from chaosrunner.register.items import ItemRecord
from chaosrunner.register.near_misses import Record, Register
from chaosrunner.stages.register import Registered
from chaosrunner.stages.remediation_text import item_of

SECONDS = 60.0
"""How long a tracker may take over one near miss."""


DEFAULT = "local"
"""The tracker of environments that name none: Markdown files."""


class Step(StrEnum):
    """What was done about an item."""

    MADE = "made"
    UPDATED = "updated"
    REOPENED = "reopened"
    CLOSED = "closed"
    FOLLOWED = "followed"
    """The item's state moved the near miss."""
    UNCHANGED = "unchanged"
    NOT_NEEDED = "not-needed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Remediated:
    """What became of one near miss's item."""

    near_miss: NearMiss
    step: Step
    key: str = ""
    url: str = ""
    trouble: str = ""
    """Why it could not be done; what is missing is made up for the next time."""


def open_tracker(environment: Environment | None, context: ProbeContext) -> Tracker[Parameters]:
    """The environment's tracker; `local` where it names none. Raises `UsageError`."""
    call = environment.spec.tracker if environment else None
    plugin: type[Tracker[Parameters]] = catalog.find("trackers", call.kind if call else DEFAULT)
    return plugin(plugin.Params.model_validate(call.with_ if call else {}), context)


async def remediate(
    registered: Registered, register: Register, tracker: Tracker[Parameters], clock: Clock
) -> list[Remediated]:
    """After a run: an item for each near miss that the run found, and word to the items of those that changed.

    Never raises for a tracker that fails: that is said in `trouble`, and made up for by `follow`.
    """
    work = _Work(register, tracker, clock, registered.shown)
    return [await work.see_to(id) for id in registered.changed]


async def follow(
    register: Register, tracker: Tracker[Parameters], clock: Clock, ids: Sequence[str] = (), *, look: bool = True
) -> list[Remediated]:
    """Look at the items of these near misses (default: all of this kind of tracker that are not closed, or whose item
    is not): an item that was closed makes its near miss fix-ready, missing items are made, and what they were not told
    yet is told. With `look=False` items that need no word are not asked for.

    Call it before a run, so that a fix that is ready can be verified by it.
    """
    register.wake()
    work = _Work(register, tracker, clock, frozenset(), look=look)
    return [await work.see_to(id) for id in ids or work.unfinished()]


@dataclass(frozen=True)
class _Work:
    register: Register
    tracker: Tracker[Parameters]
    clock: Clock
    shown: Collection[str]
    """Near misses that were shown by the run just recorded: no closed item counts against that."""
    look: bool = True

    def unfinished(self) -> list[str]:
        return self.register.items.unfinished(self.tracker.kind, DEFAULT)

    async def see_to(self, id: str) -> Remediated:
        """Everything about one near miss; a failure is an answer."""
        record = self.register.show(id)
        kind, home = self.tracker.kind, _home(record.near_miss)
        if home != kind:
            trouble = f"its item belongs in {home}: chaosrunner remediate -e {record.near_miss.environment}"
            return Remediated(record.near_miss, Step.UNCHANGED, trouble=trouble)
        try:
            return await self._guarded(lambda: self._one(record))
        except ChaosrunnerError as error:
            self.register.items.give_up(record.near_miss.id, kind)
            return Remediated(record.near_miss, Step.FAILED, trouble=f"tracker {kind}: {error}")

    async def _guarded(self, work: Callable[[], Awaitable[Remediated]]) -> Remediated:
        """A tracker is not trusted: its time is limited, and whatever it raises becomes one of our errors."""
        try:
            async with asyncio.timeout(SECONDS):
                return await work()
        except ChaosrunnerError:
            raise
        except TimeoutError as error:
            raise NotPossibleNow(f"no answer within {SECONDS:g} s") from error
        except Exception as error:  # the one wrapper around trackers
            raise PluginDefect(f"it raised {type(error).__name__}: {error}") from error

    async def _one(self, record: Record) -> Remediated:
        near_miss = record.near_miss
        known = self.register.items.of(near_miss.id, self.tracker.kind)
        if known is None or known.key is None or known.state == "gone":
            return await self._make(record)
        if not self.look and known.told == told(near_miss):
            return Remediated(near_miss, Step.UNCHANGED, known.key, known.url)
        seen = await self.tracker.look(known.key)
        if seen.state == "gone":
            self.register.items.keep(_seen(known, seen, self.clock.now()), "it is no longer in the tracker")
            return await self._make(self.register.show(near_miss.id))
        followed = self._follow(near_miss, known, seen)
        if followed is not near_miss:
            record = replace(self.register.show(near_miss.id), near_miss=followed)
        done = await self._tell(record, known, seen)
        if followed is not near_miss and done.step in (Step.UNCHANGED, Step.UPDATED):
            return replace(done, step=Step.FOLLOWED)
        return done

    def _follow(self, near_miss: NearMiss, known: ItemRecord, seen: ItemSeen) -> NearMiss:
        """What a person did to the item since it was last looked at, done to the near miss."""
        now = self.clock.now()
        closed = known.state == "open" and seen.state == "closed" and not seen.given_up
        closed = closed and near_miss.id not in self.shown
        reopened = known.state == "closed" and seen.state == "open"
        where = f"{self.tracker.kind} {seen.key}"
        change: Change | None = None
        if closed and near_miss.state in (State.OPEN, State.TRIAGED, State.IN_PROGRESS, State.NEEDS_INFO):
            fix = f"the closed item {where}"
            change = Change(to=State.FIX_READY, actor=where, party=Party.TRACKER, at=now, change=fix)
        elif reopened and near_miss.state is State.FIX_READY:
            reason = "the item was opened again"
            change = Change(to=State.IN_PROGRESS, actor=where, party=Party.TRACKER, at=now, reason=reason)
        return self.register.change(near_miss.id, change) if change else near_miss

    async def _tell(self, record: Record, known: ItemRecord, seen: ItemSeen) -> Remediated:
        near_miss = record.near_miss
        active = not near_miss.closed and near_miss.state not in (State.FIX_READY, State.WAIVED)
        given_up = seen.given_up and near_miss.id not in self.shown
        reopen = active and seen.state == "closed" and not given_up
        close = near_miss.closed and seen.state == "open"
        news = _news(record, known.told)
        if reopen and not news:
            news = f"Run {near_miss.last_run} showed it again while this item was closed."
        step = Step.UNCHANGED
        if reopen or close or news or known.told != told(near_miss):
            item = item_of(record)
            seen = await self.tracker.update(seen.key, item, news, reopen=reopen, close=close)
            step = Step.REOPENED if reopen else Step.CLOSED if close else Step.UPDATED
        done = self._keep(record, known, seen, step)
        if active and given_up:
            words = f"it was closed as not to be done: waive or reject {near_miss.id}, or open its item again"
            return replace(done, trouble=words)
        return done

    async def _make(self, record: Record) -> Remediated:
        near_miss, items = record.near_miss, self.register.items
        if near_miss.closed:
            return Remediated(near_miss, Step.NOT_NEEDED)
        claimed_at = self.clock.now()
        in_the_way = items.claim(near_miss.id, self.tracker.kind, claimed_at)
        if in_the_way is not None:
            if in_the_way.key is None:
                return Remediated(near_miss, Step.UNCHANGED, trouble="another process is making its item")
            return Remediated(near_miss, Step.UNCHANGED, in_the_way.key, in_the_way.url)
        fresh = ItemRecord(near_miss=near_miss.id, tracker=self.tracker.kind)
        seen = await self._find(near_miss)
        if seen is not None:  # made before, and never written down; it may have been told anything
            known = fresh.model_copy(update={"key": seen.key, "url": seen.url, "state": seen.state})
            return replace(await self._tell(record, known, seen), step=Step.MADE)
        self._wait_for_one_that_may_be_there(near_miss)
        made = await self._create(item_of(record), claimed_at)
        return self._keep(record, fresh, made, Step.MADE)

    def _wait_for_one_that_may_be_there(self, near_miss: NearMiss) -> None:
        """Raises `NotPossibleNow` as long as one that was asked for may still come to light."""
        known = self.register.items.of(near_miss.id, self.tracker.kind)
        if known is None or known.sent_at is None:
            return
        left = known.sent_at + self.tracker.settles - self.clock.now()
        if left > 0:
            raise NotPossibleNow(
                f"nobody said whether the item that was asked for at {iso(known.sent_at)} was made, and it is not "
                f"found yet: it is looked for again, and another is made no sooner than in {left:.0f} s"
            )

    async def _create(self, item: Item, claimed_at: float) -> ItemSeen:
        """Made once: that it was asked for is on record before it is asked for."""
        items, kind = self.register.items, self.tracker.kind
        if not items.sending(item.near_miss, kind, claimed_at, self.clock.now()):
            raise NotPossibleNow("another process is making its item")
        try:
            made = await self.tracker.create(item)
        except OutcomeUnknown:
            with suppress(NotPossibleNow, UsageError):
                if (seen := await self.tracker.find(item.fingerprint)) is not None:
                    return seen
            raise
        except (NotPossibleNow, UsageError):
            items.sending(item.near_miss, kind, claimed_at, None)
            raise
        return await self._only_one(item, made)

    async def _only_one(self, item: Item, made: ItemSeen) -> ItemSeen:
        """One that was made meanwhile from another register, where there is one: ours is then closed."""
        try:
            first = await self.tracker.find(item.fingerprint)
            if first is None or first.key == made.key:
                return made
            await self.tracker.update(made.key, item, f"The same as {first.url or first.key}.", close=True)
        except (NotPossibleNow, UsageError):
            return made  # ours is there, which counts
        return first

    async def _find(self, near_miss: NearMiss) -> ItemSeen | None:
        for fingerprint in (near_miss.fingerprint, *near_miss.former_fingerprints):
            if (seen := await self.tracker.find(fingerprint)) is not None:
                return seen
        return None

    def _keep(self, record: Record, known: ItemRecord, seen: ItemSeen, step: Step) -> Remediated:
        now = told(record.near_miss)
        after = record.near_miss
        before = (known.key, known.url, known.state, known.assignee, known.told)
        if before != (seen.key, seen.url, seen.state, seen.assignee, now):
            told_it = _seen(known, seen, self.clock.now()).model_copy(update={"told": now})
            after = self.register.items.keep(
                told_it, f"{step.value} by chaosrunner" if step is not Step.UNCHANGED else ""
            )
        return Remediated(after, step, seen.key, seen.url)


def _home(near_miss: NearMiss) -> str:
    """Kind of the tracker that its item is in, or belongs in."""
    return near_miss.item.tracker if near_miss.item else near_miss.tracker or DEFAULT


def _seen(known: ItemRecord, seen: ItemSeen, at: float) -> ItemRecord:
    return known.model_copy(
        update={"key": seen.key, "url": seen.url, "state": seen.state, "assignee": seen.assignee, "seen_at": at}
    )


def told(near_miss: NearMiss) -> dict[str, str]:
    """What an item says of its near miss; it hears of nothing else, so that a repetition is no news."""
    return {
        "state": near_miss.state.value,
        "priority": near_miss.priority.value,
        "due": near_miss.due.isoformat(),
        "owner": near_miss.owner or "",
        "class": near_miss.finding.value,
        "regressions": str(near_miss.regressions),
        "attempts": str(near_miss.attempts),
    }


def _news(record: Record, before: dict[str, str]) -> str:
    """What changed since the item was last told, as a comment; nothing for an item that was told nothing yet."""
    near_miss, now = record.near_miss, told(record.near_miss)
    changed = {name for name, value in now.items() if before.get(name, value) != value}
    news = []
    if changed & {"state", "regressions", "attempts"}:
        news.append(_state_news(near_miss))
    if "priority" in changed:
        news.append(f"Priority {before['priority']} is now {now['priority']}.")
    if "owner" in changed:
        news.append(f"Owner: {near_miss.owner}.")
    if "due" in changed:
        news.append(f"Due {near_miss.due}.")
    return " ".join(news)


def _state_news(near_miss: NearMiss) -> str:
    reason = f": {near_miss.reason}" if near_miss.reason else ""
    if near_miss.state is State.VERIFIED and near_miss.verification is not None:
        proof = near_miss.verification
        return (
            f"Verified by {', '.join(proof.runs)}{reason}. A gap that shows as often as this one did would have been "
            f"missed with a chance of {proof.slip:.0%}. Closed."
        )
    if near_miss.state is State.FIX_READY:
        return f"Fix ready: {near_miss.fixed_by}. It is verified when enough runs pass."
    if near_miss.state is State.WAIVED and near_miss.waiver is not None:
        return f"Waived until {near_miss.waiver.until} by {near_miss.waiver.accepted_by}{reason}."
    if near_miss.state is State.DUPLICATE:
        return f"A duplicate of {near_miss.duplicate_of}{reason}."
    return f"Now {near_miss.state}{reason}."
