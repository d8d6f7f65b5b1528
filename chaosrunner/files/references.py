"""Finds what a reference names. A reference is a path, or a name looked for in the same file, in its folder, and in
the `environments/`, `hypotheses/`, `experiments/` and `suites/` folders beside or above it; two that match are a
mistake."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from chaosrunner.errors import Problem, UsageError
from chaosrunner.files import documents
from chaosrunner.files.ignores import MARK, Comments, comments
from chaosrunner.files.node import Spot
from chaosrunner.files.reader import MOST_BYTES, read
from chaosrunner.files.validation import nearest, show
from chaosrunner.model.plan import Source
from chaosrunner.records.light import dataclass

T = TypeVar("T")
FOLDERS = ("environments", "hypotheses", "experiments", "suites")
_FIRST = 64 * 1024
ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was read, once."""

    path: Path
    source: Source
    spots: tuple[Spot, ...]
    """Its documents."""
    problems: tuple[Problem, ...]
    """What is wrong with it as YAML."""
    comments: Comments = Comments()
    """What it says to `check` beside its documents."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """Why a reference leads nowhere, or to more than one place."""

    message: str
    expected: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        hint = (
            f", did you mean {self.nearest!r}?"
            if self.nearest
            else f", expected {self.expected}"
            if self.expected
            else ""
        )
        return f"{self.message}{hint}"


class Library:
    """The files of one command, each read once. `folder` is where relative paths start and shown paths end; `unsaved`
    are texts that count in place of what lies on disk, by their absolute paths."""

    def __init__(self, folder: Path, unsaved: Mapping[Path, bytes] | None = None) -> None:
        self.folder = folder.absolute()
        self._within = f"{str(self.folder).rstrip('/')}/"
        self.unsaved = unsaved or {}
        self.asked: set[tuple[str, Path]] = set()
        """What answers depend on since this was emptied: (`file`, path), (`names` or `listing`, folder)."""
        self._files: dict[Path, File] = {}
        self._real: dict[Path, Path] = {}
        self._shown: dict[str, File] = {}
        self._checksums: dict[Path, str] = {}
        self._near: dict[Path, list[File]] = {}
        self._once: dict[int, tuple[Spot, Any, set[tuple[str, Path]]]] = {}
        self._names: dict[Path, dict[str, list[tuple[File, str, Spot]]]] = {}

    def once(self, spot: Spot, look: Callable[[], T]) -> T:
        """What a look at a document found, looked at once; what the answer depends on is asked each time."""
        key = id(spot.node)
        if key not in self._once:
            before, self.asked = self.asked, set()
            try:
                self._once[key] = (spot, look(), self.asked)
            finally:
                self.asked |= before
        _, found, asked = self._once[key]
        self.asked |= asked
        answer: T = found
        return answer

    def shown(self, path: Path) -> str:
        """A path as messages name it, and tools that look for the same file: without a way up and down again."""
        full = str(path.absolute())
        if "/../" in full and os.path.realpath(flat := os.path.normpath(full)) == str(self._resolved(path.absolute())):
            full = flat
        if full.startswith(self._within):
            return full[len(self._within) :]
        return "." if full == str(self.folder) else str(path)

    def file(self, path: Path) -> File:
        """Read a file. Raises `UsageError` if it cannot be read at all."""
        self.asked.add(("file", path.absolute()))
        return self._read(path)

    def _resolved(self, path: Path) -> Path:
        """As `path.resolve()`, which takes a look at every folder above: most files lie in one that is known."""
        real = self._real.get(path)
        if real is None:
            folder = path.parent
            if folder == path or path.name == ".." or path.is_symlink():
                real = path.resolve()
            else:
                if folder not in self._real:
                    self._real[folder] = folder.resolve()
                real = self._real[folder] / path.name
            self._real[path] = real
        return real

    def checksum(self, path: Path) -> str:
        """Of a file by its absolute path, if it was read; empty otherwise."""
        return self._checksums.get(path, "")

    def data(self, path: Path) -> bytes:
        """What a file holds, up to one byte more than it may. Raises `UsageError` if it cannot be read."""
        if (unsaved := self.unsaved.get(path.absolute())) is not None:
            return unsaved
        try:
            with path.open("rb") as opened:
                data = opened.read(_FIRST)  # room is made for as much as is asked for
                return data if len(data) < _FIRST else data + opened.read(MOST_BYTES + 1 - _FIRST)
        except OSError as error:
            raise UsageError(f"{self.shown(path)} cannot be read: {error.strerror}") from None

    def _read(self, path: Path) -> File:
        real = self._resolved(path)
        if real not in self._files:
            data, shown = self.data(path), self.shown(path)
            parsed = read(data, shown)
            source = Source(path=shown, sha256=hashlib.sha256(data).hexdigest())
            told = Comments() if MARK not in data else comments(data.decode("utf-8", "replace"), shown)
            whole = File(path.absolute(), source, tuple(parsed.documents), tuple(parsed.problems), told)
            self._files[real] = whole
            self._shown.setdefault(source.path, whole)
            self._checksums[whole.path] = source.sha256
        return self._files[real]

    def shown_as(self, name: str) -> File | None:
        """The file that messages call so, if it was read."""
        return self._shown.get(name)

    def refer(
        self, kind: str, reference: str, starts: Sequence[Path], same: File | None = None
    ) -> tuple[File, Spot] | NotFound:
        """The document of a kind that a reference names, looked for from each of the folders `starts`."""
        if is_path(reference):
            return self._at_path(kind, reference, starts)
        if same is not None and len(found := _named(same, kind, reference)) == 1:
            return same, found[0]
        matches = [] if same is None else [(same, spot) for spot in _named(same, kind, reference)]
        around = self._of_kind(kind, starts)
        for file, name, spot in around:
            if name == reference and (same is None or self._resolved(file.path) != self._resolved(same.path)):
                matches.append((file, spot))
        if len(matches) == 1:
            self.asked.add(("file", matches[0][0].path))
            return matches[0]
        others = [name for _, name, _ in around if name]
        if matches:
            places = " and ".join(f"{file.source.path}:{spot.node.place.line}" for file, spot in matches)
            return NotFound(f"two or more are the {kind} {reference!r}: {places}", "a path, to say which one is meant")
        near = nearest(reference, others)
        if near or others:
            known = f"one of {', '.join(sorted(set(others)))}"
            return NotFound(f"there is no {kind} {reference!r}", "" if near else known, near)
        where = f"in this folder, or in {', '.join(f'{name}/' for name in FOLDERS)} beside or above it"
        return NotFound(f"there is no {kind} {reference!r}, and no other {kind} {where}")

    def every(self, kind: str, start: Path) -> Iterator[tuple[File, Spot]]:
        """All documents of a kind that a name could mean, looked for from a folder."""
        for file in self._around([start]):
            self.asked.add(("file", file.path))
            yield from ((file, spot) for spot in file.spots if documents.kind_of(spot) == kind)

    def foreign(
        self, reference: str, starts: Sequence[Path], wanted: Callable[[Spot], bool]
    ) -> tuple[File, list[Spot]] | NotFound:
        """The documents of a file of another format that are wanted; the first folder of `starts` that has it."""
        self.asked |= {("file", (start / reference).absolute()) for start in starts}
        path = next((start / reference for start in starts if (start / reference).is_file()), None)
        if path is None:
            return NotFound(f"there is no file {self.shown(starts[0] / reference)}")
        try:
            file = self.file(path)
        except UsageError as error:
            return NotFound(str(error))
        if file.problems:
            return NotFound(f"{file.problems[0]}")
        return file, [spot for spot in file.spots if wanted(spot)]

    def beside(self, file: File, wanted: Callable[[Spot], bool]) -> list[tuple[File, Spot]]:
        """The documents that are wanted of a file, or if there are none of the files in its folder."""
        found = [(file, spot) for spot in file.spots if wanted(spot)]
        if found:
            return found
        others: list[File] = []
        self.asked.add(("listing", file.path.parent))
        for path in files_in(file.path.parent):
            try:
                others.append(self.file(path))
            except UsageError:
                continue
        return [(other, spot) for other in others for spot in other.spots if wanted(spot)]

    def _same_name(self, reference: str, starts: Sequence[Path]) -> str:
        """A file of this name that is where chaosrunner looks for names."""
        names = {f"{Path(reference).name}{ending}" for ending in ("", *ENDINGS)}
        around = (path for start in starts for path in candidates(start) if path.name in names)
        return next((self.shown(path) for path in around), "")

    def _at_path(self, kind: str, reference: str, starts: Sequence[Path]) -> tuple[File, Spot] | NotFound:
        tried = [start / reference for start in starts]
        self.asked |= {("file", path.absolute()) for path in tried}
        path = next((path for path in tried if path.is_file()), None)
        if path is None:
            if any(path.is_dir() for path in tried):
                return NotFound(f"{self.shown(tried[0])} is a folder", f"a file with one {kind}")
            return NotFound(f"there is no file {self.shown(tried[0])}", "", self._same_name(reference, starts))
        try:
            file = self.file(path)
        except UsageError as error:
            return NotFound(str(error))
        found = [spot for spot in file.spots if documents.kind_of(spot) == kind]
        if len(found) == 1:
            return file, found[0]
        if found:
            names = ", ".join(documents.name_of(spot) or "(no name)" for spot in found)
            return NotFound(f"{file.source.path} holds more than one {kind}: {names}", "the name of one of them")
        if file.problems:
            return NotFound(f"{file.problems[0]}")
        held = ", ".join(documents.kind_of(spot) or "a document of another kind" for spot in file.spots)
        return NotFound(f"{file.source.path} holds no {kind}, only {held or 'nothing'}")

    def _of_kind(self, kind: str, starts: Sequence[Path]) -> list[tuple[File, str, Spot]]:
        """All documents of a kind that a name could mean, each once, with its name."""
        found: dict[int, tuple[File, str, Spot]] = {}
        for start in dict.fromkeys(starts):
            for file in self._around([start]) if start not in self._names else ():
                by_kind = self._names.setdefault(start, {})
                for spot in file.spots:
                    name = documents.name_of(spot)
                    by_kind.setdefault(documents.kind_of(spot), []).append((file, name, spot))
            self.asked.add(("names", start))
            for one in self._names.setdefault(start, {}).get(kind, ()):
                found.setdefault(id(one[2].node), one)
        return list(found.values())

    def _around(self, starts: Sequence[Path]) -> Iterator[File]:
        seen: set[int] = set()
        for start in starts:
            self.asked.add(("names", start))
            for file in self._near_to(start):
                if id(file) not in seen:
                    seen.add(id(file))
                    yield file

    def _near_to(self, start: Path) -> list[File]:
        """The files that names are looked for in from a folder."""
        if start not in self._near:
            found: dict[Path, File] = {}
            for path in candidates(start):
                real = self._resolved(path)
                if real in found or not real.is_file():
                    continue
                try:
                    found[real] = self._read(path)
                except UsageError:
                    continue
            self._near[start] = list(found.values())
        return self._near[start]


def has_kindless(file: File, name: str) -> bool:
    """Whether a file holds a document of this name whose kind is unknown: a mistake that is reported at the kind."""
    return any(not documents.kind_of(spot) and documents.name_of(spot) == name for spot in file.spots)


def is_path(reference: str) -> bool:
    """Whether a reference is meant as a path; otherwise it is a name."""
    return "/" in reference or "\\" in reference or reference.endswith(ENDINGS)


def _named(file: File, kind: str, name: str) -> list[Spot]:
    return [spot for spot in file.spots if documents.kind_of(spot) == kind and documents.name_of(spot) == name]


def candidates(start: Path) -> Iterator[Path]:
    """Files of a folder, and of the three folders beside or above it, up to the top of the repository or the home."""
    yield from files_in(start)
    here = start.resolve()
    for above in (here, *here.parents):
        for name in FOLDERS:
            yield from files_in(above / name)
        if (above / ".git").exists() or above == Path.home():
            return


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that may hold documents, sorted; none if it is no folder or closed to us."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  a path of each would take longer than all else
        return [folder / name for name in sorted(names) if name.endswith(ENDINGS) and not name.startswith(".")]
    except OSError:
        return []


def files_named(paths: Sequence[str], folder: Path) -> Iterator[tuple[Path, bool]]:
    """(file, whether it was named itself) of paths of files and folders; without any, of the three folders that
    chaosrunner looks in. Raises `UsageError` where there is none."""
    if not paths:
        there = [folder / name for name in sorted(FOLDERS) if (folder / name).is_dir()]
        if not there:
            raise UsageError(f"there is none of the folders {', '.join(sorted(FOLDERS))} here: name files or folders")
    else:
        there = [folder / path for path in paths]
    for path in there:
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if _may_hold(file.relative_to(path), file)]
            if paths and not inside:
                raise UsageError(f"there is no file in {show(str(path))} that could be checked: {', '.join(ENDINGS)}")
            yield from ((file, False) for file in inside)
        elif path.exists():
            yield path, True
        else:
            raise UsageError(f"there is no file or folder {show(str(path))}")


def _may_hold(inside: Path, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return file.suffix in ENDINGS and not hidden and file.is_file()
