"""What the contract tests ask of plugins of the catalogue, for those that are not in it."""

from __future__ import annotations

import time
from typing import Any

from chaosrunner import contract
from chaosrunner.platforms.local import LocalPlatform
from chaosrunner.ports import Fault, Hold, Plugin
from tests.local_stage import RUN, Stage


def keeps_its_contract(role: str, kind: str, plugin: type[Plugin[Any]]) -> None:
    """Fails where `chaosrunner catalog` would show a defect."""
    assert contract.defects(role, kind, plugin) == []


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
