"""The quick dataclasses behave as those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar

import pytest

from chaosrunner.records.light import FEW, asdict, dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Light:
    """As most are."""

    kind: ClassVar[str] = "light"
    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list, compare=False)

    @property
    def doubled(self) -> int:
        return self.a * 2


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Heavy:
    """The same of the standard library."""

    kind: ClassVar[str] = "light"
    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list, compare=False)


@dataclass(slots=True)
class Open:
    """One that can be changed."""

    a: int = 1
    b: dict[str, int] = field(default_factory=dict, repr=False)


@dataclass
class Below(Open):
    """With more fields, and a method of its own beside those that it is given."""

    c: str = "c"

    def __repr__(self) -> str:
        return f"Below {self.c}"


@pytest.mark.parametrize("kind", [Light, Heavy])
def test_it_is_made_compared_and_shown_alike(kind: Any) -> None:
    for _ in range(FEW + 3):  # before and after `__init__` is compiled
        one = kind(1)
        assert (one.a, one.b, one.c) == (1, "b", [])
        assert one == kind(1, "b", [5])
        assert one != kind(2)
        assert one != (1, "b", [])
        assert hash(one) == hash(kind(1, c=[3]))
        assert one < kind(1, "c") <= kind(1, "c") < kind(2)
        assert repr(one) == f"{kind.__name__}(a=1, b='b', c=[])"
        assert kind(1).c is not kind(1).c


@pytest.mark.parametrize("kind", [Light, Heavy])
@pytest.mark.parametrize("made", [1, FEW + 2])
def test_wrong_arguments_are_refused_in_the_same_words(kind: Any, made: int) -> None:
    for _ in range(made):
        kind(1)
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'a'"):
        kind()
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'd'"):
        kind(1, d=3)
    with pytest.raises(TypeError, match=r"multiple values for argument 'a'"):
        kind(1, a=2)
    with pytest.raises(TypeError, match=r"takes from 2 to 4 positional arguments but 5 were given"):
        kind(1, "b", [], 4)


@pytest.mark.parametrize("kind", [Light, Heavy])
def test_a_frozen_one_stays_as_it_is_and_can_be_copied(kind: Any) -> None:
    one = kind(1, c=[1])
    with pytest.raises(FrozenInstanceError):
        one.a = 2
    with pytest.raises(FrozenInstanceError):
        del one.a
    with pytest.raises((AttributeError, TypeError)):
        one.other = 2
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again == one
        assert again.c == [1]


def test_the_standard_librarys_functions_know_it() -> None:
    one = Light(1, c=[1])
    assert dataclasses.is_dataclass(one)
    assert [each.name for each in dataclasses.fields(one)] == ["a", "b", "c"]
    assert dataclasses.asdict(one) == asdict(one) == {"a": 1, "b": "b", "c": [1]}
    assert dataclasses.replace(one, a=2) == replace(one, a=2) == Light(2)
    match one:
        case Light(a, b):
            assert (a, b) == (1, "b")


def test_one_that_is_not_frozen_can_be_changed_and_has_no_hash() -> None:
    one = Open()
    one.a = 5
    one.b["x"] = 1
    assert Open().b == {}
    assert repr(one) == "Open(a=5)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_fields_of_the_base_come_first() -> None:
    one = Below(3, {}, "d")
    assert (one.a, one.b, one.c) == (3, {}, "d")
    assert repr(one) == "Below d"
    assert Below(1) != Open(1)


def test_properties_and_docstrings_are_kept() -> None:
    assert Light(2).doubled == 4
    assert Light.__doc__ == "As most are."
    assert Light.kind == "light"
    assert not hasattr(Light(1), "__dict__")
