"""A whole session with `chaosrunner lsp`, over its standard input and output, as an editor has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.files.good import WHOLE

pytest.importorskip("pygls")


class Editor:
    """Speaks JSON-RPC with the server."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-m", "chaosrunner", "lsp", "--stdio"]
        self.process = subprocess.Popen(
            words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ | {"CHAOSRUNNER_STATE": str(folder / "state")},
        )  # fmt: skip
        self.uri = (folder / "f.yaml").as_uri()
        self.number = 0
        self.ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": {}})
        self.tell("initialized", {})

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while (line := self.process.stdout.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        heard: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return heard

    def tell(self, method: str, params: dict[str, Any]) -> None:
        self.send({"method": method, "params": params})

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while (heard := self.hear()).get("id") != self.number:
            pass
        assert "error" not in heard, heard
        return heard["result"]

    def diagnostics(self) -> list[dict[str, Any]]:
        while (heard := self.hear()).get("method") != "textDocument/publishDiagnostics":
            pass
        found: list[dict[str, Any]] = heard["params"]["diagnostics"]
        return found

    def at(self, text: str, mark: str, after: int) -> dict[str, Any]:
        before = text[: text.index(mark) + after]
        position = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        return {"textDocument": {"uri": self.uri}, "position": position}


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    folder = tmp_path_factory.mktemp("editor")
    (folder / ".git").mkdir()
    (folder / "f.yaml").write_text("what lies on disk is not what counts\n")
    editor = Editor(folder)
    yield editor
    editor.ask("shutdown", {})
    editor.tell("exit", {})
    assert editor.process.wait(20) == 0
    for stream in (editor.process.stdin, editor.process.stdout):
        assert stream is not None
        stream.close()


def test_a_session(editor: Editor) -> None:
    document = {"uri": editor.uri, "languageId": "yaml", "version": 1, "text": WHOLE}
    editor.tell("textDocument/didOpen", {"textDocument": document})
    assert editor.diagnostics() == []

    broken = WHOLE.replace("title: Shoppers can check out", "title: 🛒 can check out").replace("retries: 1", "retry: 1")
    change = {"textDocument": {"uri": editor.uri, "version": 2}, "contentChanges": [{"text": broken}]}
    editor.tell("textDocument/didChange", change)
    found = editor.diagnostics()
    (told,) = found
    line = broken[: broken.index("retry: 1")].count("\n")
    place = {"start": {"line": line, "character": 6}, "end": {"line": line, "character": 11}}
    assert (told["code"], told["severity"], told["range"]) == ("CR020", 1, place)
    assert told["message"] == "unknown field `retry`, did you mean 'retries'?"

    actions = editor.ask(
        "textDocument/codeAction",
        {"textDocument": {"uri": editor.uri}, "range": place, "context": {"diagnostics": [told]}},
    )
    assert [one["title"] for one in actions] == ["Write retries"]
    assert actions[0]["edit"]["changes"][editor.uri] == [{"range": place, "newText": "retries"}]

    offered = editor.ask("textDocument/completion", editor.at(broken, "fault: network-latency", 10))
    assert "network-loss" in [item["label"] for item in offered["items"]]
    hover = editor.ask("textDocument/hover", editor.at(broken, "settle: 10s", 3))
    assert "**settle**: duration" in hover["contents"]["value"]

    weak = WHOLE.replace("      abortAt: {atMost: 5s, for: 2s}\n", "")
    editor.tell(
        "textDocument/didChange",
        {"textDocument": {"uri": editor.uri, "version": 3}, "contentChanges": [{"text": weak}]},
    )
    assert [(one["code"], one["severity"]) for one in editor.diagnostics()] == [("CR101", 2)]

    editor.tell("textDocument/didClose", {"textDocument": {"uri": editor.uri}})
    assert editor.diagnostics() == []


def test_other_files_and_broken_ones_are_borne(editor: Editor) -> None:
    for number, text in enumerate(["words: only\n", "kind: [\n", "kind: Experiment\n\tx", "kind: \ud83d\ude00\n- a"]):
        document = {"uri": editor.uri, "languageId": "yaml", "version": number, "text": text}
        editor.tell("textDocument/didOpen", {"textDocument": document})
        assert bool(editor.diagnostics()) == text.startswith("kind")


def test_a_file_that_is_not_saved_yet_is_told_what_is_wrong_with_it(editor: Editor) -> None:
    new = editor.uri.replace("f.yaml", "new.yaml")
    text = WHOLE.replace("retries: 1", "retry: 1")
    editor.tell(
        "textDocument/didOpen", {"textDocument": {"uri": new, "languageId": "yaml", "version": 1, "text": text}}
    )
    assert [one["code"] for one in editor.diagnostics()] == ["CR020"]
