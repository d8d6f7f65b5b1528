"""Tolerances: the rule that a reading is held against, and how much room was left.

A rule is one of `atMost`, `atLeast`, `between`, `equals`, `matches`, `like`. A limit is a number with an optional unit
(`200ms`, `1%`, `3`), or relative to the baseline's median: `4x baseline`, `baseline + 20ms`, `baseline - 10%`;
`between: baseline ± 5` (or `baseline ± 10%`) is short for both sides. `floor:` keeps a relative `atMost` from
becoming too tight on a quiet system.

Most rules hold each reading. With `take:` one number of all readings of a phase is held, and `like: baseline` (or just
`like baseline`) compares all of them with all of the baseline's by a rank test.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import BeforeValidator, PlainSerializer, WithJsonSchema, model_validator
from chaosrunner.model.quantities import NUMBER, UNITS, Duration, Ratio, convert, number, parse_ratio
from chaosrunner.records.patterns import pattern

Value = bool | float | str
"""What a probe reads: a number (in the measure's unit), text, or true/false."""

_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_ABSOLUTE = pattern(rf"([+-]?{NUMBER})\s*({_UNIT})?")
_TIMES = pattern(rf"({NUMBER})\s*x\s*baseline")
_OFFSET = pattern(rf"baseline\s*([+-])\s*({NUMBER})\s*({_UNIT})?")
_AROUND = pattern(rf"baseline\s*±\s*({NUMBER})\s*({_UNIT})?")
_WRITTEN = "a number with an optional unit (200ms, 1%, 3), `4x baseline`, or `baseline + 20ms`"


class Amount(Frozen):
    """A limit: `times` the baseline plus `plus` (in `unit`); `times` is 0 for an absolute limit."""

    plus: float = 0.0
    unit: str | None = None
    times: float = 0.0
    share: bool = False
    """`plus` is a share of the baseline: `baseline + 10%`."""

    @property
    def relative(self) -> bool:
        """Whether the baseline must be known before this limit means anything."""
        return self.times != 0

    def resolve(self, unit: str | None, baseline: float | None) -> float:
        """The limit in the measure's unit. Raises ValueError where units differ or a needed baseline is absent."""
        if self.relative and baseline is None:
            raise ValueError("this limit is relative to the baseline, and there is none")
        base = self.times * (baseline or 0.0)
        if self.share:
            return base + self.plus * abs(baseline or 0.0)
        return base + (convert(self.plus, self.unit, unit) if self.unit else self.plus)

    def __str__(self) -> str:
        plus = f"{number(abs(self.plus))}{self.unit or ''}" if not self.share else f"{number(abs(self.plus) * 100)}%"
        if not self.relative:
            return f"{'-' if self.plus < 0 else ''}{plus}"
        if self.plus:
            return f"baseline {'-' if self.plus < 0 else '+'} {plus}"
        return f"{number(self.times)}x baseline"


def parse_amount(text: Any) -> Any:
    """An `Amount` of what a file says."""
    if isinstance(text, Amount | dict):
        return text
    if isinstance(text, int | float) and not isinstance(text, bool) and math.isfinite(text):
        return Amount(plus=float(text))
    words = text.strip() if isinstance(text, str) else ""
    if match := _ABSOLUTE.fullmatch(words):
        return Amount(plus=float(match[1]), unit=match[2])
    if match := _TIMES.fullmatch(words):
        if float(match[1]) == 0:
            raise ValueError("0x baseline is always 0: write 0")
        return Amount(times=float(match[1]))
    if match := _OFFSET.fullmatch(words):
        return _offset(float(match[2]) * (-1 if match[1] == "-" else 1), match[3])
    raise ValueError(f"expected {_WRITTEN}, found {text!r}")


def _offset(plus: float, unit: str | None) -> Amount:
    if unit == "%":
        return Amount(times=1.0, plus=plus / 100, share=True)
    return Amount(times=1.0, plus=plus, unit=unit)


def _parse_between(value: Any) -> Any:
    if isinstance(value, str) and (match := _AROUND.fullmatch(value.strip())):
        around = float(match[1])
        return (_offset(-around, match[2]), _offset(around, match[2]))
    if isinstance(value, list | tuple) and len(value) == 2:
        return tuple(value)
    raise ValueError(f"expected [low, high] or `baseline ± 5`, found {value!r}")


def _write_between(value: tuple[Amount, Amount]) -> list[str]:
    return [str(value[0]), str(value[1])]


Limit = Annotated[
    Amount,
    BeforeValidator(parse_amount),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["200ms", "1%", 3, "4x baseline"]}),
]
Between = Annotated[
    tuple[Limit, Limit],
    BeforeValidator(_parse_between),
    PlainSerializer(_write_between, return_type=list[str], when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["baseline ± 10%"]},
                {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": ["number", "string"]}},
            ]
        }
    ),
]

EFFECTS = {"small": 0.56, "medium": 0.64, "large": 0.71}
"""Differences by the names that Vargha and Delaney gave them; see `chaosrunner.model.rank_test`."""
DETECT = 0.8
"""The difference that a `like` rule finds unless the file says otherwise."""


def _parse_effect(value: Any) -> float:
    if isinstance(value, str) and value in EFFECTS:
        return EFFECTS[value]
    try:
        share = parse_ratio(value)
    except ValueError:
        share = 0.0
    if not 0.5 < share < 1:
        raise ValueError(f"expected small, medium, large, or a share of pairs between 50% and 100%, found {value!r}")
    return share


def _write_effect(share: float) -> str:
    return next((name for name, known in EFFECTS.items() if known == share), f"{number(share * 100)}%")


Effect = Annotated[
    float,
    BeforeValidator(_parse_effect),
    PlainSerializer(_write_effect, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(EFFECTS)},
                {"type": "string", "pattern": rf"^\s*{NUMBER}\s*%\s*$"},
                {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1},
            ]
        }
    ),
]
"""How big a difference is: in what share of all pairs the later of the two readings is on its side."""
_QUANTILE = pattern(r"p(\d{1,2}(?:\.\d+)?)")


def _parse_whole(value: Any) -> str:
    if value in ("mean", "min", "max", "rate") or quantile(value) is not None:
        return str(value)
    raise ValueError(f"expected mean, min, max, rate, or a quantile such as p95, found {value!r}")


def quantile(take: Any) -> float | None:
    """Of `p95` 0.95; None: it is no quantile."""
    match = _QUANTILE.fullmatch(take) if isinstance(take, str) else None
    return float(match[1]) / 100 if match and float(match[1]) > 0 else None


Whole = Annotated[
    str,
    BeforeValidator(_parse_whole),
    WithJsonSchema({"type": "string", "pattern": r"^(mean|min|max|rate|p\d{1,2}(\.\d+)?)$", "examples": ["p95"]}),
]
"""What one number to make of all readings of a phase."""

_RULES = ("at_most", "at_least", "between", "equals", "matches", "like")
_OF_LIKE = ("side", "effect", "detect", "power", "false_alarms")


class Rule(Frozen):
    """Exactly one of `atMost`, `atLeast`, `between`, `equals`, `matches`, `like`."""

    at_most: Limit | None = None
    """The highest value that is still in order."""
    at_least: Limit | None = None
    """The lowest value that is still in order."""
    between: Between | None = None
    """Both, as `[low, high]` or `baseline ± 5`."""
    equals: Value | None = None
    """The one value that is in order."""
    matches: str | None = None
    """A regular expression that must be found in the text."""
    for_: Duration = 0.0
    """How long the rule must be violated without a break to count; 0: one reading is enough."""
    floor: Limit | None = None
    """A relative `atMost` is never tighter than this."""
    take: Whole | None = None
    """Hold one number of all readings of the phase in place of each: `mean`, `min`, `max`, a quantile (`p50`, `p95`,
    `p99.9`), or the `rate` (a second) at which a counter grew, restarts included. A relative limit is then of
    the same number of the baseline."""
    like: Literal["baseline"] | None = None
    """`baseline`: all readings of the phase together must be as in the baseline, by a rank test. Fewer readings than
    `power` needs: inconclusive."""
    side: Literal["either", "higher", "lower"] | None = None
    """With `like`: which difference counts; default either."""
    effect: Effect | None = None
    """With `like`: the least difference that counts, `small`, `medium`, `large`, or in what share of pairs a reading of
    the phase is on one side of one of the baseline (50% is no difference); default medium, which is 64%."""
    detect: Effect | None = None
    """With `like`: the difference that must be found with `power`, more than `effect`; default 80%."""
    power: Ratio | None = None
    """With `like`: with what probability a difference of `detect` must be found; default 90%."""
    false_alarms: Ratio | None = None
    """With `like`: with what probability phases that do not differ may be called different; default 1%."""

    @model_validator(mode="before")
    @classmethod
    def _in_words(cls, value: Any) -> Any:
        return _in_full("a rule such as {atMost: 1%}, or `like baseline`", value)

    @model_validator(mode="after")
    def _one_rule(self) -> Rule:
        given = [name for name in _RULES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("expected exactly one of atMost, atLeast, between, equals, matches, like")
        if self.floor is not None and (self.at_most is None or not self.at_most.relative or self.floor.relative):
            raise ValueError("floor goes with an atMost that is relative to the baseline, and is itself absolute")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                raise ValueError(f"matches is not a regular expression: {error}") from None
        return self

    @model_validator(mode="after")
    def _of_a_phase(self) -> Rule:
        if self.like is None:
            if any(getattr(self, name) is not None for name in _OF_LIKE):
                raise ValueError("side, effect, detect, power and falseAlarms go with `like: baseline`")
        elif self.take is not None:
            raise ValueError("take goes with a limit: `like` looks at all readings")
        elif self.detectable <= self.least_effect:
            raise ValueError("expected a `detect` that is more than `effect`")
        elif not 0.5 <= self.found_with <= 0.9999 or not 0.0001 <= self.alarms <= 0.2:
            raise ValueError("expected a power from 50% to 99.99%, and falseAlarms from 0.01% to 20%")
        if self.take is not None and (self.equals is not None or self.matches is not None):
            raise ValueError("take goes with atMost, atLeast or between")
        if self.over_phase and self.for_:
            raise ValueError("`for` counts single readings; `like` and `take` look at all of a phase")
        return self

    @property
    def over_phase(self) -> bool:
        """Whether all readings of a phase are judged together, in place of each by itself."""
        return self.like is not None or self.take is not None

    @property
    def least_effect(self) -> float:
        """With `like`: `effect`, or its default."""
        return EFFECTS["medium"] if self.effect is None else self.effect

    @property
    def detectable(self) -> float:
        """With `like`: `detect`, or its default."""
        if self.detect is not None:
            return self.detect
        return DETECT if self.least_effect < 0.9 * DETECT else (1 + self.least_effect) / 2

    @property
    def found_with(self) -> float:
        """With `like`: `power`, or its default."""
        return 0.9 if self.power is None else self.power

    @property
    def alarms(self) -> float:
        """With `like`: `falseAlarms`, or its default."""
        return 0.01 if self.false_alarms is None else self.false_alarms

    @property
    def relative(self) -> bool:
        """Whether this rule needs the baseline's readings."""
        if self.like is not None:
            return True
        limits = [self.at_most, self.at_least, *(self.between or ())]
        return any(limit is not None and limit.relative for limit in limits)

    def says_nothing(self, baseline: float | None) -> bool:
        """Whether a baseline of 0 leaves nothing of it: `atLeast: 0.9x baseline` is then met by nothing at all."""
        low = self.at_least
        return baseline == 0 and low is not None and low.relative and (low.share or low.plus == 0)

    def bounds(self, unit: str | None, baseline: float | None) -> tuple[float | None, float | None]:
        """(lowest, highest) in the measure's unit, None where there is no such side.

        Raises ValueError where a unit does not fit, or the rule is relative and there is no baseline.
        """
        low = self.between[0] if self.between else self.at_least
        high = self.between[1] if self.between else self.at_most
        highest = None if high is None else high.resolve(unit, baseline)
        if highest is not None and self.floor is not None:
            highest = max(highest, self.floor.resolve(unit, baseline))
        return (None if low is None else low.resolve(unit, baseline), highest)

    def _alike(self) -> str:
        """`like the baseline`, and what is not as usual."""
        text = "like the baseline" if self.side in (None, "either") else f"not {self.side} than the baseline"
        given = [
            ("effect", self.effect),
            ("detect", self.detect),
            ("power", self.power),
            ("falseAlarms", self.false_alarms),
        ]
        unusual = [f"{name} {number(value * 100)}%" for name, value in given if value is not None]
        return f"{text} ({', '.join(unusual)})" if unusual else text

    def __str__(self) -> str:
        if self.like is not None:
            return self._alike()
        lasting = f" for {number(self.for_)} s" if self.for_ else ""
        lasting += f" ({self.take} of the phase)" if self.take else ""
        if self.at_most is not None:
            floor = f" (at least {self.floor})" if self.floor else ""
            return f"at most {self.at_most}{floor}{lasting}"
        if self.at_least is not None:
            return f"at least {self.at_least}{lasting}"
        if self.between is not None:
            return f"between {self.between[0]} and {self.between[1]}{lasting}"
        if self.equals is not None:
            return f"equal to {_told(self.equals)}{lasting}"
        return f"matching /{self.matches}/{lasting}"


def _told(value: Value) -> str:
    """As files write it: `200`, `true`, `'ok'`."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else number(value)


def is_like(value: Any) -> bool:
    """Whether a file says `like baseline` in words."""
    return isinstance(value, str) and value.split() == ["like", "baseline"]


def _in_full(expected: str, value: Any) -> Any:
    """A rule as a mapping. Raises ValueError where it is neither one nor `like baseline`."""
    if is_like(value):
        return {"like": "baseline"}
    if value is None or isinstance(value, bool | int | float | str | list):
        raise ValueError(f"expected {expected}, found {value!r}")
    return value


class Tolerance(Frozen):
    """One rule for each phase; a phase without a rule is observed, not judged.

    A rule written without phases (`tolerance: {atMost: 1%}`) holds in all three; one that is relative to the
    baseline holds in the two that come after it.
    """

    baseline: Rule | None = None
    """Before the fault."""
    fault: Rule | None = None
    """While a fault is in force, and while what it did is observed."""
    recovery: Rule | None = None
    """After the undo."""

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, value: Any) -> Any:
        if is_like(value):
            value = {"like": "baseline"}
        elif value is None or isinstance(value, bool | int | float | str | list):
            forms = "a rule such as {atMost: 1%}, `like baseline`, or a rule for each of baseline, fault, recovery"
            raise ValueError(f"expected {forms}, found {value!r}")
        if isinstance(value, dict) and value and not set(value) & {"baseline", "fault", "recovery"}:
            relative = any("baseline" in str(limit) for limit in value.values())
            return {"baseline": None if relative else value, "fault": value, "recovery": value}
        return value

    @model_validator(mode="after")
    def _not_empty(self) -> Tolerance:
        if self.baseline is None and self.fault is None and self.recovery is None:
            raise ValueError("expected a rule, or one for each of baseline, fault, recovery")
        if self.baseline is not None and self.baseline.relative:
            raise ValueError("the baseline cannot be held against itself: give the baseline phase an absolute rule")
        return self


class AbortLimit(Rule):
    """`abortAt`: when a reading is outside this rule for so long, everything is undone at once."""

    @model_validator(mode="before")
    @classmethod
    def _in_words(cls, value: Any) -> Any:
        return _in_full("a limit such as {atMost: 20%, for: 10s}", value)

    @model_validator(mode="after")
    def _of_readings(self) -> AbortLimit:
        if self.over_phase:
            raise ValueError("an abort limit is held against each reading as it comes: `like` and `take` need a phase")
        return self
