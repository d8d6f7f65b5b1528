"""What was read from a file, with the place of everything: `Node` is a value and where it stands, `Spot` is a node
on its way through a document, which is what problems are reported at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import NamedTuple

from chaosrunner.errors import Problem
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.light import dataclass

_new = tuple.__new__
"""Of which a file takes very many: half the time of a `NamedTuple`'s own."""
Path = tuple[str | int, ...]
"""Keys and indices from a document's root."""


class Place(NamedTuple):
    """Where something starts; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass(slots=True)
class Node:
    """One value of a file. A node that has an anchor is shared by all that refer to it."""

    value: JsonValue
    """As JSON has it."""
    place: Place
    children: dict[str | int, Node] = field(default_factory=dict)
    """Of a mapping by key, of a list by index."""
    keys: dict[str, Place] = field(default_factory=dict)
    """Where a mapping's keys stand."""
    size: int = 1
    """Values in it, itself included, those behind references counted each time."""
    height: int = 1
    """Levels, itself included."""
    written: str = ""
    """A scalar's text as it is meant, whatever its type."""
    raw: str = ""
    """A text as it stands in the file, with its quotes and breaks, where that differs from what is meant."""
    origin: str = ""
    """The file that it stands in, where that is another one than that of what it stands in."""
    origins: Mapping[str, str] | None = None
    """Of a mapping: the files of those keys that stand in another one."""
    via: str = ""
    """How it came here, where it was not written here, for people: `${delay}, --parameter`."""


class Spot(NamedTuple):
    """A node in its document."""

    file: str
    node: Node
    path: Path = ()
    key: Place | None = None
    """Where its key stands, if it has one."""
    key_file: str = ""
    """The file that its key stands in, if that is another one."""

    @property
    def value(self) -> JsonValue:
        """What stands there, as JSON has it."""
        return self.node.value

    @property
    def name(self) -> str:
        """What to call it in a message: its key, or `document` for the root."""
        words = [part for part in self.path if isinstance(part, str)]
        return words[-1] if words else "document"

    def child(self, part: str | int) -> Spot | None:
        """The value under a key or index, if there is one."""
        below = self[1].children.get(part)  # mostly there is none
        if below is None:
            return None
        file, node, path, _, _ = self
        key = node.keys.get(part) if isinstance(part, str) else None
        if not (below.origin or node.origins):
            return _new(Spot, (file, below, (*path, part), key, ""))
        key_file = (self.node.origins or {}).get(str(part), self.file)
        return Spot(below.origin or self.file, below, (*self.path, part), key, key_file)

    def get(self, *path: str | int) -> Spot | None:
        """The value at a path below this one, if there is one."""
        here: Spot | None = self
        for part in path:
            here = here.child(part) if here else None
        return here

    def nearest(self, *path: str | int) -> Spot:
        """The value at a path below this one, or as far as it goes."""
        here = self
        for part in path:
            here = here.child(part) or here
        return here

    def items(self) -> Iterator[Spot]:
        """Of a list or mapping, in order."""
        file, node, path, _, _ = self
        keys, elsewhere = node.keys, node.origins
        for part, below in node.children.items():
            if elsewhere or below.origin:
                child = self.child(part)
                assert child is not None
                yield child
            else:
                yield _new(Spot, (file, below, (*path, part), keys.get(part), ""))  # type: ignore[arg-type]

    def problem(
        self, message: str, expected: str = "", nearest: str = "", *, at_key: bool = False, rule: str = ""
    ) -> Problem:
        """A mistake here: at the value, or at its key. `rule` is the name of one in `rules.py`, if one is meant."""
        at_key = at_key and self.key is not None
        place = self.key if at_key and self.key else self.node.place
        file = (at_key and self.key_file) or self.file
        return Problem(file, place.line, place.column, message, expected, nearest, dotted(self.path), rule)


def dotted(path: Sequence[str | int]) -> str:
    """A path for people and machines: `spec.method[0].for`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
