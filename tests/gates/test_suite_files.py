"""Suites as files: what they name, in which order, with which parameters; and every mistake at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.stages.load import check
from chaosrunner.stages.suite import LoadedSuite, is_suite, load_suite
from tests.gates.pipelines import ENVIRONMENT, experiment, suite

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "experiments").mkdir()
    (tmp_path / "environments" / "quick.yaml").write_text(ENVIRONMENT)
    for name, service in (("cart-holds", "cart"), ("page-holds", "page"), ("stock-holds", "stock")):
        (tmp_path / "experiments" / f"{name}.yaml").write_text(experiment(name, service=service))
    return tmp_path


def read(folder: Path, *entries: str, more: str = "") -> LoadedSuite:
    (folder / "s.yaml").write_text(suite(*entries, more=more))
    return load_suite("release", None, folder)


def named(loaded: LoadedSuite) -> list[str]:
    return [item.label for item in loaded.items]


def test_experiments_are_named_by_name_path_label_or_folder_and_each_is_run_once(folder: Path) -> None:
    both = ["page-holds", "cart-holds"]
    assert named(read(folder, "page-holds", "experiments/cart-holds.yaml")) == both
    assert named(read(folder, "{labels: {team: page}}", "{folder: experiments}")) == [*both, "stock-holds"]
    assert named(read(folder, "{folder: experiments, labels: {team: stock}}", "stock-holds")) == ["stock-holds"]
    item = read(folder, "page-holds").items[0]
    assert (item.file, item.line, item.service, item.environment_class) == (
        "experiments/page-holds.yaml",
        2,
        "page",
        "quick",
    )


def test_a_matrix_is_every_combination_and_what_an_entry_says_counts_before_the_suite(folder: Path) -> None:
    assert named(read(folder, "{experiment: cart-holds, matrix: {limit: [1, 2]}}", "page-holds")) == [
        "cart-holds (limit=1)", "cart-holds (limit=2)", "page-holds",
    ]  # fmt: skip
    whole = read(folder, "{experiment: cart-holds, with: {limit: 3}}", "page-holds", more="  matrix: {limit: [7, 8]}\n")
    assert named(whole) == ["cart-holds (limit=3)", "page-holds (limit=7)", "page-holds (limit=8)"]


def test_the_suites_environment_is_found_from_its_own_file(folder: Path) -> None:
    (folder / "suites").mkdir()
    (folder / "suites" / "s.yaml").write_text(suite("cart-holds", more="  environment: ../environments/quick.yaml\n"))
    loaded = load_suite("suites/s.yaml", None, folder)
    assert [each.name for each in loaded.environments] == ["quick"]
    assert load_suite("release", None, folder).path == loaded.path
    assert is_suite("release", folder) and not is_suite("cart-holds", folder)


MISTAKES = (
    ("    - cart-hold\n", "s.yaml:7:7: there is no Experiment 'cart-hold', did you mean 'cart-holds'?"),
    ("    - {folder: experimens}\n", "s.yaml:7:16: there is no folder experimens, did you mean 'experiments'?"),
    ("    - {labels: {team: pag}}\n", "s.yaml:7:16: no experiment has the labels team=pag, did you mean 'team=page'?"),
    (
        "    - {labels: {owner: zebra}}\n",
        "s.yaml:7:16: no experiment has the labels owner=zebra, expected one of team=cart, team=page, team=stock; "
        "beside `labels`, `folder` says where else to look",
    ),
    ("    - {folder: environments}\n", "s.yaml:7:16: 'environments' holds no experiment"),
    ("    - {}\n", "s.yaml:7:7: item 1 of `experiments` is an empty mapping, expected `experiment`, or `folder`"),
    ("    - {experiment: cart-holds, after: [page]}\n", "s.yaml:7:40: the suite has no experiment 'page'"),
    ("    - {experiment: cart-holds, after: [cart-holds]}\n", "s.yaml:7:39: 'cart-holds' waits for itself"),
    (
        "    - {experiment: cart-holds, with: {limt: 3}}\n",
        "s.yaml:7:39: the experiment has no parameter `limt`, did you mean",
    ),
    ("    - {experiment: cart-holds, with: {limit: many}}\n", "s.yaml:7:46: `limit` is 'many', expected a number"),
    (
        "    - {experiment: cart-holds, environment: quik}\n",
        "s.yaml:7:45: there is no Environment 'quik', did you mean",
    ),
    (
        "    - cart-holds\n  with: {limi: 3}\n",
        "s.yaml:8:10: no experiment of the suite has a parameter `limi`, did you mean",
    ),
    ("    - cart-holds\n  paralel: 3\n", "s.yaml:8:3: unknown field `paralel`, did you mean 'parallel'?"),
    ("    - cart-holds\n  budget: 5\n", "s.yaml:8:11: `budget` is 5, expected a duration"),
    ("    - cart-holds\n  gate: {new: P5}\n", "s.yaml:8:15: `new` is 'P5', expected"),
    ("    - cart-holds\n  gate: {inconclusive: unknwn}\n", "s.yaml:8:24: `inconclusive` is 'unknwn'"),
)


@pytest.mark.parametrize(("written", "said"), MISTAKES, ids=[each[1][:50] for each in MISTAKES])
def test_a_mistake_is_told_at_its_place(written: str, said: str, folder: Path) -> None:
    (folder / "s.yaml").write_text(suite("X").replace("    - X\n", written))
    problems = [str(problem) for problem in check(["s.yaml"], folder).problems]
    assert [each for each in problems if each.startswith(said)], problems
    assert len(problems) == 1, problems


def test_two_experiments_of_one_name_are_told(folder: Path) -> None:
    (folder / "experiments" / "twin.yaml").write_text(experiment("cart-holds"))
    (folder / "s.yaml").write_text(suite("{folder: experiments}"))
    (problem,) = check(["s.yaml"], folder).problems
    assert "two experiments are called 'cart-holds'" in problem.message


@pytest.mark.parametrize("path", sorted((ROOT / "suites").glob("*.yaml")), ids=lambda path: path.name)
def test_a_shipped_suite_is_right(path: Path) -> None:
    assert not check([str(path)], ROOT).problems
