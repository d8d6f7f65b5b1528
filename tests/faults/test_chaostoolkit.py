"""The chaostoolkit fault: an action of an extension, its undo and its confirmation, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Hold
from tests.chaos_toolkit.comparing import HERE

FILE = {"file": "broken"}


def call(func: str, **arguments: Any) -> dict[str, Any]:
    return {"module": "ct_extension", "func": func, "arguments": arguments}


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("CT_STATE", str(tmp_path))
    return tmp_path


def fault(action: dict[str, Any], **more: Any) -> Fault[Any]:
    plugin = catalog.find("faults", "chaostoolkit")
    given = {**action, "undo": call("take_away", **FILE), **more}
    made: Fault[Any] = plugin(
        plugin.Params.model_validate(given),
        Target(kind="nothing", id="nothing", name="nothing"),
        None,
        Hold(id="r.s.1", run="r", deadline=0.0, seconds=1.0),
    )
    return made


def test_one_without_an_undo_is_refused() -> None:
    plugin = catalog.find("faults", "chaostoolkit")
    with pytest.raises(ValidationError, match="undo"):
        plugin.Params.model_validate(call("put", **FILE))


async def test_it_is_in_force_until_it_is_taken_back(state: Path) -> None:
    one = fault(call("put", **FILE), confirm=call("is_there", **FILE))
    await one.check()
    prepared = await one.prepare()
    assert not await one.confirm(prepared)
    await one.inject()
    assert (state / "broken").exists()
    assert (await one.confirm(prepared)).how == "ct_extension.is_there returned true"
    assert set(await one.report(prepared)) == {"output"}
    await one.undo(prepared)
    assert not (state / "broken").exists()
    assert not await one.confirm(prepared)


async def test_without_a_probe_that_confirms_it_nobody_says_that_it_was_in_force(state: Path) -> None:
    one = fault(call("put", **FILE))
    await one.inject()
    sighting = await one.confirm(await one.prepare())
    assert not sighting
    assert "proves nothing" in sighting.how
    await one.undo(await one.prepare())


async def test_what_the_action_returned_is_reported_for_later_steps(state: Path) -> None:
    one = fault(call("give", value={"id": [7]}))
    prepared = await one.prepare()
    await one.inject()
    assert await one.report(prepared) == {"output": {"id": [7]}}
    await one.undo(prepared)


@pytest.mark.parametrize(
    ("action", "why"),
    [
        (call("fail", message="no permission"), "RuntimeError: no permission"),
        (call("give", value={"status": 503}), "it was answered with 503"),
        (call("hang"), "did not end within 0.2 s and was killed"),
    ],
)
async def test_an_action_that_does_not_do_it_has_failed(state: Path, action: Any, why: str) -> None:
    one = fault(action, timeout="200ms" if action["func"] == "hang" else "10s")
    with pytest.raises(FaultFailed, match=why):
        await one.inject()


async def test_the_plan_refuses_what_cannot_be_called(state: Path) -> None:
    with pytest.raises(CannotDoHonestly, match="required argument 'file' is missing"):
        await fault(call("put")).check()


async def test_an_undo_that_fails_says_what_a_person_can_run(state: Path) -> None:
    one = fault(call("put", **FILE), undo=call("fail", message="gone fishing"))
    with pytest.raises(UndoFailed, match="gone fishing") as caught:
        await one.undo(await one.prepare())
    assert "from ct_extension import fail; fail(**" in caught.value.commands[0]
