"""check: every mistake and weakness of files, with what is known of those that have not changed.

An answer about a file depends on the file, on the files that it refers to, on the names that references could mean, on
what chaosrunner is installed with, and on nothing else; so it is kept, and used again as long as all of that is as it
was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chaosrunner import __version__, catalog
from chaosrunner.errors import Problem, UsageError
from chaosrunner.files.documents import is_ours, kind_of, name_of
from chaosrunner.files.ignores import Ignore, settled, unused
from chaosrunner.files.references import File, Library, candidates, files_in, files_named
from chaosrunner.stages.load import Checked, looked_at
from chaosrunner.store.checked import Memory

_PARTS = ("file", "line", "column", "message", "expected", "nearest", "path", "rule")


class _Answer(NamedTuple):
    """What is said of one file."""

    passed_over: bool = False
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    """Those too that a comment sets aside."""
    ignores: tuple[Ignore, ...] = ()
    experiment: bool = False
    """Whether it holds an experiment: then comments that set nothing aside can be told."""


def check_files(
    paths: Sequence[str], folder: Path, state: Path | None = None, unsaved: Mapping[Path, bytes] | None = None
) -> Checked:
    """Every mistake and weakness of the files named, of those in the folders named, and of what they refer to.

    No paths: the folders that chaosrunner looks in. `state`: where answers are kept, if they should be; `unsaved`:
    texts in place of what lies on disk, by absolute path. Raises `UsageError` for a path that is not there.
    """
    library = Library(folder, unsaved)
    known = _Known(library, Memory(state, _basis(library.folder))) if state is not None else None
    found: dict[str, _Answer] = {}
    unchanged: list[str] = []
    # what is new in an editor lies nowhere yet
    new = [path for path in paths if (folder / path).absolute() in library.unsaved and not (folder / path).exists()]
    others = [path for path in paths if path not in new]
    there = files_named(others, folder) if others or not new else ()
    for path, named in [*((folder / path, True) for path in new), *there]:
        kept = known.answer(path) if known is not None else None
        answer = kept or _look(library, path)
        if known is not None and kept is None:
            known.keep(path, answer)
        elif kept is not None:
            unchanged.append(library.shown(path))
        found[library.shown(path)] = answer._replace(passed_over=answer.passed_over and not named)
    if known is not None:
        known.save()
    return _together(found, unchanged)


def _look(library: Library, path: Path) -> _Answer:
    library.asked = set()
    file = library.file(path)
    passed_over = not file.problems and not any(is_ours(spot) or kind_of(spot) for spot in file.spots)
    if passed_over:
        named = looked_at(library, file)  # a file that is named itself must be one of ours
        return _Answer(True, tuple(named[0]), tuple(named[1]))
    problems, warnings, used = looked_at(library, file)
    ignores = [ignore for one in used for ignore in one.comments.ignores]
    unclear = [problem for one in used for problem in one.comments.unclear]
    experiment = any(kind_of(spot) == "Experiment" for spot in file.spots)
    return _Answer(False, tuple(problems), (*warnings, *unclear), tuple(ignores), experiment)


def _together(found: Mapping[str, _Answer], known: Sequence[str]) -> Checked:
    told = {name: answer for name, answer in found.items() if not answer.passed_over}
    problems = sorted({problem: None for answer in told.values() for problem in answer.problems})
    warnings = {warning: None for answer in told.values() for warning in answer.warnings}
    ignores = {ignore: None for answer in told.values() for ignore in answer.ignores}
    kept, spare = settled(list(warnings), list(ignores))
    if not problems:  # a file that is wrong was not looked at for weaknesses
        kept += unused([one for one in spare if one.file in told and told[one.file].experiment])
    passed_over = tuple(name for name, answer in found.items() if answer.passed_over)
    aside = len(warnings) - len([warning for warning in kept if warning in warnings])
    return Checked(tuple(told), tuple(problems), tuple(sorted(kept)), passed_over, aside, tuple(known))


# ------------------------------------------------------------------------------------------------ what is known


class _Known:
    """Answers of earlier checks, and whether they are still true."""

    def __init__(self, library: Library, memory: Memory) -> None:
        self._library = library
        self._memory = memory
        self._states: dict[tuple[str, Path], str] = {}

    def answer(self, path: Path) -> _Answer | None:
        """What was said of a file, if that would be said again."""
        kept = self._memory.get(str(path.absolute()))
        if kept is None:
            return None
        try:
            if any(self._state((what, Path(where))) != seen for what, where, seen in kept["depends"]):
                return None
            return _read(kept)
        except (KeyError, TypeError, ValueError):
            return None

    def keep(self, path: Path, answer: _Answer) -> None:
        """An answer with what it depends on."""
        depends = [[what, str(where), self._state((what, where))] for what, where in sorted(self._library.asked)]
        self._memory.put(str(path.absolute()), {"depends": depends, **_written(answer)})

    def save(self) -> None:
        """Onto disk."""
        self._memory.save()

    def _state(self, dependence: tuple[str, Path]) -> str:
        if dependence not in self._states:
            what, where = dependence
            self._states[dependence] = {"file": self._file, "names": self._names, "listing": self._listing}[what](where)
        return self._states[dependence]

    def _file(self, path: Path) -> str:
        if known := self._library.checksum(path):
            return known
        if not path.is_file():
            return "folder" if path.is_dir() else ""
        try:
            return hashlib.sha256(self._library.data(path)).hexdigest()
        except UsageError:
            return "closed"

    def _listing(self, folder: Path) -> str:
        return _digest([str(path) for path in files_in(folder)])

    def _names(self, folder: Path) -> str:
        """Of all that a name could mean, looked for from a folder."""
        told: list[str] = []
        for path in dict.fromkeys(candidates(folder)):
            seen = self._state(("file", path.absolute()))
            key = f"names of {path.absolute()}"
            kept = self._memory.get(key)
            if kept is None or kept.get("seen") != seen:
                kept = {"seen": seen, "names": self._named(path)}
                self._memory.put(key, kept)
            told += [str(path), *map(str, kept["names"])]
        return _digest(told)

    def _named(self, path: Path) -> list[str]:
        before = set(self._library.asked)
        try:
            file: File = self._library.file(path)
        except UsageError:
            return []
        finally:
            self._library.asked = before
        return [f"{kind_of(spot)} {name_of(spot)} {spot.node.place.line}" for spot in file.spots]


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()


def _written(answer: _Answer) -> dict[str, Any]:
    return {
        "passedOver": answer.passed_over,
        "experiment": answer.experiment,
        "problems": [[getattr(one, part) for part in _PARTS] for one in answer.problems],
        "warnings": [[getattr(one, part) for part in _PARTS] for one in answer.warnings],
        "ignores": [list(one) for one in answer.ignores],
    }


def _read(kept: Mapping[str, Any]) -> _Answer:
    return _Answer(
        kept["passedOver"],
        tuple(Problem(*one) for one in kept["problems"]),
        tuple(Problem(*one) for one in kept["warnings"]),
        tuple(Ignore(one[0], one[1], one[2], tuple(one[3]), one[4], one[5], one[6]) for one in kept["ignores"]),
        kept["experiment"],
    )


def _basis(folder: Path) -> str:
    """Everything beside files that an answer depends on: chaosrunner itself, its plugins, and who reads PromQL."""
    import importlib.util
    import shutil

    package = Path(catalog.__file__).parent
    sources = [f"{path}:{(seen := path.stat()).st_mtime_ns}:{seen.st_size}" for path in sorted(package.rglob("*.py"))]
    plugins = [f"{role}/{kind}" for role in catalog.ROLES for kind in catalog.kinds(role)]
    schemas = [str(catalog.schema(role, kind)) for role in catalog.ROLES for kind in catalog.kinds(role)
               if not catalog.is_own(role, kind)]  # fmt: skip
    promql = [str(shutil.which("promtool")), str(importlib.util.find_spec("promql_parser") is not None)]
    return _digest([__version__, str(folder), *sources, *plugins, *schemas, *promql])
