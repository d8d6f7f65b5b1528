"""What the catalogue says of each plugin, for people: gathered once, shown by `chaosrunner catalog`, written to
`docs/catalogue.md`, printed as JSON. Everything comes from the plugin's own file; an installed plugin is imported to
be shown, and one that breaks its contract is shown with its defect."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from chaosrunner import catalog, contract
from chaosrunner.errors import PluginDefect
from chaosrunner.files import fields
from chaosrunner.files.node import Spot
from chaosrunner.files.reader import read
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.ports import Fault, Plugin, Probe
from chaosrunner.records.light import dataclass

DEEPEST = 4
"""Levels of nested fields that a table shows."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of a table of fields."""

    name: str
    """Dotted where it is nested; `NAME` and `[]` stand for a key of the author's own and for any item."""
    type: str
    default: str
    """As it would be written; empty: none."""
    required: bool
    meaning: str
    limits: str = ""
    """`at least 1MiB, at most 2GiB`, as the field's own type is written; empty: none."""


@dataclass(frozen=True, slots=True)
class Page:
    """One plugin."""

    role: str
    kind: str
    summary: str = ""
    text: str = ""
    """The rest of its docstring."""
    parameters: tuple[Parameter, ...] = ()
    example: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """Further words about it: (what, value)."""
    defect: str = ""
    """Why it cannot be used; everything else is then empty."""


def page(role: str, kind: str) -> Page:
    """Of one plugin; a defect is a page too."""
    try:
        plugin = catalog.find(role, kind)
    except PluginDefect as defect:
        return Page(role, kind, defect=str(defect))
    if problems := contract.defects(role, kind, plugin):
        return Page(role, kind, defect=str(catalog.broken(role, kind, plugin, problems)))
    summary, text = _said(plugin)
    model = plugin.Params if issubclass(plugin, Plugin) else plugin.Spec
    return Page(
        role=role,
        kind=kind,
        summary=summary,
        text=text,
        parameters=tuple(parameters(model)),
        example=textwrap.dedent(plugin.example).strip() if issubclass(plugin, Plugin) else "",
        facts=tuple(_facts(plugin)),
    )


def pages(*, only_own: bool = False) -> list[Page]:
    """Of all plugins, by role and kind."""
    return [
        page(role, kind)
        for role in catalog.ROLES
        for kind in catalog.kinds(role)
        if catalog.is_own(role, kind) or not only_own
    ]


def _said(plugin: type[Any]) -> tuple[str, str]:
    """A docstring's first sentence, and the rest of it."""
    first, _, rest = inspect.cleandoc(plugin.__doc__ or "").partition("\n\n")
    first = " ".join(first.split())
    sentence, stop, more = first.partition(". ")
    text = "\n\n".join(part for part in (more, rest) if part)
    return sentence + ("." if stop else ""), text


def _passed_on(plugin: type[Any]) -> Iterator[tuple[str, str]]:
    """What it tells later steps, and where it may be told something by earlier ones."""
    if reports := getattr(plugin, "reports", {}):
        yield "reports", "; ".join(f"`{word}`, {meaning}" for word, meaning in reports.items())
    if late := getattr(plugin, "late", {}):
        yield "an earlier step may tell", ", ".join(f"`{name}`" for name in late)


def _facts(plugin: type[Any]) -> Iterator[tuple[str, str]]:
    if issubclass(plugin, Fault):
        yield "platforms", ", ".join(sorted(plugin.platforms))
        yield "acts on", ", ".join(sorted(plugin.acts_on))
        yield "lasts", "over at once; the step has `observe`" if plugin.instant else "as long as the step's `for`"
        yield "class", plugin.fault_class
        if plugin.needs:
            yield "needs", "; ".join(_rights(plugin.needs))
        if (params := _example_params(plugin, "with")) is not None:
            yield "in the example it", _phrase(plugin.does(params))
            yield "and undoes it", _phrase(plugin.undoes(params))
    elif issubclass(plugin, Probe) and (params := _example_params(plugin, plugin.kind)) is not None:
        if unit := plugin.unit(params):
            yield "reads in", unit
        if lag := plugin.lag(params):
            yield "lag", f"{lag:g} s"
        yield "when it gets no answer", "the system did not answer" if plugin.answers else "there is no reading"
    yield from _passed_on(plugin)


def _rights(needs: Iterable[str]) -> list[str]:
    """Permissions with what is needed in the same way told together: `get, delete pods, pods/eviction`."""
    verbs: dict[str, list[str]] = {}
    for need in needs:
        verb, _, what = need.partition(" ")
        verbs.setdefault(what, []).append(verb)
    together: dict[str, list[str]] = {}
    for what, ways in verbs.items():
        together.setdefault(", ".join(ways), []).append(what)
    return [f"{ways} {', '.join(whats)}".strip() for ways, whats in together.items()]


def _phrase(said: str) -> str:
    return " ".join(said.split())


def _example_params(plugin: type[Any], key: str) -> Any:
    """The parameters of a plugin's example as the plugin reads them; None if the example shows none that are right."""
    spot = example_spot(plugin.example)
    if spot is None:
        return None
    below = spot.child(key)
    try:
        return plugin.Params.model_validate((below.value if below else None) or {}, by_alias=True, by_name=False)
    except ValueError:
        return None


def example_spot(example: str) -> Spot | None:
    """A plugin's example as it was read: the step, the measure, or the mapping that it stands in."""
    documents = read(textwrap.dedent(example).encode(), "example").documents
    if not documents:
        return None
    first = documents[0]
    if isinstance(first.value, list):
        return first.child(0)
    return first


# ---------------------------------------------------------------------------------------------------- tables of fields


def parameters(model: type[Frozen]) -> Iterator[Parameter]:
    """The fields of a model as rows, nested ones below their own."""
    yield from _rows(model, "", ())


def _rows(model: type[Frozen], prefix: str, above: tuple[type[Frozen], ...]) -> Iterator[Parameter]:
    for name, info in fields.fields_of(model).items():
        annotation = fields.annotation_of(info)
        yield Parameter(
            name=prefix + name,
            type=fields.words(annotation, short=True),
            default=_default(info, annotation),
            required=info.is_required(),
            limits=limits(info, annotation),
            meaning=" ".join((fields.meaning_of(model, name) or _of_its_model(annotation)).split()),
        )
        if len(above) < DEEPEST:
            for step, inner in fields.models_below(annotation):
                if inner not in above and inner is not model:
                    yield from _rows(inner, f"{prefix}{name}{step}.", (*above, model))


def _of_its_model(annotation: Any) -> str:
    """What a model says of itself, for a field that says nothing."""
    return next((model.__doc__ or "" for step, model in fields.models_below(annotation) if not step), "")


_BOUNDS = (
    ("ge", "at least"),
    ("gt", "more than"),
    ("le", "at most"),
    ("lt", "less than"),
    ("multiple_of", "a multiple of"),
)
_LENGTHS = (("min_length", "at least"), ("max_length", "at most"))


def limits(info: FieldInfo, annotation: Any) -> str:
    """What a field's constraints allow, written as its values are: `more than 0s, at most 2s`; empty: anything."""
    said = []
    for note in info.metadata:
        for name, words in _BOUNDS:
            if (bound := getattr(note, name, None)) is not None:
                said.append(f"{words} {_written(annotation, bound)}")
        for name, words in _LENGTHS:
            if (length := getattr(note, name, None)) is not None:
                many = "" if length == 1 else "s"
                text = any(arm.kind is str for arm in fields.arms(annotation))
                said.append(f"{words} {length} {f'character{many}' if text else 'entry' if length == 1 else 'entries'}")
    return ", ".join(said)


def _default(info: FieldInfo, annotation: Any) -> str:
    value = info.get_default(call_default_factory=True) if not info.is_required() else None
    if value is None or value in ((), {}, []) or isinstance(value, Frozen):
        return ""
    return _written(annotation, value)


def _written(annotation: Any, value: Any) -> str:
    """A value of a field's type as files write it."""
    written: object = TypeAdapter(annotation).dump_python(value, mode="json", warnings=False)
    if isinstance(written, bool):
        return str(written).lower()
    return f"{written:g}" if isinstance(written, float) else str(written)


def as_json(one: Page) -> JsonObject:
    """The stable shape of `catalog --json`."""
    return {
        "role": one.role,
        "kind": one.kind,
        "summary": one.summary,
        "text": one.text,
        "parameters": [
            {
                "name": row.name,
                "type": row.type,
                "limits": row.limits,
                "default": row.default,
                "required": row.required,
                "meaning": row.meaning,
            }
            for row in one.parameters
        ],
        "example": one.example,
        "facts": dict(one.facts),
        "defect": one.defect,
    }
