"""Shells complete names of what is there, at once, and explain says what the words mean."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner
from chaosrunner.cli._completing import VARIABLE
from chaosrunner.files.rules import CODES
from tests.files.good import WHOLE

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    (tmp_path / ".git").mkdir()
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "f.yaml").write_text(WHOLE)
    (tmp_path / "experiments" / "broken.yaml").write_text(
        "kind: Experiment\nmetadata:\n  labels: {\n  name: half-written\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "bash_complete")

    def ask(*words: str) -> list[str]:
        *before, typed = words
        asked = BashComplete(chaosrunner, {}, "chaosrunner", VARIABLE)
        return [item.value for item in asked.get_completions(list(before), typed)]

    return ask


def test_experiments_environments_and_services_are_completed_also_in_files_that_are_half_written(
    complete: Complete,
) -> None:
    assert sorted(complete("run", "")) == ["checkout-when-payments-is-slow", "half-written"]
    assert complete("plan", "ch") == ["checkout-when-payments-is-slow"]
    assert complete("run", "-e", "") == ["laptop"]
    assert complete("local", "up", "la") == ["laptop"]
    assert complete("run", "no-such") == ["no-such"]  # a path, then
    assert complete("new", "experiment", "--fault", "pod-k") == ["pod-kill"]
    assert complete("near-miss", "list", "--fault", "pod-k") == []
    assert complete("new", "experiment", "--hypothesis", "check") == ["checkout-slo"]
    assert complete("new", "experiment", "--service", "checkout", "--to", "pay") == ["payments"]


def test_runs_and_near_misses_are_completed_without_opening_the_register(complete: Complete, tmp_path: Path) -> None:
    import sqlite3

    assert complete("near-miss", "show", "") == complete("report", "") == []
    (tmp_path / ".chaosrunner" / "runs" / "20260101-a1").mkdir(parents=True)
    (tmp_path / ".chaosrunner" / "runs" / "20260101-a1" / "journal.jsonl").write_text("")
    with sqlite3.connect(tmp_path / ".chaosrunner" / "register.db") as register:
        register.execute("CREATE TABLE near_miss (id, priority, state, service, fault, closed, due)")
        register.execute(
            "INSERT INTO near_miss VALUES ('NM-12', 'P1', 'open', 'cart', 'instance-loss', 0, '2026-01-01')"
        )
    register.close()
    assert complete("report", "") == ["last", "20260101-a1"]
    assert complete("near-miss", "show", "NM-1") == ["NM-12"]
    assert complete("near-miss", "show", "NM-2") == []
    program = (
        "import sys, os\nos.environ.update(COMP_WORDS='chaosrunner near-miss show ', COMP_CWORD='3')\n"
        "from chaosrunner.cli import chaosrunner, terms\ncode = terms.run(chaosrunner)\n"
        "assert not {'sqlalchemy', 'pydantic', 'yaml'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "plain,NM-12\n"), done.stderr


def test_words_rules_and_formats_are_completed(complete: Complete) -> None:
    assert complete("explain", "CR11")[:2] == ["CR110", "CR111"]
    assert complete("explain", "network-lat") == ["network-latency"]
    assert complete("check", "--format", "s") == ["sarif"]
    assert complete("schema", "Exp") == ["Experiment"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    result = CliRunner().invoke(chaosrunner, ["completion", shell])
    assert result.exit_code == 0
    assert f"{VARIABLE}={shell}_complete" in result.output


def test_bash_takes_its_script() -> None:
    script = CliRunner().invoke(chaosrunner, ["completion", "bash"]).output
    words = ["bash", "-c", f"{script}\ncomplete -p chaosrunner"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert "_chaosrunner_completion" in done.stdout, done.stderr


@pytest.mark.parametrize("code", CODES)
def test_explain_knows_every_rule(code: str) -> None:
    result = CliRunner().invoke(chaosrunner, ["explain", code.lower()])
    assert result.exit_code == 0
    assert CODES[code].title in " ".join(result.output.split())
    assert "but so:" in result.output
