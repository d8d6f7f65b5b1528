"""Cases of what readings say: inside, outside, missing, lag, settling, phases, `whenMissing`."""

from __future__ import annotations

from chaosrunner.model import journal as j
from chaosrunner.model.plan import PlannedItem
from tests.judging.changed import (
    BROKEN,
    HELD,
    INCONCLUSIVE,
    RELATIVE,
    Case,
    bad,
    moved,
    of,
    replace,
    together,
    two,
    with_line,
)
from tests.judging.journals import (
    Absent,
    Missing,
    NoAnswer,
    Said,
    Story,
    fault,
    measure,
    one,
    plan,
    steps,
)

READINGS: list[Case] = [
    ("a good run is held", Story, HELD, 0, "50 % room"),
    ("a reading outside while the fault is in force is broken", lambda: bad(20, 21), BROKEN, 1, "was 500 ms at 20.1 s"),
    ("a reading exactly on the limit is held", lambda: bad(20, 21, 0.2), HELD, 0, "0 % room"),
    ("a reading before the fault is in force does not break", lambda: bad(10, 10.15), HELD, 0, ""),
    ("a reading that straddles the moment in force is not judged", lambda: bad(10.15, 10.2), HELD, 0, ""),
    ("a reading after the undo does not break", lambda: bad(41, 42), HELD, 0, ""),
    ("a reading that straddles the undo is not judged", lambda: bad(40, 40.3), BROKEN, 1, "40.1 s"),
    (
        "a reading while it is being taken back is of neither phase",
        lambda: moved(bad(40.5, 42.9), j.FaultUndone, 43),
        HELD,
        0,
        "",
    ),
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
        "a violation that no fault of this length could complete is not held",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms", "for": "60s"}}}, (20, 40.3, 0.5)),
        INCONCLUSIVE,
        3,
        "too short to tell whether that lasts",
    ),
    (
        "readings that are all outside are never held, however long the for",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms", "for": "29.9s"}}}, (10.2, 40.3, 0.5)),
        INCONCLUSIVE,
        3,
        "30 of 30 readings were outside",
    ),
    (
        "a for that is longer than the fault costs nothing where all is inside",
        lambda: of({"tolerance": {"fault": {"atMost": "200ms", "for": "60s"}}}),
        HELD,
        0,
        "",
    ),
    (
        "at least so many times a baseline of nothing is met by nothing",
        lambda: of({"tolerance": {"fault": {"atLeast": "0.9x baseline"}}}, otherwise=0.0),
        INCONCLUSIVE,
        3,
        "its baseline is 0, so that",
    ),
    (
        "a recovery to at least a share of nothing is none",
        lambda: of({"tolerance": {"fault": {"atLeast": 0}, "recovery": {"atLeast": "baseline - 10%"}}}, otherwise=0.0),
        INCONCLUSIVE,
        3,
        "there is no baseline to compare with",
    ),
    (
        "a limit below a baseline of 0 by an amount is a limit",
        lambda: of({"tolerance": {"fault": {"atLeast": "baseline - 100ms"}}}, (20, 21, -0.2), otherwise=0.0),
        BROKEN,
        1,
        "",
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
        "in force for 30 s, less than twice this measure's lag of 16 s",
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
    (
        "during start: the fault is not judged",
        lambda: two({}, {"during": "start"}, steps((10, 60, Absent))),
        HELD,
        0,
        "",
    ),
    (
        "what is judged before the fault only proves nothing",
        lambda: of({"during": "start"}, (10, 60, Absent)),
        INCONCLUSIVE,
        3,
        "nothing is judged while a fault is in force, or after it",
    ),
    (
        "a rule for the baseline only proves nothing",
        lambda: of({"tolerance": {"baseline": {"atMost": "200ms"}}}, (10, 60, 0.5)),
        INCONCLUSIVE,
        3,
        "nothing is judged while a fault is in force, or after it",
    ),
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
