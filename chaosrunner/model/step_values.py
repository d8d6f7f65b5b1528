"""What a step of the method may say about the targets of an earlier one: `${steps.ID.WORD}`.

Targets are chosen when the plan is made, before anything is broken, so a plan shows what stands there in a run. What an
earlier step reports in the run is in `model.passing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from chaosrunner.errors import UsageError
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.target import Target
from chaosrunner.records.patterns import pattern

WORDS: Mapping[str, str] = {
    "target": "the name of its one target",
    "targets": "the names of all its targets; within other text with commas between them",
    "count": "how many targets it has",
    "service": "the service of its one target",
    "pod": "Kubernetes: the pod that its one target is, without the namespace",
    "namespace": "Kubernetes: the namespace of its one target",
    "node": "Kubernetes: the node that its one target runs on",
    "ip": "Kubernetes: the address of its one target",
    "link": "the link of its one target",
}
"""After `${steps.ID.`, and what each stands for."""
USE = pattern(r"(?<!\$)\$\{steps\.([^}]*)\}")


def uses(value: JsonValue) -> Iterator[str]:
    """What stands between `${steps.` and `}` in all texts of a value."""
    if isinstance(value, str):
        yield from (match[1] for match in USE.finditer(value))
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from uses(item)


def put_in(
    value: JsonValue, by_step: Mapping[str, Sequence[Target]], later: Collection[str] = frozenset()
) -> JsonValue:
    """The value with what is known of the steps in it. Text that is nothing but `${steps.ID.targets}` or `.count`
    becomes a list or a number; as an item of a list, a list's items take its place. What stands in `later` is left.

    Raises `UsageError` where a step is not known, or its targets have no such thing.
    """
    if isinstance(value, str):
        return _text(value, by_step, later)
    if isinstance(value, dict):
        return {name: put_in(item, by_step, later) for name, item in value.items()}
    if isinstance(value, list):
        items: list[JsonValue] = []
        for item in value:
            put = put_in(item, by_step, later)
            items += put if isinstance(put, list) and isinstance(item, str) else [put]
        return items
    return value


def _text(text: str, by_step: Mapping[str, Sequence[Target]], later: Collection[str]) -> JsonValue:
    if "${steps." not in text:
        return text
    alone = USE.fullmatch(text)
    if alone is not None:
        return text if alone[1] in later else _value(alone[1], by_step)

    def within(use: str) -> str:
        if use in later:
            return f"${{steps.{use}}}"
        value = _value(use, by_step)
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    return USE.sub(lambda match: within(match[1]), text)


def _value(use: str, by_step: Mapping[str, Sequence[Target]]) -> JsonValue:
    step, _, word = use.rpartition(".")
    if step not in by_step:
        known = ", ".join(by_step) or "none"
        raise UsageError(f"${{steps.{use}}} names no earlier step; known are {known}")
    targets = by_step[step]
    if word == "targets":
        return [target.name for target in targets]
    if word == "count":
        return len(targets)
    if len(targets) != 1:
        raise UsageError(f"${{steps.{use}}} is about one target, and the step {step} has {len(targets)}")
    (target,) = targets
    found = {"target": target.name, "service": target.service}.get(word, target.details.get(word))
    if not isinstance(found, str):
        raise UsageError(f"${{steps.{use}}}: the target {target.name} of the step {step} has no {word}")
    return found
