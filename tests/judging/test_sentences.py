"""What a verdict says to people."""

from __future__ import annotations

from chaosrunner.model import journal as j
from chaosrunner.model.words import Ending
from chaosrunner.stages.judge import describe, judge
from tests.judging.journals import Missing, Story, one, steps


def said(story: Story) -> tuple[str, str, str]:
    return describe(judge(story.entries()))


def summary(story: Story) -> str:
    return judge(story.entries()).summary


def test_a_run_that_held_says_three_things() -> None:
    assert said(Story()) == (
        "network-latency on checkout-1 was seen in force, met 12 times.",
        "slo held, the closest was p99 with 50 % room.",
        "Every fault was seen gone, and the system recovered in 770 ms.",
    )


def test_a_run_that_broke_says_three_things() -> None:
    force, answers, gone = said(one(steps((20, 99, 0.5))))
    assert force == "network-latency on checkout-1 was seen in force, met 12 times."
    assert answers.startswith("slo broke: p99: was 500 ms at 20.1 s, should be at most 200 ms; outside for 20 s")
    assert gone.startswith("Every fault was seen gone. Recovery: no recovery within 10 s: slo/p99 was still 500 ms")


def test_a_fault_with_trouble_says_so() -> None:
    force, _, _ = said(Story().add(25, j.FaultLost(fault="slow/1", how="refused")))
    assert force.endswith("slow/1: it was lost after 14.8 s in force: refused.")


def test_a_fault_that_is_left_says_what_to_do() -> None:
    assert said(Story().cut(30))[2] == "slow/1 may still be in force: run `chaosrunner heal`."


def test_a_run_without_a_fault_says_so() -> None:
    none = Story().without(
        j.FaultPrepared, j.FaultInjected, j.FaultSeen, j.FaultInForce, j.FaultTouched, j.UndoBegan, j.FaultUndone
    )
    force, _, gone = said(none.ending(Ending.NOT_STEADY, "slo/p99"))
    assert force == "No fault was seen in force."
    assert gone == "Nothing was injected, so nothing had to be undone."


def test_the_summary_of_a_run_that_held() -> None:
    assert summary(Story()) == (
        "The hypothesis held while network-latency on checkout-1 was in force; "
        "the closest was slo/p99 with 50 % room; recovered in 770 ms."
    )


def test_the_summary_of_a_run_that_broke() -> None:
    assert summary(one(steps((20, 21, 0.5)))) == (
        "slo broke while network-latency on checkout-1 was in force: "
        "p99: was 500 ms at 20.1 s, should be at most 200 ms; 1 of 30 readings outside."
    )


def test_the_summary_of_no_recovery() -> None:
    assert summary(one(steps((40.35, 99, 0.5)))).startswith(
        "slo broke after the fault: p99: no recovery within 10 s: slo/p99 was still 500 ms"
    )


def test_the_summary_of_an_inconclusive_run_says_why() -> None:
    assert summary(one(steps((20, 30, Missing())))).startswith("Nothing can be said: slo: p99: 10 of 30 readings")


def test_the_summary_of_a_failed_undo() -> None:
    story = Story().without(j.FaultUndone).add(41, j.UndoFailed(fault="slow/1", error="x", attempts=4))
    assert summary(story) == "Taking back slow/1 failed: it may still be in force."
