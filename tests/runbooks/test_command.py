"""A runbook of two commands."""

from __future__ import annotations

import pytest

from chaosrunner.errors import RunbookFailed
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import ProbeContext
from chaosrunner.runbooks.command import Command, Params


def command(context: ProbeContext, check: str, apply: str = "exit 0", **params: object) -> Command:
    given = {"check": ["sh", "-c", check], "apply": ["sh", "-c", apply], **params}
    return Command(Params.model_validate(given), context)


async def test_its_exit_code_tells_drift_from_none_and_from_failure(context: ProbeContext) -> None:
    assert (await command(context, "echo fine").check()).as_wanted
    says = await command(context, "echo '- 9'; echo '+ 2'; exit 2", "set 2").check()
    assert [(each.what, each.diff) for each in says.changes] == [("sh -c 'set 2'", "- 9\n+ 2")]
    with pytest.raises(RunbookFailed, match=r"sh -c 'echo no server; exit 1' exited with 1: no server"):
        await command(context, "echo no server; exit 1").check()
    assert (await command(context, "exit 1", driftCode=1).check()).drift
    with pytest.raises(RunbookFailed, match="was killed by signal 9"):
        await command(context, "kill -9 $$").check()


async def test_applying_has_worked_if_it_exits_with_0(context: ProbeContext) -> None:
    env = {"WORD": "well", "TOKEN": SecretRef(env="TOKEN")}
    says = await command(context, "exit 2", "echo $WORD ${#TOKEN} >done", env=env).apply()
    assert says.changes[0].what.startswith("ran sh -c") and (context.folder / "done").read_text() == "well 12\n"
    with pytest.raises(RunbookFailed, match="exited with 2"):
        await command(context, "exit 2", "exit 2").apply()
