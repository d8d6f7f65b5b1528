"""Cases of what became of faults, and of the recovery."""

from __future__ import annotations

from chaosrunner.model import journal as j
from chaosrunner.model.plan import PlannedItem
from chaosrunner.model.words import Ending, Phase
from tests.judging.changed import (
    BROKEN,
    HELD,
    INCONCLUSIVE,
    Case,
    bad,
    lost,
    moved,
    of,
    replace,
    slow_in_steps,
    together,
)
from tests.judging.journals import (
    Missing,
    Story,
    fault,
    good_events,
    link,
    plan,
    started,
    steps,
)

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
