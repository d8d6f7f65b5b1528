"""The judge, as a table: one good journal, one change, and what is said of it. One case for each rule and edge."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaosrunner.model.words import Answer
from chaosrunner.stages.judge import judge
from tests.judging.cases_of_endings import ENDINGS
from tests.judging.cases_of_readings import LAG, MISSING_BREAKS, PHASES, READINGS, SETTLE
from tests.judging.cases_of_runs import FAULTS, RECOVERY
from tests.judging.journals import (
    Story,
)

ALL = READINGS + LAG + SETTLE + PHASES + MISSING_BREAKS + FAULTS + RECOVERY + ENDINGS


@pytest.mark.parametrize(
    ("story", "answer", "code", "words"), [case[1:] for case in ALL], ids=[case[0].replace(" ", "_") for case in ALL]
)
def test_a_journal_is_judged(story: Callable[[], Story], answer: Answer, code: int, words: str) -> None:
    verdict = judge(story().entries())
    assert (verdict.answer, verdict.exit_code) == (answer, code), (verdict.summary, verdict.inconclusive_because)
    said = [verdict.summary, *verdict.inconclusive_because, *(fault.trouble for fault in verdict.faults)]
    said += [measure.reason for hypothesis in verdict.hypotheses for measure in hypothesis.measures]
    said += [phase.reason for one in verdict.hypotheses for measure in one.measures for phase in measure.phases]
    assert any(words in one for one in said), said


def test_the_table_has_no_sentence_twice() -> None:
    assert len({case[0] for case in ALL}) == len(ALL)
