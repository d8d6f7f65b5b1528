"""A file that did not change, nor anything that its answer depends on, is not looked at twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosrunner.stages.checking import check_files
from chaosrunner.stages.load import Checked
from tests.files.good import ENVIRONMENT, EXPERIMENT, HYPOTHESIS

Look = Callable[[], tuple[Checked, set[str]]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for folder, text in (("environments", ENVIRONMENT), ("hypotheses", HYPOTHESIS), ("experiments", EXPERIMENT)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.yaml").write_text(text)
    (tmp_path / ".git").mkdir()
    return tmp_path


@pytest.fixture
def look(place: Path) -> Look:
    """What `check` says, and the files that it looked at for that."""

    def once() -> tuple[Checked, set[str]]:
        checked = check_files((), place, place / "state")
        return checked, set(checked.files) - set(checked.known)

    return once


EXP, HYP, ENV = (f"{folder}/one.yaml" for folder in ("experiments", "hypotheses", "environments"))


def test_what_did_not_change_is_not_looked_at_again_and_said_again(place: Path, look: Look) -> None:
    path = place / EXP
    path.write_text(path.read_text().replace("rate: 50/s", "rate: 50"))
    first, seen = look()
    assert seen == {EXP, HYP, ENV}
    again, seen = look()
    assert seen == set()
    assert again.problems == first.problems
    assert [problem.rule for problem in again.problems] == ["quantity"]


@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        (EXP, "rate: 50/s", "rate: 60/s", {EXP}),
        (ENV, "listens: 5432", "listens: 5433", {EXP, ENV}),
        (HYP, "retries: 1", "retries: 2", {EXP, HYP}),
        (HYP, "name: checkout-slo", "name: other-slo", {EXP, HYP}),
    ],
)
def test_what_depends_on_a_file_that_changed_is_looked_at_again(
    file: str, old: str, new: str, again: set[str], place: Path, look: Look
) -> None:
    look()
    (place / file).write_text((place / file).read_text().replace(old, new))
    checked, seen = look()
    assert seen == again
    assert bool(checked.problems) == ("other-slo" in new)


def test_a_further_file_of_the_same_name_elsewhere_is_noticed(place: Path, look: Look) -> None:
    assert look()[0].problems == ()
    (place / "hypotheses" / "two.yaml").write_text(HYPOTHESIS)
    checked, seen = look()
    assert EXP in seen
    assert ["two or more are the Hypothesis" in problem.message for problem in checked.problems] == [True]
    (place / "hypotheses" / "two.yaml").unlink()
    assert look()[0].problems == ()


def test_a_file_that_was_missing_and_is_there_now_is_noticed(place: Path, look: Look) -> None:
    path = place / EXP
    path.write_text(path.read_text().replace("- checkout-slo", "- ../hypotheses/later.yaml"))
    assert [problem.rule for problem in look()[0].problems] == ["not-found"]
    (place / HYP).rename(place / "hypotheses" / "later.yaml")
    assert look()[0].problems == ()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"basis": 7, "files": []}'])
def test_a_damaged_memory_is_none(damage: str, place: Path, look: Look) -> None:
    look()
    (place / "state" / "checked.json").write_text(damage)
    assert look()[1] == {EXP, HYP, ENV}
    assert look()[1] == set()


def test_where_nothing_can_be_kept_everything_is_looked_at(place: Path, look: Look) -> None:
    (place / "state").write_text("a file in its place")
    assert look()[1] == {EXP, HYP, ENV}
    assert look()[1] == {EXP, HYP, ENV}
