"""explain knows every word that a run's report may show."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner
from chaosrunner.model.words import Answer, FindingClass, GapKind, Phase

SHOWN = [word.value.replace("-", " ") for kind in (Answer, FindingClass, GapKind, Phase) for word in kind]


@pytest.mark.parametrize("word", [*SHOWN, *GapKind, "near misses", "close calls", "faults", "priority"])
def test_every_word_that_a_report_shows_is_explained(word: str) -> None:
    result = CliRunner().invoke(chaosrunner, ["explain", *word.split()])
    assert result.exit_code == 0, result.exception
    assert "(word)" in result.output
