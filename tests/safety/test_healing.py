"""Healing where journals are damaged, gone, or still being written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaosrunner.app import heal_runs
from chaosrunner.app.healing import heal_before
from chaosrunner.cli import chaosrunner
from chaosrunner.clock import SystemClock
from chaosrunner.errors import JournalFailed, NotPossibleNow
from chaosrunner.model.environment import Environment
from chaosrunner.model.journal import FaultPrepared, FaultUndone, RunStarted
from chaosrunner.model.plan import PlannedItem
from chaosrunner.model.target import Target
from chaosrunner.store.journal import Journal, read_journal
from chaosrunner.store.machine import ActiveRun, Machine, machine_folder
from tests.engine.world import fault, plan

LOCAL = Environment.model_validate(
    {
        "apiVersion": "chaosrunner.dev/v1",
        "kind": "Environment",
        "metadata": {"name": "shop"},
        "spec": {"platform": {"local": {"services": {"web": {"listens": 1}}}}},
    }
)
NOTHING = Target(kind="nothing", id="nothing:noop", name="nothing")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "m"))
    return Machine(machine_folder())


def dead(machine: Machine, folder: Path, run: str) -> Path:
    """A run that died with a fault in force: its journal."""
    path = folder / "runs" / run / "journal.jsonl"
    noop = fault(id="noop", fault="noop", params={}, targets=(NOTHING,))
    planned = plan(environment=LOCAL, folder=str(folder), method=[PlannedItem(faults=(noop,))])
    journal = Journal(path, SystemClock())
    journal.append(RunStarted(run=run, plan=planned, who="ana", host="here", pid=1, folder=".", versions={}))
    journal.append(
        FaultPrepared(
            fault="noop/1",
            step="noop",
            kind="noop",
            params={},
            target=NOTHING,
            deadline=1.0,
            undo={},
            undo_version=1,
            by_hand=("make it quick",),
        )
    )
    journal.close()
    machine.enter(ActiveRun(run, "shop", str(path))).drop()
    return path


def damage(journal: Path) -> None:
    """Its first line is not what it was."""
    journal.write_bytes(b"garbage{{\n" + journal.read_bytes().partition(b"\n")[2])


def healed(folder: Path) -> list[tuple[str, int, int, bool]]:
    found = asyncio.run(heal_runs(folder, None, lambda words: None))
    return [(one.run, len(one.undone), len(one.failed), bool(one.trouble)) for one in found]


def test_a_damaged_journal_keeps_no_other_run_from_being_healed(tmp_path: Path, machine: Machine) -> None:
    damage(dead(machine, tmp_path, "20260101-000000-aaaaaa"))
    good = dead(machine, tmp_path, "20260101-000001-bbbbbb")
    assert healed(tmp_path) == [("20260101-000000-aaaaaa", 0, 1, False), ("20260101-000001-bbbbbb", 1, 0, False)]
    assert any(isinstance(entry.event, FaultUndone) for entry in read_journal(good))
    assert [run.run for run in machine.runs()] == ["20260101-000000-aaaaaa"], "what is not healed stays on the list"


def test_what_can_be_done_by_hand_is_read_from_a_damaged_journal(tmp_path: Path, machine: Machine) -> None:
    damage(dead(machine, tmp_path, "20260101-000000-aaaaaa"))
    answer = CliRunner().invoke(chaosrunner, ["--state", str(tmp_path), "heal"])
    assert answer.exit_code == 7
    assert "noop/1 could NOT be taken back" in answer.output
    assert "by hand: make it quick" in answer.output


def test_a_journal_of_which_nothing_can_be_read_is_not_called_healed(tmp_path: Path, machine: Machine) -> None:
    dead(machine, tmp_path, "20260101-000000-aaaaaa").write_bytes(b"garbage\ngarbage\n")
    answer = CliRunner().invoke(chaosrunner, ["--state", str(tmp_path), "heal", "--json"])
    assert answer.exit_code == 3
    assert "see to it by hand, then remove it" in json.loads(answer.stdout)[0]["trouble"]
    with pytest.raises(NotPossibleNow, match="see to it by hand"):
        asyncio.run(heal_before("shop", machine, SystemClock(), lambda words: None))


def test_a_journal_that_is_gone_is_told(tmp_path: Path, machine: Machine) -> None:
    dead(machine, tmp_path, "20260101-000000-aaaaaa").unlink()
    told: list[str] = []
    asyncio.run(heal_runs(tmp_path, None, told.append))
    assert "somebody removed" in told[0]
    assert list(machine.runs()) == []


def test_a_living_run_is_not_healed_where_the_machine_forgot_it(tmp_path: Path, machine: Machine) -> None:
    path = dead(machine, tmp_path, "20260101-000000-aaaaaa")
    living = Journal(path, SystemClock())
    before = path.read_bytes()
    with pytest.raises(JournalFailed, match="is being written by another process"):
        asyncio.run(heal_runs(tmp_path, "20260101-000000", lambda words: None))
    assert path.read_bytes() == before
    living.close()


def test_healing_twice_is_harmless(tmp_path: Path, machine: Machine) -> None:
    path = dead(machine, tmp_path, "20260101-000000-aaaaaa")
    assert healed(tmp_path) == [("20260101-000000-aaaaaa", 1, 0, False)]
    before = path.read_bytes()
    assert healed(tmp_path) == []
    assert path.read_bytes() == before
