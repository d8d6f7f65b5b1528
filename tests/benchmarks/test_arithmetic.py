"""The benchmarks' arithmetic and table on given numbers; nothing is timed here."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.abort import undone_after
from benchmarks.measuring import NotMeasured, Scale, cost
from benchmarks.promql_measures import lateness
from benchmarks.rank_test import answers, independent, shift_for
from benchmarks.table import Row, as_json, markdown, missing, ratios, spread, text
from benchmarks.ten_probes import rounds
from benchmarks.watched import Look, summary
from chaosrunner.model.tolerance import Rule
from chaosrunner.model.words import Answer


def test_the_median_counts_and_the_rest_is_said() -> None:
    assert spread([0.3, 0.1, 0.2]).text("s") == "0.2 s (0.1-0.3)"
    assert spread([0.25]).text("ms", 1e3) == "250 ms"
    assert spread([0.5, 0.25]).text("x", digits=2) == "0.38x (0.25-0.5)"


def test_ratios_are_taken_pair_by_pair() -> None:
    found = ratios([1.0, 20.0, 3.0], [2.0, 10.0, 3.0])
    assert (found.median, found.least, found.most) == (1.0, 0.5, 2.0)
    with pytest.raises(ValueError):
        ratios([1.0], [1.0, 2.0])


def test_the_table_says_what_is_met_and_what_is_not() -> None:
    rows = [Row("a", "1", "2", "<= 2", True), Row("b|c", "3", "", "<= 2", False, "why"), missing("d", "no wrk", "<= 1")]
    shown = text(rows).splitlines()
    assert shown[2].split() == ["a", "1", "2", "<=", "2", "met"]
    assert shown[3].endswith("NOT MET")
    assert "not measured" in shown[4]
    assert not shown[4].endswith("met")
    assert shown[-2:] == ["b|c: why", "d: no wrk"]
    assert "| b\\|c | 3 |  | <= 2 | NOT MET |" in markdown(rows)
    assert json.loads(json.dumps(as_json(rows)))[2]["met"] is None


def test_a_page_keeps_everything_but_its_results() -> None:
    page = f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n"
    new = command.written(page, [Row("a", "1")], "here")
    assert new.startswith("before\n") and new.endswith("\nafter\n")
    assert "old" not in new and "| a | 1 |" in new and "here." in new
    assert command.written(new, [Row("a", "1")], "here") == new
    with pytest.raises(ValueError):
        command.written("no marks", [], "here")


def test_the_page_of_the_docs_has_its_place_for_results_and_names_every_benchmark() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert command.written(page, [], "here")
    assert [name for name in command.NAMES if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("name", command.NAMES)
def test_every_benchmark_says_what_it_measures(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert len(module.__doc__ or "") > 60
    assert callable(module.rows)


def test_what_cannot_be_measured_is_said_and_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    class Nothing:
        @staticmethod
        def rows(scale: Scale) -> list[Row]:
            raise NotMeasured("no wrk here")

    sys.modules["benchmarks.nothing"] = Nothing  # type: ignore[assignment]
    try:
        (row,) = command.measured(["nothing"], Scale())
    finally:
        del sys.modules["benchmarks.nothing"]
    assert (row.met, row.note) == (None, "no wrk here")


def test_an_abort_counts_from_the_reading_to_the_last_undo() -> None:
    journal = [
        {"type": "limit-reached", "t": 5.1, "readingEnded": 5.0},
        {"type": "fault-undone", "t": 5.2},
        {"type": "fault-undone", "t": 5.4},
    ]
    assert undone_after(journal) == pytest.approx(0.4)
    with pytest.raises(NotMeasured):
        undone_after(journal[1:])


def test_a_round_lasts_from_the_first_start_to_the_last_end() -> None:
    def reading(measure: str, began: float, ended: float) -> dict[str, object]:
        return {"type": "reading", "measure": measure, "began": began, "ended": ended}

    journal = [
        reading("a", 0.0, 0.2), reading("b", 0.01, 0.21), {"type": "noted"},
        reading("a", 1.0, 1.2), reading("b", 1.1, 1.4),
    ]  # fmt: skip
    assert rounds(journal) == pytest.approx([0.21, 0.4])


def test_a_turn_is_late_against_its_measures_own_schedule_and_a_missed_one_until_the_next() -> None:
    def begun(*times: float) -> list[dict[str, object]]:
        return [{"measure": "m", "began": at} for at in times]

    assert lateness(begun(0.25, 5.0, 10.5), 5.0) == pytest.approx([0.25, 0.0, 0.5])
    assert lateness(begun(0.0, 10.0), 5.0) == pytest.approx([0.0, 5.0, 0.0])


def test_a_shift_is_as_great_as_it_is_called() -> None:
    assert shift_for(0.5) == pytest.approx(0.0, abs=1e-9)
    assert shift_for(0.71) == pytest.approx(0.78, abs=0.01)


def test_the_rank_tests_figures_are_of_the_rule_that_files_have_by_default() -> None:
    rule = Rule.model_validate("like baseline")
    told = answers(independent, rule, 40, (30, 60), 0.97)
    assert told == {Answer.BROKEN: 40}
    assert answers(independent, rule, 40, (30, 60), 0.5)[Answer.HELD] >= 30


def test_a_watched_process_is_judged_by_its_middle() -> None:
    looks = [Look(float(second), cpu, 50.0 + second) for second, cpu in enumerate([0, 5, 6, 6.2, 6.4, 6.6, 9])]
    seen = summary(looks, after=2.0)
    assert seen.seconds == pytest.approx(3.0)
    assert seen.share == pytest.approx(0.2)
    assert seen.peak == 56.0
    assert seen.grown == pytest.approx(55.0 - 53.0)
    with pytest.raises(NotMeasured):
        summary(looks[:3], after=2.0)


def test_a_process_is_accounted_for_and_its_failure_told(tmp_path: Path) -> None:
    measured = cost([sys.executable, "-c", "print('done')"], tmp_path)
    assert (measured.code, measured.output) == (0, "done\n")
    assert measured.wall > 0 and measured.cpu > 0 and measured.peak > 1
    with pytest.raises(NotMeasured, match="exited 9: broken"):
        cost([sys.executable, "-c", "import sys; print('broken'); sys.exit(9)"], tmp_path)


def test_a_process_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(NotMeasured, match="exited -9"):
        cost([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, within=0.3)
