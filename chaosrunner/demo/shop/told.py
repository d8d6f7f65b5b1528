"""What a service tells of itself: lines for its log, and its numbers as Prometheus reads them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

Say = Callable[[str, str], None]
"""Takes a level and words."""


def silent(level: str, words: str) -> None:
    """Where nobody reads the log."""


def printed(level: str, words: str) -> None:
    """A line on standard output, with its time."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    sys.stdout.write(f"{at} {level} {words}\n")
    sys.stdout.flush()


class Seldom:
    """Lets one through every so many seconds: what is said again and again drowns the rest."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._next = 0.0

    def may(self, now: float) -> bool:
        """Whether it is time again."""
        if now < self._next:
            return False
        self._next = now + self._every
        return True


def exposition(numbers: Mapping[str, float | None], calls: Mapping[str, Mapping[str, float]]) -> str:
    """Prometheus's text format: `shop_NAME`, and of the calls to each other service `shop_calls_NAME{to="…"}`."""
    lines = [f"shop_{name} {value}" for name, value in numbers.items() if isinstance(value, int | float)]
    return "\n".join([*lines, *_calls(calls), ""])


def _calls(calls: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    names = dict.fromkeys(name for numbers in calls.values() for name in numbers)
    for name in names:
        for to, numbers in calls.items():
            yield f'shop_calls_{name}{{to="{to}"}} {numbers[name]}'
