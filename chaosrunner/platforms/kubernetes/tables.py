"""Long lists in two halves: their objects' metadata, and what the API server prints of each, as a table.

One list with both, tables whose rows carry metadata, takes the server more than twice the time of the two together: it
makes JSON of each object apart and copies it into the row. Most of a pod's metadata is `managedFields`, which nobody
here reads: msgspec skips what a type does not name without making objects of it, which takes a tenth of the time of
reading it all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import DecodeError, Struct, field
from msgspec.json import Decoder

__all__ = ["Column", "Listing", "Metadata", "Owner", "Row", "Table", "listing", "table"]

T = TypeVar("T")


class Owner(Struct, frozen=True, gc=False):
    """One of an object's owners."""

    kind: str
    name: str
    uid: str
    controller: bool = False


class Metadata(Struct, frozen=True):
    """What is read of an object's metadata."""

    name: str
    uid: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owners: tuple[Owner, ...] = field(default=(), name="ownerReferences")
    leaves_at: str | None = field(default=None, name="deletionTimestamp")


class Column(Struct, frozen=True, gc=False):
    """A column's head."""

    name: str


class _ListMetadata(Struct, frozen=True, gc=False):
    token: str | None = field(default=None, name="continue")


class _Object(Struct, frozen=True):
    metadata: Metadata


class _Page(Struct, frozen=True):
    kind: str
    """That of the answer."""
    metadata: _ListMetadata

    @property
    def token(self) -> str | None:
        """Where the next page begins; None: this is the last one."""
        return self.metadata.token or None


class Listing(_Page, frozen=True):
    """One page of objects' metadata."""

    items: Sequence[_Object] | None = None


class Row(Struct, frozen=True):
    """What is printed of an object, in the order of the table's columns."""

    cells: list[Any]


class Table(_Page, frozen=True):
    """One page of what is printed."""

    columns: Sequence[Column] | None = field(default=None, name="columnDefinitions")
    rows: Sequence[Row] | None = None

    @property
    def places(self) -> Mapping[str, int]:
        """By the name of a column: its place among the cells of a row."""
        return {column.name: index for index, column in enumerate(self.columns or ())}


_LISTING, _TABLE = Decoder(Listing), Decoder(Table)


def listing(answer: bytes | bytearray) -> Listing:
    """A page of metadata. Raises `ValueError` for what is none."""
    return _decoded(_LISTING, answer)


def table(answer: bytes | bytearray) -> Table:
    """A page of a table. Raises `ValueError` for what is none."""
    return _decoded(_TABLE, answer)


def _decoded(decoder: Decoder[T], answer: bytes | bytearray) -> T:
    try:
        return decoder.decode(answer)
    except DecodeError as problem:
        raise ValueError(str(problem)) from None
