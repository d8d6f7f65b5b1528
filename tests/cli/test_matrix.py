"""An experiment with a matrix, as a user plans and runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaosrunner.cli import chaosrunner

FILE = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: many}
spec:
  title: It holds
  environment: here
  parameters: {value: {meaning: what is read, type: number, default: 1}}
  matrix: {value: [1, 2]}
  hypotheses:
    - name: one
      title: It is one
      measures: [{name: one, noop: {value: "${value}"}, every: 10ms, tolerance: {equals: 1}}]
  baseline: {for: 50ms, within: 100ms}
  method: [{fault: noop, for: 50ms}]
  recovery: {within: 1s, holds: 0s}
---
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec: {platform: {local: {services: {web: {listens: 9}}}}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "machine").mkdir(mode=0o700)
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "machine"))
    (tmp_path / "many.yaml").write_text(FILE)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(chaosrunner, arguments)


def test_each_combination_is_a_run_of_its_own_and_the_worst_exit_code_counts(here: Path) -> None:
    result = call("run", "many.yaml", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == told["exitCode"] == 5
    assert [run["experiment"]["name"] for run in told["runs"]] == ["many", "many"]
    assert [run["experiment"]["labels"] for run in told["runs"]] == [{"value": "1"}, {"value": "2"}]
    assert told["runs"][1]["verdict"]["answer"] == "inconclusive"
    assert len(list((here / ".chaosrunner" / "runs").iterdir())) == 2


def test_one_value_makes_one_run_which_says_how_to_do_it_again(here: Path) -> None:
    result = call("run", "many.yaml", "--json", "--parameter", "value=2")
    assert result.exit_code == 5
    assert "--parameter value=2" in json.dumps(json.loads(result.stdout))


def test_nothing_is_started_where_one_combination_is_wrong(here: Path) -> None:
    (here / "many.yaml").write_text(FILE.replace("for: 50ms}]", 'for: "${value}0ms"}]').replace("[1, 2]", "[1, 0]"))
    result = call("run", "many.yaml")
    assert "in which nothing can be seen" in str(result.exception)
    assert not (here / ".chaosrunner" / "runs").exists()


def test_a_plan_is_made_for_each_run_and_a_resolved_file_too(here: Path) -> None:
    plans = json.loads(call("plan", "many.yaml", "--json", "--no-read").stdout)["plans"]
    assert [plan["plan"]["parameters"] for plan in plans] == [{"value": 1}, {"value": 2}]
    assert "Run 2 of 2" in call("plan", "many.yaml", "--no-read").output
    resolved = call("plan", "many.yaml", "--resolved").output
    assert "value: 1  # ${value}, the matrix, many.yaml:8" in resolved
    assert resolved.count("kind: Experiment") == 2
    alone = json.loads(call("plan", "many.yaml", "--resolved", "--json", "--parameter", "value=7").stdout)
    assert alone["parameters"] == {"value": 7}


@pytest.mark.parametrize("given", ["value", "=3", "value="])
def test_a_parameter_is_given_as_name_and_value(given: str, here: Path) -> None:
    result = call("plan", "many.yaml", "--no-read", "--parameter", given)
    assert result.exit_code != 0
