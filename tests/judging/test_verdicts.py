"""What a verdict tells, beside its answer."""

from __future__ import annotations

import pytest

from chaosrunner.errors import JournalFailed
from chaosrunner.model import journal as j
from chaosrunner.model.plan import PlannedItem, PlannedMeasure
from chaosrunner.model.verdict import PhaseVerdict, Verdict
from chaosrunner.model.words import Phase
from chaosrunner.stages.judge import judge
from tests.judging.changed import (
    BROKEN,
    HELD,
    INCONCLUSIVE,
    RELATIVE,
    aborted,
    bad,
    of,
    replace,
    slow_in_steps,
    together,
    two,
)
from tests.judging.journals import (
    Missing,
    NoAnswer,
    Story,
    fault,
    life,
    link,
    measure,
    one,
    plan,
    reading,
    started,
    steps,
)

# ------------------------------------------------------------------------------------------- what a verdict tells


def phase_of(verdict: Verdict, phase: Phase = Phase.FAULT, place: int = 0) -> PhaseVerdict:
    return next(found for found in verdict.hypotheses[0].measures[place].phases if found.phase is phase)


def test_a_phase_tells_its_numbers() -> None:
    story = one(steps((20, 22, 0.15), (22, 23, NoAnswer()), (23, 24, Missing()), (24, 25, 0.5), otherwise=0.1))
    phase = phase_of(judge(story.entries()))
    assert (phase.readings, phase.missing, phase.no_answers) == (29, 1, 1)
    assert (phase.median, phase.least, phase.most) == (0.1, 0.1, 0.5)
    assert (phase.rule, phase.low, phase.high) == ("at most 200 ms", None, 0.2)
    assert (phase.worst, phase.worst_at, phase.margin) == (None, pytest.approx(22.07), None)
    assert phase.first_violation == pytest.approx(22.07)
    assert phase.violated_for == pytest.approx(2.0)


def test_the_worst_reading_is_the_one_with_the_least_room() -> None:
    phase = phase_of(judge(one(steps((20, 21, 0.15), (25, 26, 0.18))).entries()))
    assert (phase.worst, phase.worst_at) == (0.18, pytest.approx(25.07))
    assert phase.margin == pytest.approx(0.1)


def test_the_margin_beyond_a_limit_is_negative() -> None:
    assert phase_of(judge(bad(20, 21, 0.3).entries())).margin == pytest.approx(-0.5)


def test_the_baseline_is_told() -> None:
    assert judge(Story().entries()).hypotheses[0].measures[0].baseline == 0.1


def test_the_median_that_the_run_used_is_the_one_that_counts() -> None:
    story = of({"tolerance": RELATIVE}, (20, 30, 0.39)).add(
        9.97, j.BaselineTaken(measure="slo/p99", median=0.05, readings=9)
    )
    verdict = judge(story.entries())
    assert phase_of(verdict).high == pytest.approx(0.2)
    assert verdict.answer is BROKEN


def test_an_observed_phase_tells_its_numbers_too() -> None:
    verdict = judge(of({"tolerance": {"recovery": {"atMost": "1s"}}}, (20, 30, 9.0)).entries())
    phase = phase_of(verdict)
    assert (phase.judged, phase.most, phase.readings) == (False, 9.0, 30)


def test_the_closest_measure_is_told_with_its_margin() -> None:
    verdict = judge(two({}, {}, steps((20, 21, 0.19))).entries())
    assert verdict.hypotheses[0].closest == "slo/b"
    assert verdict.hypotheses[0].margin == pytest.approx(0.05)


def test_the_worst_measure_makes_the_hypothesis_and_the_worst_hypothesis_the_run() -> None:
    measures: list[PlannedMeasure] = [
        measure("good", "first"),
        measure("bad", "second"),
        measure("gone", "second"),
        measure("gone", "third"),
    ]
    scripts = {"second/bad": steps((20, 21, 0.5)), "second/gone": steps((12, 40, Missing()))}
    scripts["third/gone"] = scripts["second/gone"]
    verdict = judge(Story(plan(*measures), scripts).entries())
    assert [one.answer for one in verdict.hypotheses] == [HELD, BROKEN, INCONCLUSIVE]
    assert verdict.answer is BROKEN


def test_recovery_is_told_in_seconds() -> None:
    verdict = judge(bad(40.35, 48.5).entries())
    assert verdict.recovery is not None
    assert verdict.recovery.answer is HELD
    assert verdict.recovery.seconds == pytest.approx(49.07 - 40.3)


def test_recovery_counts_from_the_last_undo() -> None:
    story = Story(plan(method=[PlannedItem(faults=(fault("a"), fault("b", lasts="10s")))]))
    verdict = judge(replace(story, steps((20.5, 30, 0.1))).entries())
    assert verdict.recovery is not None
    assert verdict.recovery.seconds == pytest.approx(41.07 - 40.3)


def test_strength_tells_with_how_many_of_the_targets_it_broke() -> None:
    targets = (link(1), link(2), link(3))
    story = Story(plan(method=[PlannedItem(faults=(fault(targets=targets),))]))
    story.add(20, j.FaultLost(fault="slow/3", how="refused"))
    hypothesis = judge(replace(story, steps((30, 31, 0.5))).entries()).hypotheses[0]
    assert hypothesis.broken_during == ("slow/1", "slow/2")
    assert hypothesis.strength == "2 of 3"


def test_of_faults_in_sequence_those_in_force_when_it_broke_are_told() -> None:
    first = judge(replace(slow_in_steps({}, {}), steps((15, 16, 0.5), (30, 31, 0.5))).entries()).hypotheses[0]
    second = judge(replace(slow_in_steps({}, {}), steps((30, 31, 0.5))).entries()).hypotheses[0]
    assert (first.broken_during, second.broken_during) == (("step0/1",), ("step1/1",))


def test_of_faults_together_those_in_force_when_it_broke_are_told() -> None:
    def when(second: float) -> tuple[str, ...]:
        story = together(fault("a"), fault("b", after="15s", lasts="15s"))
        return judge(replace(story, steps((second, second + 1, 0.5))).entries()).hypotheses[0].broken_during

    assert (when(15), when(30)) == (("a/1",), ("a/1", "b/1"))


def test_what_broke_first_counts_over_all_measures() -> None:
    story = slow_in_steps({}, {})
    story.plan = plan(measure("a"), measure("b"), method=story.plan.method)
    story.without(j.RunStarted).add(0.0, started(story.plan))
    replace(story, steps((30, 31, 0.5)), "slo/a")
    replace(story, steps((15, 16, 0.5)), "slo/b")
    assert judge(story.entries()).hypotheses[0].broken_during == ("step0/1",)


def test_the_first_violation_is_told_and_the_worst() -> None:
    phase = phase_of(judge(one(steps((20, 21, 0.3), (30, 33, 0.4))).entries()))
    assert phase.first_violation == pytest.approx(20.07)
    assert phase.violated_for == pytest.approx(2.0)
    assert phase.worst == 0.4


def test_while_one_of_two_faults_is_not_undone_there_is_no_recovery() -> None:
    story = Story(plan(method=[PlannedItem(faults=(fault("a", lasts="10s"), fault("b")))])).cut(35)
    recovery = judge(story.entries()).recovery
    assert recovery is not None
    assert recovery.answer is INCONCLUSIVE


def test_an_abort_limit_reached_before_the_fault_is_not_its_doing() -> None:
    limit = j.LimitReached(measure="slo/p99", limit="at most 2s", reading_ended=5.0, value=3.0)
    verdict = judge(of({"abortAt": {"atMost": "2s"}}).add(5.0, limit).entries())
    assert verdict.hypotheses[0].answer is HELD


def test_an_abort_tells_how_long_the_undo_took() -> None:
    abort = judge(aborted().entries()).abort
    assert abort is not None
    assert (abort.measure, abort.limit, abort.blind) == ("slo/p99", "at most 2s", False)
    assert abort.at == pytest.approx(20.07)
    assert abort.undone_after == pytest.approx(0.4)


def test_an_abort_whose_undo_failed_tells_no_time() -> None:
    abort = judge(aborted().without(j.FaultUndone).entries()).abort
    assert abort is not None
    assert abort.undone_after is None


def test_an_abort_limit_reached_before_the_first_sight_of_the_fault_names_it() -> None:
    story = aborted(t=10.17).without(j.FaultInForce, j.FaultSeen)
    hypothesis = judge(story.entries()).hypotheses[0]
    assert hypothesis.answer is BROKEN
    assert hypothesis.broken_during == ("slow/1",)


def test_a_fault_is_told_from_its_injection_to_its_end() -> None:
    (found,) = judge(Story().entries()).faults
    assert (found.injected_at, found.in_force_at, found.undone_at) == (10.1, 10.2, pytest.approx(40.3))
    assert (found.share_in_force, found.touched, found.seen_gone, found.trouble) == (1.0, 12, True, "")


def test_a_fault_that_was_planned_and_never_injected_is_told() -> None:
    both = plan(method=[PlannedItem(faults=(fault("a"),)), PlannedItem(faults=(fault("b"),))])
    story = Story(both, events=[(0.0, started(both)), *life(both.faults[0], 1, 10, 40)])
    troubles = [(found.fault, found.trouble) for found in judge(story.entries()).faults]
    assert ("b/1", "it was never injected") in troubles


def test_what_changed_beside_the_targets_is_told() -> None:
    story = Story().add(45, j.Spilled(what="changed", service="cart", detail="was up, is down"))
    verdict = judge(story.entries())
    assert verdict.spilled == ("cart: changed, was up, is down",)
    assert "things that were no targets changed" in verdict.summary


def test_a_healed_run_tells_that_its_fault_is_gone() -> None:
    story = Story().cut(30).add(5000, j.Noted(who="ana", text="healing 1 faults"))
    story.add(5000, j.UndoBegan(fault="slow/1", because="heal"))
    verdict = judge(story.add(5001, j.FaultUndone(fault="slow/1", because="heal", seen_gone=True)).entries())
    assert verdict.seconds < 31
    assert verdict.faults[0].undone_at is not None
    assert not verdict.faults[0].undo_failed


def test_a_second_undo_after_a_stray_injection_counts_for_the_recovery() -> None:
    story = Story().add(42, j.FaultUndone(fault="slow/1", because="failed", seen_gone=True))
    recovery = judge(story.entries()).recovery
    assert recovery is not None
    assert recovery.seconds == pytest.approx(0.07)


def test_readings_of_an_unknown_measure_and_lines_of_a_newer_version_do_no_harm() -> None:
    extra = reading("nobody/knows", 20, 20.1, 9.0)
    assert extra is not None
    story = Story().add(20.1, extra).add(21, j.Unknown(type="sun-rose"))
    assert judge(story.entries()).answer is HELD


@pytest.mark.parametrize("entries", [[], Story().entries()[1:]], ids=["empty", "without its first line"])
def test_a_journal_without_its_beginning_cannot_be_judged(entries: list[j.Entry]) -> None:
    with pytest.raises(JournalFailed):
        judge(entries)


def test_entries_are_walked_once() -> None:
    assert judge(iter(Story().entries())).answer is HELD
