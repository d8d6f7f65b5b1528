"""The file of a game day: what is right, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.errors import UsageError
from chaosrunner.stages.gameday_file import load_game_day
from chaosrunner.stages.load import check

ENVIRONMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: shop}
spec:
  platform: {local: {services: {shop: {listens: 80}}}}
"""
WITH_ALERTS = ENVIRONMENT + '  alertmanager: {url: "http://127.0.0.1:9093"}\n'
EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: nothing-happens}
spec:
  title: Nothing happens
  hypotheses: [{name: one, title: One is one, measures: [{name: one, noop: {}, tolerance: {equals: 1}}]}]
  baseline: 1s
  method: [{fault: noop, for: 1s}]
"""
GOOD = """\
apiVersion: chaosrunner.dev/v1
kind: GameDay
metadata: {name: bad-day}
spec:
  title: A bad day
  environment: shop
  agenda: [{experiment: nothing-happens}, {pause: 5m}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(ENVIRONMENT)
    (tmp_path / "nothing.yaml").write_text(EXPERIMENT)
    return tmp_path


def said(folder: Path, spec: str) -> list[str]:
    """What check says of the good file with these lines in its spec."""
    names = [line.partition(":")[0] for line in spec.splitlines() if line.startswith("  ") and line[2] != " "]
    kept = [line for line in GOOD.splitlines() if line.partition(":")[0] not in names]
    (folder / "day.yaml").write_text("\n".join([*kept, spec, ""]))
    return [str(problem) for problem in check(["day.yaml"], folder).problems]


def test_it_is_found_by_its_name_with_its_experiments_and_its_environment(folder: Path) -> None:
    (folder / "day.yaml").write_text(GOOD)
    loaded = load_game_day("bad-day", folder)
    assert [(item.experiment, item.reference) for item in loaded.items] == [
        ("nothing-happens", "./nothing.yaml"),
        ("", ""),
    ]
    assert loaded.environment.name == "shop"
    with pytest.raises(UsageError, match=r"no GameDay 'bad-dya', did you mean 'bad-day'"):
        load_game_day("bad-dya", folder)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("  agenda: [{experiment: nothing-hapens}]", "7:25: there is no Experiment 'nothing-hapens', did you mean"),
        (
            "  agenda: [{pause: 5m, blind: true}]",
            "7:12: item 1 of `agenda`: a pause has no questions and is no surprise",
        ),
        ("  agenda: [{title: lunch}]", "7:12: item 1 of `agenda` is not right, expected one of experiment and pause"),
        ("  agenda: []", "7:11: `agenda` has 0, expected at least 1 of them"),
        ("  date: tomorrow", "8:9: `date` is 'tomorrow', expected a date with a time"),
        ("  date: 2026-12-01T10:00Z", "8:9: `date`"),
        ("  schedule: daily", "8:13: `schedule` is 'daily', expected five fields as in cron"),
        ("  timeZone: Mars/Olympus", "8:13: `timeZone`: unknown time zone 'Mars/Olympus'"),
        ("  goNoGo: {present: [boss]}", "8:22: item 1 of `present` is 'boss', expected one of facilitator"),
        ("  stopWhen: {firing: [Page]}", "8:22: the environment shop names nothing that knows which alerts fire"),
        (
            "  communications: {silence: {matchers: ['service=\"shop\"']}}",
            "8:29: the environment shop names no Alertmanager",
        ),
        (
            "  communications: {notify: [{pagerduty: {routingKey: {env: K}}}]}",
            "8:29: `pagerduty` does not tell of game days",
        ),
        ("  communications: {notify: [{slak: {}}]}", "did you mean 'slack'?"),
    ],
)
def test_a_mistake_is_told_where_it_stands(folder: Path, spec: str, told: str) -> None:
    problems = said(folder, spec)
    assert len(problems) == 1
    assert told in problems[0], problems


def test_a_silence_must_name_something_of_the_environment(folder: Path) -> None:
    (folder / "shop.yaml").write_text(WITH_ALERTS)
    assert said(folder, "  communications: {silence: {matchers: ['service=\"shop\"']}}") == []
    (problem,) = said(folder, "  communications: {silence: {matchers: ['service=\"others\"']}}")
    assert "names nothing of this environment" in problem and "expected a matcher for one of shop" in problem


def test_a_mistake_in_an_experiment_of_the_agenda_is_told(folder: Path) -> None:
    (folder / "nothing.yaml").write_text(EXPERIMENT.replace("fault: noop", "fault: nop"))
    (problem,) = said(folder, "")
    assert problem.startswith("nothing.yaml:8:") and "'noop'" in problem
