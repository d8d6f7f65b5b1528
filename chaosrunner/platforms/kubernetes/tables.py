"""Lists of pods as the API server prints them: tables whose rows carry an object's metadata.

Most of a pod's metadata is `managedFields`, which nobody here reads: msgspec skips what a type does not name without
making objects of it, which takes a tenth of the time of reading it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import DecodeError, Struct, field
from msgspec.json import Decoder

__all__ = ["Column", "Metadata", "Owner", "Row", "Table", "read"]


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


class _Object(Struct, frozen=True):
    metadata: Metadata


class Row(Struct, frozen=True):
    """An object: its cells, in the order of the table's columns."""

    cells: list[Any]
    object: _Object


class Column(Struct, frozen=True, gc=False):
    """A column's head."""

    name: str


class _ListMetadata(Struct, frozen=True, gc=False):
    token: str | None = field(default=None, name="continue")


class Table(Struct, frozen=True):
    """One page; `kind` is that of the answer."""

    kind: str
    metadata: _ListMetadata
    columns: Sequence[Column] | None = field(default=None, name="columnDefinitions")
    rows: Sequence[Row] | None = None

    @property
    def token(self) -> str | None:
        """Where the next page begins; None: this is the last one."""
        return self.metadata.token or None


_TABLE = Decoder(Table)


def read(answer: bytes) -> Table:
    """A page. Raises `ValueError` for what is none."""
    try:
        return _TABLE.decode(answer)
    except DecodeError as problem:
        raise ValueError(str(problem)) from None
