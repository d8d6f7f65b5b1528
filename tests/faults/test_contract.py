"""What holds for every fault, whatever it does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from chaosrunner import catalog, contract
from chaosrunner.ports import Fault
from tests.local_stage import RUN, Stage, until

KINDS = [kind for kind in catalog.kinds("faults") if catalog.is_own("faults", kind)]
SMALL: dict[str, dict[str, Any]] = {
    "cpu-stress": {"cores": 0.2},
    "dependency-loss": {},
    "disk-fill": {"size": "2MiB"},
    "memory-stress": {"size": "8MiB"},
    "network-latency": {"delay": "100ms"},
}
"""Parameters that do less, or are quicker, than those of the kind's own example, which are taken otherwise: so a new
fault needs no entry."""
LOCAL = [kind for kind in KINDS if "local" in catalog.find("faults", kind).platforms]


def plugin(kind: str) -> type[Fault[Any]]:
    found: type[Fault[Any]] = catalog.find("faults", kind)
    return found


def params(kind: str) -> dict[str, Any]:
    """What it is tried with."""
    (step,) = yaml.safe_load(plugin(kind).example)
    found: dict[str, Any] = SMALL.get(kind, step.get("with", {}))
    return found


async def small(stage: Stage, kind: str) -> Fault[Any]:
    platform = stage.platform()
    await platform.system.up()
    await platform.open(RUN, lambda: True)
    folder: dict[str, Any] = {"folder": str(stage.folder)} if kind in ("disk-fill", "chaostoolkit") else {}
    return await stage.fault(platform, kind, **params(kind), **folder)


def test_only_faults_that_there_are_have_parameters_of_their_own_here() -> None:
    assert set(SMALL) <= set(LOCAL)


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_its_contract(kind: str) -> None:
    assert contract.defects("faults", kind, plugin(kind)) == []


@pytest.mark.parametrize("kind", LOCAL)
async def test_an_undo_without_an_injection_is_harmless(shared: Stage, kind: str) -> None:
    fault = await small(shared, kind)
    await fault.check()
    prepared = json.loads(json.dumps(await fault.prepare()))
    before = await fault.platform.observe([])
    await fault.undo(prepared)
    await shared.from_ledger(fault).undo(prepared)
    assert await fault.platform.observe([]) == before
    if kind != "noop":
        assert fault.by_hand(prepared)
    if not fault.instant:
        assert not await fault.confirm(prepared)
    await fault.platform.close()


@pytest.mark.parametrize("kind", LOCAL)
async def test_it_is_seen_in_force_and_an_undo_twice_leaves_nothing(shared: Stage, kind: str) -> None:
    fault = await small(shared, kind)
    prepared = json.loads(json.dumps(await fault.prepare()))
    await fault.inject()
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    assert await fault.touched() in (None, 0)
    await fault.undo(prepared)
    await fault.undo(prepared)
    await shared.from_ledger(fault).undo(prepared)
    if not fault.instant:
        sighting = await fault.confirm(prepared)
        assert not sighting, sighting.how
    await fault.platform.close()


@pytest.mark.parametrize("kind", [kind for kind in LOCAL if kind != "noop"])
async def test_another_process_takes_it_back_from_the_ledger_alone(shared: Stage, kind: str) -> None:
    fault = await small(shared, kind)
    prepared = json.loads(json.dumps(await fault.prepare()))
    await fault.inject()

    async def in_force() -> bool:
        return bool(await fault.confirm(prepared))

    await until(in_force)
    await fault.platform.close()
    healing = shared.from_ledger(fault)
    await healing.undo(prepared)
    if not fault.instant:
        assert not await healing.confirm(prepared)
    after = await healing.platform.observe([])
    assert after["back"].startswith("running")
