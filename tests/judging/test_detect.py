"""What gaps a verdict shows, and what identifies them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from chaosrunner.model import journal as j
from chaosrunner.model.gap import Gap
from chaosrunner.model.plan import GuardAnswer, PlannedItem
from chaosrunner.model.words import Ending, FindingClass, GapKind
from chaosrunner.stages.detect import detect
from chaosrunner.stages.judge import judge
from tests.judging.changed import aborted, lost, replace
from tests.judging.journals import Missing, NoAnswer, Said, Story, fault, link, measure, one, plan, steps

Kinds = list[tuple[GapKind, tuple[GapKind, ...]]]


def gaps(story: Story) -> tuple[Gap, ...]:
    return detect(judge(story.entries()), story.plan)


def the_gap(story: Story) -> Gap:
    (gap,) = gaps(story)
    return gap


def bad(start: float, end: float, said: Said = 0.5) -> Story:
    return one(steps((start, end, said)))


def undone_never(story: Story) -> Story:
    return story.without(j.FaultUndone).add(41, j.UndoFailed(fault="slow/1", error="gone mad", attempts=4))


def spilled(story: Story, service: str = "cart") -> Story:
    return story.add(45, j.Spilled(what="changed", service=service, detail="was up, is down"))


def alone(**changes: Any) -> GuardAnswer:
    """Why a guard refuses to take the only replica of the cart."""
    good = {"guard": "keepLastReplica", "go": False, "reason": "cart-7f is the only replica", "subject": "cart"}
    return GuardAnswer(**({**good, "unsafe_condition": True} | changes))


def refused(*answers: GuardAnswer) -> Story:
    """A run that guards refused."""
    story = Story()
    story.plan = story.plan.model_copy(update={"guards": answers})
    started = next(event for _, event in story.events if isinstance(event, j.RunStarted))
    story.events = [(0.0, started.model_copy(update={"plan": story.plan}))]
    for answer in answers:
        story.add(0.1, j.GuardAnswered(answer=answer))
    return story.add(0.2, j.RunEnded(ending=Ending.REFUSED, reason=answers[0].guard))


def close(room: str | None, value: float = 0.19, **changes: Any) -> Story:
    return one(steps((20, 21, value)), of=measure(room=room, **changes))


IMPACT, NO_RECOVERY, ABORTED = GapKind.IMPACT, GapKind.NO_RECOVERY, GapKind.ABORTED
CLOSE, SPILL, UNDO = GapKind.CLOSE_CALL, GapKind.SPILL_OVER, GapKind.UNDO_FAILED
NO_REDUNDANCY = GapKind.NO_REDUNDANCY

TABLE: list[tuple[str, Callable[[], Story], Kinds]] = [
    ("a good run shows none", Story, []),
    ("a broken hypothesis is an impact", lambda: bad(20, 21), [(IMPACT, ())]),
    ("not back in time is no recovery", lambda: bad(40.35, 99), [(NO_RECOVERY, ())]),
    ("an impact without a recovery is one gap", lambda: bad(20, 99), [(IMPACT, (NO_RECOVERY,))]),
    ("an abort with an impact is one gap", aborted, [(IMPACT, (ABORTED,))]),
    (
        "an abort while the fault still settles is a gap of its own",
        lambda: _settling(aborted()),
        [(ABORTED, ())],
    ),
    ("flying blind is none", lambda: replace(aborted(blind=True), steps()), []),
    ("less than ten percent of room is a close call", lambda: close("latency"), [(CLOSE, ())]),
    ("ten percent of room is none", lambda: close("latency", 0.18), []),
    ("a ratio can be a close call", lambda: close("ratio"), [(CLOSE, ())]),
    ("a rate can be a close call", lambda: close("rate"), [(CLOSE, ())]),
    ("what is neither latency, ratio nor rate is never a close call", lambda: close(None), []),
    ("a close call of an inconclusive run is none", lambda: close("latency").ending(Ending.HALTED), []),
    ("a close call of a run that died is none", lambda: close("latency").cut(30), []),
    (
        "a close call of a fault that nothing met is none",
        lambda: close("latency").without(j.FaultTouched).add(40.1, j.FaultTouched(fault="slow/1", count=0)),
        [],
    ),
    ("a broken hypothesis is no close call too", lambda: one(steps((20, 21, 0.19), (22, 23, 0.5))), [(IMPACT, ())]),
    ("something else that changed is a spill-over", lambda: spilled(Story()), [(SPILL, ())]),
    (
        "each service that was hit is a spill-over of its own",
        lambda: spilled(spilled(Story()), "orders"),
        [(SPILL, ()), (SPILL, ())],
    ),
    ("two changes of one service are one spill-over", lambda: spilled(spilled(Story())), [(SPILL, ())]),
    ("an undo that failed is a gap", lambda: undone_never(Story()), [(UNDO, ())]),
    ("an undo that failed and an impact are two", lambda: undone_never(bad(20, 21)), [(IMPACT, ()), (UNDO, ())]),
    ("a refusal because redundancy is missing is a gap", lambda: refused(alone()), [(NO_REDUNDANCY, ())]),
    ("any other refusal is none", lambda: refused(alone(unsafe_condition=False)), []),
    ("an unsafe condition that did not refuse is none", lambda: refused(alone(go=True)), []),
    ("two refusals about one thing are one gap", lambda: refused(alone(), alone()), [(NO_REDUNDANCY, ())]),
    (
        "each thing without redundancy is a gap of its own",
        lambda: refused(alone(), alone(subject="web")),
        [(NO_REDUNDANCY, ()), (NO_REDUNDANCY, ())],
    ),
    ("an inconclusive run shows none", lambda: bad(15, 30, Missing()), []),
    (
        "an inconclusive run shows what really broke",
        lambda: replace(lost(25, 25.1), steps((20, 21, 0.5))),
        [(IMPACT, ())],
    ),
    ("a run that died shows what really broke", lambda: bad(20, 21).cut(30), [(IMPACT, ())]),
    ("a halted run shows what really broke", lambda: bad(20, 21).ending(Ending.HALTED), [(IMPACT, ())]),
    ("an unsteady baseline shows none", lambda: bad(2, 9), []),
    ("a violation without a fault in force shows none", lambda: bad(20, 21).without(j.FaultInForce, j.FaultSeen), []),
]


def _settling(story: Story) -> Story:
    measures = story.plan.measures
    story.plan = plan(*measures, method=[PlannedItem(faults=(fault(settle="29s"),))])
    started = next(event for _, event in story.events if isinstance(event, j.RunStarted))
    return story.without(j.RunStarted).add(0.0, started.model_copy(update={"plan": story.plan}))


@pytest.mark.parametrize(
    ("story", "expected"), [case[1:] for case in TABLE], ids=[case[0].replace(" ", "_") for case in TABLE]
)
def test_a_run_shows_its_gaps(story: Callable[[], Story], expected: Kinds) -> None:
    assert [(gap.kind, gap.also) for gap in gaps(story())] == expected


@pytest.mark.parametrize(
    ("story", "finding"),
    [
        (lambda: bad(20, 21), FindingClass.NEAR_MISS),
        (lambda: bad(40.35, 99), FindingClass.NEAR_MISS),
        (aborted, FindingClass.NEAR_MISS),
        (lambda: close("latency"), FindingClass.UNSAFE_CONDITION),
        (lambda: spilled(Story()), FindingClass.INCIDENT),
        (lambda: undone_never(Story()), FindingClass.NEAR_MISS),
        (lambda: refused(alone()), FindingClass.UNSAFE_CONDITION),
    ],
    ids=["impact", "no recovery", "aborted", "close call", "spill-over", "undo failed", "no redundancy"],
)
def test_each_sort_of_gap_has_its_class(story: Callable[[], Story], finding: FindingClass) -> None:
    assert the_gap(story()).finding is finding


def test_a_gap_is_identified_by_what_lasts() -> None:
    gap = the_gap(bad(20, 21))
    assert gap.environment_class == "staging"
    assert gap.service == "checkout"
    assert gap.fault_classes == ("dependency-slow",)
    assert gap.identity == {"to": "payments"}
    assert gap.target_services == ("checkout",)
    assert gap.hypothesis == "slo"


@pytest.mark.parametrize(
    "story",
    [
        lambda: bad(30, 36, 9.0),
        lambda: bad(20, 99),
        lambda: bad(20, 21, NoAnswer()),
        aborted,
        lambda: close("latency"),
        lambda: bad(40.35, 99),
        lambda: bad(20, 21).cut(30),
    ],
    ids=["other numbers", "and no recovery", "no answer", "aborted", "close call", "only no recovery", "died"],
)
def test_the_same_weakness_has_the_same_fingerprint(story: Callable[[], Story]) -> None:
    assert the_gap(story()).fingerprint == the_gap(bad(20, 21)).fingerprint


def test_another_hypothesis_is_another_gap() -> None:
    both = plan(measure("a", "first"), measure("b", "second"))
    found = gaps(Story(both, {one.key: steps((20, 21, 0.5)) for one in both.measures}))
    assert [gap.hypothesis for gap in found] == ["first", "second"]
    assert found[0].fingerprint != found[1].fingerprint


def test_several_measures_of_one_hypothesis_are_one_gap() -> None:
    both = plan(measure("a"), measure("b"), measure("c"))
    story = Story(both, {"slo/a": steps((20, 21, 0.5)), "slo/b": steps((25, 26, NoAnswer()))})
    assert [found["key"] for found in the_gap(story).measures] == ["slo/a", "slo/b"]


def test_another_dependency_is_another_gap() -> None:
    other = plan(method=[PlannedItem(faults=(fault(targets=(link(1, "checkout", "stock"),)),))])
    there = the_gap(Story(other, {"slo/p99": steps((20, 21, 0.5))}))
    assert there.identity == {"to": "stock"}
    assert there.fingerprint != the_gap(bad(20, 21)).fingerprint


def test_what_the_fault_names_identifies_it() -> None:
    named = plan(method=[PlannedItem(faults=(fault(identity={"path": "/pay"}),))])
    assert the_gap(Story(named, {"slo/p99": steps((20, 21, 0.5))})).identity == {"path": "/pay", "to": "payments"}


def test_faults_together_are_their_sorted_set() -> None:
    both = plan(
        method=[
            PlannedItem(
                faults=(
                    fault("slow", identity={"path": "/b"}),
                    fault("kill", targets=(link(1, "cart", None),), fault_class="capacity", identity={"path": "/a"}),
                )
            )
        ]
    )
    gap = the_gap(Story(both, {"slo/p99": steps((20, 21, 0.5))}))
    assert gap.fault_classes == ("capacity", "dependency-slow")
    assert gap.target_services == ("cart", "checkout")
    assert gap.identity == {"path": "/a,/b", "to": "payments"}


def test_of_faults_in_sequence_the_one_in_force_when_it_broke_identifies_it() -> None:
    both = plan(
        method=[
            PlannedItem(faults=(fault("slow", lasts="10s"),)),
            PlannedItem(faults=(fault("kill", lasts="10s", targets=(link(1, "cart", None),), fault_class="capacity"),)),
        ]
    )
    gap = the_gap(Story(both, {"slo/p99": steps((25, 26, 0.5))}))
    assert (gap.fault_classes, gap.target_services, gap.identity) == (("capacity",), ("cart",), {})


def test_how_many_targets_does_not_identify_it() -> None:
    three = plan(method=[PlannedItem(faults=(fault(targets=(link(1), link(2), link(3))),))])
    gap = the_gap(Story(three, {"slo/p99": steps((20, 21, 0.5))}))
    assert gap.strength == "3 of 3"
    assert gap.fingerprint == the_gap(bad(20, 21)).fingerprint


@pytest.mark.parametrize(
    "story", [lambda: bad(20, 21), lambda: bad(40.35, 99), aborted, lambda: close("latency"), lambda: spilled(Story())]
)
def test_a_title_has_no_numbers_that_change(story: Callable[[], Story]) -> None:
    gap = the_gap(story())
    assert not re.search(r"\d", gap.title)
    assert "\n" not in gap.title
    assert len(gap.title) < 120


def test_a_story_tells_what_happened_with_numbers() -> None:
    assert the_gap(bad(20, 30)).story == (
        "network-latency on checkout-1 was in force. "
        "p99: was 500 ms at 20.1 s, should be at most 200 ms; outside for 9 s, 10 of 30 readings. "
        "The system recovered in 770 ms after the undo."
    )


def test_the_story_of_an_abort_tells_how_long_the_undo_took() -> None:
    assert "all was undone 400 ms later" in the_gap(aborted()).story


def test_the_story_of_a_close_call_tells_the_room() -> None:
    assert the_gap(close("latency")).story.startswith("p99 held with 5 % room: 190 ms at worst in 30 readings")


def test_a_gap_carries_the_measures_numbers() -> None:
    (numbers,) = the_gap(bad(20, 30)).measures
    assert numbers["key"] == "slo/p99"
    assert (numbers["phase"], numbers["rule"], numbers["worst"]) == ("fault", "at most 200 ms", 0.5)
    assert (numbers["margin"], numbers["violatedFor"]) == (pytest.approx(-1.5), pytest.approx(9.0))


def test_no_recovery_carries_the_numbers_of_the_recovery() -> None:
    (numbers,) = the_gap(bad(40.35, 99)).measures
    assert numbers["phase"] == "recovery"


def test_a_spill_over_is_identified_by_what_was_hit() -> None:
    gap = the_gap(spilled(Story()))
    assert (gap.subject, gap.hypothesis) == ("cart", None)
    assert "was up, is down" in gap.story
    assert gap.fingerprint != the_gap(spilled(Story(), "orders")).fingerprint


def test_a_failed_undo_is_identified_by_its_fault() -> None:
    gap = the_gap(undone_never(Story()))
    assert (gap.subject, gap.title) == ("network-latency", "network-latency could not be taken back")
    assert "gone mad" in gap.story
