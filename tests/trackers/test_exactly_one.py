"""Whatever happens on the way, a near miss has one item, and each piece of news one comment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chaosrunner.model.words import State
from chaosrunner.ports import Item, ItemSeen
from chaosrunner.stages.remediate import Step
from tests.near_misses.world import gap
from tests.trackers.apis import Tracking
from tests.trackers.conftest import Runner

ITEMS = {"github": ".*/issues", "gitlab": ".*/issues", "jira": ".*/issue"}
COMMENTS = {"github": ".*/comments", "gitlab": ".*/notes", "jira": ".*/comment"}
CHANGES = {
    "github": ("PATCH", ".*/issues/\\d+"),
    "gitlab": ("PUT", ".*/issues/\\d+"),
    "jira": ("POST", ".*/transitions"),
}
LOOKS = {
    "github": ("GET", ".*/issues/\\d+"),
    "gitlab": ("GET", ".*/issues/\\d+"),
    "jira": ("GET", ".*/issue/[A-Z]+-\\d+"),
}
TROUBLES = ["lost", "unheard", "slow", "busy", "down", "failed", "garbage"]


@pytest.mark.parametrize("lag", [0.0, 45.0])
@pytest.mark.parametrize("what", TROUBLES)
async def test_trouble_while_it_is_made_never_makes_two(
    runner: Runner, api: Tracking, kind: str, what: str, lag: float
) -> None:
    api.lag = lag
    api.trouble(what, "POST", ITEMS[kind])
    await runner.fails()
    await runner.fails("run-2")
    await runner.settles()
    assert api.one.labels[0] == "near-miss"
    assert runner.near_miss.item is not None and runner.near_miss.item.state == "open"
    assert api.one.comments == []


async def test_search_that_lags_is_waited_for_and_then_another_is_made(
    runner: Runner, api: Tracking, kind: str
) -> None:
    api.trouble("unheard", "POST", ITEMS[kind])
    done = await runner.fails()
    assert done.step is Step.FAILED and "nobody said whether" not in done.trouble
    done = await runner.follows(after=1)
    assert "nobody said whether the item that was asked for" in done.trouble and api.ours == []
    assert api.count("POST", ITEMS[kind]) == 1
    done = await runner.follows(after=runner.tracker.settles)
    assert done.step is Step.MADE and api.one


@pytest.mark.parametrize("times", [1, 10])
@pytest.mark.parametrize("what", ["busy", "down", "unheard", "slow"])
async def test_trouble_while_it_is_looked_for_makes_none_until_it_is_over(
    runner: Runner, api: Tracking, kind: str, what: str, times: int
) -> None:
    method, path = ("POST", ".*/search/jql") if kind == "jira" else ("GET", ".*/issues")
    api.trouble(what, method, path, times)
    done = await runner.fails()
    if times > 3:
        assert done.step is Step.FAILED and api.ours == []
    api.troubles.clear()
    await runner.settles()
    assert api.one


@pytest.mark.parametrize("what", TROUBLES)
async def test_trouble_with_a_comment_never_writes_it_twice(
    runner: Runner, api: Tracking, kind: str, what: str
) -> None:
    await runner.fails()
    runner.change(State.FIX_READY, change="commit 4f2a91c")
    api.trouble(what, "POST", COMMENTS[kind])
    await runner.follows()
    await runner.settles()
    (said,) = api.said(api.one)
    assert "Fix ready: commit 4f2a91c." in said
    await runner.follows()
    assert len(api.one.comments) == 1


@pytest.mark.parametrize("what", TROUBLES)
async def test_trouble_while_it_is_closed_ends_with_one_closed_item_and_one_comment(
    runner: Runner, api: Tracking, kind: str, what: str
) -> None:
    await runner.fails()
    runner.change(State.FIX_READY)
    await runner.follows()
    api.trouble(what, *CHANGES[kind])
    await runner.passes("run-2")
    await runner.settles()
    assert api.one.closed and runner.near_miss.state is State.VERIFIED
    assert sum("Verified by run-2" in words for words in api.said(api.one)) == 1


async def test_many_items_of_others_are_paged_through(runner: Runner, api: Tracking, kind: str) -> None:
    api.size = 3
    api.trouble("lost", "POST", ITEMS[kind])
    api.lag = 30
    api.clutter(8)
    await runner.fails()
    runner.clock.at += 30
    for each in api.ours[:-1]:
        assert "Something else" in each.title
    await runner.settles()
    assert sum(gap().title in each.title for each in api.ours) == 1


async def test_a_crash_after_it_was_made_makes_no_second_one_however_long_search_lags(
    runner: Runner, api: Tracking, kind: str, tmp_path: Path
) -> None:
    class Killed(BaseException):
        """The process is gone: nothing after it runs."""

    class Dies:
        def __init__(self) -> None:
            self.kind, self.settles, self._tracker = kind, runner.tracker.settles, runner.tracker

        async def find(self, fingerprint: str) -> ItemSeen | None:
            return await self._tracker.find(fingerprint)

        async def create(self, item: Item) -> ItemSeen:
            await self._tracker.create(item)
            raise Killed

    api.lag = 55.0
    whole = runner.tracker
    runner.tracker = Dies()  # type: ignore[assignment]
    with pytest.raises(Killed):
        await runner.fails()
    runner.tracker = whole
    other = Runner(tmp_path, kind, api)
    for after in (1.0, 20.0, 20.0, 60.0):
        await other.follows(after)
    assert api.one and other.near_miss.item is not None
    await other.close()


async def test_two_runners_with_one_register_make_one(runner: Runner, api: Tracking, kind: str, tmp_path: Path) -> None:
    other = Runner(tmp_path, kind, api)
    await asyncio.gather(runner.fails("run-1"), other.fails("run-2"))
    await runner.settles()
    await other.settles()
    assert api.one.comments == []
    await other.close()


async def test_two_runners_with_a_register_each_end_with_one_that_is_open(
    runner: Runner, api: Tracking, kind: str, tmp_path: Path
) -> None:
    other = Runner(tmp_path / "other", kind, api)
    await asyncio.gather(runner.fails("run-1"), other.fails("run-2"))
    await runner.settles()
    await other.settles()
    (first,) = [each for each in api.ours if not each.closed]
    assert all("The same as" in "".join(api.said(each)) for each in api.ours if each is not first)
    assert runner.near_miss.item is not None and other.near_miss.item is not None
    assert runner.near_miss.item.key == other.near_miss.item.key
    await other.close()


async def test_an_expired_token_changes_nothing_and_is_said_without_the_token(
    runner: Runner, api: Tracking, kind: str
) -> None:
    await runner.fails()
    right, api.token = api.token, "a new one"
    done = await runner.fails("run-2")
    done = await runner.follows()
    assert done.step is Step.FAILED and "expired" in done.trouble and right not in done.trouble
    assert runner.near_miss.item is not None and runner.near_miss.item.state == "open"
    api.token = right
    await runner.settles()
    assert api.one


async def test_rights_that_were_lost_are_no_deletion(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    api.can_see = False
    done = await runner.follows()
    assert done.step is Step.FAILED and "may not see" in done.trouble
    assert runner.near_miss.item is not None and runner.near_miss.item.state == "open"
    api.can_see = True
    await runner.settles()
    assert api.one


async def test_for_one_that_was_deleted_another_is_made_while_it_is_needed(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    api.one.deleted = True
    assert (await runner.follows()).step is Step.MADE
    assert api.one.number == 2
    runner.change(State.OBSOLETE)
    api.one.deleted = True
    assert (await runner.follows()).step is Step.NOT_NEEDED
    assert api.ours == []


async def test_one_that_was_moved_is_followed_and_closing_it_there_counts(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    moved = api.move(api.one)
    await runner.follows()
    assert runner.near_miss.state is State.OPEN and api.one is moved
    moved.closed, moved.why = True, "completed"
    done = await runner.follows()
    assert done.near_miss.state is State.FIX_READY
    verified = await runner.passes("run-2")
    assert verified.near_miss.state is State.VERIFIED and "Verified by run-2" in api.said(api.one)[-1]
