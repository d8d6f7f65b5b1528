"""SQLite as the register speaks to it: what was once put into SQL serves every register that the process opens."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

STATEMENTS = 500
"""How many of the latest statements are remembered as SQL: as many as SQLAlchemy keeps for one engine."""

DRIVER = "sqlite+register"
"""What stands for `sqlite` in the URL of an engine, so that it is opened this way."""


class Sqlite(SQLiteDialect_pysqlite):
    """The driver of the standard library. All of them are alike: one library, opened with the same options.

    SQLAlchemy looks statements up by dialect and keeps them by engine. As equals, and with one place to keep them
    (`ONE_CACHE`), the engines of a process put each statement into SQL once, which takes longer than to execute it.
    """

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


registry.register(DRIVER.replace("+", "."), __name__, Sqlite.__name__)
ONE_CACHE: dict[str, LRUCache[Any, Any]] = {"compiled_cache": LRUCache(STATEMENTS)}
"""Execution options of an engine that keeps its statements with those of the others."""
