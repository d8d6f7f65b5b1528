"""What a machine knows of runs, leases and halts; whether a runner lives is told by a lock, never by a pid."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.store.machine import ActiveRun, Machine, machine_folder
from chaosrunner.store.runs import Runs

HOLD = """
import sys
from pathlib import Path
from chaosrunner.store.machine import ActiveRun, Machine
machine = Machine(Path(sys.argv[1]))
machine.enter(ActiveRun("20260101-000000-aaaaaa", "shop", "/tmp/journal.jsonl"))
locks, _ = machine.lease_all(["process:1", "link:2"], "20260101-000000-aaaaaa")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that runs and holds two targets."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_run_of_another_process_is_seen_alive_and_then_dead(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    machine = Machine(tmp_path)
    assert [(run.run, run.environment, run.alive) for run in machine.runs()] == [
        ("20260101-000000-aaaaaa", "shop", True)
    ]
    end(holder)
    assert [run.alive for run in machine.runs()] == [False]


def test_a_target_in_other_hands_is_not_taken_and_neither_is_its_neighbour(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    machine = Machine(tmp_path)
    locks, why = machine.lease_all(["link:2", "another"], "mine")
    assert locks == []
    assert why == "link:2 is in the hands of run 20260101-000000-aaaaaa"
    assert machine.lease("another").holder is None
    end(holder)
    locks, why = machine.lease_all(["link:2", "another"], "mine")
    assert (len(locks), why) == (2, "")
    for lock in locks:
        lock.drop()


def test_a_run_cannot_be_entered_twice(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    lock = machine.enter(ActiveRun("one", "shop", "journal"))
    with pytest.raises(NotPossibleNow, match="run one is under way in another process"):
        machine.enter(ActiveRun("one", "shop", "journal"))
    lock.drop()
    machine.leave("one")
    assert list(machine.runs()) == []


def test_halts_concern_a_run_its_environment_or_everybody(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.halts("shop", "one") == {}
    machine.halt("ana", "", run="one")
    machine.halt("ana", "", environment="shop")
    machine.halt("ana", "")
    assert len(machine.halts("shop", "one")) == 3
    assert len(machine.halts("shop", "two")) == 2
    assert len(machine.halts("other", "two")) == 1


def test_the_same_halt_again_is_a_new_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.halt("ana", "", run="one")
    before = machine.halts("shop", "one")
    machine.halt("ana", "", run="one")
    assert machine.halts("shop", "one") != before


def test_a_note_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "torn.json").write_text('{"run": "torn"')
    assert list(Machine(tmp_path).runs()) == []


def test_the_machine_folder_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "machine"))
    assert machine_folder().stat().st_mode & 0o077 == 0


def test_a_link_in_place_of_the_machine_folder_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "machine").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "machine"))
    with pytest.raises(NotPossibleNow, match="belongs to somebody else"):
        machine_folder()


def make_runs(state: Path, *names: str) -> Runs:
    for name in names:
        folder = state / "runs" / name
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").touch()
    return Runs(state)


def test_runs_are_found_by_their_beginning_and_as_the_last(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, "20260101-000000-aaaaaa", "20260102-000000-bbbbbb")
    assert runs.find("20260101") == "20260101-000000-aaaaaa"
    assert runs.find("last") == "20260102-000000-bbbbbb"


@pytest.mark.parametrize(
    ("word", "message"), [("2026", "is the beginning of several runs"), ("1999", "no run '1999' in")]
)
def test_a_word_that_means_no_run_or_several_is_a_mistake(tmp_path: Path, word: str, message: str) -> None:
    runs = make_runs(tmp_path, "20260101-000000-aaaaaa", "20260102-000000-bbbbbb")
    with pytest.raises(UsageError, match=message):
        runs.find(word)


def test_there_is_no_last_run_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no runs"):
        Runs(tmp_path).find("last")


def test_the_lock_is_not_handed_to_children(tmp_path: Path) -> None:
    lock = Machine(tmp_path).run_lock("one")
    assert lock.take({})
    assert not os.get_inheritable(lock._file)
    lock.drop()


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "file" / "m"))
    with pytest.raises(
        NotPossibleNow, match=r"cannot be used \(Not a directory\); CHAOSRUNNER_MACHINE can name another"
    ):
        machine_folder()


def test_a_run_that_cannot_be_put_on_the_list_is_not_begun(tmp_path: Path) -> None:
    run = ActiveRun("20260101-000000-aaaaaa", "shop", "/tmp/journal.jsonl")
    machine = Machine(tmp_path)
    (tmp_path / "runs" / "20260101-000000-aaaaaa.json" / "in the way").mkdir(parents=True)
    with pytest.raises(NotPossibleNow, match="cannot be used"):
        machine.enter(run)
    assert machine.run_lock(run.run).take({}), "the lock is free again"
    (tmp_path / "leases").touch()
    with pytest.raises(NotPossibleNow, match="cannot be used"):
        machine.lease_all(["process:1"], run.run)


def test_very_many_targets_are_leased_although_few_files_may_be_open_at_first(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        locks, taken = Machine(tmp_path).lease_all([f"pod:{number}" for number in range(400)], "R1")
        assert (len(locks), taken) == (400, "")
        for lock in locks:
            lock.drop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
