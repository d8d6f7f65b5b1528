"""Models that are quick to declare, and quick to read where what is read is plainly right.

Importing pydantic and building its models takes longer than a short run. So a model is an ordinary class at run time,
and reads what it is given by itself: it takes only what pydantic would take, and makes the same of it. Wherever it is
not sure (`Doubt`), pydantic decides and says what is wrong: `law` makes the same model of pydantic's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, NoReturn, Self, TypeVar

from chaosrunner.records.declaring import Check, Field
from chaosrunner.records.parts import REQUIRED, Declared, Part, Shape, alias, default_of
from chaosrunner.records.readers import Doubt, said

__all__ = ["REQUIRED", "Quick", "alias", "plainly"]


class _FieldsOfLaw:
    """`Model.model_fields`: pydantic's."""

    def __get__(self, instance: object, owner: type[Quick]) -> Mapping[str, Any]:
        from chaosrunner.records.law import law

        model: Any = owner
        found: Mapping[str, Any] = law(model).model_fields
        return found


class Quick:
    """The base of all models at run time; what is used of pydantic's interface, it has."""

    __slots__ = ("__dict__", "__weakref__", "_given")
    model_config: ClassVar[Mapping[str, Any]] = {}
    model_fields: ClassVar[Any] = _FieldsOfLaw()
    model_declared: ClassVar[Mapping[str, Declared]] = {}
    model_checks: ClassVar[Mapping[str, Check]] = {}
    model_foreign: ClassVar[Mapping[str, Any]] = {}
    """Validators and defaults that are pydantic's own: such a model is always read by pydantic."""
    _ready: ClassVar[Shape | None] = None
    _given: frozenset[str]

    # -- declaring

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._ready = None
        declared: dict[str, Declared] = {}
        checks: dict[str, Check] = {}
        foreign: dict[str, Any] = {}
        for base in reversed(cls.__bases__):
            if issubclass(base, Quick):
                declared |= base.model_declared
                checks |= base.model_checks
                foreign |= base.model_foreign
        own = cls.__dict__
        for name, annotation in cls.__annotations__.items():
            if name[0] == "_" or name == "model_config" or "ClassVar" in str(annotation):
                continue
            default = own.get(name, REQUIRED)
            declared[name] = Declared(annotation, default, cls)
            if default is not REQUIRED:
                delattr(cls, name)
            if _is_pydantics(default):
                foreign[name] = default
        for name, value in [*own.items()]:
            if isinstance(value, Check):
                checks[name] = value
                delattr(cls, name)
            elif _is_pydantics(value):
                foreign[name] = value
        cls.model_declared, cls.model_checks, cls.model_foreign = declared, checks, foreign

    @classmethod
    def _shape(cls) -> Shape:
        if cls._ready is None:
            checks = cls.model_checks.values()
            parts = tuple([Part(name, declared, checks) for name, declared in cls.model_declared.items()])
            cls._ready = Shape(
                parts=parts,
                before=tuple([check for check in checks if check.mode == "before"]),
                after=tuple([check for check in checks if check.mode == "after"]),
                extra=cls.model_config.get("extra") == "ignore",
                called={part.alias: part for part in parts},
                defaults={part.name: part.default for part in parts},
                required=frozenset([part.alias for part in parts if part.default is REQUIRED]),
                copied=tuple([part for part in parts if part.copied]),
            )
        return cls._ready

    @classmethod
    def model_names(cls) -> list[str]:
        """The fields as files call them, without those that are not for files."""
        model: Any = cls
        return list(_names(model))

    @classmethod
    def model_knows(cls, word: str) -> bool:
        """Whether a field is called so, in files or here."""
        return word in cls.model_declared or any(alias(name) == word for name in cls.model_declared)

    @classmethod
    def model_default(cls, name: str) -> Any:
        """A field's default."""
        return default_of(cls.model_declared[name].default)

    # -- reading

    def __init__(self, /, **given: Any) -> None:
        try:
            self._fill(given, True)
        except Doubt:
            self.__dict__.clear()
            self._be(_judged(type(self), given))

    @classmethod
    def model_taken(cls, found: Any, by_name: bool) -> Self:
        """An instance of what is plainly right: a mapping, or what a validator makes one of. Raises `Doubt`.

        `by_name`: fields may also go by their Python names.
        """
        new = cls.__new__(cls)
        new._fill(found, by_name)
        return new

    def _fill(self, found: Any, by_name: bool) -> None:
        cls = type(self)
        if cls.model_foreign:
            raise Doubt
        shape = cls._ready or cls._shape()
        for check in shape.before:
            found = said(check.function, cls, found)
        if type(found) is not dict:
            raise Doubt
        if by_name or shape.extra:
            self._fill_by_part(shape, found, by_name)
        else:
            self._fill_by_name(shape, found)
        for check in shape.after:
            if said(check.function, self) is not self:
                raise Doubt

    def _fill_by_name(self, shape: Shape, found: dict[str, Any]) -> None:
        """What a file gives is mostly less than what there is."""
        if not shape.required <= found.keys():
            raise Doubt
        values, called = self.__dict__, shape.called
        values.update(shape.defaults)
        given = []
        for name, value in found.items():
            part = called.get(name)
            if part is None:
                raise Doubt
            values[part.name] = part.read(value, False)
            given.append(part.name)
        for part in shape.copied:
            if part.alias not in found:
                values[part.name] = part.default.copy()
        _set_given(self, frozenset(given))

    def _fill_by_part(self, shape: Shape, found: dict[str, Any], by_name: bool) -> None:
        values = self.__dict__
        given = []
        for part in shape.parts:
            name = part.name
            if part.alias in found:
                values[name] = part.read(found[part.alias], by_name)
            elif by_name and name in found:
                values[name] = part.read(found[name], by_name)
            elif part.default is REQUIRED:
                raise Doubt
            else:
                values[name] = part.default.copy() if part.copied else part.default
                continue
            given.append(name)
        if len(given) != len(found) and not shape.extra:
            raise Doubt
        _set_given(self, frozenset(given))

    def _be(self, other: Quick) -> None:
        self.__dict__.update(other.__dict__)
        _set_given(self, other._given)

    @classmethod
    def model_validate(cls, value: Any, *, by_alias: bool | None = None, by_name: bool | None = None) -> Self:
        """As pydantic's: raises its `ValidationError`."""
        if isinstance(value, cls):
            return value
        if by_alias is not False:
            try:
                return cls.model_taken(value, by_name is not False)
            except Doubt:
                pass
        result: Self = _judged(cls, value, by_alias=by_alias, by_name=by_name)
        return result

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """As pydantic's."""
        from chaosrunner.records.law import judged_json

        result: Self = judged_json(cls, text)
        return result

    @classmethod
    def model_construct(cls, _fields_set: object = None, **values: Any) -> Self:
        """An instance of values that are right, by their Python names; nothing is looked at."""
        if cls.model_foreign:
            from chaosrunner.records.law import constructed

            result: Self = constructed(cls, values)
            return result
        new = cls.__new__(cls)
        own = new.__dict__
        for part in (cls._ready or cls._shape()).parts:
            if part.name in values:
                own[part.name] = values[part.name]
            elif part.default is not REQUIRED:
                own[part.name] = part.default.copy() if part.copied else part.default
        _set_given(new, frozenset(values))
        return new

    # -- being

    @property
    def model_fields_set(self) -> frozenset[str]:
        """Names of the fields that were given."""
        return self._given

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """The same with some values changed, which are not looked at."""
        new = self.__copy__()
        if update:
            new.__dict__.update(update)
            _set_given(new, self._given | update.keys())
        return new

    def as_json(self) -> dict[str, Any]:
        """What files and journals hold: names of files, JSON values, nothing that is None."""
        cls = type(self)
        values = self.__dict__
        result = {}
        for part in (cls._ready or cls._shape()).parts:
            value = values.get(part.name)
            if value is not None:
                result[part.alias] = value if part.write is None else part.write(value)
        return result

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """As pydantic's."""
        from chaosrunner.records.law import of_law

        result: dict[str, Any] = of_law(self).model_dump(**options)
        return result

    def model_dump_json(self, **options: Any) -> str:
        """As pydantic's."""
        from chaosrunner.records.law import of_law

        result: str = of_law(self).model_dump_json(**options)
        return result

    @classmethod
    def model_json_schema(cls, **options: Any) -> dict[str, Any]:
        """As pydantic's."""
        from chaosrunner.records.law import law

        model: Any = cls
        found: dict[str, Any] = law(model).model_json_schema(**options)
        return found

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """So that models of pydantic's own may hold ours."""
        from chaosrunner.records.law import core_schema

        model: Any = cls
        return core_schema(model, handler)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __copy__(self) -> Self:
        new = self.__new__(type(self))
        new._be(self)
        return new

    def __getstate__(self) -> tuple[dict[str, Any], frozenset[str]]:
        return self.__dict__, self._given

    def __setstate__(self, state: tuple[dict[str, Any], frozenset[str]]) -> None:
        self.__dict__.update(state[0])
        _set_given(self, state[1])


M = TypeVar("M")


def plainly(model: type[M], value: Any) -> M | None:
    """What stands in a file as a model of ours; None where only pydantic can say whether it is right."""
    ours: Any = model
    try:
        found: M = ours.model_taken(value, False)
    except Doubt:
        return None
    return found


_set_given: Any = vars(Quick)["_given"].__set__


def _judged(model: type[Any], value: Any, **options: Any) -> Any:
    from chaosrunner.records.law import judged

    return judged(model, value, **options)


def _is_pydantics(value: Any) -> bool:
    return type(value).__module__.startswith("pydantic")


@cache
def _names(cls: type[Quick]) -> tuple[str, ...]:
    return tuple([alias(name) for name, declared in cls.model_declared.items() if not _internal(declared.default)])


def _internal(default: Any) -> bool:
    extra = default.options.get("json_schema_extra") if isinstance(default, Field) else None
    return bool(extra and extra.get("internal"))
