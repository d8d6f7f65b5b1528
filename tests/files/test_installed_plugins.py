"""Plugins of installed packages are checked by the JSON Schema that they ship, and are never imported for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SHIPPED = {
    "faults": {
        "queue-drop": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "required": ["queue"],
                "properties": {
                    "queue": {"type": "string", "minLength": 1},
                    "share": {"type": "integer", "minimum": 1, "maximum": 100},
                    "mode": {"enum": ["drop", "delay"]},
                    "where": {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
                },
            }
        }
    },
    "probes": {"queue-depth": {"schema": {"type": "object", "properties": {"queue": {"type": "string"}}}}},
}

FILE = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: queue}
spec:
  title: Orders survive a lossy queue
  hypotheses:
    - name: orders
      title: Orders arrive
      measures:
        - {name: depth, queue-depth: {queue: orders}, tolerance: {atMost: 10}, abortAt: {atMost: 100}}
  method:
    - fault: queue-drop
      target: {service: queue}
      with: WITH
      for: 10s
"""


def install(site: Path, *, shipped: object = SHIPPED) -> None:
    """A package with a module that must not be imported, as pip would leave it."""
    package, info = site / "queues", site / "queues-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('a stranger was imported')\n")
    if shipped is not None:
        (package / "chaosrunner-plugins.json").write_text(json.dumps(shipped))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: queues\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[chaosrunner.faults]\nqueue-drop = queues:QueueDrop\n\n[chaosrunner.probes]\nqueue-depth = queues:Depth\n"
    )
    (info / "RECORD").write_text("queues/__init__.py,,\nqueues/chaosrunner-plugins.json,,\n")


def chaosrunner(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder / "site")}
    command = [sys.executable, "-m", "chaosrunner", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


WRONG = {
    "{queue: orders, shar: 5}": (29, "unknown field `shar`, did you mean 'share'?"),
    "{share: 5}": (13, "`with` has no `queue`"),
    "{queue: 7}": (21, "`queue` is 7, expected text"),
    "{queue: ''}": (21, "`queue` is '', expected at least 1 characters"),
    "{queue: a, share: 101}": (31, "`share` is 101, expected at most 100"),
    "{queue: a, mode: dropp}": (30, "`mode` is 'dropp', did you mean 'drop'?"),
    "{queue: a, where: 3}": (31, "`where` is 3, expected text or true or false"),
    "[queue]": (13, "`with` is a list, expected a mapping, the parameters of queue-drop"),
}


def test_parameters_that_the_shipped_schema_allows_are_right(tmp_path: Path) -> None:
    install(tmp_path / "site")
    (tmp_path / "f.yaml").write_text(FILE.replace("WITH", "{queue: orders, share: 5, mode: drop, where: here}"))
    done = chaosrunner(tmp_path, "check", "f.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "1 file in order"


def test_parameters_are_held_against_the_shipped_schema(tmp_path: Path) -> None:
    install(tmp_path / "site")
    files = [f"f{number}.yaml" for number in range(len(WRONG))]
    for file, written in zip(files, WRONG, strict=True):
        (tmp_path / file).write_text(
            FILE.replace("{name: queue}", f"{{name: queue-{file[1]}}}").replace("WITH", written)
        )
    done = chaosrunner(tmp_path, "check", *files)
    assert (done.returncode, done.stderr) == (2, "")
    told = [line for line in done.stdout.splitlines() if line.startswith("f")]
    assert told == [f"{file}:14:{column}: {said}" for file, (column, said) in zip(files, WRONG.values(), strict=True)]


def test_the_schema_for_editors_has_installed_plugins_too(tmp_path: Path) -> None:
    install(tmp_path / "site")
    done = chaosrunner(tmp_path, "schema", "Experiment")
    assert json.loads(done.stdout)["$defs"]["faults.queue-drop"]["required"] == ["queue"]


def test_a_package_that_ships_no_schema_is_a_defect_with_its_name(tmp_path: Path) -> None:
    install(tmp_path / "site", shipped=None)
    (tmp_path / "f.yaml").write_text(FILE.replace("WITH", "{queue: orders}"))
    done = chaosrunner(tmp_path, "check", "f.yaml")
    assert done.returncode == 70
    assert "'queue-drop' ships no queues/chaosrunner-plugins.json" in done.stderr or "holds no schema" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_catalogue_shows_a_broken_plugin_with_its_defect(tmp_path: Path) -> None:
    install(tmp_path / "site")
    (tmp_path / "site" / "queues" / "__init__.py").write_text("import no_such_library\n")
    done = chaosrunner(tmp_path, "catalog")
    assert done.returncode == 70
    assert "queue-drop" in done.stdout
    assert "DEFECT" in done.stdout
    assert "no_such_library" in done.stdout
    assert "network-latency" in done.stdout
