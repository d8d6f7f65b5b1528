"""What a proxy can do to connections: the effect as it is asked for, and the parts that several connections share.

The fields are those of `NetworkEffect` in `chaosrunner.ports`, which cannot be imported here: this runs in a process
of its own, on the standard library only.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, fields
from typing import Protocol

from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.fields import choice, number, only, whole

__all__ = ["Effect", "Shaping", "Throttle", "Turn"]

LONGEST = 86_400.0
"""Seconds; more than that is a mistake in the file."""
BURST = 0.010
"""Seconds' worth of bytes that may pass at once after a pause."""
PORTION = 0.005
"""Seconds' worth of bytes that one connection passes in its turn. With `BURST` it keeps every burst under 20 ms."""
LARGEST_PORTION = 256 * 1024


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect on a link; see `NetworkEffect`. Seconds, bytes a second, shares of 1."""

    delay: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    loss: str | None = None
    share: float = 1.0
    seed: int = 0
    reset_after: float | None = None
    direction: str = "both"

    @classmethod
    def read(cls, asked: Message) -> Effect:
        """From JSON. Raises `RequestRefused` that names the field, what it is and what was expected."""
        only(asked, [field.name for field in fields(cls)], "an effect")
        effect = cls(
            delay=number(asked, "delay", 0.0, LONGEST),
            jitter=number(asked, "jitter", 0.0, LONGEST),
            bandwidth=_number_or_none(asked, "bandwidth", above=0.0, most=1e15),
            loss=choice(asked, "loss", (None, "refuse", "hang", "reset"), None),
            share=number(asked, "share", 1.0, 1.0),
            seed=whole(asked, "seed"),
            reset_after=_number_or_none(asked, "reset_after"),
            direction=choice(asked, "direction", ("both", "request", "response"), "both") or "both",
        )
        effect._make_sense()
        return effect

    def _make_sense(self) -> None:
        if self.share <= 0:
            raise RequestRefused("`share` is above 0 and at most 1, not 0")
        if not (self.delay or self.jitter or self.bandwidth or self.loss or self.reset_after is not None):
            raise RequestRefused("the effect does nothing: give one of delay, jitter, bandwidth, loss and reset_after")
        if self.loss == "refuse" and self.share < 1:
            raise RequestRefused(
                "a share of connections cannot be refused, since a port is open or closed for all: "
                "use loss reset with a share, or loss refuse with share 1"
            )

    def acts_on(self, direction: str) -> bool:
        """Whether it delays, slows down or holds up bytes of this direction."""
        return self.direction in ("both", direction)


def _number_or_none(asked: Message, key: str, above: float = -1.0, most: float = LONGEST) -> float | None:
    if asked.get(key) is None:
        return None
    value = number(asked, key, 0.0, most)
    if value <= above:
        raise RequestRefused(f"`{key}` is a number above {above:g}, not {value:g}")
    return value


class Turn(Protocol):
    """What waits for its turn at a throttle."""

    def take(self, most: int) -> int:
        """Pass on at most so many bytes and say how many they were."""


class Throttle:
    """One direction of a link at so many bytes a second. Those who have something to pass take turns.

    It counts when the line will be free again, and lets the next one through then: so nothing adds up while nobody
    sends but `BURST`, and in the long run exactly `rate` bytes a second pass.
    """

    def __init__(self, rate: float, loop: asyncio.AbstractEventLoop) -> None:
        self.rate = rate
        self._loop = loop
        self._portion = int(min(max(1.0, rate * PORTION), LARGEST_PORTION))
        self._free_at = loop.time()
        self._waiting: deque[Turn] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, turn: Turn) -> None:
        """Call its `take` as soon as the line is free, after those who asked before; once."""
        self._waiting.append(turn)
        if self._timer is None:
            self._serve()

    def forget(self, turn: Turn) -> None:
        """It asks no longer."""
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _serve(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._free_at = max(self._free_at, now - BURST)
        while self._waiting and self._free_at <= now:
            self._free_at += self._waiting.popleft().take(self._portion) / self.rate
        if self._waiting:
            self._timer = self._loop.call_at(self._free_at, self._serve)


class Shaping:
    """An effect in force on one link: whom it hits, who has met it, and the line that those hit share."""

    def __init__(self, key: str, effect: Effect, loop: asyncio.AbstractEventLoop) -> None:
        self.id = key
        self.effect = effect
        self.met = 0
        """Connections that were affected, each once; chaosrunner's own ones are not counted."""
        self.hit = 0
        """Connections that were chosen; `share` of all, own ones not counted."""
        self.spared = 0
        self.random = random.Random(f"{effect.seed} jitter")
        self._chance = random.Random(f"{effect.seed} share")
        self._own_chance = random.Random(f"{effect.seed} own share")
        self.throttles: dict[str, Throttle] = {}
        if effect.bandwidth is not None:
            for direction in ("request", "response"):
                if effect.acts_on(direction):
                    self.throttles[direction] = Throttle(effect.bandwidth, loop)

    def chooses(self, own: bool) -> bool:
        """Whether the next connection is hit. The same seed gives the same row of answers, in the order of the
        connections: first those that are open at the beginning, by age, then new ones as they come. Own ones have a
        row of their own, so that a measurement in between changes nothing for the others."""
        share = self.effect.share
        chance = self._own_chance if own else self._chance
        chosen = share >= 1 or chance.random() < share
        if not own:
            self.hit += chosen
            self.spared += not chosen
        return chosen

    def wait(self) -> float:
        """Seconds for one chunk: the delay and its jitter, evenly distributed, never below 0."""
        effect = self.effect
        if not effect.jitter:
            return effect.delay
        return max(0.0, effect.delay + self.random.uniform(-effect.jitter, effect.jitter))
