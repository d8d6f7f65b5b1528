"""The project's own source files as trees, and what each of them imports."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chaosrunner"


@dataclass(frozen=True, eq=False)
class Module:
    """One source file."""

    path: str
    """From the package's folder, `files/reader.py`."""
    tree: ast.Module
    every: tuple[ast.AST, ...]
    """All nodes of the tree, walked once."""

    @property
    def part(self) -> str:
        """The folder or file of the package that it belongs to: `files`, `catalog`; `` for the package itself."""
        first = self.path.split("/")[0]
        return first.removesuffix(".py") if first != "__init__.py" else ""

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in self.every if isinstance(node, kinds))

    def imports(self, *, only_top: bool = False) -> Iterator[tuple[int, str]]:
        """(line, dotted name) of everything imported; `only_top`: what importing the file itself imports."""
        nodes = _at_import(self.tree.body) if only_top else self.every
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: a relative import"
                yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def _module(file: Path, folder: Path) -> Module:
    tree = ast.parse(file.read_text())
    return Module(str(file.relative_to(folder)), tree, tuple(ast.walk(tree)))


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """A million nodes that are all kept: to look for garbage among them takes longer than to read them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _at_import(getattr(node, name, []))


@cache
def modules() -> tuple[Module, ...]:
    """All of the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    with _nothing_is_garbage():
        return tuple(_module(file, PACKAGE) for file in files)


def of_the_tests(*words: str) -> Iterator[Module]:
    """The test files with one of these words in their text, one after the other."""
    folder = ROOT / "tests"
    for file in sorted(folder.rglob("*.py")):
        text = file.read_text()
        if any(word in text for word in words):
            yield _module(file, folder)
