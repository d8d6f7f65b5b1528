"""Dataclasses that cost next to nothing to declare.

`dataclasses` writes and compiles the source of six methods for each class, half a millisecond each; a run declares a
hundred and makes instances of a third. `record` gives the same class with methods that all records share, and compiles
its `__init__` when it has made so many instances that it pays. To a type checker it is the standard one; fields
are declared with `dataclasses.field`. `replace` and `asdict` of here are quick; those of `dataclasses` work, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, field, make_dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

FEW = 8
"""Instances that are made before an `__init__` is compiled."""
_set = object.__setattr__


class _Part(NamedTuple):
    name: str
    default: Any
    factory: Any
    compared: bool
    shown: bool


class _Plan:
    """What all methods know of one record class."""

    __slots__ = ("cls", "fields", "key", "made", "names", "parts", "then")

    def __init__(self, cls: Any, parts: Mapping[str, _Part]) -> None:
        self.cls = cls
        self.parts = tuple(parts.values())
        self.names = frozenset(parts)
        compared = [part.name for part in self.parts if part.compared]
        self.key: Callable[[Any], Any] = attrgetter(*compared) if compared else lambda one: ()
        self.then: Any = getattr(cls, "__post_init__", None)
        self.made = 0
        self.fields: Any = None


class _Fields:
    """`__dataclass_fields__`, made when somebody asks."""

    def __get__(self, instance: object, owner: type[Any]) -> Mapping[str, Field[Any]]:
        plan: _Plan = _plan_of(owner)
        if plan.fields is None:
            given = [(part.name, Any, _field(part)) for part in plan.parts]
            plan.fields = vars(make_dataclass(owner.__name__, given))["__dataclass_fields__"]
        found: Mapping[str, Field[Any]] = plan.fields
        return found


def _field(part: _Part) -> Any:
    if part.factory is not MISSING:
        return field(default_factory=part.factory, compare=part.compared, repr=part.shown)
    return field(default=part.default, compare=part.compared, repr=part.shown)


def _dataclass(
    cls: type[Any] | None = None, /, *, frozen: bool = False, slots: bool = False, order: bool = False
) -> Any:
    """The class decorator; options as those of `dataclasses.dataclass`."""
    if cls is None:
        return lambda found: _made(found, frozen=frozen, slots=slots, order=order)
    return _made(cls, frozen=frozen, slots=slots, order=order)


def _made(found: Any, *, frozen: bool, slots: bool, order: bool) -> Any:
    cls: Any = found
    parts: dict[str, _Part] = {}
    for base in reversed(cls.__mro__[1:]):
        if "__record__" in vars(base):
            parts |= {part.name: part for part in base.__record__.parts}
    inherited = set(parts)
    body = dict(vars(cls))
    for name, annotation in body.get("__annotations__", {}).items():
        if not str(annotation).startswith(("ClassVar", "typing.ClassVar")):
            parts[name] = _part(name, body.get(name, MISSING))
    cls = _with_slots(cls, body, parts, inherited) if slots else _without_fields(cls, body)
    _give_methods(cls, body, frozen=frozen, order=order)
    cls.__record__ = _Plan(cls, parts)
    cls.__dataclass_fields__ = _Fields()
    setattr(cls, "__match_args__", tuple(parts))  # noqa: B010  assigning it is what type checkers forbid
    return cls


def _part(name: str, found: Any) -> _Part:
    if isinstance(found, Field):
        return _Part(name, found.default, found.default_factory, bool(found.compare), found.repr)
    return _Part(name, found, MISSING, True, True)


def _with_slots(cls: Any, body: dict[str, Any], parts: Mapping[str, _Part], inherited: set[str]) -> Any:
    """The class once more: slots are only given when a class is made."""
    kept = {name: value for name, value in body.items() if name not in parts}
    kept.pop("__dict__", None)
    kept.pop("__weakref__", None)
    kept["__slots__"] = tuple([name for name in parts if name not in inherited])
    return type(cls)(cls.__name__, cls.__bases__, kept)


def _without_fields(cls: Any, body: Mapping[str, Any]) -> Any:
    for name, value in body.items():
        if isinstance(value, Field):
            if value.default is MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, value.default)
    return cls


def _give_methods(cls: Any, body: Mapping[str, Any], *, frozen: bool, order: bool) -> None:
    given: dict[str, Any] = {"__init__": _init, "__repr__": _repr, "__eq__": _eq}
    if "__hash__" not in body or ("__eq__" in body and body["__hash__"] is None):
        given["__hash__"] = _hash if frozen else None
    if order:
        given |= {"__lt__": _lt, "__le__": _le, "__gt__": _gt, "__ge__": _ge}
    for name, method in given.items():
        if name not in body or name == "__hash__":
            setattr(cls, name, method)
    if frozen:
        cls.__setattr__, cls.__delattr__ = _refuse_set, _refuse_delete
        cls.__getstate__, cls.__setstate__ = _state, _be


# ------------------------------------------------------------------------------------------------------------- methods


def _init(self: Any, /, *args: Any, **given: Any) -> None:
    plan = _plan_of(type(self))
    plan.made += 1
    parts = plan.parts
    if plan.made > FEW or len(args) > len(parts):
        _compile_init(plan)
        plan.cls.__init__(self, *args, **given)
        return
    values: dict[str, Any] = dict(zip([part.name for part in parts], args, strict=False))
    for name, default, factory, _, _ in parts[len(args) :]:
        if name in given:
            values[name] = given.pop(name)
        elif factory is not MISSING:
            values[name] = factory()
        elif default is not MISSING:
            values[name] = default
    if given or len(values) != len(parts):  # the compiled one says what is wrong
        _compile_init(plan)
        plan.cls.__init__(self, *args, **given)
        return
    for name, value in values.items():
        _set(self, name, value)
    if plan.then is not None:
        self.__post_init__()


def _plan_of(cls: Any) -> _Plan:
    """Of the record whose `__init__` this is: the class itself, or the nearest of its bases."""
    plan: _Plan = vars(cls).get("__record__") or cls.__record__
    return plan


def _compile_init(plan: _Plan) -> None:
    scope: dict[str, Any] = {"_set": _set, "_new": object()}
    heads, lines = ["self"], []
    line = " self.{} = {}" if plan.cls.__setattr__ is object.__setattr__ else " _set(self, {!r}, {})"
    for part in plan.parts:
        name = part.name
        if part.factory is not MISSING:
            scope[f"_make_{name}"] = part.factory
            heads.append(f"{name}=_new")
            lines.append(line.format(name, f"_make_{name}() if {name} is _new else {name}"))
            continue
        if part.default is not MISSING:
            scope[f"_is_{name}"] = part.default
        heads.append(name if part.default is MISSING else f"{name}=_is_{name}")
        lines.append(line.format(name, name))
    lines.append(" self.__post_init__()" if plan.then is not None else " return None")
    exec(f"def __init__({', '.join(heads)}):\n" + "\n".join(lines), scope)
    made = scope["__init__"]
    made.__qualname__ = f"{plan.cls.__qualname__}.__init__"
    plan.cls.__init__ = made


def _repr(self: Any) -> str:
    shown = [f"{part.name}={getattr(self, part.name)!r}" for part in self.__record__.parts if part.shown]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    key = self.__record__.key
    return key(self) == key(other)


def _hash(self: Any) -> int:
    return hash(self.__record__.key(self))


def _lt(self: Any, other: Any) -> Any:
    return self.__record__.key(self) < self.__record__.key(other) if type(other) is type(self) else NotImplemented


def _le(self: Any, other: Any) -> Any:
    return self.__record__.key(self) <= self.__record__.key(other) if type(other) is type(self) else NotImplemented


def _gt(self: Any, other: Any) -> Any:
    return self.__record__.key(self) > self.__record__.key(other) if type(other) is type(self) else NotImplemented


def _ge(self: Any, other: Any) -> Any:
    return self.__record__.key(self) >= self.__record__.key(other) if type(other) is type(self) else NotImplemented


def _refuse_set(self: Any, name: str, value: object) -> None:
    if type(self) is self.__record__.cls or name in self.__record__.names:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    _set(self, name, value)


def _refuse_delete(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, part.name) for part in self.__record__.parts]


def _be(self: Any, state: list[Any]) -> None:
    for part, value in zip(self.__record__.parts, state, strict=True):
        _set(self, part.name, value)


def _replace(one: Any, /, **changes: Any) -> Any:
    """As `dataclasses.replace`."""
    return type(one)(**{part.name: getattr(one, part.name) for part in one.__record__.parts} | changes)


def _asdict(one: Any) -> Any:
    """As `dataclasses.asdict`, for records of plain values and of other records."""
    return {part.name: _plain(getattr(one, part.name)) for part in one.__record__.parts}


def _plain(value: Any) -> Any:
    if hasattr(type(value), "__record__"):
        return _asdict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, replace
else:
    asdict, dataclass, replace = _asdict, _dataclass, _replace

__all__ = ["asdict", "dataclass", "replace"]
