"""Cases of how runs end: exit codes, aborts, failed undos, spill-over."""

from __future__ import annotations

from chaosrunner.model import journal as j
from chaosrunner.model.words import Ending, Phase
from tests.judging.changed import (
    BROKEN,
    HELD,
    INCONCLUSIVE,
    Case,
    aborted,
    bad,
    observed_abort,
    replace,
    spilled_before,
)
from tests.judging.journals import (
    Story,
    measure,
    plan,
    started,
    steps,
)

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
        observed_abort,
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
    ("something that broke before the fault is not its doing", spilled_before, HELD, 0, ""),
]
