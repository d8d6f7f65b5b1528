"""What became of the requests of a constant-rate load, and what that says about a window of time. Pure arithmetic.

Two questions, two populations. *How many failed* is asked of the requests that were decided in the window: answered,
failed, or still open so long after they were due as the window lasts (an answer after that is too late for it). *How
long did it take* is asked of the requests due in the window. While some of those are still open, their latency is only
known to be longer than their age; the quantiles are then those of the Kaplan-Meier estimate (E. L. Kaplan and P. Meier,
Nonparametric Estimation from Incomplete Observations, JASA 53, 1958), which is the plain quantile once all have ended.
Where too many are open to tell, the age of the longest open request stands in: it has taken so long already.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaosrunner.ports import TrafficWindow

QUANTILES = (0.50, 0.95, 0.99)
OK = 0
"""The code of an expected answer."""

Quantiles = tuple[float | None, float | None, float | None]
_OPEN = math.nan
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests of a stretch of the schedule."""

    due: int
    ok: int
    errors: int
    quantiles: Quantiles


class Record:
    """What is known of each request, by its number; old ones are forgotten once nobody can ask for them."""

    def __init__(self, rate: float, timeout: float) -> None:
        self.rate = rate
        self.timeout = timeout
        self.t0 = 0.0
        self.now = 0.0
        """Up to when the generator has told."""
        self._first = 0
        self._taken = array("d")
        self._codes = bytearray()
        self._late: set[int] = set()
        self._unfit: set[int] = set()
        self._why: dict[int, tuple[str, bool]] = {OK: ("", True)}
        self._horizon = timeout + 10.0
        self._last: tuple[float, float, TrafficWindow] | None = None

    @property
    def next(self) -> int:
        """The first request that was not due yet."""
        return self._first + len(self._taken)

    @property
    def known(self) -> int:
        """How many requests are remembered."""
        return len(self._taken)

    def learn(self, now: float, upto: int, ended: Sequence[float], why: Iterable[tuple[int, str, bool]]) -> None:
        """Take in what the generator told; `ended` holds number, seconds, code of each request, one after another."""
        for code, text, answered in why:
            self._why[code] = (text, answered)
        more = upto - self.next
        self._taken.extend([_OPEN] * more)
        self._codes.extend(bytes(more))
        for place in range(0, len(ended), 3):
            index = int(ended[place]) - self._first
            if index >= 0:
                self._taken[index] = ended[place + 1]
                self._codes[index] = int(ended[place + 2])
        self.now = now
        self._forget()

    def spoil(self, late: Iterable[int], unfit: Iterable[int]) -> None:
        """The generator itself started these late, or failed for want of file descriptors or ports."""
        self._late.update(late)
        self._unfit.update(unfit)

    def _forget(self) -> None:
        old = self._at(self.now - self._horizon) - self._first
        if old > max(1000, len(self._taken) // 2):
            del self._taken[:old]
            del self._codes[:old]
            self._first += old
            self._late = {index for index in self._late if index >= self._first}
            self._unfit = {index for index in self._unfit if index >= self._first}

    def _at(self, when: float) -> int:
        """The first request due at this time or later, that is still known and was due already."""
        return max(self._first, min(self.next, math.ceil((when - self.t0) * self.rate - _EPSILON)))

    def unfit(self, seconds: float) -> float:
        """The share of requests that failed through the generator's own fault, of those that such a window looks at."""
        return self._share(self._unfit, seconds)

    def _share(self, indexes: set[int], seconds: float) -> float:
        begin = self._at(self.now - 2 * seconds)
        looked_at = self.next - begin
        return sum(index >= begin for index in indexes) / looked_at if looked_at else 0.0

    def window(self, seconds: float) -> TrafficWindow:
        """Of the last so many seconds, or since the load began if that is less."""
        self._horizon = max(self._horizon, 2 * seconds + self.timeout + 10.0)
        if self._last is not None and self._last[:2] == (self.now, seconds):
            return self._last[2]  # another measure asked for the same
        begin = max(self.now - seconds, self.t0)
        ok, failures = self._decided(begin, seconds)
        due = range(self._at(begin), self.next)
        p50, p95, p99 = self._quantiles(due) if self._heard(begin) else (None, None, None)
        why = failures.most_common(1)[0][0] if failures else ""
        late = self._share(self._late, seconds)
        window = TrafficWindow(self.now - begin, len(due), ok, failures.total(), p50, p95, p99, why, late)
        self._last = (self.now, seconds, window)
        return window

    def _decided(self, begin: float, seconds: float) -> tuple[int, Counter[str]]:
        """Of what was decided since `begin`: expected answers, and failures by reason."""
        ok, failures = 0, Counter[str]()
        for index in range(self._at(begin - seconds), self.next):
            taken, code = self._taken[index - self._first], self._codes[index - self._first]
            late = not taken <= seconds  # also while it is open
            decided = self.t0 + index / self.rate + (seconds if late else taken)
            if not begin < decided <= self.now:
                continue
            if late:
                failures[f"no answer within {seconds:g} s"] += 1
            elif code == OK:
                ok += 1
            else:
                failures[self._why[code][0]] += 1
        return ok, failures

    def _heard(self, begin: float) -> bool:
        """Whether any request at all was answered since `begin`."""
        for index in reversed(range(self._at(begin - self.timeout - 1.0), self.next)):
            taken, code = self._taken[index - self._first], self._codes[index - self._first]
            if self._why[code][1] and self.t0 + index / self.rate + taken > begin:
                return True
        return False

    def _quantiles(self, due: range) -> Quantiles:
        if not due:
            return None, None, None
        known, ages = [], []
        for index in due:
            taken, code = self._taken[index - self._first], self._codes[index - self._first]
            if taken != taken:
                ages.append(self.now - (self.t0 + index / self.rate))
            else:
                known.append(taken if self._why[code][1] else max(taken, self.timeout))
        return quantiles(known, ages, self._longest_open())

    def _longest_open(self) -> float:
        for index in range(self._at(self.now - self.timeout - 1.0), self.next):
            if self._taken[index - self._first] != self._taken[index - self._first]:
                return self.now - (self.t0 + index / self.rate)
        return 0.0

    def second(self, number: int) -> Counted | None:
        """The requests that were due in one whole second of the load, once all of them have ended."""
        begin, end = self._at(self.t0 + number), self._at(self.t0 + number + 1)
        if self.now < self.t0 + number + 1:
            return None
        known, ok = [], 0
        for index in range(begin, end):
            taken, code = self._taken[index - self._first], self._codes[index - self._first]
            if taken != taken:
                return None
            ok += code == OK
            known.append(taken if self._why[code][1] else max(taken, self.timeout))
        found = quantiles(known, [], 0.0) if known else (None, None, None)
        return Counted(end - begin, ok, end - begin - ok, found)


def quantiles(known: Sequence[float], ages: Sequence[float], longest: float) -> Quantiles:
    """The quantiles of latencies of which `known` are known and others only to be longer than their `ages`.

    Without `ages`: the smallest value that at least this share does not exceed (nearest rank). Where they lie beyond
    what is known: the longest of `longest` and the ages.
    """
    values, ages = sorted(known), sorted(ages)
    found: list[float] = []
    surviving, total = 1.0, len(values) + len(ages)
    for place, value in enumerate(values):
        if ages:
            surviving *= 1 - 1 / (total - place - bisect_left(ages, value))
        else:
            surviving = 1 - (place + 1) / total
        while len(found) < len(QUANTILES) and surviving <= 1 - QUANTILES[len(found)] + _EPSILON:
            found.append(value)
        if len(found) == len(QUANTILES):
            break
    found += [max([longest, *ages[-1:]])] * (len(QUANTILES) - len(found))
    return found[0], found[1], found[2]
