"""check, schema, catalog and explain, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaosrunner import catalog, glossary
from chaosrunner.cli import chaosrunner
from chaosrunner.files.documents import KINDS
from chaosrunner.pages import pages
from chaosrunner.reports import catalogue
from tests.files.good import WHOLE


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(chaosrunner, arguments)


def raised(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exception is not None
    return str(result.exception)


def test_check_says_that_files_are_in_order(here: Path) -> None:
    (here / "experiments").mkdir()
    (here / "experiments" / "f.yaml").write_text(WHOLE)
    result = call("check")
    assert (result.exit_code, result.output) == (0, "1 file in order\n")


def test_check_lists_every_mistake_and_exits_2(here: Path) -> None:
    (here / "f.yaml").write_text(WHOLE.replace("rate: 50/s", "rate: 50").replace("occurrence: 4", "occurence: 4"))
    result = call("check", "f.yaml")
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        "f.yaml:64:54: `rate` is 50, expected a rate such as 50/s",
        """  64 |   traffic: {url: "http://127.0.0.1:7001/cart", rate: 50, method: POST, body: '{"item": 7}', \
expect: [200, 201]}""",
        "     |                                                      ^^ CR026 quantity",
        "f.yaml:81:10: unknown field `occurence`, did you mean 'occurrence'?",
        "  81 |   risk: {occurence: 4}",
        "     |          ^^^^^^^^^ CR020 unknown-field",
        "2 mistakes in 1 of 1 file",
    ]


def test_warnings_alone_exit_0(here: Path) -> None:
    (here / "f.yaml").write_text(WHOLE.replace("      abortAt: {atMost: 5s, for: 2s}\n", ""))
    result = call("check", "f.yaml")
    assert result.exit_code == 0
    warning, _, caret, end = result.output.splitlines()
    assert warning.startswith("warning: f.yaml:58:7: no measure has `abortAt`")
    assert caret.endswith("^ CR101 no-abort-limit")
    assert end == "1 file in order, 1 warning"
    assert call("check", "--strict", "f.yaml").exit_code == 2


def test_check_answers_as_json_too(here: Path) -> None:
    (here / "f.yaml").write_text(WHOLE.replace("rate: 50/s", "rat: 50/s"))
    result = call("check", "f.yaml", "--json")
    answer = json.loads(result.output)
    assert result.exit_code == 2
    assert answer["inOrder"] is False
    assert answer["files"] == ["f.yaml"]
    assert answer["problems"] == [
        {
            "file": "f.yaml",
            "line": 64,
            "column": 48,
            "endColumn": 51,
            "path": "spec.traffic.rat",
            "code": "CR020",
            "rule": "unknown-field",
            "message": "unknown field `rat`",
            "expected": "",
            "nearest": "rate",
        }
    ]


def test_check_without_files_says_what_it_looked_for(here: Path) -> None:
    assert "none of the folders environments, experiments, hypotheses" in raised("check")
    assert "there is no file or folder 'nowhere.yaml'" in raised("check", "nowhere.yaml")
    (here / "empty").mkdir()
    assert "there is no file in 'empty' that could be checked: .yaml, .yml, .json" in raised("check", "empty")


def test_schema_prints_and_writes(here: Path) -> None:
    assert json.loads(call("schema", "experiment").output)["title"] == "Experiment"
    result = call("schema", "--write", "schemas")
    assert result.exit_code == 0
    names = {"chaosrunner.json", *(f"{kind.lower()}.json" for kind in KINDS)}
    assert {file.name for file in (here / "schemas").iterdir()} == names
    assert "did you mean 'Hypothesis'?" in raised("schema", "hypotesis")


def test_catalog_lists_every_plugin_with_one_line() -> None:
    lines = call("catalog").output.splitlines()
    for role in catalog.ROLES:
        for kind in catalog.kinds(role):
            assert any(line.startswith(f"  {kind} ") for line in lines)
    assert max(map(len, lines)) < 200


def test_catalog_shows_one_plugin_whole() -> None:
    shown = call("catalog", "network-latency").output
    for part in ("delay: duration, more than 0s, required", "platforms: ", "acts on: ", "example:", "and undoes it: "):
        assert part in shown


def test_catalog_shows_what_values_a_parameter_takes() -> None:
    shown = call("catalog", "connection-reset").output
    assert "after: duration, at least 0s, at most 2s, default 0s" in shown
    assert "share: ratio, more than 0%, default 100%" in shown
    assert "size: size, at least 1MiB\n" in call("catalog", "disk-fill").output
    assert "| duration, more than 0s | required |" in call("catalog", "--markdown").output
    (read,) = json.loads(call("catalog", "connection-reset", "--json").output)
    assert [row["limits"] for row in read["parameters"]] == ["at least 0s, at most 2s", "more than 0%"]


def test_catalog_tells_roles_apart_where_a_kind_is_in_several() -> None:
    assert "noop  (fault)" in call("catalog", "faults/noop").output
    assert "noop  (probe)" in call("catalog", "probes/noop").output
    assert "did you mean 'network-latency'?" in raised("catalog", "network-latncy")


def test_catalog_answers_as_json_too() -> None:
    (shown,) = json.loads(call("catalog", "network-latency", "--json").output)
    assert shown["role"] == "faults"
    (delay,) = [row for row in shown["parameters"] if row["name"] == "delay"]
    assert (delay["type"], delay["required"]) == ("duration", True)


def test_the_catalogue_page_can_be_printed() -> None:
    assert call("catalog", "--markdown").output == catalogue.markdown(pages(only_own=True))


@pytest.mark.parametrize("word", list(glossary.WORDS))
def test_every_word_is_explained(word: str) -> None:
    assert call("explain", *word.split()).output.startswith(f"{word}  (word)")


@pytest.mark.parametrize("code", list(glossary.EXIT_CODES))
def test_every_exit_code_is_explained(code: int) -> None:
    assert call("explain", str(code)).output.startswith(f"{code}  (exit code)")


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("near-miss", "near miss  (word)"),
        ("hypotheses", "spec.hypotheses  (field of Experiment)"),
        ("network-latency", "network-latency  (fault)"),
        ("maxAffected", "spec.guards.maxAffected  (field of Environment)"),
        ("spec.method.for", "spec.method[].for  (field of Experiment)"),
        ("prometheus.ratio.minimum", "ratio.minimum  (parameter of probe prometheus)"),
        ("spec.platform.kubernetes.optIn", "optIn  (parameter of platform kubernetes)"),
        ("IfNotPresent", "injector.pullPolicy  (a value of the parameter of platform kubernetes)"),
        ("continuous", "spec.measures[].during  (a value of the field of Hypothesis)"),
        ("GameDay", "game day  (word)"),
        ("openslo", "spec.hypotheses[].openslo  (field of Experiment)"),
        ("openslo.over", "spec.hypotheses[].openslo.over  (field of Experiment)"),
        ("exit code 5", "5  (exit code)"),
    ],
)
def test_plugins_and_fields_are_explained(word: str, part: str) -> None:
    assert part in call("explain", word).output


def test_a_word_that_is_not_known_gets_the_nearest() -> None:
    assert "did you mean 'tolerance'?" in raised("explain", "tolerence")
    assert "did you mean 'clusterUid'?" in raised("explain", "clusterUuid")
