"""Evidence of a run: for each gap, of its faults' time; it changes no verdict, and all that is shown is made of the
journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.concluding import _look_around
from chaosrunner.app.desk import Desk
from chaosrunner.app.lookout import Lookout, look_around
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoReading
from chaosrunner.http import Http
from chaosrunner.model import journal as j
from chaosrunner.model.evidence import Clues
from chaosrunner.model.material import Happening, Material, Sampled, Stream, Window
from chaosrunner.model.near_miss import Occurrence
from chaosrunner.ports import Parameters, Source
from chaosrunner.register import open_register
from chaosrunner.reports.html import html_report
from chaosrunner.reports.summary import summary
from chaosrunner.stages.detect import detect
from chaosrunner.stages.findings import Findings
from chaosrunner.stages.judge import judge
from chaosrunner.stages.register import register
from chaosrunner.stages.remediation_text import item_of
from chaosrunner.stages.report import review, written
from chaosrunner.store.journal import read_journal, write_line
from tests.judging.journals import IN_FORCE, Story, measure, plan

ZERO = 1_000_000.0
"""The wall time of the story's t 0."""


class Told(Source[Parameters]):
    """Brings what it is given; takes note of when it is told to."""

    kind = "told"

    def __init__(self, gather: Callable[[Window], Any]) -> None:
        self.made = gather
        self.noted: list[float] = []
        self.windows: list[Window] = []

    def note(self, at: float) -> None:
        self.noted.append(at)

    async def gather(self, window: Window) -> Material:
        self.windows.append(window)
        found = self.made(window)
        return await found if asyncio.iscoroutine(found) else found  # type: ignore[no-any-return]


def slow(t: float) -> float:
    return 0.9 if 12 < t < 40 else 0.1


def queue(t: float) -> float:
    return 40.0 if 11 < t < 40 else 2.0


def story() -> Story:
    """A hypothesis that breaks, and a measure that is only observed and moves, too."""
    measures = measure(), measure("queue", tolerance=None, unit=None)
    return Story(plan(*measures), scripts={"slo/p99": slow, "slo/queue": queue})


@pytest.fixture
async def desk(tmp_path: Path) -> Any:
    async with Http(SystemClock(), folder=tmp_path) as http:
        yield Desk(tmp_path / "state", SystemClock(), http, lambda words: None)


def put(folder: Path, entries: Sequence[j.Entry]) -> Path:
    path = folder / "state" / "runs" / "20261122-105103-4f2a9c" / "journal.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(write_line(entry) for entry in entries))
    return path


async def looked(desk: Desk, tmp_path: Path, *sources: Source[Any], told: Story | None = None) -> tuple[Path, Clues]:
    entries = (told or story()).entries()
    journal = put(tmp_path, entries)
    verdict = judge(entries)
    there = Lookout(entries[0].event.plan, desk, None)  # type: ignore[union-attr]
    there.sources = list(sources)
    found = await look_around(verdict, detect(verdict, story().plan), journal, desk, there)
    return journal, next(iter(found.values()))


async def test_the_runs_own_measures_that_moved_are_evidence_and_those_that_failed_are_not(
    desk: Desk, tmp_path: Path
) -> None:
    journal, clues = await looked(desk, tmp_path)
    assert [(clue.source, clue.subject, clue.before, clue.during) for clue in clues.found] == [
        ("the run", "slo/queue", 2.0, 40.0)
    ]
    assert "metrics, logs and events: the environment names no `evidence` sources" in clues.unknown
    event = list(read_journal(journal))[-1].event
    assert isinstance(event, j.EvidenceGathered)
    assert Clues.model_validate(event.clues) == clues


async def test_sources_are_asked_for_the_time_from_the_ledgers_entry_to_the_undo(desk: Desk, tmp_path: Path) -> None:
    source = Told(lambda window: Material("told"))
    await looked(desk, tmp_path, source)
    (window,) = source.windows
    assert ZERO + 9.9 <= window.began < ZERO + IN_FORCE
    assert window.ended == pytest.approx(ZERO + 40.2, abs=0.3)
    assert window.usual_from == pytest.approx(window.began - 600)
    assert window.baseline == pytest.approx(ZERO, abs=0.5)


async def test_evidence_changes_no_verdict_and_no_length_of_the_run(desk: Desk, tmp_path: Path) -> None:
    journal, _ = await looked(desk, tmp_path)
    before, after = judge(story().entries()), judge(read_journal(journal))
    assert after == before
    assert review(journal).account.seconds == pytest.approx(60.1, abs=0.2)


async def test_a_source_that_fails_hangs_or_has_a_defect_is_said_and_the_others_count(
    desk: Desk, tmp_path: Path
) -> None:
    def refuses(window: Window) -> Material:
        raise NoReading("Prometheus answers 503")

    def broken(window: Window) -> Material:
        raise ZeroDivisionError("by zero")

    async def hangs(window: Window) -> Material:
        await asyncio.Event().wait()
        raise AssertionError

    def works(window: Window) -> Material:
        return Material("told", happenings=[Happening(window.began + 1, "pod/a", "pod/a: OOMKilled")])

    told = story()
    spec = told.plan.environment.spec
    quick = spec.model_copy(update={"evidence": spec.evidence.model_copy(update={"within": 0.05})})
    environment = told.plan.environment.model_copy(update={"spec": quick})
    told = Story(told.plan.model_copy(update={"environment": environment}), scripts=told.scripts)
    _, clues = await looked(desk, tmp_path, Told(refuses), Told(broken), Told(hangs), Told(works), told=told)
    assert clues.unknown[:3] == (
        "told: Prometheus answers 503",
        "told: a defect of this source: ZeroDivisionError: by zero",
        "told: it did not answer within 0.05 s",
    )
    assert "pod/a: OOMKilled" in clues.found[0].says


async def test_what_cannot_be_made_sense_of_is_told_and_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    entries = story().entries()
    verdict, journal = judge(entries), put(tmp_path, entries)
    there = Lookout(story().plan, desk, None)
    there.sources = [Told(lambda window: Material("told", [Sampled("m", "", [("now", "much")])]))]  # type: ignore[list-item]
    told: list[str] = []
    heard = Desk(desk.state, desk.clock, desk.http, told.append)
    assert await _look_around(verdict, detect(verdict, story().plan), journal, heard, there) == {}
    assert told and told[0].startswith("what else changed cannot be told: TypeError: ")


async def test_it_is_looked_for_once(desk: Desk, tmp_path: Path) -> None:
    journal, clues = await looked(desk, tmp_path)
    verdict = judge(read_journal(journal))
    again = await look_around(verdict, detect(verdict, story().plan), journal, desk, None, dead=True)
    assert list(again.values()) == [clues]
    assert sum(isinstance(entry.event, j.EvidenceGathered) for entry in read_journal(journal)) == 1


async def test_another_run_at_the_same_time_is_evidence_and_one_before_tells_nothing_of_what_is_usual(
    desk: Desk, tmp_path: Path
) -> None:
    import os
    import time

    for name, ended in (("19700112-134620-aaaaaa", 30.0), ("19700112-134300-bbbbbb", -100.0)):
        path = tmp_path / "state" / "runs" / name / "journal.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(write_line(story().entries()[0]))
        os.utime(path, (time.time(), ZERO + ended))
    source = Told(lambda window: Material("told"))
    _, clues = await looked(desk, tmp_path, source)
    runs = [clue for clue in clues.found if clue.what == "run"]
    assert [clue.subject for clue in runs] == ["19700112-134620-aaaaaa"]
    assert "of checkout-when-payments-is-slow, was under way" in runs[0].says
    assert (ZERO - 220.0, ZERO - 100.0) in source.windows[0].busy


async def test_alerts_that_began_to_fire_are_evidence(desk: Desk, tmp_path: Path) -> None:
    told = story()
    told.add(
        20.0,
        j.AlertSeen(
            source="prometheus", alert="Slow", labels={"severity": "page"}, state="firing", after=19.0, ended=20.0
        ),
    )
    told.add(1.0, j.AlertSeen(source="prometheus", alert="Old", state="firing", ended=1.0))
    _, clues = await looked(desk, tmp_path, told=told)
    assert [clue.says.partition(",")[0] for clue in clues.found if clue.what == "event"] == [
        "the alert Slow (severity=page) began to fire"
    ]


async def test_sources_take_note_where_phases_begin_and_end(desk: Desk) -> None:
    entries = story().entries()
    source = Told(lambda window: Material("told"))
    there = Lookout(story().plan, desk, None)
    there.sources = [source]
    for entry in entries:
        there.observe(entry)
    phases = [entry.at for entry in entries if isinstance(entry.event, j.PhaseBegan | j.PhaseEnded)]
    assert source.noted == phases and len(phases) >= 5


async def test_a_source_that_cannot_be_made_is_said(desk: Desk, tmp_path: Path) -> None:
    told = story()
    environment = told.plan.environment.as_json()
    environment["spec"]["evidence"] = {"sources": [{"log-files": {}}]}  # type: ignore[index,call-overload]
    whole = told.plan.model_copy(update={"environment": type(told.plan.environment).model_validate(environment)})
    there = Lookout(whole, desk, None)
    assert there.sources == []
    assert there.blind[0].startswith("log-files: ")


# ------------------------------------------------------------------------------------------------------ what is shown


def lines(window: Window) -> Material:
    said = [(window.began + index, f"ERROR <b>no</b> answer, password=hunter2 {index}") for index in range(20)]
    points = [(window.began - 300 + 5 * index, 40.0 if index > 60 else 2.0) for index in range(66)]
    series = Sampled("waiting", '{job="a"}', points)
    return Material("told", [series], [Stream("checkout", said, window.usual_from)], looked="20 lines")


async def test_all_reports_show_it_from_the_journal_alone(desk: Desk, tmp_path: Path) -> None:
    journal, _ = await looked(desk, tmp_path, Told(lines))
    seen = review(journal)
    page = html_report(seen.account, seen.verdict, seen.found)
    assert "What else changed while the fault was in force" in page
    assert "checkout: new: “ERROR &lt;b&gt;no&lt;/b&gt; answer, password=(secret)" in page
    text = " ".join(summary(seen.verdict, seen.found).split())
    assert "what else changed meanwhile (hints, not causes): · " in text
    assert "slo/queue rose from 2 to 40" in text
    report = json.loads(written(seen, "json"))
    assert report["gaps"][0]["clues"]["found"][0]["what"] in ("metric", "log")
    assert "hunter2" not in page + text + journal.read_text() + json.dumps(report)


async def test_the_register_and_the_item_have_it(desk: Desk, tmp_path: Path) -> None:
    journal, clues = await looked(desk, tmp_path, Told(lines))
    verdict = judge(read_journal(journal))
    gaps = detect(verdict, story().plan)
    with open_register(tmp_path / "state", SystemClock()) as book:
        done = register(Findings(story().plan, verdict, gaps, SystemClock().now(), {gaps[0].fingerprint: clues}), book)
        record = book.show(done.recorded[0].near_miss.id)
    (occurrence,) = record.occurrences
    assert isinstance(occurrence, Occurrence)
    assert occurrence.clues == clues
    body = item_of(record).body
    assert "## What else changed meanwhile" in body
    assert "Hints: they go together with the fault in time, and nothing here says why." in body
    assert "- slo/queue rose from 2 to 40" in body
    assert "<b>" not in body
