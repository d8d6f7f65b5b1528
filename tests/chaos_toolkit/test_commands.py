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
from click.testing import CliRunner

from chaosrunner.app.toolkit import ToolkitOrder, ToolkitReport, run_toolkit
from chaosrunner.cli import chaosrunner
from chaosrunner.cli._toolkit import is_theirs
from chaosrunner.errors import Refused, UsageError
from chaosrunner.interop.control import _command, validate_control
from chaosrunner.interop.toolkit_file import is_toolkit_file
from chaosrunner.model.words import GapKind
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


def written(made: dict[str, Any]) -> Path:
    path = Path("experiment.json")
    path.write_text(json.dumps(made))
    return path


@pytest.mark.real_time
def test_a_deviation_exits_as_there_and_is_a_near_miss_here(here: Path) -> None:
    path = written(experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND]))
    done = CliRunner().invoke(chaosrunner, ["run", str(path), "--json", "--journal-path", "theirs.json"])
    shown = json.loads(done.stdout)
    assert done.exit_code == shown["exitCode"] == 1
    assert shown["chaosToolkit"]["deviated"] is True
    assert shown["verdict"]["answer"] == "broken"
    assert json.loads(Path(shown["chaosToolkit"]["journal"]).read_text())["status"] == "completed"
    assert json.loads(Path("theirs.json").read_text())["deviated"] is True
    assert "trap 10: exit 0 also when an action fails" in done.stderr
    assert not (here / "broken").exists()


async def came_of(made: dict[str, Any], **how: Any) -> tuple[ToolkitReport, str]:
    """What `run` makes of it without starting a command, and what was said meanwhile."""
    path = written(made)
    said: list[str] = []
    report = await run_toolkit(ToolkitOrder(path=path, shows=False, **how), said.append)
    return report, "\n".join(said)


PRODUCTION = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: shop}
spec:
  platform: {local: {services: {shop: {listens: 8080}}}}
  guards: {production: true}
"""


async def test_production_needs_a_second_person(here: Path) -> None:
    (here / "shop.yaml").write_text(PRODUCTION)
    with pytest.raises(Refused, match="shop is a production system"):
        await came_of(experiment(BREAK, rollbacks=[MEND]), environment="shop.yaml")
    assert not (here / "broken").exists()


def test_options_of_the_other_kind_of_file_are_refused(here: Path) -> None:
    path = written(experiment())
    said = CliRunner().invoke(chaosrunner, ["run", str(path), "--seed", "7"]).exception
    assert "--seed is for files of chaosrunner's" in str(said)
    (here / "ours.yaml").write_text("apiVersion: chaosrunner.dev/v1\n")
    said = CliRunner().invoke(chaosrunner, ["run", "ours.yaml", "--rollback-strategy", "always"]).exception
    assert "--rollback-strategy is for files of Chaos Toolkit" in str(said)


@pytest.mark.real_time
async def test_an_injection_that_failed_is_inconclusive_under_strict(here: Path) -> None:
    made = experiment(action(python("fail", message="no permission")), rollbacks=[MEND])
    report, said = await came_of(made, strict=True)
    assert (report.their_exit, report.exit_code) == (0, 3)
    assert report.fell_into == ("exit 0, although the action act failed: RuntimeError: no permission",)
    assert "trap" not in said


@pytest.mark.real_time
async def test_what_is_confirmed_and_watched_throughout_holds_under_strict(here: Path) -> None:
    fine = probe(python("give", value=1), 1)
    made = experiment({**BREAK, "pauses": {"after": 0.5}}, LOOK, probes=[fine], rollbacks=[MEND])
    report, _ = await came_of(made, strict=True, options={"frequency": 0.1})
    assert report.exit_code == 0, report.report.verdict


@pytest.mark.real_time
async def test_a_run_that_hangs_is_stopped_at_its_time_limit(here: Path) -> None:
    report, said = await came_of(experiment(action(python("hang")), rollbacks=[MEND]), time_limit=1.5)
    assert "the time limit of 1.5 s is reached" in said
    assert (report.exit_code, report.status) == (6, "interrupted")
    assert report.fell_into == ("the rollbacks were not played: what the actions did may still be in force",)
    assert [gap.kind for gap in report.report.gaps] == [GapKind.UNDO_FAILED]


@pytest.mark.real_time
async def test_under_strict_the_rollbacks_are_played_although_it_died(here: Path) -> None:
    report, said = await came_of(experiment(BREAK, action(python("leave", code=9)), rollbacks=[MEND]), strict=True)
    assert "its process exited with 9 before it answered" in said
    assert "its rollbacks are played now" in said
    assert not (here / "broken").exists()
    assert (report.exit_code, report.status) == (3, "")


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
    (item,) = (here / ".chaosrunner" / "remediation").iterdir()
    assert "chaos run experiment.json" in item.read_text()
    again = CliRunner().invoke(chaosrunner, ["record", "journal.json"])
    assert isinstance(again.exception, UsageError)
    assert "journal.json: what this journal tells is recorded already, as the run 20" in str(again.exception)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["/x/bin/chaos", "--verbose", "run", "e.json"], "chaos run e.json"),
        (["chaos", "run", "--var-file", "other.json", "--var", "token=s3cret", "e.json"], "chaos run e.json"),
        (["chaos", "run", "e.json", "--var-file", "other.json"], "chaos run e.json"),
        (["chaos", "run", "http://127.0.0.1/e.json"], ""),
        (["chaos", "verify", "e.json"], ""),
        (["pytest", "run", "e.json"], ""),
    ],
)
def test_how_it_was_called_is_kept_without_its_options(here: Path, words: list[str], command: str) -> None:
    for name in ("e.json", "other.json"):
        (here / name).touch()
    assert _command(words) == command


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
