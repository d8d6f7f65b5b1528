"""Every mistake is found, at its place, in words, and nothing else is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.files.rules import rule_of
from chaosrunner.stages.load import check, load_experiment
from tests.files.good import WHOLE, Mistake, changed, problems_of
from tests.files.mistakes import DOCUMENTS, EXPERIMENTS, HYPOTHESES

ALL = [*DOCUMENTS, *HYPOTHESES, *EXPERIMENTS]


def test_files_that_are_right_have_no_problems_and_no_warnings(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(WHOLE)
    checked = check(["f.yaml"], tmp_path)
    assert not checked.problems
    assert not checked.warnings
    assert load_experiment("checkout-when-payments-is-slow", None, tmp_path).environment.name == "laptop"


@pytest.mark.parametrize("mistake", ALL, ids=[mistake.new.replace("‸", "") for mistake in ALL])
def test_a_mistake_is_said_with_its_place_what_was_expected_and_the_nearest_word(
    mistake: Mistake, tmp_path: Path
) -> None:
    text, line, column = changed(mistake)
    problems = problems_of(tmp_path, text)
    said = [str(problem) for problem in problems]
    told = [one for one in problems if str(one).startswith(f"f.yaml:{line}:{column}: {mistake.said}")]
    assert told, said
    assert rule_of(told[0]).name == mistake.rule
    assert len(said) == 1 + mistake.more, said


PYDANTIC = ("Input should", "Value error", "Extra inputs", "Field required", "validation", "type=", "Tuple", "_type")


@pytest.mark.parametrize("mistake", ALL, ids=[mistake.new.replace("‸", "") for mistake in ALL])
def test_no_word_of_a_library_reaches_a_user(mistake: Mistake, tmp_path: Path) -> None:
    text, _, _ = changed(mistake)
    said = "\n".join(map(str, problems_of(tmp_path, text)))
    assert not [word for word in PYDANTIC if word in said]


def test_several_mistakes_are_told_in_one_go(tmp_path: Path) -> None:
    separate = [
        mistake
        for mistake in ALL
        if "\n" not in mistake.old
        and not mistake.more
        and mistake.old
        in {
            "retries: 1",
            "during: edge",
            "rate: 50/s",
            "risk: {occurrence: 4}",
            "labels: [resilience]}",
        }
    ]
    by_old = {mistake.old: mistake for mistake in separate}
    assert len(by_old) >= 4
    text = WHOLE
    for mistake in by_old.values():
        text = text.replace(mistake.old, mistake.new.replace("‸", ""))
    said = "\n".join(map(str, problems_of(tmp_path, text)))
    for mistake in by_old.values():
        assert mistake.said in said
