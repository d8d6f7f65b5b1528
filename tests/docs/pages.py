"""The pages that people read, taken apart: code blocks, commands, links, tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
FRAGMENTS = tuple(sorted(path for path in (ROOT / "changes").iterdir() if path.name != "README.md"))
PAGES = (README, *sorted(DOCS.glob("*.md")), ROOT / "changes" / "README.md")

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)*^ {4}.*$", re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`(chaosrunner(?: [^`]*)?)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_NAMED = re.compile(r"# (\S+\.(?:py|yaml))\n")


@dataclass(frozen=True)
class Block:
    """A code block."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is the content of, by its first line."""
        found = _NAMED.match(self.text)
        return found[1] if found else None


@dataclass(frozen=True)
class Command:
    """A command line of a page."""

    line: str
    exits: int = 0
    """What the page says that it exits with."""
    spoken_of: bool = False
    """Within a sentence, where a command may stand without its arguments."""

    @property
    def words(self) -> list[str]:
        """Of the command line, without the program and what a shell would take as a comment."""
        return shlex.split(self.line, comments=True)[1:]


def name_of(page: Path) -> str:
    """From the repository's root, for the names of tests."""
    return page.relative_to(ROOT).as_posix()


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def fenced(page: Path) -> list[Block]:
    """Its fenced code blocks, in their order."""
    return [Block(*found.groups()) for found in _FENCED.finditer(text_of(page))]


def prose(page: Path) -> str:
    """The page without its fenced code blocks."""
    return _FENCED.sub("", text_of(page))


def commands(text: str) -> Iterator[Command]:
    """The lines of a block that call chaosrunner."""
    for line in text.splitlines():
        bare = line.strip().removeprefix(".venv/bin/")
        if bare.startswith("chaosrunner "):
            exits = re.search(r"# exits? (\d+)", bare)
            yield Command(bare, int(exits[1]) if exits else 0)


def all_commands(page: Path) -> list[Command]:
    """Those in its blocks, and those within its sentences."""
    found = [command for block in fenced(page) if block.language != "text" for command in commands(block.text)]
    found += [command for block in _INDENTED.findall(prose(page)) for command in commands(block)]
    return found + [Command(line, spoken_of=True) for line in _INLINE.findall(prose(page))]


def links(page: Path) -> list[str]:
    """Where its links lead."""
    return _LINK.findall(prose(page))


def table(page: Path, first: str) -> list[list[str]]:
    """The rows of the table whose first heading is `first`, without its headings."""
    lines = text_of(page).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def files(page: Path) -> dict[str, str]:
    """What its named blocks hold, by file; of several with one name the first."""
    found: dict[str, str] = {}
    for block in fenced(page):
        if block.file:
            found.setdefault(block.file, block.text)
    return found
