"""Files of Chaos Toolkit become files of ours that pass `check`, and say what could not be translated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner
from chaosrunner.errors import UsageError
from chaosrunner.interop.toolkit_convert import convert
from chaosrunner.stages.checking import check_files
from tests.chaos_toolkit.cases import (
    BREAK,
    CASES,
    IS_WHOLE,
    MEND,
    PUT,
    action,
    experiment,
    probe,
    process,
    python,
    told,
)


def converted(made: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Our experiment's `spec`, and all remarks."""
    found = convert(made, "experiment.json", None)
    _, document = yaml.safe_load_all(found.text)
    return document["spec"], "\n".join(found.remarks)


def test_what_comes_of_every_experiment_passes_the_check(tmp_path: Path) -> None:
    files = []
    for number, case in enumerate(CASES.values()):
        if "method" in case.experiment:
            path = tmp_path / f"{number}.yaml"
            path.write_text(convert(case.experiment, path.name, None).text)
            files.append(str(path))
    checked = check_files(tuple(files), tmp_path, tmp_path / "state")
    assert [f"{problem}" for problem in checked.problems] == []
    assert len(files) > 150


def test_an_action_is_a_fault_with_its_rollback_as_undo_and_a_probe_as_confirmation() -> None:
    look = probe(process("test", "-e", "broken"), 0, "is broken")
    spec, remarks = converted(experiment({**BREAK, "pauses": {"after": 20}}, look, probes=[IS_WHOLE], rollbacks=[MEND]))
    (step,) = spec["method"]
    assert step["fault"] == "chaostoolkit"
    assert step["for"] == "20s"
    assert step["with"]["func"] == "put"
    assert step["with"]["undo"] == {"module": "ct_extension", "func": "take_away", "arguments": {"file": "broken"}}
    assert step["with"]["confirm"]["arguments"]["tolerance"] == 0
    assert "confirm" not in remarks


def test_actions_stay_in_force_together_until_the_end_as_there() -> None:
    second = {**action(PUT, "again"), "pauses": {"before": 5, "after": 30}}
    spec, _ = converted(experiment(BREAK, second, probes=[IS_WHOLE], rollbacks=[MEND]))
    (together,) = spec["method"]
    assert [(step["for"], step.get("after")) for step in together["together"]] == [("35s", None), ("30s", "5s")]


def test_an_action_without_a_rollback_is_left_out_and_that_is_said() -> None:
    spec, remarks = converted(experiment(BREAK, probes=[IS_WHOLE]))
    assert spec["method"] == [{"fault": "noop", "for": "10s"}]
    assert "The action break was left out: no rollback takes it back" in remarks


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("http probe is refused", {"equals": 200}),
        ("process probe held against its exit code", {"equals": 1}),
        ("tolerance regex of a target", {"matches": "up [0-9]+"}),
        ("tolerance pair is a range", {"between": [200, 299]}),
        ("tolerance jsonpath expects another", {"equals": 1}),
        ("tolerance list met", {"equals": True}),
    ],
)
def test_tolerances_say_the_same_in_our_words(name: str, expected: Any) -> None:
    spec, _ = converted(CASES[name].experiment)
    assert spec["hypotheses"][0]["measures"][0]["tolerance"] == expected


def test_constants_are_put_in_and_secrets_are_named_by_where_they_are() -> None:
    made = experiment(
        probes=[probe({**python("secret_of", name="${which}"), "secrets": ["web"]}, "x")],
        configuration={"which": "token"},
        secrets={"web": {"token": {"type": "env", "key": "WEB_TOKEN"}, "pin": "1234"}},
    )
    spec, remarks = converted(made)
    given = spec["hypotheses"][0]["measures"][0]["chaostoolkit"]
    assert given["arguments"] == {"name": "token"}
    assert given["secrets"] == {"token": {"env": "WEB_TOKEN"}, "pin": {"env": "PIN"}}
    assert "The secret pin stood in the file itself" in remarks
    assert "1234" not in convert(made, "x", None).text


def test_the_command_says_what_to_look_at_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(told(5, [1, 2, 3]).experiment))
    result = CliRunner().invoke(chaosrunner, ["convert", str(path), "-e", "staging", "-o", str(tmp_path / "out.yaml")])
    assert result.exit_code == 0
    assert "held by Chaos Toolkit's own library" in result.stderr
    assert yaml.safe_load((tmp_path / "out.yaml").read_text())["spec"]["environment"] == "staging"


def test_a_file_of_ours_is_not_converted(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("apiVersion: chaosrunner.dev/v1\nkind: Experiment\nmethod: []\n")
    result = CliRunner().invoke(chaosrunner, ["convert", str(path)])
    assert isinstance(result.exception, UsageError)
