"""What a short command does not need, it does not load: importing takes longer than the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.experiments import experiment

MEASURE = "{name: one, noop: {value: 1}, every: 10ms, tolerance: {equals: 1}}"
HEAVY = {
    *("pydantic", "pydantic_core", "httpx", "tenacity", "rich", "sqlalchemy", "psutil", "jsonschema", "aiohttp"),
    *("importlib.metadata", "email", "http", "zoneinfo", "ctypes", "difflib", "html", "random", "tempfile", "getpass"),
    *("chaosrunner.records.law", "chaosrunner.files.fields", "chaosrunner.register.near_misses", "chaosrunner.alerts"),
    *("chaosrunner.model.evidence", "chaosrunner.app.lookout", "chaosrunner.stages.evidence"),
    *("chaosrunner.injector.holder", "chaosrunner.traffic.source", "chaosrunner.reports.terminal"),
}


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    text = experiment([MEASURE], "10ms", baseline="20ms", recovery="{within: 1s, holds: 0s}")
    (tmp_path / "bench.yaml").write_text(text)
    (tmp_path / "machine").mkdir(mode=0o700)
    return tmp_path


def loaded(folder: Path, *words: str) -> tuple[int, set[str]]:
    """The command's exit code, and the modules that it has loaded in the end."""
    program = (
        "import json, sys\nfrom chaosrunner.cli import chaosrunner, terms\n"
        f"sys.argv[1:] = {list(words)!r}\ncode = terms.run(chaosrunner)\n"
        "open('loaded.json', 'w').write(json.dumps([code, *sys.modules]))"
    )
    environ = os.environ | {"CHAOSRUNNER_MACHINE": str(folder / "machine"), "CHAOSRUNNER_STATE": str(folder / "state")}
    subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environ, timeout=60, check=True, capture_output=True
    )
    code, *modules = json.loads((folder / "loaded.json").read_text())
    return code, set(modules)


def test_a_run_that_breaks_nothing_loads_nothing_heavy(workplace: Path) -> None:
    code, modules = loaded(workplace, "run", "--plain", "bench.yaml")
    assert code in (0, 3)  # on a machine that stands still, so short a run may miss its readings
    assert sorted(modules & HEAVY) == []
    (run,) = (workplace / "state" / "runs").iterdir()
    assert {"journal.jsonl", "report.html"} <= {file.name for file in run.iterdir()}


@pytest.mark.parametrize("words", [("check", "bench.yaml"), ("plan", "bench.yaml")])
def test_files_that_are_right_are_read_without_pydantic(workplace: Path, words: tuple[str, ...]) -> None:
    code, modules = loaded(workplace, *words)
    assert code == 0
    assert sorted(modules & (HEAVY - {"rich", "random"})) == []


def test_a_file_that_is_wrong_is_held_against_pydantics_models(workplace: Path) -> None:
    text = (workplace / "bench.yaml").read_text()
    (workplace / "bench.yaml").write_text(text.replace("every: 10ms", "every: 10"))
    code, modules = loaded(workplace, "check", "bench.yaml")
    assert code == 2
    assert "pydantic" in modules


def test_every_name_of_the_app_is_there() -> None:
    import chaosrunner.app as app

    for name in app.__all__:
        assert getattr(app, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = app.nothing
