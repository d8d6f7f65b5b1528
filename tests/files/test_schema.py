"""The JSON Schema agrees with `check`: what is right is valid, and it refuses only what is wrong."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from chaosrunner import catalog
from chaosrunner.files.documents import KINDS
from chaosrunner.files.reader import read
from chaosrunner.files.schema import schema
from chaosrunner.model.frozen import JsonObject
from chaosrunner.pages import example_spot
from chaosrunner.ports import Plugin
from tests.files.good import WHOLE, Mistake, changed
from tests.files.mistakes import DOCUMENTS, EXPERIMENTS, HYPOTHESES

ALL = [*DOCUMENTS, *HYPOTHESES, *EXPERIMENTS]
ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    file for name in ("environments", "experiments", "hypotheses", "suites") for file in (ROOT / name).glob("*.yaml")
)


@cache
def of(kind: str | None = None) -> JsonObject:
    """A schema, put together once for all tests of a process: that takes longer than most of them."""
    return schema(kind)


@cache
def validator(kind: str | None = None) -> Draft202012Validator:
    return Draft202012Validator(of(kind))


@cache
def errors(document: str) -> list[str]:
    """In one document, as JSON: a mistake is in one, and the others beside it are the same every time."""
    return [error.message for error in validator().iter_errors(json.loads(document))]


def refused(text: str) -> list[str]:
    return [error for spot in read(text.encode(), "f").documents for error in errors(json.dumps(spot.value))]


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_every_schema_is_one_by_its_dialect(kind: str | None) -> None:
    shape, shared = dict(of(kind)), of()["$defs"]
    json.dumps(shape, allow_nan=False)
    if kind is not None:  # what all share is looked at once, as a part of the whole
        definitions = shape.pop("$defs")
        assert isinstance(definitions, dict) and isinstance(shared, dict)
        assert all(shared[name] == definition for name, definition in definitions.items())
    Draft202012Validator.check_schema(shape)


def test_files_that_are_right_are_valid() -> None:
    assert not refused(WHOLE)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_file_is_valid(file: Path) -> None:
    assert not refused(file.read_text())


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_has_a_schema_of_its_own(kind: str) -> None:
    for spot in read(WHOLE.encode(), "f").documents:
        assert isinstance(spot.value, dict)
        assert validator(kind).is_valid(spot.value) == (spot.value["kind"] == kind)


@pytest.mark.parametrize("mistake", ALL, ids=[mistake.new.replace("‸", "") for mistake in ALL])
def test_a_mistake_is_refused_unless_only_check_can_tell(mistake: Mistake) -> None:
    text, _, _ = changed(mistake)
    if not read(text.encode(), "f").problems:
        assert bool(refused(text)) != mistake.only_check


def test_what_only_check_can_tell_is_the_smaller_part() -> None:
    assert sum(mistake.only_check for mistake in ALL) < len(ALL) / 3


def definitions(shape: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    if isinstance(shape, dict):
        found.append(shape)
        for item in shape.values():
            found += definitions(item)
    elif isinstance(shape, list):
        for item in shape:
            found += definitions(item)
    return found


def below(shape: JsonObject, *keys: str) -> JsonObject:
    for key in keys:
        found = shape[key]
        assert isinstance(found, dict)
        shape = found
    return shape


def test_a_measure_shows_its_probes_and_not_how_they_are_kept_inside() -> None:
    fields = below(of(), "$defs", "Measure", "properties")
    assert not {"probe", "params"} & set(fields)
    assert set(catalog.kinds("probes")) <= set(fields)


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    whole = of()
    defs = below(whole, "$defs")
    targets = {str(shape["$ref"]) for shape in definitions(whole) if "$ref" in shape}
    assert targets == {f"#/$defs/{name}" for name in defs}


def test_editors_can_show_what_a_field_means() -> None:
    title = below(of("Experiment"), "$defs", "ExperimentSpec", "properties", "title")
    assert title["description"] == "What is expected of the system, as a sentence."


@pytest.mark.parametrize("kind", catalog.kinds("faults"))
def test_every_example_of_a_fault_is_a_valid_step(kind: str) -> None:
    fault = catalog.find("faults", kind)
    assert issubclass(fault, Plugin)
    step = example_spot(fault.example)
    assert step is not None
    experiment = of("Experiment")
    only_steps = {"$ref": "#/$defs/FaultStep", "$defs": experiment["$defs"]}
    assert not list(Draft202012Validator(only_steps).iter_errors(step.value))


def test_every_field_is_described_and_the_examples_beside_them_are_right() -> None:
    whole = of()
    shapes = whole["$defs"]
    assert isinstance(shapes, dict)
    fields = [
        (f"{name}.{field}", inner)
        for name, shape in shapes.items()
        for field, inner in (shape.get("properties") or {}).items()
        if isinstance(inner, dict) and "$ref" not in inner
    ]
    assert len(fields) > 500
    assert [name for name, inner in fields if not inner.get("description")] == []
    shown = [one for one in fields if one[1].get("examples")]
    assert len(shown) > 0.55 * len(fields)
    wrong = [
        name
        for name, inner in shown
        for example in inner["examples"]
        if not Draft202012Validator({**inner, "$defs": shapes}).is_valid(example)
    ]
    assert wrong == []
