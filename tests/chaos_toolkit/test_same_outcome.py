"""Files of Chaos Toolkit come to the same outcome here and there; `outcomes.json` has what `chaos run` made of each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chaosrunner.extensions import Extensions
from chaosrunner.interop.toolkit_record import Told, their_exit
from tests.chaos_toolkit.cases import CASES, ENVIRONMENT, SECRET, Case
from tests.chaos_toolkit.comparing import HERE, OUTCOMES, found_in, laid_out, outcome, really, serving

EXPECTED = json.loads(OUTCOMES.read_text())


class Worker:
    """One process for all cases, each with an empty state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.extensions = {False: Extensions(folder), True: Extensions(folder)}
        """Without, and with Vault's client: what is imported stays."""
        self._number = 0

    async def run(self, case: Case, **more: Any) -> dict[str, Any]:
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir()
        self._number += 1
        path = laid_out(case, self.folder / str(self._number))
        options = dict(case.options)
        for name in ("var_file", "control_file"):
            if name in options:
                options[name] = [str(path.parent / each) for each in options[name]]
        options["settings"] = str(path.parent / options.get("settings", "none"))
        os.environ["PYTHONPATH"] = found_in(case)  # a process is started when it is first asked
        return await self.extensions[case.vault].ask({"do": "run", "path": str(path), **options, **more}, 30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    folder = tmp_path_factory.mktemp("toolkit")
    with serving() as url, pytest.MonkeyPatch.context() as patch:
        given = {**ENVIRONMENT, "CT_URL": url, "CT_STATE": str(folder / "state"), "PYTHONPATH": str(HERE)}
        for name, value in given.items():
            patch.setenv(name, value)
        one = Worker(folder)
        yield one
        for each in one.extensions.values():
            each.close()


def test_every_experiment_was_really_run_there() -> None:
    assert set(EXPECTED) == set(CASES)
    assert len(CASES) >= 60
    exits = [each["exit"] for each in EXPECTED.values()]
    assert {0, 1} == set(exits)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", CASES)
async def test_an_experiment_comes_to_the_same_outcome(name: str, worker: Worker) -> None:
    answer = await worker.run(CASES[name])
    if "invalid" in answer:
        found = outcome(None, 1)
    else:
        told = Told(journal=answer["journal"], crashed=answer.get("crashed", ""))
        found = outcome(None if told.crashed else told.journal, their_exit(told))
    assert found == EXPECTED[name], answer.get("crashed") or answer.get("invalid")


@pytest.mark.real_time
@pytest.mark.parametrize("name", ["broken and mended", "a control of the library ends the run"])
def test_what_is_written_down_is_what_their_command_does(name: str, tmp_path: Path) -> None:
    assert really(CASES[name], tmp_path, "http://127.0.0.1:1") == EXPECTED[name]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_secret_is_not_in_what_comes_back(worker: Worker) -> None:
    answer = await worker.run(CASES["secret in an argument"])
    assert SECRET not in json.dumps(answer)
    assert "(secret)" in json.dumps(answer)
    assert os.environ["CT_SECRET"] == SECRET


@pytest.mark.asyncio(loop_scope="module")
async def test_a_secret_of_vault_is_not_in_what_comes_back(worker: Worker) -> None:
    text = json.dumps(await worker.run(CASES["secret of Vault, all that is at its path"]))
    assert "also-from-vault" not in text.replace('"expect": "also-from-vault"', "")
