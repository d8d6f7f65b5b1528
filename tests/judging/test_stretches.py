"""When faults were in force, and what of that is judged."""

from __future__ import annotations

from chaosrunner.judging.stretches import Span, in_force_between, stretches


def pieces(*spans: Span) -> list[tuple[tuple[float, float], ...]]:
    return [stretch.pieces for stretch in stretches(spans)]


def test_one_fault_is_one_stretch() -> None:
    assert pieces(Span("a/1", 10, 40)) == [((10, 40),)]


def test_its_settling_is_not_judged() -> None:
    assert pieces(Span("a/1", 10, 40, settle=5)) == [((15, 40),)]


def test_settling_as_long_as_the_fault_leaves_nothing() -> None:
    assert pieces(Span("a/1", 10, 40, settle=30)) == [()]


def test_faults_in_sequence_are_a_stretch_each() -> None:
    assert pieces(Span("a/1", 10, 20), Span("b/1", 30, 40)) == [((10, 20),), ((30, 40),)]


def test_faults_together_are_one_stretch() -> None:
    assert pieces(Span("a/1", 10, 30), Span("b/1", 20, 40)) == [((10, 40),)]


def test_faults_that_touch_are_one_stretch() -> None:
    assert pieces(Span("a/1", 10, 20), Span("b/1", 20, 40)) == [((10, 40),)]


def test_the_settling_of_a_later_fault_is_cut_out() -> None:
    assert pieces(Span("a/1", 10, 40), Span("b/1", 20, 40, settle=5)) == [((10, 20), (25, 40))]


def test_settlings_that_overlap_are_cut_out_together() -> None:
    spans = [Span("a/1", 10, 40, settle=5), Span("a/2", 12, 40, settle=5)]
    assert pieces(*spans) == [((17, 40),)]


def test_a_fault_inside_another_changes_nothing() -> None:
    assert pieces(Span("a/1", 10, 40), Span("b/1", 20, 30)) == [((10, 40),)]


def test_which_faults_were_in_force_between_two_moments() -> None:
    spans = [Span("a/1", 10, 20), Span("b/1", 15, 40), Span("c/1", 30, 40)]
    assert in_force_between(spans, 16, 18) == ("a/1", "b/1")
    assert in_force_between(spans, 21, 25) == ("b/1",)
    assert in_force_between(spans, 50, 60) == ()


def test_lengths_are_told_with_and_without_settling() -> None:
    (stretch,) = stretches([Span("a/1", 10, 40, settle=5)])
    assert (stretch.seconds, stretch.judged_seconds) == (30, 25)
