"""`chaosrunner run` with a file of Chaos Toolkit as a user types it, and the control in `chaos run`; `real_time`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.cli._toolkit import is_theirs
from chaosrunner.interop.control import validate_control
from chaosrunner.interop.toolkit_file import is_toolkit_file
from tests.chaos_toolkit.cases import BREAK, IS_WHOLE, MEND, SECRET, action, experiment, probe, python
from tests.chaos_toolkit.comparing import HERE

CHAOS = Path(sys.executable).with_name("chaos")
LOOK = probe(python("is_there", file="broken"), True, "is broken")
OWN_CONTROL = {"name": "chaosrunner", "provider": {"type": "python", "module": "chaosrunner.interop.control"}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    given = {"PYTHONPATH": str(HERE), "CT_STATE": str(tmp_path), "CT_URL": "http://127.0.0.1:1", "CT_SECRET": SECRET}
    for name, value in {**given, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "chaosrunner", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ran(made: dict[str, Any], *words: str) -> tuple[int, Any, str]:
    """(exit code, JSON, what was said beside it)."""
    Path("experiment.json").write_text(json.dumps(made))
    process = started("run", "experiment.json", "--json", *words)
    output, said = process.communicate(timeout=60)
    return process.returncode, json.loads(output) if output else None, said


@pytest.mark.real_time
def test_a_deviation_exits_as_there_and_is_a_near_miss_here(here: Path) -> None:
    code, shown, said = ran(experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND]))
    assert code == 1
    assert shown["chaosToolkit"]["deviated"] is True
    assert shown["verdict"]["answer"] == "broken"
    assert json.loads(Path(shown["chaosToolkit"]["journal"]).read_text())["status"] == "completed"
    assert "trap 10: exit 0 also when an action fails" in said
    assert not (here / "broken").exists()


@pytest.mark.real_time
def test_strict_goes_by_our_rules(here: Path) -> None:
    """Where an injection failed that is inconclusive, and no trap is named; held is held, exit 0."""
    failing = experiment(action(python("fail", message="no permission")), probes=[IS_WHOLE])
    code, _, said = ran(failing, "--strict", "--hypothesis-frequency", "0.1")
    assert code == 3
    assert "trap" not in said
    held = experiment(
        {**BREAK, "pauses": {"after": 0.5}}, LOOK, probes=[probe(python("give", value=1), 1)], rollbacks=[MEND]
    )
    code, shown, _ = ran(held, "--strict", "--hypothesis-frequency", "0.1")
    assert code == 0, shown["verdict"]


@pytest.mark.real_time
def test_a_run_that_hangs_is_stopped_at_its_time_limit(here: Path) -> None:
    code, shown, said = ran(experiment(action(python("hang")), rollbacks=[MEND]), "--time-limit", "1500ms")
    assert "the time limit of 1.5 s is reached" in said
    assert code == 6
    assert shown["chaosToolkit"]["status"] == "interrupted"
    played = "the rollbacks were not played: what the actions did may still be in force"
    assert shown["chaosToolkit"]["fellInto"] == [played]
    assert [gap["gap"]["kind"] for gap in shown["gaps"]] == ["undo-failed"]


@pytest.mark.real_time
def test_under_strict_the_rollbacks_are_played_although_it_died(here: Path) -> None:
    made = experiment(BREAK, action(python("leave", code=9)), rollbacks=[MEND])
    code, shown, said = ran(made, "--strict")
    assert "its process exited with 9 before it answered" in said
    assert "its rollbacks are played now" in said
    assert not (here / "broken").exists()
    assert code == 3
    assert shown["chaosToolkit"]["status"] == ""


@pytest.mark.real_time
def test_under_strict_sigterm_plays_the_rollbacks(here: Path) -> None:
    made = experiment(BREAK, action(python("hangs_on")), rollbacks=[MEND])
    Path("experiment.json").write_text(json.dumps(made))
    process = started("run", "experiment.json", "--strict")
    assert process.stderr is not None
    for line in process.stderr:
        if "Action: act" in line:
            break
    assert (here / "broken").exists()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert not (here / "broken").exists(), output
    assert process.returncode == 6


@pytest.mark.real_time
def test_the_control_records_what_chaos_run_shows(here: Path) -> None:
    made = experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND], controls=[OWN_CONTROL])
    Path("experiment.json").write_text(json.dumps(made))
    words = [str(CHAOS), "--no-version-check", "--no-log-file", "run", "experiment.json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "near miss NM-" in done.stderr + done.stdout
    assert len(list((here / ".chaosrunner" / "remediation").iterdir())) == 1


def test_a_misspelt_argument_of_the_control_is_said(caplog: pytest.LogCaptureFixture) -> None:
    validate_control({"provider": {"arguments": {"enviroment": "staging"}}})
    assert "'enviroment' is unknown, expected one of environment, folder, time_limit" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("a.json", '{"title": "x", "method": []}', True),
        ("a.json", '{"apiVersion": "chaosrunner.dev/v1", "method": []}', False),
        ("a.json", "{", False),
        ("a.yaml", "title: x\nmethod:\n- apiVersion: v1\n", True),
        ("a.yaml", "apiVersion: chaosrunner.dev/v1\nspec:\n  method: []\n", False),
        ("a.yml", "# hello\n'steady-state-hypothesis': {}\n", True),
        ("a.yaml", "services:\n  method: x\n", False),
        ("a.txt", "method: []\n", False),
    ],
)
def test_their_files_are_known_by_their_top_keys(tmp_path: Path, name: str, text: str, is_one: bool) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert is_toolkit_file(path) is is_one
    assert is_theirs(str(path)) is is_one


def test_a_file_of_ours_is_told_apart_without_importing_anything(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("apiVersion: chaosrunner.dev/v1\n")
    code = f"""
import sys
from chaosrunner.cli._toolkit import is_theirs
assert not is_theirs({str(path)!r}) and not is_theirs("a-name")
assert not [name for name in sys.modules if name.startswith(("chaoslib", "yaml", "chaosrunner.interop"))]
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ""})
