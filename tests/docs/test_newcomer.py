"""`docs/newcomer.md` is a recorded session: its commands are those of tools/session, and they say what they said.

The session itself is done again without installing, and in less time (`real_time`).
"""

from __future__ import annotations

import os
import re
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import DOCS, ROOT, fenced
from tests.loopback import free_port

PAGE = DOCS / "newcomer.md"
NOT_AGAIN = ("cat ", "chaosrunner near-miss show", "chaosrunner plan")
"""Commands that only show what others have shown to be there."""
QUICKER = {
    "baseline: {for: 30s, within: 150s}": "baseline: {for: 1s, within: 20s}",
    "for: 60s": "for: 3s",
    "recovery: {within: 120s}": "recovery: {within: 60s, holds: 1s}",
    "every: 1s": "every: 250ms",
}


@pytest.fixture(scope="module")
def session() -> ModuleType:
    loader = SourceFileLoader("chaosrunner_session", str(ROOT / "tools" / "session"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # where its dataclasses look for their types
    loader.exec_module(module)
    return module


def recorded() -> dict[str, str]:
    """What each command said, by the command."""
    blocks = [block.text.partition("\n") for block in fenced(PAGE)]
    return {first.removeprefix("$ "): said.rstrip() for first, _, said in blocks}


def test_the_page_has_every_command_of_the_session_and_what_makes_it_worth_showing(session: ModuleType) -> None:
    told = recorded()
    steps = (*session.INSTALL, *session.STEPS)
    assert list(told) == [step.command for step in steps]
    for step in steps:
        assert (f"(exits with {step.exits})" in told[step.command]) == bool(step.exits)
        for shown in step.shows:
            assert re.search(shown, told[step.command], re.MULTILINE), f"{step.command} does not show {shown}"
    text = PAGE.read_text(encoding="utf-8")
    assert all(step.says in text for step in steps)


@pytest.mark.real_time
def test_the_session_goes_as_the_page_says(session: ModuleType, tmp_path: Path, machine: Path) -> None:
    ports = {session.ORDERS: free_port(), session.STOCK: free_port()}
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}
    environ.pop("CHAOSRUNNER_STATE", None)
    session.write_files(tmp_path, ports)
    first, *rest = [step for step in session.STEPS if not step.command.startswith(NOT_AGAIN)]
    said = [session.do(first, tmp_path, environ)]
    for path in [*tmp_path.glob("experiments/*.yaml"), *tmp_path.glob("hypotheses/*.yaml")]:
        text = path.read_text()
        for usual, quick in QUICKER.items():
            text = text.replace(usual, quick)
        path.write_text(text)
    with session.services(tmp_path, ports):
        try:
            said += [session.do(step, tmp_path, environ) for step in rest]
        finally:
            session.do(session.STEPS[-1], tmp_path, environ)
    assert [one for each in said for one in session.wrong(each)] == []
    told = recorded()
    for one in said:
        if one.step.same:
            assert one.text == told[one.step.command]
