"""Whether a game day may go: what its plan asks, and says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner
from chaosrunner.model.words import FindingClass, GapKind
from chaosrunner.register import open_register
from tests.gamedays.test_file import ENVIRONMENT, EXPERIMENT, GOOD
from tests.local_fixtures import machine
from tests.near_misses.world import SetClock, facts, finding, gap

__all__ = ["machine"]


@pytest.fixture
def folder(tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.yaml").write_text(ENVIRONMENT)
    (tmp_path / "nothing.yaml").write_text(EXPERIMENT)
    (tmp_path / "day.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(chaosrunner, ["--state", "state", "gameday", "plan", "day.yaml", "--json", *words])
    return done.exit_code, json.loads(done.stdout)


def checks(planned: dict[str, Any]) -> dict[str, bool]:
    return {one["check"]: one["go"] for one in planned["checks"]}


def test_all_say_go(folder: Path) -> None:
    code, planned = plan()
    assert code == 0
    assert checks(planned) == {"guards: nothing-happens": True, "incidents": True, "steady: nothing-happens": True}
    assert [line["title"] for line in planned["agenda"]] == ["Nothing happens", "a pause of 5m"]


def test_a_guard_that_refuses_says_no(folder: Path) -> None:
    (folder / "shop.yaml").write_text(f"{ENVIRONMENT}  guards: {{production: true}}\n")
    code, planned = plan()
    assert code == 4
    assert [check for check, go in checks(planned).items() if not go] == ["guards: nothing-happens"]


def test_a_system_that_is_not_steady_says_no(folder: Path) -> None:
    (folder / "nothing.yaml").write_text(EXPERIMENT.replace("{equals: 1}", "{equals: 2}"))
    code, planned = plan()
    assert code == 4
    assert [check for check, go in checks(planned).items() if not go] == ["steady: nothing-happens"]


def test_an_open_incident_of_this_environment_says_no(folder: Path) -> None:
    with open_register(folder / "state", SetClock()) as register:
        register.record(facts(), [finding(gap(kind=GapKind.SPILL_OVER, finding=FindingClass.INCIDENT))])
    (folder / "shop.yaml").write_text(ENVIRONMENT.replace("spec:\n", "spec:\n  class: demo\n"))
    code, planned = plan()
    assert code == 4
    assert [check for check, go in checks(planned).items() if not go] == ["incidents"]
    (folder / "shop.yaml").write_text(ENVIRONMENT)
    assert plan()[0] == 0


def test_a_surprise_is_not_told_even_where_it_says_no(folder: Path) -> None:
    (folder / "day.yaml").write_text(
        GOOD.replace("{experiment: nothing-happens}", "{experiment: nothing-happens, blind: true}")
    )
    (folder / "nothing.yaml").write_text(EXPERIMENT.replace("{equals: 1}", "{equals: 2}"))
    code, planned = plan()
    assert code == 4
    assert "nothing" not in json.dumps(planned).lower().replace("nothing is read", "")
    code, planned = plan("--reveal", "--no-ask")
    assert (code, planned["agenda"][0]["experiment"]) == (0, "nothing-happens")
