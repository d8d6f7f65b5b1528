"""Which of the tests on a real cluster are run in the time that there is, and that none fails in silence."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in *"$FAILS"*) exit 1 ;; esac
"""
TOGETHER, ALONE = "cluster and not alone", "cluster and alone"


def on_cluster(folder: Path, seconds: float | None = None, fails: str = "nothing") -> tuple[int, str, str]:
    """Exit code, output, and what pytest was asked for, where so many seconds are left."""
    python, asked = folder / "python", folder / "asked"
    python.write_text(PYTHON)
    python.chmod(0o755)
    asked.touch()
    variables = {key: value for key, value in os.environ.items() if key != "CHAOSRUNNER_CLUSTER_UNTIL"}
    variables |= {"ASKED": str(asked), "FAILS": fails}
    if seconds is not None:
        variables["CHAOSRUNNER_CLUSTER_UNTIL"] = str(int(time.time() + seconds))
    done = subprocess.run(["tools/on-cluster", python], cwd=ROOT, env=variables, capture_output=True, text=True)
    return done.returncode, done.stdout, asked.read_text()


def test_all_of_them_run_where_nothing_says_until_when(tmp_path: Path) -> None:
    code, output, asked = on_cluster(tmp_path)
    assert (code, output) == (0, "")
    assert [line.rpartition("-m ")[2] for line in asked.splitlines()] == [TOGETHER, ALONE]


@pytest.mark.parametrize(("seconds", "ran", "left"), [(900, [TOGETHER], [ALONE]), (60, [], [TOGETHER, ALONE])])
def test_what_would_not_end_in_time_is_left_out_and_said_to_be(
    seconds: float, ran: list[str], left: list[str], tmp_path: Path
) -> None:
    code, output, asked = on_cluster(tmp_path, seconds)
    assert code == 0
    assert [line.rpartition("-m ")[2] for line in asked.splitlines()] == ran
    assert [line.split("'")[1] for line in output.splitlines()] == left
    assert all(line.startswith("THERE IS NO TIME: ") for line in output.splitlines())


@pytest.mark.parametrize("fails", [TOGETHER, ALONE])
def test_what_fails_runs_again_by_itself_and_fails_it_all(fails: str, tmp_path: Path) -> None:
    code, output, asked = on_cluster(tmp_path, fails=fails)
    assert code == 1
    assert output.count("runs again by itself") == 2
    assert sum(line.endswith(f"-m {fails}") for line in asked.splitlines()) == 3
    assert TOGETHER in asked and ALONE in asked, "one that fails does not keep the other from its turn"
