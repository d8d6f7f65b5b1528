"""Files of LitmusChaos, Chaos Mesh and Krkn become files of ours that pass `check`; what is lost is said in its place
and at the top, and nothing is passed over in silence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner
from chaosrunner.errors import UsageError
from chaosrunner.interop.litmus_probes import rule
from chaosrunner.interop.peers import Peer, convert
from chaosrunner.stages.checking import check_files
from tests.interop.documents import ALL

SURPRISE = "surpriseField"


def turned(
    folder: Path, text: str, peer: Peer | None = None, name: str = "theirs.yaml", **more: Any
) -> tuple[str, str]:
    """(our text on one line for each sentence, all remarks)."""
    path = folder / name
    path.write_text(text)
    made = convert(path, more.get("environment"), peer)
    return made.text, "\n".join(made.remarks)


def flat(text: str) -> str:
    """Comments that go over several lines, on one."""
    words: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        words.append(bare[1:].strip() if bare.startswith("#") and not bare.startswith("# *") else f"\n{bare}")
    return " ".join(words)


@pytest.mark.parametrize("case", ALL)
def test_it_is_told_apart_and_says_what_was_lost(case: str, tmp_path: Path) -> None:
    _, text, wanted = ALL[case]
    ours, remarks = turned(tmp_path, text)
    shown = flat(ours)
    assert [each for each in wanted if each not in shown] == []
    for remark in remarks.splitlines():
        assert f"* {remark}" in shown, "the summary at the top has all remarks"
    experiment = [each for each in yaml.safe_load_all(ours) if each["kind"] == "Experiment"]
    assert experiment
    assert "'#" not in ours, "every comment is one"
    assert "&id" not in ours, "and no anchors"
    for remark in remarks.splitlines():
        if "has no counterpart here" in remark:
            assert shown.count(remark) == 2, "at the top and in its place"


def test_what_comes_of_all_of_them_passes_the_check(tmp_path: Path) -> None:
    files = []
    (tmp_path / "theirs").mkdir()
    for name, (_, text, _) in ALL.items():
        ours, _ = turned(tmp_path / "theirs", text, name=f"{name}.yaml")
        path = tmp_path / name / "ours.yaml"
        path.parent.mkdir()
        path.write_text(ours)
        files.append(str(path))
    checked = check_files(tuple(files), tmp_path, tmp_path / "state")
    assert [str(problem) for problem in checked.problems] == []
    assert len(files) > 60


def surprised(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """(where, the same document with one field more there) for each of its mappings."""
    if isinstance(value, dict):
        if at:
            yield at, {**value, SURPRISE: "s1"}
        for key, each in value.items():
            for where, changed in surprised(each, f"{at}.{key}"):
                yield where, {**value, key: changed}
    if isinstance(value, list):
        for place, each in enumerate(value):
            for where, changed in surprised(each, f"{at}[{place}]"):
                made = copy.copy(value)
                made[place] = changed
                yield where, made


@pytest.mark.parametrize("case", ALL)
def test_a_field_that_nobody_knows_is_never_passed_over(case: str, tmp_path: Path) -> None:
    peer, text, _ = ALL[case]
    documents = list(yaml.safe_load_all(text))
    for where, changed in surprised(documents[0]):
        path = tmp_path / "theirs.yaml"
        path.write_text(yaml.safe_dump_all([changed, *documents[1:]]))
        made = convert(path, None, peer)  # type: ignore[arg-type]
        assert SURPRISE in made.text, where


def test_a_remark_stands_in_the_step_that_it_is_about(tmp_path: Path) -> None:
    ours, _ = turned(tmp_path, ALL["chaos-mesh-delay"][1])
    lines = ours.splitlines()
    fault = next(place for place, line in enumerate(lines) if "fault: network-latency" in line)
    below = [line for line in lines[fault:] if line.strip().startswith("#")]
    assert any("`correlation` was left out" in line for line in below)


@pytest.mark.parametrize(
    ("mode", "during"),
    [("SOT", "start"), ("EOT", "end"), ("Edge", "edge"), ("Continuous", "continuous"), ("OnChaos", "fault")],
)
def test_each_mode_of_litmus_is_a_during_of_ours(tmp_path: Path, mode: str, during: str) -> None:
    text = ALL["litmus-probes"][1].replace("mode: Continuous", f"mode: {mode}", 1)
    ours, _ = turned(tmp_path, text)
    (experiment,) = [each for each in yaml.safe_load_all(ours) if each["kind"] == "Experiment"]
    assert experiment["spec"]["hypotheses"][0]["measures"][0]["during"] == during


@pytest.mark.parametrize(
    ("kind", "criteria", "value", "wanted"),
    [
        ("int", "==", "5", {"equals": 5}),
        ("int", ">", "5", {"atLeast": 6}),
        ("int", "<", "5", {"atMost": 4}),
        ("float", "<", "0.5", {"atMost": 0.5}),
        ("float", ">=", "0.5", {"atLeast": 0.5}),
        ("int", "!=", "5", {"matches": "^(?!5$)"}),
        ("int", "between", "[1,9]", {"between": [1, 9]}),
        ("int", "oneOf", "[200,201]", {"matches": "^(200|201)$"}),
        ("string", "equal", "ok", {"equals": "ok"}),
        ("string", "contains", "a.b", {"matches": r"a\.b"}),
        ("string", "matches", "^a+$", {"matches": "^a+$"}),
        ("string", "matches", "(", None),
        ("int", "<=", "many", None),
        ("int", "~", "1", None),
    ],
)
def test_a_comparator_is_a_tolerance_or_none(kind: str, criteria: str, value: str, wanted: Any) -> None:
    assert rule(kind, criteria, value, []) == wanted


def test_several_documents_are_as_many_experiments_and_others_are_told(tmp_path: Path) -> None:
    text = "---\n".join([ALL["chaos-mesh-delay"][1], ALL["chaos-mesh-dns"][1], "kind: Pod\napiVersion: v1\n"])
    ours, remarks = turned(tmp_path, text)
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(ours) if each["kind"] == "Experiment"]
    assert names == ["one", "one-2"]
    assert "A document (Pod) was left out" in remarks


def test_a_template_that_comes_twice_goes_on_the_pods_of_its_own_time(tmp_path: Path) -> None:
    chaos = "{action: netem, mode: one, selector: {labelSelectors: {a: b}}, loss: {loss: '9'}, corrupt: {corrupt: '9'}}"
    text = (
        "apiVersion: chaos-mesh.org/v1alpha1\nkind: Workflow\nspec:\n  entry: all\n  templates:\n"
        "  - {name: all, templateType: Serial, children: [bad, bad]}\n"
        f"  - {{name: bad, templateType: NetworkChaos, deadline: 9s, networkChaos: {chaos}}}\n"
    )
    ours, _ = turned(tmp_path, text)
    (experiment,) = [each for each in yaml.safe_load_all(ours) if each["kind"] == "Experiment"]
    first, second = experiment["spec"]["method"]
    assert [step["together"][1]["target"]["sameAs"] for step in (first, second)] == ["bad", "bad-2"]
    assert second["together"][0]["id"] == "bad-2"


def test_an_environment_that_is_named_gets_no_stand_in(tmp_path: Path) -> None:
    ours, remarks = turned(tmp_path, ALL["litmus-latency"][1], environment="staging")
    (document,) = yaml.safe_load_all(ours)
    assert document["spec"]["environment"] == "staging"
    assert "The environment staging must name the services cart, pay-example" in remarks


@pytest.mark.parametrize(
    ("text", "peer", "words"),
    [
        ("a: 1\n", None, "`--from` says which"),
        ("", None, "is empty"),
        ("a: [\n", None, "neither JSON nor YAML"),
        ("kraken: {chaos_scenarios: []}\n", None, "only names scenario files"),
        ("a: 1\n", "krkn", "expected a scenario of Krkn"),
        ("a: 1\n", "litmus", "expected a resource of LitmusChaos"),
        ("a: 1\n", "chaos-mesh", "expected a resource of Chaos Mesh"),
        ("- 1\n", "litmus", "expected a resource of LitmusChaos|expected a mapping"),
        ("apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosExperiment\n", None, "only the engine says what is hit"),
    ],
)
def test_what_is_none_of_theirs_is_said(tmp_path: Path, text: str, peer: Peer | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        turned(tmp_path, text, peer)


@pytest.mark.parametrize(
    "text",
    [
        "spec: 1",
        "spec: []",
        "spec: {selector: {namespaces: 1, labelSelectors: [1], nodes: 5}, mode: {}}",
        "metadata: x",
        "spec: {action: []}",
    ],
)
@pytest.mark.parametrize("kind", ["PodChaos", "NetworkChaos", "HTTPChaos", "StressChaos", "Schedule", "Workflow", "x"])
def test_documents_of_another_shape_end_in_words_and_never_in_a_traceback(tmp_path: Path, kind: str, text: str) -> None:
    head = f"apiVersion: chaos-mesh.org/v1alpha1\nkind: {kind}\n"
    assert turned(tmp_path, head + text)[1]


def test_the_command_writes_the_file_and_says_the_remarks(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "cpu.yaml", tmp_path / "ours.yaml"
    theirs.write_text(ALL["krkn-cpu"][1])
    done = CliRunner().invoke(chaosrunner, ["convert", str(theirs), "--from", "krkn", "-o", str(ours)])
    assert done.exit_code == 0, done.output
    assert "cpu-method" in done.stderr
    assert "fault: cpu-stress" in ours.read_text()
    told = json.loads(CliRunner().invoke(chaosrunner, ["convert", str(theirs), "--json"]).stdout)
    assert set(told) == {"text", "remarks"}
