"""All that a plugin's class must keep beyond its shape: its words, its example, the vocabularies that it draws from.

`chaosrunner catalog` and the contract tests hold a plugin against this, a run only against the shape
(`catalog.defects`): what is looked at here cannot break one, and takes longer.
"""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, get_args

from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.files import fields
from chaosrunner.files.reader import read
from chaosrunner.model.experiment import FaultStep
from chaosrunner.model.frozen import Frozen, Parameters, complaint
from chaosrunner.model.hypothesis import Measure
from chaosrunner.model.passing import OF_FAULTS
from chaosrunner.model.quantities import UNITS
from chaosrunner.model.secret import SecretRef
from chaosrunner.model.step_values import WORDS
from chaosrunner.model.words import ActsOn, FaultClass
from chaosrunner.ports import Fault, Plugin, Probe, Runbook

LEAST_SAID = 60
"""Characters of a plugin's docstring."""
ELSEWHERE = ("kubernetes",)
"""Platforms that a fault may name although they are not installed."""


def defects(role: str, kind: str, plugin: type[Any]) -> list[str]:
    """Everything in which a plugin breaks its contract, as clauses; empty: nothing."""
    found = catalog.defects(role, kind, plugin)
    if found:
        return found  # what follows needs a whole class
    model = plugin.Params if issubclass(plugin, Plugin) else plugin.Spec
    found += _unsaid(plugin, model)
    if issubclass(plugin, Fault):
        found += _unknown_words(plugin)
    if issubclass(plugin, Fault | Probe):
        found += _passed_on(plugin)
    if issubclass(plugin, Plugin):
        found += _example(role, kind, plugin)
    return found


# --------------------------------------------------------------------------------------------------------------- words


def _unsaid(plugin: type[Any], model: type[Frozen]) -> Iterator[str]:
    said = inspect.cleandoc(plugin.__doc__ or "")
    if len(said) < LEAST_SAID:
        yield f"its docstring says too little: {len(said)} characters, expected at least {LEAST_SAID}"
    if not said.endswith("."):
        yield "its docstring does not end with a full stop"
    if not (model.__doc__ or "").strip() or model.__doc__ == Parameters.__doc__:
        yield f"{model.__name__} has no docstring"
    for name, info in fields.fields_of(model).items():
        told = fields.meaning_of(model, name) or any(below.__doc__ for _, below in fields.models_below(info.annotation))
        if not told:
            yield f"its parameter `{name}` has no docstring below it"


def _unknown_words(plugin: type[Fault[Any]]) -> Iterator[str]:
    yield from _outside("platforms", plugin.platforms, {*catalog.kinds("platforms"), *ELSEWHERE})
    yield from _outside("acts_on", plugin.acts_on, ActsOn)
    yield from _outside("fault_class", [plugin.fault_class], FaultClass)
    for name, way in plugin.harder.items():
        info = plugin.Params.model_fields.get(name)
        if info is None:
            near = catalog.nearest(name, list(plugin.Params.model_fields))
            hint = f", did you mean {near!r}?" if near else ""
            yield f"harder: it has no parameter {name!r} (by its Python name){hint}"
        elif not any(_is_number(arm.kind) for arm in fields.arms(info.annotation)):
            yield f"harder: {name!r} is no number"
        if way not in ("more", "less"):
            yield f"harder: {name!r} is {way!r}, expected 'more' or 'less'"


def _passed_on(plugin: type[Fault[Any] | Probe[Any]]) -> Iterator[str]:
    """What earlier steps may tell it, and what it tells later ones."""
    names = {info.alias or name: info for name, info in plugin.Params.model_fields.items()}
    for path in plugin.late:
        first = path.partition(".")[0]
        if first not in names:
            near = catalog.nearest(first, list(names))
            yield f"late: it has no parameter {first!r} (as files write it)" + (
                f", did you mean {near!r}?" if near else ""
            )
        elif issubclass(plugin, Fault) and first in plugin.harder:
            yield f"late: {first!r} says how hard it is (`harder`), which must be known before"
        elif any(_may_hold_secret(arm.kind) for arm in fields.arms(names[first].annotation)) and "." not in path:
            yield f"late: {first!r} may hold a secret"
    for word in plugin.reports if issubclass(plugin, Fault) else ():
        if word in {**WORDS, **OF_FAULTS} or not word.isidentifier():
            yield f"reports: {word!r} is no word, or one that has a meaning already"


def _may_hold_secret(kind: Any) -> bool:
    return kind is SecretRef or any(_may_hold_secret(one) for one in get_args(kind))


def _is_number(kind: Any) -> bool:
    return kind in (int, float) or any(_is_number(one) for one in get_args(kind))


def _outside(what: str, words: Iterable[str], known: Iterable[str] | type[StrEnum]) -> Iterator[str]:
    expected = sorted(map(str, known))
    if isinstance(words, str):
        yield f"{what} is text, expected a frozenset of words"
        return
    for word in sorted(map(str, words)):
        if word not in expected:
            near = catalog.nearest(word, expected)
            yield f"{what}: unknown {word!r}, " + (
                f"did you mean {near!r}?" if near else f"expected one of {', '.join(expected)}"
            )


# ------------------------------------------------------------------------------------------------------------- example


def _example(role: str, kind: str, plugin: type[Plugin[Any]]) -> list[str]:
    document = read(textwrap.dedent(plugin.example).encode(), "example")
    if document.problems:
        return [f"its example is no YAML: {problem}" for problem in document.problems]
    if len(document.documents) != 1:
        return ["its example is not one document"]
    shown = document.documents[0].value
    try:
        if issubclass(plugin, Fault):
            return list(_step(kind, plugin, shown))
        if issubclass(plugin, Probe):
            return list(_measure(kind, plugin, shown))
        return list(_entry(role, kind, plugin, shown))
    except ValidationError as error:
        return [f"its example is wrong: {complaint(problem)}" for problem in error.errors(include_url=False)]


def _step(kind: str, plugin: type[Fault[Any]], shown: Any) -> Iterator[str]:
    if not isinstance(shown, list) or len(shown) != 1:
        yield "its example is not a list of one step (`- fault: …`)"
        return
    step = FaultStep.model_validate(shown[0], by_alias=True, by_name=False)
    if step.fault != kind:
        yield f"its example shows the fault {step.fault!r}, not {kind!r}"
        return
    if step.target is None and "nothing" not in plugin.acts_on:
        yield "its example has no `target`"
    if plugin.instant and step.for_ is not None:
        yield "its example has `for`, and it is over at once: `observe`"
    if not plugin.instant and (step.for_ is None or step.observe is not None):
        yield "its example says with `for` how long it lasts, and has no `observe`"
    params = _params(plugin, step.with_)
    yield from _kept(plugin, params)
    for name, sentence in (("does", plugin.does(params)), ("undoes", plugin.undoes(params))):
        if not sentence.endswith(".") or not (sentence[0].isupper() or sentence[0].isdigit()):
            yield f"{name} says {sentence!r}, expected a sentence"


def _measure(kind: str, plugin: type[Probe[Any]], shown: Any) -> Iterator[str]:
    if not isinstance(shown, dict):
        yield f"its example is not a mapping (`{kind}: …`)"
        return
    measure = Measure.model_validate({"name": "example", **shown})
    if measure.probe != kind:
        yield f"its example shows the probe {measure.probe!r}, not {kind!r}"
        return
    params = _params(plugin, measure.params)
    yield from _kept(plugin, params)
    if (unit := plugin.unit(params)) is not None and unit not in UNITS:
        yield f"unit: unknown {unit!r}, expected one of {', '.join(UNITS)}"
    if (lag := plugin.lag(params)) < 0:
        yield f"lag is {lag:g} s, expected 0 or more"
    if (sort := plugin.kind_of(params)) not in (None, "latency", "ratio", "rate"):
        yield f"kind_of is {sort!r}, expected latency, ratio, rate or None"


_KEYS = {"notifiers": "notify"}
"""Where a role stands in files, if not under its own name."""


def _entry(role: str, kind: str, plugin: type[Plugin[Any]], shown: Any) -> Iterator[str]:
    """Of the other roles: `tracker: {KIND: …}`, `notify: [{KIND: …}]`."""
    key = _KEYS.get(role, role[:-1])
    given = shown.get(role, shown.get(key)) if isinstance(shown, dict) and len(shown) == 1 else None
    entry = given[0] if isinstance(given, list) and len(given) == 1 else given
    if not isinstance(entry, dict):
        yield f"its example is not `{role[:-1]}: {{{kind}: …}}`"
    elif list(entry) != [kind]:
        yield f"its example shows the {role[:-1]} {', '.join(map(str, entry)) or 'nothing'!r}, not {kind!r}"
    else:
        params = _params(plugin, entry[kind])
        yield from _kept(plugin, params)
        if issubclass(plugin, Runbook) and not (said := plugin.does(params)).endswith("."):
            yield f"does says {said!r}, expected a sentence"


def _params(plugin: type[Plugin[Any]], written: Any) -> Any:
    """As files write them."""
    return plugin.Params.model_validate({} if written is None else written, by_alias=True, by_name=False)


def _kept(plugin: type[Plugin[Any]], params: Parameters) -> Iterator[str]:
    """Whether they come back from a journal as they were."""
    try:
        again = plugin.Params.model_validate(json.loads(json.dumps(params.as_json())))
    except ValidationError as error:
        said = complaint(error.errors(include_url=False)[0])
        yield f"the example's parameters cannot be read again from JSON: {said}"
        return
    if again != params:
        yield f"the example's parameters are others when read again from JSON: {again.as_json()}"
