"""Violation without a break (`for:`), and staying inside.

How long a violation lasts is counted from the `ended` of its first outside reading to the `ended` of its latest one:
at both moments it is known to be outside. It counts when that is at least `for:`; with `for: 0` one reading is enough.
A reading that is inside breaks it. A missing reading neither breaks nor prolongs it: nothing is known of that moment,
and an instrument that stumbles must not hide a violation that stands before and after.
"""

from __future__ import annotations

_ROUNDING = 1e-9
"""Times are sums of floats; a violation of exactly `for:` counts."""


class Violation:
    """Follows one measure's readings in order."""

    __slots__ = ("_for", "began", "first", "latest", "longest")

    def __init__(self, for_: float) -> None:
        self._for = for_
        self.began: float | None = None
        """`ended` of the first outside reading of the violation that is going on."""
        self.latest: float | None = None
        self.longest = 0.0
        """The longest violation so far, seconds, whether or not it counted."""
        self.first: float | None = None
        """`ended` of the first reading of the first violation that counted."""

    def add(self, inside: bool, ended: float) -> bool:
        """A reading; missing ones are not handed in. Whether the rule is violated, for at least `for:`, now."""
        if inside:
            self.began = self.latest = None
            return False
        if self.began is None:
            self.began = ended
        self.latest = ended
        lasted = ended - self.began
        self.longest = max(self.longest, lasted)
        counts = lasted + _ROUNDING >= self._for
        if counts and self.first is None:
            self.first = self.began
        return counts

    @property
    def going_on(self) -> bool:
        """Whether the latest reading was outside, counting or not."""
        return self.began is not None


class Staying:
    """How long one measure has stayed inside: from its first inside reading after the last violation that counted.

    A reading outside that does not (yet) count is not *inside*: it does not prolong the stay, but does not end it.
    """

    __slots__ = ("_recent", "_violation", "latest", "since")

    def __init__(self, for_: float) -> None:
        self._violation = Violation(for_)
        self.since: float | None = None
        """When the stay began; None: not inside."""
        self.latest: float | None = None
        """The latest inside reading of the stay."""
        self._recent: list[float] = []

    def add(self, inside: bool, at: float, ended: float) -> None:
        """A reading that stands for the moment `at`."""
        if self._violation.add(inside, ended):
            self.since = self.latest = None
            self._recent.clear()
        elif inside:
            if self.since is None:
                self.since = at
            self.latest = at
            self._recent.append(at)
            del self._recent[:-3]

    @property
    def outside(self) -> bool:
        """Whether the latest reading was outside, counting or not."""
        return self._violation.going_on

    def three_since(self, moment: float) -> bool:
        """Whether the last three inside readings of the stay are all from that moment or later."""
        return len(self._recent) == 3 and self._recent[0] >= moment
