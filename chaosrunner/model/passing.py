"""What a step passes on to later ones in a run: `${steps.ID.WORD}`, where WORD is known only when ID has run.

A plan is made, guarded and shown without such values, so they may stand only in parameters of which the plugin says
that neither targets nor time limits nor identity depend on them (`late` in `ports`). There a *stand-in* of the right
type takes their place until the run knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.step_values import USE, WORDS, uses

__all__ = ["OF_FAULTS", "OF_READS", "NotPassed", "Use", "known_when", "late_uses", "parted", "put_in_late", "stood_in"]

OF_READS: Mapping[str, str] = {
    "value": "what it read: a number, text or true/false; of text that is JSON also a part of it, `value.a.b`",
    "text": "the same as text",
}
"""What a step with `read` reports."""
OF_FAULTS: Mapping[str, str] = {
    "seen": "what was seen when it was in force for the first time, in words",
    "since": "when that was, in UTC: 2026-11-22T10:00:00Z",
}
"""What every fault reports."""
LONGEST = 10_000
"""Characters of a text, or of the JSON of anything else, that is passed on."""


class NotPassed(ValueError):
    """A value is not there, or is no such value as the parameter takes; the text says which and why."""


class Use(NamedTuple):
    """What stands between `${steps.` and `}`."""

    step: str
    word: str
    fields: tuple[str, ...] = ()
    """The way into what the word stands for: of `value.a.0`, `a` and `0`."""

    @property
    def planned(self) -> bool:
        """Whether it is known when the plan is made, if the step chose targets."""
        return self.word in WORDS and not self.fields


def parted(use: str, steps: Collection[str]) -> Use:
    """By the longest id that it begins with, as ids may have dots; of an unknown step the last part is the word."""
    known = [step for step in steps if use.startswith(f"{step}.")]
    if not known:
        step, _, word = use.rpartition(".")
        return Use(step, word)
    step = max(known, key=len)
    word, *fields = use[len(step) + 1 :].split(".")
    return Use(step, word, tuple(fields))


def is_late(use: Use, faults: Collection[str], reads: Collection[str]) -> bool:
    """Whether only the run knows it, of these steps."""
    return use.step in reads or (use.step in faults and not use.planned)


def late_uses(value: JsonValue, faults: Collection[str], reads: Collection[str]) -> Iterator[Use]:
    """Those of a value that only the run knows, of these steps."""
    for use in uses(value):
        one = parted(use, {*faults, *reads})
        if is_late(one, faults, reads):
            yield one


def known_when(found: Collection[Use]) -> str:
    """`known when first and second have run`."""
    steps = list(dict.fromkeys(use.step for use in found))
    return f"known when {' and '.join(steps)} {'has' if len(steps) == 1 else 'have'} run"


def stood_in(value: JsonValue, late: Mapping[str, JsonValue], path: str = "") -> JsonValue:
    """The value (a parameter, or all of them) with stand-ins for what the run will know; every use that is left in it
    is such a one. `late`: by a parameter's path (`undo.arguments`), a value of the type that it takes; None: any type.

    Raises `NotPassed` with the path of a parameter that must be known before.
    """
    if isinstance(value, dict):
        return {name: stood_in(item, late, f"{path}.{name}" if path else name) for name, item in value.items()}
    if isinstance(value, list):
        return [stood_in(item, late, path) for item in value]
    if not isinstance(value, str) or not any(uses(value)):
        return value
    may = takes(path, late)
    if may is None:
        raise NotPassed(path)
    if USE.fullmatch(value) is None:
        return USE.sub("1", value)
    return value if late[may] is None else late[may]


def takes(path: str, late: Mapping[str, JsonValue]) -> str | None:
    """Which of them a parameter, or a part of one, belongs to; None: to none."""
    return next((name for name in late if path == name or path.startswith(f"{name}.")), None)


Ask = Callable[[str], JsonValue]
"""What a use stands for; raises `NotPassed`."""


def put_in_late(value: JsonValue, ask: Ask, late: Mapping[str, JsonValue], path: str = "") -> JsonValue:
    """The value with what the run knows in it. Raises `NotPassed` where that is missing, or of another type than what
    stood in for it."""
    if isinstance(value, dict):
        return {name: put_in_late(item, ask, late, f"{path}.{name}" if path else name) for name, item in value.items()}
    if isinstance(value, list):
        return [put_in_late(item, ask, late, path) for item in value]
    if not isinstance(value, str):
        return value
    alone = USE.fullmatch(value)
    if alone is None:
        return USE.sub(lambda match: _within(match[1], ask(match[1])), value)
    told, may = ask(alone[1]), takes(path, late)
    expected = None if may is None else late[may]
    if expected is not None and _type(told) != _type(expected):
        raise NotPassed(f"${{steps.{alone[1]}}} is {_type(told)}, and `{path}` takes {_type(expected)}")
    return told


def _within(use: str, told: JsonValue) -> str:
    if isinstance(told, str):
        return told
    if told is None or isinstance(told, list | dict):
        raise NotPassed(f"${{steps.{use}}} is {_type(told)}, which cannot stand within a text")
    return as_text(told)


def as_text(value: JsonValue) -> str:
    """A number, text or truth as it stands in a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(value: JsonValue) -> str:
    kinds = ((bool, "true/false"), ((int, float), "a number"), (str, "text"), (list, "a list"), (dict, "a mapping"))
    return next((words for kind, words in kinds if isinstance(value, kind)), "nothing")


def part_of(told: JsonObject, use: Use) -> JsonValue:
    """What a use stands for in what its step reported. Text that is JSON is read where a part of it is asked for.

    Raises `NotPassed`.
    """
    said = f"${{steps.{'.'.join((use.step, use.word, *use.fields))}}}"
    if use.word not in told:
        raise NotPassed(f"{said}: the step {use.step} reported no {use.word}")
    value = told[use.word]
    if use.fields and isinstance(value, str):
        value = _read(value, said)
    for number, field in enumerate(use.fields):
        value = _below(value, field, f"{said}: {'.'.join((use.word, *use.fields[:number]))}")
    return value


def _read(text: str, said: str) -> JsonValue:
    import json

    try:
        found: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        raise NotPassed(f"{said}: what was read is no JSON: {text[:60]!r}") from None
    return found


def _below(value: JsonValue, field: str, where: str) -> JsonValue:
    if isinstance(value, dict) and field in value:
        return value[field]
    if isinstance(value, list) and field.isdecimal() and int(field) < len(value):
        return value[int(field)]
    has = (
        ", ".join(list(value)[:8])
        if isinstance(value, dict)
        else f"{len(value)} items"
        if isinstance(value, list)
        else ""
    )
    raise NotPassed(f"{where} has no {field!r}" + (f"; it has {has}" if has else f": it is {_type(value)}"))
