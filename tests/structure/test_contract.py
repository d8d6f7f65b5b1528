"""What is wrong with a plugin is said in words, by the catalogue and the contract tests alike."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from chaosrunner import catalog, contract
from tests.structure.sources import PACKAGE

FAULT = (PACKAGE / "faults" / "noop.py").read_text()
PROBE = (PACKAGE / "probes" / "noop.py").read_text()
TRACKER = (PACKAGE / "trackers" / "noop.py").read_text()
LATENCY = (PACKAGE / "faults" / "network_latency.py").read_text()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Modules of it can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("wrong_")]:
        del sys.modules[name]


def found(folder: Path, role: str, kind: str, text: str) -> list[str]:
    """What is wrong with the plugin in a file of this text."""
    name = f"wrong_{len(list(folder.iterdir()))}"
    (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    (plugin,) = (
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, catalog.ROLES[role]) and one.__module__ == name
    )
    return contract.defects(role, kind, plugin)


CASES = [
    (
        "faults",
        "network-latency",
        LATENCY,
        "    harder = ",
        "    late = {'dealy': 1}\n    harder = ",
        "did you mean 'delay'",
    ),
    (
        "faults",
        "network-latency",
        LATENCY,
        "    harder = ",
        "    late = {'delay': 1}\n    harder = ",
        "late: 'delay' says how hard it is",
    ),
    (
        "faults",
        "noop",
        FAULT,
        "    acts_on = ",
        "    reports = {'node': 'x'}\n    acts_on = ",
        "reports: 'node' is no word, or one that has a meaning already",
    ),
    ("faults", "noop", FAULT, r'example = """\\\n(.*?)"""', 'example = "- {fault: noop"', "its example is no YAML"),
    ("faults", "noop", FAULT, "- fault: noop", "- fault: nop", "its example shows the fault 'nop', not 'noop'"),
    ("faults", "noop", FAULT, "for: [0-9a-z]+", "for: soon", "its example is wrong: for: expected a duration"),
    ("faults", "noop", FAULT, "for: [0-9a-z]+", "observe: 30s", "its example says with `for` how long it lasts"),
    (
        "faults",
        "noop",
        FAULT,
        r'fault_class = ".*"',
        'fault_class = "dependancy-slow"',
        "did you mean 'dependency-slow'",
    ),
    ("faults", "noop", FAULT, r"acts_on = .*", 'acts_on = frozenset({"lnk"})', "acts_on: unknown 'lnk', did you mean"),
    ("faults", "noop", FAULT, r"acts_on = .*", 'acts_on = "link"', "acts_on is text, expected a frozenset"),
    ("faults", "noop", FAULT, r"platforms = .*", 'platforms = frozenset({"locl"})', "platforms: unknown 'locl'"),
    (
        "faults",
        "network-latency",
        LATENCY,
        '{"delay": "more"}',
        '{"dely": "more"}',
        "harder: it has no parameter 'dely'",
    ),
    ("faults", "network-latency", LATENCY, '{"delay": "more"}', '{"direction": "more"}', "'direction' is no number"),
    ("faults", "network-latency", LATENCY, '{"delay": "more"}', '{"delay": "most"}', "'delay' is 'most', expected"),
    ("faults", "network-latency", LATENCY, "delay: 300ms, ", "", "its example is wrong: delay: Field required"),
    ("faults", "network-latency", LATENCY, "delay: 300ms", "dely: 300ms", "its example is wrong: "),
    ("faults", "network-latency", LATENCY, '    """Added to what .*?"""\n', "", "parameter `delay` has no docstring"),
    ("faults", "network-latency", LATENCY, '    """How slow."""\n', "", "Params has no docstring"),
    ("faults", "network-latency", LATENCY, r"\n  target: .*?\n", "\n", "its example has no `target`"),
    (
        "faults",
        "network-latency",
        LATENCY,
        r"varying\}\.",
        "varying}",
        "does says 'What goes each way .*', expected a sentence",
    ),
    ("probes", "noop", PROBE, "example = .*", 'example = "nop: {value: 1}"', "its example shows the probe 'nop'"),
    ("probes", "noop", PROBE, "example = .*", 'example = "noop: {val: 1}"', "its example is wrong: val"),
    ("probes", "noop", PROBE, "example = .*", 'example = "[noop"', "its example is no YAML: example:2:1: a list"),
    (
        "trackers",
        "noop",
        TRACKER,
        "example = .*",
        'example = "tracker: {nop: {}}"',
        "shows the tracker 'nop', not 'noop'",
    ),
    ("trackers", "noop", TRACKER, "example = .*", 'example = "noop: {}"', "its example is not `tracker: {noop: …}`"),
]


@pytest.mark.parametrize(("role", "kind", "text", "right", "wrong", "words"), CASES)
def test_what_is_wrong_is_said(
    folder: Path, role: str, kind: str, text: str, right: str, wrong: str, words: str
) -> None:
    assert found(folder, role, kind, text) == []
    changed = re.sub(right, lambda _: wrong, text, count=1, flags=re.DOTALL if ".*?" in right else 0)
    assert changed != text
    said = found(folder, role, kind, changed)
    assert any(re.search(words, one) for one in said), said


def test_every_fault_class_has_usual_remedies() -> None:
    from chaosrunner.model.remedies import usual_remedies
    from chaosrunner.model.words import FaultClass

    for one in set(FaultClass) - {FaultClass.NOTHING}:
        assert len(usual_remedies([one])) > len(usual_remedies([])), one


# -- as users see it, in a tree with a further file


def chaosrunner(tmp_path: Path, files: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    shutil.copytree(PACKAGE, tmp_path / "chaosrunner", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in files.items():
        (tmp_path / "chaosrunner" / name).write_text(text)
    command = [sys.executable, "-m", "chaosrunner", *words]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_files_that_cannot_be_imported_are_shown_with_file_and_line(tmp_path: Path) -> None:
    files = {"faults/bad_words.py": '"""Bad."""\n\nclass :\n', "probes/bad_names.py": '"""Bad."""\n\nLIMIT = limt\n'}
    done = chaosrunner(tmp_path, files, "catalog", "--json")
    assert done.returncode == 70
    assert done.stderr == ""
    assert f"{tmp_path}/chaosrunner/faults/bad_words.py:3: SyntaxError: invalid syntax" in done.stdout
    assert f"{tmp_path}/chaosrunner/probes/bad_names.py:3: NameError: name 'limt' is not defined" in done.stdout
    assert "network-latency" in done.stdout


def test_the_catalogue_shows_a_wrong_example_as_a_defect_and_a_run_goes_without(tmp_path: Path) -> None:
    files = {"faults/noop.py": FAULT.replace("fault: noop", "fault: nop")}
    done = chaosrunner(tmp_path, files, "catalog", "faults/noop")
    assert done.returncode == 70
    assert "DEFECT: fault 'noop' (chaosrunner.faults.noop.Noop) breaks its contract: its example shows" in done.stdout
    code = "import sys; from chaosrunner import catalog; catalog.find('faults', 'noop'); print([*sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    quick = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "chaosrunner.contract" not in quick.stdout
    assert "'yaml'" not in quick.stdout
