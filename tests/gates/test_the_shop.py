"""The release pipeline of the demo's shop: the release that makes it worse is stopped, the repaired one goes out."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.demo.stage import Stage
from tests.gates.pipelines import command, suite
from tests.local_fixtures import machine

__all__ = ["machine"]

pytestmark = pytest.mark.real_time

EXPERIMENT = "checkout-when-payments-is-slow"
Released = Callable[[bool], None]


@pytest.fixture
def released(machine: Path, tmp_path: Path) -> Iterator[Released]:
    """Puts a release of the shop on the stage: the one that was made worse, or the repaired one."""
    up: list[Stage] = []

    def release(fixed: bool) -> None:
        while up:
            asyncio.run(up.pop().close())
        stage = Stage(tmp_path, fixed=fixed, clock=SystemClock())
        up.append(stage)
        asyncio.run(stage.open(lambda words: None))

    yield release
    while up:
        asyncio.run(up.pop().close())


def gate(tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = command("--state", str(tmp_path / "state"), "gate", str(tmp_path / "demo" / "release.yaml"), *words)
    return code, " ".join(capsys.readouterr().out.split())


def test_a_release_that_makes_the_shop_worse_is_stopped_and_the_repaired_one_passes(
    released: Released, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = suite(EXPERIMENT, more="  retries: 2\n")

    released(False)
    (tmp_path / "demo" / "release.yaml").write_text(text)
    code, said = gate(tmp_path, capsys)
    assert code == 1, said
    assert said.startswith("NO release on shop: ")
    assert "checkout: orders-go-through breaks under network-latency on checkout to payments: it is new" in said
    assert "(team-checkout): fix it before this release, or take it on until " in said

    released(True)
    (tmp_path / "demo" / "release.yaml").write_text(text)
    fixed = str(tmp_path / "demo" / "environments" / "shop-fixed.yaml")
    code, said = gate(tmp_path, capsys, "-e", fixed, "--json")
    given = json.loads(said)
    assert (code, given["passed"]) == (0, "yes"), said
    assert [each["gone"] for each in given["nearMisses"]] == [True]
    shutil.rmtree(tmp_path / "state")
