"""Where the answer goes: readers that leave early, disks that are full, files that cannot be written or read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner

EXPORT = ("near-miss", "export")


def called(folder: Path, *arguments: str, out: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chaosrunner", *arguments],
        cwd=folder,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def unread(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and complaints of a command whose output nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = called(folder, *arguments, out=writer)
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("catalog",), ("explain", "for"), ("--help",)], ids=["long", "short", "help"])
def test_a_reader_that_leaves_early_is_no_gap_and_no_defect(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert unread(tmp_path, *arguments) == (0, "")


def test_the_exit_code_is_the_answers_also_where_nobody_reads_it(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("kind: Experiment\n")
    assert unread(tmp_path, "check", "wrong.yaml") == (2, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_answer_that_cannot_be_written_is_said_and_is_no_defect(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = called(tmp_path, "explain", "for", out=full.fileno())
    assert done.returncode == 3
    assert done.stderr == "chaosrunner: the answer cannot be written: No space left on device\n"


def test_what_is_no_text_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "export.jsonl").write_bytes(b"\xff\xfe\x00")
    done = called(tmp_path, "near-miss", "import", "export.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert "export.jsonl is no export of near misses: it is not UTF-8 text" in done.stderr
    assert not (tmp_path / ".chaosrunner").exists()


def test_an_export_that_cannot_be_written_says_where_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside = CliRunner()
    Path("none.jsonl").write_text("")
    assert inside.invoke(chaosrunner, ["near-miss", "import", "none.jsonl"]).stdout == "0 records added\n"
    done = called(tmp_path, *EXPORT, str(tmp_path))
    assert done.returncode == 2
    assert f"cannot write {tmp_path}: Is a directory" in done.stderr
    assert inside.invoke(chaosrunner, [*EXPORT, "out.jsonl"]).exit_code == 0
    assert Path("out.jsonl").read_text() == inside.invoke(chaosrunner, EXPORT).stdout
