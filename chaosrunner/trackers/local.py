"""Remediation items as Markdown files in a folder, one for each near miss, made to be committed and reviewed.

A file is front matter (what machines read), a text that chaosrunner keeps up to date between two marker lines, notes
that belong to people, and a history that only grows. Everything outside the marked text is kept as it is; a marked text
that somebody has changed becomes theirs, and the new one is put above it.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import yaml

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.marked_text import marked, with_text
from chaosrunner.ports import Item, ItemSeen, Parameters, Tracker
from chaosrunner.records.light import dataclass

_HISTORY = "<!-- chaosrunner:history, newest last -->\n"
_FRONT = re.compile(r"\A---\n(?P<front>.*?)^---\n", re.DOTALL | re.MULTILINE)


class Params(Parameters):
    """Where the files are."""

    folder: str | None = None
    """Relative to the environment's file; default: `remediation` in chaosrunner's state folder."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    front: str
    rest: str

    @property
    def fields(self) -> dict[str, object]:
        try:
            found = yaml.safe_load(self.front)
        except yaml.YAMLError as error:
            raise UsageError(f"{self.path}: the lines between --- cannot be read: {error}") from None
        return found if isinstance(found, dict) else {}

    def seen(self) -> ItemSeen:
        fields = self.fields
        state = str(fields.get("state", "open")).strip().lower()
        if state not in ("open", "closed"):
            raise UsageError(f"{self.path}: state is {state!r}, expected open or closed")
        known: Literal["open", "closed"] = "closed" if state == "closed" else "open"
        assignee = fields.get("assignee")
        return ItemSeen(
            key=self.path.name,
            url=self.path.resolve().as_uri(),
            state=known,
            assignee=str(assignee) if assignee else None,
        )


class Local(Tracker[Params]):
    """One Markdown file for each near miss. Set `state: closed` in it when the fix is in: the near miss is then ready
    to be verified by passing runs. Renaming a file is all right; deleting it makes a new one, if it is still needed.
    """

    example = "tracker: {local: {folder: ../remediation}}"

    @property
    def folder(self) -> Path:
        """Where the files are; may not exist yet."""
        if self.params.folder is None:
            return (self.context.state or Path(".chaosrunner")) / "remediation"
        return self.context.folder / self.params.folder

    async def find(self, fingerprint: str) -> ItemSeen | None:
        found = self._with("fingerprint", fingerprint)
        return found.seen() if found else None

    async def create(self, item: Item) -> ItemSeen:
        path = self.folder / f"{item.near_miss}-{_slug(item.title)}.md"
        front = _front(_FRESH, {**_fields(item), "state": "open"})
        rest = f"{marked(item.body)}\n## Notes\n\n\n## History\n\n{_HISTORY}{self._line('made by chaosrunner')}"
        try:
            _write(_File(path, front, rest), fresh=True)
        except FileExistsError:
            raise NotPossibleNow(f"{path} is there, but without the marker of {item.near_miss}") from None
        except OSError as error:
            raise NotPossibleNow(f"{path} cannot be written: {error}") from error
        return _read(path).seen()

    async def look(self, key: str) -> ItemSeen:
        found = self._file(key)
        return found.seen() if found else ItemSeen.gone(key)

    async def update(
        self, key: str, item: Item, comment: str, *, reopen: bool = False, close: bool = False
    ) -> ItemSeen:
        found = self._file(key)
        if found is None:
            return ItemSeen.gone(key)
        seen = found.seen()
        state = "open" if reopen else "closed" if close else seen.state
        kept = {"assignee": seen.assignee} if seen.assignee else {}
        front = _front(found.front, {**_fields(item), **kept, "state": state})
        rest = with_text(found.rest, item.body)
        if comment:
            rest = _with_history(rest, self._line(comment))
        try:
            _write(replace(found, front=front, rest=rest))
        except OSError as error:
            raise NotPossibleNow(f"{found.path} cannot be written: {error}") from error
        return _read(found.path).seen()

    def _line(self, comment: str) -> str:
        at = datetime.fromtimestamp(self.context.clock.now(), UTC)
        return f"- {at:%Y-%m-%d %H:%M} UTC: {' '.join(comment.split())}\n"

    def _file(self, key: str) -> _File | None:
        """The file of this name, or the one that it was renamed to: it is known by the near miss in its front."""
        with suppress(FileNotFoundError):
            return _read(self.folder / key)
        near_miss = re.match(r"NM-\d+-\d+", key)
        return self._with("nearMiss", near_miss[0]) if near_miss else None

    def _with(self, field: str, value: str) -> _File | None:
        for path in sorted(self.folder.glob("*.md")):
            text = path.read_text()
            if value in text and str((found := _parsed(path, text)).fields.get(field)) == value:
                return found
        return None


_FRESH = """\
nearMiss:
fingerprint:
state:  # closed, when the fix is in: chaosrunner then verifies it by running the experiment again
priority:
assignee:
due:
labels:
"""


def _slug(title: str) -> str:
    whole = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "near-miss"
    return whole if len(whole) <= 60 else whole[:60].rpartition("-")[0] or whole[:60]


def _fields(item: Item) -> dict[str, str | None]:
    return {
        "nearMiss": item.near_miss,
        "fingerprint": item.fingerprint,
        "priority": item.priority or None,
        "assignee": item.assignee,
        "due": item.due,
        "labels": f"[{', '.join(map(_scalar, item.labels))}]",
    }


def _scalar(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][\w./:-]*", text) and not text.endswith(":")
    return text if plain else "'" + text.replace("'", "''") + "'"


def _front(front: str, fields: dict[str, str | None]) -> str:
    """The front matter with these fields set; other lines, and comments at a line's end, stay."""
    for name, value in fields.items():
        written = "" if value is None else value if name in ("labels", "due") else _scalar(value)
        line = re.compile(rf"^{name}:(?P<value>[^\n]*?)(?P<comment>\s#.*)?$", re.MULTILINE)

        def filled(match: re.Match[str], name: str = name, written: str = written) -> str:
            comment = match["comment"]
            return f"{name}: {written}".rstrip() + (f"  {comment.strip()}" if comment else "")

        front, count = line.subn(filled, front, count=1)
        if not count:
            front += f"{name}: {written}".rstrip() + "\n"
    return front


def _with_history(rest: str, line: str) -> str:
    if _HISTORY not in rest:
        return f"{rest.rstrip()}\n\n## History\n\n{_HISTORY}{line}"
    before, _, after = rest.partition(_HISTORY)
    lines = after.splitlines(keepends=True)
    end = next((n for n, each in enumerate(lines) if not each.startswith(("- ", "  ")) and each.strip()), len(lines))
    while end and not lines[end - 1].strip():
        end -= 1
    kept = [each if each.endswith("\n") else f"{each}\n" for each in lines[:end]]
    return before + _HISTORY + "".join([*kept, line, *lines[end:]])


def _read(path: Path) -> _File:
    return _parsed(path, path.read_text())


def _parsed(path: Path, text: str) -> _File:
    match = _FRONT.match(text)
    return _File(path, match["front"], text[match.end() :]) if match else _File(path, "", text)


def _write(file: _File, *, fresh: bool = False) -> None:
    """All of it or nothing; a fresh file never replaces one that is there."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    draft = file.path.with_name(f".{file.path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("w") as out:
            out.write(f"---\n{file.front}---\n{file.rest}")
            out.flush()
            os.fsync(out.fileno())
        if fresh:
            os.link(draft, file.path)
        else:
            draft.replace(file.path)
    finally:
        draft.unlink(missing_ok=True)
