"""`chaosrunner new experiment`: a few answers become a file that passes check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaosrunner import catalog
from chaosrunner.cli import chaosrunner
from chaosrunner.errors import FileProblems, UsageError
from chaosrunner.files.plugins import facts
from chaosrunner.stages.load import check, load_experiment

FILES = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec:
  platform:
    local:
      services: {web: {listens: 7001}, api: {listens: 7002}, db: {listens: 7003}}
      links: {web-to-api: {from: web, to: api, listen: "127.0.0.1:8001", connect: "127.0.0.1:7002"}}
---
apiVersion: chaosrunner.dev/v1
kind: Hypothesis
metadata: {name: web-answers}
spec:
  title: Web answers
  measures: [{name: up, tcp: {host: 127.0.0.1, port: 7001}, tolerance: {atMost: 1s}, abortAt: {atMost: 9s}}]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "here.yaml").write_text(FILES)
    return tmp_path


def new(*arguments: str) -> Result:
    return CliRunner().invoke(chaosrunner, ["new", "experiment", *arguments])


LATENCY = ("--fault", "network-latency", "--service", "web", "--to", "api")


def test_flags_become_a_file_that_can_be_run(here: Path) -> None:
    result = new("web-slow", *LATENCY)
    assert result.exit_code == 0, result.exception
    loaded = load_experiment("web-slow", None, here)
    (step,) = loaded.experiment.spec.method
    assert step.fault == "network-latency"  # type: ignore[union-attr]
    assert step.with_["delay"]  # type: ignore[union-attr]
    assert [hypothesis.name for hypothesis in loaded.hypotheses] == ["web-answers"]
    assert (here / "experiments" / "web-slow.yaml").read_text().startswith("# Why:")


LOCAL = [kind for kind in catalog.kinds("faults") if (told := facts(kind)) is not None and "local" in told.platforms]


@pytest.mark.parametrize("fault", LOCAL)
def test_every_fault_of_the_platform_makes_a_file_that_passes(fault: str, here: Path) -> None:
    told = facts(fault)
    assert told is not None
    target = [] if told.acts_on == {"nothing"} else ["--service", "web"]
    to = ["--to", "api"] if "link" in told.acts_on else []
    result = new("made", "--fault", fault, *target, *to, "--hypothesis", "web-answers")
    assert result.exit_code == 0, result.exception
    assert not check(["experiments/made.yaml"], here).problems


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "network-latncy"), "unknown fault 'network-latncy', did you mean 'network-latency'?"),
        (("--fault", "network-latency"), "expected --service, one of web, api, db"),
        (("-e", "there", *LATENCY), "there is no environment 'there', expected one of here"),
        (("Web Slow", *LATENCY), "expected lower case letters, digits and dashes: 'web-slow'"),
        (("--fault", "process-kill", "--service", "db", "--hypothesis", "non"), "there is no hypothesis 'non'"),
        (("--fault", "network-latency", "--service", "web", "--to", "db"), "no link from web to db"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(arguments: tuple[str, ...], said: str, here: Path) -> None:
    result = new(*arguments)
    assert isinstance(result.exception, UsageError | FileProblems)
    assert said.lower() in str(result.exception).lower()
    assert not list(here.glob("experiments/*"))


def test_a_file_that_is_there_is_left_alone(here: Path) -> None:
    assert new("same", *LATENCY).exit_code == 0
    again = new("same", "--fault", "process-kill", "--service", "web")
    assert "is there already and is left alone" in str(again.exception)
    assert "network-latency" in (here / "experiments" / "same.yaml").read_text()


def test_a_dry_run_shows_the_file_only(here: Path) -> None:
    told = json.loads(new("shown", *LATENCY, "--dry-run", "--json").stdout)
    assert told["path"] == "experiments/shown.yaml"
    assert "to: api" in told["text"]
    assert not list(here.glob("experiments/*"))


def test_without_an_environment_it_says_where_one_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "`chaosrunner init` writes one" in str(new("x", *LATENCY).exception)
