"""What holds for every probe of the catalogue."""

from __future__ import annotations

import inspect

import pytest
import yaml

from chaosrunner import catalog, contract
from chaosrunner.model.hypothesis import Measure
from chaosrunner.model.quantities import UNITS
from chaosrunner.records.meanings import meanings

KINDS = catalog.kinds("probes")


def test_the_catalogue_has_these_probes():
    assert set(KINDS) >= {"command", "http", "noop", "process", "prometheus", "tcp", "traffic"}


@pytest.fixture(params=KINDS)
def plugin(request):
    return catalog.find("probes", request.param)


def test_it_keeps_its_contract(plugin):
    assert contract.defects("probes", plugin.kind, plugin) == []


def test_its_example_stands_under_a_measure_as_it_is(plugin):
    measure = Measure.model_validate({"name": "m", **yaml.safe_load(plugin.example)})
    assert measure.probe == plugin.kind
    params = plugin.Params.model_validate(measure.params)
    again = plugin.Params.model_validate(params.as_json())
    assert again == params


def test_it_knows_unit_lag_and_sort_of_what_it_reads(plugin):
    params = plugin.Params.model_validate(yaml.safe_load(plugin.example)[plugin.kind])
    assert plugin.unit(params) in (None, *UNITS)
    assert plugin.lag(params) >= 0
    assert plugin.kind_of(params) in (None, "latency", "ratio", "rate")


def test_every_parameter_is_explained(plugin):
    models = [plugin.Params]
    for model in models:
        for name in model.model_fields:
            assert meanings(model).get(name), f"{plugin.kind}: {model.__name__}.{name} has no docstring"
    schema = catalog.schema("probes", plugin.kind)
    for name, definition in schema.get("$defs", {}).items():
        for field, shape in definition.get("properties", {}).items():
            assert "description" in shape or name.startswith("Secret"), f"{plugin.kind}: {name}.{field}"


def test_its_docstring_says_what_happens(plugin):
    assert len(inspect.getdoc(plugin) or "") > 60


async def test_closing_is_idempotent_also_before_it_was_opened(plugin, context):
    probe = plugin(plugin.Params.model_validate(yaml.safe_load(plugin.example)[plugin.kind]), context)
    await probe.close()
    await probe.close()


def test_an_unknown_parameter_is_refused(plugin):
    params = yaml.safe_load(plugin.example)[plugin.kind]
    with pytest.raises(ValueError, match="Extra inputs"):
        plugin.Params.model_validate({**params, "unheardOf": 1})
