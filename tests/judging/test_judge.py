"""The judge, as a table: one good journal, one change, and what is said of it. One case for each rule and edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaosrunner.errors import JournalFailed
from chaosrunner.model import journal as j
from chaosrunner.model.plan import PlannedItem, PlannedMeasure
from chaosrunner.model.verdict import PhaseVerdict, Verdict
from chaosrunner.model.words import Answer, Ending, Phase
from chaosrunner.stages.judge import judge
from tests.judging.journals import (
    Absent,
    Missing,
    NoAnswer,
    Said,
    Story,
    fault,
    good_events,
    life,
    link,
    measure,
    one,
    plan,
    reading,
    started,
    steps,
)

HELD, INCONCLUSIVE, BROKEN = Answer.HELD, Answer.INCONCLUSIVE, Answer.BROKEN
RELATIVE = {"baseline": {"atMost": "200ms"}, "fault": {"atMost": "4x baseline"}, "recovery": {"atMost": "2x baseline"}}


def bad(start: float, end: float, said: Said = 0.5) -> Story:
    return one(steps((start, end, said)))


def of(changes: dict[str, Any], *parts: tuple[float, float, Said], otherwise: Said = 0.1) -> Story:
    return one(steps(*parts, otherwise=otherwise), of=measure(**changes))


def two(first: dict[str, Any], second: dict[str, Any], script: Callable[[float], Said]) -> Story:
    """Two measures, of which the second follows the script."""
    a, b = measure("a", **first), measure("b", **second)
    return Story(plan(a, b), {b.key: script})


def with_line(story: Story, began: float, ended: float, said: Said) -> Story:
    """One reading more, such as one that took long."""
    found = reading("slo/p99", began, ended, said)
    assert found is not None
    return story.add(ended, found)


def event(story: Story, kind: type) -> Any:
    return next(found for _, found in story.events if isinstance(found, kind))


def moved(story: Story, kind: type, t: float) -> Story:
    found = event(story, kind)
    return story.without(kind).add(t, found)


def lost(t: float, undone: float) -> Story:
    """The fault vanishes, is undone, and the run ends for it."""
    story = Story().without(j.FaultTouched, j.UndoBegan, j.FaultUndone)
    story.add(t, j.FaultLost(fault="slow/1", how="round trip 1 ms")).add(
        t, j.UndoBegan(fault="slow/1", because="failed")
    )
    story.add(undone, j.FaultUndone(fault="slow/1", because="failed", seen_gone=True))
    return story.ending(Ending.FAULT_FAILED, "slow/1: no longer in force")


def slow_in_steps(*settings: dict[str, Any]) -> Story:
    """Faults one after the other with ten seconds between, each of ten seconds."""
    items = []
    for number, changes in enumerate(settings):
        items += [PlannedItem(wait="5s")] if number else []
        items.append(PlannedItem(faults=(fault(f"step{number}", **({"lasts": "10s"} | changes)),)))
    return Story(plan(method=items, within="10s"))


def replace(story: Story, script: Callable[[float], Said], key: str = "slo/p99") -> Story:
    story.scripts[key] = script
    return story


def together(*faults: Any) -> Story:
    return Story(plan(method=[PlannedItem(faults=faults)]))


def aborted(value: float | None = 3.0, *, blind: bool = False, t: float = 20.07) -> Story:
    """The abort limit is reached at 20.07, and everything is undone 0.4 s later."""
    story = of({"abortAt": {"atMost": "2s"}}, (20, 21, NoAnswer() if value is None else value))
    story.without(j.FaultUndone, j.UndoBegan, j.FaultTouched)
    ended = None if blind else t
    limit = j.LimitReached(measure="slo/p99", limit="at most 2s", blind=blind, value=value, reading_ended=ended)
    story.add(t, limit)
    story.add(t + 0.4, j.FaultUndone(fault="slow/1", because="aborted", seen_gone=True))
    return story.ending(Ending.ABORTED, "slo/p99: outside at most 2s")


# (a sentence, the journal, the answer, the exit code, words that a reason contains)
Case = tuple[str, Callable[[], Story], Answer, int, str]

READINGS: list[Case] = [
    ("a good run is held", Story, HELD, 0, "50 % room"),
    ("a reading outside while the fault is in force is broken", lambda: bad(20, 21), BROKEN, 1, "was 500 ms at 20.1 s"),
    ("a reading exactly on the limit is held", lambda: bad(20, 21, 0.2), HELD, 0, "0 % room"),
    ("a reading before the fault is in force does not break", lambda: bad(10, 10.15), HELD, 0, ""),
    ("a reading that straddles the moment in force is not judged", lambda: bad(10.15, 10.2), HELD, 0, ""),
    ("a reading after the undo does not break", lambda: bad(41, 42), HELD, 0, ""),
    ("a reading that straddles the undo is not judged", lambda: bad(40, 40.3), BROKEN, 1, "40.1 s"),
    ("no answer is broken", lambda: bad(20, 21, NoAnswer("reset")), BROKEN, 1, "no answer (reset)"),
    ("a few missing readings are held", lambda: bad(20, 25, Missing()), HELD, 0, ""),
    ("more than 20 % missing is inconclusive", lambda: bad(20, 27, Missing()), INCONCLUSIVE, 3, "7 of 30 readings"),
    (
        "readings that the journal has not are missing",
        lambda: bad(20, 27, Absent),
        INCONCLUSIVE,
        3,
        "readings are missing",
    ),
    ("no reading at all is inconclusive", lambda: bad(10, 41, Missing()), INCONCLUSIVE, 3, "there is no reading"),
    ("no line at all is inconclusive", lambda: bad(10, 41, Absent), INCONCLUSIVE, 3, "there is no reading"),
    ("garbage is no reading", lambda: bad(10.15, 41, "<html>"), INCONCLUSIVE, 3, "not a number"),
    ("broken beats missing", lambda: one(steps((12, 13, 0.5), (20, 30, Missing()))), BROKEN, 1, "was 500 ms"),
    (
        "a hole of more than a quarter is inconclusive",
        lambda: with_line(bad(15, 25.5, Absent), 15.02, 25.5, Missing("it hung")),
        INCONCLUSIVE,
        3,
        "a hole of 11.9 s without a reading",
    ),
    (
        "a violation shorter than its for is held",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms", "for": "5s"}}}, (20, 25, 0.5)),
        HELD,
        0,
        "",
    ),
    (
        "a violation as long as its for is broken",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms", "for": "5s"}}}, (20, 26, 0.5)),
        BROKEN,
        1,
        "outside for 5 s",
    ),
    (
        "a reading inside breaks a violation",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms", "for": "5s"}}}, (20, 24, 0.5), (25, 29, 0.5)),
        HELD,
        0,
        "",
    ),
    (
        "a missing reading neither breaks a violation nor prolongs it",
        lambda: of(
            {"tolerance": {"fault": {"atMost": "200ms", "for": "5s"}}},
            (20, 22, 0.5),
            (22, 25, Missing()),
            (25, 26, 0.5),
        ),
        BROKEN,
        1,
        "outside for 5 s",
    ),
    (
        "missing readings do not prolong a violation",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms", "for": "5s"}}}, (20, 22, 0.5), (22, 26, Missing())),
        HELD,
        0,
        "",
    ),
    (
        "a violation does not go on from one fault to the next",
        lambda: replace(
            Story(
                plan(
                    measure(tolerance={"fault": {"atMost": "200ms", "for": "9s"}}),
                    method=[
                        PlannedItem(faults=(fault("a", lasts="10s"),)),
                        PlannedItem(wait="5s"),
                        PlannedItem(faults=(fault("b", lasts="10s"),)),
                    ],
                )
            ),
            steps((16, 30, 0.5)),
        ),
        HELD,
        0,
        "",
    ),
    (
        "equals another text is broken",
        lambda: of({"unit": None, "tolerance": {"equals": "ok"}}, (20, 21, "no"), otherwise="ok"),
        BROKEN,
        1,
        "was 'no'",
    ),
    (
        "true that turns false is broken",
        lambda: of({"unit": None, "tolerance": {"equals": True}}, (20, 21, False), otherwise=True),
        BROKEN,
        1,
        "was false",
    ),
    (
        "text that matches is held",
        lambda: of({"unit": None, "tolerance": {"matches": "^o"}}, otherwise="ok"),
        HELD,
        0,
        "",
    ),
    (
        "a minimum that is not reached is broken",
        lambda: of({"unit": None, "tolerance": {"fault": {"atLeast": 1}}}, otherwise=0.0),
        BROKEN,
        1,
        "at least 1",
    ),
]

FAULT_ONLY = {"fault": {"atMost": "200ms"}}


def lagging(lag: int, *parts: tuple[float, float, Said]) -> Story:
    return of({"lag": f"{lag}s", "tolerance": FAULT_ONLY}, *parts)


LAG: list[Case] = [
    ("a lag of less than half the fault is judged", lambda: lagging(12), HELD, 0, ""),
    (
        "a fault shorter than twice the lag is inconclusive",
        lambda: lagging(16),
        INCONCLUSIVE,
        3,
        "in force for 30.1 s, less than twice this measure's lag of 16 s",
    ),
    ("broken beats a fault shorter than twice the lag", lambda: lagging(16, (30, 31, 0.5)), BROKEN, 1, ""),
    (
        "a reading that tells of the time before the fault is not judged",
        lambda: lagging(12, (12, 22, 0.5)),
        HELD,
        0,
        "",
    ),
    ("a reading that tells of the fault alone is judged", lambda: lagging(12, (23, 24, 0.5)), BROKEN, 1, ""),
    ("a reading after the undo that tells of the fault is not judged", lambda: lagging(12, (41, 50, 0.5)), HELD, 0, ""),
]

SETTLE: list[Case] = [
    (
        "readings while the fault settles are not judged",
        lambda: replace(together(fault(settle="10s")), steps((11, 20, 0.5))),
        HELD,
        0,
        "",
    ),
    (
        "readings after settling are judged",
        lambda: replace(together(fault(settle="10s")), steps((21, 22, 0.5))),
        BROKEN,
        1,
        "",
    ),
    (
        "a reading that straddles the end of settling is not judged",
        lambda: replace(together(fault(settle="9850ms")), steps((20, 20.1, 0.5))),
        HELD,
        0,
        "",
    ),
    (
        "a fault that only settles is inconclusive",
        lambda: together(fault(settle="31s")),
        INCONCLUSIVE,
        3,
        "no longer than its settle",
    ),
    (
        "while a second fault settles nothing is judged",
        lambda: replace(together(fault("a"), fault("b", after="10s", lasts="20s", settle="5s")), steps((21, 25, 0.5))),
        HELD,
        0,
        "",
    ),
]

SETTLE.append(
    (
        "a violation does not go on over the settling of another fault",
        lambda: replace(
            Story(
                plan(
                    measure(tolerance={"fault": {"atMost": "200ms", "for": "8s"}}),
                    method=[PlannedItem(faults=(fault("a"), fault("b", after="10s", lasts="20s", settle="5s")))],
                )
            ),
            steps((18, 28, 0.5)),
        ),
        HELD,
        0,
        "",
    )
)

PHASES: list[Case] = [
    (
        "a phase without a rule is observed",
        lambda: of({"tolerance": {"recovery": {"atMost": "1s"}}}, (20, 30, 9.0)),
        HELD,
        0,
        "",
    ),
    ("a limit relative to the baseline is held", lambda: of({"tolerance": RELATIVE}, (20, 30, 0.39)), HELD, 0, ""),
    (
        "a limit relative to the baseline is broken",
        lambda: of({"tolerance": RELATIVE}, (20, 30, 0.41)),
        BROKEN,
        1,
        "at most 400 ms (4x baseline)",
    ),
    (
        "a relative limit without a baseline is inconclusive",
        lambda: of({"tolerance": RELATIVE}, (0, 10, Missing())),
        INCONCLUSIVE,
        3,
        "relative to the baseline",
    ),
    (
        "a baseline outside makes the run inconclusive, not broken",
        lambda: bad(4, 5),
        INCONCLUSIVE,
        3,
        "before the fault",
    ),
    (
        "a baseline without readings makes the run inconclusive",
        lambda: bad(2, 9, Missing()),
        INCONCLUSIVE,
        3,
        "before the fault",
    ),
    ("observed only is not judged", lambda: two({}, {"tolerance": None}, steps((15, 60, 9.0))), HELD, 0, ""),
    (
        "nothing judged at all is inconclusive",
        lambda: of({"tolerance": None}),
        INCONCLUSIVE,
        3,
        "nothing in it is judged",
    ),
    ("during start: the fault is not judged", lambda: of({"during": "start"}, (10, 60, Absent)), HELD, 0, ""),
    ("during edge: the fault is not judged", lambda: of({"during": "edge"}, (10, 40.3, Absent)), HELD, 0, ""),
    (
        "during edge: recovery is judged",
        lambda: of({"during": "edge"}, (10, 40.3, Absent), (40.3, 60, 0.5)),
        BROKEN,
        1,
        "no recovery",
    ),
    ("during end: only recovery is judged", lambda: of({"during": "end"}, (0, 40.3, Absent)), HELD, 0, ""),
    (
        "during fault: only the fault is judged",
        lambda: of({"during": "fault"}, (0, 10, Absent), (40.3, 60, Absent)),
        HELD,
        0,
        "",
    ),
    ("during fault: the fault is judged", lambda: of({"during": "fault"}, (20, 21, 0.5)), BROKEN, 1, ""),
    ("during continuous: all is judged", lambda: of({"during": "continuous"}, (20, 21, 0.5)), BROKEN, 1, ""),
    (
        "a rule for a phase in which the measure is not read is inconclusive",
        lambda: of({"during": "start", "tolerance": {"fault": {"atMost": "1s"}}}),
        INCONCLUSIVE,
        3,
        "in which it is not read",
    ),
]

MISSING_BREAKS: list[Case] = [
    (
        "whenMissing broken counts where the source still answers",
        lambda: two({}, {"whenMissing": "broken"}, steps((15, 40.3, Missing("empty")))),
        BROKEN,
        1,
        "the source answers, and whenMissing is broken",
    ),
    (
        "whenMissing broken does not count where the source is down",
        lambda: of({"whenMissing": "broken"}, (15, 40.3, Missing())),
        INCONCLUSIVE,
        3,
        "missing",
    ),
    (
        "another probe's answers say nothing of the source",
        lambda: two({"probe": "tcp"}, {"whenMissing": "broken"}, steps((15, 40.3, Missing()))),
        INCONCLUSIVE,
        3,
        "missing",
    ),
    (
        "whenMissing broken does not count where the baseline had no reading",
        lambda: two(
            {}, {"whenMissing": "broken", "tolerance": {"fault": {"atMost": "1s"}}}, steps((0, 40.3, Missing()))
        ),
        INCONCLUSIVE,
        3,
        "",
    ),
    (
        "few missing readings do not break",
        lambda: two({}, {"whenMissing": "broken"}, steps((15, 18, Missing()))),
        HELD,
        0,
        "",
    ),
    (
        "readings that the journal has not do not break",
        lambda: two({}, {"whenMissing": "broken"}, steps((15, 40.3, Absent))),
        INCONCLUSIVE,
        3,
        "",
    ),
    (
        "whenMissing broken after the undo is no recovery",
        lambda: two({}, {"whenMissing": "broken"}, steps((40.3, 99, Missing("empty")))),
        BROKEN,
        1,
        "its readings are gone",
    ),
]

FAULTS: list[Case] = [
    (
        "no fault in force is inconclusive",
        lambda: Story().without(j.FaultInForce, j.FaultSeen),
        INCONCLUSIVE,
        3,
        "no fault was seen in force",
    ),
    (
        "a violation without a fault in force is not broken",
        lambda: bad(15, 30).without(j.FaultInForce),
        INCONCLUSIVE,
        3,
        "never seen in force",
    ),
    (
        "a fault that failed to inject is inconclusive",
        lambda: (
            Story()
            .without(j.FaultInjected, j.FaultSeen, j.FaultInForce, j.FaultTouched)
            .add(10.1, j.FaultFailed(fault="slow/1", stage="inject", error="permission denied"))
            .ending(Ending.FAULT_FAILED)
        ),
        INCONCLUSIVE,
        3,
        "could not be injected: permission denied",
    ),
    (
        "a fault that could not be prepared is inconclusive",
        lambda: Story(
            events=[
                (0.0, started(plan())),
                (0.01, j.PhaseBegan(phase=Phase.BASELINE)),
                (9.9, j.PhaseEnded(phase=Phase.BASELINE, because="steady")),
                (10.0, j.FaultFailed(fault="slow/1", stage="prepare", error="no such link")),
                (10.1, j.RunEnded(ending=Ending.FAULT_FAILED, reason="slow/1: no such link")),
            ],
            read_until=10.0,
        ),
        INCONCLUSIVE,
        3,
        "no such link",
    ),
    (
        "a fault that was never confirmed is inconclusive",
        lambda: (
            Story()
            .without(j.FaultInForce, j.FaultSeen)
            .add(15, j.FaultFailed(fault="slow/1", stage="confirm", error="not seen in force within 5 s"))
            .ending(Ending.FAULT_FAILED)
        ),
        INCONCLUSIVE,
        3,
        "not seen in force within 5 s",
    ),
    (
        "a fault lost midway is inconclusive",
        lambda: lost(25, 25.1),
        INCONCLUSIVE,
        3,
        "it was lost after 14.8 s in force: round trip 1 ms",
    ),
    (
        "a violation before a fault was lost is broken",
        lambda: replace(lost(25, 25.1), steps((20, 21, 0.5))),
        BROKEN,
        1,
        "",
    ),
    (
        "a violation after a fault was lost is not",
        lambda: replace(lost(25, 25.1), steps((26, 27, 0.5))),
        INCONCLUSIVE,
        3,
        "",
    ),
    (
        "a fault that nothing met is inconclusive",
        lambda: Story().without(j.FaultTouched).add(40.1, j.FaultTouched(fault="slow/1", count=0)),
        INCONCLUSIVE,
        3,
        "nothing met it",
    ),
    (
        "broken beats a fault that nothing met",
        lambda: bad(20, 21).without(j.FaultTouched).add(40.1, j.FaultTouched(fault="slow/1", count=0)),
        BROKEN,
        1,
        "",
    ),
    ("a fault of which nobody can say what met it is held", lambda: Story().without(j.FaultTouched), HELD, 0, ""),
    (
        "not being able to count what met it is no trouble",
        lambda: Story().without(j.FaultTouched).add(40.1, j.FaultFailed(fault="slow/1", stage="touched", error="late")),
        HELD,
        0,
        "",
    ),
    (
        "in force for less than 95 % of the step is inconclusive",
        lambda: moved(moved(Story(), j.FaultTouched, 38.0), j.FaultUndone, 38.5),
        INCONCLUSIVE,
        3,
        "in force for 94 % of 30 s only, and held needs 95 %",
    ),
    ("in force for 95 % of the step is held", lambda: moved(Story(), j.FaultUndone, 38.8), HELD, 0, ""),
    (
        "broken beats a fault that was too short",
        lambda: moved(bad(20, 21), j.FaultUndone, 30.0),
        BROKEN,
        1,
        "",
    ),
    (
        "looks that did not see it count against its time in force",
        lambda: (
            Story()
            .add(20, j.FaultSeen(fault="slow/1", seen=False, how="round trip 1 ms"))
            .add(23, j.FaultSeen(fault="slow/1", seen=True, how="round trip 301 ms"))
        ),
        INCONCLUSIVE,
        3,
        "in force for 90 %",
    ),
    (
        "a target that went away by itself counts as undone, and that is said",
        lambda: (
            Story()
            .without(j.FaultUndone, j.UndoBegan, j.FaultTouched)
            .add(30, j.FaultUndone(fault="slow/1", because="target-gone", seen_gone=None))
        ),
        INCONCLUSIVE,
        3,
        "as its target went away",
    ),
    (
        "a target that went away when the step was all but over is held",
        lambda: (
            Story()
            .without(j.FaultUndone, j.UndoBegan, j.FaultTouched)
            .add(39.5, j.FaultLost(fault="slow/1", how="the target went away: process 4711 exited"))
            .add(39.6, j.FaultUndone(fault="slow/1", because="target-gone", seen_gone=None))
        ),
        HELD,
        0,
        "",
    ),
    (
        "a fault that was never injected is inconclusive",
        lambda: Story(
            plan(method=[PlannedItem(faults=(fault("a"),)), PlannedItem(faults=(fault("b"),))]),
            events=[
                (t, e)
                for t, e in good_events(plan(method=[PlannedItem(faults=(fault("a"),))]))
                if not isinstance(e, j.RunStarted)
            ]
            + [(0.0, started(plan(method=[PlannedItem(faults=(fault("a"),)), PlannedItem(faults=(fault("b"),))])))],
        ),
        INCONCLUSIVE,
        3,
        "b/1: it was never injected",
    ),
    (
        "a step that matched no target is inconclusive",
        lambda: together(fault("a"), fault("b", targets=())),
        INCONCLUSIVE,
        3,
        "b matched no target",
    ),
    (
        "each of several targets must be in force",
        lambda: Story(plan(method=[PlannedItem(faults=(fault(targets=(link(1), link(2))),))])).add(
            25, j.FaultLost(fault="slow/2", how="refused")
        ),
        INCONCLUSIVE,
        3,
        "slow/2: it was lost",
    ),
    (
        "a violation while any of several targets is in force is broken",
        lambda: replace(
            Story(plan(method=[PlannedItem(faults=(fault(targets=(link(1), link(2))),))])).add(
                25, j.FaultLost(fault="slow/2", how="refused")
            ),
            steps((30, 31, 0.5)),
        ),
        BROKEN,
        1,
        "",
    ),
    (
        "after a fault that is over at once the observation is judged",
        lambda: replace(together(fault("kill", fault="process-kill", instant=True)), steps((35, 36, 0.5))),
        BROKEN,
        1,
        "",
    ),
    (
        "a violation in a wait between faults is not judged",
        lambda: replace(slow_in_steps({}, {}), steps((21, 25, 0.5))),
        HELD,
        0,
        "",
    ),
    (
        "a violation during the second fault is broken",
        lambda: replace(slow_in_steps({}, {}), steps((30, 31, 0.5))),
        BROKEN,
        1,
        "",
    ),
    (
        "each fault in sequence needs readings of its own",
        lambda: replace(slow_in_steps({}, {}), steps((25, 36, Missing()))),
        INCONCLUSIVE,
        3,
        "there is no reading",
    ),
]

RECOVERY: list[Case] = [
    ("not back in time is broken", lambda: bad(40.35, 99), BROKEN, 1, "no recovery within 10 s"),
    ("back in time is held", lambda: bad(40.35, 50), HELD, 0, ""),
    ("back too late is broken", lambda: bad(40.35, 52), BROKEN, 1, "no recovery within 10 s"),
    (
        "no readings after the undo are inconclusive",
        lambda: bad(40.35, 99, Missing()),
        INCONCLUSIVE,
        3,
        "too few readings",
    ),
    (
        "an end before the recovery is seen is inconclusive",
        lambda: (
            replace(Story(read_until=43.0), steps())
            .without(j.RunEnded, j.PhaseEnded)
            .add(9.98, j.PhaseEnded(phase=Phase.BASELINE, because="steady"))
            .add(43, j.RunEnded(ending=Ending.FINISHED))
        ),
        INCONCLUSIVE,
        3,
        "before a recovery could be seen",
    ),
    (
        "without a rule for recovery none is asked for",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms"}}}, (40.35, 99, 9.0)),
        HELD,
        0,
        "",
    ),
]

ENDINGS: list[Case] = [
    ("a runner that died is inconclusive", lambda: Story().cut(30), INCONCLUSIVE, 3, "the runner died"),
    ("broken before the runner died is broken", lambda: bad(20, 21).cut(30), BROKEN, 1, ""),
    ("a runner that died in the baseline is inconclusive", lambda: Story().cut(5), INCONCLUSIVE, 3, "the runner died"),
    (
        "a run that died and was healed is inconclusive",
        lambda: Story().cut(30).add(5000, j.FaultUndone(fault="slow/1", because="heal", seen_gone=True)),
        INCONCLUSIVE,
        3,
        "the runner died",
    ),
    (
        "a halted run is inconclusive and exits 6",
        lambda: Story().ending(Ending.HALTED, "ana"),
        INCONCLUSIVE,
        6,
        "halted before its end: ana",
    ),
    ("a halted run that broke exits 1", lambda: bad(20, 21).ending(Ending.HALTED), BROKEN, 1, ""),
    (
        "a refused run exits 4",
        lambda: Story(
            events=[(0.0, started(plan())), (0.1, j.RunEnded(ending=Ending.REFUSED, reason="windows: not now"))],
            read_until=0,
        ),
        INCONCLUSIVE,
        4,
        "a guard refused: windows: not now",
    ),
    (
        "an unsteady baseline exits 5",
        lambda: (
            bad(0, 99)
            .without(
                j.FaultPrepared,
                j.FaultInjected,
                j.FaultSeen,
                j.FaultInForce,
                j.FaultTouched,
                j.UndoBegan,
                j.FaultUndone,
            )
            .ending(Ending.NOT_STEADY, "slo/p99")
        ),
        INCONCLUSIVE,
        5,
        "the baseline was not steady",
    ),
    (
        "an unreadable baseline exits 3",
        lambda: Story(
            events=[
                (0.0, started(plan())),
                (0.01, j.PhaseBegan(phase=Phase.BASELINE)),
                (40.0, j.PhaseEnded(phase=Phase.BASELINE, because="not readable")),
                (40.1, j.RunEnded(ending=Ending.NOT_READABLE)),
            ],
            read_until=0,
        ),
        INCONCLUSIVE,
        3,
        "could not be read",
    ),
    (
        "a defect exits 70",
        lambda: Story().ending(Ending.DEFECT, "KeyError"),
        INCONCLUSIVE,
        70,
        "chaosrunner itself failed: KeyError",
    ),
    ("a defect of a run that broke exits 70", lambda: bad(20, 21).ending(Ending.DEFECT), BROKEN, 70, ""),
    (
        "a journal that could not be written exits 3",
        lambda: Story().ending(Ending.JOURNAL_FAILED, "disk full"),
        INCONCLUSIVE,
        3,
        "disk full",
    ),
    (
        "an undo that failed exits 7",
        lambda: Story().without(j.FaultUndone).add(41, j.UndoFailed(fault="slow/1", error="gone mad", attempts=4)),
        INCONCLUSIVE,
        7,
        "the undo failed: gone mad",
    ),
    (
        "an undo that failed in a run that broke exits 7",
        lambda: bad(20, 21).without(j.FaultUndone).add(41, j.UndoFailed(fault="slow/1", error="x", attempts=4)),
        BROKEN,
        7,
        "",
    ),
    (
        "an undo that failed in a defect exits 7",
        lambda: (
            Story()
            .without(j.FaultUndone)
            .add(41, j.UndoFailed(fault="slow/1", error="x", attempts=4))
            .ending(Ending.DEFECT)
        ),
        INCONCLUSIVE,
        7,
        "",
    ),
    (
        "a fault seen after its undo exits 7",
        lambda: (
            Story().without(j.FaultUndone).add(40.3, j.FaultUndone(fault="slow/1", because="finished", seen_gone=False))
        ),
        INCONCLUSIVE,
        7,
        "still seen in force",
    ),
    (
        "a run that ended without an undo exits 7",
        lambda: Story().without(j.FaultUndone),
        INCONCLUSIVE,
        7,
        "the run ended without taking it back",
    ),
    (
        "an undo that could not be seen is held",
        lambda: (
            Story().without(j.FaultUndone).add(40.3, j.FaultUndone(fault="slow/1", because="finished", seen_gone=None))
        ),
        HELD,
        0,
        "",
    ),
    ("an abort limit exits 1", aborted, BROKEN, 1, "its abort limit (at most 2s) was reached at 20.1 s"),
    ("an abort limit reached by no answer exits 1", lambda: aborted(None), BROKEN, 1, "its abort limit"),
    ("flying blind is inconclusive", lambda: replace(aborted(blind=True), steps()), INCONCLUSIVE, 3, "flying blind"),
    (
        "flying blind after a violation is broken",
        lambda: replace(aborted(blind=True), steps((15, 16, 0.5))),
        BROKEN,
        1,
        "",
    ),
    (
        "an abort limit of a measure that is only observed exits 1",
        lambda: _observed_abort(),
        BROKEN,
        1,
        "its abort limit",
    ),
    (
        "an abort limit before anything was injected is no gap",
        lambda: Story(
            plan(measure(abortAt={"atMost": "2s"})),
            events=[
                (0.0, started(plan(measure(abortAt={"atMost": "2s"})))),
                (0.01, j.PhaseBegan(phase=Phase.BASELINE)),
                (5.0, j.LimitReached(measure="slo/p99", limit="at most 2s", reading_ended=5.0, value=3.0)),
                (5.1, j.RunEnded(ending=Ending.ABORTED)),
            ],
            read_until=5.0,
        ),
        INCONCLUSIVE,
        3,
        "",
    ),
    (
        "something else that broke exits 1",
        lambda: Story().add(45, j.Spilled(what="changed", service="cart", detail="was up, is down")),
        HELD,
        1,
        "",
    ),
    ("something that broke before the fault is not its doing", lambda: _spilled_before(), HELD, 0, ""),
]


def _observed_abort() -> Story:
    story = aborted()
    watched = measure(tolerance=None, abortAt={"atMost": "2s"})
    other = measure("other")
    story.plan = plan(watched, other)
    return story.without(j.RunStarted).add(0.0, started(story.plan))


def _spilled_before() -> Story:
    return Story().add(5.0, j.Spilled(what="changed", service="cart", detail="was up, is down"))


ALL = READINGS + LAG + SETTLE + PHASES + MISSING_BREAKS + FAULTS + RECOVERY + ENDINGS


@pytest.mark.parametrize(
    ("story", "answer", "code", "words"), [case[1:] for case in ALL], ids=[case[0].replace(" ", "_") for case in ALL]
)
def test_a_journal_is_judged(story: Callable[[], Story], answer: Answer, code: int, words: str) -> None:
    verdict = judge(story().entries())
    assert (verdict.answer, verdict.exit_code) == (answer, code), (verdict.summary, verdict.inconclusive_because)
    said = [verdict.summary, *verdict.inconclusive_because, *(fault.trouble for fault in verdict.faults)]
    said += [measure.reason for hypothesis in verdict.hypotheses for measure in hypothesis.measures]
    said += [phase.reason for one in verdict.hypotheses for measure in one.measures for phase in measure.phases]
    assert any(words in one for one in said), said


def test_the_table_has_no_sentence_twice() -> None:
    assert len({case[0] for case in ALL}) == len(ALL)


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
