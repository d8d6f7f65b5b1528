"""Text in an item that both chaosrunner and people write: ours stands between two marks, and theirs around it.

The marks are HTML comments, which Markdown does not show. The first holds a checksum, so that a text that somebody has
changed is told from ours: it becomes theirs, and the new one is put above it.
"""

from __future__ import annotations

import hashlib
import re

_TEXT = re.compile(
    r"<!-- chaosrunner:text (?P<sum>\w+) .*?-->\r?\n(?P<text>.*?)<!-- chaosrunner:end -->\r?\n?", re.DOTALL
)
_TOLD = "<!-- chaosrunner:told "
_KEPT = "kept up to date by chaosrunner: write above or below, not in between"


def checksum(text: str) -> str:
    """Of a text, whatever line ends and blanks around it a tracker makes of it."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def without_marks(text: str) -> str:
    """A text in which nothing passes for a mark of ours: some of its words come from the system under test."""
    return text.replace("<!-- chaosrunner:", "&lt;!-- chaosrunner:")


def marked(body: str) -> str:
    """A text between our marks."""
    text = without_marks(body.strip()) + "\n"
    return f"<!-- chaosrunner:text {checksum(text)} {_KEPT} -->\n{text}<!-- chaosrunner:end -->\n"


def with_text(whole: str, body: str) -> str:
    """The whole with this text in place of ours; without our marks it is all theirs, and stays."""
    found = _TEXT.search(whole)
    if found is None:
        return whole
    untouched = checksum(found["text"]) == found["sum"]
    theirs = "" if untouched else f"\n{found['text']}"
    return whole[: found.start()] + marked(body) + theirs + whole[found.end() :]


def fingerprint_mark(fingerprint: str) -> str:
    """What an item is found by."""
    return f"<!-- chaosrunner:fp={fingerprint} -->"


def told_mark(comment: str, body: str) -> str:
    """What a comment is known by, when nobody can say whether it was written."""
    return f"{_TOLD}{checksum(comment + chr(10) + body)} -->"


def is_told(text: str | None) -> bool:
    """Whether a comment has such a mark: it is chaosrunner's. None: a comment without any text."""
    return _TOLD in (text or "")
