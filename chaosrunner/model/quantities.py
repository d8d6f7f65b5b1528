"""Quantities as files write them: durations, ratios, rates, sizes and bandwidths, each a float in one fixed unit.

| type | written | held as |
|---|---|---|
| `Duration` | `500ms`, `30s`, `5m`, `1h30m`, `2d` | seconds |
| `Ratio` | `50%` or `0.5` | a number from 0 to 1 |
| `Rate` | `50/s`, `300/m` | events a second |
| `Size` | `64MiB`, `10kB`, `512B` | bytes |
| `Bandwidth` | `100kB/s`, `1MiB/s`, `8Mbit/s` | bytes a second |

They are serialised the way they are written, so a plan or journal can be read by people and loaded again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any

from chaosrunner.model.marks import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from chaosrunner.records.patterns import pattern

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "TiB": 2.0**40,
}
_BITS = {"bit": 1 / 8, "kbit": 1e3 / 8, "Mbit": 1e6 / 8, "Gbit": 1e9 / 8}

SHORT = 24
"""Characters of a duration that is read once for all: the same few are written again and again."""
NUMBER = r"\d+(?:\.\d+)?"
_DURATION = pattern(rf"(?:{NUMBER}(?:ns|us|µs|ms|s|m|h|d))+")
_DURATION_PART = pattern(rf"({NUMBER})(ns|us|µs|ms|s|m|h|d)")
_AMOUNT = pattern(rf"({NUMBER})\s*([A-Za-zµ%]*)")


def parse_duration(text: Any) -> float:
    """Seconds of `500ms`, `30s`, `1h30m`. A bare number is refused: nobody can tell which unit was meant."""
    seconds = None
    if isinstance(text, str):
        seconds = _kept_seconds(text) if len(text) <= SHORT else _seconds(text)
    if seconds is not None:
        return seconds
    raise ValueError(f"expected a duration such as 500ms, 30s or 5m, found {text!r}")


def _seconds(text: str) -> float | None:
    """None: it is no duration."""
    if _DURATION.fullmatch(text.strip()) is None:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


_kept_seconds = lru_cache(maxsize=1024)(_seconds)


def parse_ratio(text: Any) -> float:
    """A number from 0 to 1, of `50%` or `0.5`."""
    value: float | None = None
    if isinstance(text, str) and (match := re.fullmatch(rf"({NUMBER})\s*%", text.strip())):
        value = float(match[1]) / 100
    elif isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text)
    if value is None or not 0 <= value <= 1:
        raise ValueError(f"expected a ratio such as 50% or 0.5, found {text!r}")
    return value


def parse_rate(text: Any) -> float:
    """Events a second, of `50/s`, `300/m` or `10/h`."""
    if isinstance(text, str) and (match := re.fullmatch(rf"({NUMBER})\s*/\s*(s|m|h)", text.strip())):
        return float(match[1]) / _SECONDS[match[2]]
    raise ValueError(f"expected a rate such as 50/s, found {text!r}")


def parse_size(text: Any) -> float:
    """Bytes, of `64MiB`, `10kB` or `512B`."""
    if isinstance(text, str) and (match := _AMOUNT.fullmatch(text.strip())) and match[2] in _BYTES:
        return float(match[1]) * _BYTES[match[2]]
    raise ValueError(f"expected a size such as 64MiB or 10kB, found {text!r}")


def parse_bandwidth(text: Any) -> float:
    """Bytes a second, of `100kB/s`, `1MiB/s` or `8Mbit/s`."""
    units = _BYTES | _BITS
    match = re.fullmatch(rf"({NUMBER})\s*([A-Za-z]+)/s", text.strip()) if isinstance(text, str) else None
    if match is not None and match[2] in units:
        return float(match[1]) * units[match[2]]
    raise ValueError(f"expected a bandwidth such as 100kB/s or 8Mbit/s, found {text!r}")


def number(value: float) -> str:
    """A number without a needless fraction or exponent: `30`, `0.25`, `1500`."""
    return f"{value:.12g}" if abs(value) < 1e15 else repr(value)


def write_duration(seconds: float) -> str:
    """The shortest exact way to write it: `500ms`, `30s`, `5m`, `90s`."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{number(seconds / _SECONDS[unit])}{unit}"
    if seconds >= 1 or seconds == 0:
        return f"{number(seconds)}s"
    return f"{number(seconds * 1e3)}ms"


def write_size(amount: float) -> str:
    """`64MiB` where it is a whole number of a unit, otherwise bytes."""
    for unit in ("GiB", "MiB", "KiB", "GB", "MB", "kB"):
        if amount and amount % _BYTES[unit] == 0:
            return f"{number(amount / _BYTES[unit])}{unit}"
    return f"{number(amount)}B"


def _write_rate(rate: float) -> str:
    return f"{number(rate)}/s"


def _write_bandwidth(rate: float) -> str:
    return f"{write_size(rate)}/s"


def _write_ratio(ratio: float) -> str:
    return f"{number(ratio * 100)}%"


def written_like(text: object, value: float) -> str:
    """A value the way a text beside it writes its own: `1s` beside `500ms`, `1KiB` beside `12B`; a plain number beside
    what is no quantity."""
    for parse, write in (
        (parse_duration, write_duration),
        (parse_size, write_size),
        (parse_rate, _write_rate),
        (parse_bandwidth, _write_bandwidth),
    ):
        if isinstance(text, str):
            with suppress(ValueError):
                parse(text)
                return write(value)
    return number(value)


def _read(parse: Callable[[Any], float]) -> BeforeValidator:
    return BeforeValidator(parse)


def _written(write: Callable[[float], str]) -> PlainSerializer:
    return PlainSerializer(write, return_type=str, when_used="json")


def _schema(pattern: str, examples: list[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": examples})


Duration = Annotated[
    float,
    _read(parse_duration),
    _written(write_duration),
    _schema(rf"^({NUMBER}(ns|us|µs|ms|s|m|h|d))+$", ["500ms", "30s", "5m"]),
]


def _parse_seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else parse_duration(value)


Seconds = Annotated[float, _read(_parse_seconds), _written(write_duration)]
"""A duration that code computed: also a number of seconds. Never used for what people write in files."""
Ratio = Annotated[
    float,
    _read(parse_ratio),
    _written(_write_ratio),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^{NUMBER}\s*%$"},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "examples": ["50%", 0.5],
        }
    ),
]
Rate = Annotated[float, _read(parse_rate), _written(_write_rate), _schema(rf"^{NUMBER}/(s|m|h)$", ["50/s"])]
Size = Annotated[float, _read(parse_size), _written(write_size), _schema(rf"^{NUMBER}[kKMGT]?i?B$", ["64MiB"])]
Bandwidth = Annotated[
    float,
    _read(parse_bandwidth),
    _written(_write_bandwidth),
    _schema(rf"^{NUMBER}([kKMGT]?i?B|[kMG]?bit)/s$", ["100kB/s", "8Mbit/s"]),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=100)]
"""A stable slug: lower case letters, digits, dots and dashes. It is part of a near miss's identity."""


_UNITS: dict[str, tuple[str, float]] = {
    **{unit: ("time", factor) for unit, factor in _SECONDS.items()},
    **{unit: ("size", factor) for unit, factor in _BYTES.items()},
    **{f"{unit}/s": ("bandwidth", factor) for unit, factor in (_BYTES | _BITS).items()},
    "/s": ("rate", 1.0),
    "/m": ("rate", 1 / 60),
    "/h": ("rate", 1 / 3600),
    "ratio": ("share", 1.0),
    "%": ("share", 0.01),
}
UNITS = tuple(_UNITS)
"""Every unit that a measure or a limit may have."""


def rate_of(unit: str | None) -> str | None:
    """The unit of how fast something in a unit grows, a second; None: there is no name for it."""
    rate = "/s" if unit is None else f"{unit}/s"
    return rate if rate in _UNITS else None


def convert(value: float, unit: str, to: str | None) -> float:
    """`value` in another unit of the same dimension. A share (`1%`) also fits a measure without a unit.

    Raises ValueError, in words for the author of a file, when the two do not go together.
    """
    dimension, factor = _UNITS[unit]
    if to is None:
        if dimension == "share":
            return value * factor
        raise ValueError(f"a limit in {unit} needs a measure with a unit: add `unit: {unit}` to the measure")
    if to not in _UNITS or _UNITS[to][0] != dimension:
        raise ValueError(f"a limit in {unit} does not fit a measure in {to}")
    return value * factor / _UNITS[to][1]


def show(value: float, unit: str | None) -> str:
    """A value with its unit for people: `312 ms`, `1.2 %`, `48/s`, `3`."""
    if unit is None:
        return f"{value:.4g}"
    dimension, factor = _UNITS.get(unit, ("", 1.0))
    base = value * factor
    if dimension == "time":
        if abs(base) >= 1 or base == 0:
            return f"{base:.3g} s"
        return f"{base * 1e3:.3g} ms"
    if dimension == "share":
        return f"{base * 100:.3g} %"
    if dimension == "rate":
        return f"{base:.4g}/s"
    return f"{value:.4g} {unit}"
