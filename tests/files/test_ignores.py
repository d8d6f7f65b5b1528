"""A warning can be set aside by a comment that says why; a comment that sets nothing aside is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.errors import Problem
from chaosrunner.stages.load import check, load_experiment
from tests.files.good import WHOLE

WEAK = WHOLE.replace("      abortAt: {atMost: 5s, for: 2s}\n", "")
PLACE = "  hypotheses:\n    - checkout-slo\n"


def warnings_of(folder: Path, text: str) -> list[Problem]:
    (folder / "f.yaml").write_text(text)
    checked = check(["f.yaml"], folder)
    assert not checked.problems
    loaded = load_experiment("f.yaml", None, folder).warnings
    assert loaded == tuple(str(one) for one in checked.warnings if not one.rule.startswith("ignore-"))
    return list(checked.warnings)


def commented(above: str = "", behind: str = "", text: str = WEAK) -> str:
    return text.replace(PLACE, f"  hypotheses:\n{above}    - checkout-slo{behind}\n")


def test_without_a_comment_it_is_told(tmp_path: Path) -> None:
    assert [one.rule for one in warnings_of(tmp_path, WEAK)] == ["no-abort-limit"]


@pytest.mark.parametrize("name", ["CR101", "cr101", "no-abort-limit", "CR102, CR101"])
def test_a_comment_behind_the_line_sets_it_aside(name: str, tmp_path: Path) -> None:
    assert warnings_of(tmp_path, commented(behind=f"  # chaosrunner: ignore {name} because it is short")) == []
    assert check(["f.yaml"], tmp_path).set_aside == 1


@pytest.mark.parametrize("place", ["  hypotheses:\n", "  title: Checkout keeps", "kind: Experiment"])
def test_a_comment_above_sets_aside_what_stands_below_it_by_indentation(place: str, tmp_path: Path) -> None:
    comment = "# chaosrunner: ignore CR101 because it is short\n"
    if place == "kind: Experiment":
        text = WEAK.replace("---\napiVersion: chaosrunner.dev/v1\nkind: Experiment", f"---\n{comment}kind: Experiment\n"
                            "apiVersion: chaosrunner.dev/v1")  # fmt: skip
    else:
        text = WEAK.replace(place, f"  {comment}{place}")
    left = {one.rule for one in warnings_of(tmp_path, text)}
    assert left == ({"no-abort-limit", "ignore-unused"} if "title" in place else set())


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("ignore CR101", "this comment gives no reason, and ignores nothing"),
        ("ignore CR101 because", "this comment gives no reason, and ignores nothing"),
        ("ignore because I say so", "this comment names no rule"),
        ("ignore CR177 because I say so", "there is no rule CR177"),
        ("ignore CR020 because I say so", "CR020 is a mistake, which cannot be set aside"),
        ("hush CR101 because I say so", "this comment is not understood"),
    ],
)
def test_a_comment_that_is_not_understood_sets_nothing_aside_and_is_told(
    comment: str, said: str, tmp_path: Path
) -> None:
    told = warnings_of(tmp_path, commented(behind=f"  # chaosrunner: {comment}"))
    assert {one.rule for one in told} == {"no-abort-limit", "ignore-unclear"}
    assert [one.message for one in told if one.rule == "ignore-unclear"] == [said]


def test_a_comment_that_is_not_needed_any_more_is_told_at_its_place(tmp_path: Path) -> None:
    text = commented(behind="  # chaosrunner: ignore CR101 because it is short", text=WHOLE)
    (one,) = warnings_of(tmp_path, text)
    line = text[: text.index("# chaosrunner:")].count("\n") + 1
    assert (one.rule, one.line, one.column) == ("ignore-unused", line, len("    - checkout-slo  ") + 1)


def test_what_looks_like_a_comment_inside_a_text_is_none(tmp_path: Path) -> None:
    text = WHOLE.replace(
        "  title: Checkout keeps its promise while payments is slow\n",
        "  title: |\n    Checkout\n    # chaosrunner: ignore CR101\n    keeps its promise\n",
    )
    assert warnings_of(tmp_path, text) == []
