"""The language server: diagnostics as you type, completion, hover and quick fixes, over standard input and output.

The Language Server Protocol 3.17: https://microsoft.github.io/language-server-protocol/. Positions of the protocol
count from 0, columns in UTF-16 units. Nothing is sent anywhere, and no plugin that is not chaosrunner's own is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer

from chaosrunner import __version__
from chaosrunner.errors import Problem, UsageError
from chaosrunner.files.excerpts import end_of
from chaosrunner.files.fixes import fix_of
from chaosrunner.files.references import Library
from chaosrunner.files.rules import rule_of
from chaosrunner.language.helping import meaning, offers
from chaosrunner.stages.checking import check_files

SOURCE = "chaosrunner"


def serve() -> None:
    """Answer an editor until it says that it is done."""
    server().start_io()


def server() -> LanguageServer:
    """A server with everything that it can do."""
    made = LanguageServer(SOURCE, f"v{__version__}", text_document_sync_kind=lsp.TextDocumentSyncKind.Incremental)
    made.feature(lsp.TEXT_DOCUMENT_DID_OPEN)(_told)
    made.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)(_told)
    made.feature(lsp.TEXT_DOCUMENT_DID_SAVE)(_told)
    made.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)(_closed)
    made.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=[":", " ", "-", "{", ","]))(
        _completed
    )
    made.feature(lsp.TEXT_DOCUMENT_HOVER)(_hovered)
    made.feature(lsp.TEXT_DOCUMENT_CODE_ACTION)(_actions)
    return made


Told = lsp.DidOpenTextDocumentParams | lsp.DidChangeTextDocumentParams | lsp.DidSaveTextDocumentParams


def _told(ls: LanguageServer, params: Told) -> None:
    """Something changed: say what is wrong with it."""
    uri = params.text_document.uri
    found = [_diagnostic(problem, warning, lines) for problem, warning, lines in _found(ls, uri)]
    ls.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found))


def _closed(ls: LanguageServer, params: lsp.DidCloseTextDocumentParams) -> None:
    ls.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(params.text_document.uri, []))


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _folder(ls: LanguageServer, path: Path) -> Path:
    """What paths in messages are relative to: the folder that the editor has open, or the file's own."""
    root = ls.workspace.root_path
    return Path(root) if root and path.is_relative_to(root) else path.parent


def _unsaved(ls: LanguageServer) -> Mapping[Path, bytes]:
    """What is open in the editor counts, whatever lies on disk."""
    return {
        _path(uri): document.source.encode("utf-8", "replace") for uri, document in ls.workspace.text_documents.items()
    }


def _found(ls: LanguageServer, uri: str) -> Sequence[tuple[Problem, bool, Sequence[str]]]:
    path = _path(uri)
    unsaved = _unsaved(ls)
    data = unsaved.get(path, b"")
    if b"chaosrunner" not in data and b"kind:" not in data:
        return []
    folder = _folder(ls, path)
    try:
        checked = check_files([str(path)], folder, unsaved=unsaved)
    except UsageError:
        return []
    shown = Library(folder).shown(path)
    lines = data.decode("utf-8").split("\n")
    told = [(problem, False) for problem in checked.problems] + [(problem, True) for problem in checked.warnings]
    return [(problem, warning, lines) for problem, warning in told if problem.file == shown]


def _diagnostic(problem: Problem, warning: bool, lines: Sequence[str]) -> lsp.Diagnostic:
    rule = rule_of(problem, warning=warning)
    words = str(problem).removeprefix(f"{problem.file}:{problem.line}:{problem.column}: ")
    severity = lsp.DiagnosticSeverity.Warning if warning else lsp.DiagnosticSeverity.Error
    return lsp.Diagnostic(_range(problem, lines), words, severity, code=rule.code, source=SOURCE)


def _range(problem: Problem, lines: Sequence[str]) -> lsp.Range:
    line = min(problem.line, len(lines))
    text = lines[line - 1]
    return lsp.Range(_position(text, line, problem.column), _position(text, line, end_of(text, problem.column)))


def _position(text: str, line: int, column: int) -> lsp.Position:
    return lsp.Position(line - 1, len(text[: column - 1].encode("utf-16-le")) // 2)


def _column(text: str, units: int) -> int:
    return len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore"))


def _text(ls: LanguageServer, uri: str, position: lsp.Position) -> tuple[list[str], int]:
    lines = ls.workspace.get_text_document(uri).source.split("\n")
    text = lines[position.line] if position.line < len(lines) else ""
    return lines, _column(text, position.character)


def _completed(ls: LanguageServer, params: lsp.CompletionParams) -> lsp.CompletionList:
    uri = params.text_document.uri
    lines, column = _text(ls, uri, params.position)
    library = Library(_path(uri).parent, _unsaved(ls))
    items = [
        lsp.CompletionItem(
            label=offer.label,
            kind=lsp.CompletionItemKind.Property
            if offer.insert.rstrip().endswith(":")
            else lsp.CompletionItemKind.Value,
            detail=offer.detail or None,
            documentation=offer.meaning or None,
            insert_text=offer.insert,
            sort_text=offer.sort or None,
        )
        for offer in offers(lines, params.position.line, column, library)
    ]
    return lsp.CompletionList(is_incomplete=False, items=items)


def _hovered(ls: LanguageServer, params: lsp.HoverParams) -> lsp.Hover | None:
    lines, column = _text(ls, params.text_document.uri, params.position)
    library = Library(_path(params.text_document.uri).parent, _unsaved(ls))
    said = meaning(lines, params.position.line, column, library)
    return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, said)) if said else None


def _actions(ls: LanguageServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """What `check --fix` would put right here, one at a time."""
    uri = params.text_document.uri
    made = []
    for problem, warning, lines in _found(ls, uri):
        fix = fix_of(problem, lines)
        if fix is None or not params.range.start.line <= problem.line - 1 <= params.range.end.line:
            continue
        text = lines[fix.line - 1]
        place = lsp.Range(_position(text, fix.line, fix.start), _position(text, fix.line, fix.end))
        title = f"Write {fix.new}" if fix.new else "Take this comment away"
        made.append(
            lsp.CodeAction(
                title,
                lsp.CodeActionKind.QuickFix,
                [_diagnostic(problem, warning, lines)],
                edit=lsp.WorkspaceEdit(changes={uri: [lsp.TextEdit(place, fix.new)]}),
            )
        )
    return made
