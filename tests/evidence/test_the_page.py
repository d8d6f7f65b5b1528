"""`docs/evidence.md` says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from chaosrunner import catalog
from chaosrunner.judging import log_changes, shifts
from chaosrunner.model.environment import EvidenceSpec
from chaosrunner.stages.evidence import STRETCHES
from chaosrunner.stages.load import load_environment

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"


def text() -> str:
    return " ".join(PAGE.read_text(encoding="utf-8").split())


def test_its_environment_is_right_and_shows_every_field(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    (tmp_path / "staging.yaml").write_text(block[1])
    environment, _, _ = load_environment("staging.yaml", tmp_path)
    evidence = environment.spec.evidence
    assert evidence.model_fields_set == set(EvidenceSpec.model_fields)
    default = EvidenceSpec()
    assert (evidence.history, evidence.within, evidence.show) == (default.history, default.within, default.show)


def test_it_names_every_source() -> None:
    missing = [kind for kind in catalog.kinds("sources") if f"{kind}:" not in text()]
    assert not missing


def test_its_numbers_are_those_of_the_code() -> None:
    page = text()
    assert f"robust z is at least {shifts.LEAST_Z:g} (more with few values)" in page
    assert f"Cliff's delta is beyond {shifts.LEAST_DELTA:g}" in page
    assert f"at least {shifts.WANDER:g} times as far as ever" in page
    assert f"with fewer than {shifts.FEWEST_SHIFTS} of them" in page
    assert f"changes of less than {shifts.LEAST_RELATIVE:.0%}".replace("%", " %") in page
    assert f"more than {log_changes.BURST:g} times as often; less than {log_changes.DROP:g} times as often" in page
    assert f"At least {log_changes.FEWEST} lines" in page
    assert log_changes.TROUBLE == 2 and "refused, …) weigh twice" in page
    assert STRETCHES == 10 and "at least ten times as long as the fault lasted" in page
