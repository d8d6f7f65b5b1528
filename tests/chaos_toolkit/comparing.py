"""What is compared of a run, and where runs take place: the same for `chaos run` and for ours."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.chaos_toolkit.cases import Case

HERE = Path(__file__).parent
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


class _Answers(http.server.BaseHTTPRequestHandler):
    """What the experiments ask over HTTP."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/slow":
            time.sleep(0.5)
        body = b'{"ok": true}' if path == "/json" else b"ok"
        self.send_response(503 if path == "/503" else 200)
        self.send_header("content-type", "application/json" if path == "/json" else "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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
