"""`report`, `judge` and `runs`, called as a user calls them, on a state folder with runs in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaosrunner.cli import chaosrunner
from chaosrunner.clock import SystemClock
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model import journal as j
from chaosrunner.register import open_register
from chaosrunner.stages.findings import Findings
from chaosrunner.stages.register import register
from chaosrunner.stages.report import review
from chaosrunner.store.journal import write_line
from chaosrunner.store.machine import ActiveRun, Machine
from tests.reports import journals
from tests.reports.pages import Page

BROKEN, HELD, CUT = "20261122-105103-aaaaaa", "20261122-115103-bbbbbb", "20261122-125103-cccccc"


def put(state: Path, run: str, entries: Sequence[j.Entry]) -> None:
    folder = state / "runs" / run
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(b"".join(write_line(entry) for entry in entries))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "machine"))
    folder = tmp_path / "state"
    put(folder, BROKEN, journals.payments_are_slow(run=BROKEN))
    put(folder, HELD, journals.payments_are_slow(broken=False, run=HELD))
    return folder


def call(state: Path, *words: str) -> Result:
    return CliRunner().invoke(chaosrunner, ["--state", str(state), *words])


def test_judge_prints_the_answer_and_exits_with_its_code(state: Path) -> None:
    broken = call(state, "judge", BROKEN[:11])
    assert broken.exit_code == 1
    assert " BROKEN " in broken.output
    assert "1 gap found" in broken.output
    held = call(state, "judge", "last")
    assert held.exit_code == 0
    assert " HELD " in held.output


def test_judge_as_json_has_verdict_and_gaps(state: Path) -> None:
    answer = call(state, "judge", BROKEN, "--json")
    found = json.loads(answer.stdout)
    assert answer.exit_code == 1
    assert list(found) == ["run", "word", "exitCode", "verdict", "gaps"]
    assert (found["run"], found["word"], found["exitCode"]) == (BROKEN, "BROKEN", 1)
    assert found["gaps"][0]["fingerprint"].startswith("sha256:")


def test_report_writes_the_page_beside_the_journal_and_says_where(state: Path) -> None:
    answer = call(state, "report", BROKEN, "--format", "html")
    path = Path(answer.stdout.strip())
    assert path == state / "runs" / BROKEN / "report.html"
    assert "BROKEN" in Page(path.read_text()).all("title")[0].text
    assert f"report   {path}" in call(state, "report", BROKEN).stdout


@pytest.mark.parametrize(("name", "begin"), [("a.html", "<!doctype html>"), ("a.json", "{"), ("a.txt", " BROKEN ")])
def test_the_name_of_the_file_says_the_format(state: Path, tmp_path: Path, name: str, begin: str) -> None:
    answer = call(state, "report", BROKEN, "-o", str(tmp_path / name))
    assert answer.exit_code == 0
    assert (tmp_path / name).read_text().startswith(begin)


def test_an_ending_that_names_no_format_is_refused_before_anything_is_written(state: Path, tmp_path: Path) -> None:
    answer = call(state, "report", BROKEN, "-o", str(tmp_path / "a.pdf"))
    assert "a.pdf: no format goes by that ending, expected .html, .json, .txt, .xml or .md" in str(answer.exception)
    assert not (tmp_path / "a.pdf").exists()
    assert call(state, "report", BROKEN, "-f", "text", "-o", str(tmp_path / "a.pdf")).exit_code == 0


def test_report_as_json_on_standard_output(state: Path) -> None:
    for options in (("--json",), ("--format", "json"), ("--format", "json", "-o", "-")):
        assert json.loads(call(state, "report", HELD, *options).stdout)["run"]["id"] == HELD


def test_a_file_that_cannot_be_written_is_said_in_words(state: Path) -> None:
    answer = call(state, "report", BROKEN, "-o", "/proc/nowhere/x.html")
    assert isinstance(answer.exception, ChaosrunnerError)
    assert "cannot write /proc/nowhere/x.html" in str(answer.exception)


def test_the_list_has_every_run_newest_first(state: Path) -> None:
    lines = call(state, "runs", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", HELD, BROKEN]
    assert lines[1].split()[-4:] == ["HELD", "0", "40", "s"]
    assert lines[2].split()[-5:] == ["BROKEN", "1", "40", "s", "1"]


def test_the_list_as_json_has_a_stable_shape(state: Path) -> None:
    first, second = json.loads(call(state, "runs", "list", "--json").stdout)
    assert list(first) == [
        "run",
        "startedAt",
        "experiment",
        "environment",
        "word",
        "answer",
        "exitCode",
        "seconds",
        "gaps",
        "faultsInForce",
        "note",
    ]
    assert (second["run"], second["answer"], second["exitCode"], second["gaps"]) == (BROKEN, "broken", 1, 1)


def test_the_list_is_made_again_when_a_journal_grows(state: Path) -> None:
    put(state, CUT, [entry for entry in journals.payments_are_slow(run=CUT) if entry.t < 20])
    before = json.loads(call(state, "runs", "list", "--json").stdout)[0]
    assert (before["faultsInForce"], before["seconds"]) == (1, pytest.approx(19.1, abs=0.5))
    whole = b"".join(write_line(entry) for entry in journals.payments_are_slow(run=CUT))
    (state / "runs" / CUT / "journal.jsonl").write_bytes(whole)
    after = json.loads(call(state, "runs", "list", "--json").stdout)[0]
    assert (after["faultsInForce"], after["seconds"], after["word"]) == (0, 40.0, "BROKEN")


def test_damaged_and_running_runs_are_listed_as_such(state: Path) -> None:
    put(state, CUT, [])
    damaged = call(state, "runs", "list").stdout
    assert "DAMAGED" in damaged
    assert "is empty: the run never began" in damaged
    with_lock = Machine(state.parent / "machine").enter(ActiveRun(HELD, "laptop", "x"))
    assert json.loads(call(state, "runs", "list", "--json").stdout)[1]["word"] == "RUNNING"
    with_lock.drop()


def test_an_empty_folder_has_no_runs_and_says_so(tmp_path: Path) -> None:
    assert "there are no runs" in call(tmp_path, "runs", "list").stdout
    assert json.loads(call(tmp_path, "runs", "list", "--json").stdout) == []
    answer = call(tmp_path, "judge", "last")
    assert isinstance(answer.exception, ChaosrunnerError)
    assert answer.exception.exit_code == 2


def test_diff_says_what_got_better_and_which_gap_is_gone(state: Path) -> None:
    text = call(state, "runs", "diff", BROKEN, HELD).stdout
    assert "same plan" in text
    row = next(line for line in text.splitlines() if line.startswith("checkout-slo/p99 fault median"))
    assert "713 ms" in row
    assert "107 ms" in row
    assert row.endswith("-85 %")
    assert any(line.split() == ["checkout-slo", "broken", "held", "+", "better"] for line in text.splitlines())
    assert "gone: checkout: checkout-slo breaks" in text


def test_diff_the_other_way_round_is_worse(state: Path) -> None:
    found = json.loads(call(state, "runs", "diff", HELD, BROKEN, "--json").stdout)
    assert found["worse"] == ["checkout-slo"]
    assert found["better"] == []
    assert found["samePlan"] is True
    assert len(found["gapsNew"]) == 1


def test_diff_names_what_differs_in_the_plans(state: Path) -> None:
    other = journals.payments_are_slow(run=CUT)
    changed = journals.started(journals.plan(recovery={"within": "99s"}, seed=8), CUT)
    put(state, CUT, [j.Entry(1, 0.0, other[0].at, changed), *other[1:]])
    found = json.loads(call(state, "runs", "diff", BROKEN, CUT, "--json").stdout)
    assert (found["samePlan"], found["planDiffers"]) == (False, ["recovery"])


def test_prune_only_says_what_it_would_do_in_a_dry_run(state: Path) -> None:
    answer = call(state, "runs", "prune", "--keep", "1", "--dry-run")
    assert answer.stdout.splitlines() == [f"would remove {BROKEN}"]
    assert (state / "runs" / BROKEN / "journal.jsonl").exists()


def test_prune_removes_the_oldest_and_all_that_belongs_to_them(state: Path) -> None:
    call(state, "report", BROKEN, "--format", "html")
    found = json.loads(call(state, "runs", "prune", "--keep", "1", "--json").stdout)
    assert found == {"dryRun": False, "removed": [BROKEN], "kept": []}
    assert sorted(path.name for path in (state / "runs").iterdir()) == [HELD]


def test_prune_never_removes_a_run_whose_fault_may_be_in_force(state: Path) -> None:
    put(state, CUT, [entry for entry in journals.payments_are_slow(run=CUT) if entry.t < 20])
    found = json.loads(call(state, "runs", "prune", "--keep", "0", "--json").stdout)
    assert found["removed"] == [HELD, BROKEN]
    assert found["kept"][0]["run"] == CUT
    assert "slow/1 may still be in force" in found["kept"][0]["why"]
    assert (state / "runs" / CUT / "journal.jsonl").exists()


def test_prune_never_removes_a_running_run_or_one_that_cannot_be_read(state: Path) -> None:
    lock = Machine(state.parent / "machine").enter(ActiveRun(HELD, "laptop", "x"))
    (state / "runs" / BROKEN / "journal.jsonl").write_text("not a journal\n")
    found = json.loads(call(state, "runs", "prune", "--keep", "0", "--json").stdout)
    lock.drop()
    assert found["removed"] == []
    why = {kept["run"]: kept["why"] for kept in found["kept"]}
    assert why[HELD] == "it is running"
    assert "cannot be read" in why[BROKEN]


def test_prune_by_age_counts_from_the_start_of_the_run(state: Path) -> None:
    at = SystemClock().now() - 3600
    recent = [j.Entry(e.n, e.t, at + e.t, e.event) for e in journals.payments_are_slow(run=CUT)]
    put(state, CUT, recent)
    old = SystemClock().now() - 40 * 86400
    for run in (BROKEN, HELD):
        entries = [j.Entry(e.n, e.t, old + e.t, e.event) for e in journals.payments_are_slow(run=run)]
        (state / "runs" / run / "journal.jsonl").write_bytes(b"".join(write_line(entry) for entry in entries))
    assert json.loads(call(state, "runs", "prune", "--older-than", "30d", "--json").stdout)["removed"] == [HELD, BROKEN]


def test_prune_wants_to_be_told_which_runs_may_go(state: Path) -> None:
    for options in ((), ("--older-than", "soon")):
        answer = call(state, "runs", "prune", *options)
        assert isinstance(answer.exception, ChaosrunnerError)
        assert answer.exception.exit_code == 2


def test_what_the_register_knows_is_shown_and_keeps_a_run(state: Path) -> None:
    seen = review(state / "runs" / BROKEN / "journal.jsonl")
    with open_register(state, SystemClock()) as book:
        register(Findings(seen.account.plan, seen.verdict, [one.gap for one in seen.found], SystemClock().now()), book)
    gap = json.loads(call(state, "judge", BROKEN, "--json").stdout)["gaps"][0]
    assert gap["nearMiss"]["id"].startswith("NM-")
    assert gap["nearMiss"]["occurrences"] == 1
    assert gap["nearMiss"]["remediation"] == ""
    assert f"next     chaosrunner near-miss show {gap['nearMiss']['id']}" in call(state, "report", BROKEN).stdout
    found = json.loads(call(state, "runs", "prune", "--keep", "0", "--json").stdout)
    assert found["removed"] == [HELD]
    assert found["kept"] == [{"run": BROKEN, "why": "a near miss that is not closed refers to it"}]


def test_starting_these_commands_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    heavy = ("pydantic", "rich", "sqlalchemy", "chaosrunner.model", "chaosrunner.reports")
    code = (
        "import sys, chaosrunner.cli.report, chaosrunner.cli.runs, chaosrunner.cli.judge;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
