"""What the contract tests ask of plugins of the catalogue, for those that are not in it."""

from __future__ import annotations

import inspect
import json
import time
from typing import Any

import yaml

from chaosrunner import catalog
from chaosrunner.model.experiment import FaultStep
from chaosrunner.model.frozen import meanings
from chaosrunner.model.hypothesis import Measure
from chaosrunner.platforms.local import LocalPlatform
from chaosrunner.ports import Fault, Hold, Plugin
from tests.local_stage import RUN, Stage


def keeps_its_contract(role: str, kind: str, plugin: type[Plugin[Any]]) -> None:
    """Fails where the catalogue would refuse it, or the contract tests would."""
    assert catalog.defects(role, kind, plugin) == []
    unsaid = [name for name in plugin.Params.model_fields if not meanings(plugin.Params).get(name)]
    assert not unsaid, f"{kind}: {unsaid}"
    assert len(inspect.getdoc(plugin) or "") > 80
    example = yaml.safe_load(plugin.example)
    if issubclass(plugin, Fault):
        (step,) = (FaultStep.model_validate(one) for one in example)
        assert step.fault == kind
        params = plugin.Params.model_validate(step.with_)
        for sentence in (plugin.does(params), plugin.undoes(params)):
            assert sentence[0].isupper()
            assert sentence.endswith(".")
    else:
        measure = Measure.model_validate({"name": "m", **example})
        assert measure.probe == kind
        params = plugin.Params.model_validate(measure.params)
    assert plugin.Params.model_validate(json.loads(json.dumps(params.as_json()))) == params


async def opened(stage: Stage) -> LocalPlatform:
    """A platform whose services and link are up."""
    platform = stage.platform()
    await platform.system.up()
    await platform.open(RUN, lambda: True)
    return platform


async def on_the_link(stage: Stage, platform: LocalPlatform, plugin: type[Fault[Any]], **params: Any) -> Fault[Any]:
    """A fault on the stage's link, with a hold of its own."""
    target = await stage.target(platform, link="way")
    stage.number += 1
    hold = Hold(f"{RUN}.step.{stage.number}", RUN, time.time() + 30, 30)
    return plugin(plugin.Params.model_validate(params), target, platform, hold)
