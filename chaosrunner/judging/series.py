"""All readings of one measure, compact: about 30 bytes each, so that long runs with many measures fit."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from chaosrunner.judging.reading import Reading

_NUMBER, _BOOL, _TEXT, _NO_ANSWER, _MISSING = range(5)


class Series:
    """Appended to in the journal's order, which for one measure is the order of time."""

    def __init__(self) -> None:
        self._began = array("d")
        self._ended = array("d")
        self._number = array("d")
        self._kind = array("b")
        self._word = array("l")
        self._words: list[str] = []
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._began)

    def append(self, reading: Reading) -> None:
        """Put down one reading, or why there is none. Words (texts, reasons) are kept once."""
        value = reading.value
        kind, amount, word = _NUMBER, 0.0, ""
        if reading.missing is not None:
            kind, word = _MISSING, reading.missing
        elif reading.no_answer is not None:
            kind, word = _NO_ANSWER, reading.no_answer
        elif isinstance(value, str):
            kind, word = _TEXT, value
        elif isinstance(value, bool):
            kind, amount = _BOOL, float(value)
        elif value is not None:
            amount = value
        self._began.append(reading.began)
        self._ended.append(reading.ended)
        self._number.append(amount)
        self._kind.append(kind)
        self._word.append(self._place(word) if kind >= _TEXT else 0)

    def _place(self, word: str) -> int:
        place = self._index.get(word)
        if place is None:
            place = self._index[word] = len(self._words)
            self._words.append(word)
        return place

    def within(self, start: float, end: float) -> Iterator[Reading]:
        """Readings that were taken wholly between two moments."""
        for index, began in enumerate(self._began):
            if began >= start and self._ended[index] <= end:
                yield self._at(index)

    def _at(self, index: int) -> Reading:
        began, ended, kind = self._began[index], self._ended[index], self._kind[index]
        if kind == _NUMBER:
            return Reading(began, ended, self._number[index])
        if kind == _BOOL:
            return Reading(began, ended, self._number[index] != 0.0)
        word = self._words[self._word[index]]
        if kind == _TEXT:
            return Reading(began, ended, word)
        return Reading(began, ended, no_answer=word) if kind == _NO_ANSWER else Reading(began, ended, missing=word)

    def read_between(self, after: float, until: float) -> bool:
        """Whether there is a reading (a value, or no answer) that ended after one moment and by another."""
        return any(
            after < ended <= until and self._kind[index] != _MISSING for index, ended in enumerate(self._ended)
        )  # fmt: skip

    @property
    def latest(self) -> float:
        """The latest `ended`; minus infinity: there is none."""
        return max(self._ended, default=float("-inf"))
