"""Reports, links, splits, figures and exports, as people type them."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.register import open_register
from tests.near_misses.test_commands import Run, called, refused, run, state
from tests.near_misses.world import START, facts, finding, gap

__all__ = ["run", "state"]


def test_a_report_is_a_draft_until_somebody_takes_it_on(run: Run, state: Path) -> None:
    said = run("near-miss", "report", "--title", "The queue was almost lost", "--service", "checkout", "--tier", "1")
    assert said.splitlines()[0].startswith("NM-2026-0003 is a draft, P1, due ")
    assert "chaosrunner near-miss link NM-2026-0003 EXPERIMENT" in said
    assert "open, draft" in run("near-miss", "list")
    assert "NM-2026-0003" in run("near-miss", "uncovered")
    linked = called(state, "near-miss", "link", "3", "disk-full")
    assert linked.stdout == "NM-2026-0003 is linked to disk-full\n"
    assert "there is no experiment 'disk-full' here" in linked.stderr
    assert "shows, or would show, each near miss" in run("near-miss", "uncovered")
    assert "reported by  ana" in run("near-miss", "show", "3")
    assert "NM-2026-0003 is triaged" in run("near-miss", "set", "3", "triaged", "--owner", "team-checkout")


def test_a_report_without_a_name_and_one_with_somebody_elses(run: Run, state: Path) -> None:
    said = called(state, "near-miss", "report", "--title", "x", "--service", "y", "--story", "ask @bob", "--anonymous")
    assert "@bob looks like a person" in said.stderr
    assert "somebody, without a name" in run("near-miss", "show", "3")
    assert "anonymous  found" in run("near-miss", "history", "3") and "ana" not in run("near-miss", "history", "3")


def test_reports_from_a_file_or_a_pipe_count_once(run: Run, tmp_path: Path) -> None:
    text = "- {title: a, service: b}\n- {title: c, service: d}\n"
    (tmp_path / "reports.yaml").write_text(text)
    first = json.loads(run("near-miss", "report", str(tmp_path / "reports.yaml"), "--json"))
    assert [(each["id"], each["sighting"], each["draft"]) for each in first] == [
        ("NM-2026-0003", "new", True),
        ("NM-2026-0004", "new", True),
    ]
    assert "was reported before" in run("near-miss", "report", str(tmp_path / "reports.yaml"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("report", "--title", "x"), "a report needs --service, or a FILE that says it"),
        (("report", "--title", "x", "--service", "y", "--failure-mode", "bad"), "--failure-mode 'bad'"),
        (("report", "no-such.yaml"), "cannot read no-such.yaml"),
        (("report", "no-such.yaml", "--title", "x"), "--title does not go with a file"),
        (("split", "1"), "either --experiment NAME or --environment NAME"),
        (("describe", "1"), "nothing to say"),
        (("describe", "1", "--defence", "retry"), "expected NAME=STATE with one of held"),
        (("describe", "1", "--failure-mode", "x"), "expected one of unavailable"),
        (("list", "--kind", "x"), "expected one of impact"),
        (("list", "--page", "2"), "--page needs --limit"),
        (("fmea", "--format", "xlsx"), "a workbook needs a file"),
        (("digest", "--since", "soon"), "expected a date such as 2026-11-01, or 36h, 7d, 2w"),
    ],
)
def test_what_is_missing_or_wrong_is_said(state: Path, words: tuple[str, ...], message: str) -> None:
    assert message in str(refused(state, "near-miss", *words))


def test_merged_split_and_described_by_hand(run: Run, state: Path) -> None:
    with open_register(state, SystemClock()) as register:
        register.record(facts("run-9", at=START + 60, experiment="at-night"), [finding()])
    said = run("near-miss", "split", "1", "--experiment", "at-night", "--reason", "another cause")
    assert said.startswith("NM-2026-0003 has 1 occurrence: ") and said.endswith("(experiment at-night)\n")
    assert "duplicate of NM-2026-0001" in run("near-miss", "set", "3", "duplicate", "--of", "1", "--reason", "no")
    assert run("near-miss", "describe", "1", "--defence", "retry=held").startswith("NM-2026-0001 is P3")
    page = run("near-miss", "show", "1")
    assert "retry: held" in page and "seen         2×" in page


def test_pages_and_filters_of_a_list(run: Run, state: Path) -> None:
    said = run("near-miss", "list", "--limit", "1")
    assert "NM-2026-0001" in said and "1 of 2 are shown (--page 2 for more)" in said
    (second,) = json.loads(run("near-miss", "list", "--limit", "1", "--page", "2", "--json"))
    assert second["id"] == "NM-2026-0002"
    assert json.loads(run("near-miss", "list", "--owner", "nobody", "--json")) == []
    assert len(json.loads(run("near-miss", "list", "--fault", "dependency-slow", "--kind", "impact", "--json"))) == 2


def test_figures_sheets_reviews_and_digests(run: Run, tmp_path: Path) -> None:
    stats = json.loads(run("near-miss", "stats", "--json"))
    assert (stats["total"]["found"], stats["nearMisses"], stats["perOutage"]) == (2, 2, None)
    assert "BY SERVICE" in run("near-miss", "stats")
    run("near-miss", "fmea", "-o", str(tmp_path / "sheet.xlsx"))
    assert (tmp_path / "sheet.xlsx").read_bytes().startswith(b"PK")
    run("near-miss", "fmea", "-o", str(tmp_path / "sheet.csv"))
    assert (tmp_path / "sheet.csv").read_text().startswith("service,mode,result")
    (row, *_) = json.loads(run("near-miss", "fmea", "--json"))
    assert (row["service"], row["nearMiss"]) == ("checkout", "NM-2026-0001")
    run("near-miss", "review", "1", "-o", str(tmp_path / "review.md"))
    assert "## Where we were lucky" in (tmp_path / "review.md").read_text()
    assert "# Near misses from 2026-09-01 to" in run("near-miss", "digest", "--since", "2026-09-01")
    assert json.loads(run("near-miss", "digest", "--since", "2w", "--json"))["overdue"]


def test_exports_for_other_tools(run: Run) -> None:
    report = json.loads(run("near-miss", "export", "--format", "sarif", "--at", "a.yaml"))
    assert [each["level"] for each in report["runs"][0]["results"]] == ["error", "warning"]
    assert run("near-miss", "export", "--format", "openmetrics").endswith("# EOF\n")


def test_a_shared_register_is_used_by_url(run: Run, tmp_path: Path, state: Path) -> None:
    run("near-miss", "export", str(tmp_path / "all.jsonl"))
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    nobody = tmp_path / "nobody"
    assert called(nobody, "--register", shared, "near-miss", "import", str(tmp_path / "all.jsonl")).exit_code == 0
    assert "NM-2026-0001" in called(nobody, "--register", shared, "near-miss", "list").output
    assert not nobody.exists() and "no near misses yet" in called(nobody, "near-miss", "list").output
    assert gap().title in run("near-miss", "list")


ANSWERS = (
    ("In one line", "The queue was lost"),
    ("Which service", "checkout"),
    ("The story", "The disk was full."),
    ("When (", ""),
    ("In production", "loss"),
    ("What kept it", "human"),
    ("Who noticed", "user"),
    ("Which team", ""),
    ("Experiments", "disk-full"),
)


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    """Each answer is given when its question stands there."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "chaosrunner", "--state", str(tmp_path / "state"), "near-miss", "report"]
    environ = os.environ | {"CHAOSRUNNER_WHO": "ana", "TERM": "dumb"}
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        said, met = "", 0
        for question, answer in ANSWERS:
            while (found := said.find(question, met)) < 0 or ":" not in said[found:]:
                part = _read(ours)
                assert part, said
                said += part
            met = found + len(question)
            os.write(ours, f"{answer}\n".encode())
        while part := _read(ours):
            said += part
        assert process.wait(30) == 0, said
    os.close(ours)
    with open_register(tmp_path / "state", SystemClock()) as register:
        draft = register.get("1")
    assert (draft.service, draft.links, draft.priority.value) == ("checkout", ("disk-full",), "P1")


def _read(terminal: int) -> str:
    ready, _, _ = select.select([terminal], [], [], 60)
    assert ready, "it says nothing"
    try:
        return os.read(terminal, 4096).decode()
    except OSError:
        return ""
