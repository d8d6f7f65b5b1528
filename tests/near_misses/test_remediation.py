"""Remediation items: made once, kept up to date without losing what people wrote, followed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosrunner import catalog
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.http import Http
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import day_of
from chaosrunner.model.words import Priority, RejectedAs, State, WaivedAs
from chaosrunner.ports import Item, ItemSeen, Parameters, ProbeContext, Tracker
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Recorded
from chaosrunner.stages.register import Registered
from chaosrunner.stages.remediate import Remediated, Step, follow, open_tracker, remediate
from tests.near_misses.world import DAY, ONE_RUN, START, SetClock, environment, facts, finding, gap, passing


class World:
    """A register, its items' tracker, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SetClock()
        self.register = open_register(folder, self.clock)
        self.context = ProbeContext(clock=self.clock, http=Http(self.clock), folder=folder, state=folder)
        self.tracker: Tracker[Any] = open_tracker(None, self.context)

    def shown(self, run: str) -> list[Recorded]:
        self.clock.at += 60
        return self.register.record(facts(run, at=self.clock.at), [finding()])

    async def fails(self, run: str = "run-1") -> Remediated:
        return (await self.told(Registered(tuple(self.shown(run)))))[0]

    async def passes(self, run: str) -> list[Remediated]:
        self.clock.at += 60
        tried = self.register.passed(passing(run, at=self.clock.at, verification=ONE_RUN))
        return await self.told(Registered((), tuple(tried)))

    async def told(self, registered: Registered) -> list[Remediated]:
        return await remediate(registered, self.register, self.tracker, self.clock)

    async def followed(self) -> Remediated:
        self.clock.at += 60
        (result,) = await follow(self.register, self.tracker, self.clock)
        return result

    def change(self, to: State, **changes: Any) -> None:
        self.clock.at += 60
        good: dict[str, Any] = {"actor": "ana", "reason": "because", "accepted_by": "bob", "change": "commit 1"}
        good |= {"rejected_as": RejectedAs.OUT_OF_SCOPE, "waived_as": WaivedAs.ENVIRONMENT_ONLY}
        self.register.change("1", Change(to=to, at=self.clock.at, **(good | changes)))

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / "remediation").glob("*"))

    @property
    def text(self) -> str:
        (file,) = self.files
        return file.read_text()

    def edit(self, old: str, new: str) -> None:
        (file,) = self.files
        assert file.read_text().count(old) == 1
        file.write_text(file.read_text().replace(old, new))

    @property
    def front(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self.text.split("---\n")[1])
        return found

    @property
    def comments(self) -> list[str]:
        return [line for line in self.text.partition("chaosrunner:history")[2].splitlines() if line.startswith("- ")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with made.register:
        yield made


async def test_a_new_near_miss_gets_a_file_that_says_everything(world: World) -> None:
    done = await world.fails()
    assert done.step is Step.MADE
    (file,) = world.files
    assert file.name == "NM-2026-0001-checkout-orders-go-through-breaks-under-network-latency-on.md"
    assert world.front == {
        "nearMiss": "NM-2026-0001",
        "fingerprint": gap().fingerprint,
        "state": "open",
        "priority": "P2",
        "assignee": "team-checkout",
        "due": day_of(START) + timedelta(days=30),
        "labels": ["near-miss", "checkout", "dependency-slow"],
    }
    for part in (
        f"# {gap().title}",
        gap().story,
        "| orders-go-through/order-p95 (fault) | at most 500ms | 1.2 s | 500 ms | 20 ms | 2.5 s |",
        "    chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7",
        "- a timeout on every call, well below the caller's own promise",
        "luck and no defence",
    ):
        assert part in world.text, part
    link = world.register.get("1").item
    assert link is not None and (link.tracker, link.key, link.state) == ("local", file.name, "open")
    assert link.url == file.resolve().as_uri()


async def test_a_mere_repetition_changes_no_byte_of_the_item(world: World) -> None:
    await world.fails()
    before = world.text
    for run in ("run-2", "run-3"):
        assert (await world.fails(run)).step is Step.UNCHANGED
    assert (await world.followed()).step is Step.UNCHANGED
    assert world.text == before and world.register.get("1").occurrences == 3


async def test_an_item_that_is_closed_makes_the_fix_ready_and_never_verified(world: World) -> None:
    await world.fails()
    world.edit("state: open", "state: closed")
    done = await world.followed()
    assert (done.step, done.near_miss.state) == (Step.FOLLOWED, State.FIX_READY)
    assert "the closed item local NM-2026-0001-" in (done.near_miss.fixed_by or "")
    assert (await world.followed()).near_miss.state is State.FIX_READY
    (verified,) = await world.passes("run-2")
    assert (verified.step, verified.near_miss.state) == (Step.UPDATED, State.VERIFIED)
    assert "Verified by run-2: 1 of 1 passing run, as environment shop asks" in world.comments[-1]
    assert "missed with a chance of 33%" in world.comments[-1]
    assert await follow(world.register, world.tracker, world.clock) == []


async def test_a_fix_that_a_person_named_is_told_and_the_item_closed_when_it_is_verified(world: World) -> None:
    await world.fails()
    world.change(State.FIX_READY, change="shop repaired")
    await world.followed()
    assert "Fix ready: shop repaired." in world.comments[-1] and world.front["state"] == "open"
    (verified,) = await world.passes("run-2")
    assert verified.step is Step.CLOSED and world.front["state"] == "closed"


async def test_a_regression_opens_the_item_again_with_one_comment(world: World) -> None:
    await world.fails()
    world.change(State.FIX_READY)
    await world.passes("run-2")
    before = len(world.comments)
    assert (await world.fails("run-3")).step is Step.REOPENED
    assert len(world.comments) == before + 1
    assert "run run-3 showed it again after it was verified" in world.comments[-1]
    assert "Priority P2 is now P1" in world.comments[-1]
    assert (world.front["state"], world.front["priority"]) == ("open", "P1")


async def test_a_run_that_shows_it_while_the_item_is_closed_opens_the_item(world: World) -> None:
    await world.fails()
    world.edit("state: open", "state: closed")
    done = await world.fails("run-2")
    assert (done.step, done.near_miss.state) == (Step.REOPENED, State.OPEN)
    assert "run-2 showed it again while this item was closed" in world.comments[-1]


async def test_a_fix_that_failed_opens_the_item(world: World) -> None:
    await world.fails()
    world.edit("state: open", "state: closed")
    await world.followed()
    assert (await world.fails("run-2")).step is Step.REOPENED
    assert "was to fix it" in world.comments[-1]


async def test_an_item_that_a_person_opens_again_takes_the_fix_back(world: World) -> None:
    await world.fails()
    world.edit("state: open", "state: closed")
    await world.followed()
    world.edit("state: closed", "state: open")
    assert (await world.followed()).near_miss.state is State.IN_PROGRESS


@pytest.mark.parametrize(
    ("to", "closes", "comment"),
    [
        (State.REJECTED, True, "Now rejected: because."),
        (State.OBSOLETE, True, "Now obsolete: because."),
        (State.TRIAGED, False, "Now triaged: because."),
        (State.WAIVED, False, "Waived until"),
    ],
)
async def test_what_people_decide_is_told(world: World, to: State, closes: bool, comment: str) -> None:
    await world.fails()
    world.change(to, until=day_of(START + 9 * DAY))
    await world.followed()
    assert comment in world.comments[-1]
    assert world.front["state"] == ("closed" if closes else "open")


# ------------------------------------------------------------------------------------------------- what people write


async def test_what_people_wrote_is_kept(world: World) -> None:
    await world.fails()
    world.edit("## Notes\n\n", "## Notes\n\nThe timeout is missing in `pay.py`.\n\n")
    world.edit("## History", "## Decision\n\nAna does it.\n\n## History")
    world.edit("assignee: team-checkout", "assignee: '@ana'\nsprint: 12  # theirs")
    (file,) = world.files
    file.write_text(file.read_text() + "\nA line at the very end.\n")
    world.register.prioritise("1", Priority.P1, "bob", "many shoppers")
    await world.followed()
    for part in (
        "The timeout is missing in `pay.py`.",
        "Ana does it.",
        "A line at the very end.",
        "sprint: 12  # theirs",
    ):
        assert part in world.text
    assert (world.front["assignee"], world.front["priority"]) == ("@ana", "P1")
    assert "Priority P2 is now P1." in world.comments[-1]
    assert "set by bob: many shoppers (computed: P2)" in world.text
    assert "state: open  # closed, when the fix is in" in world.text


async def test_a_text_that_somebody_changed_becomes_theirs(world: World) -> None:
    await world.fails()
    world.edit(gap().story, "In short: payments was slow.")
    world.register.prioritise("1", Priority.P1, "bob", "many shoppers")
    await world.followed()
    assert "In short: payments was slow." in world.text and gap().story in world.text
    assert world.text.index(gap().story) < world.text.index("In short: payments was slow.")
    world.register.prioritise("1", Priority.P3, "bob", "fewer shoppers")
    await world.followed()
    assert world.text.count("In short: payments was slow.") == 1 and world.text.count(gap().story) == 1


async def test_a_file_without_the_markers_is_left_alone_and_still_gets_comments(world: World) -> None:
    await world.fails()
    (file,) = world.files
    front = file.read_text().split("---\n")[1]
    file.write_text(f"---\n{front}---\n# Ours\n\nAll of it rewritten.\n")
    world.register.prioritise("1", Priority.P1, "bob", "many shoppers")
    await world.followed()
    assert "# Ours\n\nAll of it rewritten.\n" in world.text and gap().story not in world.text
    assert "Priority P2 is now P1." in world.comments[-1]


async def test_a_file_that_was_renamed_is_found(world: World) -> None:
    await world.fails()
    (file,) = world.files
    file.rename(file.with_name("payments-timeout.md"))
    world.edit("state: open", "state: closed")
    done = await world.followed()
    assert (done.near_miss.state, done.key) == (State.FIX_READY, "payments-timeout.md")
    assert len(world.files) == 1
    assert (await world.fails("run-2")).step is Step.REOPENED


async def test_a_file_that_was_deleted_is_made_again_while_it_is_needed(world: World) -> None:
    await world.fails()
    world.files[0].unlink()
    assert (await world.followed()).step is Step.MADE
    assert len(world.files) == 1
    world.change(State.OBSOLETE)
    world.files[0].unlink()
    assert (await world.followed()).step is Step.NOT_NEEDED
    assert world.files == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("state: open", "state: done", "state is 'done', expected open or closed"),
        ("priority: P2", "priority: [P2", "the lines between --- cannot be read"),
    ],
)
async def test_a_file_that_cannot_be_read_is_said_and_the_near_miss_keeps(
    world: World, old: str, new: str, why: str
) -> None:
    await world.fails()
    world.edit(old, new)
    done = await world.followed()
    assert done.step is Step.FAILED and why in done.trouble
    assert world.register.get("1").state is State.OPEN
    world.edit(new, old)
    assert (await world.followed()).step is Step.UNCHANGED


async def test_the_folder_may_be_named_relative_to_the_environments_file(world: World) -> None:
    world.tracker = open_tracker(environment(tracker={"local": {"folder": "../fixes"}}), world.context)
    await world.fails()
    assert len(list((world.folder.parent / "fixes").glob("NM-*.md"))) == 1


async def test_two_processes_do_not_both_make_it(world: World) -> None:
    class Slow(_Fake):
        async def create(self, item: Item) -> ItemSeen:
            made.set()
            await release.wait()
            return await super().create(item)

    made, release = asyncio.Event(), asyncio.Event()
    world.tracker = tracker = Slow(Parameters(), world.context)
    registered = Registered(tuple(world.shown("run-1")))
    first = asyncio.create_task(world.told(registered))
    await made.wait()
    (second,) = await world.told(registered)
    assert second.trouble == "another process is making its item"
    release.set()
    assert (await first)[0].step is Step.MADE
    assert tracker.created == 1


# ------------------------------------------------------------------------------------------------- trackers that fail


class _Fake(Tracker[Parameters]):
    """Keeps items in memory, and can be told to die."""

    kind = "local"
    example = "-"

    def __init__(self, params: Parameters, context: ProbeContext) -> None:
        super().__init__(params, context)
        self.items: dict[str, str] = {}
        self.created = 0
        self.dies: BaseException | None = None

    async def find(self, fingerprint: str) -> ItemSeen | None:
        return next((self.seen(key) for key, marker in self.items.items() if marker == fingerprint), None)

    def seen(self, key: str) -> ItemSeen:
        return ItemSeen(key, f"https://tracker.example/{key}", "open")

    async def create(self, item: Item) -> ItemSeen:
        self.created += 1
        key = str(self.created)
        self.items[key] = item.fingerprint
        if self.dies:
            raise self.dies
        return self.seen(key)

    async def look(self, key: str) -> ItemSeen:
        if self.dies:
            raise self.dies
        return self.seen(key)

    async def update(
        self, key: str, item: Item, comment: str, *, reopen: bool = False, close: bool = False
    ) -> ItemSeen:
        return self.seen(key)


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


async def test_a_crash_between_making_an_item_and_writing_it_down_makes_no_second_one(world: World) -> None:
    world.tracker = tracker = _Fake(Parameters(), world.context)
    tracker.dies = Killed()
    with pytest.raises(Killed):
        await world.fails()
    tracker.dies = None
    assert (await world.followed()).step is Step.MADE
    assert (tracker.created, world.register.get("1").item and world.register.get("1").item.key) == (1, "1")  # type: ignore[union-attr]


async def test_a_crash_after_the_local_file_was_made_makes_no_second_one(world: World) -> None:
    await world.fails()
    with world.register._engine.begin() as connection:
        connection.exec_driver_sql("delete from item")
    assert (await world.followed()).step is Step.MADE
    assert len(world.files) == 1


@pytest.mark.parametrize("error", [NotPossibleNow("503"), RuntimeError("a defect"), TimeoutError()])
async def test_a_tracker_that_fails_is_said_and_made_up_for_later(world: World, error: Exception) -> None:
    world.tracker = tracker = _Fake(Parameters(), world.context)
    tracker.dies = error
    failed = await world.fails()
    assert failed.step is Step.FAILED and failed.trouble.startswith("tracker local: ")
    tracker.dies = None
    assert (await world.followed()).step is Step.MADE
    assert tracker.created == 1


async def test_an_item_of_another_tracker_is_left_to_it(world: World) -> None:
    await world.fails()
    world.tracker = catalog.find("trackers", "noop")(Parameters(), world.context)
    done = await world.fails("run-2")
    assert (done.step, done.trouble) == (Step.UNCHANGED, "its item belongs in local: chaosrunner remediate -e shop")


def test_an_unknown_tracker_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="unknown tracker 'locale'"):
        open_tracker(environment(tracker={"locale": {}}), world.context)


async def test_the_tracker_that_keeps_nothing_keeps_nothing(world: World) -> None:
    nothing = environment(tracker={"noop": {}})
    world.tracker = open_tracker(nothing, world.context)
    world.clock.at += 60
    recorded = world.register.record(facts("run-1", at=world.clock.at, tracker="noop"), [finding()])
    (done,) = await world.told(Registered(tuple(recorded)))
    assert (done.step, done.key, world.files) == (Step.MADE, "NM-2026-0001", [])
    assert (await world.followed()).step is Step.UNCHANGED
