"""What is compared of a run, and where runs take place: the same for `chaos run` and for ours."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.chaos_toolkit.cases import ENVIRONMENT, Case

HERE = Path(__file__).parent
CHAOS = Path(sys.executable).with_name("chaos")
WORDS = {"rollbacks_strategy": "rollback-strategy", "frequency": "hypothesis-frequency"}
"""Options that `chaos run` calls otherwise than the worker's order."""
OUTCOMES = HERE / "outcomes.json"


def outcome(journal: Mapping[str, Any] | None, exit_code: int) -> dict[str, Any]:
    """All that a journal decides; how often something was looked at meanwhile depends on the moment."""
    if journal is None:
        return {"exit": exit_code, "journal": False}
    states = journal["steady_states"]
    return {
        "exit": exit_code,
        "journal": True,
        "status": journal["status"],
        "deviated": journal["deviated"],
        "before": _met(states["before"]),
        "during": all(_met(state) for state in states["during"]) if states["during"] else None,
        "after": _met(states["after"]),
        "run": sorted(_activity(each) for each in journal["run"]),
        "rollbacks": sorted(_activity(each) for each in journal["rollbacks"]),
    }


def _met(state: Mapping[str, Any] | None) -> bool | None:
    return None if state is None else state["steady_state_met"]


def _activity(entry: Mapping[str, Any]) -> str:
    return f"{entry['activity'].get('name')}: {entry.get('status')}"


def laid_out(case: Case, folder: Path) -> Path:
    """The experiment's file, with what lies beside it."""
    folder.mkdir(parents=True)
    for name, text in case.files.items():
        (folder / name).write_text(text)
    path = folder / f"experiment{case.suffix}"
    dump = json.dumps if case.suffix == ".json" else yaml.safe_dump
    path.write_text(dump(case.experiment))
    return path


def command(case: Case, path: Path, journal: Path) -> list[str]:
    """`chaos run` with a case's options."""
    settings = case.options.get("settings", "no-settings.yaml")
    words = [str(CHAOS), "--no-version-check", "--no-log-file", "--settings", str(path.parent / settings), "run"]
    for name, value in case.options.items():
        option = f"--{WORDS.get(name, name).replace('_', '-')}"
        if name == "settings":
            continue
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            inside = name in ("var_file", "control_file")
            words += [word for each in value for word in (option, str(path.parent / each) if inside else each)]
        else:
            words += [option, str(value)]
    return [*words, "--journal-path", str(journal), str(path)]


def found_in(case: Case) -> str:
    """Where a case's modules are; where Vault's client is not to be found, something stands before it."""
    return os.pathsep.join([str(HERE), *([] if case.vault else [str(HERE / "without_vault")])])


def really(case: Case, folder: Path, url: str) -> dict[str, Any]:
    """What `chaos run` makes of it."""
    path, journal, state = laid_out(case, folder / "files"), folder / "journal.json", folder / "state"
    state.mkdir()
    given = {**ENVIRONMENT, "CT_URL": url, "CT_STATE": str(state), "PYTHONPATH": found_in(case), "HOME": str(folder)}
    done = subprocess.run(
        command(case, path, journal),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        timeout=60,
    )
    try:
        found = json.loads(journal.read_text())
    except (OSError, ValueError):
        found = None
    return outcome(found, done.returncode)


class _Answers(http.server.BaseHTTPRequestHandler):
    """What the experiments ask over HTTP."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/slow":
            time.sleep(0.5)
        body, status = b'{"ok": true}' if path == "/json" else b"ok", 503 if path == "/503" else 200
        if path.startswith("/v1/"):
            body, status = self._vault(path)
        self.send_response(status)
        self.send_header("content-type", "text/plain" if body == b"ok" else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _vault(self, path: str) -> tuple[bytes, int]:
        """What a Vault says of its key-value store, in both versions of it."""
        if self.headers.get("X-Vault-Token") != ENVIRONMENT["CT_VAULT_TOKEN"]:
            return b'{"errors": ["permission denied"]}', 403
        kept = {"c": "from-vault", "d": "also-from-vault"}
        if path in ("/v1/secret/data/a/b", "/v1/team/kv/data/a/b"):
            return json.dumps({"data": {"data": kept, "metadata": {"version": 1}}}).encode(), 200
        if path == "/v1/secret/a/b":
            return json.dumps({"data": kept}).encode(), 200
        return b'{"errors": []}', 404

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def serving() -> Iterator[str]:
    """A server's address, while it lasts."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
