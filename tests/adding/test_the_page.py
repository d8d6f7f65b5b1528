"""The code of docs/adding.md does what the page says, also installed as a package and seen by the commands it names."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from chaosrunner.catalog import ROLES, kind_of
from chaosrunner.cli import chaosrunner as commands
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoReading
from chaosrunner.ports import Plugin, ProbeContext
from tests.adding.contract import keeps_its_contract, on_the_link, opened
from tests.local_stage import ROOT, Stage, ask

PAGE = (ROOT / "docs" / "adding.md").read_text()
TOP = "acme_chaos"


def blocks(language: str) -> list[str]:
    """The page's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def files(language: str) -> Mapping[Path, str]:
    """Those that are whole files, by the path in their first line."""
    found = {}
    for block in blocks(language):
        if named := re.match(r"# (\S+\.\w+)\n", block):
            found[Path(named[1])] = block
    return found


PLUGINS = {path: text for path, text in files("python").items() if path.parts[0] == "chaosrunner"}
FAULT = Path("chaosrunner/faults/network_stutter.py")
PROBE = Path("chaosrunner/probes/file_age.py")
EXPERIMENT = "experiments/backups-go-on.yaml"


def test_the_page_has_whole_files() -> None:
    assert {FAULT, PROBE} <= set(PLUGINS)
    assert set(files("yaml")) == {Path("environments/laptop.yaml"), Path(EXPERIMENT)}
    assert not [path for path in PLUGINS if (ROOT / path).exists()], "an example must not be a plugin of the product"


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Path, type[Plugin[Any]]]]:
    """The classes of the page's files, which are the package `acme_chaos` on the path."""
    folder = tmp_path_factory.mktemp("page")
    (folder / TOP).mkdir()
    (folder / TOP / "__init__.py").touch()
    for path, text in PLUGINS.items():
        (folder / TOP / path.name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield {path: _plugin(path) for path in PLUGINS}
    for name in [name for name in sys.modules if name.partition(".")[0] == TOP]:
        del sys.modules[name]


def _plugin(path: Path) -> type[Plugin[Any]]:
    module = importlib.import_module(f"{TOP}.{path.stem}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ROLES[path.parts[1]]) and value.__module__ == module.__name__
    )
    assert issubclass(found, Plugin)
    return found


@pytest.mark.parametrize("path", PLUGINS, ids=str)
def test_every_plugin_of_the_page_keeps_its_contract(plugins: Mapping[Path, Any], path: Path) -> None:
    keeps_its_contract(path.parts[1], kind_of(path), plugins[path])


@pytest.mark.parametrize("linter", [["ruff", "check"], ["ruff", "format", "--diff"]], ids=" ".join)
def test_they_are_written_as_the_project_asks(tmp_path: Path, linter: list[str]) -> None:
    for path, text in PLUGINS.items():
        (tmp_path / path.name).write_text(text)
    asked = [sys.executable, "-m", *linter, "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_probe_of_the_page_reads_a_known_age(plugins: Mapping[Path, Any], context: ProbeContext) -> None:
    plugin = plugins[PROBE]
    probe = plugin(plugin.Params(path="backup"), context)
    with pytest.raises(NoReading, match="backup: No such file"):
        await probe.read()
    (context.folder / "backup").touch()
    now = SystemClock().now()
    os.utime(context.folder / "backup", (now - 90, now - 90))
    assert 90 <= await probe.read() < 95
    assert plugin.unit(probe.params) == "s"


@pytest.mark.real_time
async def test_the_fault_of_the_page_is_in_force_until_its_undo(plugins: Mapping[Path, Any], shared: Stage) -> None:
    platform = await opened(shared)
    fault = await on_the_link(shared, platform, plugins[FAULT], swing="100ms")
    prepared = json.loads(json.dumps(await fault.prepare()))
    assert not await fault.confirm(prepared)
    await fault.inject()
    times = [(await ask(shared.link_port))[1] for _ in range(8)]
    assert max(times) - min(times) > 0.03
    sighting = await fault.confirm(prepared)
    assert sighting, sighting.how
    assert await fault.touched() == 8
    await fault.undo(prepared)
    await shared.from_ledger(fault).undo(prepared)
    assert max([(await ask(shared.link_port))[1] for _ in range(3)]) < 0.1
    sighting = await fault.confirm(prepared)
    assert not sighting, sighting.how
    await platform.close()


@pytest.fixture
def installed(plugins: Mapping[Path, type[Plugin[Any]]], tmp_path: Path) -> Path:
    """A folder with the page's YAML files, and its package installed as the page says, from its TOML and JSON."""
    (toml,), (shipped,) = blocks("toml"), blocks("json")
    entries = tomllib.loads(toml)["project"]["entry-points"]
    schemas = json.loads(shipped)
    assert entries["chaosrunner.probes"] == {"file-age": f"{TOP}.file_age:FileAge"}
    for path, plugin in plugins.items():
        role, kind = path.parts[1], kind_of(path)
        entries.setdefault(f"chaosrunner.{role}", {})[kind] = f"{TOP}.{path.stem}:{plugin.__name__}"
        shape = {"schema": plugin.Params.model_json_schema(by_alias=True)}
        schemas.setdefault(role, {}).setdefault(kind, shape)
    package = {f"{TOP}/__init__.py": "", f"{TOP}/chaosrunner-plugins.json": json.dumps(schemas)}
    package |= {f"{TOP}/{path.name}": text for path, text in PLUGINS.items()}
    package[f"{TOP}-1.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {TOP}\nVersion: 1\n"
    package[f"{TOP}-1.dist-info/entry_points.txt"] = "\n".join(
        line for group, kinds in entries.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in kinds.items()))
    )
    package[f"{TOP}-1.dist-info/RECORD"] = "".join(f"{name},,\n" for name in package)
    for name, text in {**package, **{str(path): text for path, text in files("yaml").items()}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def chaosrunner(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of the command, with what is installed in the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "chaosrunner", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_files_of_the_page_are_right_once_its_plugins_are_known(installed: Path) -> None:
    code, said = chaosrunner(installed, "check", "experiments", "environments")
    assert (code, "2 files in order" in said) == (0, True), said
    wrong = (installed / EXPERIMENT).read_text().replace("{path:", "{pth:")
    (installed / EXPERIMENT).write_text(wrong)
    code, said = chaosrunner(installed, "check", EXPERIMENT)
    assert code == 2
    assert "unknown field `pth`" in said, said


def test_the_catalogue_lists_the_plugins_of_the_page(installed: Path) -> None:
    code, said = chaosrunner(installed, "catalog")
    assert code == 0, said
    for path in PLUGINS:
        assert re.search(rf"^  {kind_of(path)} +[A-Z]", said, re.MULTILINE), said


def test_the_commands_of_the_page_exist() -> None:
    named = set(re.findall(r"^    chaosrunner ([a-z-]+)", PAGE, re.MULTILINE))
    assert {"catalog", "check", "plan", "run", "local"} <= named
    assert named <= set(commands.list_commands(click.Context(commands)))
