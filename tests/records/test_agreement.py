"""What a model reads by itself is what pydantic makes of it; where pydantic would say no, the model is in doubt."""

from __future__ import annotations

import importlib
import json
import pkgutil
from datetime import date
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

import chaosrunner
from chaosrunner.model import experiment, hypothesis, journal, plan, target, tolerance
from chaosrunner.model.frozen import Frozen, Parameters
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.law import law, of_law, ours
from chaosrunner.records.quick import REQUIRED, Quick, alias
from chaosrunner.records.readers import Doubt

PACKAGES = ("model", "faults", "probes", "trackers", "reports", "platforms", "register")


def models() -> list[type[Frozen]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages([f"{chaosrunner.__path__[0]}/{package}"], f"chaosrunner.{package}."):
            if "migrations" not in module.name:
                importlib.import_module(module.name)
    found: dict[str, type[Frozen]] = {}
    left: list[type[Any]] = [Frozen]
    while left:
        for model in left.pop().__subclasses__():
            left.append(model)
            if model.__module__.startswith("chaosrunner.") and model.model_declared:
                found[f"{model.__module__}.{model.__qualname__}"] = model
    return [found[name] for name in sorted(found)]


MODELS = models()
WORDS = st.sampled_from(
    [
        *("x", "a-name", "A Name", "", "line\n", "always", "all", "true", "1", "0.5", "GET", "http://127.0.0.1:1/x"),
        *("5s", "500ms", "200ms", "10s", "50%", "50/s", "1MiB", "1MiB/s", "4x baseline", "baseline + 20ms"),
    ]
)
SCALARS = st.one_of(
    WORDS,
    st.booleans(),
    st.none(),
    st.integers(-3, 70_000),
    st.sampled_from([0.0, 0.5, 1.5, float("inf"), float("nan")]),
)
JUNK = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.tuples(SCALARS),
    st.dictionaries(WORDS, SCALARS, max_size=2),
    st.just(date(2026, 11, 22)),
)


def values(annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    """Mostly what belongs there, sometimes anything."""
    right = _right(annotation, depth)
    return st.one_of(right, right, right, right, right, JUNK)


def _right(annotation: Any, depth: int) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (str, JsonValue):
        return WORDS
    if annotation in (int, float):
        return st.one_of(st.integers(0, 5), st.sampled_from([0.5, 1.0, 20_000.0]), WORDS)
    if annotation is bool:
        return st.booleans()
    if annotation is NoneType:
        return st.none()
    if origin is Annotated:
        return st.one_of(_right(arguments[0], depth), WORDS, SCALARS)
    if origin in (Union, UnionType):
        return st.one_of([_right(arm, depth) for arm in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        item = values(arguments[0], depth)
        return st.one_of(st.lists(item, max_size=2), st.lists(item, max_size=2).map(tuple))
    if origin is dict:
        return st.dictionaries(WORDS, values(arguments[1], depth), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.one_of(st.sampled_from(annotation), st.sampled_from([member.value for member in annotation]))
    if isinstance(annotation, type) and issubclass(annotation, Quick):
        return written(annotation, depth - 1) if depth > 0 else JUNK
    return JUNK


@cache  # to put together what draws takes longer than to draw
def written(model: type[Any], depth: int = 2) -> st.SearchStrategy[Any]:
    """A mapping for a model: what it must have, some of what it may have, seldom something else."""
    fields: dict[bool, dict[str, Any]] = {True: {}, False: {}}
    for name, declared in model.model_declared.items():
        there = st.deferred(lambda declared=declared: values(declared.type(), depth))
        fields[model.model_default(name) is REQUIRED][name] = there
    whole = st.fixed_dictionaries(fields[True], optional=fields[False])
    called = whole.map(lambda found: {alias(name): value for name, value in found.items()})
    return st.one_of(called, called, called, called, whole, called.map(lambda found: {**found, "unknown": 1}))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_a_model_takes_pydantic_takes_and_makes_the_same_of_it(model: Any, data: st.DataObject) -> None:
    value = data.draw(written(model))
    for by_name in (False, True):
        try:
            taken = model.model_taken(value, by_name)
        except Doubt:
            continue
        judged = ours(law(model).model_validate(value, by_alias=True, by_name=by_name))
        assert repr(taken) == repr(judged)
        assert taken == judged
        assert taken.model_fields_set == judged.model_fields_set
        shown = of_law(taken).model_dump(mode="json", by_alias=True, exclude_none=True)
        assert json.dumps(taken.as_json()) == json.dumps(shown)


class Inner(Frozen):
    """One."""

    at_most: tolerance.Limit | None = None
    label: str


class Outer(Frozen):
    """Holds another."""

    inner: Inner
    several: tuple[Inner, ...] = ()


def test_a_wrong_value_is_said_by_pydantic_at_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"atMost": "much", "label": "a"}, "several": [{"label": 3}], "more": 1})
    assert {error["loc"] for error in caught.value.errors()} == {
        ("inner", "atMost"),
        ("several", 0, "label"),
        ("more",),
    }


def test_what_only_pydantic_takes_becomes_the_same_model() -> None:
    made = Outer.model_validate({"inner": Inner(label="a"), "several": iter([{"label": "b", "atMost": "3ms"}])})
    assert made == Outer(inner=Inner(label="a"), several=(Inner(label="b", at_most="3ms"),))
    assert type(made.several[0]) is Inner


def test_a_model_cannot_be_changed() -> None:
    one = Inner(label="a")
    with pytest.raises(AttributeError, match="frozen"):
        one.label = "b"  # type: ignore[misc]
    assert one.model_copy(update={"label": "b"}).label == "b"
    assert one.label == "a"


def test_defaults_that_can_change_are_each_ones_own() -> None:
    first, second = target.Target(kind="a", id="b", name="c"), target.Target(kind="a", id="b", name="c")
    first.details["pid"] = 1
    assert second.details == {}


def test_models_know_which_fields_were_given() -> None:
    one = experiment.Selector.model_validate({"service": "checkout", "take": 2})
    assert one.model_fields_set == {"service", "take"}
    assert one.model_copy(update={"follow": True}).model_fields_set == {"service", "take", "follow"}


def test_models_of_pydantics_own_can_hold_ours() -> None:
    class Holder(BaseModel):
        rule: tolerance.Rule
        more: list[Inner] = []

    held = Holder.model_validate({"rule": {"atMost": "1%"}, "more": [Inner(label="a")]})
    assert held.rule == tolerance.Rule(at_most="1%")
    assert held.more[0].label == "a"
    assert held.model_dump(mode="json", by_alias=True, exclude_none=True)["rule"] == {"atMost": "1%", "for": "0s"}
    assert TypeAdapter(tuple[Inner, ...]).validate_python([{"label": "x"}])[0] == Inner(label="x")


class Foreign(Parameters):
    """Parameters as another package writes them, with pydantic's own marks."""

    model_config = ConfigDict()
    delay: int = Field(default=3, ge=1)
    """A number."""
    name: Annotated[str, Field(max_length=4)] = "a"
    """A text."""

    @field_validator("name")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()

    @model_validator(mode="after")
    def _fits(self) -> Foreign:
        if self.doubled > 20:
            raise ValueError("too much delay")
        return self

    @property
    def doubled(self) -> int:
        """Twice."""
        return self.delay * 2


def test_parameters_with_pydantics_own_marks_are_read_by_pydantic() -> None:
    assert Foreign().delay == 3
    assert Foreign.model_validate({"delay": 4, "name": "AB"}).as_json() == {"delay": 4, "name": "ab"}
    assert Foreign(delay=4).doubled == 8
    for wrong in ({"delay": 0}, {"delay": 11}, {"name": "abcde"}):
        with pytest.raises(ValidationError):
            Foreign.model_validate(wrong)
    assert Foreign.model_json_schema()["properties"]["delay"]["minimum"] == 1


GOOD = [
    (hypothesis.Measure, {"name": "one", "noop": {"value": 1}, "every": "10ms", "tolerance": {"equals": 1}}),
    (experiment.FaultStep, {"fault": "noop", "for": "10s", "target": {"service": "a", "to": "b", "take": "50%"}}),
    (experiment.BaselineSpec, "20s"),
    (journal.PhaseEnded, {"type": "phase-ended", "phase": "fault", "because": "done", "n": 3, "t": 0.5, "at": 1.0}),
    (plan.GuardAnswer, {"guard": "leases", "go": True, "reason": "nobody else"}),
]


@pytest.mark.parametrize(("model", "value"), GOOD)
def test_what_is_plainly_right_needs_no_pydantic(model: Any, value: Any) -> None:
    assert model.model_taken(value, False) == model.model_validate(value)
