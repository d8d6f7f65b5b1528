"""Experiments that are made of others: parameters, `extends`, a matrix; every mistake where it was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.errors import FileProblems, ManyRuns, UsageError
from chaosrunner.stages.load import Loaded, check, load_experiment
from chaosrunner.stages.resolve import resolve
from chaosrunner.stages.variants import variants

ENVIRONMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec: {platform: {local: {services: {web: {listens: 9}}, links: {}}}}
"""
BASE = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: base, labels: {team: base}}
spec:
  title: It holds for ${lasts}, $${lasts} is literal
  environment: here
  parameters:
    lasts: {meaning: how long, type: duration, default: 5s}
    value: {meaning: what is read, type: number, default: 1}
    held: {meaning: whether, type: boolean, default: true}
  hypotheses:
    - name: one
      title: One is ${value} and ${held}
      measures: [{name: one, noop: {value: "${value}"}, tolerance: {equals: 1}, abortAt: {atMost: 9}}]
  baseline: {for: 30s}
  method: [{fault: noop, for: "${lasts}"}, {wait: 1s}]
"""
CHILD = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: child}
spec:
  extends: base
  baseline: {within: 3m}
"""
MATRIX = CHILD + "  matrix: {lasts: [6s, 7s], value: [1, 2]}\n"


def write(folder: Path, child: str = CHILD, base: str = BASE) -> None:
    for name, text in (("base", base), ("child", child), ("here", ENVIRONMENT)):
        (folder / f"{name}.yaml").write_text(text)


def problems(folder: Path, name: str = "child.yaml") -> list[str]:
    return [str(problem) for problem in check([name], folder).problems]


def loaded(folder: Path, name: str = "child", **given: str) -> Loaded:
    return load_experiment(name, None, folder, given)


# -------------------------------------------------------------------------------------------------------- parameters


def test_a_parameter_stands_for_its_default_or_for_what_the_command_says(tmp_path: Path) -> None:
    write(tmp_path)
    usual, other = loaded(tmp_path, "base"), loaded(tmp_path, "base", lasts="9s", value="3", held="false")
    assert usual.experiment.spec.title == "It holds for 5s, ${lasts} is literal"
    assert usual.parameters == {"lasts": "5s", "value": 1, "held": True}
    assert other.parameters == {"lasts": "9s", "value": 3, "held": False}
    assert other.hypotheses[0].measures[0].params == {"value": 3}
    assert other.hypotheses[0].title == "One is 3 and false"
    assert other.experiment.spec.parameters == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lsats": "9s"}, "the experiment has no parameter `lsats`, did you mean 'lasts'?"),
        ({"lasts": "9"}, "the parameter `lasts` is '9', expected a duration such as 500ms, 30s or 5m"),
        ({"value": "many"}, "the parameter `value` is 'many', expected a number"),
        ({"held": "1"}, "the parameter `held` is 1, expected true or false"),
    ],
)
def test_a_wrong_value_of_the_command_is_said_by_its_name(given: dict[str, str], said: str, tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UsageError) as told:
        loaded(tmp_path, "base", **given)
    assert str(told.value) == said


def test_a_value_for_an_experiment_without_parameters_is_refused(tmp_path: Path) -> None:
    text = BASE.replace("${lasts}", "5s").replace("${value}", "1").replace("${held}", "")
    start, end = text.index("  parameters:"), text.index("  hypotheses:")
    write(tmp_path, base=text[:start] + text[end:])
    assert loaded(tmp_path, "base").parameters == {}
    with pytest.raises(UsageError, match="has no parameter `lasts`, expected none: it has no parameters"):
        loaded(tmp_path, "base", lasts="9s")


def test_a_parameter_without_a_default_must_be_given_and_check_takes_its_example(tmp_path: Path) -> None:
    write(tmp_path, base=BASE.replace("default: 5s", "example: 5s"))
    assert problems(tmp_path, "base.yaml") == []
    assert loaded(tmp_path, "base", lasts="4s").parameters["lasts"] == "4s"
    with pytest.raises(FileProblems) as told:
        loaded(tmp_path, "base")
    assert str(told.value).startswith(
        "base.yaml:8:12: the parameter `lasts` has no value, expected `--parameter lasts="
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("${value} and", "${valeu} and", "base.yaml:13:14: `${valeu}` names no parameter, did you mean 'value'?"),
        ("default: 5s", "default: 5", "base.yaml:8:57: `lasts` is 5, expected a duration such as 500ms, 30s or 5m"),
        ("    lasts:", "    Lasts:", "base.yaml:8:5: a parameter is named 'Lasts', expected lower case letters"),
        ("type: number", "type: nubmer", "base.yaml:9:42: `type` is 'nubmer', did you mean 'number'?"),
        ("default: 5s", "default: 0s", "base.yaml:8:57: `for` is '0s', in which nothing can be seen"),
    ],
)
def test_a_mistake_is_told_where_the_value_was_written(old: str, new: str, said: str, tmp_path: Path) -> None:
    write(tmp_path, base=BASE.replace(old, new))
    assert problems(tmp_path, "base.yaml")[0].startswith(said)


# ----------------------------------------------------------------------------------------------------------- extends


def test_an_extending_experiment_merges_mappings_and_replaces_lists(tmp_path: Path) -> None:
    write(tmp_path, CHILD + "  method: [{fault: noop, for: 8s}]\n")
    found = loaded(tmp_path).experiment
    assert (found.metadata.name, found.metadata.labels) == ("child", {})
    assert (found.spec.baseline.for_, found.spec.baseline.within) == (30.0, 180.0)
    assert len(found.spec.method) == 1
    assert found.spec.extends is None
    assert [source.path for source in loaded(tmp_path).sources] == ["child.yaml", "base.yaml", "here.yaml"]


def test_only_a_parameters_default_can_be_changed_and_the_rest_is_taken_over(tmp_path: Path) -> None:
    write(tmp_path, CHILD + "  parameters: {lasts: {default: 11s}}\n")
    assert loaded(tmp_path).parameters["lasts"] == "11s"


def test_names_in_what_is_extended_are_looked_for_beside_it(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    write(tmp_path / "shared")
    (tmp_path / "shared" / "child.yaml").unlink()
    (tmp_path / "child.yaml").write_text(CHILD.replace("extends: base", "extends: shared/base.yaml"))
    assert loaded(tmp_path).environment.name == "here"
    assert problems(tmp_path) == []


def test_a_mistake_in_what_is_extended_is_told_in_its_own_file(tmp_path: Path) -> None:
    write(tmp_path, base=BASE.replace("{fault: noop,", "{fault: nop,").replace("baseline:", "baselin:"))
    said = problems(tmp_path)
    assert "base.yaml:16:20: unknown fault `nop`, did you mean 'noop'?" in said
    assert "base.yaml:15:3: unknown field `baselin`, did you mean 'baseline'?" in said
    assert len(said) == 2


def test_a_wrong_value_below_a_key_of_the_base_is_told_in_the_file_that_wrote_it(tmp_path: Path) -> None:
    write(tmp_path, CHILD.replace("within: 3m", "within: 3"))
    assert problems(tmp_path)[0].startswith("child.yaml:6:22: `within` is 3, expected a duration")


@pytest.mark.parametrize(
    ("extends", "said"),
    [
        ("bas", "child.yaml:5:12: there is no experiment 'bas'"),
        ("[base]", "child.yaml:5:12: `extends` is a list, expected the name or path of an experiment"),
        ("child", "child.yaml:5:12: `extends` goes in a circle: child extends child"),
        ("empty.yaml", "empty.yaml:1:1: the experiment 'empty' has no fields in `spec`"),
    ],
)
def test_what_cannot_be_extended_is_said_at_its_place(extends: str, said: str, tmp_path: Path) -> None:
    write(tmp_path, CHILD.replace("extends: base", f"extends: {extends}"))
    (tmp_path / "empty.yaml").write_text("{apiVersion: chaosrunner.dev/v1, kind: Experiment, metadata: {name: empty}}")
    (found,) = problems(tmp_path)
    assert found.lower().startswith(said.lower())


def test_a_circle_over_several_files_is_told_where_it_closes(tmp_path: Path) -> None:
    write(tmp_path, base=BASE.replace("spec:\n", "spec:\n  extends: child\n"))
    (found,) = problems(tmp_path)
    assert found == "base.yaml:5:12: `extends` goes in a circle: child extends base extends child"


# ------------------------------------------------------------------------------------------------------------ matrix


def test_a_matrix_stands_for_a_run_of_each_combination_in_order(tmp_path: Path) -> None:
    write(tmp_path, MATRIX)
    runs = [load_experiment("child", None, tmp_path, way) for way in variants("child", tmp_path)]
    assert [(run.parameters["lasts"], run.parameters["value"]) for run in runs] == [
        ("6s", 1),
        ("6s", 2),
        ("7s", 1),
        ("7s", 2),
    ]
    assert {run.experiment.metadata.name for run in runs} == {"child"}
    assert {run.experiment.spec.service for run in runs} == {None}  # its near misses are those of the name
    assert problems(tmp_path) == []


def test_a_given_value_is_not_varied_and_one_run_must_be_chosen(tmp_path: Path) -> None:
    write(tmp_path, MATRIX)
    ways = variants("child", tmp_path, {"lasts": "9s"})
    assert [load_experiment("child", None, tmp_path, way).parameters["value"] for way in ways] == [1, 2]
    with pytest.raises(ManyRuns, match="say which value"):
        loaded(tmp_path, lasts="9s")


def test_an_experiment_without_a_matrix_is_one_run(tmp_path: Path) -> None:
    write(tmp_path)
    assert variants("child", tmp_path, {"lasts": "9s"}) == [{"lasts": "9s"}]


def test_check_looks_at_every_value_of_a_matrix(tmp_path: Path) -> None:
    write(tmp_path, CHILD + "  matrix:\n    lasts: [6s, 7s, 0s]\n    value: [1, 2, 3]\n")
    assert problems(tmp_path) == [
        "child.yaml:8:21: `for` is '0s', in which nothing can be seen, expected a longer time"
    ]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("{lasts: 6s}", "child.yaml:7:19: `lasts` of the matrix is '6s', expected a list of values"),
        ("{lasts: [6s, 6s]}", "child.yaml:7:24: '6s' stands there twice"),
        ("{lasts: [6s, [7s]]}", "child.yaml:7:24: a value of the matrix is a list, expected text, a number"),
        ("{lasts: [6s, 7]}", "child.yaml:7:24: `lasts` is 7, expected a duration"),
        ("{lsats: [6s, 7s]}", "child.yaml:7:12: nothing uses `${lsats}`: all runs would be the same"),
        ("[lasts]", "child.yaml:7:11: `matrix` is a list, expected a mapping of names to lists of values"),
        (
            f"{{lasts: {[f'{n}s' for n in range(1, 102)]}}}",
            "child.yaml:7:11: the matrix makes 101 runs, expected at most",
        ),
    ],
)
def test_a_mistake_in_a_matrix_is_told_where_it_stands(matrix: str, said: str, tmp_path: Path) -> None:
    write(tmp_path, CHILD + f"  matrix: {matrix}\n")
    assert problems(tmp_path)[0].startswith(said)


def test_a_matrix_may_vary_what_no_parameter_declares(tmp_path: Path) -> None:
    write(tmp_path, CHILD + "  matrix: {who: [a, b]}\n  title: Made by ${who}\n")
    ways = variants("child", tmp_path)
    assert [load_experiment("child", None, tmp_path, way).experiment.spec.title for way in ways] == [
        "Made by a",
        "Made by b",
    ]
    assert loaded(tmp_path, who="c").experiment.spec.title == "Made by c"


# ---------------------------------------------------------------------------------------------------------- resolved


def test_what_is_resolved_reads_as_the_same_experiment_and_says_where_values_come_from(tmp_path: Path) -> None:
    write(tmp_path, MATRIX)
    (tmp_path / "own.yaml").write_text(
        "apiVersion: chaosrunner.dev/v1\nkind: Hypothesis\nmetadata: {name: own}\nspec:\n  title: 'It: ${n}'\n"
        "  parameters: {n: {meaning: which, type: number, default: 2}}\n"
        "  measures: [{name: m, noop: {value: '${n}'}, tolerance: {equals: 2}}]\n"
    )
    child = MATRIX.replace("  baseline", "  hypotheses: [{use: own, as: mine, with: {n: '${value}'}}, own]\n  baseline")
    write(tmp_path, child)
    way = variants("child", tmp_path)[3]
    before, shown = load_experiment("child", None, tmp_path, way), resolve("child", None, tmp_path, way)
    text = shown.as_yaml()
    assert "for: 7s  # ${lasts}, the matrix, child.yaml:8" in text
    assert "name: mine  # the hypothesis own, own.yaml" in text
    assert "within: 3m\n" in text
    assert "for: 30s  # base.yaml:15" in text
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "child.yaml").write_text(f"{text}\n---\n{ENVIRONMENT}")
    after = load_experiment("child", None, tmp_path / "again")
    assert after.hypotheses == before.hypotheses
    assert after.experiment.spec.method == before.experiment.spec.method
    assert after.experiment.spec.baseline == before.experiment.spec.baseline
    assert after.experiment.spec.title == before.experiment.spec.title
    told = shown.as_json()
    assert told["parameters"] == {"lasts": "7s", "value": 2, "held": True}
    assert isinstance(told["from"], dict)
    assert told["from"]["spec.method[0].for"] == "${lasts}, the matrix, child.yaml:8"
