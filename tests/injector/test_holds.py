"""Holds end by themselves: at their deadline, or when the heartbeat stops; and each ends exactly once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chaosrunner.injector.control import BEAT_LIMIT, Holds, RequestRefused, Why


class Hand:
    """A clock that is set by hand, and a record of what holds did."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.done: list[tuple[str, ...]] = []
        self.holds = Holds(self.begun, self.ended, clock=lambda: self.now)

    def begun(self, key: str, effect: dict[str, Any]) -> None:
        if effect.get("refuse"):
            raise RequestRefused("not this one")
        self.done.append(("begin", key))

    def ended(self, key: str, effect: dict[str, Any], why: Why) -> None:
        self.done.append(("end", key, why))

    async def begin(self, key: str = "a", run: str = "R", seconds: float = 60, **effect: Any) -> dict[str, Any]:
        return await self.holds.begin({"id": key, "run": run, "seconds": seconds, "effect": effect})

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.holds.expire()
        await self.holds.settled()


@pytest.fixture
async def hand() -> Any:
    hand = Hand()
    yield hand
    await hand.holds.close()


async def test_a_hold_ends_at_its_deadline_however_it_is_kept_alive(hand: Hand) -> None:
    await hand.begin(seconds=8)
    for _ in range(7):
        await hand.pass_time(1)
        assert await hand.holds.beat({"run": "R"}) == {"count": 1}
    assert hand.done == [("begin", "a")]
    await hand.pass_time(1)
    assert hand.done == [("begin", "a"), ("end", "a", "deadline")]


async def test_a_hold_ends_when_nobody_beats_for_it_any_more(hand: Hand) -> None:
    await hand.begin()
    await hand.pass_time(BEAT_LIMIT - 0.1)
    assert hand.done == [("begin", "a")]
    await hand.pass_time(0.1)
    assert hand.done == [("begin", "a"), ("end", "a", "heartbeat")]


async def test_a_heartbeat_is_for_the_holds_of_its_own_run_only(hand: Hand) -> None:
    await hand.begin("a", run="R")
    await hand.begin("b", run="R")
    await hand.begin("c", run="other")
    await hand.pass_time(4)
    assert await hand.holds.beat({"run": "R"}) == {"count": 2}
    await hand.pass_time(4)
    assert [entry for entry in hand.done if entry[0] == "end"] == [("end", "c", "heartbeat")]


async def test_a_heartbeat_that_comes_too_late_revives_nothing(hand: Hand) -> None:
    await hand.begin()
    hand.now += BEAT_LIMIT + 1  # nobody has looked yet, as after a suspended machine has woken
    assert await hand.holds.beat({"run": "R"}) == {"count": 0}
    await hand.holds.settled()
    assert hand.done[-1] == ("end", "a", "heartbeat")


async def test_ending_is_idempotent_and_taken_back_once(hand: Hand) -> None:
    await hand.begin()
    assert await hand.holds.end({"id": "a"}) == {"why": "ended"}
    assert await hand.holds.end({"id": "a"}) == {"why": "ended"}
    await hand.pass_time(100)
    assert hand.done == [("begin", "a"), ("end", "a", "ended")]


async def test_an_end_after_the_deadline_tells_how_it_really_ended(hand: Hand) -> None:
    await hand.begin(seconds=2)
    await hand.pass_time(2)
    assert await hand.holds.end({"id": "a"}) == {"why": "deadline"}


async def test_beginning_again_changes_nothing_but_counts_as_a_heartbeat(hand: Hand) -> None:
    assert await hand.begin(seconds=7) == {"again": False}
    await hand.pass_time(4)
    assert await hand.begin(seconds=100) == {"again": True}
    await hand.pass_time(2.9)
    assert hand.done == [("begin", "a")]
    await hand.pass_time(0.1)
    assert hand.done[-1] == ("end", "a", "deadline"), "the first deadline stands"


async def test_the_same_id_with_another_effect_is_refused(hand: Hand) -> None:
    await hand.begin(delay=1)
    with pytest.raises(RequestRefused, match="with another effect"):
        await hand.begin(delay=2)
    with pytest.raises(RequestRefused, match="with another effect or run"):
        await hand.begin(run="S", delay=1)


@pytest.mark.parametrize("how", ["deadline", "heartbeat", "ended"])
async def test_what_is_over_cannot_begin_again(hand: Hand, how: str) -> None:
    await hand.begin(seconds=2 if how == "deadline" else 60)
    if how == "ended":
        await hand.holds.end({"id": "a"})
    await hand.pass_time(6)
    with pytest.raises(RequestRefused, match=f"a is over \\({how}\\)"):
        await hand.begin()
    assert hand.done.count(("begin", "a")) == 1


async def test_a_begin_that_was_overtaken_by_its_end_does_nothing(hand: Hand) -> None:
    assert await hand.holds.end({"id": "a"}) == {"why": "ended"}
    with pytest.raises(RequestRefused, match="a is over"):
        await hand.begin()
    assert hand.done == []


async def test_an_effect_that_is_refused_is_not_held_and_may_be_tried_again(hand: Hand) -> None:
    with pytest.raises(RequestRefused, match="not this one"):
        await hand.begin(refuse=True)
    assert (await hand.holds.holds({}))["holds"] == []
    await hand.begin()
    assert hand.done == [("begin", "a")]


async def test_the_list_says_how_long_and_since_when(hand: Hand) -> None:
    await hand.begin("a", seconds=10, delay=1)
    await hand.begin("gone")
    await hand.holds.end({"id": "gone"})
    await hand.pass_time(2)
    assert await hand.holds.holds({}) == {
        "holds": [{"id": "a", "run": "R", "effect": {"delay": 1}, "seconds_left": 8.0, "seconds_since_beat": 2.0}],
        "over": {"gone": "ended"},
    }


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"id": "a"},
        {"id": "a", "run": "R"},
        {"id": "", "run": "R", "seconds": 1},
        {"id": 7, "run": "R", "seconds": 1},
        {"id": "a", "run": "R", "seconds": 0},
        {"id": "a", "run": "R", "seconds": -1},
        {"id": "a", "run": "R", "seconds": "1"},
        {"id": "a", "run": "R", "seconds": True},
        {"id": "a", "run": "R", "seconds": float("nan")},
        {"id": "a", "run": "R", "seconds": float("inf")},
        {"id": "a" * 501, "run": "R", "seconds": 1},
        {"id": "a", "run": "R", "seconds": 1, "effect": []},
    ],
)
async def test_a_begin_that_lacks_something_is_refused(hand: Hand, request_: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused):
        await hand.holds.begin(request_)
    assert hand.done == []


async def test_closing_ends_everything(hand: Hand) -> None:
    await hand.begin("a")
    await hand.begin("b")
    assert not hand.holds.empty
    await hand.holds.close()
    assert hand.done[2:] == [("end", "a", "ended"), ("end", "b", "ended")]
    assert hand.holds.empty


async def test_an_end_waits_until_it_is_taken_back_also_by_a_second_asker() -> None:
    gone, calls = asyncio.Event(), 0

    async def take_back(key: str, effect: dict[str, Any], why: Why) -> None:
        nonlocal calls
        calls += 1
        await gone.wait()

    holds = Holds(lambda key, effect: None, take_back)
    await holds.begin({"id": "a", "run": "R", "seconds": 60})
    askers = [asyncio.create_task(holds.end({"id": "a"})) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not any(asker.done() for asker in askers)
    assert not holds.empty
    gone.set()
    assert await asyncio.gather(*askers) == [{"why": "ended"}] * 2
    assert calls == 1


async def test_a_hold_that_ends_while_it_begins_is_taken_back_after_it_began() -> None:
    begun, order = asyncio.Event(), []

    async def put(key: str, effect: dict[str, Any]) -> None:
        await begun.wait()
        order.append("begun")

    holds = Holds(put, lambda key, effect, why: order.append("taken back"))
    beginning = asyncio.create_task(holds.begin({"id": "a", "run": "R", "seconds": 60}))
    await asyncio.sleep(0)
    ending = asyncio.create_task(holds.end({"id": "a"}))
    await asyncio.sleep(0)
    begun.set()
    await asyncio.gather(beginning, ending)
    assert order == ["begun", "taken back"]


async def test_a_begin_that_fails_while_it_is_being_ended_has_nothing_to_take_back() -> None:
    refused, calls = asyncio.Event(), []

    async def put(key: str, effect: dict[str, Any]) -> None:
        await refused.wait()
        raise RequestRefused("not this one")

    holds = Holds(put, lambda key, effect, why: calls.append(why))
    beginning = asyncio.create_task(holds.begin({"id": "a", "run": "R", "seconds": 60}))
    await asyncio.sleep(0)
    ending = asyncio.create_task(holds.end({"id": "a"}))
    await asyncio.sleep(0)
    refused.set()
    with pytest.raises(RequestRefused, match="not this one"):
        await beginning
    await ending
    assert calls == []


async def test_one_that_fails_to_be_taken_back_does_not_keep_others() -> None:
    taken = []

    def take_back(key: str, effect: dict[str, Any], why: Why) -> None:
        if key == "bad":
            raise OSError("cannot be undone")
        taken.append(key)

    now = [0.0]
    holds = Holds(lambda key, effect: None, take_back, clock=lambda: now[0])
    for key in ("bad", "good"):
        await holds.begin({"id": key, "run": "R", "seconds": 3})
    now[0] = 3
    holds.expire()
    with pytest.raises(OSError, match="cannot be undone"):
        await holds.end({"id": "bad"})
    await holds.end({"id": "good"})
    assert taken == ["good"]


async def test_nobody_needs_to_look_for_a_hold_to_end() -> None:
    over = asyncio.Event()
    holds = Holds(lambda key, effect: None, lambda key, effect, why: over.set(), beat_limit=0.05)
    await holds.begin({"id": "a", "run": "R", "seconds": 60})
    await asyncio.wait_for(over.wait(), 10)
    assert (await holds.holds({}))["over"] == {"a": "heartbeat"}
