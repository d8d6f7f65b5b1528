"""Markdown as Jira Cloud takes text: the Atlassian Document Format, version 1.

Source: the format's structure as Atlassian documents it. Only what remediation items are made of is known: headings,
paragraphs, lists of one level, code, tables, links. What else stands in a text is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chaosrunner.marked_text import checksum

Node = dict[str, Any]

_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)|`([^`]+)`|\*\*([^*]+)\*\*")
_LIMIT = 30_000
"""Letters of a description; Jira's own limit is 32 767 with everything."""
_KEPT = "Kept up to date by chaosrunner above this line; write below it."
_MARK = re.compile(r"\(chaosrunner:text (?P<sum>\w+)\)")


def document(markdown: str) -> Node:
    """A whole one."""
    return {"type": "doc", "version": 1, "content": blocks(markdown) or [_paragraph(" ")]}


def marked(markdown: str) -> Node:
    """A description: our text, and a line below which people may write."""
    return {"type": "doc", "version": 1, "content": _ours(markdown)}


def with_text(before: Mapping[str, Any] | None, markdown: str) -> Node | None:
    """The description with this text in place of ours; None: nothing of it is to change. Ours that somebody has changed
    is theirs: the new one is put above it. Without our line it is all theirs, and stays."""
    content: list[Node] = list((before or {}).get("content") or [])
    at = next((n for n, block in enumerate(content) if _MARK.search(_plain(block))), None)
    if at is None:
        return None
    said = _MARK.search(_plain(content[at]))
    ours = content[:at]
    fresh = _ours(markdown)
    if _sum(ours) == _sum(fresh[:-1]):
        return None
    theirs = [] if said is not None and said["sum"] == _sum(ours) else ours
    return {"type": "doc", "version": 1, "content": [*fresh, *theirs, *content[at + 1 :]]}


def plain(node: Mapping[str, Any] | None) -> str:
    """The words of a document."""
    return "\n".join(_plain(block) for block in (node or {}).get("content") or [])


def _ours(markdown: str) -> list[Node]:
    text = markdown if len(markdown) <= _LIMIT else f"{markdown[:_LIMIT]}\n\n… (cut: the report has all of it)"
    made = blocks(text)
    return [*made, _paragraph(f"{_KEPT} (chaosrunner:text {_sum(made)})")]


def _sum(content: Sequence[Mapping[str, Any]]) -> str:
    return checksum("\n".join(" ".join(_plain(block).split()) for block in content))


def _plain(node: Mapping[str, Any]) -> str:
    inner = "".join(_plain(each) for each in node.get("content") or [])
    return str(node.get("text", "")) + inner


# ------------------------------------------------------------------------------------------------------------- blocks


def blocks(markdown: str) -> list[Node]:
    """The blocks of a text."""
    lines, made = markdown.splitlines(), []
    while lines:
        made += _next_block(lines)
    return made


def _next_block(lines: list[str]) -> list[Node]:
    line = lines[0]
    if not line.strip():
        lines.pop(0)
        return []
    if heading := re.match(r"(#{1,6}) (.+)", line):
        lines.pop(0)
        return [{"type": "heading", "attrs": {"level": len(heading[1])}, "content": list(_words(heading[2]))}]
    if line.startswith("```"):
        lines.pop(0)
        code = _taken(lines, lambda each: not each.startswith("```"))
        if lines:
            lines.pop(0)
        return [_code("\n".join(code))]
    if line.startswith("    "):
        return [_code("\n".join(each[4:] for each in _taken(lines, lambda each: each.startswith("    "))))]
    if line.startswith("|"):
        return [_table(_taken(lines, lambda each: each.startswith("|")))]
    if line.startswith("- "):
        items = [each[2:] for each in _taken(lines, lambda each: each.startswith("- "))]
        rows = [{"type": "listItem", "content": [_paragraph(each)]} for each in items]
        return [{"type": "bulletList", "content": rows}]
    text = _taken(lines, lambda each: bool(each.strip()) and not re.match(r"#{1,6} |```|\||- ", each))
    return [_paragraph(" ".join(each.strip() for each in text))]


def _taken(lines: list[str], holds: Any) -> list[str]:
    """The first lines of which this holds; at least one."""
    taken = [lines.pop(0)]
    while lines and holds(lines[0]):
        taken.append(lines.pop(0))
    return taken


def _paragraph(text: str) -> Node:
    return {"type": "paragraph", "content": list(_words(text))}


def _code(text: str) -> Node:
    return {"type": "codeBlock", "content": [{"type": "text", "text": text or " "}]}


def _table(lines: Sequence[str]) -> Node:
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rows = [row for row in rows if not all(re.fullmatch(r":?-{3,}:?", cell) for cell in row)]
    made = []
    for number, row in enumerate(rows):
        kind = "tableCell" if number else "tableHeader"
        made.append({"type": "tableRow", "content": [{"type": kind, "content": [_paragraph(cell)]} for cell in row]})
    return {"type": "table", "content": made}


def _words(text: str) -> Iterator[Node]:
    """Text with its links, code and stress. No node is empty: Jira refuses those."""
    at = 0
    for found in _LINK.finditer(text):
        if found.start() > at:
            yield {"type": "text", "text": text[at : found.start()]}
        if found[1]:
            yield {"type": "text", "text": found[1], "marks": [{"type": "link", "attrs": {"href": found[2]}}]}
        else:
            kind = "code" if found[3] else "strong"
            yield {"type": "text", "text": found[3] or found[4], "marks": [{"type": kind}]}
        at = found.end()
    if at < len(text):
        yield {"type": "text", "text": text[at:]}
