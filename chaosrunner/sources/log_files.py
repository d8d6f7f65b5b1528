"""A source of evidence: log files of this machine."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from chaosrunner.errors import CannotDoHonestly, NoReading, UsageError
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.material import Line, Material, Stream, Window
from chaosrunner.model.quantities import Size, write_size
from chaosrunner.ports import Parameters, ProbeContext, ServiceLogs, Source

_LONGEST_LINE = 4096
_MOST_LINES = 200_000
_SLACK = 2.0
"""Seconds by which a line's own time may differ from when its file was seen to grow."""
_ISO = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?")
_EPOCH = re.compile(r"""(?:^|["'](?:ts|time|timestamp)["']\s*:\s*["']?)(1\d{9})(\d{3})?(?:\.(\d+))?\b""")
_HEAD = 200
"""Characters of a line in which its time is looked for."""


class Params(Parameters):
    """Which files."""

    paths: tuple[str, ...] = ()
    """Files; relative ones start in the folder of the environment's file."""
    services: tuple[str, ...] = ()
    """What these services of the environment print; on the local platform, those that it starts itself."""
    limit: Size = Field(default=16 * 1024 * 1024, gt=0, le=1024 * 1024 * 1024)
    """How much of the end of each file is read; default 16MiB."""

    @model_validator(mode="after")
    def _names_some(self) -> Params:
        if not self.paths and not self.services:
            raise ValueError("expected paths, or services, or both")
        return self


@dataclass(frozen=True, slots=True)
class _Mark:
    """How long a file was at a time."""

    at: float
    file: tuple[int, int]
    """Device and inode."""
    size: int


@dataclass(slots=True)
class _Log:
    name: str
    path: Path
    marks: list[_Mark] = field(default_factory=list)


class LogFilesSource(Source[Params]):
    """Reads log files as they were before the fault and while it was in force.

    During a run only the files' lengths are noted, when a phase begins or ends; that alone tells which lines are of
    which phase, also for lines that carry no time. A line's own time (ISO 8601, or seconds since 1970, at its beginning
    or in a field of JSON) says it more exactly, and places what was written before the run. A file that was renamed and
    made anew (rotation) is read under its new name, too.
    """

    example = """\
sources:
  - log-files: {paths: [logs/checkout.log], services: [payments]}
"""

    def __init__(self, params: Params, context: ProbeContext) -> None:
        super().__init__(params, context)
        self._logs = [_Log(Path(path).name, context.folder / Path(path).expanduser()) for path in params.paths]
        self._troubles: list[str] = []
        for service in params.services:
            try:
                if context.platform is None:
                    raise NoReading("no environment says where it runs")
                self._logs.append(_Log(service, context.platform.ability(ServiceLogs).log_file(service)))
            except (CannotDoHonestly, UsageError, NoReading) as why:
                self._troubles.append(f"{service}: {why}")

    def note(self, at: float) -> None:
        for log in self._logs:
            try:
                found = log.path.stat()
            except OSError:
                continue
            log.marks.append(_Mark(at, (found.st_dev, found.st_ino), found.st_size))

    async def gather(self, window: Window) -> Material:
        unknown = list(self._troubles)
        streams: list[Stream] = []
        for log in self._logs:
            try:
                streams.append(await asyncio.to_thread(self._read, log, window, unknown))
            except NoReading as why:
                unknown.append(str(why))
        lines = sum(len(stream.lines) for stream in streams)
        looked = f"{lines} lines of {', '.join(stream.name for stream in streams) or 'no file'}"
        return Material("log files", streams=streams, looked=looked, unknown=unknown)

    # -- one file

    def _read(self, log: _Log, window: Window, unknown: list[str]) -> Stream:
        lines: list[Line] = []
        since = min([window.began, *(mark.at for mark in log.marks)])
        for path in self._files(log, unknown):
            text, start, marks = _end_of(log, path, int(self.params.limit), unknown)
            found = list(_timed(text, start, marks, self.context.clock.now()))
            if found:
                since = min(since, found[0][0])
            lines += found
        if not lines and not log.marks:
            raise NoReading(
                f"{log.name}: its lines carry no time that is known, so nobody can say when they were written"
            )
        return Stream(log.name, lines[-_MOST_LINES:], since if len(lines) <= _MOST_LINES else lines[-_MOST_LINES][0])

    def _files(self, log: _Log, unknown: list[str]) -> list[Path]:
        """The file, and before it the one that had its name during the run, if that is another one by now."""
        try:
            now = log.path.stat()
        except OSError as error:
            raise NoReading(f"{log.name}: {error.strerror}") from error
        before = {mark.file for mark in log.marks} - {(now.st_dev, now.st_ino)}
        old = [
            sibling
            for sibling in (sorted(log.path.parent.glob(f"{log.path.name}*")) if before else ())
            if _identity(sibling) in before
        ]
        if len(old) < len(before):
            unknown.append(f"{log.name}: it was rotated, and the old file is not there any more: lines are missing")
        return [*old, log.path]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _end_of(log: _Log, path: Path, limit: int, unknown: list[str]) -> tuple[bytes, int, list[_Mark]]:
    """(the end of a file, where in it that begins, what was noted of this file)."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size - limit)
            file.seek(start)
            text = file.read(size - start)
    except OSError as error:
        raise NoReading(f"{log.name}: {error.strerror}") from error
    mine = [mark for mark in log.marks if mark.file == _identity(path)]
    marks = [mark for mark in mine if mark.size <= size]
    if len(marks) < len(mine):
        unknown.append(f"{log.name}: it became shorter during the run: lines may be missing")
    if start:
        unknown.append(f"{log.name}: only its last {write_size(limit)} were read")
        skipped = text.find(b"\n") + 1
        text, start = text[skipped:], start + skipped
    return text, start, marks


def _timed(text: bytes, start: int, marks: Sequence[_Mark], now: float) -> Iterator[Line]:
    """Lines with their times: their own where it fits when the file grew, otherwise in between."""
    at, last, place = start, None, 0
    for raw in text.split(b"\n")[:-1]:
        while place < len(marks) and at >= marks[place].size:
            place += 1
        low = marks[place - 1] if place else None
        high = marks[place] if place < len(marks) else None
        line = raw[:_LONGEST_LINE].decode(errors="replace").removesuffix("\r")
        earliest = low.at - _SLACK if low else float("-inf")
        latest = (high.at if high else now) + _SLACK
        own = next((time for time in _times(line[:_HEAD]) if earliest <= time <= latest), None)
        if own is None and low is not None:
            end, until = (high.size, high.at) if high else (start + len(text), low.at + _SLACK)
            own = low.at + (until - low.at) * (at - low.size) / max(1, end - low.size)
        last = own if own is not None else last
        at += len(raw) + 1
        if last is not None and line.strip():
            yield min(max(last, low.at), high.at if high else last) if low else last, line


def _times(head: str) -> Iterator[float]:
    """What a line says of its time. One without a zone is of this machine's, or of UTC."""
    if found := _ISO.search(head):
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        part = float(f"0.{found[7] or 0}")
        try:
            told = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        except ValueError:
            return
        if found[8] and found[8] != "Z":
            sign = -1 if found[8][0] == "-" else 1
            yield told.timestamp() + part - sign * (int(found[8][1:3]) * 3600 + int(found[8][-2:]) * 60)
            return
        if found[8] is None:
            yield told.replace(tzinfo=None).timestamp() + part
        yield told.timestamp() + part
    elif found := _EPOCH.search(head):
        yield float(found[1]) + float(f"0.{found[2] or found[3] or 0}")
