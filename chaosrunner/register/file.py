"""A register that is a file: JSON Lines, made to be kept in a repository beside the code.

What it says is held in a database in memory, so every question and every change is the same as anywhere. A change takes
the file's lock, reads the file again if another process has changed it, and puts the whole file in its place at once:
whoever reads it sees one state, and a process that dies leaves the file as it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.register import branches, exchange, lines, schema, sums
from chaosrunner.register.lines import BY_FINGERPRINT, Rows

SCHEME = "jsonl://"
SUFFIX = ".jsonl"
Seen = tuple[int, int, int] | None
"""Which file it was, how long, and when it was written; None: there was none."""


def file_of(url: str) -> Path | None:
    """The file that a register's URL names (`near-misses.jsonl`, `jsonl:///somewhere/else`); None: a database's."""
    if url.startswith(SCHEME):
        return Path(url.removeprefix(SCHEME)).absolute()
    return Path(url).absolute() if url.endswith(SUFFIX) and "://" not in url else None


class RegisterFile:
    """The file, and what of it is in memory. Threads of one process take turns."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))  # a link stays one
        self.numbers = BY_FINGERPRINT
        self._turn = threading.RLock()
        self._seen: Seen = (-1, 0, 0)
        self._before = 0
        self._said = b""

    @contextmanager
    def up_to_date(self, engine: sa.Engine) -> Iterator[None]:
        """The database in memory says what the file says."""
        with self._turn:
            self._refresh(engine)
            yield

    @contextmanager
    def alone(self, engine: sa.Engine) -> Iterator[None]:
        """The same, and no other process changes the file meanwhile."""
        with self._turn, self._locked():
            self._refresh(engine)
            before = self._seen
            try:
                yield
            except BaseException:
                if self._seen != before:
                    self._seen = (-1, 0, 0)  # written, and yet not committed: the file counts
                raise

    def begun(self, connection: sa.Connection) -> None:
        """A transaction begins that may write."""
        self._before = _changes(connection)

    def keep(self, connection: sa.Connection) -> None:
        """Write the file, before the transaction is committed; not where nothing changed."""
        if _changes(connection) == self._before and self.path.stat().st_size:
            return
        text = lines.written(connection, self.numbers)
        if _digest(text) != self._said:
            self._put(text)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock is on the file itself, so that nothing lies beside it that could be committed; a file that was put
        in its place meanwhile has a lock of its own."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if _is(handle, self.path):
                    yield
                    return
            finally:
                os.close(handle)

    def _put(self, text: str) -> None:
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with fresh.open("x", encoding="utf-8", newline="\n") as file:
                os.fchmod(file.fileno(), self.path.stat().st_mode & 0o777)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            seen = _seen(fresh)
            fresh.replace(self.path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        self._seen, self._said = seen, _digest(text)
        folder = os.open(self.path.parent, os.O_RDONLY)
        with suppress(OSError):  # some file systems have no such thing
            os.fsync(folder)
        os.close(folder)

    # ----------------------------------------------------------------------------------------------------- reading

    def _refresh(self, engine: sa.Engine) -> None:
        while self._seen != (seen := _seen(self.path)):
            self._seen = (-1, 0, 0)
            text = self._text()
            if seen == _seen(self.path):  # otherwise it was changed while it was read
                self._load(engine, text)
                self._seen = seen

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError as error:
            raise NotPossibleNow(f"the near-miss register {self.path} cannot be read: {error}") from None

    def _load(self, engine: sa.Engine, text: str) -> None:
        said = lines.read(text, str(self.path))
        engine.dispose()  # what was in memory goes; the next connection begins with nothing
        try:
            found, touched = branches.joined(said.rows)
            with engine.begin() as connection:
                for statement in schema.sqlite_statements():
                    connection.exec_driver_sql(statement)
                _insert(connection, found)
                branches.after_joining(connection, touched)
        except UsageError as error:
            raise NotPossibleNow(lines.in_file(str(self.path), str(error))) from None
        self.numbers, self._said = said.numbers, _digest(text)


def _insert(connection: sa.Connection, found: Rows) -> None:
    for name, kind in exchange.KINDS.items():
        whole = []
        for line, row in found[name]:
            try:
                whole.append(kind.computed(row))
            except ValueError as error:
                raise UsageError(f"line {line}: this is no {name}: {error}") from None
        if whole:
            connection.execute(kind.table.insert(), whole)
        if whole and name == "near_miss":
            records = [{"near_miss": row["id"], "record": row["record"]} for _, row in found[name]]
            connection.execute(schema.near_miss_record.insert(), records)
            sums.count(connection, whole)
        exchange.tally(connection, name, whole)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _changes(connection: sa.Connection) -> int:
    """How many rows this connection has changed so far."""
    driver = connection.connection.driver_connection
    return int(getattr(driver, "total_changes", 0))


def _seen(path: Path) -> Seen:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is(handle: int, path: Path) -> bool:
    held = os.fstat(handle)
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return (held.st_ino, held.st_dev) == (there.st_ino, there.st_dev)
