"""Every field of every kind of file as a Markdown page, `docs/files.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from chaosrunner.files.documents import KINDS
from chaosrunner.model.frozen import Frozen
from chaosrunner.pages import Parameter, parameters

_HEAD = """\
# Files

Every field of every kind of file. Made from the code by `make docs`; `chaosrunner explain spec.method` shows one of
them in the terminal, [editors](editors.md) show them as you type, and `chaosrunner schema --write DIR` writes them as
JSON Schemas. What stands under a fault's `with`, a probe's own key, a tracker or a notifier is in the
[catalogue](catalogue.md).

`NAME` stands for a name of your own, `[]` for any item of a list. A duration is written `500ms`, `30s`, `5m` or `1h`, a
ratio `50%` or `0.5`, a rate `50/s`, a limit with its unit (`200ms`) or relative to the baseline (`4x baseline`).
"""
_COMMON = {
    "apiVersion": "The version of the format.",
    "kind": "One of the kinds below.",
    "metadata": "What it is called.",
}


def markdown(kinds: Mapping[str, type[Frozen]] = KINDS) -> str:
    """The whole page. The same models give the same text."""
    tables = {kind: list(parameters(model)) for kind, model in kinds.items()}
    first = next(iter(tables.values()))
    lines = [_HEAD, "## What every document has", ""]
    lines += _table(_common(first))
    for kind, rows in tables.items():
        lines += ["", f"## {kind}", "", *_table([row for row in rows if row.name.startswith("spec.")])]
    return "\n".join(lines) + "\n"


def _common(rows: Sequence[Parameter]) -> Iterator[Parameter]:
    """What all kinds have, said of any of them."""
    for row in rows:
        if row.name in _COMMON:
            yield replace(row, meaning=_COMMON[row.name], type="name" if row.name == "kind" else row.type)
        elif row.name.startswith("metadata."):
            yield row


def _table(rows: Iterable[Parameter]) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    for row in rows:
        typed = f"{row.type}, {row.limits}" if row.limits else row.type
        default = "required" if row.required else f"`{_cell(row.default)}`" if row.default else ""
        yield f"| `{row.name}` | {_cell(typed)} | {default} | {_cell(row.meaning)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
