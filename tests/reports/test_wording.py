"""The same thing is said once, and in words: no names that only the code knows."""

from __future__ import annotations

import pytest

from chaosrunner.model import journal as j
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import Ending
from chaosrunner.reports.brief import RunBrief
from chaosrunner.reports.narrator import Narrator
from chaosrunner.reports.plan import plan_text
from chaosrunner.reports.sections import top
from chaosrunner.reports.summary import summary
from chaosrunner.reports.tables import runs_table
from chaosrunner.stages.judge import judge
from tests.judging.journals import Story, plan, started
from tests.reports import journals
from tests.reports.journals import payments_are_slow


def not_steady() -> Verdict:
    reason = "baseline: slo/p99 was 10 ms, should be at most 1 ms"
    end = j.RunEnded(ending=Ending.NOT_STEADY, reason=reason)
    return judge(Story(events=[(0.0, started(plan())), (9.0, end)], read_until=0).entries())


def test_the_terminal_says_the_cause_of_an_early_end_once() -> None:
    text = " ".join(summary(not_steady()).split())
    assert text.count("slo/p99 was 10 ms") == 1
    assert "The baseline was not steady: slo/p99 was 10 ms, should be at most 1 ms." in text


def test_the_page_says_the_cause_of_an_early_end_once() -> None:
    from chaosrunner.reports.account import gather

    page = top(gather(payments_are_slow()), not_steady())
    assert page.count("slo/p99 was 10 ms") == 1


def test_what_the_three_statements_say_is_no_reason_once_more() -> None:
    dead = judge(Story().cut(15).entries())
    text = summary(dead)
    hypothesis = dead.hypotheses[0]
    assert f"inconclusive: {hypothesis.name}: {hypothesis.reason}" not in text
    assert hypothesis.reason.split()[0] in text


def test_a_dead_run_that_was_healed_is_not_said_to_have_something_left() -> None:
    healed = judge(Story().cut(30).add(5000, j.FaultUndone(fault="slow/1", because="heal", seen_gone=True)).entries())
    assert healed.recovery is not None
    assert healed.recovery.reason == "nobody watched the system come back"
    left = judge(Story().cut(30).entries())
    assert left.recovery is not None
    assert left.recovery.reason == "not everything was seen undone"


@pytest.mark.parametrize("ending", list(Ending))
def test_an_ending_is_told_in_words(ending: Ending) -> None:
    told = Narrator().ended(j.RunEnded(ending=ending, reason="baseline: why"))
    assert "-" not in told.text and told.text.endswith(", why")
    assert told.text != "ended: defect, why"


def test_a_fault_named_like_its_kind_is_named_once_in_the_plan() -> None:
    entry = payments_are_slow()[0].event
    assert isinstance(entry, j.RunStarted)
    (item, *_) = entry.plan.method
    fault = item.faults[0].model_copy(update={"id": "network-latency", "fault": "network-latency"})
    text = "\n".join(
        plan_text(entry.plan.model_copy(update={"method": (item.model_copy(update={"faults": (fault,)}),)}), {})
    )
    assert "network-latency, in force for" in text
    assert "network-latency: network-latency" not in text


def test_the_plan_says_in_which_phase_the_readings_are() -> None:
    entry = payments_are_slow()[0].event
    assert isinstance(entry, j.RunStarted)
    text = "\n".join(plan_text(entry.plan, {}))
    assert " in the baseline, " in text and " in the fault, " in text and " in the recovery" in text


@pytest.mark.parametrize(("number", "words"), [(1, "1 fault may be in force"), (2, "2 faults may be in force")])
def test_faults_that_may_be_in_force_are_counted(number: int, words: str) -> None:
    line = RunBrief(
        run=journals.RUN,
        started_at="2026-11-22T12:00:00Z",
        experiment="x",
        environment="y",
        word="UNFINISHED",
        seconds=1.0,
        faults_in_force=number,
    )
    assert words in runs_table([line])
