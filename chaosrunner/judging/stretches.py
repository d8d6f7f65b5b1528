"""When faults were in force, and which parts of that are judged.

A *stretch* is a time in which at every moment at least one fault was in force: faults together make one, faults in
sequence (with waits between) make one each. Judged are a stretch's *pieces*: the stretch without the settling of each
fault, the first `settle` after it came into force. A reading is judged when what it tells about lies wholly inside one
piece. What is read in waits between stretches belongs to the fault phase, and is not judged: no fault was in force.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One fault on one target in force, in the journal's `t`."""

    fault: str
    start: float
    """First seen in force."""
    end: float
    """Undone, lost, or the journal's end."""
    settle: float = 0.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time with at least one fault in force at every moment."""

    start: float
    end: float
    pieces: tuple[tuple[float, float], ...]
    """What of it is judged, in order."""

    @property
    def seconds(self) -> float:
        """How long it was, settling included."""
        return self.end - self.start

    @property
    def judged_seconds(self) -> float:
        """How long its pieces are, together."""
        return sum(end - start for start, end in self.pieces)


def stretches(spans: Sequence[Span]) -> tuple[Stretch, ...]:
    """The stretches of these spans, in order."""
    groups: list[list[Span]] = []
    until = float("-inf")
    for span in sorted(spans, key=lambda span: span.start):
        if span.start > until:
            groups.append([])
        groups[-1].append(span)
        until = max(until, span.end)
    return tuple(_stretch(group) for group in groups)


def _stretch(spans: Sequence[Span]) -> Stretch:
    start, end = spans[0].start, max(span.end for span in spans)
    pieces = []
    free = start
    for span in spans:
        if span.settle > 0:
            if span.start > free:
                pieces.append((free, span.start))
            free = max(free, span.start + span.settle)
    if free < end or not any(span.settle > 0 for span in spans):
        pieces.append((free, end))
    return Stretch(start, end, tuple(pieces))


def in_force_between(spans: Sequence[Span], start: float, end: float) -> tuple[str, ...]:
    """The faults that were in force at some moment between two, sorted."""
    return tuple(sorted(span.fault for span in spans if span.start <= end and span.end >= start))
