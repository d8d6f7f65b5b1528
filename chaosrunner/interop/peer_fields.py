"""Files of other tools, read so that nothing is passed over: what nobody asked for is told at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from chaosrunner.model.quantities import write_duration

_GO = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(bps|bit|b)", re.IGNORECASE)
_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SHOWN = 60


class Fields:
    """A mapping of a file, and which of its fields were asked for."""

    def __init__(self, value: object, path: str = "") -> None:
        self._value: dict[str, Any] = value if isinstance(value, dict) else {}
        self._asked: set[str] = set()
        self._inside: list[Fields] = []
        self._known: dict[str, Fields] = {}
        self.path = path

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def names(self) -> list[str]:
        """Of its fields."""
        return [str(name) for name in self._value]

    def take(self, name: str, otherwise: Any = None) -> Any:
        """A field as it is, which counts as translated from now on."""
        self._asked.add(name)
        found = self._value.get(name)
        return otherwise if found is None else found

    def text(self, name: str, otherwise: str = "") -> str:
        """A field as text."""
        found = self.take(name)
        return otherwise if found is None else str(found).strip()

    def many(self, name: str, otherwise: Sequence[str] = ()) -> list[Any]:
        """A list as it is; of one that is written without being a list, its one value."""
        found = self.take(name)
        if found is None:
            return [*otherwise]
        return found if isinstance(found, list) else [found]

    def pairs(self, name: str) -> dict[str, Any]:
        """A mapping whose keys are the user's own words; empty for anything else, which is told."""
        found = self._value.get(name)
        if not isinstance(found, dict):
            return {}
        self._asked.add(name)
        return found

    def number(self, name: str) -> float | None:
        """The number that a field is, or begins with (`50%`, `100 percent`); None: there is none."""
        found = self.take(name)
        if isinstance(found, bool) or found is None:
            return None
        match = _NUMBER.match(str(found).strip())
        return float(match[0]) if match else None

    def inside(self, name: str) -> Fields:
        """A mapping below, of which the same is known; an empty one where there is none."""
        if name in self._known:
            return self._known[name]
        self._asked.add(name)
        made = self._known[name] = Fields(self._value.get(name), self._below(name))
        if not isinstance(self._value.get(name), dict | None):
            self._asked.discard(name)  # of another shape than expected: told as it is
        self._inside.append(made)
        return made

    def each(self, name: str) -> list[Fields]:
        """The mappings of a list below."""
        self._asked.add(name)
        found = self._value.get(name)
        if not isinstance(found, list):
            if found is not None:
                self._asked.discard(name)
            return []
        made = [Fields(each, f"{self._below(name)}[{place}]") for place, each in enumerate(found)]
        for place, each in enumerate(found):
            if not isinstance(each, dict):
                made[place] = Fields({"": each}, made[place].path)
        self._inside += made
        return made

    def left(self) -> Iterator[tuple[str, str]]:
        """(path, value in short) of all that nobody asked for, here and below; it is told once."""
        for name, value in self._value.items():
            if name not in self._asked:
                self._asked.add(name)
                yield from _leaves(self._below(name) if name else self.path, value)
        for each in self._inside:
            yield from each.left()

    def _below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else str(name)


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    """(path, value in short) of everything below."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}", each)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for place, each in enumerate(value):
            yield from _leaves(f"{path}[{place}]", each)
    else:
        yield path, shown(value)


def shown(value: object) -> str:
    """In a remark: JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def seconds(value: object) -> float | None:
    """Of a Go duration (`1m30s`, `200ms`), or a bare number of seconds; None: it is neither."""
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    if _NUMBER.fullmatch(text):
        return abs(float(text))
    parts = _GO.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return round(sum(float(number) * _SECONDS[unit] for number, unit in parts), 6)


def lasts(value: object, otherwise: float = 30.0) -> str:
    """A duration as our files write it, never zero."""
    found = seconds(value)
    return write_duration(found if found else otherwise)


def percent(value: float) -> str:
    """`12.5%`."""
    return f"{min(100.0, max(0.0, value)):g}%"


def bandwidth(value: object) -> str | None:
    """A rate as traffic control writes it: `10mbit` is bits, `10mbps` bytes a second; None: it is none."""
    match = _RATE.fullmatch(str(value).strip())
    if match is None or float(match[1]) == 0:
        return None
    amount = float(match[1]) * _THOUSANDS[match[2].lower()] / (8 if match[3].lower() == "bit" else 1)
    return f"{amount:.0f}B/s" if amount < 1000 else f"{amount / 1000:g}kB/s"


def size(value: object, unit: str = "MiB") -> str | None:
    """`256MB`, `1G` or a bare number in `unit` as our files write it; None: it is none (a share, or nothing)."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or float(match[1]) == 0:
        return None
    number = f"{float(match[1]):g}"
    if not match[2]:
        return f"{number}{unit}"
    letter = "k" if match[2].lower() == "k" and not match[3] else match[2].upper()
    return f"{number}{letter}{match[3].lower()}B"


def plain(pattern: str) -> str:
    """The one name that a regular expression stands for (`^shop$`); empty: it stands for more."""
    bare = pattern.strip().removeprefix("^").removesuffix("$")
    return bare if re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9]*", bare) else ""
