"""A hypothesis: a named set of measures with tolerances; reusable, one file each."""

from __future__ import annotations

from typing import Any, Literal

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.marks import Field, JsonValue, field_validator, model_validator
from chaosrunner.model.quantities import UNITS, Duration, Name, parse_duration, parse_ratio, write_duration
from chaosrunner.model.tolerance import AbortLimit, Tolerance
from chaosrunner.model.words import During, Missing
from chaosrunner.records.patterns import pattern

_NO_LABEL = pattern(r"[\"\\\n]")
OFTEN = 0.01
"""Seconds; nothing is read more often than so."""


class Measure(Frozen):
    """One thing read from the live system by a probe, every so often, with a tolerance.

    In a file the probe is the one key that is none of the fields: `http: {url: …}`.
    """

    name: Name
    """Stable within its hypothesis."""
    probe: str = Field(json_schema_extra={"internal": True})
    """The probe's kind; in files, the key under which its parameters stand."""
    params: JsonObject = Field(default={}, json_schema_extra={"internal": True})
    """The probe's parameters as written; checked against its `Params` when the file is loaded."""
    tolerance: Tolerance | None = None
    """What is in order; without one the measure is observed only."""
    unit: str | None = None
    """Of the readings; probes that know theirs need not be told."""
    every: Duration = 5.0
    """From one reading's start to the next one's; default 5s, at least 10ms."""
    timeout: Duration | None = None
    """How long one reading may take; default: `every`, at least 1s and at most 10s."""
    retries: int = Field(default=0, ge=0, le=5)
    """How often a reading that failed for the instrument's sake is tried again at once; default 0."""
    lag: Duration | None = None
    """How old what a reading tells may be; default: what the probe says of its parameters."""
    abort_at: AbortLimit | None = None
    """Worse than this for its `for:`: stop and undo now."""
    blind: Duration | None = None
    """With `abortAt`: no reading for so long, with a fault in force, aborts too; default 15s or twice the lag."""
    during: During = During.ALWAYS
    """When it is read; default: always."""
    when_missing: Missing = Missing.INCONCLUSIVE
    """What missing readings make of it; default: inconclusive."""

    @model_validator(mode="before")
    @classmethod
    def _find_probe(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "probe" in value:
            return value
        kinds = [key for key in value if not cls.model_knows(key)]
        if len(kinds) != 1:
            found = f"found {' and '.join(map(str, kinds))}" if kinds else "found none"
            raise ValueError(f"expected exactly one probe, such as `http: {{url: …}}`, {found}")
        rest = {key: item for key, item in value.items() if key != kinds[0]}
        params = value[kinds[0]]
        return {**rest, "probe": kinds[0], "params": {} if params is None else params}

    @field_validator("every")
    @classmethod
    def _some_time(cls, value: float) -> float:
        if value < OFTEN:
            raise ValueError(f"expected at least {write_duration(OFTEN)}, found {write_duration(value)}")
        return value

    @model_validator(mode="after")
    def _known_unit(self) -> Measure:
        if self.unit is not None and self.unit not in UNITS:
            raise ValueError(f"unknown unit {self.unit!r}, expected one of {', '.join(UNITS)}")
        if self.abort_at is not None and self.abort_at.relative and self.during not in (During.ALWAYS, During.EDGE):
            raise ValueError("an abortAt relative to the baseline needs readings in the baseline")
        return self


class Parameter(Frozen):
    """What a hypothesis or an experiment leaves to those who use it; `${name}` stands for it."""

    meaning: str = Field(min_length=1)
    """What it is, as a phrase for people."""
    type: Literal["text", "label", "number", "duration", "ratio", "boolean"] = "text"
    """`label`: text that can stand within the quotes of a PromQL selector, also as a regular expression; `duration` and
    `ratio` as everywhere in files; `boolean`: true or false. Default text."""
    default: JsonValue = None
    """What it is where nobody says otherwise; none: it must be said."""
    example: JsonValue = None
    """For a parameter without a default: what `check` takes for it when the file is looked at by itself."""

    @model_validator(mode="after")
    def _has_something(self) -> Parameter:
        if self.default is None and self.example is None:
            raise ValueError("expected a default, or an example for what must be said")
        return self

    def checked(self, value: JsonValue) -> JsonValue:
        """The value as it is written into measures. Raises ValueError that says what was expected."""
        if self.type == "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError("expected a number")
        elif self.type == "boolean":
            if not isinstance(value, bool):
                raise ValueError("expected true or false")
        elif self.type == "duration":
            parse_duration(value)
        elif self.type == "ratio":
            parse_ratio(value)
        elif not isinstance(value, str):
            raise ValueError("expected text")
        elif self.type == "label" and _NO_LABEL.search(value):
            raise ValueError('expected text without quotes, backslashes and line ends: it stands within "…" of a query')
        return value


class HypothesisSpec(Frozen):
    """`spec` of a Hypothesis document."""

    title: str
    """What must hold, as a sentence for people."""
    parameters: dict[Name, Parameter] = {}
    """What those who use it may say: `hypotheses: [{use: NAME, with: {…}}]`. Only for a hypothesis with a file."""
    measures: tuple[Measure, ...] = Field(min_length=1)
    """All must hold."""

    @model_validator(mode="after")
    def _distinct(self) -> HypothesisSpec:
        names = [measure.name for measure in self.measures]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two measures are named {', '.join(twice)}")
        return self


class Hypothesis(HypothesisSpec):
    """A hypothesis with its name, from a file of its own or written in place in an experiment."""

    name: Name
    """By which an experiment, and what was found, names it."""

    @model_validator(mode="after")
    def _is_filled_in(self) -> Hypothesis:
        if self.parameters:
            raise ValueError("parameters are for a hypothesis with a file of its own, which `use:` names")
        return self
