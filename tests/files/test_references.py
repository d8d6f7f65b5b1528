"""A reference is a path, or a name: in the same file, its folder, and the three folders beside or above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.errors import FileProblems, UsageError
from chaosrunner.files.references import Library
from chaosrunner.stages.load import check, load_environment, load_experiment
from tests.files.good import ENVIRONMENT, EXPERIMENT, HYPOTHESIS


def put(folder: Path, files: dict[str, str]) -> None:
    (folder / ".git").mkdir(parents=True, exist_ok=True)  # the search ends here
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


PLACES = [
    ("experiments/e.yaml", "hypotheses/h.yaml", "environments/v.yaml"),
    ("experiments/e.yaml", "experiments/h.yml", "experiments/v.json.yaml"),
    ("e.yaml", "h.yaml", "v.yaml"),
    ("team/shop/e.yaml", "hypotheses/h.yaml", "team/environments/v.yaml"),
    ("e.yaml", "experiments/h.yaml", "hypotheses/v.yaml"),
]


@pytest.mark.parametrize("places", PLACES, ids=[" ".join(places) for places in PLACES])
def test_names_are_found_beside_and_above(places: tuple[str, str, str], tmp_path: Path) -> None:
    put(tmp_path, dict(zip(places, (EXPERIMENT, HYPOTHESIS, ENVIRONMENT), strict=True)))
    loaded = load_experiment(places[0], None, tmp_path)
    assert [hypothesis.name for hypothesis in loaded.hypotheses] == ["checkout-slo", "in-place"]
    assert loaded.environment.name == "laptop"
    assert [source.path for source in loaded.sources] == list(places)
    assert loaded.path == tmp_path / places[0]
    assert loaded.environment_path == tmp_path / places[2]


def test_an_experiment_can_be_named_instead_of_its_file(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"experiments/e.yaml": EXPERIMENT, "hypotheses/h.yaml": HYPOTHESIS, "environments/v.yaml": ENVIRONMENT},
    )
    loaded = load_experiment("checkout-when-payments-is-slow", None, tmp_path)
    assert loaded.path == tmp_path / "experiments/e.yaml"


def test_a_file_beyond_the_repository_is_not_looked_at(tmp_path: Path) -> None:
    put(tmp_path / "repository", {"e.yaml": EXPERIMENT, "h.yaml": HYPOTHESIS})
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "v.yaml").write_text(ENVIRONMENT)
    with pytest.raises(FileProblems, match="there is no Environment 'laptop'"):
        load_experiment("e.yaml", None, tmp_path / "repository")


def test_a_path_in_a_file_starts_in_its_folder(tmp_path: Path) -> None:
    experiment = EXPERIMENT.replace("environment: laptop", "environment: ../x/v.yaml").replace(
        "    - checkout-slo\n", "    - ./h.yaml\n"
    )
    put(tmp_path, {"a/e.yaml": experiment, "a/h.yaml": HYPOTHESIS, "x/v.yaml": ENVIRONMENT})
    assert load_experiment("a/e.yaml", None, tmp_path).environment.name == "laptop"


def test_the_same_file_is_asked_first(tmp_path: Path) -> None:
    put(tmp_path, {"e.yaml": f"{EXPERIMENT}---\n{HYPOTHESIS}---\n{ENVIRONMENT}", "v.yaml": ENVIRONMENT})
    loaded = load_experiment("e.yaml", None, tmp_path)
    assert {source.path for source in loaded.sources} == {"e.yaml"}


def test_two_that_match_are_a_mistake_that_names_both(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"e.yaml": EXPERIMENT, "h.yaml": HYPOTHESIS, "v.yaml": ENVIRONMENT, "environments/w.yaml": ENVIRONMENT},
    )
    with pytest.raises(FileProblems) as raised:
        load_experiment("e.yaml", None, tmp_path)
    (problem,) = raised.value.problems
    assert (problem.file, problem.line) == ("e.yaml", 10)
    assert "v.yaml:1" in problem.message
    assert "environments/w.yaml:1" in problem.message


def test_the_command_line_overrides_the_environment(tmp_path: Path) -> None:
    other = ENVIRONMENT.replace("name: laptop", "name: bench")
    put(tmp_path, {"e.yaml": EXPERIMENT, "h.yaml": HYPOTHESIS, "v.yaml": ENVIRONMENT, "environments/w.yaml": other})
    assert load_experiment("e.yaml", "bench", tmp_path).environment.name == "bench"
    assert load_experiment("e.yaml", "environments/w.yaml", tmp_path).environment.name == "bench"
    with pytest.raises(UsageError, match="there is no Environment 'bnech', did you mean 'bench'"):
        load_experiment("e.yaml", "bnech", tmp_path)


def test_an_experiment_without_an_environment_needs_one_from_the_command_line(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"e.yaml": EXPERIMENT.replace("  environment: laptop\n", ""), "h.yaml": HYPOTHESIS, "v.yaml": ENVIRONMENT},
    )
    assert not check(["e.yaml"], tmp_path).problems
    assert load_experiment("e.yaml", "laptop", tmp_path).environment.name == "laptop"
    with pytest.raises(FileProblems, match="names no environment, expected `environment: NAME`, or -e NAME"):
        load_experiment("e.yaml", None, tmp_path)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("nowhere.yaml", "there is no file nowhere.yaml"),
        ("elsewhere/second", "there is no file elsewhere/second, did you mean 'experiments/second.yaml'?"),
        ("second.yaml", "there is no file second.yaml, did you mean 'experiments/second.yaml'?"),
        ("./experiments", "experiments is a folder, expected a file with one Experiment"),
        (
            "checkout-when-payment-is",
            "there is no Experiment 'checkout-when-payment-is', did you mean 'checkout-when-payments-is-slow'",
        ),
        ("h.yaml", "h.yaml holds no Experiment, only Hypothesis"),
        ("two.yaml", "two.yaml holds more than one Experiment: checkout-when-payments-is-slow, second"),
        ("broken.yaml", "broken.yaml:1:5: "),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(reference: str, said: str, tmp_path: Path) -> None:
    second = EXPERIMENT.replace("name: checkout-when-payments-is-slow", "name: second")
    files = {"h.yaml": HYPOTHESIS, "two.yaml": f"{EXPERIMENT}---\n{second}", "broken.yaml": "a: [\n"}
    put(tmp_path, files | {"experiments/second.yaml": second})
    with pytest.raises(UsageError) as raised:
        load_experiment(reference, None, tmp_path)
    assert str(raised.value).startswith(said) or reference == "broken.yaml"
    assert "broken.yaml:" in str(raised.value) or reference != "broken.yaml"


def test_all_mistakes_of_all_files_come_in_one_go(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "e.yaml": EXPERIMENT.replace("rate: 50/s", "rate: 50"),
            "h.yaml": HYPOTHESIS.replace("retries: 1", "retries: 9"),
            "v.yaml": ENVIRONMENT.replace("production: false", "production: maybe"),
        },
    )
    with pytest.raises(FileProblems) as raised:
        load_experiment("e.yaml", None, tmp_path)
    assert [problem.file for problem in raised.value.problems] == ["e.yaml", "h.yaml", "v.yaml"]


def test_other_files_in_the_way_do_no_harm(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "e.yaml": EXPERIMENT,
            "h.yaml": HYPOTHESIS,
            "v.yaml": ENVIRONMENT,
            "chart.yaml": "a: {{ .Values.b }}",
            "pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: laptop}",
            "bytes.yaml": "\x00",
            "list.json": "[1, 2]",
        },
    )
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert load_experiment("e.yaml", None, tmp_path).environment.name == "laptop"


def test_one_file_under_several_names_is_one_document(tmp_path: Path) -> None:
    put(tmp_path, {"e.yaml": EXPERIMENT, "h.yaml": HYPOTHESIS, "elsewhere/v.yaml": ENVIRONMENT})
    (tmp_path / "environments").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "v.yaml").symlink_to(tmp_path / "elsewhere" / "v.yaml")
    assert load_experiment("e.yaml", None, tmp_path).environment.name == "laptop"


def test_a_file_is_called_by_its_shortest_path_as_other_tools_call_it(tmp_path: Path) -> None:
    put(tmp_path, {"a/deep/x": "", "experiments/e.yaml": EXPERIMENT, "suites/x": ""})
    library = Library(tmp_path)
    assert library.shown(tmp_path / "suites" / ".." / "experiments" / "e.yaml") == "experiments/e.yaml"
    (tmp_path / "suites" / "there").symlink_to(tmp_path / "a" / "deep")
    away = tmp_path / "suites" / "there" / ".." / "e.yaml"
    assert library.shown(away) == "suites/there/../e.yaml", "which is a/e.yaml, not suites/e.yaml"


def test_a_file_of_more_than_one_block_is_read_whole(tmp_path: Path) -> None:
    long = "# long\n" * 40_000
    put(tmp_path, {"e.yaml": f"{long}{EXPERIMENT}", "h.yaml": HYPOTHESIS, "v.yaml": ENVIRONMENT})
    assert load_experiment("e.yaml", None, tmp_path).environment.name == "laptop"


def test_an_environment_comes_with_its_folder_and_checksum(tmp_path: Path) -> None:
    put(tmp_path, {"environments/v.yaml": ENVIRONMENT})
    environment, folder, source = load_environment("laptop", tmp_path)
    assert environment.name == "laptop"
    assert folder == tmp_path / "environments"
    assert source.path == "environments/v.yaml"
    assert len(source.sha256) == 64


def test_a_folder_is_checked_with_what_is_in_it_and_nothing_foreign(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "experiments/deep/e.yaml": EXPERIMENT,
            "hypotheses/h.yaml": HYPOTHESIS,
            "environments/v.yaml": ENVIRONMENT,
            "experiments/pod.yaml": "apiVersion: v1\nkind: Pod\n",
            "experiments/.hidden/x.yaml": "a: [",
            "experiments/notes.txt": "a: [",
        },
    )
    checked = check([], tmp_path)
    assert not checked.problems
    assert len(checked.files) == 3
    assert checked.passed_over == ("experiments/pod.yaml",)
    (problem,) = check(["experiments/pod.yaml"], tmp_path).problems
    assert "unknown kind 'Pod'" in problem.message


def test_json_files_are_read_like_the_others(tmp_path: Path) -> None:
    import json

    import yaml

    document = yaml.safe_load(HYPOTHESIS)
    put(tmp_path, {"e.yaml": EXPERIMENT, "v.yaml": ENVIRONMENT, "hypotheses/h.json": json.dumps(document, indent=1)})
    assert load_experiment("e.yaml", None, tmp_path).hypotheses[0].name == "checkout-slo"
