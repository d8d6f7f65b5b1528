"""halt, as a user calls it while something runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner
from chaosrunner.store.machine import ActiveRun, Machine

RUN = "20260101-000000-aaaaaa"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which a run on the environment `shop` is under way."""
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path))
    machine = Machine(tmp_path)
    machine.enter(ActiveRun(RUN, "shop", str(tmp_path / "journal.jsonl")))
    return machine


def test_a_mistyped_environment_does_not_look_like_a_system_at_rest(machine: Machine) -> None:
    result = CliRunner().invoke(chaosrunner, ["halt", "-e", "shpo"])
    assert result.exit_code == 0
    assert result.stdout == "no run is under way on shpo\n"
    assert result.stderr == f"chaosrunner: not halted: run {RUN} on shop\n"


def test_time_does_not_run_backwards(machine: Machine) -> None:
    result = CliRunner().invoke(chaosrunner, ["halt", "--within", "-1"])
    assert result.exit_code == 2
