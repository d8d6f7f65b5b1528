"""What must be so of every journal, whatever happens in it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosrunner.model import journal as j
from chaosrunner.model.plan import PlannedItem, PlannedMeasure
from chaosrunner.model.words import Answer, Ending, Phase, worst
from chaosrunner.stages.detect import detect
from chaosrunner.stages.judge import judge
from tests.judging.journals import END, Missing, NoAnswer, Said, Story, fault, link, measure, plan
from tests.judging.test_judge import ALL

QUICK = settings(max_examples=40, deadline=None)

said: st.SearchStrategy[Said] = st.one_of(
    st.just(0.1),
    st.just(0.1),
    st.just(0.1),
    st.floats(0.0, 1.0),
    st.just(NoAnswer()),
    st.just(Missing()),
    st.just("text"),
    st.just(True),
)
measures = st.builds(
    measure,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["one", "two"]),
    every=st.sampled_from(["500ms", "1s", "3s"]),
    lag=st.sampled_from(["0s", "0s", "0s", "4s", "18s"]),
    whenMissing=st.sampled_from(["inconclusive", "broken"]),
    during=st.sampled_from(["always", "always", "always", "fault", "edge", "end"]),
    tolerance=st.sampled_from(
        [
            {"atMost": "200ms"},
            {"atMost": "200ms", "for": "3s"},
            {"baseline": {"atMost": "1s"}, "fault": {"atMost": "4x baseline"}, "recovery": {"atMost": "2x baseline"}},
            {"fault": {"between": ["10ms", "500ms"]}},
            None,
        ]
    ),
)


def rough(chosen: list[PlannedMeasure], seed: int, roughness: float, words: list[Said]) -> Story:
    """Readings that go wrong now and then, by chance but always in the same way."""
    unique = list({one.key: one for one in chosen}.values())
    dice = random.Random(seed)
    events = {one.key: [dice.random() < roughness for _ in range(200)] for one in unique}

    def script(key: str) -> Callable[[float], Said]:
        return lambda began: words[int(began * 7) % len(words)] if events[key][int(began * 3) % 200] else 0.1

    method = [
        PlannedItem(faults=(fault("slow", targets=(link(1), link(2)), lasts="12s", settle="1s"),)),
        PlannedItem(wait="2s"),
        PlannedItem(faults=(fault("kill", lasts="9s", instant=True), fault("other", after="3s", lasts="5s"))),
    ]
    return Story(plan(*unique, method=method), {one.key: script(one.key) for one in unique})


stories = st.builds(
    rough,
    st.lists(measures, min_size=1, max_size=3),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.4]),
    st.lists(said, min_size=1, max_size=4),
)


@QUICK
@given(stories)
def test_the_same_journal_is_judged_the_same(story: Story) -> None:
    entries = story.entries()
    assert judge(entries) == judge(list(entries))


@QUICK
@given(stories)
def test_the_worst_wins(story: Story) -> None:
    verdict = judge(story.entries())
    for hypothesis in verdict.hypotheses:
        judged = [one for one in hypothesis.measures if one.judged]
        assert hypothesis.answer is worst(*(one.answer for one in judged))
        for one in judged:
            phases = [phase.answer for phase in one.phases if phase.judged]
            assert one.answer is worst(*phases)
    answers = [hypothesis.answer for hypothesis in verdict.hypotheses]
    answers += [verdict.recovery.answer] if verdict.recovery else []
    assert verdict.answer.badness >= worst(*answers).badness


@QUICK
@given(stories)
def test_a_run_with_a_reason_against_it_is_never_held(story: Story) -> None:
    verdict = judge(story.entries())
    assert (verdict.answer is Answer.HELD) <= (not verdict.inconclusive_because)
    assert (verdict.exit_code == 0) <= (verdict.answer is Answer.HELD)
    gaps = [gap for gap in detect(verdict, story.plan) if gap.kind.value != "close-call"]
    assert bool(gaps) == (verdict.exit_code in (1, 7))


@QUICK
@given(stories, st.floats(0.0, END))
def test_one_more_missing_reading_never_turns_into_held(story: Story, when: float) -> None:
    before = judge(story.entries()).answer
    for one in story.plan.measures:
        story.add(when, j.ReadingTaken(measure=one.key, began=max(0.0, when - 0.01), ended=when, missing="down"))
    after = judge(story.entries()).answer
    assert before is Answer.HELD or after is not Answer.HELD


@QUICK
@given(stories, st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 1.0]))
def test_readings_that_fall_out_never_turn_inconclusive_into_held(story: Story, seed: int, share: float) -> None:
    before = judge(story.entries()).answer
    dice = random.Random(seed)
    entries = [
        j.Entry(entry.n, entry.t, entry.at, _without_value(entry.event)) if dice.random() < share else entry
        for entry in story.entries()
    ]
    after = judge(entries).answer
    assert before is not Answer.INCONCLUSIVE or after is not Answer.HELD


def _without_value(event: j.Event) -> j.Event:
    if not isinstance(event, j.ReadingTaken):
        return event
    return event.model_copy(update={"value": None, "no_answer": None, "missing": "fell out"})


@QUICK
@given(stories)
def test_a_measure_without_readings_in_the_fault_is_never_held(story: Story) -> None:
    entries = [
        entry
        for entry in story.entries()
        if not (isinstance(entry.event, j.ReadingTaken) and 10.0 < entry.event.ended < 40.0)
    ]
    for hypothesis in judge(entries).hypotheses:
        for one in hypothesis.measures:
            fault_phase = [phase for phase in one.phases if phase.phase is Phase.FAULT and phase.judged]
            assert all(phase.answer is Answer.INCONCLUSIVE for phase in fault_phase)


@settings(max_examples=15, deadline=None)
@given(stories)
def test_no_prefix_of_a_journal_is_held(story: Story) -> None:
    entries = story.entries()
    for length in range(1, len(entries), 7):
        verdict = judge(entries[:length])
        assert verdict.answer is not Answer.HELD
        assert verdict.exit_code in (1, 3)
        detect(verdict, story.plan)


@pytest.mark.parametrize("case", ALL[::4], ids=[case[0].replace(" ", "_") for case in ALL[::4]])
def test_no_prefix_of_a_known_journal_is_held(case: tuple[str, Callable[[], Story], Answer, int, str]) -> None:
    entries = case[1]().entries()
    for length in range(1, len(entries)):
        verdict = judge(entries[:length])
        assert verdict.answer is not Answer.HELD
        assert verdict.exit_code in (1, 3, 7)


@QUICK
@given(stories, st.sampled_from([ending for ending in Ending if ending is not Ending.FINISHED]))
def test_a_run_that_did_not_finish_is_never_held(story: Story, ending: Ending) -> None:
    verdict = judge(story.ending(ending).entries())
    assert verdict.answer is not Answer.HELD
    assert verdict.exit_code != 0


@QUICK
@given(stories)
def test_a_verdict_survives_being_written_and_read(story: Story) -> None:
    verdict = judge(story.entries())
    assert type(verdict).model_validate_json(verdict.model_dump_json(by_alias=True)) == verdict
