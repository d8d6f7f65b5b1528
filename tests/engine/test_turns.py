"""Turns: first come, first served; fewer when they take long, more when they are quick."""

from __future__ import annotations

import asyncio

from chaosrunner.engine.turns import BEGINS, LEAST, Turns


class Crowd:
    """Those who want a turn, in the order in which they came."""

    def __init__(self, turns: Turns, many: int) -> None:
        self.turns = turns
        self.inside: list[int] = []
        self._leave = [asyncio.Event() for _ in range(many)]
        self.tasks = [asyncio.ensure_future(self._come(number)) for number in range(many)]

    async def _come(self, number: int) -> None:
        async with self.turns.one():
            self.inside.append(number)
            await self._leave[number].wait()
        self.inside.remove(number)

    async def settle(self) -> list[int]:
        for _ in range(5):
            await asyncio.sleep(0)
        return list(self.inside)

    async def leave(self, number: int) -> list[int]:
        self._leave[number].set()
        return await self.settle()

    async def over(self) -> None:
        for leave in self._leave:
            leave.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_so_many_at_a_time_in_the_order_in_which_they_came() -> None:
    crowd = Crowd(Turns(2), 4)
    assert await crowd.settle() == [0, 1]
    assert await crowd.leave(1) == [0, 2]
    await crowd.over()


async def test_slow_ones_make_it_fewer_once_for_all_that_are_under_way() -> None:
    turns = Turns(100)
    assert turns.allowed == BEGINS == 32
    crowd = Crowd(turns, 100)
    await crowd.settle()
    for _ in range(30):
        turns.took(0.9)
    assert turns.allowed == 22
    await crowd.over()


async def test_quick_ones_make_it_more_again_and_let_those_in_who_wait() -> None:
    turns = Turns(20)
    for _ in range(100):
        turns.took(1.0)
    assert turns.allowed == LEAST
    crowd = Crowd(turns, 12)
    assert len(await crowd.settle()) == LEAST
    turns.took(0.1)
    assert len(await crowd.settle()) == LEAST + 1
    for _ in range(100):
        turns.took(0.1)
    assert turns.allowed == 20 and len(await crowd.settle()) == 12
    await crowd.over()


async def test_one_that_is_cancelled_leaves_no_turn_unused() -> None:
    crowd = Crowd(Turns(1), 3)
    await crowd.settle()
    crowd.tasks[1].cancel()
    assert await crowd.leave(0) == [2]
    await crowd.over()


async def test_one_that_is_cancelled_right_when_it_was_called_passes_its_turn_on() -> None:
    turns = Turns(1)
    crowd = Crowd(turns, 3)
    await crowd.settle()
    crowd._leave[0].set()
    while crowd.inside:
        await asyncio.sleep(0)
    crowd.tasks[1].cancel()
    assert await crowd.settle() == [2]
    await crowd.over()
