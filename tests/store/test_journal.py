"""The journal on disk: whole lines only, readable while it grows, and gone on with after a death."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import JournalFailed
from chaosrunner.model.journal import Noted, PhaseBegan, ReadingTaken, Unknown
from chaosrunner.model.words import Phase
from chaosrunner.store.journal import Journal, read_journal

NOTE = Noted(who="ana", text="größer, with a line\nend and a \x00")


def journal_of(path: Path, *events: object) -> Journal:
    journal = Journal(path, SystemClock())
    for event in events:
        journal.append(event)  # type: ignore[arg-type]
    return journal


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    reading = ReadingTaken(measure="a/b", began=0.1, ended=0.2, value=False)
    missing = ReadingTaken(measure="a/b", began=0.3, ended=0.4, missing="down")
    events = [NOTE, PhaseBegan(phase=Phase.FAULT), reading, missing]
    journal_of(tmp_path / "journal.jsonl", *events).close()
    entries = list(read_journal(tmp_path / "journal.jsonl"))
    assert [entry.event for entry in entries] == events
    assert [entry.n for entry in entries] == [1, 2, 3, 4]
    assert entries[0].t <= entries[-1].t


def test_a_reader_sees_each_line_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "journal.jsonl")
    for count in range(1, 4):
        journal.append(NOTE)
        assert len(list(read_journal(tmp_path / "journal.jsonl"))) == count
    journal.close()


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal_of(path, NOTE, NOTE).close()
    with path.open("ab") as file:
        file.write(b'{"n":3,"t":1.0,"at":')
    assert len(list(read_journal(path))) == 2


def test_damage_before_the_end_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal_of(path, NOTE, NOTE, NOTE).close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00garbage\n" + lines[2])
    with pytest.raises(JournalFailed, match=r"journal\.jsonl:2: this line is damaged"):
        list(read_journal(path))
    assert [entry.n for entry in read_journal(path, skip_damaged=True)] == [1, 3]


def test_lines_of_a_newer_version_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal_of(path, NOTE).close()
    with path.open("a") as file:
        file.write(json.dumps({"n": 2, "t": 1.0, "at": 2.0, "type": "from-the-future", "what": [1]}) + "\n")
    assert list(read_journal(path))[1].event == Unknown(type="from-the-future")


def test_a_field_of_a_newer_version_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    line = {"n": 1, "t": 0.0, "at": 0.0, "type": "noted", "who": "ana", "text": "x", "mood": "good"}
    path.write_text(json.dumps(line) + "\n")
    assert next(read_journal(path)).event == Noted(who="ana", text="x")


def test_a_dead_runs_journal_is_gone_on_with_after_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal_of(path, NOTE, NOTE).close()
    with path.open("ab") as file:
        file.write(b'{"n":3,"torn')
    again = Journal(path, SystemClock())
    entry = again.append(NOTE)
    again.close()
    entries = list(read_journal(path))
    assert [each.n for each in entries] == [1, 2, 3]
    assert entry.t >= entries[1].t


def test_the_reserve_is_there_while_the_journal_is_open(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "journal.jsonl", NOTE)
    assert (tmp_path / "reserve").stat().st_size > 100_000
    journal.close()
    assert not (tmp_path / "reserve").exists()


def test_a_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    journal_of(tmp_path / "journal.jsonl", NOTE).close()
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalFailed, match="cannot write the journal"):
        Journal(tmp_path / "file" / "journal.jsonl", SystemClock())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_write_that_the_kernel_refuses_is_an_error(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "journal.jsonl", NOTE)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    os.close(full)
    with pytest.raises((JournalFailed, OSError)):
        journal.append(NOTE)


def test_a_journal_that_is_being_written_is_not_written_by_another(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    living = journal_of(path, NOTE)
    before = path.read_bytes()
    with pytest.raises(JournalFailed, match="is being written by another process"):
        Journal(path, SystemClock())
    assert path.read_bytes() == before
    living.append(NOTE)
    living.close()
    Journal(path, SystemClock()).close()
    assert len(list(read_journal(path))) == 2
