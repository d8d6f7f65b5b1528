"""What `--fixed` puts in: a circuit breaker and a retry budget."""

from __future__ import annotations

import time


class Breaker:
    """Stops calling a service that fails, and tries it again with one call now and then."""

    def __init__(self, failures: int = 5, pause: float = 0.5) -> None:
        self._failures = failures
        """In a row, until it opens."""
        self._pause = pause
        """Seconds between trials while it is open."""
        self._in_a_row = 0
        self._next_trial = 0.0

    def allows(self) -> bool:
        """Whether a call may be made now; while it is open, one call in each pause may."""
        if self._in_a_row < self._failures:
            return True
        if time.monotonic() < self._next_trial:
            return False
        self._next_trial = time.monotonic() + self._pause
        return True

    def succeeded(self) -> None:
        """The call was answered."""
        self._in_a_row = 0

    def failed(self) -> None:
        """The call was not answered."""
        self._in_a_row += 1
        if self._in_a_row == self._failures:
            self._next_trial = time.monotonic() + self._pause


class RetryBudget:
    """Allows retries as a share of the calls, so that they cannot multiply the load: 10 %, and a few at first."""

    def __init__(self, share: float = 0.1, most: float = 5.0) -> None:
        self._share = share
        self._most = most
        self._left = most

    def earn(self) -> None:
        """A first try is made."""
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Whether a retry may be made; it is taken off."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
