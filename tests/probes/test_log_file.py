"""The log-file probe: lines as they come, through rotation, truncation and floods."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoReading


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("ERROR of before\n")
    return path


def add(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
async def tail(probe):
    """Opens a probe on a file; closed in the end."""
    opened: list[Any] = []

    async def make(path: str = "app.log", matches: str = "ERROR", **params: Any) -> Any:
        reader = probe("log-file", path=path, matches=matches, **params)
        await reader.open()
        opened.append(reader)
        return reader

    yield make
    for reader in opened:
        await reader.close()


async def test_lines_that_match_and_came_since_the_last_reading_are_counted(log, tail):
    reader = await tail()
    assert await reader.read() == 0
    add(log, "ERROR 1\nall is well\nan ERROR 2\r\n")
    assert await reader.read() == 2
    assert await reader.read() == 0
    add(log, "ERROR 3\n")
    assert await reader.read() == 1


async def test_a_line_counts_once_it_has_its_end(log, tail):
    reader = await tail()
    add(log, "ERR")
    assert await reader.read() == 0
    add(log, "OR 1\nERROR 2")
    assert await reader.read() == 1
    add(log, "\n")
    assert await reader.read() == 1


async def test_a_line_that_was_being_written_when_it_began_is_seen_whole(log, tail):
    add(log, "ERR")
    reader = await tail()
    add(log, "OR\n")
    assert await reader.read() == 1


async def test_an_empty_expression_counts_all_lines_and_no_utf8_is_no_trouble(log, tail):
    reader = await tail(matches="")
    add(log, b"\xff\xfe\n\n\x00\n")
    assert await reader.read() == 3


async def test_a_renamed_file_is_read_to_its_end_before_the_new_one(log, tail):
    reader = await tail()
    add(log, "ERROR 1\n")
    log.rename(log.with_suffix(".1"))
    add(log.with_suffix(".1"), "ERROR 2\n")
    assert await reader.read() == 2
    assert await reader.read() == 0
    add(log, "ERROR 3\nERROR 4\n")
    assert await reader.read() == 2
    add(log.with_suffix(".1"), "ERROR of nobody\n")
    assert await reader.read() == 0


async def test_a_file_that_is_removed_and_made_anew_is_read_from_its_beginning(log, tail):
    reader = await tail()
    log.unlink()
    assert await reader.read() == 0
    log.write_text("ERROR 1\n")
    assert await reader.read() == 1


async def test_a_truncated_file_is_no_reading_once_and_then_read_from_its_beginning(log, tail):
    add(log, "x" * 100 + "\n")
    reader = await tail()
    add(log, "ERROR that is lost\n")
    log.write_text("ERROR 1\n")
    with pytest.raises(NoReading, match=r"became shorter \(117 to 8 bytes\): lines since the last reading may be lost"):
        await reader.read()
    assert await reader.read() == 1
    add(log, "ERROR 2\n")
    assert await reader.read() == 1


async def test_a_flood_is_no_reading_and_is_read_on_from_its_end(log, tail):
    reader = await tail(limit="1kB")
    add(log, "ERROR 1\n" * 200 + "ERR")
    with pytest.raises(NoReading, match="grew by 1603 bytes, more than 1kB"):
        await reader.read()
    add(log, "OR 2\n")
    assert await reader.read() == 1


async def test_of_a_line_without_end_only_its_beginning_is_kept(log, tail):
    reader = await tail()
    add(log, "ERROR" + "x" * 1_000_000)
    assert await reader.read() == 0
    add(log, "x" * 1_000_000 + "\n" + "x" * 70_000 + "ERROR\n")
    assert await reader.read() == 1


async def test_a_flood_of_one_line_is_not_taken_for_a_line(log, tail):
    reader = await tail(limit="100kB")
    add(log, "x" * 200_000)
    with pytest.raises(NoReading, match="grew by 200000 bytes"):
        await reader.read()
    add(log, "ERROR\nERROR\n")
    assert await reader.read() == 1


async def test_a_file_that_is_not_there_is_no_reading_and_one_that_appears_is_read_from_its_beginning(tail, tmp_path):
    reader = await tail("later.log")
    with pytest.raises(NoReading, match=r"later\.log: No such file or directory"):
        await reader.read()
    (tmp_path / "later.log").write_text("ERROR 1\n")
    assert await reader.read() == 1


async def test_what_is_no_regular_file_is_no_reading_and_never_waited_for(tail, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("pipe", "."):
        with pytest.raises(NoReading, match="expected a regular file"):
            await (await tail(path)).read()


async def test_a_reading_that_comes_late_would_tell_of_another_time_and_is_none(log, probe, context):
    class Late:
        """A clock that jumps."""

        at = 0.0

        def monotonic(self) -> float:
            return self.at

    import dataclasses

    late = Late()
    reader = probe(
        "log-file", within=dataclasses.replace(context, clock=late), path="app.log", matches="ERROR", every="10s"
    )
    await reader.open()
    add(log, "ERROR 1\n")
    late.at = 14.0
    assert await reader.read() == 1
    add(log, "ERROR 2\n")
    late.at = 34.0
    with pytest.raises(NoReading, match=r"the last reading was 20\.0 s ago, so lines of before 10s would be counted"):
        await reader.read()
    late.at = 44.0
    assert await reader.read() == 0
    await reader.close()


def test_its_lag_is_the_measures_every():
    plugin = catalog.find("probes", "log-file")
    assert plugin.lag(plugin.Params.model_validate({"path": "a", "matches": "b", "every": "30s"})) == 30


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"matches": "("}, "expected a regular expression"),
        ({"path": ""}, "at least 1 character"),
        ({"every": "0s"}, "greater"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "log-file").Params.model_validate({"path": "a", "matches": "b", **params})
