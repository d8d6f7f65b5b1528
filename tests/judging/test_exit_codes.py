"""Exit codes, where several apply: 7, 70, 1, 6, 5, 4, 3, 0."""

from __future__ import annotations

from itertools import product

import pytest

from chaosrunner.model.exit_codes import gravest
from chaosrunner.model.words import Answer, Ending, worst
from chaosrunner.stages.judge import exit_code

ORDER = (7, 70, 1, 6, 5, 4, 3, 0)
OF_ENDING = {
    Ending.FINISHED: 0,
    Ending.HALTED: 6,
    Ending.NOT_STEADY: 5,
    Ending.REFUSED: 4,
    Ending.NOT_READABLE: 3,
    Ending.FAULT_FAILED: 3,
    Ending.BARRIER_HELD: 3,
    Ending.JOURNAL_FAILED: 3,
    Ending.ABORTED: 3,
    Ending.DEFECT: 70,
    None: 3,
}
OF_ANSWER = {Answer.HELD: 0, Answer.INCONCLUSIVE: 3, Answer.BROKEN: 1}


@pytest.mark.parametrize(
    ("codes", "counts"), [([], 0), ([0, 3], 3), ([3, 1], 1), ([6, 1], 1), ([1, 70], 70), ([70, 7], 7), ([5, 4], 5)]
)
def test_of_several_runs_the_gravest_counts(codes: list[int], counts: int) -> None:
    assert gravest(codes) == counts


@pytest.mark.parametrize("codes", [*product(ORDER, repeat=2)])
def test_several_runs_are_in_the_order_of_one(codes: tuple[int, int]) -> None:
    assert gravest(codes) == min(codes, key=ORDER.index)


def test_every_ending_is_known_here() -> None:
    assert set(OF_ENDING) == {None, *Ending}


@pytest.mark.parametrize(
    ("answer", "ending", "undo_failed", "gap"), list(product(Answer, [None, *Ending], [False, True], [False, True]))
)
def test_the_first_that_applies_wins(answer: Answer, ending: Ending | None, undo_failed: bool, gap: bool) -> None:
    applying = {OF_ANSWER[answer], OF_ENDING[ending]} | ({7} if undo_failed else set()) | ({1} if gap else set())
    expected = next(code for code in ORDER if code in applying)
    assert exit_code(answer, ending, undo_failed=undo_failed, gap=gap) == expected


@pytest.mark.parametrize(("one", "other"), list(product(Answer, Answer)))
def test_the_worst_answer_wins(one: Answer, other: Answer) -> None:
    order = [Answer.HELD, Answer.INCONCLUSIVE, Answer.BROKEN]
    assert worst(one, other) is max(one, other, key=order.index)


def test_nothing_at_all_is_inconclusive() -> None:
    assert worst() is Answer.INCONCLUSIVE
